//! `AWS::EC2::VPC`, `AWS::EC2::VPCCidrBlock`, `AWS::EC2::Subnet`.

use catalog::TypeName;
use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::document::{carry, flag, put, put_default, same, text};
use super::reference::{created, deleted, updated, zone_id, zone_of_id};
use super::usage::{dependency_violation, user_apart_from, user_of, vpc};
use super::{Context, Effect, Failure, Outcome, cidr, failure};
use crate::aws::ids::Ids;
use crate::aws::world::{Entry, Phase};

pub(super) const VPC: TypeName = TypeName::new("AWS::EC2::VPC");
pub(super) const VPC_CIDR_BLOCK: TypeName = TypeName::new("AWS::EC2::VPCCidrBlock");
pub(super) const SUBNET: TypeName = TypeName::new("AWS::EC2::Subnet");
const SECURITY_GROUP: TypeName = TypeName::new("AWS::EC2::SecurityGroup");
const ROUTE_TABLE: TypeName = TypeName::new("AWS::EC2::RouteTable");

/// A resource that another one's handler makes and takes away, ready at once.
pub(super) fn side_entry(
    cx: &Context<'_>,
    type_name: TypeName,
    identifier: &str,
    model: Value,
) -> Entry {
    Entry {
        type_name,
        identifier: identifier.to_owned(),
        model,
        created_at: cx.now,
        phase: Phase::Ready,
        ready_at: cx.now,
    }
}

pub(super) fn create_vpc(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let Some(block) = text(desired, "CidrBlock") else {
        return Err(failure::invalid(
            "Ec2",
            "Either 'CidrBlock' or 'Ipv4IpamPoolId' must be provided; there is no IPAM pool in this account",
        ));
    };
    cidr::parse_sized(block)?;
    check_dns(desired)?;
    if cx.is_full("L-F678F1CE", cx.world.of_type(&VPC).count()) {
        return Err(failure::limit(
            "Ec2",
            "The maximum number of VPCs has been reached.",
        ));
    }
    let id = ids.hex17("vpc");
    let default_group = ids.hex17("sg");
    let main_table = ids.hex17("rtb");
    put(&mut model, "VpcId", id.as_str());
    put(
        &mut model,
        "CidrBlockAssociations",
        json!([ids.hex17("vpc-cidr-assoc")]),
    );
    put(&mut model, "DefaultNetworkAcl", ids.hex17("acl"));
    put(&mut model, "DefaultSecurityGroup", default_group.as_str());
    put(&mut model, "Ipv6CidrBlocks", json!([]));
    put_default(&mut model, "EnableDnsSupport", true);
    put_default(&mut model, "EnableDnsHostnames", false);
    put_default(&mut model, "InstanceTenancy", "default");
    put_default(&mut model, "Tags", json!([]));
    let group = json!({
        "Id": default_group, "GroupId": default_group, "GroupName": "default",
        "GroupDescription": "default VPC security group", "VpcId": id, "Tags": [],
        "SecurityGroupIngress": [{"IpProtocol": "-1", "SourceSecurityGroupId": default_group,
            "SourceSecurityGroupOwnerId": cx.world.account()}],
        "SecurityGroupEgress": [{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}],
        "__OwnedBy": id,
    });
    let table = json!({"RouteTableId": main_table, "VpcId": id, "Tags": [], "__OwnedBy": id});
    let mut outcome = created(cx, &VPC, model)?;
    outcome.effects = vec![
        Effect::Put(side_entry(cx, SECURITY_GROUP, &default_group, group)),
        Effect::Put(side_entry(cx, ROUTE_TABLE, &main_table, table)),
    ];
    Ok(outcome)
}

fn check_dns(model: &Value) -> Result<(), Failure> {
    if flag(model, "EnableDnsHostnames") && model["EnableDnsSupport"] == Value::Bool(false) {
        return Err(failure::invalid(
            "Ec2",
            "Invalid parameters: EnableDnsHostnames cannot be true while EnableDnsSupport is false",
        ));
    }
    Ok(())
}

pub(super) fn update_vpc(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    check_dns(proposed)?;
    let mut model = proposed.clone();
    let before = text(&entry.model, "InstanceTenancy");
    let after = text(proposed, "InstanceTenancy");
    // ModifyVpcTenancy: only from dedicated to default.
    if before != after && !(before == Some("dedicated") && after == Some("default")) {
        return Err(failure::not_updatable(VPC.as_str(), "InstanceTenancy"));
    }
    put_default(&mut model, "EnableDnsSupport", true);
    put_default(&mut model, "EnableDnsHostnames", false);
    Ok(updated(cx, entry, model))
}

/// Whether a resource was made by the handler of the one with this id and goes with it.
pub(super) fn is_owned_by(entry: &Entry, owner: &str) -> bool {
    text(&entry.model, "__OwnedBy") == Some(owner)
}

