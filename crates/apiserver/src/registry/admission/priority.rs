//! Priorities: what a pod's class says, and that there is one default class.

use apimachinery::Status;
use serde_json::Value as Json;

use super::Attempt;
use crate::registry::document::{number, part, text, truth};

const GROUP: &str = "scheduling.k8s.io";
const CLASSES: &str = "priorityclasses";
const PREEMPTS: &str = "PreemptLowerPriority";

pub(super) fn admit_pod(attempt: &mut Attempt<'_, '_>, pod: &mut Json) -> Result<(), Status> {
    let name = text(pod, "/spec/priorityClassName");
    let class = if name.is_empty() {
        default_class(attempt)
    } else {
        let class = attempt.get(GROUP, CLASSES, "", name).ok_or_else(|| {
            attempt.forbidden(&format!("no PriorityClass with name {name} was found"))
        })?;
        Some(class.json())
    };
    let (name, priority, policy) = match &class {
        Some(class) => {
            let policy = text(class, "/preemptionPolicy");
            (
                text(class, "/metadata/name"),
                number(class, "/value").unwrap_or_default(),
                if policy.is_empty() { PREEMPTS } else { policy },
            )
        }
        None => ("", 0, PREEMPTS),
    };
    if let Some(own) = number(pod, "/spec/priority")
        && own != priority
    {
        return Err(attempt.forbidden(&format!(
            "the integer value of priority ({own}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        )));
    }
    let own = text(pod, "/spec/preemptionPolicy");
    if !own.is_empty() && own != policy {
        return Err(attempt.forbidden(&format!(
            "the string value of PreemptionPolicy ({own}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        )));
    }
    let spec = part(pod, "spec");
    if !name.is_empty() {
        spec.insert("priorityClassName".to_owned(), name.into());
    }
    spec.insert("priority".to_owned(), priority.into());
    spec.insert("preemptionPolicy".to_owned(), policy.into());
    Ok(())
}

/// The class of those that name none: of several, the lowest.
fn default_class(attempt: &Attempt<'_, '_>) -> Option<Json> {
    attempt
        .list(GROUP, CLASSES, None)
        .iter()
        .map(|class| class.json())
        .filter(|class| truth(class, "/globalDefault"))
        .min_by_key(|class| number(class, "/value"))
}

/// A second default is refused.
pub(super) fn admit_class(attempt: &mut Attempt<'_, '_>, class: &mut Json) -> Result<(), Status> {
    if !truth(class, "/globalDefault") {
        return Ok(());
    }
    if let Some(other) = default_class(attempt) {
        let name = text(&other, "/metadata/name");
        if name != &*attempt.key.name {
            return Err(attempt.forbidden(&format!(
                "PriorityClass {name} is already marked as default. Only one default can exist"
            )));
        }
    }
    Ok(())
}
