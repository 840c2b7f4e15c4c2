//! The templates read back are the graph.
//!
//! Compared are, for each scope: which resources there are; of each its type, every property with every reference in it
//! (resources, attributes, account, deployer, secrets), and its lifecycle; within a stack, which resource comes after
//! which, directly or by way of others; between stacks, which stack comes after which, exactly. Of somebody else's
//! resources the identifier is compared; what the spec knows of them besides is in no template.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use export::modules;
use graph::{Attribute, Graph, Lifecycle, Reference, Resource, Value};

use crate::exported::{self, Exported};
use crate::reader::{Read, Reader, existing, pascal};

#[test]
fn what_is_read_back_is_the_graph() {
    let (mut resources, mut references) = (0, 0);
    for exported in exported::all() {
        resources += compare(exported);
        for resource in exported.graph.resources() {
            for value in resource.properties.values() {
                references += value.references().len();
            }
        }
    }
    // Something was compared.
    assert!(
        resources > 2_000 && references > 2_000,
        "{resources}, {references}"
    );
}

/// Compares an export with its graph; how many resources there were.
pub(crate) fn compare(exported: &Exported) -> usize {
    let Exported { name, graph, .. } = exported;
    let reader = Reader::new(graph, exported.templates());
    let read = reader.resources();
    let made: BTreeMap<&Address, &Resource> = graph
        .resources()
        .filter(|resource| !existing(graph, &resource.address))
        .map(|resource| (&resource.address, resource))
        .collect();
    assert_eq!(
        read.keys().collect::<Vec<_>>(),
        made.keys().copied().collect::<Vec<_>>(),
        "{name}"
    );
    for (address, resource) in &made {
        let read = &read[*address];
        assert_eq!(
            read.type_name,
            resource.type_name.as_str(),
            "{name}: {address}"
        );
        compare_properties(name, graph, resource, read);
        assert_eq!(
            lifecycle(read),
            resource.lifecycle,
            "{name}: {address}: {read:?}"
        );
    }
    for resource in graph.resources() {
        compare_existing(name, &reader, resource);
    }
    compare_order(name, graph, &reader, &read);
    made.len()
}

fn compare_properties(name: &str, graph: &Graph, resource: &Resource, read: &Read) {
    let address = &resource.address;
    assert_eq!(
        read.properties.keys().collect::<Vec<_>>(),
        resource.properties.keys().collect::<Vec<_>>(),
        "{name}: {address}"
    );
    for (property, value) in &resource.properties {
        let back = &read.properties[property];
        let mut wanted = normal(graph, value);
        // JSON as text, where the property is an object by right.
        if let (Value::Object(_), Value::String(text)) = (back, &wanted) {
            wanted = from_json(&serde_json::from_str(text).unwrap());
        }
        assert_eq!(normal(graph, back), wanted, "{name}: {address}.{property}");
    }
}

fn from_json(json: &serde_json::Value) -> Value {
    serde_json::from_value::<Json>(json.clone()).unwrap().0
}

/// Plain JSON as a value.
#[derive(serde::Deserialize)]
#[serde(from = "serde_json::Value")]
struct Json(Value);

impl From<serde_json::Value> for Json {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as J;
        Self(match json {
            J::Null => panic!("no null"),
            J::Bool(value) => value.into(),
            J::Number(number) => Value::Number(number),
            J::String(text) => text.into(),
            J::Array(items) => Value::array(items.into_iter().map(|item| Self::from(item).0)),
            J::Object(object) => Value::object(
                object
                    .into_iter()
                    .map(|(key, item)| (key, Self::from(item).0)),
            ),
        })
    }
}

/// A value in the one form that both sides can be brought to: texts are flat lists of parts, identifiers are the
/// properties that make them, and what CloudFormation cannot be asked for is what the resource was given.
fn normal(graph: &Graph, value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::array(items.iter().map(|item| normal(graph, item))),
        Value::Object(object) => Value::object(
            object
                .iter()
                .map(|(key, item)| (key.as_str(), normal(graph, item))),
        ),
        Value::Split {
            of,
            separator,
            index,
        } => Value::Split {
            of: Box::new(normal(graph, of)),
            separator: separator.clone(),
            index: *index,
        },
        Value::Join(_) | Value::Json(_) => {
            let mut parts = Vec::new();
            flatten(graph, value, &mut parts);
            parts.retain(|part| *part != Value::from(""));
            match Value::join(parts) {
                Value::Join(mut parts) if parts.len() == 1 => parts.remove(0),
                joined => joined,
            }
        }
        Value::Attribute(reference) => attribute(graph, reference),
        other => other.clone(),
    }
}

fn attribute(graph: &Graph, reference: &Reference) -> Value {
    let resource = graph.get(&reference.to).unwrap();
    let schema = catalog::schema(&resource.type_name).unwrap();
    let identifying = schema.primary_identifier();
    match &reference.attribute {
        Attribute::Identifier => {
            let mut parts = Vec::new();
            for path in identifying {
                if !parts.is_empty() {
                    parts.push("|".into());
                }
                let part = Value::attribute(&reference.to, &path.to_string());
                parts.push(normal(graph, &part));
            }
            normal(graph, &Value::join(parts))
        }
        Attribute::Property(path) => {
            let known = path
                .property()
                .and_then(|name| resource.properties.get(name));
            let askable = if existing(graph, &reference.to) {
                identifying.contains(path) || known.is_none()
            } else {
                schema.is_read_only(path) || identifying == std::slice::from_ref(path)
            };
            match known {
                Some(known) if !askable => normal(graph, known),
                _ => Value::Attribute(reference.clone()),
            }
        }
    }
}

