//! What is the control plane's: encryption, logs, who gets in, support, the OIDC provider.

use graph::{Lifecycle, Parameter, Resource, Value};

use super::config::{
    AccessConfig, AccessEntry, AccessPolicy, AccessScope, AddonsConfig, CloudWatch, ClusterLogging,
    Iam, KubernetesNetworkConfig, SecretsEncryption, UpgradePolicy, ZonalShiftConfig,
};
use super::identity::{Trust, trust};
use super::ledger::{Fate, Reader, items, literal, property, strings};
use super::text::referred;
use super::{Scene, Sheet};
use crate::Module;

/// Stands for the ARN of the key that Kubernetes secrets are encrypted with. eksctl itself refuses it, since it is no ARN.
pub(super) const SECRETS_KEY_ARN: &str = "<SECRETS_KEY_ARN>";

/// What the control plane may do beside `AmazonEKSClusterPolicy`; eksctl attaches it unless told not to.
const VPC_RESOURCE_CONTROLLER: &str = "AmazonEKSVPCResourceController";

pub(super) fn draw(scene: &Scene<'_>, sheet: &mut Sheet, cluster: &mut Reader<'_>) {
    sheet.config.upgrade_policy = cluster
        .string("UpgradePolicy.SupportType")
        .map(|support_type| UpgradePolicy {
            support_type: support_type.to_owned(),
        });
    sheet.config.zonal_shift_config = cluster
        .bool("ZonalShiftConfig.Enabled")
        .map(|enabled| ZonalShiftConfig { enabled });
    sheet.config.kubernetes_network_config = network(cluster);
    // eksctl makes clusters without self-managed add-ons, and adds the default ones by itself unless told not to.
    cluster.agrees("BootstrapSelfManagedAddons", &Value::Bool(false));
    sheet.config.addons_config = Some(AddonsConfig {
        disable_default_addons: true,
    });
    cluster.agrees("DeletionProtection", &Value::Bool(false));
    sheet.config.iam = Some(Iam::default());
    draw_role(scene, sheet, cluster);
    draw_oidc_provider(scene, sheet);
    draw_encryption(scene, sheet, cluster);
    draw_logs(scene, sheet, cluster);
    draw_access(scene, sheet, cluster);
}

fn network(cluster: &mut Reader<'_>) -> Option<KubernetesNetworkConfig> {
    let ip_family = match cluster.string("KubernetesNetworkConfig.IpFamily") {
        Some("ipv6") => Some("IPv6"),
        Some(_) => Some("IPv4"),
        None => None,
    };
    let service_ipv4_cidr = cluster
        .string("KubernetesNetworkConfig.ServiceIpv4Cidr")
        .map(str::to_owned);
    (ip_family.is_some() || service_ipv4_cidr.is_some()).then_some(KubernetesNetworkConfig {
        ip_family,
        service_ipv4_cidr,
    })
}

fn draw_role(scene: &Scene<'_>, sheet: &mut Sheet, cluster: &mut Reader<'_>) {
    let Some(arn) = cluster.get("RoleArn") else {
        return;
    };
    let iam = sheet.config.iam.get_or_insert_default();
    let Some(role) = referred(arn).and_then(|address| scene.graph.get(address)) else {
        return;
    };
    if matches!(role.lifecycle, Lifecycle::Existing(_)) {
        iam.service_role_arn = scene.text(arn).ok();
        sheet.ledger.enter(
            &role.address,
            Fate::Referenced {
                field: "iam.serviceRoleARN",
            },
        );
        return;
    }
    let mut reader = Reader::new(role);
    let policies = strings(role.properties.get("ManagedPolicyArns"));
    let named = |name: &str| {
        policies
            .iter()
            .any(|arn| arn.ends_with(&format!("/{name}")))
    };
    iam.vpc_resource_controller_policy = Some(named(VPC_RESOURCE_CONTROLLER));
    let known = 1 + usize::from(named(VPC_RESOURCE_CONTROLLER));
    if named("AmazonEKSClusterPolicy") && policies.len() == known {
        reader.get("ManagedPolicyArns");
    }
    if trust(role) == Some(Trust::Service("eks".to_owned())) {
        reader.get("AssumeRolePolicyDocument");
    }
    sheet
        .ledger
        .expressed("iam.vpcResourceControllerPolicy", reader);
}

fn draw_oidc_provider(scene: &Scene<'_>, sheet: &mut Sheet) {
    for provider in scene.of_type("AWS::IAM::OIDCProvider") {
        let mut reader = Reader::new(provider);
        reader.get("Url");
        reader.agrees("ClientIdList", &Value::array(["sts.amazonaws.com".into()]));
        sheet.ledger.expressed("iam.withOIDC", reader);
        sheet.config.iam.get_or_insert_default().with_oidc = true;
    }
}

