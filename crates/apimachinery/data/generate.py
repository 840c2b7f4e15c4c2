#!/usr/bin/env python3
"""Writes schemas.json.gz, descriptions.json.gz and messages.json.gz from Kubernetes' published sources.

    generate.py WHEEL SOURCES VERSION

WHEEL is PyPI's kubernetes_validate-1.33.1-py3-none-any.whl, which ships the definitions of Kubernetes 1.33. SOURCES is a
folder with git clones of the five Go modules below (github.com/kubernetes/<module>), which have what OpenAPI v2 does not
tell: the protobuf numbers, which fields Go leaves out when they are zero, and `+default` markers. VERSION is their tag,
v0.33.9.

schemas.json       name -> OpenAPI schema without descriptions; properties have `default` where Kubernetes' own v3 documents
                   need one for field ownership
descriptions.json  name -> [description, {property: description}]
messages.json      name -> [[number, JSON name ("" of an inlined message), type, presence]]; presence is "p" of a pointer,
                   list or map, "o" of a value that is left out when zero, "v" of a value that is always written
"""

import gzip
import json
import pathlib
import re
import subprocess
import sys
import zipfile

DEFINITIONS = "kubernetes_validate/kubernetes-json-schema/v1.33.0-local/_definitions.json"

API_GROUPS = [
    "admissionregistration/v1", "apps/v1", "authentication/v1", "authorization/v1", "autoscaling/v1", "autoscaling/v2",
    "batch/v1", "certificates/v1", "coordination/v1", "core/v1", "discovery/v1", "events/v1", "flowcontrol/v1",
    "networking/v1", "node/v1", "policy/v1", "rbac/v1", "scheduling/v1", "storage/v1",
]

# module, folder, prefix of the definitions' names, Go import path
PACKAGES = [("api", g, "io.k8s.api." + g.replace("/", "."), "k8s.io/api/" + g) for g in API_GROUPS] + [
    ("apimachinery", "pkg/apis/meta/v1", "io.k8s.apimachinery.pkg.apis.meta.v1", "k8s.io/apimachinery/pkg/apis/meta/v1"),
    ("apimachinery", "pkg/api/resource", "io.k8s.apimachinery.pkg.api.resource", "k8s.io/apimachinery/pkg/api/resource"),
    ("apimachinery", "pkg/util/intstr", "io.k8s.apimachinery.pkg.util.intstr", "k8s.io/apimachinery/pkg/util/intstr"),
    ("apimachinery", "pkg/runtime", "io.k8s.apimachinery.pkg.runtime", "k8s.io/apimachinery/pkg/runtime"),
    ("apimachinery", "pkg/types", "io.k8s.apimachinery.pkg.types", "k8s.io/apimachinery/pkg/types"),
    ("apiextensions-apiserver", "pkg/apis/apiextensions/v1", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
     "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"),
    ("kube-aggregator", "pkg/apis/apiregistration/v1", "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
     "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"),
    ("metrics", "pkg/apis/metrics/v1beta1", "io.k8s.metrics.pkg.apis.metrics.v1beta1",
     "k8s.io/metrics/pkg/apis/metrics/v1beta1"),
]
BY_IMPORT = {path: prefix for _, _, prefix, path in PACKAGES}
META = "io.k8s.apimachinery.pkg.apis.meta.v1."

# Messages whose JSON is not that of their fields; the decoder knows them by name.
SPECIAL = {
    META + "Time", META + "MicroTime", META + "Duration", META + "FieldsV1",
    "io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
} | {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1." + n
     for n in ("JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")}
SCALARS = {"string": "s", "bool": "b", "int": "i", "int32": "i", "int64": "i", "uint32": "i", "uint64": "i", "uint16": "i",
           "uint8": "i", "byte": "i", "float64": "d", "[]byte": "y"}


