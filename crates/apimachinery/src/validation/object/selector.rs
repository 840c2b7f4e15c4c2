//! Label selectors.

use serde_json::Value as Json;

use super::found::{Found, entries, go_labels, list, text};
use super::metadata;
use crate::validation::names;

/// Whether a selector is well formed.
pub(super) fn check(path: &str, selector: &Json, found: &mut Found) {
    metadata::labels(
        &format!("{path}.matchLabels"),
        &selector["matchLabels"],
        found,
    );
    for (index, one) in list(&selector["matchExpressions"]).iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let values = list(&one["values"]);
        match text(&one["operator"]) {
            "In" | "NotIn" if values.is_empty() => found.required(
                format!("{path}.values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            ),
            "Exists" | "DoesNotExist" if !values.is_empty() => found.forbidden(
                format!("{path}.values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            ),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => found.invalid(
                format!("{path}.operator"),
                &one["operator"],
                "not a valid selector operator",
            ),
        }
        for why in names::qualified(text(&one["key"])) {
            found.invalid(format!("{path}.key"), &one["key"], why);
        }
        for (index, value) in values.iter().enumerate() {
            if let Some(why) = names::label_value(text(value)) {
                found.invalid(format!("{path}.values[{index}]"), value, why);
            }
        }
    }
}

/// Whether it selects nothing in particular.
pub(super) fn is_empty(selector: &Json) -> bool {
    entries(&selector["matchLabels"]).next().is_none()
        && list(&selector["matchExpressions"]).is_empty()
}

/// Whether labels are selected.
pub(super) fn matches(selector: &Json, labels: &Json) -> bool {
    entries(&selector["matchLabels"]).all(|(key, value)| labels[key] == *value)
        && list(&selector["matchExpressions"]).iter().all(|one| {
            let value = labels.get(text(&one["key"]));
            let among = value.is_some_and(|value| list(&one["values"]).contains(value));
            match text(&one["operator"]) {
                "In" => among,
                "NotIn" => !among,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

/// The selector of a workload: it must be there, must not select everything, must select the template, and must not change.
pub(super) fn of_workload(kind: &str, new: &Json, old: Option<&Json>, found: &mut Found) {
    let selector = &new["spec"]["selector"];
    if !selector.is_object() {
        found.required("spec.selector", "");
    } else if is_empty(selector) {
        let why = format!("empty selector is invalid for {kind}");
        found.invalid("spec.selector", selector, why);
    } else {
        check("spec.selector", selector, found);
        let labels = &new["spec"]["template"]["metadata"]["labels"];
        if !matches(selector, labels) {
            found.invalid_as(
                "spec.template.metadata.labels",
                &go_labels(labels),
                "`selector` does not match template `labels`",
            );
        }
    }
    if let Some(old) = old
        && !super::found::same(selector, &old["spec"]["selector"])
    {
        found.invalid_as(
            "spec.selector",
            &go_selector(selector),
            "field is immutable",
        );
    }
}

/// How Go shows a selector; its expressions as JSON.
fn go_selector(selector: &Json) -> String {
    let expressions = match list(&selector["matchExpressions"]) {
        [] => "[]v1.LabelSelectorRequirement(nil)".to_owned(),
        some => format!("{}", Json::from(some.to_vec())),
    };
    format!(
        "v1.LabelSelector{{MatchLabels:{}, MatchExpressions:{expressions}}}",
        go_labels(&selector["matchLabels"])
    )
}
