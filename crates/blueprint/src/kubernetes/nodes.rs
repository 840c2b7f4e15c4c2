//! The system nodes as they will stand: what Karpenter's own controller and the other controllers run on.

use catalog::instance_types::{
    self, AmiFamily, InstanceType, NodeSettings, PodLimits, Resources, label,
};
use objects::k8s_openapi::api::core::v1::{Node, NodeCondition, NodeSpec, NodeStatus, Taint};
use objects::k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use objects::snapshot::Object;
use spec::Platform;

use super::Error;
use super::pods::{HOSTNAME, ZONE, labels, metadata};
use crate::system_nodes::TAINT;

/// The label of the system nodes.
pub(super) const SYSTEM: (&str, &str) = ("seaworthy.dev/nodes", "system");

/// The nodes of the managed node group: so many as are desired at the start, of the first of its instance types, in all
/// zones in turn, as its Auto Scaling group makes them. Their names are numbers: addresses are not known yet.
///
/// What they have is reckoned as Karpenter reckons it for nodes that it has not seen, on AL2023 with the VPC CNI's
/// prefixes; a real kubelet reports a little more memory.
///
/// # Errors
///
/// When the catalog doesn't know the instance type.
pub fn system_nodes(platform: &Platform) -> Result<Vec<Object>, Vec<Error>> {
    let nodes = &platform.spec.system_nodes;
    let name = nodes.instance_types.first().map_or("", String::as_str);
    let Some(instance_type) = instance_types::by_name(name) else {
        return Err(vec![Error::UnknownInstanceType(name.to_owned())]);
    };
    Ok((0..nodes.desired)
        .zip(platform.availability_zones.iter().cycle())
        .map(|(number, zone)| node(platform, instance_type, number + 1, zone))
        .collect())
}

fn node(platform: &Platform, instance_type: &InstanceType, number: u32, zone: &str) -> Object {
    let name = format!("system-{number}");
    let mut all = labels([
        SYSTEM,
        (HOSTNAME, &name),
        (ZONE, zone),
        ("topology.ebs.csi.aws.com/zone", zone),
        ("topology.kubernetes.io/region", platform.region.as_str()),
        (label::INSTANCE_TYPE, instance_type.name()),
        (label::ARCHITECTURE, instance_type.architecture.as_str()),
        (label::OPERATING_SYSTEM, "linux"),
        ("eks.amazonaws.com/capacityType", "ON_DEMAND"),
    ]);
    all.insert(
        "eks.amazonaws.com/nodegroup".to_owned(),
        format!("{}-system", platform.name()),
    );
    let size = instance_type.node_size(&NodeSettings {
        ami_family: AmiFamily::Al2023,
        pods: PodLimits {
            prefix_delegation: true,
            ..PodLimits::default()
        },
        root_volume_bytes: i64::from(platform.spec.system_nodes.disk_gib) << 30,
        ..NodeSettings::default()
    });
    Object::Node(Box::new(Node {
        metadata: metadata(&name, None, all),
        spec: Some(NodeSpec {
            taints: Some(vec![Taint {
                key: TAINT.to_owned(),
                value: Some("true".to_owned()),
                effect: "NoSchedule".to_owned(),
                ..Taint::default()
            }]),
            ..NodeSpec::default()
        }),
        status: Some(NodeStatus {
            capacity: Some(quantities(size.capacity)),
            allocatable: Some(quantities(size.allocatable())),
            conditions: Some(vec![NodeCondition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                ..NodeCondition::default()
            }]),
            ..NodeStatus::default()
        }),
    }))
}

fn quantities(resources: Resources) -> std::collections::BTreeMap<String, Quantity> {
    [
        ("cpu", format!("{}m", resources.cpu_milli)),
        ("memory", resources.memory_bytes.to_string()),
        (
            "ephemeral-storage",
            resources.ephemeral_storage_bytes.to_string(),
        ),
        ("pods", resources.pods.to_string()),
    ]
    .into_iter()
    .map(|(name, amount)| (name.to_owned(), Quantity(amount)))
    .collect()
}
