"""Judges exported Terraform trees by what the providers publish.

Usage: judge.py ROOT PROVIDER_AWS SCHEMAS

ROOT          a folder with a tree a case, and beside each tree `evaluated.json`: its resources, evaluated
PROVIDER_AWS  npm's @cdktf/provider-aws, which is made from the `aws` provider's published schema
SCHEMAS       CloudFormation's resource schemas by type, from which `awscc` is made

Prints what is wrong, a line each, and a summary last; fails if anything is wrong.
"""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import hcl2

ROOT, PROVIDER, SCHEMAS = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
wrong, counts = [], {"files": 0, "resources": 0, "references": 0, "inputs": 0}


def say(place, what):
    wrong.append(f"{place}: {what}")


# ---- the two providers' schemas

REPLACED = {"CloudFormation": "Cloudformation", "CloudFront": "Cloudfront", "CloudWatch": "Cloudwatch",
            "CNAMEs": "Cnames", "FSx": "Fsx", "OTel": "Otel"}


def snake(name):
    for old, new in REPLACED.items():
        name = name.replace(old, new)
    name = re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9])(?=[A-Za-z])", "_", name).lower()


class Awscc:
    """A type of `awscc`: the CloudFormation schema under the provider's names."""

    def __init__(self, type_name):
        self.schema = SCHEMAS[type_name]
        self.short = snake(type_name.split("::")[2])
        self.attributes = {self.root(name): name for name in self.schema["properties"]}
        self.required = {self.root(name) for name in self.schema.get("required", [])}
        self.read_only = {path.removeprefix("/properties/") for path in self.schema.get("readOnlyProperties", [])}

    def root(self, name):
        return f"{self.short}_id" if name == "Id" else snake(name)

    def node(self, node):
        while "$ref" in node:
            target = self.schema
            for part in node["$ref"].lstrip("#/").split("/"):
                target = target[part]
            node = target
        return node

    def has(self, path):
        if path[0] == "id":
            return len(path) == 1
        if path[0] not in self.attributes:
            return False
        node = self.node(self.schema["properties"][self.attributes[path[0]]])
        for name in path[1:]:
            inner = {snake(key): value for key, value in node.get("properties", {}).items()}
            if name not in inner:
                return False
            node = self.node(inner[name])
        return True

    def check(self, place, body):
        for name in self.required - {key for key, value in body.items() if value is not None}:
            say(place, f"lacks the required {name}")
        for name, value in body.items():
            if value is None:
                continue
            if name not in self.attributes:
                say(place, f"has {name}, which is no argument")
                continue
            prop = self.attributes[name]
            if prop in self.read_only:
                say(place, f"sets {name}, which only AWS sets")
            self.value(f"{place}.{name}", self.schema["properties"][prop], value, prop)

    def value(self, place, node, value, path):
        node = self.node(node)
        kinds = node.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if "properties" not in node and "patternProperties" not in node and ("object" in kinds or kinds == [None]):
            # A JSON text.
            if not isinstance(value, str):
                say(place, "must be a JSON text")
            else:
                json.loads(value)
            return
        kind = "object" if "properties" in node or "patternProperties" in node and "array" not in kinds else kinds[0]
        if kinds[0] == "array":
            kind = "array"
        expected = {"string": str, "boolean": bool, "integer": int, "number": (int, float), "array": list,
                    "object": dict}[kind]
        if not isinstance(value, expected) or isinstance(value, bool) and kind != "boolean":
            say(place, f"{value!r} is no {kind}")
            return
        if kind == "string" and "enum" in node and value not in node["enum"]:
            say(place, f"{value!r} is none of {node['enum']}")
        if kind == "array":
            for item in value:
                self.value(f"{place}[]", node["items"], item, f"{path}/*")
        elif kind == "object" and "properties" in node:
            names = {snake(key): key for key in node["properties"]}
            present = {key: inner for key, inner in value.items() if inner is not None}
            for name in node.get("required", []):
                if snake(name) not in present:
                    say(place, f"lacks the required {snake(name)}")
            for key, inner in present.items():
                if key not in names:
                    say(place, f"has {key}, which is no argument")
                    continue
                below = f"{path}/{names[key]}"
                if below in self.read_only:
                    say(place, f"sets {key}, which only AWS sets")
                self.value(f"{place}.{key}", node["properties"][names[key]], inner, below)


