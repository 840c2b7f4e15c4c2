//! What ElastiCache and Amazon MQ have in common: who reaches them.

use graph::{Value, value};

use crate::draft::{Draft, Drawing, Made};
use crate::network::Network;
use crate::types;

/// A security group that lets the VPC in on the given ports, and nobody else.
pub(crate) fn security_group(
    drawing: &mut Drawing<'_>,
    network: &Network,
    component: &str,
    title: &str,
    ports: &[(u16, &str)],
) -> Made {
    let vpc_range = network.cidr.trunc().to_string();
    let ingress: Vec<Value> = ports
        .iter()
        .map(|(port, purpose)| {
            value!({
                "IpProtocol": "tcp",
                "FromPort": u32::from(*port),
                "ToPort": u32::from(*port),
                "CidrIp": vpc_range.as_str(),
                "Description": *purpose,
            })
        })
        .collect();
    drawing.add(Draft::new(
        format!("{component}/security-group"),
        types::SECURITY_GROUP,
        value!({
            "GroupName": drawing.name(component),
            "GroupDescription": format!("{title} of {}, from the VPC only", drawing.scope_name()),
            "VpcId": network.vpc.get("VpcId"),
            "SecurityGroupIngress": ingress,
            // Without a rule, EC2 lets everything out to everywhere.
            "SecurityGroupEgress": [{
                "IpProtocol": "-1",
                "CidrIp": vpc_range,
                "Description": "Nothing leaves the VPC",
            }],
        }),
    ))
}