pub(super) fn delete_vpc(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let id = entry.identifier.as_str();
    if let Some(user) = user_apart_from(cx, entry, id, |other| is_owned_by(other, id)) {
        return Err(dependency_violation("vpc", id, user));
    }
    let mut outcome = deleted(cx, entry);
    outcome.effects = cx
        .world
        .entries()
        .filter(|other| is_owned_by(other, id))
        .map(|other| Effect::Remove {
            type_name: other.type_name.clone(),
            identifier: other.identifier.clone(),
        })
        .collect();
    Ok(outcome)
}

/// The blocks of a VPC, the secondary ones included.
fn blocks_of(cx: &Context<'_>, vpc: &Entry) -> Vec<Ipv4Net> {
    let secondary = cx
        .all_live(VPC_CIDR_BLOCK.as_str())
        .filter(|block| text(&block.model, "VpcId") == Some(&vpc.identifier));
    std::iter::once(vpc)
        .chain(secondary)
        .filter_map(|entry| text(&entry.model, "CidrBlock")?.parse().ok())
        .collect()
}

pub(super) fn create_cidr_block(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let vpc = vpc(cx, "Ec2", super::document::text_or(desired, "VpcId", ""))?;
    let mut model = desired.clone();
    put(&mut model, "Id", ids.hex17("vpc-cidr-assoc"));
    if flag(desired, "AmazonProvidedIpv6CidrBlock") {
        return created(cx, &VPC_CIDR_BLOCK, model);
    }
    let Some(wanted) = text(desired, "CidrBlock") else {
        return Err(failure::invalid(
            "Ec2",
            "One of CidrBlock and AmazonProvidedIpv6CidrBlock must be provided",
        ));
    };
    let block = cidr::parse_sized(wanted)?;
    let there = blocks_of(cx, vpc);
    if there.iter().any(|other| cidr::overlap(&block, other)) {
        return Err(failure::invalid(
            "Ec2",
            format!(
                "The CIDR '{wanted}' conflicts with another CIDR of the VPC {}",
                vpc.identifier
            ),
        ));
    }
    // "IPv4 CIDR blocks per VPC" (VPC user guide, "Amazon VPC quotas").
    if there.len() as f64 >= cx.settings.quota_override("L-83CA0A9D").unwrap_or(5.0) {
        return Err(failure::limit(
            "Ec2",
            format!(
                "This network '{}' has met its maximum number of allowed CIDRs: {}",
                vpc.identifier,
                there.len()
            ),
        ));
    }
    created(cx, &VPC_CIDR_BLOCK, model)
}

pub(super) fn delete_cidr_block(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let block: Option<Ipv4Net> =
        text(&entry.model, "CidrBlock").and_then(|block| block.parse().ok());
    let vpc = text(&entry.model, "VpcId").unwrap_or_default();
    let inside = cx.any_with(SUBNET.as_str(), "VpcId", vpc).find(|subnet| {
        let of_subnet: Option<Ipv4Net> =
            text(&subnet.model, "CidrBlock").and_then(|text| text.parse().ok());
        matches!((&block, &of_subnet), (Some(block), Some(of_subnet)) if block.contains(of_subnet))
    });
    if let Some(subnet) = inside {
        return Err(failure::invalid(
            "Ec2",
            format!(
                "The vpc CIDR block with association ID {} may not be disassociated, there are resources using it. [{}]",
                text(&entry.model, "Id").unwrap_or_default(),
                subnet.identifier
            ),
        ));
    }
    Ok(deleted(cx, entry))
}