class Aws:
    """A type of `aws`: the interfaces that are generated from the provider's schema."""

    def __init__(self, kind, data=False):
        folder = kind.removeprefix("aws_").replace("_", "-")
        text = (PROVIDER / "lib" / ("data-aws-" + folder if data else folder) / "index.d.ts").read_text()
        self.interfaces = {}
        for match in re.finditer(r"export interface (\w+)[^{]*\{\n(.*?)\n\}", text, re.S):
            members = re.findall(r"^    readonly (\w+)(\?)?: ([^;]+);?", match[2], re.M)
            self.interfaces[match[1]] = {name: (optional != "?", kind) for name, optional, kind in members}
        name = "".join(part.capitalize() for part in kind.removeprefix("aws_").split("_"))
        self.config = ("DataAws" if data else "") + name + "Config"
        if self.config not in self.interfaces:
            raise KeyError(f"{kind}: no {self.config}")
        main = text[text.index(f"class {'DataAws' if data else ''}{name} extends"):]
        self.attributes = set(re.findall(r"^    get (\w+)\(\):", main, re.M))

    @staticmethod
    def camel(name):
        head, *rest = name.split("_")
        return head + "".join(part.capitalize() for part in rest)

    def has(self, path):
        return self.camel(path[0]) in self.attributes

    def check(self, place, body, interface=None):
        members = self.interfaces[interface or self.config]
        given = {self.camel(name): (name, value) for name, value in body.items() if value is not None}
        for name, (required, _) in members.items():
            if required and name not in given:
                say(place, f"lacks the required {name}")
        for name, (written, value) in given.items():
            if name not in members:
                say(place, f"has {written}, which is no argument or block")
                continue
            kind = members[name][1]
            inner = re.match(r"\w*", kind)[0]
            if inner in self.interfaces:
                if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
                    say(place, f"{written} must be a block")
                    continue
                if "[]" not in kind and len(value) > 1:
                    say(place, f"{written} can be there once")
                for item in value:
                    self.check(f"{place}.{written}", item, inner)
            elif kind.startswith("{") and not isinstance(value, dict):
                say(place, f"{written} must be a map")
            elif kind.startswith("string[]") and not isinstance(value, list):
                say(place, f"{written} must be a list")
            elif kind == "string" and not isinstance(value, str):
                say(place, f"{written} must be a text, not {value!r}")
            elif kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
                say(place, f"{written} must be a number, not {value!r}")
            elif kind.startswith("boolean") and not isinstance(value, bool):
                say(place, f"{written} must be true or false, not {value!r}")


BY_NAME = {f"awscc_{name.split('::')[1].lower()}_{snake(name.split('::')[2])}": name for name in SCHEMAS}
known = {}


def provider(kind, data=False):
    if (kind, data) not in known:
        try:
            known[kind, data] = Awscc(BY_NAME[kind]) if kind.startswith("awscc_") else Aws(kind, data)
        except (KeyError, FileNotFoundError):
            known[kind, data] = None
    return known[kind, data]


# ---- files

parsed = {}


def load(path):
    text = path.read_text()
    key = hashlib.sha256(text.encode()).digest()
    if key not in parsed:
        parsed[key] = hcl2.loads(text)
    counts["files"] += 1
    return parsed[key]


def name(text):
    return text.strip('"')


def blocks(body, kind):
    """The blocks of a kind: labels and insides."""
    for block in body.get(kind, []):
        labels = []
        while "__is_block__" not in block:
            (label, block), = block.items()
            labels.append(name(label))
        yield labels, {key: value for key, value in block.items() if key != "__is_block__"}


