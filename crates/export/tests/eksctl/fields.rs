//! Each field that is written is one that eksctl documents, of the type that it documents.
//!
//! No package ships eksctl's JSON Schema, so this is it, as far as the export goes: written down from the user guide
//! (`userdocs/src/usage/` of <https://github.com/eksctl-io/eksctl>, version 0.230.0) and from the schema there
//! (`pkg/apis/eksctl.io/v1alpha5/assets/schema.json`). eksctl refuses fields that it does not know; so does this test.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::exports::all;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    Whole,
    Flag,
    Texts,
    /// Texts by keys of the writer's choice.
    Map,
    /// Any document.
    Free,
    /// An object, with the fields that it must have.
    Object(&'static [&'static str]),
    /// A list of objects, with the fields that each must have.
    List(&'static [&'static str]),
    /// Objects by keys of the writer's choice, with the fields that each must have.
    Objects(&'static [&'static str]),
}

use Kind::{Flag, Free, List, Map, Object, Objects, OneOf, Text, Texts, Whole};

/// A field's path (`[]` for each item of a list, `*` for a key of the writer's choice), what it holds, and where eksctl
/// documents it: the page of its user guide and the heading there. `schema` is the page that the schema is printed on;
/// the heading is then the definition in it.
#[rustfmt::skip]
const FIELDS: &[(&str, Kind, &str, &str)] = &[
    ("", Object(&["apiVersion", "kind", "metadata"]), "schema", "ClusterConfig"),
    ("apiVersion", OneOf(&["eksctl.io/v1alpha5"]), "creating-and-managing-clusters", "Using Config Files"),
    ("kind", OneOf(&["ClusterConfig"]), "creating-and-managing-clusters", "Using Config Files"),
    ("metadata", Object(&["name", "region"]), "creating-and-managing-clusters", "Using Config Files"),
    ("metadata.name", Text, "creating-and-managing-clusters", "Using Config Files"),
    ("metadata.region", Text, "creating-and-managing-clusters", "Using Config Files"),
    ("metadata.version", Text, "eksctl-karpenter", "Karpenter Support"),
    ("metadata.tags", Map, "eksctl-karpenter", "Karpenter Support"),
    ("upgradePolicy", Object(&["supportType"]), "upgrade-policy", "Configuration"),
    ("upgradePolicy.supportType", OneOf(&["STANDARD", "EXTENDED"]), "upgrade-policy", "Configuration"),
    ("kubernetesNetworkConfig", Object(&[]), "vpc-ip-family", "Define IP Family"),
    ("kubernetesNetworkConfig.ipFamily", OneOf(&["IPv4", "IPv6"]), "vpc-ip-family", "Define IP Family"),
    ("kubernetesNetworkConfig.serviceIPv4CIDR", Text, "schema", "KubernetesNetworkConfig"),
    ("availabilityZones", Texts, "schema", "ClusterConfig"),
    ("vpc", Object(&[]), "vpc-configuration", "Use existing VPC: other custom configuration"),
    ("vpc.id", Text, "vpc-configuration", "Use existing VPC: other custom configuration"),
    ("vpc.cidr", Text, "schema", "ClusterVPC"),
    ("vpc.subnets", Object(&[]), "vpc-subnet-settings", "Custom subnet topology"),
    ("vpc.subnets.private", Objects(&["id"]), "vpc-subnet-settings", "Custom subnet topology"),
    ("vpc.subnets.private.*.id", Text, "vpc-subnet-settings", "Custom subnet topology"),
    ("vpc.subnets.public", Objects(&["id"]), "vpc-subnet-settings", "Custom subnet topology"),
    ("vpc.subnets.public.*.id", Text, "vpc-subnet-settings", "Custom subnet topology"),
    ("vpc.controlPlaneSubnetIDs", Texts, "schema", "ClusterVPC"),
    ("vpc.nat", Object(&["gateway"]), "vpc-configuration", "NAT Gateway"),
    ("vpc.nat.gateway", OneOf(&["HighlyAvailable", "Single", "Disable"]), "vpc-configuration", "NAT Gateway"),
    ("vpc.clusterEndpoints", Object(&[]), "vpc-cluster-access", "Managing Access to the Kubernetes API Server Endpoints"),
    ("vpc.clusterEndpoints.publicAccess", Flag, "vpc-cluster-access", "Managing Access to the Kubernetes API Server Endpoints"),
    ("vpc.clusterEndpoints.privateAccess", Flag, "vpc-cluster-access", "Managing Access to the Kubernetes API Server Endpoints"),
    ("vpc.publicAccessCIDRs", Texts, "vpc-cluster-access", "Restricting Access to the EKS Kubernetes Public API endpoint"),
    ("iam", Object(&[]), "security", "`withOIDC`"),
    ("iam.withOIDC", Flag, "security", "`withOIDC`"),
    ("iam.serviceRoleARN", Text, "schema", "ClusterIAM"),
    ("iam.vpcResourceControllerPolicy", Flag, "schema", "ClusterIAM"),
    ("iam.serviceAccounts", List(&["metadata"]), "iamserviceaccounts", "Usage with config files"),
    ("iam.serviceAccounts[].metadata", Object(&["name"]), "iamserviceaccounts", "Usage with config files"),
    ("iam.serviceAccounts[].metadata.namespace", Text, "iamserviceaccounts", "Usage with config files"),
    ("iam.serviceAccounts[].metadata.name", Text, "iamserviceaccounts", "Usage with config files"),
    ("iam.serviceAccounts[].roleName", Text, "iamserviceaccounts", "Usage with config files"),
    ("iam.serviceAccounts[].roleOnly", Flag, "iamserviceaccounts", "Usage with config files"),
    ("iam.serviceAccounts[].attachPolicyARNs", Texts, "iamserviceaccounts", "Usage with config files"),
    ("iam.serviceAccounts[].attachPolicy", Free, "iamserviceaccounts", "Usage with config files"),
    ("iam.podIdentityAssociations", List(&["namespace", "serviceAccountName"]), "pod-identity-associations", "Creating Pod Identity Associations"),
    ("iam.podIdentityAssociations[].namespace", Text, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("iam.podIdentityAssociations[].serviceAccountName", Text, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("iam.podIdentityAssociations[].roleARN", Text, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("iam.podIdentityAssociations[].roleName", Text, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("iam.podIdentityAssociations[].permissionPolicyARNs", Texts, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("iam.podIdentityAssociations[].permissionPolicy", Free, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("accessConfig", Object(&[]), "access-entries", "How to enable the access entries API?"),
    ("accessConfig.authenticationMode", OneOf(&["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"]), "access-entries", "How to enable the access entries API?"),
    ("accessConfig.bootstrapClusterCreatorAdminPermissions", Flag, "access-entries", "Disabling cluster creator admin permissions"),
    ("accessConfig.accessEntries", List(&["principalARN"]), "access-entries", "IAM Entities"),
    ("accessConfig.accessEntries[].principalARN", Text, "access-entries", "IAM Entities"),
    ("accessConfig.accessEntries[].type", OneOf(&["STANDARD", "EC2_LINUX", "EC2_WINDOWS", "FARGATE_LINUX"]), "access-entries", "IAM Entities"),
    ("accessConfig.accessEntries[].accessPolicies", List(&["policyARN", "accessScope"]), "access-entries", "IAM Entities"),
    ("accessConfig.accessEntries[].accessPolicies[].policyARN", Text, "access-entries", "IAM Entities"),
    ("accessConfig.accessEntries[].accessPolicies[].accessScope", Object(&["type"]), "access-entries", "IAM Entities"),
    ("accessConfig.accessEntries[].accessPolicies[].accessScope.type", OneOf(&["namespace", "cluster"]), "access-entries", "IAM Entities"),
    ("accessConfig.accessEntries[].accessPolicies[].accessScope.namespaces", Texts, "access-entries", "IAM Entities"),
    ("secretsEncryption", Object(&["keyARN"]), "kms-encryption", "Creating a cluster with KMS encryption enabled"),
    ("secretsEncryption.keyARN", Text, "kms-encryption", "Creating a cluster with KMS encryption enabled"),
    ("cloudWatch", Object(&["clusterLogging"]), "cloudwatch-cluster-logging", "Complete example"),
    ("cloudWatch.clusterLogging", Object(&[]), "cloudwatch-cluster-logging", "Complete example"),
    ("cloudWatch.clusterLogging.enableTypes", Texts, "cloudwatch-cluster-logging", "Enable one or more logs"),
    ("cloudWatch.clusterLogging.logRetentionInDays", Whole, "cloudwatch-cluster-logging", "Log retention period"),
    ("zonalShiftConfig", Object(&["enabled"]), "zonal-shift", "Creating a cluster with zonal shift enabled"),
    ("zonalShiftConfig.enabled", Flag, "zonal-shift", "Creating a cluster with zonal shift enabled"),
    ("addonsConfig", Object(&[]), "addons", "Cluster creation flexibility for default networking addons"),
    ("addonsConfig.disableDefaultAddons", Flag, "addons", "Cluster creation flexibility for default networking addons"),
    ("addons", List(&["name"]), "addons", "Creating addons (and providing IAM permissions via IRSA)"),
    ("addons[].name", Text, "addons", "Creating addons (and providing IAM permissions via IRSA)"),
    ("addons[].version", Text, "addons", "Setting the addon's version"),
    ("addons[].resolveConflicts", OneOf(&["NONE", "OVERWRITE", "PRESERVE"]), "addons", "Creating addons (and providing IAM permissions via IRSA)"),
    ("addons[].configurationValues", Text, "addons", "Working with configuration values"),
    ("addons[].serviceAccountRoleARN", Text, "addons", "Creating addons (and providing IAM permissions via IRSA)"),
    ("addons[].attachPolicyARNs", Texts, "addons", "Creating addons (and providing IAM permissions via IRSA)"),
    ("addons[].tags", Map, "schema", "Addon"),
    ("addons[].podIdentityAssociations", List(&["namespace", "serviceAccountName"]), "pod-identity-associations", "Creating addons with IAM permissions"),
    ("addons[].podIdentityAssociations[].namespace", Text, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("addons[].podIdentityAssociations[].serviceAccountName", Text, "pod-identity-associations", "Creating addons with IAM permissions"),
    ("addons[].podIdentityAssociations[].roleARN", Text, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("addons[].podIdentityAssociations[].roleName", Text, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("addons[].podIdentityAssociations[].permissionPolicyARNs", Texts, "pod-identity-associations", "Creating addons with IAM permissions"),
    ("addons[].podIdentityAssociations[].permissionPolicy", Free, "pod-identity-associations", "Creating Pod Identity Associations"),
    ("managedNodeGroups", List(&["name"]), "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].name", Text, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].amiFamily", OneOf(&["AmazonLinux2023", "Bottlerocket"]), "custom-ami-support", "Setting the node AMI Family"),
    ("managedNodeGroups[].instanceTypes", Texts, "spot-instances", "Managed Nodegroups"),
    ("managedNodeGroups[].spot", Flag, "spot-instances", "Managed Nodegroups"),
    ("managedNodeGroups[].instanceName", Text, "schema", "ManagedNodeGroup"),
    ("managedNodeGroups[].minSize", Whole, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].desiredCapacity", Whole, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].maxSize", Whole, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].privateNetworking", Flag, "vpc-subnet-settings", "Custom subnet topology"),
    ("managedNodeGroups[].volumeName", Text, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].volumeSize", Whole, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].volumeType", OneOf(&["gp2", "gp3", "io1", "io2", "sc1", "st1"]), "schema", "ManagedNodeGroup"),
    ("managedNodeGroups[].volumeEncrypted", Flag, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].disableIMDSv1", Flag, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].disablePodIMDS", Flag, "security", "`disablePodIMDS`"),
    ("managedNodeGroups[].labels", Map, "nodegroup-managed", "New clusters"),
    ("managedNodeGroups[].taints", List(&["key", "effect"]), "nodegroup-taints", "Taints"),
    ("managedNodeGroups[].taints[].key", Text, "nodegroup-taints", "Taints"),
    ("managedNodeGroups[].taints[].value", Text, "nodegroup-taints", "Taints"),
    ("managedNodeGroups[].taints[].effect", OneOf(&["NoSchedule", "PreferNoSchedule", "NoExecute"]), "nodegroup-taints", "Taints"),
    ("managedNodeGroups[].updateConfig", Object(&[]), "nodegroup-managed", "Handling parallel upgrades for nodes"),
    ("managedNodeGroups[].updateConfig.maxUnavailable", Whole, "nodegroup-managed", "Handling parallel upgrades for nodes"),
    ("managedNodeGroups[].updateConfig.maxUnavailablePercentage", Whole, "nodegroup-managed", "Handling parallel upgrades for nodes"),
    ("managedNodeGroups[].nodeRepairConfig", Object(&["enabled"]), "nodegroup-node-repair-config", "Using configuration files"),
    ("managedNodeGroups[].nodeRepairConfig.enabled", Flag, "nodegroup-node-repair-config", "Using configuration files"),
    ("managedNodeGroups[].iam", Object(&[]), "iam-policies", "Attaching policies by ARN"),
    ("managedNodeGroups[].iam.instanceRoleARN", Text, "iam-policies", "Adding a custom instance role"),
    ("managedNodeGroups[].iam.instanceRoleName", Text, "schema", "NodeGroupIAM"),
    ("managedNodeGroups[].iam.attachPolicyARNs", Texts, "iam-policies", "Attaching policies by ARN"),
    ("karpenter", Object(&["version"]), "eksctl-karpenter", "Karpenter Support"),
    ("karpenter.version", Text, "eksctl-karpenter", "Karpenter Support"),
    ("karpenter.defaultInstanceProfile", Text, "eksctl-karpenter", "Karpenter Support"),
    ("karpenter.withSpotInterruptionQueue", Flag, "eksctl-karpenter", "Karpenter Support"),
];

/// Walks a document, and tells what is wrong with it.
struct Walk {
    kinds: BTreeMap<&'static str, Kind>,
    seen: BTreeSet<String>,
    wrong: Vec<String>,
}

impl Walk {
    fn new() -> Self {
        let kinds: BTreeMap<_, _> = FIELDS
            .iter()
            .map(|(path, kind, ..)| (*path, *kind))
            .collect();
        assert_eq!(kinds.len(), FIELDS.len(), "a field is there twice");
        Self {
            kinds,
            seen: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }

    fn field(&mut self, path: &str, value: &Json) {
        let Some(kind) = self.kinds.get(path).copied() else {
            self.wrong.push(format!("`{path}` is not documented"));
            return;
        };
        self.seen.insert(path.to_owned());
        let right = match (kind, value) {
            (Text, Json::String(_)) | (Flag, Json::Bool(_)) | (Free, Json::Object(_)) => true,
            (OneOf(texts), Json::String(text)) => texts.contains(&text.as_str()),
            (Whole, value) => value.is_u64(),
            (Texts, Json::Array(items)) => items.iter().all(Json::is_string),
            (Map, Json::Object(map)) => map.values().all(Json::is_string),
            (Object(required), Json::Object(_)) => {
                self.object(path, path, required, value);
                true
            }
            (List(required), Json::Array(items)) => {
                for item in items {
                    self.object(path, &format!("{path}[]"), required, item);
                }
                true
            }
            (Objects(required), Json::Object(map)) => {
                for item in map.values() {
                    self.object(path, &format!("{path}.*"), required, item);
                }
                true
            }
            _ => false,
        };
        if !right {
            self.wrong
                .push(format!("`{path}` is {value}, not {kind:?}"));
        }
    }

    fn object(&mut self, name: &str, path: &str, required: &[&str], value: &Json) {
        let Json::Object(object) = value else {
            self.wrong.push(format!("`{name}` has {value} in it"));
            return;
        };
        for field in required {
            if !object.contains_key(*field) {
                self.wrong.push(format!("`{name}` has no `{field}`"));
            }
        }
        for (key, value) in object {
            let inner = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            self.field(&inner, value);
        }
    }
}

#[test]
fn every_field_is_documented_and_of_the_documented_type() {
    let mut walk = Walk::new();
    for exported in all() {
        for document in exported.documents() {
            walk.field("", document);
            assert!(
                walk.wrong.is_empty(),
                "{}: {:#?}",
                exported.name,
                walk.wrong
            );
        }
    }
    let unseen: Vec<_> = FIELDS
        .iter()
        .map(|(path, ..)| *path)
        .filter(|path| !walk.seen.contains(*path))
        .collect();
    assert!(unseen.is_empty(), "no platform has {unseen:?}");
}

#[test]
fn the_walk_finds_what_is_wrong() {
    let exported = all()
        .iter()
        .find(|exported| exported.name == "everything, irsa")
        .unwrap();
    let wrong_with = |change: &dyn Fn(&mut Json)| {
        let mut document = exported.cluster.clone();
        change(&mut document);
        let mut walk = Walk::new();
        walk.field("", &document);
        walk.wrong
    };
    assert_eq!(wrong_with(&|_| {}), Vec::<String>::new());
    type Change<'a> = (&'a dyn Fn(&mut Json), &'static str);
    let changes: [Change<'_>; 6] = [
        (
            &|all| all["vpc"]["nats"] = 1.into(),
            "`vpc.nats` is not documented",
        ),
        (
            &|all| all["iam"]["withOIDC"] = "yes".into(),
            "`iam.withOIDC` is \"yes\", not Flag",
        ),
        (
            &|all| all["metadata"]["version"] = 1.36.into(),
            "`metadata.version` is 1.36, not Text",
        ),
        (
            &|all| all["vpc"]["nat"]["gateway"] = "Two".into(),
            "`vpc.nat.gateway` is \"Two\", not OneOf",
        ),
        (
            &|all| {
                all["addons"][0].as_object_mut().unwrap().remove("name");
            },
            "`addons` has no `name`",
        ),
        (
            &|all| all["managedNodeGroups"][0]["minSize"] = "2".into(),
            "`managedNodeGroups[].minSize` is \"2\", not Whole",
        ),
    ];
    for (change, message) in changes {
        let wrong = wrong_with(change);
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].starts_with(message), "{} for {message}", wrong[0]);
    }
}
