"""What cfn-lint or cloudformation-validate find in folders of templates.

Usage: templates.py cfn-lint|cloudformation-validate FOLDER
FOLDER/regions.json maps each folder in it to its region. Prints a list of {rule, level, where, message}, and how many
templates there were.
"""

import glob
import json
import os
import sys


def folders(root):
    with open(os.path.join(root, "regions.json")) as file:
        regions = json.load(file)
    for folder, region in sorted(regions.items()):
        yield region, sorted(glob.glob(os.path.join(root, folder, "*.yaml")))


def cfn_lint(root):
    from cfnlint.api import lint_by_config
    from cfnlint.config import ManualArgs

    by_region = {}
    seen = set()
    count = 0
    for region, files in folders(root):
        for path in files:
            with open(path) as file:
                text = file.read()
            count += 1
            # A nested template that another platform has, too, is judged once. A root is judged with its nested ones.
            if path.endswith("/stack.yaml") or (region, text) not in seen:
                seen.add((region, text))
                by_region.setdefault(region, []).append(path)
    found = []
    for region, files in by_region.items():
        arguments = ManualArgs(
            templates=files,
            regions=[region],
            configure_rules={"E3012": {"strict": True}},
            include_checks=["I"],
        )
        for match in lint_by_config(arguments):
            found.append(
                {
                    "rule": match.rule.id,
                    "level": match.rule.severity,
                    "where": f"{os.path.relpath(match.filename, root)}:{match.linenumber}",
                    "message": match.message,
                }
            )
    return found, count


def cloudformation_validate(root):
    from cloudformation_validate import PseudoParameterOverrides, RegoEngine, ValidateConfig

    engine = RegoEngine()
    found = []
    count = 0
    for region, files in folders(root):
        config = ValidateConfig(strict=True, pseudo_parameter_overrides=PseudoParameterOverrides(region=region))
        for path in files:
            count += 1
            for it in engine.validate_template(path, config).diagnostics:
                found.append(
                    {
                        "rule": it.rule_id,
                        "level": it.severity.name.lower(),
                        "where": os.path.relpath(path, root),
                        "message": it.message,
                    }
                )
    return found, count


if __name__ == "__main__":
    tool, root = sys.argv[1:]
    found, count = {"cfn-lint": cfn_lint, "cloudformation-validate": cloudformation_validate}[tool](root)
    json.dump({"found": found, "count": count}, sys.stdout)
