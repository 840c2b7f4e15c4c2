//! The node class: what is particular to AWS in the nodes that Karpenter makes.

use catalog::ids::Address;
use graph::{Attribute, Reference};
use objects::ec2nodeclass::{
    AmiSelectorTerm, BlockDevice, BlockDeviceMapping, Ec2NodeClass, Ec2NodeClassSpec, Kubelet,
    MetadataOptions, SelectorTerm,
};
use objects::k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use objects::snapshot::Object;
use spec::Platform;
use spec::model::LifecycleRule;

use super::named;
use super::pods::{labels, metadata};
use super::services::MANAGED_BY;
use crate::tags;

/// Bottlerocket's volume for its own system: it is never written to, and the images go to another one
/// (https://bottlerocket.dev, "Default volumes").
const BOTTLEROCKET_SYSTEM_GIB: u32 = 4;

/// What a node class says that is known only after the deploy: address and property. Each is one of
/// [`crate::environment`]'s graph.
pub(crate) const AFTER_DEPLOY: [(&str, &str); 1] = [CLUSTER_SECURITY_GROUP];
const CLUSTER_SECURITY_GROUP: (&str, &str) = ("cluster/cluster", "ClusterSecurityGroupId");

pub(super) fn name(platform: &Platform) -> String {
    named(platform, &platform.spec.node_class.name)
}

pub(super) fn render(platform: &Platform) -> Object {
    let class = &platform.spec.node_class;
    // As the system nodes': the CloudWatch agent reads the instance's metadata from a pod, which is a second hop.
    let hop_limit = class
        .hop_limit
        .unwrap_or(if platform.spec.addons.cloudwatch_observability {
            2
        } else {
            1
        });
    let mut node_tags = platform.spec.aws.tags.clone();
    node_tags.insert(tags::PLATFORM.to_owned(), platform.platform.to_string());
    node_tags.insert(
        tags::ENVIRONMENT.to_owned(),
        platform.environment.to_string(),
    );
    Object::Ec2NodeClass(Box::new(Ec2NodeClass {
        api_version: "karpenter.k8s.aws/v1".to_owned(),
        kind: "EC2NodeClass".to_owned(),
        metadata: metadata(&name(platform), None, labels([MANAGED_BY])),
        spec: Ec2NodeClassSpec {
            ami_selector_terms: vec![AmiSelectorTerm {
                alias: Some(class.ami_alias.clone()),
                ..AmiSelectorTerm::default()
            }],
            subnet_selector_terms: subnets(platform),
            security_group_selector_terms: vec![SelectorTerm {
                id: Some(after_deploy(CLUSTER_SECURITY_GROUP)),
                ..SelectorTerm::default()
            }],
            instance_profile: Some(instance_profile(platform)),
            block_device_mappings: volumes(&class.ami_alias, class.disk_gib),
            metadata_options: Some(MetadataOptions {
                http_endpoint: Some("enabled".to_owned()),
                http_protocol_ipv6: Some("disabled".to_owned()),
                http_put_response_hop_limit: Some(i64::from(hop_limit)),
                http_tokens: Some("required".to_owned()),
            }),
            kubelet: Some(Kubelet {
                max_pods: Some(i32::try_from(class.max_pods).unwrap_or(i32::MAX)),
                ..Kubelet::default()
            }),
            tags: node_tags,
            ..Ec2NodeClassSpec::default()
        },
        status: None,
    }))
}

/// What is known when the resource at the address is there, as a reference is displayed.
fn after_deploy((address, property): (&'static str, &str)) -> String {
    let to = Address::new(address).expect("an address of the blueprint's own");
    Reference {
        to,
        attribute: Attribute::Property(catalog::PropertyPath::from_segments([property])),
    }
    .to_string()
}

/// Ours carry Karpenter's tag; those of somebody else's VPC are named.
fn subnets(platform: &Platform) -> Vec<SelectorTerm> {
    match &platform.spec.network.existing {
        Some(existing) => existing
            .private_subnet_ids
            .iter()
            .map(|id| SelectorTerm {
                id: Some(id.clone()),
                ..SelectorTerm::default()
            })
            .collect(),
        None => vec![SelectorTerm {
            tags: labels([("karpenter.sh/discovery", &platform.name())]),
            ..SelectorTerm::default()
        }],
    }
}

fn instance_profile(platform: &Platform) -> String {
    match platform
        .spec
        .lifecycle
        .get("karpenter/node-instance-profile")
    {
        Some(LifecycleRule::Existing(name)) => name.clone(),
        _ => format!("{}-karpenter-nodes", platform.name()),
    }
}

fn volumes(ami_alias: &str, disk_gib: u32) -> Vec<BlockDeviceMapping> {
    let volume = |device: &str, gib: u32| BlockDeviceMapping {
        device_name: Some(device.to_owned()),
        ebs: Some(BlockDevice {
            volume_type: Some("gp3".to_owned()),
            volume_size: Some(Quantity(format!("{gib}Gi"))),
            encrypted: Some(true),
            delete_on_termination: Some(true),
            ..BlockDevice::default()
        }),
        root_volume: false,
    };
    if ami_alias.starts_with("bottlerocket") {
        vec![
            volume("/dev/xvda", BOTTLEROCKET_SYSTEM_GIB),
            volume("/dev/xvdb", disk_gib),
        ]
    } else {
        vec![volume("/dev/xvda", disk_gib)]
    }
}
