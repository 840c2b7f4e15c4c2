//! `AWS::EC2::RouteTable`, `AWS::EC2::Route`, `AWS::EC2::SubnetRouteTableAssociation`, `AWS::EC2::VPCEndpoint`.

use catalog::TypeName;
use serde_json::{Value, json};

use super::document::{flag, has, put, put_default, take, text, text_or, texts};
use super::ec2_gateways::attached_gateway;
use super::ec2_network::SUBNET;
use super::reference::{created, deleted, updated};
use super::usage::{
    dependency_violation, security_groups_in, subnet, subnets_of_one_vpc, user_of, vpc,
};
use super::{Context, Failure, Outcome, cidr, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

const ROUTE_TABLE: TypeName = TypeName::new("AWS::EC2::RouteTable");
const ROUTE: TypeName = TypeName::new("AWS::EC2::Route");
const ASSOCIATION: TypeName = TypeName::new("AWS::EC2::SubnetRouteTableAssociation");
const ENDPOINT: TypeName = TypeName::new("AWS::EC2::VPCEndpoint");

fn route_table<'a>(cx: &Context<'a>, id: &str) -> Result<&'a Entry, Failure> {
    cx.live(ROUTE_TABLE.as_str(), id)
        .ok_or_else(|| failure::invalid("Ec2", format!("The routeTable ID '{id}' does not exist")))
}

pub(super) fn create_route_table(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let vpc_id = text_or(desired, "VpcId", "");
    vpc(cx, "Ec2", vpc_id)?;
    let there_are = cx.any_with(ROUTE_TABLE.as_str(), "VpcId", vpc_id).count();
    if cx.is_full("L-589F43AA", there_are) {
        return Err(failure::limit(
            "Ec2",
            "The maximum number of route tables has been reached.",
        ));
    }
    let mut model = desired.clone();
    put(&mut model, "RouteTableId", ids.hex17("rtb"));
    put_default(&mut model, "Tags", json!([]));
    created(cx, &ROUTE_TABLE, model)
}

pub(super) fn delete_route_table(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let id = &entry.identifier;
    if has(&entry.model, "__OwnedBy") {
        return Err(failure::invalid(
            "Ec2",
            format!(
                "The routeTable '{id}' has dependencies and cannot be deleted. [it is the main route table]"
            ),
        ));
    }
    match user_of(cx, entry, id) {
        Some(user) => Err(dependency_violation("routeTable", id, user)),
        None => Ok(deleted(cx, entry)),
    }
}

const DESTINATIONS: [&str; 3] = [
    "DestinationCidrBlock",
    "DestinationIpv6CidrBlock",
    "DestinationPrefixListId",
];
const TARGETS: [&str; 11] = [
    "CarrierGatewayId",
    "CoreNetworkArn",
    "EgressOnlyInternetGatewayId",
    "GatewayId",
    "InstanceId",
    "LocalGatewayId",
    "NatGatewayId",
    "NetworkInterfaceId",
    "TransitGatewayId",
    "VpcEndpointId",
    "VpcPeeringConnectionId",
];

