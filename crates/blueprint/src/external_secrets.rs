//! The AWS side of the External Secrets Operator: it may read the environment's secrets, and no others.

use crate::cluster::Cluster;
use crate::draft::{Drawing, Made};
use crate::iam::{ServiceAccount, workload_role};
use crate::policy::{self, Statement};
use crate::secrets;

pub(crate) fn draw(drawing: &mut Drawing<'_>, cluster: &Cluster, addons: &[Made]) {
    let external_secrets = &drawing.spec().external_secrets;
    if !external_secrets.enabled {
        return;
    }
    let prefixes = if external_secrets.prefixes.is_empty() {
        vec![
            format!("{}/", drawing.platform.environment),
            secrets::prefix(drawing),
        ]
    } else {
        external_secrets.prefixes.clone()
    };
    let secrets = prefixes.iter().map(|prefix| {
        drawing.regional_arn(
            "secretsmanager",
            format!("secret:{}*", prefix.trim_end_matches('*')),
        )
    });
    // https://external-secrets.io/latest/provider/aws-secrets-manager/, without what lists secrets: they are named.
    let read = Statement::allow(
        "ReadSecrets",
        &[
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetResourcePolicy",
            "secretsmanager:GetSecretValue",
            "secretsmanager:ListSecretVersionIds",
        ],
    )
    .on(secrets);
    let role = workload_role(
        drawing,
        &cluster.identity,
        "external-secrets/role",
        "external-secrets",
        "The External Secrets Operator: reads the secrets of this environment",
        ServiceAccount::EXTERNAL_SECRETS,
        ("Policies", policy::inline("external-secrets", [read])),
    );
    cluster.identity.associate(
        drawing,
        "external-secrets/pod-identity-association",
        &cluster.made,
        &role,
        ServiceAccount::EXTERNAL_SECRETS,
        addons,
    );
}
