//! Selectors by fields, and which fields can be selected by.

use std::fmt;

use serde_json::Value as Json;

use crate::resource::GroupResource;
use crate::status::Status;

/// Which values fields must have. All terms must hold; one without terms means every object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One condition on one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTerm {
    /// `metadata.name`, `spec.nodeName`, …
    pub field: String,
    pub value: String,
    /// `=` rather than `!=`.
    pub equal: bool,
}

impl FieldSelector {
    /// Means every object.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// Of terms that are known already.
    #[must_use]
    pub fn of(terms: Vec<FieldTerm>) -> Self {
        Self { terms }
    }

    /// Means the object of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        Self {
            terms: vec![FieldTerm {
                field: "metadata.name".into(),
                value: name.to_owned(),
                equal: true,
            }],
        }
    }

    /// Reads `a=b,c!=d`. A backslash lets `,`, `=` and itself stand for themselves.
    ///
    /// # Errors
    /// 400 when it is not in the language.
    pub fn parse(text: &str) -> Result<Self, Status> {
        let mut terms = Vec::new();
        for term in split_unescaped(text, ',') {
            if term.is_empty() {
                continue;
            }
            let wrong = || {
                Status::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                ))
            };
            let (at, sign) = first_sign(term).ok_or_else(wrong)?;
            let (field, value) = (&term[..at], &term[at + sign.len()..]);
            terms.push(FieldTerm {
                field: field.to_owned(),
                value: unescape(value).ok_or_else(wrong)?,
                equal: sign != "!=",
            });
        }
        Ok(Self { terms })
    }

    /// Refuses fields that objects of a resource cannot be selected by.
    ///
    /// # Errors
    /// 400, naming the field. `more` are those that the resource's own definition allows.
    pub fn check(&self, resource: &GroupResource, more: &[&str]) -> Result<(), Status> {
        let known = selectable_fields(resource);
        for term in &self.terms {
            let field = term.field.as_str();
            if !matches!(field, "metadata.name" | "metadata.namespace")
                && !known.contains(&field)
                && !more.contains(&field)
            {
                return Err(Status::bad_request(if known.is_empty() {
                    format!(
                        "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    )
                } else {
                    format!("field label not supported: {field}")
                }));
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// The only value that a field may have, if a term says so.
    #[must_use]
    pub fn exactly(&self, field: &str) -> Option<&str> {
        let mut terms = self.terms.iter();
        let term = terms.find(|term| term.equal && term.field == field)?;
        Some(&term.value)
    }

    /// Whether an object with these values is meant. `value` gives that of a field, empty if it is absent.
    #[must_use]
    pub fn matches<'a, V: AsRef<str>>(&'a self, value: impl Fn(&'a str) -> V) -> bool {
        self.terms
            .iter()
            .all(|term| (value(&term.field).as_ref() == term.value) == term.equal)
    }

    /// Whether it looks at more than the name and the namespace, so that an object must be read to decide.
    #[must_use]
    pub fn needs_object(&self) -> bool {
        self.terms
            .iter()
            .any(|term| !matches!(&*term.field, "metadata.name" | "metadata.namespace"))
    }

    /// Whether an object (a whole document) is meant.
    #[must_use]
    pub fn matches_object(&self, resource: &GroupResource, object: &Json) -> bool {
        self.matches(|field| field_value(resource, field, object))
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let sign = if term.equal { "=" } else { "!=" };
            let value = term
                .value
                .replace('\\', "\\\\")
                .replace(',', "\\,")
                .replace('=', "\\=");
            write!(f, "{comma}{}{sign}{value}", term.field)?;
        }
        Ok(())
    }
}

fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut from, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !escaped {
            parts.push(&text[from..at]);
            from = at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    parts.push(&text[from..]);
    parts
}

fn first_sign(term: &str) -> Option<(usize, &'static str)> {
    term.char_indices().find_map(|(at, _)| {
        let rest = &term[at..];
        let sign = ["!=", "==", "="]
            .into_iter()
            .find(|sign| rest.starts_with(sign))?;
        Some((at, sign))
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => plain.push(rest.next().filter(|c| matches!(c, '\\' | ',' | '='))?),
            // A value has neither unless they are escaped.
            '=' | ',' => return None,
            c => plain.push(c),
        }
    }
    Some(plain)
}

/// The fields beyond name and namespace that the objects of a built-in resource can be selected by. Source: the field label
/// conversions of each API group, Kubernetes 1.33.
#[must_use]
pub fn selectable_fields(resource: &GroupResource) -> &'static [&'static str] {
    match (&*resource.group, &*resource.resource) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("" | "events.k8s.io", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
        ],
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase", "name"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("certificates.k8s.io", "certificatesigningrequests") => &["spec.signerName"],
        _ => &[],
    }
}