pub(super) fn create_subnet(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = desired.clone();
    let vpc_id = text(desired, "VpcId").unwrap_or_default();
    let vpc = vpc(cx, "Ec2", vpc_id)?;
    let Some(wanted) = text(desired, "CidrBlock") else {
        return Err(failure::invalid(
            "Ec2",
            "Either 'CidrBlock' or 'Ipv4IpamPoolId' must be provided",
        ));
    };
    let block = cidr::parse_sized(wanted)?;
    if !blocks_of(cx, vpc)
        .iter()
        .any(|outer| outer.contains(&block))
    {
        return Err(failure::invalid(
            "Ec2",
            format!("The CIDR '{wanted}' is invalid."),
        ));
    }
    let siblings: Vec<&Entry> = cx.any_with(SUBNET.as_str(), "VpcId", vpc_id).collect();
    let conflicts = siblings.iter().any(|sibling| {
        text(&sibling.model, "CidrBlock")
            .and_then(|text| text.parse::<Ipv4Net>().ok())
            .is_some_and(|other| cidr::overlap(&block, &other))
    });
    if conflicts {
        return Err(failure::invalid(
            "Ec2",
            format!("The CIDR '{wanted}' conflicts with another subnet"),
        ));
    }
    if cx.is_full("L-407747CB", siblings.len()) {
        return Err(failure::limit(
            "Ec2",
            format!("The maximum number of subnets has been reached for the VPC {vpc_id}."),
        ));
    }
    let region = cx.world.region();
    let zones = catalog::regions::zones(region);
    let zone = match (
        text(desired, "AvailabilityZone"),
        text(desired, "AvailabilityZoneId"),
    ) {
        (Some(zone), None) => zones.iter().find(|known| *known == zone).cloned(),
        (None, Some(id)) => zone_of_id(region, id),
        (None, None) => zones.first().cloned(),
        (Some(_), Some(_)) => {
            return Err(failure::invalid(
                "Ec2",
                "The request can contain either AvailabilityZone or AvailabilityZoneId, but not both.",
            ));
        }
    };
    let Some(zone) = zone else {
        let asked = text(desired, "AvailabilityZone").or(text(desired, "AvailabilityZoneId"));
        return Err(failure::invalid(
            "Ec2",
            format!(
                "Value ({}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following \
                 availability zones: {}.",
                asked.unwrap_or_default(),
                zones.join(", ")
            ),
        ));
    };
    put(
        &mut model,
        "AvailabilityZoneId",
        zone_id(region, &zone).unwrap_or_default(),
    );
    put(&mut model, "AvailabilityZone", zone);
    put(&mut model, "SubnetId", ids.hex17("subnet"));
    put(&mut model, "NetworkAclAssociationId", ids.hex17("aclassoc"));
    put(&mut model, "Ipv6CidrBlocks", json!([]));
    put(
        &mut model,
        "BlockPublicAccessStates",
        json!({"InternetGatewayBlockMode": "off"}),
    );
    subnet_defaults(&mut model);
    created(cx, &SUBNET, model)
}

fn subnet_defaults(model: &mut Value) {
    put_default(model, "MapPublicIpOnLaunch", false);
    put_default(model, "AssignIpv6AddressOnCreation", false);
    put_default(model, "EnableDns64", false);
    put_default(model, "Ipv6Native", false);
    put_default(
        model,
        "PrivateDnsNameOptionsOnLaunch",
        json!({"HostnameType": "ip-name", "EnableResourceNameDnsARecord": false, "EnableResourceNameDnsAAAARecord": false}),
    );
    put_default(model, "Tags", json!([]));
}

pub(super) fn update_subnet(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    if super::document::has(&entry.model, "Ipv6CidrBlock")
        && !same(&entry.model, proposed, "Ipv6CidrBlock")
    {
        return Err(failure::not_updatable(SUBNET.as_str(), "Ipv6CidrBlock"));
    }
    subnet_defaults(&mut model);
    carry(
        &entry.model,
        &mut model,
        &["BlockPublicAccessStates", "Ipv6CidrBlocks"],
    );
    Ok(updated(cx, entry, model))
}

pub(super) fn delete_subnet(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match user_of(cx, entry, &entry.identifier) {
        Some(user) => Err(dependency_violation("subnet", &entry.identifier, user)),
        None => Ok(deleted(cx, entry)),
    }
}

/// Addresses of a subnet that are still free: EC2 keeps five of each block, each NAT gateway, control plane, endpoint
/// and broker interface takes one.
pub(in crate::aws) fn free_addresses(cx: &Context<'_>, subnet: &Entry) -> i64 {
    let block: Option<Ipv4Net> =
        text(&subnet.model, "CidrBlock").and_then(|text| text.parse().ok());
    let size = block.map_or(0, |block| 1_i64 << (32 - u32::from(block.prefix_len())));
    let taken = cx
        .world
        .entries()
        .filter(|entry| PLACES_INTERFACES.contains(&entry.type_name.as_str()))
        .filter(|entry| super::usage::mentions(&entry.model, &subnet.identifier))
        .count();
    size - 5 - i64::try_from(taken).unwrap_or(i64::MAX)
}

const PLACES_INTERFACES: [&str; 5] = [
    "AWS::AmazonMQ::Broker",
    "AWS::EC2::NatGateway",
    "AWS::EC2::VPCEndpoint",
    "AWS::EKS::Cluster",
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
];

/// Whether a subnet's instances reach the internet by themselves: its route table, the main one if it has none of its
/// own, has a route to an internet gateway.
pub(super) fn is_public(cx: &Context<'_>, subnet: &Entry) -> bool {
    let vpc = text(&subnet.model, "VpcId").unwrap_or_default();
    let own = cx
        .live_with(
            "AWS::EC2::SubnetRouteTableAssociation",
            "SubnetId",
            &subnet.identifier,
        )
        .and_then(|association| text(&association.model, "RouteTableId"));
    let main = || {
        cx.all_live(ROUTE_TABLE.as_str())
            .find(|table| is_owned_by(table, vpc))
            .map(|table| table.identifier.as_str())
    };
    own.or_else(main).is_some_and(|table| {
        cx.all_live("AWS::EC2::Route").any(|route| {
            text(&route.model, "RouteTableId") == Some(table)
                && text(&route.model, "GatewayId")
                    .is_some_and(|gateway| gateway.starts_with("igw-"))
        })
    })
}
