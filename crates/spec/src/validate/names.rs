//! Names in AWS are `<platform>-<env>-<component>`: whether the longest of them fit.

use catalog::ids::PlatformName;
use catalog::names::{NameError, NameKind};

use super::Check;
use crate::model::Spec;

/// An account's id, as part of a name: all are as long.
const ACCOUNT: &str = "000000000000";

/// The names that may grow too long, when a spec has what they name: the component, its kind, whether the account follows.
fn components(spec: &Spec) -> Vec<(&'static str, NameKind, bool)> {
    let roles = [
        (
            spec.load_balancer_controller.enabled,
            "load-balancer-controller",
        ),
        (spec.addons.cloudwatch_observability, "cloudwatch-agent"),
        (spec.external_secrets.enabled, "external-secrets"),
        (spec.karpenter.enabled, "karpenter-nodes"),
        (true, "system-nodes"),
    ];
    // The longest role's name stands for all of them.
    let mut names: Vec<_> = roles
        .into_iter()
        .filter(|(there, _)| *there)
        .take(1)
        .map(|(_, name)| (name, NameKind::IamRole, false))
        .collect();
    names.push(("system", NameKind::EksNodegroup, false));
    if spec.karpenter.enabled && spec.karpenter.interruption_queue {
        names.push(("karpenter", NameKind::SqsQueue, false));
        names.push(("karpenter-spot-interruption", NameKind::EventsRule, false));
    }
    if spec.redis.enabled {
        names.push(("redis", NameKind::ElastiCacheReplicationGroup, false));
    }
    if spec.rabbitmq.enabled {
        names.push(("rabbitmq", NameKind::MqBroker, false));
    }
    if spec.backup.enabled {
        names.push(("backup", NameKind::BackupVault, false));
    }
    if spec.audit.cloud_trail {
        names.push(("audit", NameKind::S3Bucket, true));
    }
    names
}

pub(super) fn check(check: &mut Check<'_>) {
    let path = ["platform"];
    if let Err(error) = PlatformName::new(&check.spec.platform) {
        check.error(
            &path,
            "platform-name",
            error.to_string(),
            "it is the first part of every name in AWS",
        );
        return;
    }
    let environment = check.environment.as_str();
    let scope = format!("{}-{environment}", check.spec.platform);
    if let Err(error) = catalog::names::check(NameKind::EksCluster, &scope) {
        check.error(
            &path,
            "name-form",
            error.to_string(),
            "choose another platform name",
        );
    }
    for (component, kind, account) in components(check.spec) {
        let mut name = format!("{scope}-{component}");
        if account {
            name = format!("{name}-{ACCOUNT}");
        }
        match catalog::names::check(kind, &name) {
            Ok(()) => {}
            Err(error @ (NameError::TooLong { .. } | NameError::TooShort { .. })) => {
                let over = name.chars().count().saturating_sub(kind.max_length());
                let help = format!(
                    "names are <platform>-<env>-<component>: shorten the platform's or the environment's by {over}"
                );
                check.error(&path, "name-too-long", error.to_string(), help);
            }
            Err(error) => check.error(
                &path,
                "name-form",
                error.to_string(),
                "choose another platform name",
            ),
        }
    }
}
