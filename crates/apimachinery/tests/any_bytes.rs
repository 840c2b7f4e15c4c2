//! Whatever a client sends is either understood or refused: nothing makes the readers panic or run away, and what comes out is
//! no larger and no deeper than what went in allows.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seaworthy_apimachinery::patch::{self, PatchKind};
use seaworthy_apimachinery::schema::Type;
use seaworthy_apimachinery::selector::{FieldSelector, LabelSelector};
use seaworthy_apimachinery::{
    GroupVersionKind, Resource, builtin, defaults, definitions, managed, nesting, protobuf,
    quantity, validation,
};
use serde_json::{Map, Value as Json, json};

/// Keys that mean something somewhere, so that what is made up gets into the deeper corners.
const KEYS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "managedFields",
    "manager",
    "operation",
    "fieldsType",
    "fieldsV1",
    "f:metadata",
    "f:spec",
    ".",
    "k:{\"name\":\"a\"}",
    "v:1",
    "i:0",
    "f:",
    "time",
    "ownerReferences",
    "uid",
    "finalizers",
    "spec",
    "status",
    "replicas",
    "selector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "values",
    "template",
    "containers",
    "initContainers",
    "image",
    "ports",
    "containerPort",
    "protocol",
    "env",
    "value",
    "valueFrom",
    "resources",
    "requests",
    "limits",
    "cpu",
    "memory",
    "volumes",
    "volumeMounts",
    "mountPath",
    "tolerations",
    "topologySpreadConstraints",
    "affinity",
    "strategy",
    "type",
    "rollingUpdate",
    "maxSurge",
    "conditions",
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$setElementOrder/finalizers",
    "$deleteFromPrimitiveList/finalizers",
    "op",
    "path",
    "from",
    "",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "v1",
    "Pod",
    "apps/v1",
    "Deployment",
    "web",
    "delete",
    "replace",
    "merge",
    "Apply",
    "Update",
    "FieldsV1",
    "add",
    "copy",
    "move",
    "test",
    "remove",
    "/metadata/labels/a",
    "/spec/containers/0",
    "/spec/containers/-",
    "/",
    "In",
    "Exists",
    "100m",
    "1Gi",
    "1e400",
    "-1",
    "25%",
    "TCP",
    "2026-01-01T00:00:00Z",
    "é\u{0}",
    "\u{feff}",
];

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-3_i64..70_000).prop_map(Json::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(TEXTS).prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
    ]
}

fn document() -> impl Strategy<Value = Json> {
    leaf().prop_recursive(6, 60, 6, |inner| {
        let key = prop_oneof![
            9 => prop::sample::select(KEYS).prop_map(str::to_owned),
            1 => ".{0,8}",
        ];
        prop_oneof![
            2 => prop::collection::vec((key, inner.clone()), 0..6)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Json::from),
        ]
    })
}

/// A document that has what an object must have.
fn object() -> impl Strategy<Value = Json> {
    (document(), document(), document()).prop_map(|(metadata, spec, other)| {
        let mut object = match other {
            Json::Object(fields) => fields,
            _ => Map::new(),
        };
        let mut metadata = match metadata {
            Json::Object(fields) => fields,
            _ => Map::new(),
        };
        metadata.insert("name".to_owned(), json!("a"));
        object.insert("metadata".to_owned(), Json::Object(metadata));
        object.insert("spec".to_owned(), spec);
        Json::Object(object)
    })
}

fn resource() -> impl Strategy<Value = Resource> {
    let kinds = [
        "Pod",
        "Deployment",
        "Service",
        "ConfigMap",
        "Job",
        "HorizontalPodAutoscaler",
        "CustomResourceDefinition",
        "Node",
    ];
    let all: Vec<Resource> = builtin::resources()
        .into_iter()
        .filter(|resource| kinds.contains(&&*resource.kind.kind))
        .collect();
    prop::sample::select(all)
}

fn pod() -> Type {
    definitions::of_kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap()
}

fn manifest() -> Json {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "a", "labels": {"a": "b"}, "finalizers": ["x/y"], "managedFields": [{
            "manager": "a", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}}},
        }]},
        "spec": {
            "containers": [{"name": "a", "image": "b", "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": [{"name": "A", "value": "1"}]}],
            "tolerations": [{"operator": "Exists"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    })
}

