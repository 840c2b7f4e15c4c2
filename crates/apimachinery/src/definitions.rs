//! Kubernetes' own definitions, as published for 1.33: of every kind that is served and of all that they are made of.
//!
//! They are unpacked and turned into [`Type`]s when first asked for, once in a process (a few milliseconds). Descriptions are a
//! file of their own, which only OpenAPI documents unpack.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::resource::GroupVersionKind;
use crate::schema::{Definitions, Field, ListKind, Node, PatchStrategy, Shape, Type};

/// The name of the metadata of every object.
pub const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const REFERENCE: &str = "#/components/schemas/";

/// All built-in types.
#[must_use]
pub fn builtin() -> &'static Arc<Definitions> {
    &known().definitions
}

/// A built-in type by its name (`io.k8s.api.core.v1.PodSpec`).
#[must_use]
pub fn named(name: &str) -> Option<Type> {
    builtin().get(name)
}

/// What objects of a built-in kind are. Also kinds that are no resource: `Scale`, `Eviction`, `Status`, lists.
#[must_use]
pub fn of_kind(kind: &GroupVersionKind) -> Option<Type> {
    named(name_of_kind(kind)?)
}

/// The name of the definition of a built-in kind. `DeleteOptions` and `WatchEvent` are in every group.
#[must_use]
pub fn name_of_kind(kind: &GroupVersionKind) -> Option<&'static str> {
    match &*kind.kind {
        "DeleteOptions" => Some("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"),
        "WatchEvent" => Some("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"),
        _ => known().kinds.get(kind).copied(),
    }
}

/// The OpenAPI schema of a definition as JSON text, without descriptions. References lead to `#/components/schemas/`.
pub(crate) fn schema_text(name: &str) -> Option<&'static str> {
    texts().get(name).map(|text| text.get())
}

/// What a definition says of itself, and of its properties by their names.
type Descriptions = (String, BTreeMap<String, String>);

/// The descriptions of a definition: its own, and those of its properties.
pub(crate) fn descriptions(name: &str) -> Option<&'static Descriptions> {
    static ALL: OnceLock<HashMap<String, Descriptions>> = OnceLock::new();
    ALL.get_or_init(|| {
        let text = unpack(include_bytes!("../data/descriptions.json.gz"));
        serde_json::from_str(&text).expect("the vendored descriptions are JSON")
    })
    .get(name)
}

/// Text that was packed with this crate.
pub(crate) fn unpack(packed: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut text)
        .expect("the vendored data is gzip of UTF-8");
    text
}

struct Known {
    definitions: Arc<Definitions>,
    kinds: HashMap<GroupVersionKind, &'static str>,
}

fn texts() -> &'static BTreeMap<&'static str, &'static RawValue> {
    static TEXT: OnceLock<String> = OnceLock::new();
    static INDEX: OnceLock<BTreeMap<&'static str, &'static RawValue>> = OnceLock::new();
    INDEX.get_or_init(|| {
        let text = TEXT.get_or_init(|| unpack(include_bytes!("../data/schemas.json.gz")));
        serde_json::from_str(text).expect("the vendored schemas are JSON")
    })
}

fn known() -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let schemas: BTreeMap<&'static str, Schema> = texts()
            .iter()
            .map(|(name, text)| {
                let schema =
                    serde_json::from_str(text.get()).expect("the vendored schemas are schemas");
                (*name, schema)
            })
            .collect();
        let kinds = schemas
            .iter()
            .flat_map(|(name, schema)| schema.kinds.iter().map(move |kind| (kind, *name)))
            .map(|(kind, name)| {
                (
                    GroupVersionKind::new(kind.group, kind.version, kind.kind),
                    name,
                )
            })
            .collect();
        let definitions = Definitions::build(
            schemas.keys().map(|name| Arc::from(*name)),
            |name, refer| match name {
                QUANTITY => with_format(Node::of(Shape::IntOrString), "quantity"),
                INT_OR_STRING => with_format(Node::of(Shape::IntOrString), "int-or-string"),
                _ => node(&schemas[name], &schemas, refer),
            },
        );
        Known { definitions, kinds }
    })
}

#[derive(Deserialize)]
struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<&'static str>,
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    format: Option<&'static str>,
    default: Option<Json>,
    items: Option<Box<Schema>>,
    #[serde(rename = "additionalProperties")]
    values: Option<Box<Schema>>,
    properties: Option<BTreeMap<&'static str, Schema>>,
    #[serde(default)]
    required: Vec<&'static str>,
    #[serde(default, rename = "x-kubernetes-group-version-kind")]
    kinds: Vec<Kind>,
    #[serde(rename = "x-kubernetes-list-type")]
    list_type: Option<&'static str>,
    #[serde(default, rename = "x-kubernetes-list-map-keys")]
    list_keys: Vec<&'static str>,
    #[serde(rename = "x-kubernetes-map-type")]
    map_type: Option<&'static str>,
    #[serde(rename = "x-kubernetes-patch-strategy")]
    patch_strategy: Option<&'static str>,
    #[serde(rename = "x-kubernetes-patch-merge-key")]
    merge_key: Option<&'static str>,
}

#[derive(Deserialize)]
struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

