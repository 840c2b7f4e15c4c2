//! The schemas of a document: those that its operations name, and all that those refer to.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::definitions;
use crate::resource::{GroupVersionKind, Resource};
use crate::schema::{ListKind, Node, Shape, Type};

const REFERENCE: &str = "#/components/schemas/";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// What was asked for so far.
#[derive(Default)]
pub(super) struct Schemas {
    /// Made here: custom resources and their lists.
    own: BTreeMap<String, Json>,
    /// Built-in definitions by name.
    builtin: Vec<&'static str>,
}

impl Schemas {
    /// A reference to a resource's schema.
    pub(super) fn of_resource(&mut self, resource: &Resource) -> Json {
        if !resource.custom {
            return self
                .builtin(&resource.kind)
                .unwrap_or_else(|| json!({"type": "object"}));
        }
        let name = custom_name(&resource.kind, "");
        let mut schema = schema(&resource.schema);
        put_kind(&mut schema, &resource.kind, "");
        let to = reference(&name);
        self.own.insert(name, schema);
        to
    }

    /// A reference to the schema of a resource's list.
    pub(super) fn list_of(&mut self, resource: &Resource) -> Json {
        let kind = GroupVersionKind::new(
            &resource.kind.group,
            &resource.kind.version,
            &format!("{}List", resource.kind.kind),
        );
        if !resource.custom {
            return self
                .builtin(&kind)
                .unwrap_or_else(|| json!({"type": "object"}));
        }
        let mut list = json!({
            "type": "object",
            "description": format!("{} is a list of {}", kind.kind, resource.kind.kind),
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"allOf": [reference(&format!("{META}ListMeta"))]},
                "items": {"type": "array", "items": reference(&custom_name(&resource.kind, ""))},
            },
        });
        put_kind(&mut list, &resource.kind, "List");
        let name = custom_name(&resource.kind, "List");
        let to = reference(&name);
        self.own.insert(name, list);
        to
    }

    /// A reference to the schema of a subresource's bodies, if it has one.
    pub(super) fn of_kind(&mut self, kind: &GroupVersionKind, parent: &Resource) -> Option<Json> {
        if *kind == parent.kind {
            return Some(self.of_resource(parent));
        }
        self.builtin(kind)
    }

    fn builtin(&mut self, kind: &GroupVersionKind) -> Option<Json> {
        let name = definitions::name_of_kind(kind)?;
        self.builtin.push(name);
        Some(reference(name))
    }

    pub(super) fn status() -> Json {
        reference(&format!("{META}Status"))
    }

    pub(super) fn delete_options() -> Json {
        reference(&format!("{META}DeleteOptions"))
    }

    pub(super) fn patch() -> Json {
        reference(&format!("{META}Patch"))
    }

    /// All of them, with what they refer to.
    pub(super) fn all(self, group: &str, version: &str) -> Map<String, Json> {
        let mut all: Map<String, Json> = Map::new();
        let mut todo: Vec<String> = self.builtin.iter().map(|&name| name.to_owned()).collect();
        for name in ["Status", "DeleteOptions", "Patch", "WatchEvent"] {
            todo.push(format!("{META}{name}"));
        }
        for (name, schema) in self.own {
            referred(&schema, &mut todo);
            all.insert(name, schema);
        }
        while let Some(name) = todo.pop() {
            if all.contains_key(&name) {
                continue;
            }
            let Some(mut definition) = definition(&name) else {
                continue;
            };
            referred(&definition, &mut todo);
            if let Some(kind @ ("DeleteOptions" | "WatchEvent")) = name.strip_prefix(META) {
                definition["x-kubernetes-group-version-kind"] =
                    json!([{"group": group, "version": version, "kind": kind}]);
            }
            all.insert(name, definition);
        }
        all
    }
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("{REFERENCE}{name}")})
}

/// The names that a schema refers to.
fn referred(schema: &Json, names: &mut Vec<String>) {
    match schema {
        Json::Object(map) => {
            for (key, value) in map {
                match value {
                    Json::String(to) if key == "$ref" => {
                        names.extend(to.strip_prefix(REFERENCE).map(str::to_owned));
                    }
                    value => referred(value, names),
                }
            }
        }
        Json::Array(list) => list.iter().for_each(|one| referred(one, names)),
        _ => {}
    }
}

