//! The VPC: its range, its neighbours, its way out, or the one that exists already.

use catalog::regions;
use ipnet::Ipv4Net;

use super::Check;
use super::account::bounds;
use crate::model::NatGateways;
use crate::overlay;

/// Ranges of private addresses: RFC 1918 and RFC 6598.
const PRIVATE: [&str; 4] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
];
/// Ranges that a VPC cannot have (VPC user guide, "VPC CIDR blocks").
const REFUSED: [&str; 5] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// Where EKS takes the addresses of Kubernetes services from (EKS API, `serviceIpv4Cidr`).
const SERVICES: [&str; 2] = ["10.100.0.0/16", "172.20.0.0/16"];
/// Docker's own bridge, which wins on nodes that have it (EKS user guide, "VPC and subnet requirements").
const DOCKER: &str = "172.17.0.0/16";

/// The largest and smallest VPC that three public and three private subnets are cut from.
const PREFIXES: std::ops::RangeInclusive<u8> = 16..=21;

fn overlaps(a: Ipv4Net, b: Ipv4Net) -> bool {
    let ((a_first, a_last), (b_first, b_last)) = (bounds(a), bounds(b));
    a_first <= b_last && b_first <= a_last
}

/// The one of `ranges` that overlaps with a range.
fn one_of<'a>(net: Ipv4Net, ranges: &[&'a str]) -> Option<&'a str> {
    ranges
        .iter()
        .copied()
        .find(|range| range.parse().is_ok_and(|range| overlaps(net, range)))
}

pub(super) fn check(check: &mut Check<'_>) {
    if check.knows(&["network", "cidr"]) {
        range(check);
        neighbours(check);
    }
    if check.spec.network.existing.is_some() {
        existing(check);
    } else if check.production && check.spec.network.nat_gateways == NatGateways::Single {
        check.warn(
            &["network", "natGateways"],
            "single-nat-gateway",
            "one NAT gateway serves all availability zones: when its zone fails, no private subnet reaches the Internet, and pods that pull images or call out fail everywhere",
            "write `natGateways: one-per-az`, about $32 a month for each more",
        );
    }
}

fn range(check: &mut Check<'_>) {
    let path = ["network", "cidr"];
    let cidr = check.spec.network.cidr;
    let existing = check.spec.network.existing.is_some();
    if cidr.trunc() != cidr {
        check.error(
            &path,
            "cidr-host-bits",
            format!("{cidr} is an address in a range, not a range"),
            format!("did you mean {}?", cidr.trunc()),
        );
        return;
    }
    let prefix = cidr.prefix_len();
    if existing && !(16..=28).contains(&prefix) {
        check.error(
            &path,
            "cidr-size",
            format!("no VPC is a /{prefix}: they are /16 to /28"),
            "write the range of the VPC that exists",
        );
    } else if !existing && !PREFIXES.contains(&prefix) {
        let why = if prefix < *PREFIXES.start() {
            "a VPC is a /16 at most"
        } else {
            "three public and three private subnets with room for pods need a /21 or larger"
        };
        check.error(
            &path,
            "cidr-size",
            format!("{cidr} is a /{prefix}: {why}"),
            "take a /16, when nothing speaks against it",
        );
    }
    if let Some(range) = one_of(cidr, &REFUSED) {
        check.error(
            &path,
            "cidr-reserved",
            format!("{cidr} lies in {range}, which no VPC can have"),
            "take a range of 10.0.0.0/8",
        );
        return;
    }
    if !PRIVATE.iter().any(|range| {
        range
            .parse::<Ipv4Net>()
            .is_ok_and(|range| range.contains(&cidr))
    }) {
        check.warn(
            &path,
            "cidr-public",
            format!("{cidr} are public addresses: what really has them on the Internet cannot be reached from the VPC"),
            "take a range of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16",
        );
    }
    if overlaps(cidr, DOCKER.parse().unwrap_or(cidr)) {
        check.warn(
            &path,
            "cidr-docker",
            format!("{cidr} overlaps with {DOCKER}, Docker's bridge: machines with Docker cannot reach these addresses"),
            "take another range",
        );
    }
    if let Some(range) = one_of(cidr, &SERVICES) {
        check.warn(
            &path,
            "cidr-services",
            format!("{cidr} overlaps with {range}, one of the two ranges that EKS gives Kubernetes services addresses from"),
            "take another range: pods cannot reach what a service's address hides",
        );
    }
}

/// The same platform's other environments: ranges that overlap can never be connected.
fn neighbours(check: &mut Check<'_>) {
    let path = ["network", "cidr"];
    let cidr = check.spec.network.cidr;
    let mut overlapping = Vec::new();
    for other in check.others {
        let root = overlay::without_nulls(other.root.clone());
        let text = |path: &[&str]| {
            root.get(path)
                .and_then(|node| node.to_json().as_str().map(ToOwned::to_owned))
        };
        let Some(theirs) = text(&path).and_then(|text| text.parse::<Ipv4Net>().ok()) else {
            continue;
        };
        let shared = check
            .spec
            .network
            .existing
            .as_ref()
            .is_some_and(|existing| {
                text(&["network", "existing", "vpcId"])
                    .is_some_and(|vpc_id| vpc_id == existing.vpc_id)
            });
        if !shared && overlaps(cidr, theirs) {
            overlapping.push((other.environment.clone(), theirs));
        }
    }
    for (environment, theirs) in overlapping {
        check.warn(
            &path,
            "cidr-overlap",
            format!("{cidr} overlaps with {theirs} of the environment `{environment}`: their VPCs can never be peered or share a transit gateway"),
            "give each environment a range of its own",
        );
    }
}

fn existing(check: &mut Check<'_>) {
    check.unheeded(
        &[
            &["network", "natGateways"],
            &["network", "gatewayEndpoints"],
            &["network", "flowLogs"],
        ],
        "the VPC is somebody else's (`network.existing`)",
    );
    let Some(existing) = &check.spec.network.existing else {
        return;
    };
    let aws = &check.spec.aws;
    let zones = aws
        .availability_zones
        .as_ref()
        .map_or_else(|| regions::default_zones(&aws.region, 3).len(), Vec::len);
    let (private, public) = (&existing.private_subnet_ids, &existing.public_subnet_ids);
    if check.knows(&["aws"]) && private.len() < zones {
        check.error(
            &["network", "existing", "privateSubnetIds"],
            "too-few-subnets",
            format!(
                "there are {} private subnets for {zones} availability zones",
                private.len()
            ),
            "give one or more for each zone, or fewer zones in `aws.availabilityZones`",
        );
    }
    for (index, subnet) in public.iter().enumerate() {
        if private.contains(subnet) {
            check.error(
                &["network", "existing", "publicSubnetIds", &index.to_string()],
                "subnet-twice",
                format!("`{subnet}` is given as private and as public"),
                "a public subnet has a route to an Internet gateway",
            );
        }
    }
    if public.is_empty() {
        check.warn(
            &["network", "existing"],
            "no-public-subnets",
            "there are no public subnets: load balancers for the Internet have nowhere to go",
            "give `publicSubnetIds`, when users come from the Internet",
        );
    }
}