/// What happens to a good body on its way.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Cut(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let at = || 0_usize..2_000;
    let one = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), prop::sample::select(&b"{}[]\",:0-e\\ \n"[..]))
            .prop_map(|(at, byte)| Damage::Set(at, byte)),
        at().prop_map(Damage::Cut),
        (at(), 1_usize..40).prop_map(|(at, length)| Damage::Remove(at, length)),
        (at(), 1_usize..80).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ];
    prop::collection::vec(one, 1..6)
}

fn damaged(good: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for damage in damages {
        let length = bytes.len().max(1);
        match *damage {
            Damage::Set(at, byte) => {
                if let Some(place) = bytes.get_mut(at % length) {
                    *place = byte;
                }
            }
            Damage::Cut(at) => bytes.truncate(at % length),
            Damage::Remove(at, count) => {
                let at = at % length;
                let end = (at + count).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
            Damage::Repeat(at, count) => {
                let at = at % length;
                let part: Vec<u8> = bytes.iter().skip(at).take(count).copied().collect();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

fn writer<'a>(reset: &'a [&'a str]) -> managed::Writer<'a> {
    managed::Writer {
        manager: "tester",
        subresource: "",
        api_version: "v1",
        now: jiff::Timestamp::UNIX_EPOCH,
        reset,
    }
}

fn size(document: &Json) -> usize {
    document.to_string().len()
}

/// All that is done to a document before it is an object.
fn receive(resource: &Resource, document: &Json) {
    let types = validation::types(&resource.schema, document);
    let _ = validation::strict(&resource.schema, document);
    if types.is_err() || !document.is_object() {
        return;
    }
    let mut object = document.clone();
    defaults::apply(resource, &mut object);
    let _ = validation::object(resource, &object, None);
    let _ = validation::object(resource, &object, Some(document));
}

proptest! {
    #[test]
    fn any_json_is_received_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), resource in resource()) {
        let _ = validation::duplicates(&bytes);
        if let Ok(document) = serde_json::from_slice(&bytes) {
            receive(&resource, &document);
        }
    }

    #[test]
    fn damaged_json_is_received_or_refused(damages in damage()) {
        let good = manifest().to_string();
        let bytes = damaged(good.as_bytes(), &damages);
        let _ = validation::duplicates(&bytes);
        if let Ok(document) = serde_json::from_slice::<Json>(&bytes) {
            let pods = builtin::resources().into_iter().find(|resource| &*resource.kind.kind == "Pod");
            receive(&pods.unwrap(), &document);
            let mut after = document.clone();
            managed::update(&pod(), Some(&manifest()), &mut after, &writer(&["status"]));
        }
    }

    #[test]
    fn any_document_is_received_or_refused(document in object(), resource in resource()) {
        receive(&resource, &document);
    }

    #[test]
    fn any_patch_is_applied_or_refused(original in object(), patch in document(), resource in resource()) {
        for original in [&original, &manifest()] {
            for kind in [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic] {
                if let Ok(patched) = patch::patch(kind, &resource.schema, original, &patch) {
                    prop_assert!(size(&patched) <= size(original) + size(&patch) + 2);
                }
            }
        }
    }

    /// Operations that mostly hit something.
    #[test]
    fn no_json_patch_makes_much_out_of_little(
        operations in prop::collection::vec(
            (
                prop::sample::select(&["add", "copy", "move", "replace", "remove", "test"][..]),
                prop::sample::select(&["", "/a", "/a/a", "/l", "/l/-", "/l/0", "/a/l", "/a/a/a/-"][..]),
                prop::sample::select(&["", "/a", "/a/a", "/l", "/l/0", "/a/l"][..]),
                document(),
            ),
            0..60,
        ),
    ) {
        let operation = |(op, path, from, value): (&str, &str, &str, Json)| match op {
            "copy" | "move" => json!({"op": op, "path": path, "from": from}),
            "remove" => json!({"op": op, "path": path}),
            _ => json!({"op": op, "path": path, "value": value}),
        };
        let patch: Json = operations.into_iter().map(operation).collect();
        let original = json!({"a": {"a": {}, "l": []}, "l": [1]});
        if let Ok(patched) = patch::json(&original, &patch) {
            prop_assert!(nesting::depth(&patched) <= nesting::DEEPEST);
            prop_assert!(size(&patched) <= size(&original) + size(&patch) + (4 << 20));
        }
    }

    #[test]
    fn anything_is_applied_or_refused(live in object(), applied in object(), force in any::<bool>()) {
        for live in [None, Some(&live), Some(&manifest())] {
            if let Ok(merged) = managed::apply(&pod(), live, &applied, &writer(&[]), force) {
                // managedFields repeat the names of the fields.
                let given = live.map_or(0, size) + size(&applied);
                prop_assert!(size(&merged) <= 6 * given + 2_000, "{} of {given}", size(&merged));
            }
            let mut after = applied.clone();
            managed::update(&pod(), live, &mut after, &writer(&["status"]));
        }
    }

    #[test]
    fn any_selector_is_parsed_or_refused(text in prop_oneof![
        ".{0,60}",
        "[a-z./=!,() <>]{0,40}",
        "(a|b| |=|==|!=|!|in|notin|\\(|\\)|,|x/y|gt|>|<|1){0,12}",
    ]) {
        if let Ok(selector) = LabelSelector::parse(&text) {
            let _ = selector.matches(|_| Some("b"));
            let _ = selector.matches(|_| None);
        }
        if let Ok(selector) = FieldSelector::parse(&text) {
            let _ = selector.matches(|_| "b");
        }
    }

    #[test]
    fn any_selector_document_is_read_or_refused(document in document()) {
        let _ = LabelSelector::from_json(&document);
        let _ = quantity::Quantity::of(&document);
    }

    #[test]
    fn damaged_protobuf_is_decoded_or_refused(damages in damage()) {
        let good = encoded_pod();
        prop_assert_eq!(&protobuf::decode(&good).unwrap()["spec"]["containers"][0]["name"], "web");
        if let Ok(decoded) = protobuf::decode(&damaged(&good, &damages)) {
            prop_assert!(size(&decoded) <= 100 * good.len());
            prop_assert!(nesting::depth(&decoded) <= 2 * nesting::DEEPEST);
        }
    }
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        all.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    all.push(u8::try_from(length).unwrap());
    all.extend(bytes);
    all
}

/// A pod as typed Go clients send one.
fn encoded_pod() -> Vec<u8> {
    let label = [field(1, b"app"), field(2, b"web")].concat();
    let metadata = [field(1, b"web-0"), field(3, b"default"), field(11, &label)].concat();
    let amount = [field(1, b"cpu"), field(2, &field(1, b"100m"))].concat();
    let container = [
        field(1, b"web"),
        field(2, b"nginx"),
        field(8, &field(2, &amount)),
        field(6, &[0x10, 0x01, 0x18, 0x50]),
    ];
    let pod = [
        field(1, &metadata),
        field(2, &field(2, &container.concat())),
    ]
    .concat();
    let kind = [field(1, b"v1"), field(2, b"Pod")].concat();
    [b"k8s\0".to_vec(), field(1, &kind), field(2, &pod)].concat()
}

#[test]
fn deep_and_wide_bodies_are_refused_or_small() {
    let mut nested = Vec::new();
    for _ in 0..200_000 {
        // Every level costs a byte more for its length; what is behind the first thousand is cut off.
        nested = field(1, &nested[..nested.len().min(2_000)]);
    }
    let kind = [field(1, b"v1"), field(2, b"Pod")].concat();
    let body = [b"k8s\0".to_vec(), field(1, &kind), field(2, &nested)].concat();
    let _ = protobuf::decode(&body);
    // Three megabytes of empty messages: as many elements as a body can have.
    let containers = [18, 0].repeat(1_500_000);
    let body = [
        b"k8s\0".to_vec(),
        field(1, &kind),
        field(2, &field(2, &containers)),
    ]
    .concat();
    if let Ok(pod) = protobuf::decode(&body) {
        assert!(size(&pod) < 200 << 20);
    }
    let wide = format!("{{{}}}", vec!["\"a\":1"; 500_000].join(","));
    assert!(validation::duplicates(wide.as_bytes()).len() <= 500_000);
    let selector = vec!["a"; 300_000].join(",");
    let _ = LabelSelector::parse(&selector);
    let _ = LabelSelector::parse(&"(".repeat(300_000));
    let _ = FieldSelector::parse(&"a=b,".repeat(100_000));
}
