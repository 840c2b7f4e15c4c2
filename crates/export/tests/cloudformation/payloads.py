"""What cloudformation-validate finds in the desired states that Cloud Control gets.

Reads from standard input a list of {name, type, state}, with `state` as text; prints a list of {rule, level, where,
message}, and how many were validated.
"""

import json
import sys

from cloudformation_validate import AwsCliCommand, AwsCliCommandValidationStatus, RegoEngine

engine = RegoEngine()
found = []
validated = 0
for it in json.load(sys.stdin):
    command = AwsCliCommand("cloudcontrol", "CreateResource", {"TypeName": it["type"], "DesiredState": it["state"]})
    answer = engine.validate_aws_cli_command(command)
    if answer.status != AwsCliCommandValidationStatus.VALIDATED:
        found.append({"rule": "skipped", "level": "error", "where": it["name"], "message": answer.reason})
        continue
    validated += 1
    for one in answer.report.diagnostics:
        found.append(
            {"rule": one.rule_id, "level": one.severity.name.lower(), "where": it["name"], "message": one.message}
        )
json.dump({"found": found, "count": validated}, sys.stdout)
