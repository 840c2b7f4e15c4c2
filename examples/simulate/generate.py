#!/usr/bin/env python3
"""A snapshot of a cluster of many nodes, for `seaworthy simulate --snapshot`: the same numbers and seed give the same file.

    python3 generate.py --nodes 300 --seed 1 > large.yaml

Two pools (spot and on-demand), services of different sizes with replicas that are spread over zones, some with budgets, a
few pods without a place, some nodes nearly empty. JSON in YAML's clothes: each object is a line, as `kubectl get -o json` would
have it in its list.
"""

import argparse
import json
import random

ZONES = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
# name, vCPU, memory Gi, allocatable CPU in m, allocatable memory in Mi, pods
TYPES = [
    ("m5.large", 2, 8, 1930, 7100, 29),
    ("m5.xlarge", 4, 16, 3920, 14700, 58),
    ("m5.2xlarge", 8, 32, 7910, 30300, 58),
    ("m5.4xlarge", 16, 64, 15890, 60700, 234),
]
CREATED, STARTED, NOW = "2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z", "2026-03-02T10:00:00Z"


def write(thing):
    print("---")
    print(json.dumps(thing))


def pool(name, capacity, weight):
    requirements = [
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [capacity]},
        {"key": "karpenter.k8s.aws/instance-category", "operator": "In", "values": ["c", "m", "r"]},
        {"key": "karpenter.k8s.aws/instance-generation", "operator": "Gt", "values": ["4"]},
    ]
    write({
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": name},
        "spec": {
            "weight": weight,
            "disruption": {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "1m", "budgets": [{"nodes": "10%"}]},
            "template": {"spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
                "expireAfter": "720h", "requirements": requirements,
            }},
        },
    })


def node(number, kind, zone, capacity, pool_name):
    name, cpu, memory, free_cpu, free_memory, pods = kind
    host = f"ip-10-{number // 250}-{number % 250}-7.eu-west-1.compute.internal"
    labels = {
        "kubernetes.io/hostname": host, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "eu-west-1",
        "node.kubernetes.io/instance-type": name, "karpenter.sh/capacity-type": capacity,
        "karpenter.sh/nodepool": pool_name, "karpenter.sh/registered": "true", "karpenter.sh/initialized": "true",
        "karpenter.k8s.aws/instance-category": "m", "karpenter.k8s.aws/instance-generation": "5",
        "karpenter.k8s.aws/instance-family": "m5",
    }
    provider = f"aws:///{zone}/i-{number:017x}"
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    write({
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {"name": f"{pool_name}-{number:05d}", "creationTimestamp": CREATED, "labels": labels},
        "spec": {"nodeClassRef": reference, "expireAfter": "720h", "requirements": []},
        "status": {
            "nodeName": host, "providerID": provider, "lastPodEventTime": STARTED,
            "conditions": [
                {"type": kind, "status": "True", "reason": kind, "lastTransitionTime": STARTED}
                for kind in ("Initialized", "Consolidatable")
            ],
        },
    })
    write({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": host, "creationTimestamp": CREATED, "labels": labels},
        "spec": {"providerID": provider},
        "status": {
            "capacity": {"cpu": str(cpu), "memory": f"{memory}Gi", "pods": str(pods)},
            "allocatable": {"cpu": f"{free_cpu}m", "memory": f"{free_memory}Mi", "pods": str(pods)},
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": NOW, "lastTransitionTime": STARTED}],
        },
    })
    return {"name": host, "zone": zone, "cpu": free_cpu - 150, "memory": free_memory - 200, "pods": pods - 2}


def pod(service, number, host):
    spec = {"containers": [{"name": "main", "image": service["name"], "resources": {
        "requests": {"cpu": f"{service['cpu']}m", "memory": f"{service['memory']}Mi"}}}]}
    if service["spread"]:
        spec["topologySpreadConstraints"] = [{
            "maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app": service["name"]}},
        }]
    status = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}
    if host:
        spec["nodeName"] = host
        status = {"phase": "Running", "startTime": STARTED, "conditions": [{"type": "Ready", "status": "True"}]}
    write({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": f"{service['set']}-{number:05d}", "namespace": "apps", "creationTimestamp": STARTED,
            "labels": {"app": service["name"]},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": service["set"], "controller": True, "uid": service["set"]}],
        },
        "spec": spec, "status": status,
    })


def main():
    parser = argparse.ArgumentParser(description="Writes a snapshot of a cluster of many nodes.")
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    write({
        "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default"},
        "spec": {"amiSelectorTerms": [{"alias": "al2023@latest"}], "role": "nodes"},
        "status": {"subnets": [{"id": f"subnet-{index}", "zone": zone} for index, zone in enumerate(ZONES)]},
    })
    pool("spot", "spot", 10)
    pool("on-demand", "on-demand", 0)
    nodes = []
    for number in range(arguments.nodes):
        capacity = "spot" if chance.random() < 0.6 else "on-demand"
        nodes.append(node(number, chance.choice(TYPES), chance.choice(ZONES), capacity, capacity))
    services = []
    for number in range(max(4, arguments.nodes // 2)):
        cpu = chance.choice([100, 250, 500, 1000])
        service = {
            "name": f"service-{number:03d}", "set": f"service-{number:03d}-6c9f7b5d8",
            "cpu": cpu, "memory": chance.choice([128, 256, 512, 1024]) * max(1, cpu // 250),
            "spread": chance.random() < 0.3, "replicas": chance.randint(2, 40),
        }
        services.append(service)
        if chance.random() < 0.2:
            write({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": {"name": service["name"], "namespace": "apps"},
                "spec": {"maxUnavailable": chance.choice([0, 1, "25%"]), "selector": {"matchLabels": {"app": service["name"]}}},
            })
    for service in services:
        for number in range(service["replicas"]):
            fits = [
                one for one in chance.sample(nodes, min(12, len(nodes)))
                if one["cpu"] >= service["cpu"] and one["memory"] >= service["memory"] and one["pods"] > 0
            ]
            if not fits:
                pod(service, number, None)
                continue
            one = fits[0]
            one["cpu"] -= service["cpu"]
            one["memory"] -= service["memory"]
            one["pods"] -= 1
            pod(service, number, one["name"])
    for number in range(3):
        pod({"name": "waiting", "set": "waiting-6c9f7b5d8", "cpu": 3000, "memory": 4096, "spread": False}, number, None)


if __name__ == "__main__":
    main()
