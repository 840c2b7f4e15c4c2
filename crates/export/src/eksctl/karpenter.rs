//! `karpenter`: eksctl installs Karpenter and makes its own of all that it needs of AWS.
//!
//! What eksctl makes is not what the graph says, but stands for it: a controller's role with a wider policy and by way of
//! the OIDC provider, a node role and a queue of other names, four of the five event rules (`usage/eksctl-karpenter` of
//! its user guide; `pkg/cfn/builder/karpenter.go` and `pkg/actions/karpenter/create.go` of eksctl 0.230.0). It lets the nodes in by the `aws-auth` config map, which a cluster with access entries alone does not read:
//! the file `karpenter-nodes.yaml` has their entry, for after the cluster, since EKS takes no entry of a role that is not
//! there yet.

use catalog::charts::KARPENTER;
use catalog::versions::KubernetesVersion;
use graph::Resource;
use serde_json::Value as Json;

use super::cluster::access_entry;
use super::config::{AccessConfig, AccessEntry, ClusterConfig, Karpenter, Metadata};
use super::ledger::{Fate, Reader, literal};
use super::text::referred;
use super::{Scene, Sheet};
use crate::Module;

/// Stands for a version of Karpenter that runs on the cluster. eksctl itself refuses it, since it is no version.
pub(super) const KARPENTER_VERSION: &str = "<KARPENTER_VERSION>";

/// How eksctl's node role begins; the cluster's name follows.
const NODE_ROLE: &str = "eksctl-KarpenterNodeRole-";
/// The longest name that IAM takes for a role.
const LONGEST_ROLE: usize = 64;

/// The tag that eksctl puts on the security groups for Karpenter to find, when `metadata.tags` has it.
const DISCOVERY: &str = "karpenter.sh/discovery";

/// What eksctl makes with Karpenter.
const WITH_KARPENTER: [(&str, &str); 4] = [
    ("AWS::IAM::Role", "karpenter"),
    ("AWS::EKS::PodIdentityAssociation", "karpenter"),
    ("AWS::SQS::Queue", WITH_QUEUE),
    ("AWS::SQS::QueueInlinePolicy", WITH_QUEUE),
];
const WITH_QUEUE: &str = "karpenter.withSpotInterruptionQueue";
/// The events that eksctl makes rules for.
const EVENTS: [&str; 4] = [
    "AWS Health Event",
    "EC2 Instance Rebalance Recommendation",
    "EC2 Instance State-change Notification",
    "EC2 Spot Instance Interruption Warning",
];

pub(super) fn draw(scene: &Scene<'_>, sheet: &mut Sheet) {
    let of_karpenter = |type_name| {
        scene
            .of_type(type_name)
            .filter(|resource: &&Resource| scene.is_of(resource, Module::Karpenter))
    };
    let Some(role) = of_karpenter("AWS::IAM::Role").next() else {
        return;
    };
    let node_role = format!("{NODE_ROLE}{}", scene.cluster_name());
    if node_role.len() > LONGEST_ROLE {
        let why = format!(
            "eksctl calls the role of Karpenter's nodes `{node_role}`, which is longer than the {LONGEST_ROLE} \
             characters that IAM takes; a shorter platform or environment name makes it fit"
        );
        sheet.refuse(&role.address, why);
    }
    let mut default_instance_profile = None;
    for profile in of_karpenter("AWS::IAM::InstanceProfile") {
        let mut reader = Reader::new(profile);
        default_instance_profile = reader.string("InstanceProfileName").map(str::to_owned);
        reader.get("Roles");
        sheet
            .ledger
            .expressed("karpenter.defaultInstanceProfile", reader);
    }
    sheet.config.karpenter = Some(Karpenter {
        version: version(sheet.config.metadata.version.as_deref()).to_owned(),
        default_instance_profile,
        with_spot_interruption_queue: of_karpenter("AWS::SQS::Queue").next().is_some(),
    });
    // eksctl installs Karpenter with a role by way of the OIDC provider, whatever the other roles are.
    sheet.config.iam.get_or_insert_default().with_oidc = true;
    let name = scene.cluster_name().to_owned();
    sheet
        .config
        .metadata
        .tags
        .insert(DISCOVERY.to_owned(), name);
    draw_entries(
        scene,
        sheet,
        &node_role,
        of_karpenter("AWS::EKS::AccessEntry"),
    );
    for (type_name, field) in WITH_KARPENTER {
        for resource in of_karpenter(type_name) {
            sheet
                .ledger
                .enter(&resource.address, Fate::Implied { field });
        }
    }
    for rule in of_karpenter("AWS::Events::Rule") {
        let pattern = rule.properties.get("EventPattern").and_then(literal);
        let pattern: Option<Json> = pattern.and_then(|text| serde_json::from_str(text).ok());
        let events = pattern
            .as_ref()
            .and_then(|pattern| pattern.get("detail-type")?.as_array());
        let made = events.is_some_and(|events| {
            let known = |event: &Json| event.as_str().is_some_and(|event| EVENTS.contains(&event));
            !events.is_empty() && events.iter().all(known)
        });
        if made {
            let field = WITH_QUEUE;
            sheet.ledger.enter(&rule.address, Fate::Implied { field });
        }
    }
}

/// The entries of Karpenter's nodes: those of the role that eksctl makes instead of the graph's.
fn draw_entries<'r>(
    scene: &Scene<'_>,
    sheet: &mut Sheet,
    node_role: &str,
    resources: impl Iterator<Item = &'r Resource>,
) {
    let mut entries: Vec<AccessEntry> = Vec::new();
    for resource in resources {
        let mut reader = Reader::new(resource);
        reader.get("ClusterName");
        let drawn = access_entry(scene, &mut reader);
        let Some(mut entry) = sheet.accept(&resource.address, drawn) else {
            continue;
        };
        let principal = resource.properties.get("PrincipalArn");
        if principal.and_then(referred).is_some() {
            let partition = catalog::regions::partition(scene.region());
            entry.principal_arn =
                format!("arn:{partition}:iam::{}:role/{node_role}", scene.account());
        }
        entries.push(entry);
        sheet
            .ledger
            .expressed("accessConfig.accessEntries of karpenter-nodes.yaml", reader);
    }
    if entries.is_empty() {
        return;
    }
    let mut afterwards = ClusterConfig::new(Metadata {
        name: scene.cluster_name().to_owned(),
        region: scene.region().to_owned(),
        version: None,
        tags: Default::default(),
    });
    afterwards.access_config = Some(AccessConfig {
        authentication_mode: None,
        bootstrap_cluster_creator_admin_permissions: None,
        access_entries: entries,
    });
    sheet.afterwards = Some(afterwards);
}

/// The version of Karpenter for a version of Kubernetes: the one that a deploy installs, where it runs on it.
fn version(kubernetes: Option<&str>) -> &'static str {
    let kubernetes = kubernetes.and_then(|text| text.parse::<KubernetesVersion>().ok());
    match kubernetes {
        Some(version) if KARPENTER.runs_on(version) => KARPENTER.version,
        _ => KARPENTER_VERSION,
    }
}

#[cfg(test)]
mod tests {
    use catalog::versions::RELEASES;

    use super::*;

    #[test]
    fn every_known_kubernetes_has_a_karpenter_and_no_other_is_guessed_at() {
        for release in RELEASES {
            assert_eq!(
                version(Some(&release.version.to_string())),
                KARPENTER.version
            );
        }
        assert_eq!(version(Some("1.37")), KARPENTER_VERSION);
        assert_eq!(version(Some("1.25")), KARPENTER_VERSION);
        assert_eq!(version(None), KARPENTER_VERSION);
    }
}
