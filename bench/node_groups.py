"""Gives a cluster of the sandbox more nodes: node groups like the one that it has. Usage: node_groups.py CLUSTER NODES LARGEST

As many groups are made as it takes for the cluster to have NODES nodes, none with more than LARGEST.
"""
import json
import sys
import time

import boto3

cluster, nodes, largest = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
control = boto3.client("cloudcontrol")
TYPE = "AWS::EKS::Nodegroup"


def models():
    pages = control.get_paginator("list_resources").paginate(TypeName=TYPE, ResourceModel=json.dumps({"ClusterName": cluster}))
    for page in pages:
        for found in page["ResourceDescriptions"]:
            resource = control.get_resource(TypeName=TYPE, Identifier=found["Identifier"])
            yield json.loads(resource["ResourceDescription"]["Properties"])


groups = list(models())
like = groups[0]
missing = nodes - sum(group["ScalingConfig"]["DesiredSize"] for group in groups)
kept = ("ClusterName", "NodeRole", "Subnets", "InstanceTypes", "LaunchTemplate", "AmiType", "CapacityType", "DiskSize", "Version")
number = 0
while missing > 0:
    size = min(missing, largest)
    missing -= size
    number += 1
    desired = {name: like[name] for name in kept if name in like}
    desired |= {"NodegroupName": f"more-{number}", "ScalingConfig": {"MinSize": size, "DesiredSize": size, "MaxSize": size}}
    event = control.create_resource(TypeName=TYPE, DesiredState=json.dumps(desired))["ProgressEvent"]
    while event["OperationStatus"] in ("PENDING", "IN_PROGRESS"):
        time.sleep(0.05)
        event = control.get_resource_request_status(RequestToken=event["RequestToken"])["ProgressEvent"]
    if event["OperationStatus"] != "SUCCESS":
        sys.exit(f"error: {event}")
