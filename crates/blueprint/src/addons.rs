//! EKS add-ons: the network before there are nodes, the rest once there are.
//!
//! An add-on with pods of its own is active only when they run, so those wait for the node group and tolerate its taint.
//! Daemon sets without nodes have nothing to run: they come first, and the first node finds them.

use catalog::addons::{
    Addon, CLOUDWATCH_OBSERVABILITY, COREDNS, EBS_CSI, KUBE_PROXY, METRICS_SERVER,
    POD_IDENTITY_AGENT, VPC_CNI,
};
use graph::value;
use serde_json::{Value as Json, json};

use crate::cluster::Cluster;
use crate::draft::{Draft, Drawing, Made};
use crate::iam::{ServiceAccount, workload_role};
use crate::policy::{self, Statement};
use crate::system_nodes::TAINT;
use crate::{Error, tags, types};

/// The add-ons that must be there before the first node is.
pub(crate) struct BeforeNodes([Made; 3]);

impl BeforeNodes {
    pub(crate) fn all(&self) -> &[Made] {
        &self.0
    }
}

/// VPC CNI, kube-proxy and the Pod Identity agent.
pub(crate) fn draw_before_nodes(drawing: &mut Drawing<'_>, cluster: &Cluster) -> BeforeNodes {
    let role = workload_role(
        drawing,
        &cluster.identity,
        "addons/vpc-cni-role",
        "vpc-cni",
        "The VPC CNI: network interfaces and addresses of pods",
        ServiceAccount::VPC_CNI,
        (
            "ManagedPolicyArns",
            value!([drawing.managed_policy("AmazonEKS_CNI_Policy")]),
        ),
    );
    // Prefixes of sixteen addresses, one of them kept warm: more pods a node, and fewer calls of EC2
    // (https://docs.aws.amazon.com/eks/latest/best-practices/prefix-mode-linux.html). Set before the first node, since
    // EKS reckons a node's number of pods from it.
    let configuration =
        json!({ "env": { "ENABLE_PREFIX_DELEGATION": "true", "WARM_PREFIX_TARGET": "1" } });
    let vpc_cni = configured(addon(drawing, cluster, VPC_CNI), &configuration);
    let vpc_cni = cluster
        .identity
        .give(vpc_cni, &role, ServiceAccount::VPC_CNI);
    let kube_proxy = addon(drawing, cluster, KUBE_PROXY);
    let agent = addon(drawing, cluster, POD_IDENTITY_AGENT);
    BeforeNodes(
        [vpc_cni, kube_proxy, agent].map(|draft| drawing.add(draft.after([&cluster.deployer]))),
    )
}

/// CoreDNS, the EBS CSI driver, metrics-server and, if asked for, CloudWatch observability; after the nodes. Returned are
/// the three that are always there.
pub(crate) fn draw_after_nodes(
    drawing: &mut Drawing<'_>,
    cluster: &Cluster,
    nodes: &Made,
) -> Vec<Made> {
    let critical = json!({ "key": TAINT, "operator": "Exists" });

    let configuration = json!({ "tolerations": [critical] });
    let coredns = configured(addon(drawing, cluster, COREDNS), &configuration);
    let metrics_server = configured(addon(drawing, cluster, METRICS_SERVER), &configuration);

    let role = workload_role(
        drawing,
        &cluster.identity,
        "addons/ebs-csi-role",
        "ebs-csi",
        "The EBS CSI driver: volumes and snapshots that it made",
        ServiceAccount::EBS_CSI,
        (
            "Policies",
            policy::inline("ebs-csi", ebs_csi_statements(drawing)),
        ),
    );
    let mut volume_tags = drawing.owner_tags("addons/aws-ebs-csi-driver");
    volume_tags.insert(tags::BACKUP.to_owned(), drawing.scope_name());
    let gone = json!({ "effect": "NoExecute", "operator": "Exists", "tolerationSeconds": 300 });
    let configuration = json!({ "controller": { "tolerations": [critical, gone], "extraVolumeTags": volume_tags } });
    let ebs_csi = configured(addon(drawing, cluster, EBS_CSI), &configuration);
    let ebs_csi = cluster
        .identity
        .give(ebs_csi, &role, ServiceAccount::EBS_CSI);

    let made: Vec<Made> = [coredns, ebs_csi, metrics_server]
        .into_iter()
        .map(|draft| drawing.add(draft.after([nodes])))
        .collect();
    if drawing.spec().addons.cloudwatch_observability {
        draw_cloudwatch(drawing, cluster, nodes);
    }
    made
}

fn draw_cloudwatch(drawing: &mut Drawing<'_>, cluster: &Cluster, nodes: &Made) {
    let role = workload_role(
        drawing,
        &cluster.identity,
        "addons/cloudwatch-role",
        "cloudwatch-agent",
        "The CloudWatch agent: metrics and logs of nodes and containers",
        ServiceAccount::CLOUDWATCH_AGENT,
        (
            "ManagedPolicyArns",
            value!([drawing.managed_policy("CloudWatchAgentServerPolicy")]),
        ),
    );
    // The agent belongs on every node, whatever its taints.
    let configuration = json!({ "tolerations": [{ "operator": "Exists" }] });
    let addon = configured(
        addon(drawing, cluster, CLOUDWATCH_OBSERVABILITY),
        &configuration,
    );
    let addon = cluster
        .identity
        .give(addon, &role, ServiceAccount::CLOUDWATCH_AGENT);
    drawing.add(addon.after([nodes]));
}