pub(super) fn create_route(
    cx: &Context<'_>,
    desired: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let table = route_table(cx, text_or(desired, "RouteTableId", ""))?;
    let destinations: Vec<&str> = DESTINATIONS
        .iter()
        .filter_map(|name| text(desired, name))
        .collect();
    let [destination] = destinations[..] else {
        return Err(failure::invalid(
            "Ec2",
            "The request must contain exactly one of destinationCidrBlock, destinationIpv6CidrBlock, destinationPrefixListId",
        ));
    };
    if has(desired, "DestinationCidrBlock") {
        let block = cidr::parse(destination)?;
        let of_vpc = cx
            .world
            .get("AWS::EC2::VPC", text_or(&table.model, "VpcId", ""))
            .and_then(|vpc| {
                text(&vpc.model, "CidrBlock")?
                    .parse::<ipnet::Ipv4Net>()
                    .ok()
            });
        if of_vpc.is_some_and(|outer| outer.contains(&block)) {
            return Err(failure::invalid(
                "Ec2",
                format!(
                    "The destination CIDR block {destination} is equal to or more specific than one of this VPC's CIDR blocks. \
                    This route can target only an interface or an instance."
                ),
            ));
        }
    }
    let siblings: Vec<&Entry> = cx
        .any_with(ROUTE.as_str(), "RouteTableId", &table.identifier)
        .collect();
    if siblings
        .iter()
        .any(|route| text(&route.model, "CidrBlock") == Some(destination))
    {
        return Err(failure::exists(
            "Ec2",
            format!("The route identified by {destination} already exists."),
        ));
    }
    if cx.is_full("L-93826ACB", siblings.len()) {
        return Err(failure::limit(
            "Ec2",
            format!(
                "The maximum number of routes has been reached for the route table {}.",
                table.identifier
            ),
        ));
    }
    let mut model = desired.clone();
    check_target(cx, table, &mut model)?;
    put(&mut model, "CidrBlock", destination);
    created(cx, &ROUTE, model)
}

/// The target must be there and of the table's VPC. The read repeats a gateway's id as `VpcEndpointId`.
fn check_target(cx: &Context<'_>, table: &Entry, model: &mut Value) -> Result<(), Failure> {
    if text(model, "VpcEndpointId").is_some_and(|id| !id.starts_with("vpce-")) {
        take(model, "VpcEndpointId");
    }
    let targets: Vec<(&str, String)> = TARGETS
        .iter()
        .filter_map(|name| Some((*name, text(model, name)?.to_owned())))
        .collect();
    let [(kind, target)] = &targets[..] else {
        return Err(failure::invalid(
            "Ec2",
            "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, vpcPeeringConnectionId, \
             egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, carrierGatewayId, vpcEndpointId, coreNetworkArn or instanceId",
        ));
    };
    let network = text_or(&table.model, "VpcId", "");
    let table_id = &table.identifier;
    match *kind {
        "GatewayId" => {
            if cx.live("AWS::EC2::InternetGateway", target).is_none() {
                return Err(failure::invalid(
                    "Ec2",
                    format!("The gateway ID '{target}' does not exist"),
                ));
            }
            if attached_gateway(cx, network) != Some(target.as_str()) {
                return Err(failure::invalid(
                    "Ec2",
                    format!(
                        "route table {table_id} and network gateway {target} belong to different networks"
                    ),
                ));
            }
        }
        "NatGatewayId" => {
            let nat = cx.live("AWS::EC2::NatGateway", target).ok_or_else(|| {
                failure::invalid(
                    "Ec2",
                    format!("The natGateway ID '{target}' does not exist"),
                )
            })?;
            let of_nat = text(&nat.model, "SubnetId")
                .and_then(|id| text(&cx.world.get(SUBNET.as_str(), id)?.model, "VpcId"));
            if of_nat != Some(network) {
                return Err(failure::invalid(
                    "Ec2",
                    format!(
                        "route table {table_id} and NAT gateway {target} belong to different networks"
                    ),
                ));
            }
        }
        "VpcEndpointId" if cx.live(ENDPOINT.as_str(), target).is_some() => return Ok(()),
        _ => {
            return Err(failure::invalid(
                "Ec2",
                format!("The {kind} '{target}' does not exist"),
            ));
        }
    }
    put(model, "VpcEndpointId", target.as_str());
    Ok(())
}

pub(super) fn update_route(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let table = route_table(cx, text_or(&entry.model, "RouteTableId", ""))?;
    let mut model = proposed.clone();
    check_target(cx, table, &mut model)?;
    Ok(updated(cx, entry, model))
}

