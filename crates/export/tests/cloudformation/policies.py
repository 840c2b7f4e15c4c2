"""What parliament finds in IAM policies.

Reads from standard input a list of {name, document}; prints a list of {rule, level, where, subject, message}, and how many
there were. The subject is the action, or the kind of identity provider.
"""

import json
import sys

import parliament

def subject(finding):
    """What a finding is about, from the words that parliament has for it."""
    detail = finding.detail
    if isinstance(detail, list):
        return " ".join(sorted({it["action"] for it in detail}))
    text = str(detail)
    if " for action " in text:
        condition = text.split(" ")[2]
        if condition.startswith("oidc.eks."):
            condition = "oidc:" + condition.split(":")[-1]
        return text.split(" for action ")[1] + " " + condition
    if ":oidc-provider/" in text:
        return "oidc-provider"
    return text.split(" ")[-1]


found = []
documents = json.load(sys.stdin)
for it in documents:
    policy = parliament.analyze_policy_string(json.dumps(it["document"]), it["name"])
    for finding in policy.findings:
        finding = parliament.enhance_finding(finding)
        found.append(
            {
                "rule": finding.issue,
                "level": finding.severity.lower(),
                "where": it["name"],
                "subject": subject(finding),
                "message": f"{finding.title}: {finding.detail} {finding.location}",
            }
        )
json.dump({"found": found, "count": len(documents)}, sys.stdout)
