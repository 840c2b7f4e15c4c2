//! The VPC: a private and a public subnet in each availability zone, the ways to the Internet, gateway endpoints for the
//! services that have free ones, and flow logs. Or none of that, when the VPC exists already and stays somebody else's.

use catalog::ids::Identifier;
use graph::{Lifecycle, Value, value};
use ipnet::Ipv4Net;
use spec::model::{ExistingNetwork, GatewayEndpoint, NatGateways};

use crate::draft::{Draft, Drawing, Made, account};
use crate::policy::{self, Statement};
use crate::{Error, subnets, types};

/// The whole Internet.
const INTERNET: &str = "0.0.0.0/0";

/// What the other components need of the network.
pub(crate) struct Network {
    /// The VPC.
    pub(crate) vpc: Made,
    /// Its range.
    pub(crate) cidr: Ipv4Net,
    /// The private subnets: nodes, pods and data services. One an availability zone, in the zones' order, when they are
    /// ours; as they were given otherwise.
    pub(crate) private: Vec<Made>,
    /// What must be there before anything in a private subnet reaches the Internet.
    pub(crate) egress: Vec<Made>,
}

impl Network {
    /// The ids of the private subnets.
    pub(crate) fn private_ids(&self) -> Vec<Value> {
        self.private
            .iter()
            .map(|subnet| subnet.get("SubnetId"))
            .collect()
    }
}

pub(crate) fn draw(drawing: &mut Drawing<'_>) -> Network {
    match &drawing.spec().network.existing {
        Some(existing) => draw_existing(drawing, existing),
        None => draw_own(drawing),
    }
}

/// Nothing is made and nothing changed: the VPC and its subnets are only looked at.
fn draw_existing(drawing: &mut Drawing<'_>, existing: &ExistingNetwork) -> Network {
    let cidr = drawing.spec().network.cidr;
    let mut look_at = |address: String, type_name, id: &str, known: Value| {
        let draft = Draft::new(&address, type_name, known);
        match Identifier::new(id) {
            Ok(identifier) => drawing.add(draft.lifecycle(Lifecycle::Existing(identifier))),
            Err(why) => {
                drawing.refuse(Error::Identifier {
                    address: draft.address.clone(),
                    why,
                });
                drawing.add(draft)
            }
        }
    };
    // What the spec says of it is compared with what is there: security groups are made from it.
    let known = value!({ "CidrBlock": cidr.to_string() });
    let vpc = look_at(
        "network/vpc".to_owned(),
        types::VPC,
        &existing.vpc_id,
        known,
    );
    let mut subnets = |kind: &str, ids: &[String]| -> Vec<Made> {
        let numbered = ids.iter().enumerate();
        numbered
            .map(|(place, id)| {
                look_at(
                    format!("network/subnet/{kind}-{}", place + 1),
                    types::SUBNET,
                    id,
                    value!({}),
                )
            })
            .collect()
    };
    let private = subnets("private", &existing.private_subnet_ids);
    subnets("public", &existing.public_subnet_ids);
    Network {
        vpc,
        cidr: drawing.spec().network.cidr,
        private,
        egress: Vec::new(),
    }
}