pub(super) fn create_association(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let table = route_table(cx, text_or(desired, "RouteTableId", ""))?;
    let subnet = subnet(cx, "Ec2", text_or(desired, "SubnetId", ""))?;
    if text(&table.model, "VpcId") != text(&subnet.model, "VpcId") {
        return Err(failure::invalid(
            "Ec2",
            format!(
                "Route table {} and subnet {} belong to different networks",
                table.identifier, subnet.identifier
            ),
        ));
    }
    if cx.is_taken(ASSOCIATION.as_str(), "SubnetId", &subnet.identifier) {
        return Err(failure::invalid(
            "Ec2",
            format!(
                "the specified association for route table {} conflicts with an existing association",
                table.identifier
            ),
        ));
    }
    let mut model = desired.clone();
    put(&mut model, "Id", ids.hex17("rtbassoc"));
    created(cx, &ASSOCIATION, model)
}

pub(super) fn create_endpoint(
    cx: &Context<'_>,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let vpc_id = text_or(desired, "VpcId", "");
    vpc(cx, "Ec2", vpc_id)?;
    let mut model = desired.clone();
    let service = text_or(desired, "ServiceName", "");
    let short = short_service(cx, service).ok_or_else(|| {
        failure::invalid(
            "Ec2",
            format!("The Vpc Endpoint Service '{service}' does not exist"),
        )
    })?;
    let kind = text_or(desired, "VpcEndpointType", "Gateway");
    let of_vpc = |kind: &'static str| {
        move |other: &&Entry| text(&other.model, "VpcEndpointType") == Some(kind)
    };
    match kind {
        "Gateway" => {
            if !["s3", "dynamodb"].contains(&short) {
                return Err(failure::invalid(
                    "Ec2",
                    format!(
                        "Vpc Endpoint Service {service} does not support the endpoint type Gateway. Available type(s): Interface."
                    ),
                ));
            }
            if has(desired, "SubnetIds") || has(desired, "SecurityGroupIds") {
                return Err(failure::invalid(
                    "Ec2",
                    "SubnetIds and SecurityGroupIds are not supported for a gateway endpoint",
                ));
            }
            if cx.is_full(
                "L-1B52E74A",
                cx.world
                    .of_type(&ENDPOINT)
                    .filter(of_vpc("Gateway"))
                    .count(),
            ) {
                return Err(failure::limit(
                    "Ec2",
                    "The maximum number of VPC endpoints has been reached.",
                ));
            }
        }
        "Interface" => {
            let there_are = cx
                .any_with(ENDPOINT.as_str(), "VpcId", vpc_id)
                .filter(of_vpc("Interface"))
                .count();
            if cx.is_full("L-29B6F2EB", there_are) {
                return Err(failure::limit(
                    "Ec2",
                    "The maximum number of VPC endpoints has been reached.",
                ));
            }
        }
        _ => {
            return Err(failure::invalid(
                "Ec2",
                format!("The endpoint type {kind} is not available for {service}"),
            ));
        }
    }
    put_default(&mut model, "VpcEndpointType", "Gateway");
    check_endpoint(cx, None, &model)?;
    let id = ids.hex17("vpce");
    let subnets = texts(desired, "SubnetIds").len();
    let interfaces: Vec<String> = (0..subnets).map(|_| ids.hex17("eni")).collect();
    let mut entries = Vec::new();
    if kind == "Interface" {
        let zone = format!("Z{}", ids.upper_alnum(20));
        let region = cx.world.region();
        entries.push(format!(
            "{zone}:{id}-{}.{short}.{region}.vpce.amazonaws.com",
            ids.lower_alnum(8)
        ));
        put_default(&mut model, "PrivateDnsEnabled", true);
        if flag(&model, "PrivateDnsEnabled") {
            entries.push(format!(
                "Z{}:{short}.{region}.{}",
                ids.upper_alnum(20),
                catalog::regions::dns_suffix(region)
            ));
        }
    } else {
        put_default(&mut model, "PrivateDnsEnabled", false);
    }
    put(&mut model, "Id", id);
    put(&mut model, "DnsEntries", json!(entries));
    put(&mut model, "NetworkInterfaceIds", json!(interfaces));
    put(&mut model, "CreationTimestamp", cx.timestamp());
    endpoint_defaults(&mut model);
    created(cx, &ENDPOINT, model)
}

