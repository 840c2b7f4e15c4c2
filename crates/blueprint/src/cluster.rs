//! The EKS control plane, who may administer it, and how its pods come to AWS credentials.

use std::collections::BTreeSet;

use graph::{Parameter, Value, value};
use spec::model::{ControlPlaneLog, SupportType};

use crate::draft::{Draft, Drawing, Made};
use crate::iam::Identity;
use crate::naming::slug;
use crate::network::Network;
use crate::{policy, types};

/// What the other components need of the cluster.
pub(crate) struct Cluster {
    /// The cluster.
    pub(crate) made: Made,
    /// The deployer's access entry: before it nobody can use the Kubernetes API.
    pub(crate) deployer: Made,
    /// How its pods come to their roles.
    pub(crate) identity: Identity,
}

pub(crate) fn draw(drawing: &mut Drawing<'_>, network: &Network) -> Cluster {
    let spec = drawing.spec();
    let name = drawing.scope_name();
    // EKS makes the log group by itself, without a retention, if it is not there first.
    let log_group = (!spec.cluster.logs.types.is_empty()).then(|| {
        drawing.add(Draft::new(
            "cluster/log-group",
            types::LOG_GROUP,
            value!({
                "LogGroupName": format!("/aws/eks/{name}/cluster"),
                "RetentionInDays": spec.cluster.logs.retention_days,
            }),
        ))
    });
    let role = drawing.add(Draft::new(
        "cluster/role",
        types::ROLE,
        value!({
            "RoleName": drawing.name("cluster"),
            "Description": "The EKS control plane",
            "AssumeRolePolicyDocument": policy::assumed_by("eks.amazonaws.com"),
            "ManagedPolicyArns": [drawing.managed_policy("AmazonEKSClusterPolicy")],
        }),
    ));

    let endpoint = &spec.cluster.endpoint;
    let mut vpc_config = value!({
        "SubnetIds": network.private_ids(),
        "EndpointPublicAccess": endpoint.public,
        "EndpointPrivateAccess": endpoint.private,
    });
    if let (Value::Object(config), true) = (&mut vpc_config, endpoint.public) {
        let sources: Vec<String> = endpoint
            .public_cidrs
            .iter()
            .map(ToString::to_string)
            .collect();
        config.insert("PublicAccessCidrs".to_owned(), sources.into());
    }
    let logs: BTreeSet<ControlPlaneLog> = spec.cluster.logs.types.iter().copied().collect();
    let logs: Vec<Value> = logs
        .into_iter()
        .map(|log| value!({ "Type": log_type(log) }))
        .collect();

    let draft = Draft::new(
        "cluster/cluster",
        types::CLUSTER,
        value!({
            "Name": name.as_str(),
            "Version": spec.kubernetes.version.as_str(),
            "RoleArn": role.arn(),
            "ResourcesVpcConfig": vpc_config,
            // Access entries alone say who gets in; nobody does for merely having made the cluster.
            "AccessConfig": { "AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": false },
            // VPC CNI, kube-proxy and CoreDNS come as add-ons that EKS manages, not as manifests that nobody does.
            "BootstrapSelfManagedAddons": false,
            "Logging": { "ClusterLogging": { "EnabledTypes": logs } },
            "UpgradePolicy": {
                "SupportType": match spec.kubernetes.support {
                    SupportType::Standard => "STANDARD",
                    SupportType::Extended => "EXTENDED",
                },
            },
            "DeletionProtection": spec.cluster.deletion_protection,
        }),
    )
    .after(&log_group);
    let key = spec.cluster.secrets_encryption.then(|| draw_key(drawing));
    let encryption =
        key.map(|key| value!([{ "Provider": { "KeyArn": key.arn() }, "Resources": ["secrets"] }]));
    let made = drawing.add(draft.with_some("EncryptionConfig", encryption));

    let deployer = admin(
        drawing,
        "deployer",
        &made,
        Value::Parameter(Parameter::Deployer),
    );
    let mut taken = BTreeSet::new();
    for principal in &spec.cluster.admins {
        let (short, long) = admin_names(principal);
        let name = if taken.insert(short.clone()) {
            short
        } else {
            long
        };
        admin(
            drawing,
            &format!("admin-{name}"),
            &made,
            principal.as_str().into(),
        );
    }
    let identity = Identity::draw(drawing, &made);
    Cluster {
        made,
        deployer,
        identity,
    }
}

/// The key that Kubernetes secrets are encrypted with. Its policy is KMS's default: IAM of the account decides.
fn draw_key(drawing: &mut Drawing<'_>) -> Made {
    let key = drawing.add(Draft::new(
        "cluster/secrets-key",
        types::KMS_KEY,
        value!({
            "Description": format!("Kubernetes secrets of {}", drawing.scope_name()),
            "EnableKeyRotation": true,
        }),
    ));
    drawing.add(Draft::new(
        "cluster/secrets-key-alias",
        types::KMS_ALIAS,
        value!({
            "AliasName": format!("alias/{}", drawing.name("secrets")),
            "TargetKeyId": key.get("KeyId"),
        }),
    ));
    key
}

fn admin(drawing: &mut Drawing<'_>, name: &str, cluster: &Made, principal: Value) -> Made {
    let policy = format!(
        "arn:{}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy",
        drawing.partition()
    );
    drawing.add(Draft::new(
        format!("cluster/access-entry/{name}"),
        types::ACCESS_ENTRY,
        value!({
            "ClusterName": cluster.get("Name"),
            "PrincipalArn": principal,
            "Type": "STANDARD",
            "AccessPolicies": [{ "PolicyArn": policy, "AccessScope": { "Type": "cluster" } }],
        }),
    ))
}

/// What an administrator is called in addresses: the last part of the ARN, or all from the account on where that is
/// taken (`arn:aws:iam::111122223333:role/ops` is `ops`, or `111122223333-role-ops`).
fn admin_names(principal: &str) -> (String, String) {
    let short = principal.rsplit('/').next().unwrap_or(principal);
    let long = principal.splitn(5, ':').last().unwrap_or(principal);
    (slug(short), slug(long))
}

fn log_type(log: ControlPlaneLog) -> &'static str {
    match log {
        ControlPlaneLog::Api => "api",
        ControlPlaneLog::Audit => "audit",
        ControlPlaneLog::Authenticator => "authenticator",
        ControlPlaneLog::ControllerManager => "controllerManager",
        ControlPlaneLog::Scheduler => "scheduler",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_are_called_by_the_end_of_their_arn() {
        assert_eq!(
            admin_names("arn:aws:iam::111122223333:role/team/Ops"),
            ("ops".to_owned(), "111122223333-role-team-ops".to_owned())
        );
    }
}