fn draw_encryption(scene: &Scene<'_>, sheet: &mut Sheet, cluster: &mut Reader<'_>) {
    let Some(arn) = cluster.get("EncryptionConfig.Provider.KeyArn") else {
        return;
    };
    cluster.agrees(
        "EncryptionConfig.Resources",
        &Value::array(["secrets".into()]),
    );
    let field = "secretsEncryption.keyARN";
    if let Some(key) = referred(arn) {
        sheet.ledger.enter(key, Fate::Referenced { field });
    }
    let key_arn = scene
        .text(arn)
        .unwrap_or_else(|_| SECRETS_KEY_ARN.to_owned());
    sheet.config.secrets_encryption = Some(SecretsEncryption { key_arn });
}

fn draw_logs(scene: &Scene<'_>, sheet: &mut Sheet, cluster: &mut Reader<'_>) {
    let types: Vec<String> = items(cluster.get("Logging.ClusterLogging.EnabledTypes"))
        .iter()
        .filter_map(|entry| literal(property(entry, "Type")?))
        .map(str::to_owned)
        .collect();
    if types.is_empty() {
        return;
    }
    // The log group is EKS's by its name; eksctl sets its retention once it is there.
    let name = format!("/aws/eks/{}/cluster", scene.cluster_name());
    let mut log_retention_in_days = None;
    for group in scene.of_type("AWS::Logs::LogGroup") {
        let mut reader = Reader::new(group);
        if reader.string("LogGroupName") != Some(&name)
            || matches!(group.lifecycle, Lifecycle::Existing(_))
        {
            continue;
        }
        log_retention_in_days = reader.number("RetentionInDays");
        sheet.ledger.expressed("cloudWatch.clusterLogging", reader);
    }
    let cluster_logging = ClusterLogging {
        enable_types: types,
        log_retention_in_days,
    };
    sheet.config.cloud_watch = Some(CloudWatch { cluster_logging });
}

fn draw_access(scene: &Scene<'_>, sheet: &mut Sheet, cluster: &mut Reader<'_>) {
    let mut access = AccessConfig {
        authentication_mode: cluster
            .string("AccessConfig.AuthenticationMode")
            .map(str::to_owned),
        bootstrap_cluster_creator_admin_permissions: cluster
            .bool("AccessConfig.BootstrapClusterCreatorAdminPermissions"),
        access_entries: Vec::new(),
    };
    let entries = scene
        .of_type("AWS::EKS::AccessEntry")
        .filter(|entry| !scene.is_of(entry, Module::Karpenter));
    for entry in entries {
        let mut reader = Reader::new(entry);
        reader.get("ClusterName");
        if is_deployers(entry) {
            // Who runs eksctl is who deploys; EKS makes the same entry for who makes the cluster.
            for property in ["PrincipalArn", "Type", "AccessPolicies"] {
                reader.get(property);
            }
            access.bootstrap_cluster_creator_admin_permissions = Some(true);
            sheet.ledger.expressed(
                "accessConfig.bootstrapClusterCreatorAdminPermissions",
                reader,
            );
            continue;
        }
        let drawn = access_entry(scene, &mut reader);
        access
            .access_entries
            .extend(sheet.accept(&entry.address, drawn));
        sheet.ledger.expressed("accessConfig.accessEntries", reader);
    }
    sheet.config.access_config = Some(access);
}

/// Whether an entry is the deployer's, as an administrator of the whole cluster.
fn is_deployers(entry: &Resource) -> bool {
    let policies = items(entry.properties.get("AccessPolicies"));
    let administers = policies.iter().any(|policy| {
        let arn = property(policy, "PolicyArn").and_then(literal);
        arn.is_some_and(|arn| arn.ends_with("/AmazonEKSClusterAdminPolicy"))
    });
    let principal = entry.properties.get("PrincipalArn");
    administers && principal == Some(&Value::Parameter(Parameter::Deployer))
}

/// An access entry.
///
/// # Errors
///
/// What eksctl has no words for.
pub(super) fn access_entry(
    scene: &Scene<'_>,
    reader: &mut Reader<'_>,
) -> Result<AccessEntry, String> {
    let principal = reader
        .get("PrincipalArn")
        .ok_or("an access entry has a principal")?;
    let mut access_policies = Vec::new();
    for policy in items(reader.get("AccessPolicies")) {
        let text = |name| property(policy, name).and_then(literal).map(str::to_owned);
        let scope = property(policy, "AccessScope");
        let kind = scope
            .and_then(|scope| property(scope, "Type"))
            .and_then(literal);
        access_policies.push(AccessPolicy {
            policy_arn: text("PolicyArn").ok_or("a policy's ARN that is not written out")?,
            access_scope: AccessScope {
                kind: kind.unwrap_or("cluster").to_owned(),
                namespaces: strings(scope.and_then(|scope| property(scope, "Namespaces"))),
            },
        });
    }
    Ok(AccessEntry {
        principal_arn: scene.text(principal)?,
        kind: reader.string("Type").unwrap_or("STANDARD").to_owned(),
        access_policies,
    })
}
