"""Creates stacks at a moto server and says what is there then.

Reads from standard input {endpoint, region, stacks}; a stack is {name, body, parameters}, a parameter a text or
{stack, output}. Prints the stacks' resources by logical id, and what EC2, IAM, SQS and CloudWatch Logs describe.
"""

import ast
import json
import sys
from urllib.parse import unquote

import boto3

asked = json.load(sys.stdin)


def client(service):
    return boto3.client(
        service,
        endpoint_url=asked["endpoint"],
        region_name=asked["region"],
        aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    )


cloudformation, ec2, iam = client("cloudformation"), client("ec2"), client("iam")
outputs = {}
resources = {}
for stack in asked["stacks"]:
    name = stack["name"]
    parameters = []
    for key, value in stack["parameters"].items():
        if isinstance(value, dict):
            value = outputs[value["stack"]].get(value["output"], "not-made-by-moto")
        parameters.append({"ParameterKey": key, "ParameterValue": value})
    cloudformation.create_stack(StackName=name, TemplateBody=stack["body"], Parameters=parameters)
    described = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    outputs[name] = {it["OutputKey"]: it["OutputValue"] for it in described.get("Outputs", [])}
    for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=name):
        for it in page["StackResourceSummaries"]:
            resources[it["LogicalResourceId"]] = it["PhysicalResourceId"]


def document(value):
    """A policy; moto keeps what came by CloudFormation as Python writes it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(unquote(value))
    except json.JSONDecodeError:
        return ast.literal_eval(unquote(value))


def role(name):
    described = iam.get_role(RoleName=name)["Role"]
    inline = {
        policy: document(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"])
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    return {
        "description": described.get("Description"),
        "trust": document(described["AssumeRolePolicyDocument"]),
        "inline": inline,
        "attached": sorted(it["PolicyArn"] for it in attached),
    }


sqs = client("sqs")
# By name: moto knows a queue by several hosts.
queues = {
    url.split("/")[-1]: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    for url in sqs.list_queues().get("QueueUrls", [])
}
answer = {
    "resources": resources,
    "vpcs": ec2.describe_vpcs()["Vpcs"],
    "subnets": ec2.describe_subnets()["Subnets"],
    "routeTables": ec2.describe_route_tables()["RouteTables"],
    "internetGateways": ec2.describe_internet_gateways()["InternetGateways"],
    "addresses": ec2.describe_addresses()["Addresses"],
    "natGateways": ec2.describe_nat_gateways()["NatGateways"],
    "endpoints": ec2.describe_vpc_endpoints()["VpcEndpoints"],
    "securityGroups": ec2.describe_security_groups()["SecurityGroups"],
    "roles": {it["RoleName"]: role(it["RoleName"]) for it in iam.list_roles()["Roles"]},
    "instanceProfiles": iam.list_instance_profiles()["InstanceProfiles"],
    "logGroups": client("logs").describe_log_groups()["logGroups"],
    "queues": queues,
}
json.dump(answer, sys.stdout, default=str)
