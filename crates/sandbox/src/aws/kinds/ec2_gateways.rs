//! `AWS::EC2::InternetGateway`, `AWS::EC2::VPCGatewayAttachment`, `AWS::EC2::EIP`, `AWS::EC2::NatGateway`.

use catalog::TypeName;
use serde_json::{Value, json};

use super::document::{put, put_default, text, text_or};
use super::ec2_network::SUBNET;
use super::reference::{created, deleted, updated};
use super::usage::{dependency_violation, subnet, user_of, vpc};
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const INTERNET_GATEWAY: TypeName = TypeName::new("AWS::EC2::InternetGateway");
const ATTACHMENT: TypeName = TypeName::new("AWS::EC2::VPCGatewayAttachment");
const EIP: TypeName = TypeName::new("AWS::EC2::EIP");
const NAT_GATEWAY: TypeName = TypeName::new("AWS::EC2::NatGateway");

pub(super) fn create_internet_gateway(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    if cx.is_full("L-A4707A72", cx.world.of_type(&INTERNET_GATEWAY).count()) {
        return Err(failure::limit(
            "Ec2",
            "The maximum number of internet gateways has been reached.",
        ));
    }
    let mut model = desired.clone();
    put(&mut model, "InternetGatewayId", ids.hex17("igw"));
    put_default(&mut model, "Tags", json!([]));
    created(cx, &INTERNET_GATEWAY, model)
}

pub(super) fn delete_internet_gateway(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match user_of(cx, entry, &entry.identifier) {
        Some(user) => Err(dependency_violation(
            "internetGateway",
            &entry.identifier,
            user,
        )),
        None => Ok(deleted(cx, entry)),
    }
}

/// The gateway of a VPC's attachment, if there is one and it is done.
pub(super) fn attached_gateway<'a>(cx: &Context<'a>, vpc: &str) -> Option<&'a str> {
    text(
        &cx.live_with(ATTACHMENT.as_str(), "VpcId", vpc)?.model,
        "InternetGatewayId",
    )
}

pub(super) fn create_attachment(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let vpc_id = text_or(desired, "VpcId", "");
    vpc(cx, "Ec2", vpc_id)?;
    let Some(gateway) = text(desired, "InternetGatewayId") else {
        return Err(failure::invalid(
            "Ec2",
            "Either 'InternetGatewayId' or 'VpnGatewayId' must be provided; there is no VPN gateway in this account",
        ));
    };
    if cx.live(INTERNET_GATEWAY.as_str(), gateway).is_none() {
        return Err(failure::invalid(
            "Ec2",
            format!("The internetGateway ID '{gateway}' does not exist"),
        ));
    }
    if let Some(other) = cx
        .any_with(ATTACHMENT.as_str(), "InternetGatewayId", gateway)
        .next()
    {
        let network = text_or(&other.model, "VpcId", "");
        return Err(failure::invalid(
            "Ec2",
            format!("resource {gateway} is already attached to network {network}"),
        ));
    }
    if cx.is_taken(ATTACHMENT.as_str(), "VpcId", vpc_id) {
        return Err(failure::invalid(
            "Ec2",
            format!("Network {vpc_id} already has an internet gateway attached"),
        ));
    }
    let mut model = desired.clone();
    put(&mut model, "AttachmentType", "IGW");
    created(cx, &ATTACHMENT, model)
}

pub(super) fn update_attachment(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let gateway = text_or(proposed, "InternetGatewayId", "");
    if text(&entry.model, "InternetGatewayId") == Some(gateway) {
        return Ok(updated(cx, entry, proposed.clone()));
    }
    // Another gateway means to detach the one that is there: as if it were deleted first.
    delete_attachment(cx, entry)?;
    if cx.live(INTERNET_GATEWAY.as_str(), gateway).is_none()
        || cx.is_taken(ATTACHMENT.as_str(), "InternetGatewayId", gateway)
    {
        return create_attachment(cx, proposed, ids);
    }
    Ok(updated(cx, entry, proposed.clone()))
}

pub(super) fn delete_attachment(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let vpc = text_or(&entry.model, "VpcId", "");
    let gateway = text_or(&entry.model, "InternetGatewayId", "");
    let in_vpc = |id: &str| {
        cx.world
            .get(SUBNET.as_str(), id)
            .is_some_and(|subnet| text(&subnet.model, "VpcId") == Some(vpc))
    };
    let mapped = cx.world.of_type(&NAT_GATEWAY).any(|nat| {
        text(&nat.model, "AllocationId").is_some()
            && text(&nat.model, "SubnetId").is_some_and(in_vpc)
    }) || cx
        .world
        .of_type("AWS::ElasticLoadBalancingV2::LoadBalancer")
        .any(|balancer| {
            text(&balancer.model, "Scheme") == Some("internet-facing")
                && super::document::texts(&balancer.model, "Subnets")
                    .into_iter()
                    .any(in_vpc)
        });
    if mapped {
        return Err(failure::invalid(
            "Ec2",
            format!(
                "Network {vpc} has some mapped public address(es). Please unmap those public address(es) before detaching the \
                 gateway."
            ),
        ));
    }
    // AWS would leave the route as a black hole.
    if let Some(route) = cx.any_with("AWS::EC2::Route", "GatewayId", gateway).next() {
        return Err(dependency_violation("internetGateway", gateway, route));
    }
    Ok(deleted(cx, entry))
}

