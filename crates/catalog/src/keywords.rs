//! The keywords that the CloudFormation schemas have beyond JSON Schema, as cfn-lint defines them
//! (cfn-lint 1.58, `cfnlint/jsonschema/_keywords.py`).

use std::collections::BTreeSet;
use std::sync::OnceLock;

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value};

/// A keyword that is told by what it finds wrong: nothing, or one message for each fault.
type Rule = fn(argument: &Value, instance: &Value) -> Vec<String>;

const RULES: [(&str, Rule); 6] = [
    ("requiredXor", required_xor),
    ("requiredOr", required_or),
    ("dependentExcluded", dependent_excluded),
    ("enumCaseInsensitive", enum_case_insensitive),
    ("uniqueKeys", unique_keys),
    ("maxUniqueItems", max_unique_items),
];

/// Stands for `pattern` in the schemas that are compiled here. Regular expressions are most of what compiling a schema
/// costs, and a document meets few of them: each is compiled when a text first meets it.
pub(crate) const LAZY_PATTERN: &str = "x-lazy-pattern";

pub(crate) fn register(options: ValidationOptions) -> ValidationOptions {
    let options = options.with_keyword(
        LAZY_PATTERN,
        |_: &Map<String, Value>, argument: &Value, _: Location| {
            let pattern = argument.as_str().unwrap_or_default().to_owned();
            Ok(Box::new(LazyPattern {
                pattern,
                compiled: OnceLock::new(),
            }))
        },
    );
    RULES.into_iter().fold(options, |options, (name, rule)| {
        options.with_keyword(
            name,
            move |_: &Map<String, Value>, argument: &Value, _: Location| {
                Ok(Box::new(Custom {
                    argument: argument.clone(),
                    rule,
                }))
            },
        )
    })
}

struct LazyPattern {
    pattern: String,
    /// `None`: the regular expression is beyond the library, and checks nothing. (None of the bundle is; a live schema's may.)
    compiled: OnceLock<Option<Validator>>,
}

impl LazyPattern {
    fn fault(&self, instance: &Value) -> Option<String> {
        let compiled = self.compiled.get_or_init(|| {
            jsonschema::options()
                .build(&serde_json::json!({ "pattern": self.pattern }))
                .ok()
        });
        let fits = !instance.is_string()
            || compiled
                .as_ref()
                .is_none_or(|validator| validator.is_valid(instance));
        (!fits).then(|| format!("expected a text of the pattern {}", self.pattern))
    }
}

impl<'i> Keyword<'i> for LazyPattern {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        self.fault(instance)
            .map_or(Ok(()), |message| Err(ValidationError::custom(message)))
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        self.fault(instance).is_none()
    }
}

struct Custom {
    argument: Value,
    rule: Rule,
}

impl<'i> Keyword<'i> for Custom {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        match (self.rule)(&self.argument, instance).into_iter().next() {
            Some(message) => Err(ValidationError::custom(message)),
            None => Ok(()),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        (self.rule)(&self.argument, instance).is_empty()
    }

    fn iter_errors(
        &self,
        instance: &'i Value,
    ) -> Box<dyn Iterator<Item = ValidationError<'i>> + 'i> {
        let found = (self.rule)(&self.argument, instance);
        Box::new(
            found
                .into_iter()
                .map(|message| -> ValidationError<'i> { ValidationError::custom(message) }),
        )
    }
}

/// `A`, `B` or `C`.
pub(crate) fn alternatives<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => String::new(),
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

fn required_xor(argument: &Value, instance: &Value) -> Vec<String> {
    let Some(object) = instance.as_object() else {
        return Vec::new();
    };
    let names = names(argument);
    let present: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| object.contains_key(*name))
        .collect();
    match present.len() {
        0 => vec![format!(
            "exactly one of {} has to be set, and none is",
            alternatives(&names)
        )],
        1 => Vec::new(),
        _ => vec![format!(
            "exactly one of {} may be set, and {} are",
            alternatives(&names),
            alternatives(&present).replace(" or ", " and ")
        )],
    }
}

fn required_or(argument: &Value, instance: &Value) -> Vec<String> {
    let Some(object) = instance.as_object() else {
        return Vec::new();
    };
    let names = names(argument);
    if names.iter().any(|name| object.contains_key(*name)) {
        return Vec::new();
    }
    vec![format!(
        "at least one of {} has to be set, and none is",
        alternatives(&names)
    )]
}