fn endpoint_defaults(model: &mut Value) {
    put_default(
        model,
        "PolicyDocument",
        json!({"Version": "2008-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}),
    );
    for list in ["RouteTableIds", "SubnetIds", "SecurityGroupIds", "Tags"] {
        put_default(model, list, json!([]));
    }
}

/// `s3` of `com.amazonaws.eu-central-1.s3`.
fn short_service<'b>(cx: &Context<'_>, service: &'b str) -> Option<&'b str> {
    let rest = service.strip_prefix("cn.").unwrap_or(service);
    rest.strip_prefix("com.amazonaws.")?
        .strip_prefix(cx.world.region())?
        .strip_prefix('.')
        .filter(|short| !short.is_empty())
}

fn check_endpoint(cx: &Context<'_>, entry: Option<&Entry>, model: &Value) -> Result<(), Failure> {
    let vpc_id = text_or(model, "VpcId", "");
    let service = text_or(model, "ServiceName", "");
    let others: Vec<&Entry> = cx
        .any_with(ENDPOINT.as_str(), "VpcId", vpc_id)
        .filter(|other| text(&other.model, "ServiceName") == Some(service))
        .filter(|other| entry.is_none_or(|entry| entry.identifier != other.identifier))
        .collect();
    for id in texts(model, "RouteTableIds") {
        if text(&route_table(cx, id)?.model, "VpcId") != Some(vpc_id) {
            return Err(failure::invalid(
                "Ec2",
                format!("Route table {id} does not belong to VPC {vpc_id}"),
            ));
        }
        if others
            .iter()
            .any(|other| texts(&other.model, "RouteTableIds").contains(&id))
        {
            return Err(failure::invalid(
                "Ec2",
                format!(
                    "route table {id} already has a route with destination-prefix-list-id of {service}"
                ),
            ));
        }
    }
    if text(model, "VpcEndpointType") != Some("Interface") {
        return Ok(());
    }
    let subnet_ids = texts(model, "SubnetIds");
    if !subnet_ids.is_empty() {
        let (subnets, network) = subnets_of_one_vpc(cx, "Ec2", &subnet_ids)?;
        if network != vpc_id {
            return Err(failure::invalid(
                "Ec2",
                format!("The subnets {subnet_ids:?} do not belong to VPC {vpc_id}"),
            ));
        }
        if super::usage::zones_of(&subnets).len() < subnets.len() {
            return Err(failure::invalid(
                "Ec2",
                "Found another VPC endpoint subnet in the availability zone of a subnet: DuplicateSubnetsInSameZone",
            ));
        }
    }
    security_groups_in(cx, "Ec2", &texts(model, "SecurityGroupIds"), vpc_id)?;
    if model["PrivateDnsEnabled"] != Value::Bool(false) {
        let vpc = vpc(cx, "Ec2", vpc_id)?;
        if !flag(&vpc.model, "EnableDnsSupport") || !flag(&vpc.model, "EnableDnsHostnames") {
            return Err(failure::invalid(
                "Ec2",
                format!(
                    "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for {vpc_id}"
                ),
            ));
        }
        if others
            .iter()
            .any(|other| flag(&other.model, "PrivateDnsEnabled"))
        {
            return Err(failure::invalid(
                "Ec2",
                format!(
                    "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {service} in the VPC {vpc_id}"
                ),
            ));
        }
    }
    Ok(())
}

pub(super) fn update_endpoint(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    _: &mut Ids,
) -> Result<Outcome, Failure> {
    let mut model = proposed.clone();
    check_endpoint(cx, Some(entry), &model)?;
    endpoint_defaults(&mut model);
    Ok(updated(cx, entry, model))
}
