"""What parliament finds in the IAM policies of exported trees.

Usage: policies.py ROOT, a folder with a tree a case and its evaluated resources in `evaluated.json`

Prints the findings that are not of low severity, by rule and subject with an example, and how many policies there were.
"""

import json
import re
import sys
from pathlib import Path

import parliament

# What AWS might answer, by the end of the address.
ARNS = {
    "role": "arn:aws:iam::111122223333:role/its-name",
    "queue": "arn:aws:sqs:eu-central-1:111122223333:its-name",
    "bucket": "arn:aws:s3:::its-name",
    "log-group": "arn:aws:logs:eu-central-1:111122223333:log-group:its-name",
    "oidc-provider": "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/0123456789",
}
VALUES = {"VpcId": "vpc-0123456789abcdef0",
          "OpenIdConnectIssuerUrl": "oidc.eks.eu-central-1.amazonaws.com/id/0123456789"}


def answer(match):
    address, attribute = match[1], match[2]
    if attribute == "Arn":
        return next(arn for end, arn in ARNS.items() if address.endswith(end))
    return VALUES[attribute]


def subject(finding):
    """What a finding is about, from the words that parliament has for it."""
    if isinstance(finding.detail, list):
        return " ".join(sorted({it["action"] if isinstance(it, dict) else it for it in finding.detail}))
    text = str(finding.detail)
    if " for action " in text:
        condition = re.sub(r"^oidc\.eks\..*:", "oidc:", text.split(" ")[2])
        return text.split(" for action ")[1] + " " + condition
    return "oidc-provider" if ":oidc-provider/" in text else text.split(" ")[-1]


found, texts, policies = {}, set(), 0


def judge(place, document, is_trust):
    global policies
    policies += 1
    text = document if isinstance(document, str) else json.dumps(document)
    document = json.loads(re.sub(r"<([^<>]*)\.(\w+)>", answer, text))
    if is_trust:
        for statement in document["Statement"]:
            # A trust is about the role that it is of.
            statement["Resource"] = "arn:aws:iam::111122223333:role/its-own"
    text = json.dumps(document, sort_keys=True)
    if text in texts:
        return
    texts.add(text)
    for finding in parliament.analyze_policy_string(text, place).findings:
        finding = parliament.enhance_finding(finding)
        if finding.severity.lower() != "low":
            found.setdefault(f"{finding.issue} {subject(finding)}", f"{place}: {finding.detail} {finding.location}")


def documents(place, value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("policy_document", "assume_role_policy_document"):
                judge(f"{place}.{key}", inner, key.startswith("assume"))
            else:
                documents(place, inner)
    elif isinstance(value, list):
        for inner in value:
            documents(place, inner)


for case in sorted(Path(sys.argv[1]).iterdir()):
    for each in json.loads((case / "evaluated.json").read_text()):
        documents(f"{case.name}/{each['environment']}: {each['label']}", each["body"])
print(json.dumps({"policies": policies, "different": len(texts), "found": found}))