fn dependent_excluded(argument: &Value, instance: &Value) -> Vec<String> {
    let (Some(object), Some(rules)) = (instance.as_object(), argument.as_object()) else {
        return Vec::new();
    };
    let mut told = BTreeSet::new();
    let mut messages = Vec::new();
    for (property, excluded) in rules
        .iter()
        .filter(|(property, _)| object.contains_key(*property))
    {
        for other in names(excluded)
            .into_iter()
            .filter(|other| object.contains_key(*other))
        {
            // The schemas state the rule from both sides; it is one fault.
            let pair = if property.as_str() < other {
                (property.as_str(), other)
            } else {
                (other, property.as_str())
            };
            if told.insert(pair) {
                messages.push(format!(
                    "`{other}` cannot be set together with `{property}`"
                ));
            }
        }
    }
    messages
}

fn enum_case_insensitive(argument: &Value, instance: &Value) -> Vec<String> {
    let options = argument.as_array().map(Vec::as_slice).unwrap_or_default();
    let matches = |option: &Value| match (option.as_str(), instance.as_str()) {
        (Some(option), Some(text)) => option.eq_ignore_ascii_case(text),
        _ => option == instance,
    };
    if options.iter().any(matches) {
        return Vec::new();
    }
    let options: Vec<String> = options
        .iter()
        .map(|option| {
            option
                .as_str()
                .map_or_else(|| option.to_string(), str::to_owned)
        })
        .collect();
    vec![format!(
        "expected {} (in upper or lower case)",
        alternatives(&options)
    )]
}

fn unique_keys(argument: &Value, instance: &Value) -> Vec<String> {
    let keys = names(argument);
    let Some(items) = instance.as_array() else {
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    for item in items.iter().filter_map(Value::as_object) {
        // An element that lacks one of the keys is not compared.
        let Some(values) = keys
            .iter()
            .map(|key| item.get(*key).map(Value::to_string))
            .collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        if !seen.insert(values.clone()) {
            return vec![format!(
                "two elements have the same {}: {}",
                alternatives(&keys),
                values.join(", ")
            )];
        }
    }
    Vec::new()
}

fn max_unique_items(argument: &Value, instance: &Value) -> Vec<String> {
    let (Some(limit), Some(items)) = (argument.as_u64(), instance.as_array()) else {
        return Vec::new();
    };
    let distinct: BTreeSet<String> = items.iter().map(Value::to_string).collect();
    if distinct.len() as u64 <= limit {
        return Vec::new();
    }
    vec![format!(
        "at most {limit} different elements are allowed, and there are {}",
        distinct.len()
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_keyword_finds_its_fault_and_nothing_else() {
        let cases: [(Rule, Value, Value, usize); 15] = [
            (required_xor, json!(["A", "B"]), json!({"A": 1}), 0),
            (required_xor, json!(["A", "B"]), json!({"A": 1, "B": 2}), 1),
            (required_xor, json!(["A", "B"]), json!({"C": 1}), 1),
            (required_xor, json!(["A"]), json!("text"), 0),
            (required_or, json!(["A", "B"]), json!({"A": 1, "B": 1}), 0),
            (required_or, json!(["A", "B"]), json!({}), 1),
            (
                dependent_excluded,
                json!({"A": ["B"], "B": ["A"]}),
                json!({"A": 1, "B": 1}),
                1,
            ),
            (dependent_excluded, json!({"A": ["B"]}), json!({"A": 1}), 0),
            (
                enum_case_insensitive,
                json!(["rabbitmq"]),
                json!("RabbitMQ"),
                0,
            ),
            (
                enum_case_insensitive,
                json!(["rabbitmq"]),
                json!("kafka"),
                1,
            ),
            (
                unique_keys,
                json!(["N"]),
                json!([{"N": "a"}, {"N": "b"}, {}]),
                0,
            ),
            (
                unique_keys,
                json!(["N"]),
                json!([{"N": "a", "X": 1}, {"N": "a"}]),
                1,
            ),
            (max_unique_items, json!(1), json!(["a", "a"]), 0),
            (max_unique_items, json!(1), json!(["a", "b"]), 1),
            (max_unique_items, json!(1), json!({}), 0),
        ];
        for (rule, argument, instance, faults) in cases {
            assert_eq!(
                rule(&argument, &instance).len(),
                faults,
                "{argument} of {instance}"
            );
        }
    }
}
