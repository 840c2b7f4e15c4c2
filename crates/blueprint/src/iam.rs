//! Identities of what runs in the cluster: a role for each service account, trusted by way of EKS Pod Identity or of the
//! cluster's OIDC provider.

use graph::{Value, value};
use spec::model::WorkloadIdentity;

use crate::draft::{Draft, Drawing, Made, account};
use crate::policy::{self, Statement};
use crate::types;

/// A Kubernetes service account: who a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// The service accounts that the platform's roles trust, as the components' own manifests and charts name them.
impl ServiceAccount {
    /// The VPC CNI's, of the EKS add-on.
    pub const VPC_CNI: Self = Self {
        namespace: "kube-system",
        name: "aws-node",
    };
    /// The EBS CSI controller's, of the EKS add-on.
    pub const EBS_CSI: Self = Self {
        namespace: "kube-system",
        name: "ebs-csi-controller-sa",
    };
    /// The CloudWatch agent's, of the EKS add-on.
    pub const CLOUDWATCH_AGENT: Self = Self {
        namespace: "amazon-cloudwatch",
        name: "cloudwatch-agent",
    };
    /// Karpenter's, where its documentation installs it.
    pub const KARPENTER: Self = Self {
        namespace: "kube-system",
        name: "karpenter",
    };
    /// The AWS Load Balancer Controller's, where its documentation installs it.
    pub const LOAD_BALANCER_CONTROLLER: Self = Self {
        namespace: "kube-system",
        name: "aws-load-balancer-controller",
    };
    /// The External Secrets Operator's, where its documentation installs it.
    pub const EXTERNAL_SECRETS: Self = Self {
        namespace: "external-secrets",
        name: "external-secrets",
    };
}

/// How this cluster's pods come to their roles.
pub(crate) enum Identity {
    /// EKS Pod Identity: an association of role and service account in EKS.
    PodIdentity,
    /// IAM roles for service accounts: the role trusts this OIDC provider.
    Irsa {
        /// The provider, in IAM.
        provider: Made,
        /// The issuer without its scheme, as conditions name it.
        issuer: Value,
    },
}

impl Identity {
    pub(crate) fn draw(drawing: &mut Drawing<'_>, cluster: &Made) -> Self {
        match drawing.spec().cluster.workload_identity {
            WorkloadIdentity::PodIdentity => Self::PodIdentity,
            WorkloadIdentity::Irsa => {
                let url = cluster.get("OpenIdConnectIssuerUrl");
                let provider = drawing.add(Draft::new(
                    "cluster/oidc-provider",
                    types::OIDC_PROVIDER,
                    // No thumbprint: IAM verifies EKS's issuers by its own root certificates
                    // (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_verify-thumbprint.html).
                    value!({ "Url": url.clone(), "ClientIdList": ["sts.amazonaws.com"] }),
                ));
                let issuer = Value::Split {
                    of: Box::new(url),
                    separator: "https://".to_owned(),
                    index: 1,
                };
                Self::Irsa { provider, issuer }
            }
        }
    }

    /// Who may assume a role: the pods of one service account of this cluster, nobody else.
    pub(crate) fn trust(&self, drawing: &Drawing<'_>, account_of: ServiceAccount) -> Value {
        match self {
            // The session tags that EKS sets are what tells one association from another
            // (https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html).
            Self::PodIdentity => policy::document([Statement::allow(
                "AssumedByPods",
                &["sts:AssumeRole", "sts:TagSession"],
            )
            .by_service("pods.eks.amazonaws.com")
            .when("StringEquals", "aws:SourceAccount", account())
            .when(
                "StringEquals",
                "aws:RequestTag/eks-cluster-name",
                drawing.scope_name(),
            )
            .when(
                "StringEquals",
                "aws:RequestTag/kubernetes-namespace",
                account_of.namespace,
            )
            .when(
                "StringEquals",
                "aws:RequestTag/kubernetes-service-account",
                account_of.name,
            )]),
            Self::Irsa { provider, issuer } => {
                // The keys of the conditions hold the issuer, which is not known before the cluster is there, so this
                // document can only be written as text.
                let subject = format!(
                    "system:serviceaccount:{}:{}",
                    account_of.namespace, account_of.name
                );
                Value::join([
                    concat!(
                        r#"{"Version":"2012-10-17","Statement":[{"Sid":"AssumedByPods","Effect":"Allow","#,
                        r#""Action":"sts:AssumeRoleWithWebIdentity","Principal":{"Federated":""#
                    )
                    .into(),
                    provider.arn(),
                    r#""},"Condition":{"StringEquals":{""#.into(),
                    issuer.clone(),
                    r#":aud":"sts.amazonaws.com",""#.into(),
                    issuer.clone(),
                    format!(r#":sub":"{subject}"}}}}}}]}}"#).into(),
                ])
            }
        }
    }

    /// Gives an EKS add-on its role. With Pod Identity the add-on owns the association, so that it is there before the
    /// add-on's first pod is: a pod that starts without it stays without credentials.
    pub(crate) fn give(&self, addon: Draft, role: &Made, account_of: ServiceAccount) -> Draft {
        match self {
            Self::PodIdentity => addon.with(
                "PodIdentityAssociations",
                value!([{ "ServiceAccount": account_of.name, "RoleArn": role.arn() }]),
            ),
            Self::Irsa { .. } => addon.with("ServiceAccountRoleArn", role.arn()),
        }
    }

    /// What a service account says of its role, when the role is not associated with it in EKS.
    pub(crate) fn annotations(&self, role: &Made) -> Option<Value> {
        match self {
            Self::PodIdentity => None,
            Self::Irsa { .. } => Some(value!({ "eks.amazonaws.com/role-arn": role.arn() })),
        }
    }

    /// Associates a role with a service account that is not an add-on's, after `after`. With IRSA there is nothing to do
    /// in AWS: the service account names the role ([`Self::annotations`]).
    pub(crate) fn associate(
        &self,
        drawing: &mut Drawing<'_>,
        address: &str,
        cluster: &Made,
        role: &Made,
        account_of: ServiceAccount,
        after: &[Made],
    ) -> Option<Made> {
        match self {
            Self::Irsa { .. } => None,
            Self::PodIdentity => Some(
                drawing.add(
                    Draft::new(
                        address,
                        types::POD_IDENTITY_ASSOCIATION,
                        value!({
                            "ClusterName": cluster.get("Name"),
                            "Namespace": account_of.namespace,
                            "ServiceAccount": account_of.name,
                            "RoleArn": role.arn(),
                        }),
                    )
                    .after(after),
                ),
            ),
        }
    }
}

/// The role of a service account. `rights` is a property of `AWS::IAM::Role`: `ManagedPolicyArns` or `Policies`.
pub(crate) fn workload_role(
    drawing: &mut Drawing<'_>,
    identity: &Identity,
    address: &str,
    component: &str,
    description: &str,
    account_of: ServiceAccount,
    rights: (&str, Value),
) -> Made {
    let trust = identity.trust(drawing, account_of);
    drawing.add(
        Draft::new(
            address,
            types::ROLE,
            value!({
                "RoleName": drawing.name(component),
                "Description": description,
                "AssumeRolePolicyDocument": trust,
            }),
        )
        .with(rights.0, rights.1),
    )
}
