//! IAM policy documents by what they say, not by how.
//!
//! One value and a list of one are the same, lists are sets, statements are a set, action names have no case, an account's
//! number and its root are the same principal (IAM user guide, "Grammar of the IAM JSON policy language" and "AWS JSON policy
//! elements: Principal").

use serde_json::{Map, Value, json};

/// The document in one form for all that mean the same; `None` when it is no policy document.
pub(super) fn canonical(document: &Value) -> Option<Value> {
    let document = document.as_object()?;
    let statements = match document.get("Statement")? {
        Value::Array(statements) => statements
            .iter()
            .map(statement)
            .collect::<Option<Vec<_>>>()?,
        one => vec![statement(one)?],
    };
    let mut result = document.clone();
    // What a document without a version has.
    result
        .entry("Version")
        .or_insert_with(|| json!("2008-10-17"));
    result.insert("Statement".to_owned(), as_set(statements));
    Some(Value::Object(result))
}

fn statement(value: &Value) -> Option<Value> {
    let mut result = Map::new();
    for (element, inner) in value.as_object()? {
        let canonical = match element.as_str() {
            "Sid" if inner == "" => continue,
            "Action" | "NotAction" => set(inner, |action| json!(action.to_ascii_lowercase())),
            "Resource" | "NotResource" => set(inner, |resource| json!(resource)),
            "Principal" | "NotPrincipal" => principal(inner),
            "Condition" => condition(inner),
            _ => inner.clone(),
        };
        result.insert(element.clone(), canonical);
    }
    Some(Value::Object(result))
}

fn principal(value: &Value) -> Value {
    match value {
        Value::Object(kinds) => kinds
            .iter()
            .map(|(kind, who)| (kind.clone(), set(who, account_root)))
            .collect(),
        // Everybody, in short.
        Value::String(everybody) if everybody == "*" => json!({"AWS": ["*"]}),
        other => other.clone(),
    }
}

/// `123456789012` and `arn:aws:iam::123456789012:root` are one principal.
fn account_root(who: &str) -> Value {
    let parts: Vec<&str> = who.split(':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", account, "root"] => json!(account),
        _ => json!(who),
    }
}

fn condition(value: &Value) -> Value {
    let Some(operators) = value.as_object() else {
        return value.clone();
    };
    let keys = |keys: &Value| match keys.as_object() {
        // Condition keys have no case (IAM user guide, "Condition keys").
        Some(keys) => keys
            .iter()
            .map(|(key, values)| (key.to_ascii_lowercase(), set(values, |text| json!(text))))
            .collect(),
        None => keys.clone(),
    };
    operators
        .iter()
        .map(|(operator, inner)| (operator.clone(), keys(inner)))
        .collect()
}

/// One value or several as a sorted list without doubles; numbers and booleans as text.
fn set(value: &Value, change: impl Fn(&str) -> Value) -> Value {
    let text = |value: &Value| match value {
        Value::String(text) => change(text),
        Value::Number(_) | Value::Bool(_) => change(&value.to_string()),
        other => other.clone(),
    };
    as_set(match value {
        Value::Array(items) => items.iter().map(text).collect(),
        one => vec![text(one)],
    })
}

fn as_set(mut items: Vec<Value>) -> Value {
    items.sort_by_cached_key(Value::to_string);
    items.dedup();
    Value::Array(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_policy_have_one_form() {
        let long = json!({"Version": "2012-10-17", "Statement": [
            {"Sid": "", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::123456789012:root"]},
             "Action": ["s3:GetObject", "S3:putobject"], "Resource": ["*"],
             "Condition": {"Bool": {"aws:SecureTransport": ["true"]}}},
            {"Effect": "Deny", "Principal": "*", "Action": ["s3:*"], "Resource": "*"}]});
        let short = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Resource": ["*"]},
            {"Effect": "Allow", "Principal": {"AWS": "123456789012"},
             "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "*",
             "Condition": {"Bool": {"aws:securetransport": true}}}]});
        assert_eq!(canonical(&long), canonical(&short));
        assert!(canonical(&long).is_some());
    }

    #[test]
    fn what_a_policy_allows_counts() {
        let of =
            |statement: Value| canonical(&json!({"Version": "2012-10-17", "Statement": statement}));
        let base =
            json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"});
        for (element, other) in [
            ("Effect", "Deny"),
            ("Action", "s3:*"),
            ("Resource", "arn:aws:s3:::B/*"),
        ] {
            let mut changed = base.clone();
            changed[element] = json!(other);
            assert_ne!(of(base.clone()), of(changed), "{element}");
        }
        assert_ne!(
            of(json!([base])),
            of(json!([base, {"Effect": "Deny", "Action": "*", "Resource": "*"}]))
        );
        assert_eq!(canonical(&json!({"source": ["aws.ec2"]})), None);
    }
}
