//! Whose an object is: ours by its labels, and by who has set its fields.

use catalog::in_cluster::owner_labels;
use graph::Scope;
use serde_json::Value as Json;

/// The name under which we set fields.
pub(crate) const MANAGER: &str = "seaworthy";

/// Whether an object carries the labels of a scope.
pub(crate) fn belongs_to(object: &Json, scope: &Scope) -> bool {
    let label = |name: &str| object["metadata"]["labels"][name].as_str();
    label(owner_labels::PLATFORM) == Some(scope.platform.as_str())
        && label(owner_labels::ENVIRONMENT) == Some(scope.environment.as_str())
}

/// The address that an object says it has.
pub(crate) fn address(object: &Json) -> Option<&str> {
    object["metadata"]["annotations"][owner_labels::ADDRESS].as_str()
}

/// Whether its owner hands it over to the scope.
pub(crate) fn is_handed_over(object: &Json, scope: &Scope) -> bool {
    object["metadata"]["annotations"][owner_labels::ADOPT].as_str() == Some(&scope.name())
}

/// The fields of an object that we have applied, as `FieldsV1`; none when we have applied none.
pub(crate) fn applied_fields(object: &Json) -> Option<&Json> {
    let entries = object["metadata"]["managedFields"].as_array()?;
    entries
        .iter()
        .find(|entry| {
            entry["manager"] == MANAGER
                && entry["operation"] == "Apply"
                && entry["subresource"].as_str().unwrap_or_default().is_empty()
        })
        .map(|entry| &entry["fieldsV1"])
}

/// Who has set the fields of an object, ourselves left out: for whoever must be told whose it is.
pub(crate) fn other_managers(object: &Json) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut managers: Vec<String> = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry["subresource"].as_str().unwrap_or_default().is_empty())
        .filter_map(|entry| entry["manager"].as_str())
        .filter(|manager| *manager != MANAGER)
        .map(str::to_owned)
        .collect();
    managers.sort();
    managers.dedup();
    managers
}

/// What says whose an object is that is not ours: its labels, or who has set its fields.
pub(crate) fn whose(object: &Json) -> String {
    let label = |name: &str| object["metadata"]["labels"][name].as_str();
    if let (Some(platform), Some(environment)) = (
        label(owner_labels::PLATFORM),
        label(owner_labels::ENVIRONMENT),
    ) {
        return format!("it belongs to {platform}-{environment}");
    }
    let by = label(owner_labels::MANAGED_BY).map(|tool| format!("it is managed by {tool}"));
    let managers = other_managers(object);
    by.unwrap_or_else(|| match managers.as_slice() {
        [] => "nobody says whose it is".to_owned(),
        managers => format!("it was made by {}", managers.join(", ")),
    })
}