/// A published definition, with its descriptions. A property that is a reference and more has it in `allOf`: beside `$ref`
/// nothing counts.
fn definition(name: &str) -> Option<Json> {
    let mut schema: Json = serde_json::from_str(definitions::schema_text(name)?).ok()?;
    let none = (String::new(), BTreeMap::new());
    let (own, of_properties) = definitions::descriptions(name).unwrap_or(&none);
    if !own.is_empty() {
        schema["description"] = own.as_str().into();
    }
    let properties = schema.get_mut("properties").and_then(Json::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if let Some(text) = of_properties.get(name) {
            property["description"] = text.as_str().into();
        }
        if let Json::Object(property) = property
            && property.len() > 1
            && let Some(to) = property.remove("$ref")
        {
            property.insert("allOf".into(), json!([{"$ref": to}]));
        }
    }
    Some(schema)
}

/// `sh.karpenter.v1.NodePool`: as definitions are named, the group's domain from its end.
fn custom_name(kind: &GroupVersionKind, suffix: &str) -> String {
    let group: Vec<&str> = kind.group.split('.').rev().collect();
    format!("{}.{}.{}{suffix}", group.join("."), kind.version, kind.kind)
}

fn put_kind(schema: &mut Json, kind: &GroupVersionKind, suffix: &str) {
    schema["x-kubernetes-group-version-kind"] = json!([{
        "group": *kind.group, "version": *kind.version, "kind": format!("{}{suffix}", kind.kind),
    }]);
}

/// The schema of a type that has no name.
fn schema(of: &Type) -> Json {
    if let Some(name) = of.name() {
        return reference(name);
    }
    let node = of.node();
    let mut schema = node
        .rules
        .as_ref()
        .and_then(|rules| rules.as_object())
        .cloned()
        .unwrap_or_default();
    let mut put = |name: &str, value: Json| {
        schema.insert(name.to_owned(), value);
    };
    shape(&node, &mut put);
    if let Some(format) = &node.format
        && !matches!(node.shape, Shape::IntOrString)
    {
        put("format", (**format).into());
    }
    if let Some(default) = &node.default {
        put("default", default.clone());
    }
    if let Some(description) = &node.description {
        put("description", (**description).into());
    }
    if node.nullable {
        put("nullable", true.into());
    }
    schema.into()
}

fn shape(node: &Node, put: &mut dyn FnMut(&str, Json)) {
    match &node.shape {
        Shape::Struct {
            fields,
            required,
            open,
            atomic,
            embedded,
        } => {
            put("type", "object".into());
            if !fields.is_empty() {
                let properties: Map<String, Json> = fields
                    .iter()
                    .map(|(name, field)| (name.to_string(), schema(&field.value)))
                    .collect();
                put("properties", properties.into());
            }
            if !required.is_empty() {
                put("required", required.iter().map(|name| &**name).collect());
            }
            if *open {
                put("x-kubernetes-preserve-unknown-fields", true.into());
            }
            if *atomic {
                put("x-kubernetes-map-type", "atomic".into());
            }
            if *embedded {
                put("x-kubernetes-embedded-resource", true.into());
            }
        }
        Shape::Map { values, atomic } => {
            put("type", "object".into());
            put("additionalProperties", schema(values));
            if *atomic {
                put("x-kubernetes-map-type", "atomic".into());
            }
        }
        Shape::List { items, kind } => {
            put("type", "array".into());
            put("items", schema(items));
            match kind {
                ListKind::Atomic => {}
                ListKind::Set => put("x-kubernetes-list-type", "set".into()),
                ListKind::Map(keys) => {
                    put("x-kubernetes-list-type", "map".into());
                    put(
                        "x-kubernetes-list-map-keys",
                        keys.iter().map(|key| &**key).collect(),
                    );
                }
            }
        }
        Shape::Boolean => put("type", "boolean".into()),
        Shape::Integer => put("type", "integer".into()),
        Shape::Number => put("type", "number".into()),
        Shape::String => put("type", "string".into()),
        Shape::IntOrString => put("x-kubernetes-int-or-string", true.into()),
        Shape::Any => put("x-kubernetes-preserve-unknown-fields", true.into()),
    }
}