/// What a field of an object is to a selector; empty when it is absent.
#[must_use]
pub fn field_value(resource: &GroupResource, field: &str, object: &Json) -> String {
    let found = match (&*resource.resource, field) {
        ("jobs", "status.successful") => at(object, "status.succeeded"),
        ("events", "source") => {
            let component = at(object, "source.component");
            return text(component.or_else(|| at(object, "reportingComponent")), "");
        }
        ("events", field) => at(object, field).or_else(|| at(object, &other_event_field(field))),
        ("namespaces", "name") => at(object, "metadata.name"),
        (_, field) => at(object, field),
    };
    let absent = match field {
        "spec.unschedulable" | "spec.hostNetwork" => "false",
        "status.replicas" | "status.successful" => "0",
        _ => "",
    };
    text(found, absent)
}

/// The same field in the other API of events: `involvedObject` is `regarding`, `reportingComponent` is `reportingController`.
fn other_event_field(field: &str) -> String {
    for (one, other) in [
        ("involvedObject", "regarding"),
        ("reportingComponent", "reportingController"),
    ] {
        if let Some(rest) = field.strip_prefix(one) {
            return format!("{other}{rest}");
        }
        if let Some(rest) = field.strip_prefix(other) {
            return format!("{one}{rest}");
        }
    }
    field.to_owned()
}

fn at<'a>(object: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.')
        .try_fold(object, |value, field| value.get(field))
}

fn text(value: Option<&Json>, absent: &str) -> String {
    match value {
        None | Some(Json::Null) => absent.to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> GroupResource {
        GroupResource::new("", "pods")
    }

    #[test]
    fn terms_are_all_needed() {
        let pod = json!({
            "metadata": {"name": "a", "namespace": "n"},
            "spec": {"nodeName": "node-1"}, "status": {"phase": "Running"},
        });
        let means = |text: &str| {
            let selector = FieldSelector::parse(text).unwrap();
            selector.check(&pods(), &[]).unwrap();
            selector.matches_object(&pods(), &pod)
        };
        assert!(means(""));
        assert!(means("metadata.name=a,metadata.namespace==n"));
        assert!(means(
            "spec.nodeName=node-1,status.phase!=Failed,status.phase!=Succeeded"
        ));
        assert!(means("spec.hostNetwork=false,status.nominatedNodeName="));
        assert!(!means("status.phase!=Running"));
        assert!(!means("metadata.name=b"));
    }

    #[test]
    fn unknown_fields_and_unreadable_terms_are_refused() {
        let refused = |text: &str, resource: &GroupResource| {
            FieldSelector::parse(text)
                .and_then(|selector| selector.check(resource, &[]))
                .unwrap_err()
                .message
        };
        assert_eq!(
            refused("spec.x=1", &pods()),
            "field label not supported: spec.x"
        );
        assert_eq!(
            refused("spec.x=1", &GroupResource::new("apps", "deployments")),
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(
            refused("a", &pods()),
            "invalid selector: 'a'; can't understand 'a'"
        );
        assert_eq!(
            refused("a=b=c", &pods()),
            "invalid selector: 'a=b=c'; can't understand 'a=b=c'"
        );
    }

    #[test]
    fn escapes_stand_for_themselves() {
        let selector = FieldSelector::parse(r"metadata.name=a\,b\=c\\,type!=x").unwrap();
        assert_eq!(selector.exactly("metadata.name"), Some(r"a,b=c\"));
        assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
        assert!(FieldSelector::parse(r"a=b\").is_err());
    }

    #[test]
    fn events_answer_to_both_of_their_apis() {
        let events = GroupResource::new("", "events");
        let event = json!({"involvedObject": {"kind": "Pod"}, "source": {"component": "kubelet"}});
        for (field, value) in [
            ("involvedObject.kind", "Pod"),
            ("regarding.kind", "Pod"),
            ("source", "kubelet"),
        ] {
            assert_eq!(field_value(&events, field, &event), value);
        }
    }
}
