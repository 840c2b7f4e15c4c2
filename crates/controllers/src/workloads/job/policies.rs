//! What a failed pod and what succeeded indexes mean for a Job: its pod failure policy (`pod_failure_policy.go`) and its success
//! policy (`success_policy.go`).

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::workloads::pods::condition;
use crate::workloads::writes::name_of;

use super::indexes::Indexes;

/// What to make of a failed pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts towards the back-off limit.
    Count,
    Ignore,
    /// The Job fails with this message.
    FailJob(String),
    FailIndex,
}

/// `matchPodFailurePolicy`: the first rule that matches decides; without one a failure counts.
pub(super) fn verdict(spec: &JobSpec, pod: &Pod) -> Verdict {
    let rules = spec
        .pod_failure_policy
        .iter()
        .flat_map(|policy| &policy.rules);
    for (at, rule) in rules.enumerate() {
        if let Some(what) = matches(rule, pod) {
            return match rule.action.as_str() {
                "Ignore" => Verdict::Ignore,
                "FailIndex" => Verdict::FailIndex,
                "FailJob" => Verdict::FailJob(format!(
                    "{what} matching {} rule at index {at}",
                    rule.action
                )),
                _ => Verdict::Count,
            };
        }
    }
    Verdict::Count
}

fn matches(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let place = format!(
        "{}/{}",
        pod.metadata.namespace.as_deref().unwrap_or_default(),
        name_of(&pod.metadata)
    );
    if let Some(asked) = &rule.on_exit_codes {
        let status = pod.status.as_ref()?;
        let containers = status.container_statuses.iter().flatten();
        let init_containers = status.init_container_statuses.iter().flatten();
        let (container, code) = containers
            .chain(init_containers)
            .find_map(|container| exit_code(container, asked))?;
        return Some(format!(
            "Container {container} for pod {place} failed with exit code {code}"
        ));
    }
    rule.on_pod_conditions
        .iter()
        .flatten()
        .find(|asked| condition(pod, &asked.type_).is_some_and(|had| had.status == asked.status))
        .map(|asked| format!("Pod {place} has condition {}", asked.type_))
}

fn exit_code<'a>(
    container: &'a ContainerStatus,
    asked: &PodFailurePolicyOnExitCodesRequirement,
) -> Option<(&'a str, i32)> {
    let named = asked.container_name.as_ref();
    if named.is_some_and(|name| *name != container.name) {
        return None;
    }
    let code = container.state.as_ref()?.terminated.as_ref()?.exit_code;
    let among = asked.values.contains(&code);
    let holds = match asked.operator.as_str() {
        "In" => among,
        "NotIn" => !among,
        _ => false,
    };
    (code != 0 && holds).then_some((container.name.as_str(), code))
}

/// `matchSuccessPolicy`: the message of the first rule that holds.
pub(super) fn succeeds(spec: &JobSpec, completions: i32, succeeded: &Indexes) -> Option<String> {
    let rules = &spec.success_policy.as_ref()?.rules;
    let at =
        rules.iter().position(
            |rule| match (&rule.succeeded_indexes, rule.succeeded_count) {
                (Some(asked), count) => {
                    let asked = Indexes::read(asked, completions);
                    let had = asked.iter().filter(|index| succeeded.has(*index)).count();
                    let had = i32::try_from(had).unwrap_or(i32::MAX);
                    had >= count.unwrap_or_else(|| asked.total())
                }
                (None, Some(count)) => succeeded.total() >= count,
                (None, None) => false,
            },
        )?;
    Some(format!("Matched rules at index {at}"))
}