def texts(value):
    """All texts of a parsed value that expressions may be in."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from texts(key)
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def code(value):
    """The expressions in a parsed value: texts without what stands in quotes outside of `${…}`."""
    out = []
    for text in texts(value):
        depth, quoted, at = [], False, 0
        # A parsed expression begins with `${`, a literal with a quote.
        while at < len(text):
            if text.startswith("${", at) and not text.startswith("$${", at - 1 if at else 0):
                depth.append(quoted)
                quoted = False
                at += 2
                continue
            character = text[at]
            if quoted and character == "\\":
                at += 2
                continue
            if character == '"':
                quoted = not quoted
            elif not quoted and character == "{":
                depth.append(None)
            elif not quoted and character == "}" and depth:
                before = depth.pop()
                quoted = quoted if before is None else before
            elif depth and not quoted:
                out.append(character)
                at += 1
                continue
            out.append(" ")
            at += 1
        out.append("\n")
    return "".join(out)


REFERENCE = re.compile(r"(?<![\w.])(var|local|data|dependency|include|aws\w+)((?:\.\w+|\[\d+\]|\[\*\])+)")


def references(value):
    for match in REFERENCE.finditer(code(value)):
        counts["references"] += 1
        # The index of what is counted is of no interest here.
        yield match[1], [part for part in re.findall(r"\.(\w+)", match[2])]


class Module:
    def __init__(self, folder):
        self.place = f"{folder.parent.parent.name}/{folder.name}"
        bodies = {file: load(folder / f"{file}.tf") for file in ("versions", "variables", "main", "outputs")}
        self.variables = {labels[0]: body for labels, body in blocks(bodies["variables"], "variable")}
        self.outputs = {labels[0]: body for labels, body in blocks(bodies["outputs"], "output")}
        main = bodies["main"]
        self.locals = {key for _, body in blocks(main, "locals") for key in body}
        self.resources = {tuple(labels) for labels, _ in blocks(main, "resource")}
        self.data = {tuple(labels) for labels, _ in blocks(main, "data")}
        for kind, label in self.resources | self.data:
            if provider(kind, (kind, label) in self.data and kind.startswith("aws_")) is None:
                say(self.place, f"{kind}.{label} is of no type")
        used = {"var": set(), "local": set(), "data": set()}
        for labels, body in blocks(bodies["variables"], "variable"):
            for field in ("description", "type"):
                if field not in body:
                    say(self.place, f"the variable {labels[0]} has no {field}")
            for _, validation in blocks(body, "validation"):
                if not {"condition", "error_message"} <= set(validation):
                    say(self.place, f"a validation of {labels[0]} is not whole")
                for kind, path in references(validation):
                    if [kind, *path] != ["var", labels[0]]:
                        say(self.place, f"the validation of {labels[0]} refers to {kind}.{path[0]}")
        for body in (main, bodies["outputs"]):
            for kind, path in references(body):
                self.reference(kind, path, used)
        for kind, names in (("var", self.variables), ("local", self.locals)):
            for unused in set(names) - used[kind]:
                say(self.place, f"{kind}.{unused} is never used")
        for unused in {key for key in self.data} - used["data"]:
            say(self.place, f"data.{'.'.join(unused)} is never used")
        providers = {key for _, terraform in blocks(bodies["versions"], "terraform")
                     for _, body in blocks(terraform, "required_providers") for key in body}
        self.providers = providers
        for missing in {kind.split("_")[0] for kind, _ in self.resources | self.data} - providers:
            say(self.place, f"uses {missing} and does not require it")

    def reference(self, kind, path, used):
        text = ".".join([kind, *path])
        if kind == "var":
            used["var"].add(path[0])
            if path[0] not in self.variables or len(path) > 1:
                say(self.place, f"{text} is dangling")
        elif kind == "local":
            used["local"].add(path[0])
            if path[0] not in self.locals:
                say(self.place, f"{text} is dangling")
        elif kind == "data":
            used["data"].add(tuple(path[:2]))
            if tuple(path[:2]) not in self.data:
                say(self.place, f"{text} is dangling")
            elif len(path) > 2:
                schema = provider(path[0], True) if path[0].startswith("aws_") else provider(path[0])
                if schema and not schema.has(path[2:]):
                    say(self.place, f"{text} is no attribute")
        elif kind in ("dependency", "include"):
            say(self.place, f"{text} is Terragrunt's")
        else:
            if (kind, path[0]) not in self.resources:
                say(self.place, f"{text} is dangling")
            elif len(path) > 1 and path[1] != "outputs":
                schema = provider(kind)
                if schema and not schema.has(path[1:]):
                    say(self.place, f"{text} is no attribute")


def terragrunt(case, modules):
    root = load(case / "terragrunt/root.hcl")
    (_, state), = blocks(root, "remote_state")
    config = state["config"]
    for key in ("bucket", "key", "region", "encrypt", "dynamodb_table", "use_lockfile"):
        if key not in config:
            say(case.name, f"the state has no {key}")
    folders = sorted((case / "terragrunt/environments").iterdir()) + [case / "terragrunt/env-template-folder"]
    for folder in folders:
        (_, env), = blocks(load(folder / "env.hcl"), "locals")
        for path in sorted(folder.glob("*/terragrunt.hcl")):
            check_unit(case, folder, path, modules, root, env)
    (_, env), = blocks(load(case / "terragrunt/shared/terragrunt.hcl"), "locals")
    check_unit(case, None, case / "terragrunt/shared/terragrunt.hcl", modules, {}, env)


def configured(body):
    """The providers that a generated file configures."""
    return {each for _, block in blocks(body, "generate")
            for each in re.findall(r'provider \\?"(\w+)', str(block["contents"]))}


def check_unit(case, folder, path, modules, root, env):
    place = str(path.relative_to(case.parent))
    body = load(path)
    (_, terraform), = blocks(body, "terraform")
    root_locals = {key for _, block in blocks(root, "locals") for key in block}
    # The folder to copy is right once it is copied.
    at = path.parent
    if folder is not None and folder.parent.name != "environments":
        at = folder.parent / "environments" / "copied" / path.parent.name
    source = Path(os.path.normpath(at / name(terraform["source"])))
    module = modules.get(source.name)
    if module is None or source != Path(os.path.normpath(case / "modules" / source.name)):
        say(place, f"there is no module {source}")
        return
    dependencies = {}
    for missing in configured(body if folder is None else root) - module.providers:
        say(place, f"configures {missing}, which its module does not require: any version of it would do")
    if folder is None:
        (_, state), = blocks(body, "remote_state")
        # Terragrunt works in a cache: what is not told where to be is lost with it.
        if name(state["backend"]) != "local" or "get_terragrunt_dir()" not in str(state["config"]["path"]):
            say(place, "its state is not beside it")
    for labels, block in blocks(body, "dependency"):
        other = modules.get(labels[0])
        target = (path.parent / name(block["config_path"])).resolve()
        if other is None or not (target / "terragrunt.hcl").is_file():
            say(place, f"depends on {target}, which is not there")
            continue
        dependencies[labels[0]] = other
        mocks = {name(key) for key in block["mock_outputs"]}
        if mocks != set(other.outputs):
            say(place, f"mocks {mocks ^ set(other.outputs)} of {labels[0]}")
    for _, block in blocks(body, "dependencies"):
        for target in block["paths"]:
            if not (path.parent / name(target) / "terragrunt.hcl").is_file():
                say(place, f"comes after {target}, which is not there")
    inputs = {name(key): value for key, value in body["inputs"].items()}
    counts["inputs"] += len(inputs)
    for unknown in set(inputs) - set(module.variables):
        say(place, f"gives {unknown}, which is no variable")
    for variable, block in module.variables.items():
        if "default" not in block and variable not in inputs:
            say(place, f"does not give {variable}")
    used = set()
    for kind, path_ in references({key: value for key, value in body.items() if key != "locals"}):
        text = ".".join([kind, *path_])
        if kind == "dependency":
            used.add(path_[0])
            if path_[0] not in dependencies or path_[1] != "outputs" or path_[2] not in dependencies[path_[0]].outputs:
                say(place, f"{text} is dangling")
        elif kind == "include":
            if path_[:2] != ["root", "locals"] or path_[2] not in root_locals or path_[2] == "env" and path_[3] not in env:
                say(place, f"{text} is dangling")
        elif kind == "local":
            if path_[0] not in env:
                say(place, f"{text} is dangling")
        else:
            say(place, f"{text} is not Terragrunt's")
    for unused in set(dependencies) - used:
        say(place, f"depends on {unused} and takes nothing of it")


for case in sorted(ROOT.iterdir()):
    modules = {folder.name: Module(folder) for folder in sorted((case / "modules").iterdir())}
    terragrunt(case, modules)
    for each in json.loads((case / "evaluated.json").read_text()):
        counts["resources"] += 1
        schema = provider(each["resource"])
        if schema:
            schema.check(f"{case.name}/{each['environment']}: {each['resource']}.{each['label']}", each["body"])

for line in wrong:
    print(line)
print(json.dumps(counts))
sys.exit(1 if wrong else 0)