pub(super) fn create_eip(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    if cx.is_full("L-0263D0A3", cx.world.of_type(&EIP).count()) {
        return Err(failure::limit(
            "Ec2",
            "The maximum number of addresses has been reached.",
        ));
    }
    if text_or(desired, "Domain", "vpc") != "vpc" {
        return Err(failure::invalid(
            "Ec2",
            format!(
                "Invalid value '{}' for domain.",
                text_or(desired, "Domain", "")
            ),
        ));
    }
    let mut model = desired.clone();
    // Of the documentation's blocks (RFC 5737) there are too few: 18.128.0.0/9 is Amazon's and needs no truth here.
    let address = format!(
        "18.{}.{}.{}",
        128 + ids.below(128),
        ids.below(256),
        1 + ids.below(254)
    );
    put(&mut model, "PublicIp", address);
    put(&mut model, "AllocationId", ids.hex17("eipalloc"));
    put(&mut model, "Domain", "vpc");
    put_default(&mut model, "NetworkBorderGroup", cx.world.region());
    put_default(&mut model, "PublicIpv4Pool", "amazon");
    put_default(&mut model, "Tags", json!([]));
    created(cx, &EIP, model)
}

pub(super) fn delete_eip(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let allocation = text_or(&entry.model, "AllocationId", "");
    match user_of(cx, entry, allocation) {
        // `ReleaseAddress` of an address that a NAT gateway holds: InvalidIPAddress.InUse.
        Some(user) => Err(failure::invalid(
            "Ec2",
            format!(
                "Address {} is in use. [{}]",
                text_or(&entry.model, "PublicIp", ""),
                user.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}

pub(super) fn create_nat_gateway(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let Some(subnet_id) = text(desired, "SubnetId") else {
        return Err(failure::invalid(
            "Ec2",
            "SubnetId is required for a zonal NAT gateway",
        ));
    };
    let subnet = subnet(cx, "Ec2", subnet_id)?;
    let zone = text_or(&subnet.model, "AvailabilityZone", "");
    let in_zone = cx
        .world
        .of_type(&NAT_GATEWAY)
        .filter(|nat| {
            text(&nat.model, "SubnetId")
                .and_then(|id| cx.world.get(SUBNET.as_str(), id))
                .is_some_and(|other| text(&other.model, "AvailabilityZone") == Some(zone))
        })
        .count();
    if cx.is_full("L-FE5A380F", in_zone) {
        return Err(failure::limit(
            "Ec2",
            format!(
                "Performing this operation would exceed the limit of {} NAT gateways",
                cx.quota("L-FE5A380F")
            ),
        ));
    }
    let connectivity = text_or(desired, "ConnectivityType", "public");
    match (connectivity, text(desired, "AllocationId")) {
        ("public", Some(allocation)) => {
            if cx
                .live_with(EIP.as_str(), "AllocationId", allocation)
                .is_none()
            {
                return Err(failure::invalid(
                    "Ec2",
                    format!("The allocation ID '{allocation}' does not exist"),
                ));
            }
            if cx.is_taken(NAT_GATEWAY.as_str(), "AllocationId", allocation) {
                return Err(failure::not_stabilized(
                    format!("Elastic IP address [{allocation}] is already associated"),
                    None,
                ));
            }
            let network = text_or(&subnet.model, "VpcId", "");
            if attached_gateway(cx, network).is_none() {
                return Err(failure::not_stabilized(
                    format!("Network {network} has no Internet gateway attached"),
                    None,
                ));
            }
        }
        ("public", None) => {
            return Err(failure::invalid(
                "Ec2",
                "The request must include the AllocationId parameter. Add the required parameter and retry the request.",
            ));
        }
        (_, Some(_)) => {
            return Err(failure::invalid(
                "Ec2",
                "AllocationId can not be specified for a private NAT gateway.",
            ));
        }
        (_, None) => {}
    }
    put(&mut model, "NatGatewayId", format!("nat-0{}", ids.hex(16)));
    put(&mut model, "EniId", ids.hex17("eni"));
    put_default(&mut model, "ConnectivityType", "public");
    put_default(&mut model, "PrivateIpAddress", private_address(subnet, ids));
    put_default(&mut model, "Tags", json!([]));
    created(cx, &NAT_GATEWAY, model)
}

/// An address of a subnet, after the five that EC2 keeps.
pub(super) fn private_address(subnet: &Entry, ids: &mut Ids) -> String {
    let block: Option<ipnet::Ipv4Net> =
        text(&subnet.model, "CidrBlock").and_then(|text| text.parse().ok());
    block.map_or_else(String::new, |block| {
        let size = 1_u64 << (32 - u32::from(block.prefix_len()));
        let offset = 4 + ids.below(size.saturating_sub(5).max(1));
        let start = u32::from(block.network());
        std::net::Ipv4Addr::from(start + u32::try_from(offset).unwrap_or(4)).to_string()
    })
}

pub(super) fn delete_nat_gateway(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    // AWS deletes it and leaves the route as a black hole.
    match user_of(cx, entry, &entry.identifier) {
        Some(user) => Err(dependency_violation("natGateway", &entry.identifier, user)),
        None => Ok(deleted(cx, entry)),
    }
}
