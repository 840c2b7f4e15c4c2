//! IAM policy documents, written as what they say: who may do what, on what, when.

use std::collections::BTreeMap;

use graph::{Value, value};

/// One statement of a policy document.
pub(crate) struct Statement {
    id: &'static str,
    effect: &'static str,
    principal: Option<Value>,
    actions: Vec<&'static str>,
    resources: Vec<Value>,
    conditions: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Statement {
    /// Allows `actions`.
    pub(crate) fn allow(id: &'static str, actions: &[&'static str]) -> Self {
        Self {
            id,
            effect: "Allow",
            principal: None,
            actions: actions.to_vec(),
            resources: Vec::new(),
            conditions: BTreeMap::new(),
        }
    }

    /// Denies `actions` to everybody.
    pub(crate) fn deny_everybody(id: &'static str, actions: &[&'static str]) -> Self {
        Self {
            effect: "Deny",
            principal: Some("*".into()),
            ..Self::allow(id, actions)
        }
    }

    /// By an AWS service, in a document that says who.
    pub(crate) fn by_service(mut self, service: &str) -> Self {
        self.principal = Some(value!({ "Service": service }));
        self
    }

    /// On these resources.
    pub(crate) fn on(mut self, resources: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        self.resources.extend(resources.into_iter().map(Into::into));
        self
    }

    /// On whatever there is: for actions that know no resources.
    pub(crate) fn anywhere(self) -> Self {
        self.on(["*"])
    }

    /// Only when the condition `key` holds.
    pub(crate) fn when(
        mut self,
        operator: &str,
        key: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        self.conditions
            .entry(operator.to_owned())
            .or_default()
            .insert(key.into(), value.into());
        self
    }
}

impl From<Statement> for Value {
    fn from(statement: Statement) -> Self {
        let mut object = BTreeMap::from([
            ("Sid".to_owned(), Value::from(statement.id)),
            ("Effect".to_owned(), statement.effect.into()),
            (
                "Action".to_owned(),
                one_or_many(statement.actions.into_iter().map(Value::from).collect()),
            ),
        ]);
        if let Some(principal) = statement.principal {
            object.insert("Principal".to_owned(), principal);
        }
        if !statement.resources.is_empty() {
            object.insert("Resource".to_owned(), one_or_many(statement.resources));
        }
        if !statement.conditions.is_empty() {
            let conditions = statement
                .conditions
                .into_iter()
                .map(|(operator, keys)| (operator, Value::Object(keys)));
            object.insert("Condition".to_owned(), Value::object(conditions));
        }
        Value::Object(object)
    }
}

fn one_or_many(mut values: Vec<Value>) -> Value {
    match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}

/// A policy document of these statements.
pub(crate) fn document(statements: impl IntoIterator<Item = Statement>) -> Value {
    value!({
        "Version": "2012-10-17",
        "Statement": statements.into_iter().map(Value::from).collect::<Vec<_>>(),
    })
}

/// The trust of a role that an AWS service assumes.
pub(crate) fn assumed_by(service: &str) -> Value {
    document([Statement::allow("AssumedByService", &["sts:AssumeRole"]).by_service(service)])
}

/// The inline policies of a role: one, of that name.
pub(crate) fn inline(name: &str, statements: impl IntoIterator<Item = Statement>) -> Value {
    value!([{ "PolicyName": name, "PolicyDocument": document(statements) }])
}