/// Refuses versions of add-ons that were not drawn.
pub(crate) fn check_versions(drawing: &mut Drawing<'_>) {
    let addons: Vec<String> = drawing
        .addresses_under("addons/")
        .filter(|name| !name.ends_with("-role"))
        .map(str::to_owned)
        .collect();
    for name in drawing.spec().addons.versions.keys() {
        // The optional add-on may keep its version while it is off.
        if !addons.contains(name) && name != CLOUDWATCH_OBSERVABILITY.name {
            drawing.refuse(Error::UnknownAddon {
                name: name.clone(),
                addons: addons.clone(),
            });
        }
    }
}

/// An add-on, at the spec's version or at EKS's default one.
fn addon(drawing: &Drawing<'_>, cluster: &Cluster, addon: Addon) -> Draft {
    let name = addon.name;
    Draft::new(
        format!("addons/{name}"),
        types::ADDON,
        value!({
            "ClusterName": cluster.made.get("Name"),
            "AddonName": name,
            "ResolveConflicts": "OVERWRITE",
        }),
    )
    .with_some(
        "AddonVersion",
        drawing.spec().addons.versions.get(name).map(String::as_str),
    )
}

fn configured(addon: Draft, configuration: &Json) -> Draft {
    addon.with("ConfigurationValues", configuration.to_string())
}

/// What the driver needs, on the volumes and snapshots of this account and region that it marked as its own
/// (https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/AmazonEBSCSIDriverPolicyV2.json, of August
/// 2026). What that document has for volumes of the in-tree driver is left out: there are none here.
fn ebs_csi_statements(drawing: &Drawing<'_>) -> Vec<Statement> {
    const MINE: &str = "ebs.csi.aws.com/cluster";
    let requested = format!("aws:RequestTag/{MINE}");
    let tagged = format!("ec2:ResourceTag/{MINE}");
    let volumes = || drawing.regional_arn("ec2", "volume/*");
    // A snapshot's ARN names no account.
    let snapshots = || {
        format!(
            "arn:{}:ec2:{}::snapshot/*",
            drawing.partition(),
            drawing.region()
        )
    };
    let instances = || drawing.regional_arn("ec2", "instance/*");
    vec![
        Statement::allow(
            "Look",
            &[
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeSnapshots",
                "ec2:DescribeVolumeStatus",
                "ec2:DescribeVolumes",
                "ec2:DescribeVolumesModifications",
            ],
        )
        .anywhere(),
        Statement::allow("MakeVolumes", &["ec2:CreateVolume", "ec2:CopyVolumes"])
            .on([volumes()])
            .when("StringEquals", requested.clone(), "true"),
        Statement::allow("CopyItsVolumes", &["ec2:CopyVolumes"])
            .on([drawing.regional_arn("ec2", "volume/vol-*")])
            .when("StringEquals", tagged.clone(), "true"),
        Statement::allow(
            "MakeVolumesOfItsSnapshots",
            &["ec2:CreateVolume", "ec2:EnableFastSnapshotRestores"],
        )
        .on([snapshots()])
        .when("StringEquals", tagged.clone(), "true"),
        Statement::allow(
            "UseItsVolumes",
            &[
                "ec2:AttachVolume",
                "ec2:DeleteVolume",
                "ec2:DetachVolume",
                "ec2:ModifyVolume",
            ],
        )
        .on([volumes()])
        .when("StringEquals", tagged.clone(), "true"),
        Statement::allow(
            "AttachToInstances",
            &["ec2:AttachVolume", "ec2:DetachVolume"],
        )
        .on([instances()]),
        Statement::allow("MakeSnapshots", &["ec2:CreateSnapshot"])
            .on([snapshots()])
            .when("StringEquals", requested, "true"),
        Statement::allow("SnapshotItsVolumes", &["ec2:CreateSnapshot"])
            .on([volumes()])
            .when("StringEquals", tagged.clone(), "true"),
        Statement::allow(
            "DeleteItsSnapshots",
            &["ec2:DeleteSnapshot", "ec2:LockSnapshot"],
        )
        .on([snapshots()])
        .when("StringEquals", tagged.clone(), "true"),
        Statement::allow("TagWhatItMakes", &["ec2:CreateTags"])
            .on([volumes(), snapshots().into()])
            .when(
                "StringEquals",
                "ec2:CreateAction",
                value!(["CreateVolume", "CreateSnapshot", "CopyVolumes"]),
            ),
        Statement::allow("TagItsVolumes", &["ec2:CreateTags", "ec2:DeleteTags"])
            .on([volumes()])
            .when("StringEquals", tagged, "true")
            .when("Null", "aws:TagKeys", "false")
            .when(
                "ForAllValues:StringNotEquals",
                "aws:TagKeys",
                value!([
                    MINE,
                    "ebs.csi.aws.com/cluster-name",
                    "kubernetes.io/created-for/pvc/name"
                ]),
            ),
    ]
}
