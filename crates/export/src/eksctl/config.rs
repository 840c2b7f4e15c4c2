//! eksctl's ClusterConfig (`eksctl.io/v1alpha5`), as far as the platform uses it.
//!
//! Field names and types: the schema of eksctl 0.230.0 (`pkg/apis/eksctl.io/v1alpha5/assets/schema.json`, which `eksctl
//! utils schema` prints). eksctl refuses fields that it does not know, so nothing is here that 0.230.0 does not have.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;

/// The whole file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterConfig {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upgrade_policy: Option<UpgradePolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kubernetes_network_config: Option<KubernetesNetworkConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) availability_zones: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vpc: Option<Vpc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iam: Option<Iam>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) access_config: Option<AccessConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secrets_encryption: Option<SecretsEncryption>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cloud_watch: Option<CloudWatch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zonal_shift_config: Option<ZonalShiftConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) addons_config: Option<AddonsConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) addons: Vec<Addon>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) managed_node_groups: Vec<ManagedNodeGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) karpenter: Option<Karpenter>,
}

impl ClusterConfig {
    /// One with nothing but its cluster.
    pub(super) fn new(metadata: Metadata) -> Self {
        Self {
            api_version: "eksctl.io/v1alpha5",
            kind: "ClusterConfig",
            metadata,
            upgrade_policy: None,
            kubernetes_network_config: None,
            availability_zones: Vec::new(),
            vpc: None,
            iam: None,
            access_config: None,
            secrets_encryption: None,
            cloud_watch: None,
            zonal_shift_config: None,
            addons_config: None,
            addons: Vec::new(),
            managed_node_groups: Vec::new(),
            karpenter: None,
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) region: String,
    /// The Kubernetes version; none where the cluster is there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpgradePolicy {
    /// `STANDARD` or `EXTENDED`.
    pub(super) support_type: String,
}

#[derive(Debug, Serialize)]
pub(super) struct KubernetesNetworkConfig {
    /// `IPv4` or `IPv6`.
    #[serde(rename = "ipFamily", skip_serializing_if = "Option::is_none")]
    pub(super) ip_family: Option<&'static str>,
    #[serde(rename = "serviceIPv4CIDR", skip_serializing_if = "Option::is_none")]
    pub(super) service_ipv4_cidr: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vpc {
    /// An existing one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cidr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subnets: Option<Subnets>,
    #[serde(
        rename = "controlPlaneSubnetIDs",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(super) control_plane_subnet_ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nat: Option<Nat>,
    pub(super) cluster_endpoints: ClusterEndpoints,
    #[serde(rename = "publicAccessCIDRs", skip_serializing_if = "Vec::is_empty")]
    pub(super) public_access_cidrs: Vec<String>,
}

/// Existing subnets, by names of ours.
#[derive(Debug, Default, Serialize)]
pub(super) struct Subnets {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) private: BTreeMap<String, Subnet>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) public: BTreeMap<String, Subnet>,
}

#[derive(Debug, Serialize)]
pub(super) struct Subnet {
    pub(super) id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Nat {
    /// `HighlyAvailable`, `Single` or `Disable`.
    pub(super) gateway: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterEndpoints {
    pub(super) public_access: bool,
    pub(super) private_access: bool,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Iam {
    #[serde(rename = "withOIDC")]
    pub(super) with_oidc: bool,
    #[serde(rename = "serviceRoleARN", skip_serializing_if = "Option::is_none")]
    pub(super) service_role_arn: Option<String>,
    #[serde(
        rename = "vpcResourceControllerPolicy",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) vpc_resource_controller_policy: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) service_accounts: Vec<ServiceAccount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pod_identity_associations: Vec<PodIdentityAssociation>,
}

/// A role for a service account by way of the OIDC provider.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceAccount {
    pub(super) metadata: ServiceAccountMetadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role_name: Option<String>,
    /// The role alone: the service account comes with its chart or add-on.
    pub(super) role_only: bool,
    #[serde(rename = "attachPolicyARNs", skip_serializing_if = "Vec::is_empty")]
    pub(super) attach_policy_arns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attach_policy: Option<Json>,
}

#[derive(Debug, Serialize)]
pub(super) struct ServiceAccountMetadata {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A role for a service account by way of EKS Pod Identity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodIdentityAssociation {
    pub(super) namespace: String,
    pub(super) service_account_name: String,
    /// An existing role.
    #[serde(rename = "roleARN", skip_serializing_if = "Option::is_none")]
    pub(super) role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role_name: Option<String>,
    #[serde(rename = "permissionPolicyARNs", skip_serializing_if = "Vec::is_empty")]
    pub(super) permission_policy_arns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permission_policy: Option<Json>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authentication_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bootstrap_cluster_creator_admin_permissions: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) access_entries: Vec<AccessEntry>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessEntry {
    #[serde(rename = "principalARN")]
    pub(super) principal_arn: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) access_policies: Vec<AccessPolicy>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessPolicy {
    #[serde(rename = "policyARN")]
    pub(super) policy_arn: String,
    pub(super) access_scope: AccessScope,
}

#[derive(Debug, Serialize)]
pub(super) struct AccessScope {
    /// `cluster` or `namespace`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) namespaces: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct SecretsEncryption {
    #[serde(rename = "keyARN")]
    pub(super) key_arn: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CloudWatch {
    pub(super) cluster_logging: ClusterLogging,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterLogging {
    pub(super) enable_types: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_retention_in_days: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct ZonalShiftConfig {
    pub(super) enabled: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddonsConfig {
    pub(super) disable_default_addons: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Addon {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resolve_conflicts: Option<String>,
    /// JSON, as EKS takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) configuration_values: Option<String>,
    #[serde(
        rename = "serviceAccountRoleARN",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) service_account_role_arn: Option<String>,
    #[serde(rename = "attachPolicyARNs", skip_serializing_if = "Vec::is_empty")]
    pub(super) attach_policy_arns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attach_policy: Option<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pod_identity_associations: Vec<PodIdentityAssociation>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ManagedNodeGroup {
    pub(super) name: String,
    pub(super) ami_family: &'static str,
    pub(super) instance_types: Vec<String>,
    pub(super) spot: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance_name: Option<String>,
    pub(super) min_size: u64,
    pub(super) desired_capacity: u64,
    pub(super) max_size: u64,
    pub(super) private_networking: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) volume_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) volume_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) volume_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) volume_encrypted: Option<bool>,
    #[serde(rename = "disableIMDSv1")]
    pub(super) disable_imds_v1: bool,
    #[serde(rename = "disablePodIMDS")]
    pub(super) disable_pod_imds: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) taints: Vec<Taint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) update_config: Option<UpdateConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_repair_config: Option<NodeRepairConfig>,
    pub(super) iam: NodeGroupIam,
}

#[derive(Debug, Serialize)]
pub(super) struct Taint {
    pub(super) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub(super) effect: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_unavailable: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_unavailable_percentage: Option<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct NodeRepairConfig {
    pub(super) enabled: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodeGroupIam {
    /// An existing role.
    #[serde(rename = "instanceRoleARN", skip_serializing_if = "Option::is_none")]
    pub(super) instance_role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance_role_name: Option<String>,
    #[serde(rename = "attachPolicyARNs", skip_serializing_if = "Vec::is_empty")]
    pub(super) attach_policy_arns: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Karpenter {
    pub(super) version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default_instance_profile: Option<String>,
    pub(super) with_spot_interruption_queue: bool,
}