fn draw_own(drawing: &mut Drawing<'_>) -> Network {
    let network = &drawing.spec().network;
    let zones = &drawing.platform.availability_zones;
    let ranges = subnets::cut(network.cidr, zones.len()).unwrap_or_else(|| {
        drawing.refuse(Error::Range {
            cidr: network.cidr,
            zones: zones.len(),
        });
        Vec::new()
    });

    // DNS host names are what private endpoint access of EKS needs
    // (https://docs.aws.amazon.com/eks/latest/userguide/cluster-endpoint.html).
    let vpc = drawing.add(Draft::new(
        "network/vpc",
        types::VPC,
        value!({ "CidrBlock": network.cidr.trunc().to_string(), "EnableDnsSupport": true, "EnableDnsHostnames": true }),
    ));
    let internet_gateway = drawing.add(Draft::new(
        "network/internet-gateway",
        types::INTERNET_GATEWAY,
        value!({}),
    ));
    let attachment = drawing.add(Draft::new(
        "network/internet-gateway-attachment",
        types::VPC_GATEWAY_ATTACHMENT,
        value!({ "VpcId": vpc.get("VpcId"), "InternetGatewayId": internet_gateway.get("InternetGatewayId") }),
    ));
    let public_table = drawing.add(Draft::new(
        "network/route-table/public",
        types::ROUTE_TABLE,
        value!({ "VpcId": vpc.get("VpcId") }),
    ));
    let public_route = drawing.add(
        Draft::new(
            "network/route/public/internet",
            types::ROUTE,
            value!({
                "RouteTableId": public_table.get("RouteTableId"),
                "DestinationCidrBlock": INTERNET,
                "GatewayId": internet_gateway.get("InternetGatewayId"),
            }),
        )
        .after([&attachment]),
    );

    let (mut private, mut private_tables, mut nat_gateways) = (Vec::new(), Vec::new(), Vec::new());
    let mut egress = vec![public_route];
    for (zone, range) in zones.iter().zip(&ranges) {
        let letter = letter(zone, drawing.region());
        let public = drawing.add(
            Draft::new(
                format!("network/subnet/public-{letter}"),
                types::SUBNET,
                value!({
                    "VpcId": vpc.get("VpcId"),
                    "AvailabilityZone": zone.as_str(),
                    "CidrBlock": range.public.to_string(),
                    // Load balancers and NAT gateways bring their own public addresses; nothing else belongs here.
                    "MapPublicIpOnLaunch": false,
                }),
            )
            .tag("kubernetes.io/role/elb", "1"),
        );
        let association = associate(drawing, &format!("public-{letter}"), &public, &public_table);
        if nat_gateways.is_empty() || network.nat_gateways == NatGateways::OnePerAz {
            nat_gateways.push(draw_nat_gateway(drawing, &letter, &public, &attachment));
            egress.push(association);
        }

        let name = format!("private-{letter}");
        let subnet = drawing.add(
            Draft::new(
                format!("network/subnet/{name}"),
                types::SUBNET,
                value!({
                    "VpcId": vpc.get("VpcId"),
                    "AvailabilityZone": zone.as_str(),
                    "CidrBlock": range.private.to_string(),
                    "MapPublicIpOnLaunch": false,
                }),
            )
            .tag("kubernetes.io/role/internal-elb", "1")
            .tag("karpenter.sh/discovery", drawing.scope_name()),
        );
        // A table for each subnet, with a single NAT gateway too: going over to one an availability zone then changes
        // routes only.
        let table = drawing.add(Draft::new(
            format!("network/route-table/{name}"),
            types::ROUTE_TABLE,
            value!({ "VpcId": vpc.get("VpcId") }),
        ));
        egress.push(associate(drawing, &name, &subnet, &table));
        if let Some(nat_gateway) = nat_gateways.last() {
            egress.push(drawing.add(Draft::new(
                format!("network/route/{name}/internet"),
                types::ROUTE,
                value!({
                    "RouteTableId": table.get("RouteTableId"),
                    "DestinationCidrBlock": INTERNET,
                    "NatGatewayId": nat_gateway.get("NatGatewayId"),
                }),
            )));
        }
        private.push(subnet);
        private_tables.push(table.get("RouteTableId"));
    }

    for endpoint in &network.gateway_endpoints {
        let service = match endpoint {
            GatewayEndpoint::S3 => "s3",
            GatewayEndpoint::Dynamodb => "dynamodb",
        };
        drawing.add(Draft::new(
            format!("network/endpoint/{service}"),
            types::VPC_ENDPOINT,
            value!({
                "VpcId": vpc.get("VpcId"),
                // Gateway endpoints are `com.amazonaws.…` in every partition, China too.
                "ServiceName": format!("com.amazonaws.{}.{service}", drawing.region()),
                "VpcEndpointType": "Gateway",
                "RouteTableIds": private_tables.clone(),
            }),
        ));
    }
    if network.flow_logs.enabled {
        draw_flow_logs(drawing, &vpc);
    }
    Network {
        vpc,
        cidr: network.cidr,
        private,
        egress,
    }
}

