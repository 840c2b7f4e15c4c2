//! The managed node group for what must not run on nodes that Karpenter makes: Karpenter itself, CoreDNS, controllers.

use graph::{Value, value};

use crate::addons::BeforeNodes;
use crate::cluster::Cluster;
use crate::draft::{Draft, Drawing, Made};
use crate::network::Network;
use crate::{Error, policy, tags, types};

/// The taint that keeps everything else off the system nodes. The add-ons' own manifests mostly tolerate it already.
pub(crate) const TAINT: &str = "CriticalAddonsOnly";

/// The root volume of Amazon Linux 2023.
const ROOT_DEVICE: &str = "/dev/xvda";

pub(crate) fn draw(
    drawing: &mut Drawing<'_>,
    network: &Network,
    cluster: &Cluster,
    addons: &BeforeNodes,
) -> Made {
    let nodes = &drawing.spec().system_nodes;
    let role = drawing.add(Draft::new(
        "system-nodes/role",
        types::ROLE,
        value!({
            "RoleName": drawing.name("system-nodes"),
            "Description": "The system nodes",
            "AssumeRolePolicyDocument": node_trust(drawing),
            "ManagedPolicyArns": node_policies(drawing),
        }),
    ));
    let template = draw_launch_template(drawing);
    let ami_type = match architecture(&nodes.instance_types) {
        Some(Architecture::Arm64) => "AL2023_ARM_64_STANDARD",
        Some(Architecture::X86) => "AL2023_x86_64_STANDARD",
        None => {
            drawing.refuse(Error::Architectures {
                instance_types: nodes.instance_types.clone(),
            });
            "AL2023_x86_64_STANDARD"
        }
    };
    drawing.add(
        Draft::new(
            "system-nodes/node-group",
            types::NODE_GROUP,
            value!({
                "NodegroupName": drawing.name("system"),
                "ClusterName": cluster.made.get("Name"),
                "Version": drawing.spec().kubernetes.version.as_str(),
                "NodeRole": role.arn(),
                "Subnets": network.private_ids(),
                "AmiType": ami_type,
                "CapacityType": "ON_DEMAND",
                "InstanceTypes": nodes.instance_types.clone(),
                "LaunchTemplate": {
                    "Id": template.get("LaunchTemplateId"),
                    "Version": template.get("LatestVersionNumber"),
                },
                "ScalingConfig": { "MinSize": nodes.min, "DesiredSize": nodes.desired, "MaxSize": nodes.max },
                "UpdateConfig": { "MaxUnavailable": 1 },
                "NodeRepairConfig": { "Enabled": true },
                "Labels": { "seaworthy.dev/nodes": "system" },
                "Taints": [{ "Key": TAINT, "Value": "true", "Effect": "NO_SCHEDULE" }],
            }),
        )
        // A node is ready only with the network add-ons, and its first images come through the NAT gateways.
        .after(addons.all())
        .after(&network.egress),
    )
}

/// Who may assume a node's role: EC2, by the name that it has in the partition.
pub(crate) fn node_trust(drawing: &Drawing<'_>) -> Value {
    policy::assumed_by(&format!(
        "ec2.{}",
        catalog::regions::dns_suffix(drawing.region())
    ))
}

/// What a node may do: find itself, pull images, be reached by Session Manager. `AmazonEKS_CNI_Policy` is not among it:
/// the VPC CNI has a role of its own, so that no other process on a node can move network interfaces about
/// (https://docs.aws.amazon.com/eks/latest/userguide/cni-iam-role.html recommends it).
pub(crate) fn node_policies(drawing: &Drawing<'_>) -> Vec<Value> {
    [
        "AmazonEKSWorkerNodePolicy",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonSSMManagedInstanceCore",
    ]
    .iter()
    .map(|name| drawing.managed_policy(name))
    .collect()
}

fn draw_launch_template(drawing: &mut Drawing<'_>) -> Made {
    let spec = drawing.spec();
    let mut node_tags = drawing.owner_tags("system-nodes/node-group");
    node_tags.insert("Name".to_owned(), drawing.name("system"));
    let specifications = ["instance", "volume"]
        .map(|resource| value!({ "ResourceType": resource, "Tags": tags::list(&node_tags) }));
    // One hop: no pod reaches the node's credentials, since every identity of the platform comes by Pod Identity or
    // IRSA. The CloudWatch agent is the exception: it reads the instance's metadata from a pod, which is a second hop.
    let hop_limit = if spec.addons.cloudwatch_observability {
        2
    } else {
        1
    };
    drawing.add(Draft::new(
        "system-nodes/launch-template",
        types::LAUNCH_TEMPLATE,
        value!({
            "LaunchTemplateName": drawing.name("system-nodes"),
            "LaunchTemplateData": {
                "MetadataOptions": {
                    "HttpEndpoint": "enabled",
                    "HttpTokens": "required",
                    "HttpPutResponseHopLimit": hop_limit,
                },
                "BlockDeviceMappings": [{
                    "DeviceName": ROOT_DEVICE,
                    "Ebs": {
                        "VolumeType": "gp3",
                        "VolumeSize": spec.system_nodes.disk_gib,
                        "Encrypted": true,
                        "DeleteOnTermination": true,
                    },
                }],
                "TagSpecifications": specifications.to_vec(),
            },
        }),
    ))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Architecture {
    X86,
    Arm64,
}

/// The one architecture of all `instance_types`; `None` if they differ or there are none.
fn architecture(instance_types: &[String]) -> Option<Architecture> {
    let mut architectures = instance_types
        .iter()
        .map(|instance_type| architecture_of(instance_type));
    let first = architectures.next()?;
    architectures.all(|other| other == first).then_some(first)
}

/// An instance family is letters, a generation, and attributes; `g` among the attributes is Graviton
/// (https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html). `a1`, the first, has none.
fn architecture_of(instance_type: &str) -> Architecture {
    let family = instance_type.split('.').next().unwrap_or_default();
    let attributes = family
        .trim_start_matches(|c: char| c.is_ascii_alphabetic())
        .trim_start_matches(|c: char| c.is_ascii_digit());
    if attributes.contains('g') || family == "a1" {
        Architecture::Arm64
    } else {
        Architecture::X86
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graviton_is_told_by_the_family() {
        for arm in [
            "t4g.medium",
            "m7gd.large",
            "c7gn.large",
            "im4gn.large",
            "is4gen.large",
            "a1.large",
            "x2gd.large",
            "g5g.xlarge",
        ] {
            assert_eq!(architecture_of(arm), Architecture::Arm64, "{arm}");
        }
        for x86 in [
            "t3.medium",
            "t3a.medium",
            "g5.xlarge",
            "g4dn.xlarge",
            "m6i.large",
            "gr6.4xlarge",
            "x2iedn.xlarge",
        ] {
            assert_eq!(architecture_of(x86), Architecture::X86, "{x86}");
        }
        assert_eq!(
            architecture(&["t3.medium".to_owned(), "t4g.medium".to_owned()]),
            None
        );
    }
}