fn flatten(graph: &Graph, value: &Value, parts: &mut Vec<Value>) {
    match value {
        Value::Join(items) => items.iter().for_each(|item| flatten(graph, item, parts)),
        Value::Json(inner) => json_text(graph, inner, parts),
        Value::Number(number) => parts.push(number.to_string().into()),
        Value::Bool(value) => parts.push(value.to_string().into()),
        other => match normal(graph, other) {
            Value::Join(items) => parts.extend(items),
            other => parts.push(other),
        },
    }
}

/// JSON without white space. References in it stand between quotes.
fn json_text(graph: &Graph, value: &Value, parts: &mut Vec<Value>) {
    match value {
        Value::Object(object) => {
            let mut before = '{';
            for (key, value) in object {
                parts.push(format!("{before}{}:", serde_json::json!(key)).into());
                json_text(graph, value, parts);
                before = ',';
            }
            parts.push("}".into());
        }
        Value::Array(items) => {
            let mut before = '[';
            for value in items {
                parts.push(before.to_string().into());
                json_text(graph, value, parts);
                before = ',';
            }
            parts.push("]".into());
        }
        Value::String(text) => parts.push(serde_json::json!(text).to_string().into()),
        Value::Bool(_) | Value::Number(_) => flatten(graph, value, parts),
        other => {
            let mut inner = Vec::new();
            flatten(graph, other, &mut inner);
            parts.push("\"".into());
            parts.extend(inner.into_iter().map(|part| match part {
                Value::String(text) => {
                    let quoted = serde_json::json!(text).to_string();
                    quoted[1..quoted.len() - 1].into()
                }
                other => other,
            }));
            parts.push("\"".into());
        }
    }
}

/// What a resource's condition and policies say of who makes it and who may delete it.
fn lifecycle(read: &Read) -> Lifecycle {
    let policies = (read.deletion.as_deref(), read.replacement.as_deref());
    match (&read.condition, policies) {
        (Some(_), (Some("RetainExceptOnCreate"), Some("Retain"))) => Lifecycle::Ensure,
        (None, (Some("RetainExceptOnCreate"), Some("Retain"))) => Lifecycle::Retain,
        (None, (None, None))
        | (None, (Some("Delete"), Some("Delete" | "Retain")))
        | (None, (Some("Snapshot"), Some("Snapshot"))) => Lifecycle::Managed,
        other => panic!("{other:?}"),
    }
}

/// Somebody else's resource is told by parameters with its identifier's parts, and shown.
fn compare_existing(name: &str, reader: &Reader<'_>, resource: &Resource) {
    let Lifecycle::Existing(identifier) = &resource.lifecycle else {
        return;
    };
    let schema = catalog::schema(&resource.type_name).unwrap();
    let parts: Vec<&str> = schema
        .primary_identifier()
        .iter()
        .map(|path| {
            let parameter = pascal(resource.address.as_str()) + path.last().unwrap();
            assert!(reader.root["Outputs"].get(&parameter).is_some());
            reader.root["Parameters"][&parameter]["Default"]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {parameter}"))
        })
        .collect();
    assert_eq!(parts.join("|"), identifier.as_str());
}

type Edges<T> = BTreeMap<T, BTreeSet<T>>;

/// All that each comes after, directly or not.
fn closure(edges: &Edges<Address>) -> Edges<Address> {
    let mut closed = BTreeMap::new();
    for start in edges.keys() {
        let mut reached = BTreeSet::new();
        let mut next = vec![start];
        while let Some(at) = next.pop() {
            for to in edges.get(at).into_iter().flatten() {
                if reached.insert(to.clone()) {
                    next.push(to);
                }
            }
        }
        closed.insert(start.clone(), reached);
    }
    closed
}

fn compare_order(name: &str, graph: &Graph, reader: &Reader<'_>, read: &BTreeMap<Address, Read>) {
    let modules = modules(graph);
    let stack = |address: &Address| pascal(modules[address].name());
    let mut within: Edges<Address> = BTreeMap::new();
    let mut between: Edges<String> = BTreeMap::new();
    for address in read.keys() {
        assert_eq!(read[address].stack, stack(address), "{name}: {address}");
        let its = within.entry(address.clone()).or_default();
        let stacks = between.entry(stack(address)).or_default();
        for to in graph.needs(address).filter(|to| !existing(graph, to)) {
            if stack(to) == stack(address) {
                its.insert(to.clone());
            } else {
                stacks.insert(stack(to));
            }
        }
    }
    let back: Edges<Address> = read
        .iter()
        .map(|(address, read)| (address.clone(), read.after.clone()))
        .collect();
    assert_eq!(closure(&back), closure(&within), "{name}");
    assert_eq!(reader.stack_needs(), between, "{name}");
}