class Package:
    """The types of a Go package."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.structs = {}  # name -> [(go name, go type, tag, comment)], types with their file's imports
        self.others = {}  # name -> (go type, imports)
        self.constants = {}
        self.proto = {}  # message -> its text in generated.proto


def git_show(sources, tag, module, path):
    return subprocess.check_output(["git", "-C", str(sources / module), "show", f"{tag}:{path}"], text=True)


def go_sources(sources, tag, module, folder):
    command = ["git", "-C", str(sources / module), "ls-tree", "--name-only", tag, folder + "/"]
    for name in subprocess.check_output(command, text=True).split():
        if name.endswith(".go") and not re.search(r"_test\.go$|generated|zz_|prerelease", name):
            yield git_show(sources, tag, module, name)


def parse(package, text):
    imports = {}
    for block in re.findall(r"^import \((.*?)^\)", text, re.S | re.M):
        for alias, path in re.findall(r'^\s*(\w+)?\s*"([^"]+)"', block, re.M):
            imports[alias or path.rsplit("/", 1)[-1]] = path
    for alias, path in re.findall(r'^import (\w+)?\s*"([^"]+)"', text, re.M):
        imports[alias or path.rsplit("/", 1)[-1]] = path
    package.constants.update(re.findall(r'^\s*(\w+)\s+\w+\s*=\s*("[^"]*")', text, re.M))
    lines = iter(text.split("\n"))
    for line in lines:
        if m := re.match(r"type (\w+) struct ?\{\}$", line):
            package.structs[m[1]] = []
        elif m := re.match(r"type (\w+) struct \{$", line):
            fields, comment = [], []
            for inner in lines:
                if inner.startswith("}"):
                    break
                if m2 := re.match(r"\s*//\s?(.*)", inner):
                    comment.append(m2[1])
                    continue
                if m2 := re.match(r"\s*(?:(\w+)\s+)?([^\s`]+)\s+`([^`]*)`", inner):
                    fields.append((m2[1] or "", m2[2], m2[3], comment, imports))
                comment = []
            package.structs[m[1]] = fields
        elif m := re.match(r"type (\w+) = ?(\S+)$|type (\w+) ([^\s{=]+)$", line):
            package.others[m[1] or m[3]] = (m[2] or m[4], imports)


class Go:
    """All packages."""

    def __init__(self, sources, tag):
        self.packages = {}
        for module, folder, prefix, _ in PACKAGES:
            package = self.packages[prefix] = Package(prefix)
            for text in go_sources(sources, tag, module, folder):
                parse(package, text)
            if folder != "pkg/types":
                text = git_show(sources, tag, module, folder + "/generated.proto")
                package.proto = dict(re.findall(r"^message (\w+) \{(.*?)^\}", text, re.S | re.M))

    def type_code(self, package, go, imports):
        """Of a Go type: a scalar's letter, "[" + item, "{" + value, or "m" + a message's name."""
        if go in SCALARS:
            return SCALARS[go]
        if go.startswith("*"):
            return self.type_code(package, go[1:], imports)
        if go.startswith("[]"):
            return "[" + self.type_code(package, go[2:], imports)
        if m := re.match(r"map\[([\w.]+)\](.+)", go):
            assert self.type_code(package, m[1], imports) == "s", go
            return "{" + self.type_code(package, m[2], imports)
        if "." in go:
            alias, name = go.split(".")
            return self.type_code(self.packages[BY_IMPORT[imports[alias]]], name, {})
        full = f"{package.prefix}.{go}"
        if full in SPECIAL or go in package.structs:
            return "m" + full
        other, imports = package.others[go]
        code = self.type_code(package, other, imports)
        # Some named lists are a message with the field `items` (ExtraValue, Verbs).
        return "M" + code[1:] if go in package.proto and code.startswith("[") else code

    def fields(self, package, name):
        """(number or None, JSON name, type code, presence, default or None, comment) of each field."""
        for go_name, go, tag, comment, imports in package.structs[name]:
            json_tag = (re.search(r'json:"([^"]*)"', tag) or [None, ""])[1].split(",")
            number = re.search(r'protobuf:"\w+,(\d+),', tag)
            if json_tag[0] == "-" or (not json_tag[0] and "inline" not in json_tag and not number):
                continue
            if not json_tag[0] and not number:
                continue  # TypeMeta
            code = self.type_code(package, go, imports)
            default = None
            for line in comment:
                if m := re.match(r"\+default=(.+)", line):
                    ref = re.match(r"ref\((\w+)\)", m[1])
                    default = json.loads(package.constants[ref[1]] if ref else m[1])
            presence = "p" if go.startswith("*") or code[0] in "[{My" else "o" if "omitempty" in json_tag else "v"
            yield int(number[1]) if number else None, json_tag[0], code, presence, default, comment


def messages(go):
    """The messages of the .proto files, which say that the numbers are right and complete."""
    found = {}
    for prefix, package in go.packages.items():
        if prefix.endswith((".pkg.runtime", ".resource", ".intstr")):
            continue
        for name, body in package.proto.items():
            full = f"{prefix}.{name}"
            if full in SPECIAL or name not in package.structs:
                continue
            rows = [[n, j, c, p] for n, j, c, p, _, _ in go.fields(package, name) if n]
            theirs = {int(n) for n in re.findall(r"= (\d+);", body)}
            assert theirs == {row[0] for row in rows}, (full, theirs, rows)
            found[full] = rows
    return found


def simplify(schema):
    """An OpenAPI schema without descriptions, `null` among its types, and the enum of apiVersion and kind."""
    plain = {}
    for key, value in schema.items():
        if key in ("description", "enum"):
            continue
        if key == "type" and isinstance(value, list):
            value = next(one for one in value if one != "null")
        elif key == "$ref":
            value = value.replace("#/$defs/", "#/components/schemas/")
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            value = simplify(value)
        elif key == "properties":
            value = {name: simplify(one) for name, one in value.items()}
        elif key == "oneOf":
            value = [simplify(one) for one in value]
        elif key == "x-kubernetes-unions":
            continue
        plain[key] = value
    return plain


def metrics_schemas():
    """metrics.k8s.io is served by an extension server: its definitions are not in the wheel."""
    name = "io.k8s.metrics.pkg.apis.metrics.v1beta1."
    ref = lambda to: {"$ref": "#/components/schemas/" + to}
    gvk = lambda kind: [{"group": "metrics.k8s.io", "version": "v1beta1", "kind": kind}]
    usage = {"type": "object", "additionalProperties": ref("io.k8s.apimachinery.pkg.api.resource.Quantity")}
    head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": ref(META + "ObjectMeta")}
    when = {"timestamp": ref(META + "Time"), "window": {"type": "string"}}
    lists = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": ref(META + "ListMeta")}
    return {
        name + "ContainerMetrics": {"type": "object", "required": ["name", "usage"],
                                    "properties": {"name": {"type": "string"}, "usage": usage}},
        name + "NodeMetrics": {"type": "object", "required": ["timestamp", "window", "usage"],
                               "properties": {**head, **when, "usage": usage}, "x-kubernetes-group-version-kind": gvk("NodeMetrics")},
        name + "PodMetrics": {"type": "object", "required": ["timestamp", "window", "containers"],
                              "properties": {**head, **when, "containers": {"type": "array", "items": ref(name + "ContainerMetrics")}},
                              "x-kubernetes-group-version-kind": gvk("PodMetrics")},
        name + "NodeMetricsList": {"type": "object", "required": ["items"],
                                   "properties": {**lists, "items": {"type": "array", "items": ref(name + "NodeMetrics")}},
                                   "x-kubernetes-group-version-kind": gvk("NodeMetricsList")},
        name + "PodMetricsList": {"type": "object", "required": ["items"],
                                  "properties": {**lists, "items": {"type": "array", "items": ref(name + "PodMetrics")}},
                                  "x-kubernetes-group-version-kind": gvk("PodMetricsList")},
    }


def put_defaults(go, schemas):
    """The `+default` markers, and the zero that the v3 documents give to fields that Go always writes, where field
    ownership needs it: in the keys of lists."""
    keys = {}  # definition -> the keys by which lists of it are merged
    for schema in schemas.values():
        for one in schema.get("properties", {}).values():
            if one.get("x-kubernetes-list-type") == "map" and "$ref" in one["items"]:
                name = one["items"]["$ref"].rsplit("/", 1)[-1]
                keys.setdefault(name, set()).update(one["x-kubernetes-list-map-keys"])
    for prefix, package in go.packages.items():
        for name in package.structs:
            schema = schemas.get(f"{prefix}.{name}")
            if not schema or f"{prefix}.{name}" in SPECIAL:
                continue
            properties = schema.get("properties", {})
            for _, field, code, presence, default, _ in flat(go, package, name):
                if default is None and presence == "v" and field in keys.get(f"{prefix}.{name}", ()):
                    default = {"s": "", "i": 0, "b": False}[code]
                if default is not None and field in properties:
                    properties[field]["default"] = default


def flat(go, package, name):
    for row in go.fields(package, name):
        if row[1]:
            yield row
        else:
            full = row[2][1:]
            prefix, inner = full.rsplit(".", 1)
            yield from flat(go, go.packages[prefix], inner)


def reached(schemas, roots):
    found, todo = set(), list(roots)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += re.findall(r'#/components/schemas/([^"]+)"', json.dumps(schemas[name]))
    return found


def write(name, content):
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    path = pathlib.Path(__file__).parent / f"{name}.json.gz"
    with open(path, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=0) as zipped:
        zipped.write(text)
    print(f"{path.name}: {len(content)} entries, {len(text)} bytes, {path.stat().st_size} compressed")


def main():
    wheel, sources, tag = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
    with zipfile.ZipFile(wheel) as archive:
        published = json.loads(archive.read(DEFINITIONS))["$defs"]
    served = tuple(prefix + "." for _, _, prefix, _ in PACKAGES) + ("io.k8s.apimachinery.pkg.version.",)
    published = {name: one for name, one in published.items() if name.startswith(served)}
    schemas = {name: simplify(one) for name, one in published.items()} | metrics_schemas()
    for name in ("DeleteOptions", "WatchEvent"):  # the groups of each document are put in when it is made
        schemas[META + name].pop("x-kubernetes-group-version-kind")
    go = Go(sources, tag)
    put_defaults(go, schemas)
    schemas = {name: schemas[name] for name in reached(schemas, schemas)}
    descriptions = {
        name: [one.get("description", ""),
               {field: inner["description"] for field, inner in one.get("properties", {}).items() if inner.get("description")}]
        for name, one in published.items()
    }
    found = messages(go)
    write("schemas", schemas)
    write("descriptions", descriptions)
    write("messages", found)


if __name__ == "__main__":
    main()
