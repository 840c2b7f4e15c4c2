//! Label selectors, read once and matched often.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

/// A selector of labels. Without requirements it matches everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    requirements: Vec<Requirement>,
}

/// A selector that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a valid label selector operator")]
pub(crate) struct InvalidSelector(String);

impl Selector {
    /// # Errors
    /// When an operator is none of the four.
    pub(crate) fn of(selector: &LabelSelector) -> Result<Self, InvalidSelector> {
        let mut requirements: Vec<Requirement> = selector
            .match_labels
            .iter()
            .flatten()
            .map(|(key, value)| Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            })
            .collect();
        for expression in selector.match_expressions.iter().flatten() {
            requirements.push(Requirement {
                key: expression.key.clone(),
                operator: match expression.operator.as_str() {
                    "In" => Operator::In,
                    "NotIn" => Operator::NotIn,
                    "Exists" => Operator::Exists,
                    "DoesNotExist" => Operator::DoesNotExist,
                    other => return Err(InvalidSelector(other.to_owned())),
                },
                values: expression.values.clone().unwrap_or_default(),
            });
        }
        Ok(Self { requirements })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    pub(crate) fn matches_labels(&self, labels: Option<&Labels>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels.and_then(|labels| labels.get(&requirement.key));
            match requirement.operator {
                Operator::In => value.is_some_and(|value| requirement.values.contains(value)),
                Operator::NotIn => value.is_none_or(|value| !requirement.values.contains(value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }

    pub(crate) fn matches(&self, metadata: &ObjectMeta) -> bool {
        self.matches_labels(metadata.labels.as_ref())
    }
}

impl fmt::Display for Selector {
    /// As `labels.Selector` prints it: by key, `a=b,c in (d,e),!f,g`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut requirements: Vec<&Requirement> = self.requirements.iter().collect();
        requirements.sort_by(|one, other| one.key.cmp(&other.key));
        for (at, requirement) in requirements.into_iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            let key = &requirement.key;
            let mut values = requirement.values.clone();
            values.sort();
            match (&requirement.operator, &values[..]) {
                (Operator::In, [value]) => write!(f, "{key}={value}")?,
                (Operator::In, _) => write!(f, "{key} in ({})", values.join(","))?,
                (Operator::NotIn, _) => write!(f, "{key} notin ({})", values.join(","))?,
                (Operator::Exists, _) => f.write_str(key)?,
                (Operator::DoesNotExist, _) => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: serde_json::Value, labels: serde_json::Value) -> bool {
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        let labels: Labels = serde_json::from_value(labels).unwrap();
        Selector::of(&selector)
            .unwrap()
            .matches_labels(Some(&labels))
    }

    /// apimachinery/pkg/labels/selector.go, `Requirement.Matches`: `NotIn` and `DoesNotExist` match what has no such label.
    #[test]
    fn operators_mean_what_they_say() {
        let not_in =
            json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]});
        assert!(selects(not_in.clone(), json!({})));
        assert!(!selects(not_in, json!({"a": "1"})));
        let both = json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]});
        assert!(selects(both.clone(), json!({"a": "1", "b": ""})));
        assert!(!selects(both, json!({"a": "1"})));
        let none = json!({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]});
        assert!(selects(none.clone(), json!({"b": ""})));
        assert!(!selects(none, json!({"a": ""})));
        assert!(selects(json!({}), json!({"a": ""})));
    }

    #[test]
    fn a_selector_prints_as_kubernetes_prints_it() {
        let selector: LabelSelector = serde_json::from_value(json!({"matchLabels": {"b": "1"}, "matchExpressions": [
            {"key": "c", "operator": "DoesNotExist"}, {"key": "a", "operator": "In", "values": ["y", "x"]}]}))
        .unwrap();
        assert_eq!(
            Selector::of(&selector).unwrap().to_string(),
            "a in (x,y),b=1,!c"
        );
    }

    #[test]
    fn an_unknown_operator_is_an_error() {
        let selector: LabelSelector =
            serde_json::from_value(json!({"matchExpressions": [{"key": "a", "operator": "Gt"}]}))
                .unwrap();
        assert!(Selector::of(&selector).is_err());
    }
}