fn node(
    schema: &Schema,
    all: &BTreeMap<&'static str, Schema>,
    refer: &dyn Fn(&str) -> Type,
) -> Node {
    let atomic = schema.map_type == Some("atomic");
    let shape = match schema.kind {
        Some("object") => match (&schema.properties, &schema.values) {
            (_, Some(values)) => Shape::Map {
                values: to_type(values, all, refer),
                atomic,
            },
            (Some(properties), None) => Shape::Struct {
                fields: properties
                    .iter()
                    .map(|(name, property)| {
                        let field = Field {
                            value: to_type(property, all, refer),
                            patch: patch_strategy(property),
                        };
                        (Arc::from(*name), field)
                    })
                    .collect(),
                required: schema.required.iter().map(|name| (*name).into()).collect(),
                open: false,
                atomic,
                embedded: false,
            },
            // RawExtension, FieldsV1: any object.
            (None, None) => Shape::Map {
                values: Type::any(),
                atomic,
            },
        },
        Some("array") => Shape::List {
            items: schema
                .items
                .as_ref()
                .map_or_else(Type::any, |items| to_type(items, all, refer)),
            kind: match schema.list_type {
                Some("map") => {
                    ListKind::Map(schema.list_keys.iter().map(|key| (*key).into()).collect())
                }
                Some("set") => ListKind::Set,
                _ => ListKind::Atomic,
            },
        },
        Some("boolean") => Shape::Boolean,
        Some("integer") => Shape::Integer,
        Some("number") => Shape::Number,
        Some("string") => Shape::String,
        _ => Shape::Any,
    };
    Node {
        format: schema.format.map(Arc::from),
        default: schema.default.clone(),
        ..Node::of(shape)
    }
}

fn to_type(
    schema: &Schema,
    all: &BTreeMap<&'static str, Schema>,
    refer: &dyn Fn(&str) -> Type,
) -> Type {
    let Some(reference) = schema.reference else {
        return Type::new(node(schema, all, refer));
    };
    let name = reference.strip_prefix(REFERENCE).unwrap_or(reference);
    match (schema.map_type, all.get(name)) {
        // A field may be merged although its type is atomic elsewhere (`claimRef` of a volume).
        (Some(map_type), Some(definition)) => {
            let mut own = node(definition, all, refer);
            if let Shape::Struct { atomic, .. } = &mut own.shape {
                *atomic = map_type == "atomic";
            }
            Type::new(own)
        }
        _ => refer(name),
    }
}

fn patch_strategy(property: &Schema) -> PatchStrategy {
    let has = |word: &str| {
        property
            .patch_strategy
            .is_some_and(|words| words.split(',').any(|one| one == word))
    };
    PatchStrategy {
        merge: has("merge"),
        retain_keys: has("retainKeys"),
        merge_key: property.merge_key.map(Arc::from),
    }
}

fn with_format(mut node: Node, format: &str) -> Node {
    node.format = Some(format.into());
    node
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(of: &Type, path: &[&str]) -> Type {
        path.iter().fold(of.clone(), |at, name| {
            let node = at.node();
            match &node.shape {
                Shape::List { items, .. } => items.node().field(name),
                _ => node.field(name),
            }
            .unwrap_or_else(|| panic!("no field {name} of {at:?}"))
        })
    }

    fn deployment() -> Type {
        of_kind(&GroupVersionKind::new("apps", "v1", "Deployment")).unwrap()
    }

    #[test]
    fn every_reference_leads_to_a_definition() {
        for (name, text) in texts() {
            for part in text.get().split(REFERENCE).skip(1) {
                let to = part.split('"').next().unwrap();
                assert!(texts().contains_key(to), "{name} refers to {to}");
            }
        }
    }

    #[test]
    fn lists_are_merged_by_the_keys_that_kubernetes_publishes() {
        let spec = field(&deployment(), &["spec", "template", "spec"]);
        let ports = field(&spec, &["containers", "ports"]);
        let Shape::List { kind, .. } = &ports.node().shape else {
            panic!("{ports:?}")
        };
        assert_eq!(
            *kind,
            ListKind::Map(vec!["containerPort".into(), "protocol".into()])
        );
        let protocol = field(&ports, &["protocol"]);
        assert_eq!(protocol.node().default, Some(Json::from("TCP")));
        assert_eq!(
            spec.node().patch_strategy("volumes"),
            PatchStrategy {
                merge: true,
                retain_keys: true,
                merge_key: Some("name".into())
            }
        );
    }

    #[test]
    fn what_may_be_written_in_two_ways_is_known() {
        let max_surge = field(
            &deployment(),
            &["spec", "strategy", "rollingUpdate", "maxSurge"],
        );
        assert!(matches!(max_surge.node().shape, Shape::IntOrString));
        let pod = of_kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        let limits = field(
            &pod,
            &["spec", "containers", "resources", "limits", "memory"],
        );
        assert_eq!(limits.node().format.as_deref(), Some("quantity"));
    }

    #[test]
    fn a_field_may_be_merged_although_its_type_is_atomic() {
        let volume = of_kind(&GroupVersionKind::new("", "v1", "PersistentVolume")).unwrap();
        let claim = field(&volume, &["spec", "claimRef"]);
        assert!(matches!(
            claim.node().shape,
            Shape::Struct { atomic: false, .. }
        ));
        let reference = named("io.k8s.api.core.v1.ObjectReference").unwrap();
        assert!(matches!(
            reference.node().shape,
            Shape::Struct { atomic: true, .. }
        ));
    }

    #[test]
    fn every_definition_that_is_reached_becomes_a_type() {
        fn walk(at: &Type, depth: usize, seen: &mut std::collections::BTreeSet<String>) {
            if let Some(name) = at.name()
                && !seen.insert(name.to_owned())
            {
                return;
            }
            assert!(depth < 60);
            match &at.node().shape {
                Shape::Struct { fields, .. } => fields
                    .values()
                    .for_each(|field| walk(&field.value, depth + 1, seen)),
                Shape::Map { values, .. } => walk(values, depth + 1, seen),
                Shape::List { items, .. } => walk(items, depth + 1, seen),
                _ => {}
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for name in builtin().names() {
            walk(&named(name).unwrap(), 0, &mut seen);
        }
        assert_eq!(seen.len(), texts().len());
    }
}