fn associate(drawing: &mut Drawing<'_>, name: &str, subnet: &Made, table: &Made) -> Made {
    drawing.add(Draft::new(
        format!("network/route-table-association/{name}"),
        types::ROUTE_TABLE_ASSOCIATION,
        value!({ "SubnetId": subnet.get("SubnetId"), "RouteTableId": table.get("RouteTableId") }),
    ))
}

fn draw_nat_gateway(
    drawing: &mut Drawing<'_>,
    letter: &str,
    subnet: &Made,
    attachment: &Made,
) -> Made {
    // An address can be mapped into a VPC only once that has an Internet gateway
    // (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-ec2-eip.html).
    let address = drawing.add(
        Draft::new(
            format!("network/eip/{letter}"),
            types::EIP,
            value!({ "Domain": "vpc" }),
        )
        .after([attachment]),
    );
    drawing.add(Draft::new(
        format!("network/nat-gateway/{letter}"),
        types::NAT_GATEWAY,
        value!({ "SubnetId": subnet.get("SubnetId"), "AllocationId": address.get("AllocationId") }),
    ))
}

fn draw_flow_logs(drawing: &mut Drawing<'_>, vpc: &Made) {
    let log_group = drawing.add(Draft::new(
        "network/flow-log-group",
        types::LOG_GROUP,
        value!({
            "LogGroupName": format!("/aws/vpc-flow-logs/{}", drawing.scope_name()),
            "RetentionInDays": drawing.spec().network.flow_logs.retention_days,
        }),
    ));
    // https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html, without creating log groups: there is one.
    let trust = Statement::allow("AssumedByFlowLogs", &["sts:AssumeRole"])
        .by_service("vpc-flow-logs.amazonaws.com")
        .when("StringEquals", "aws:SourceAccount", account())
        .when(
            "ArnLike",
            "aws:SourceArn",
            drawing.regional_arn("ec2", "vpc-flow-log/*"),
        );
    let write = Statement::allow(
        "WriteToTheLogGroup",
        &[
            "logs:CreateLogStream",
            "logs:PutLogEvents",
            "logs:DescribeLogStreams",
        ],
    )
    .on([log_group.arn(), Value::join([log_group.arn(), ":*".into()])]);
    let find = Statement::allow("FindTheLogGroup", &["logs:DescribeLogGroups"])
        .on([drawing.regional_arn("logs", "log-group:*")]);
    let role = drawing.add(Draft::new(
        "network/flow-log-role",
        types::ROLE,
        value!({
            "RoleName": drawing.name("flow-logs"),
            "Description": "VPC flow logs: writes to its log group",
            "AssumeRolePolicyDocument": policy::document([trust]),
            "Policies": policy::inline("flow-logs", [write, find]),
        }),
    ));
    drawing.add(Draft::new(
        "network/flow-log",
        types::FLOW_LOG,
        value!({
            "ResourceType": "VPC",
            "ResourceId": vpc.get("VpcId"),
            "TrafficType": "ALL",
            "LogDestinationType": "cloud-watch-logs",
            "LogGroupName": log_group.get("LogGroupName"),
            "DeliverLogsPermissionArn": role.arn(),
        }),
    ));
}

/// `a` of `eu-central-1a`.
fn letter(zone: &str, region: &str) -> String {
    zone.strip_prefix(region)
        .unwrap_or(zone)
        .trim_start_matches('-')
        .to_ascii_lowercase()
}
