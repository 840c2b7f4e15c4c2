#!/usr/bin/env python3
"""Makes instance-types.csv (in the binary) and allocatable.csv (in the tests only).

    python3 crates/catalog/data/refresh-instance-types.py \\
        ec2-instance-types.csv instance-types.md zz_generated.vpclimits.go

    ec2-instance-types.csv      one EC2 instance type a line: capacity, bandwidth, ENIs, prices in us-east-1, and
                                what Karpenter finds allocatable on AL2023
    instance-types.md           website/content/en/docs/reference/ of github.com/aws/karpenter-provider-aws: the same
                                types with all labels and resources
    zz_generated.vpclimits.go   pkg/providers/instancetype/ of the same repository: network cards and branch ENIs

Only facts are taken: names and numbers. The three have to agree where they say the same, so files of
different days that do not fit each other are refused. The dates below are edited by hand.
"""

import csv
import hashlib
import pathlib
import re
import sys

SOURCE = "EC2 facts as tabulated by github.com/aws/karpenter-provider-aws 1d92708 (types 2026-07-11, ENIs 2026-08-06)"
# The day of the prices.
DATE = "2026-07-20"
REGION = "us-east-1"

COLUMNS = (
    "type,arch,cpu,hypervisor,vcpu,memory_mib,clock_mhz,network_mbps,ebs_mbps,local_nvme_gb,"
    "enis,pod_enis,ipv4_per_eni,branch_enis,efas,encryption,gpu,accelerator,usd_per_hour"
)

# Types that the limits file lacks: ENIs of the default network card, IPv4 addresses of each. Reckoned back from the
# pods that Karpenter counts from EC2's own answer (98 and 49 addresses besides the interfaces' own): of the numbers of
# addresses that interfaces of types this large have, 50 and 64, only 50 gives whole interfaces.
UNLISTED = {
    "hpc6a.48xlarge": (2, 50),
    "hpc6id.32xlarge": (1, 50),
    "hpc7a.12xlarge": (2, 50),
    "hpc7a.24xlarge": (2, 50),
    "hpc7a.48xlarge": (2, 50),
    "hpc7a.96xlarge": (2, 50),
    "hpc8a.96xlarge": (2, 50),
    "trn2.48xlarge": (2, 50),
}

AWS = "karpenter.k8s.aws/instance-"
SAME = {
    "arch": "kubernetes.io/arch",
    "vcpu": AWS + "cpu",
    "memory_mib": AWS + "memory",
    "category": AWS + "category",
    "family": AWS + "family",
    "generation": AWS + "generation",
    "size": AWS + "size",
    "cpu_manufacturer": AWS + "cpu-manufacturer",
    "gpu_name": AWS + "gpu-name",
    "gpu_count": AWS + "gpu-count",
    "local_nvme_gb": AWS + "local-nvme",
    "hypervisor": AWS + "hypervisor",
    "network_mbps": AWS + "network-bandwidth",
    "ebs_mbps": AWS + "ebs-bandwidth",
    "allocatable_cpu": "cpu",
    "allocatable_memory": "memory",
    "allocatable_pods": "pods",
}


def labels_and_resources(path):
    types, current = {}, None
    for line in path.read_text().splitlines():
        if line.startswith("### `"):
            current = types.setdefault(line.split("`")[1], {})
        elif (cell := re.fullmatch(r" \|([^|]+)\|([^|]*)\|", line)) and current is not None:
            current[cell[1]] = cell[2]
    return types


def limits(path):
    types, current = {}, None
    for line in path.read_text().splitlines():
        if name := re.fullmatch(r'\t"([^"]+)": \{', line):
            current = types.setdefault(name[1], {"cards": []})
        elif (field := re.fullmatch(r"\s+(\w+):\s+([^\s{]+),", line)) and current is not None:
            if field[1] == "MaximumNetworkInterfaces":
                current["cards"].append(int(field[2]))
            else:
                current[field[1]] = field[2].strip('"')
    return types


def row(entry, page, limit):
    name = entry["instance_type"]
    for column, key in SAME.items():
        if entry[column] != page.get(key, ""):
            sys.exit(f"{name}: {column} is {entry[column]!r}, but {key} is {page.get(key)!r}")
    if limit:
        enis, addresses = int(limit["Interface"]), int(limit["IPv4PerInterface"])
        pod_enis = limit["cards"][int(limit["DefaultNetworkCardIndex"])]
        if (str(enis), str(addresses)) != (entry["max_enis"], entry["ipv4_per_eni"]):
            sys.exit(f"{name}: the limits file has other ENIs than the table")
        branch = limit["BranchInterface"] if limit["IsTrunkingCompatible"] == "true" else "0"
    else:
        enis, branch = "", "0"
        pod_enis, addresses = UNLISTED[name]
    gpu = accelerator = ""
    if AWS + "gpu-name" in page:
        gpu = "/".join(page[AWS + "gpu-" + part] for part in ("manufacturer", "name", "count", "memory"))
    if AWS + "accelerator-name" in page:
        accelerator = "/".join(page[AWS + "accelerator-" + part] for part in ("manufacturer", "name", "count"))
        accelerator += "/" + page.get("aws.amazon.com/neuroncore", "0")
    encryption = {"true": "yes", "false": "no"}[page[AWS + "encryption-in-transit-supported"]]
    return [
        name,
        entry["arch"],
        entry["cpu_manufacturer"],
        entry["hypervisor"] or "none",
        entry["vcpu"],
        entry["memory_mib"],
        page[AWS + "cpu-sustained-clock-speed-mhz"],
        entry["network_mbps"],
        entry["ebs_mbps"],
        entry["local_nvme_gb"],
        enis,
        pod_enis,
        addresses,
        branch,
        page.get("vpc.amazonaws.com/efa", "0"),
        encryption,
        gpu,
        accelerator,
        entry["on_demand_usd_per_hour_us_east_1"],
    ]


def amount(text, unit):
    if not text.endswith(unit):
        sys.exit(f"{text!r} is not in {unit}")
    return text.removesuffix(unit)


def write(path, lines):
    text = "\n".join(lines) + "\n"
    path.write_text(text)
    print(f"{path.name}: {len(lines)} lines, {len(text)} bytes, sha256 {hashlib.sha256(text.encode()).hexdigest()}")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    table, page, limit = (pathlib.Path(path) for path in sys.argv[1:])
    with table.open(newline="") as file:
        entries = sorted(csv.DictReader(file), key=lambda entry: entry["instance_type"])
    page, limit = labels_and_resources(page), limits(limit)
    if missing := {entry["instance_type"] for entry in entries} ^ set(page):
        sys.exit(f"only in one of the table and the page: {', '.join(sorted(missing))}")

    here = pathlib.Path(__file__).resolve().parent
    head = [f"# source: {SOURCE}", f"# date: {DATE}", f"# region: {REGION}"]
    rows = [row(entry, page[entry["instance_type"]], limit.get(entry["instance_type"])) for entry in entries]
    write(here / "instance-types.csv", [*head, COLUMNS, *(",".join(map(str, cells)) for cells in rows)])
    allocatable = [
        f"{e['instance_type']},{amount(e['allocatable_cpu'], 'm')},{amount(e['allocatable_memory'], 'Mi')},"
        f"{e['allocatable_pods']}"
        for e in entries
    ]
    write(here / "allocatable.csv", [*head, "type,cpu_milli,memory_mib,pods", *allocatable])


if __name__ == "__main__":
    main()
