//! `vpc` and `availabilityZones`: a VPC that eksctl makes, or one that exists.
//!
//! eksctl cuts its own subnets, a private and a public one in each zone (`usage/vpc-configuration` of its user guide,
//! `SetSubnets` in `pkg/vpc/vpc.go`), with the route tables, the Internet gateway and the NAT gateways that they need.

use std::collections::BTreeSet;

use catalog::ids::Address;
use graph::{Lifecycle, Resource, Value};

use super::config::{ClusterEndpoints, Nat, Subnet, Subnets, Vpc};
use super::ledger::{Fate, Reader, items, strings};
use super::text::referred;
use super::{Scene, Sheet};

/// What eksctl makes with a VPC of its own.
const WITH_THE_VPC: [&str; 6] = [
    "AWS::EC2::InternetGateway",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::EC2::RouteTable",
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::EIP",
];

/// Draws the network; returned are the subnets of the control plane, which are the private ones.
pub(super) fn draw(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    cluster: &mut Reader<'_>,
) -> BTreeSet<Address> {
    let subnet_ids = scene
        .cluster
        .properties
        .get("ResourcesVpcConfig")
        .and_then(|config| super::ledger::property(config, "SubnetIds"));
    let ordered: Vec<&Address> = items(subnet_ids).iter().filter_map(referred).collect();
    let private: BTreeSet<Address> = ordered.iter().copied().cloned().collect();
    let mut vpc = Vpc {
        id: None,
        cidr: None,
        subnets: None,
        control_plane_subnet_ids: Vec::new(),
        nat: None,
        // What EKS does when nobody says.
        cluster_endpoints: ClusterEndpoints {
            public_access: cluster
                .bool("ResourcesVpcConfig.EndpointPublicAccess")
                .unwrap_or(true),
            private_access: cluster
                .bool("ResourcesVpcConfig.EndpointPrivateAccess")
                .unwrap_or(false),
        },
        public_access_cidrs: strings(cluster.get("ResourcesVpcConfig.PublicAccessCidrs")),
    };

    for resource in scene.of_type("AWS::EC2::VPC") {
        match &resource.lifecycle {
            Lifecycle::Existing(id) => {
                vpc.id = Some(id.to_string());
                vpc.cidr = Reader::new(resource).string("CidrBlock").map(str::to_owned);
                sheet
                    .ledger
                    .enter(&resource.address, Fate::Referenced { field: "vpc.id" });
                draw_existing(scene, sheet, &mut vpc, &private, cluster);
            }
            _ => draw_own(scene, sheet, &mut vpc, resource, &ordered),
        }
    }
    sheet.config.vpc = Some(vpc);
    private
}

fn draw_existing(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    vpc: &mut Vpc,
    private: &BTreeSet<Address>,
    cluster: &mut Reader<'_>,
) {
    let mut subnets = Subnets::default();
    for resource in scene.of_type("AWS::EC2::Subnet") {
        let Lifecycle::Existing(id) = &resource.lifecycle else {
            sheet.refuse(
                &resource.address,
                "eksctl makes no subnets in a VPC that exists already",
            );
            continue;
        };
        sheet.ledger.enter(
            &resource.address,
            Fate::Referenced {
                field: "vpc.subnets",
            },
        );
        let name = last_part(&resource.address).to_owned();
        let subnet = Subnet { id: id.to_string() };
        if private.contains(&resource.address) {
            vpc.control_plane_subnet_ids.push(subnet.id.clone());
            subnets.private.insert(name, subnet);
        } else {
            subnets.public.insert(name, subnet);
        }
    }
    cluster.get("ResourcesVpcConfig.SubnetIds");
    vpc.subnets = Some(subnets);
}

fn draw_own(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    vpc: &mut Vpc,
    resource: &Resource,
    private: &[&Address],
) {
    let mut reader = Reader::new(resource);
    vpc.cidr = reader.string("CidrBlock").map(str::to_owned);
    reader.agrees("EnableDnsSupport", &Value::Bool(true));
    reader.agrees("EnableDnsHostnames", &Value::Bool(true));
    sheet.ledger.expressed("vpc.cidr", reader);

    let zones = zones(scene, private.iter().copied());
    let public_zones = zones_of_others(scene, private);
    if zones.iter().collect::<BTreeSet<_>>() != public_zones.iter().collect()
        || zones.len() != private.len()
    {
        sheet.refuse(
            &resource.address,
            "eksctl makes a private and a public subnet in each availability zone, no more and no fewer",
        );
    }
    if zones.len() < 2 {
        sheet.refuse(
            &resource.address,
            "eksctl takes two availability zones or more",
        );
    }
    for subnet in scene.of_type("AWS::EC2::Subnet") {
        let mut reader = Reader::new(subnet);
        reader.get("VpcId");
        reader.string("AvailabilityZone");
        let is_public = !private.contains(&&subnet.address);
        reader.agrees("MapPublicIpOnLaunch", &Value::Bool(is_public));
        sheet.ledger.expressed("availabilityZones", reader);
    }

    let gateways: Vec<&Resource> = scene.of_type("AWS::EC2::NatGateway").collect();
    vpc.nat = match gateways.len() {
        0 => Some(Nat { gateway: "Disable" }),
        1 => Some(Nat { gateway: "Single" }),
        several if several == zones.len() => Some(Nat {
            gateway: "HighlyAvailable",
        }),
        several => {
            let why = format!(
                "eksctl makes no NAT gateway, one, or one in each availability zone, but not {several} in {} zones",
                zones.len()
            );
            sheet.refuse(&gateways[0].address, why);
            None
        }
    };
    for gateway in gateways {
        let mut reader = Reader::new(gateway);
        reader.get("SubnetId");
        reader.get("AllocationId");
        sheet.ledger.expressed("vpc.nat.gateway", reader);
    }
    for type_name in WITH_THE_VPC {
        for resource in scene.of_type(type_name) {
            sheet
                .ledger
                .enter(&resource.address, Fate::Implied { field: "vpc" });
        }
    }
    sheet.config.availability_zones = zones;
}

/// The zones of these subnets, in their order.
fn zones<'s>(scene: &Scene<'_>, subnets: impl Iterator<Item = &'s Address>) -> Vec<String> {
    let mut zones: Vec<String> = Vec::new();
    for subnet in subnets.filter_map(|address| scene.graph.get(address)) {
        let zone = Reader::new(subnet)
            .string("AvailabilityZone")
            .map(str::to_owned);
        zones.extend(zone.filter(|zone| !zones.contains(zone)));
    }
    zones
}

fn zones_of_others(scene: &Scene<'_>, private: &[&Address]) -> Vec<String> {
    let others: Vec<&Address> = scene
        .of_type("AWS::EC2::Subnet")
        .map(|subnet| &subnet.address)
        .filter(|address| !private.contains(address))
        .collect();
    zones(scene, others.into_iter())
}

/// `private-a` of `network/subnet/private-a`.
fn last_part(address: &Address) -> &str {
    let text = address.as_str();
    text.rsplit_once('/').map_or(text, |(_, last)| last)
}
