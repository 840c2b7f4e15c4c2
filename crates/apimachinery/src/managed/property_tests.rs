//! What holds for any objects and any order of writes.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::compare::Delta;
use super::fields::Fields;
use super::tests::{Server, widget, widget_type};
use super::*;
use crate::patch;
use crate::schema::Type;

fn label() -> impl Strategy<Value = String> {
    "[a-c]"
}

/// Specs of the test's custom resource, with every kind of list and map.
fn spec() -> impl Strategy<Value = Json> {
    let part = (label(), proptest::option::of(label()), 0..3).prop_map(|(id, side, weight)| {
        let mut part = json!({"id": id, "weight": weight});
        if let Some(side) = side {
            part["side"] = json!(side);
        }
        part
    });
    let parts = proptest::collection::vec(part, 0..4).prop_map(|mut parts| {
        let mut seen = Vec::new();
        parts.retain(|part| {
            let key = (part["id"].clone(), part.get("side").cloned());
            let new = !seen.contains(&key);
            seen.push(key);
            new
        });
        Json::from(parts)
    });
    let names = proptest::sample::subsequence(vec!["x", "y", "z"], 0..=3)
        .prop_shuffle()
        .prop_map(|names| json!(names));
    let map = proptest::collection::btree_map(label(), 0..3, 0..3).prop_map(|map| json!(map));
    let free = (map, label()).prop_map(|(map, label)| json!({"map": map, "list": [label]}));
    let member = |name: &'static str, value: BoxedStrategy<Json>| {
        proptest::option::of(value).prop_map(move |value| value.map(|value| (name, value)))
    };
    let plain = proptest::collection::vec(label(), 0..3).prop_map(Json::from);
    (
        member("size", (0..3).prop_map(|size| json!(size)).boxed()),
        member("parts", parts.boxed()),
        member("names", names.boxed()),
        member("plain", plain.boxed()),
        member("whole", (0..3).prop_map(|a| json!({"a": a})).boxed()),
        member("free", free.boxed()),
    )
        .prop_map(|(a, b, c, d, e, f)| {
            let mut spec = json!({});
            for (name, value) in [a, b, c, d, e, f].into_iter().flatten() {
                spec[name] = value;
            }
            spec
        })
}

#[derive(Debug, Clone)]
enum Write {
    Apply(&'static str, Json, bool),
    Update(&'static str, Json),
}

fn write() -> impl Strategy<Value = Write> {
    let manager = proptest::sample::select(vec!["one", "two", "three"]);
    prop_oneof![
        3 => (manager.clone(), spec(), any::<bool>())
            .prop_map(|(manager, spec, force)| Write::Apply(manager, spec, force)),
        1 => (manager, spec()).prop_map(|(manager, spec)| Write::Update(manager, spec)),
    ]
}

fn widgets() -> Server {
    Server::new(widget_type(), "example.com/v1")
}

fn done(writes: &[Write]) -> Server {
    let mut server = widgets();
    for write in writes {
        match write {
            Write::Apply(manager, spec, force) => {
                // A conflict leaves everything as it was.
                let before = server.object.clone();
                if server.apply(manager, widget(spec.clone()), *force).is_err() {
                    assert!(!force);
                    assert_eq!(server.object, before);
                }
            }
            Write::Update(manager, spec) => server.update(manager, |object| {
                let metadata = object.get("metadata").cloned();
                *object = widget(spec.clone());
                if let Some(metadata) = metadata {
                    object["metadata"] = metadata;
                }
            }),
        }
    }
    server
}

/// Whether everything that a configuration says is so in an object.
fn holds(object: &Json, applied: &Json) -> bool {
    match (object, applied) {
        (Json::Object(object), Json::Object(applied)) => applied.iter().all(|(name, applied)| {
            object
                .get(name)
                .is_some_and(|object| holds(object, applied))
        }),
        (Json::Array(object), Json::Array(applied)) => applied
            .iter()
            .all(|applied| object.iter().any(|object| holds(object, applied))),
        (object, applied) => object == applied,
    }
}

fn all_owned(server: &Server) -> Fields {
    let mut all = Fields::default();
    let managed = &server.object()["metadata"]["managedFields"];
    for entry in managed.as_array().into_iter().flatten() {
        all.unite(Fields::from_json(&entry["fieldsV1"]).unwrap());
    }
    all
}

fn only(spec: &Json, names: &[&str]) -> Json {
    let members = spec.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| names.contains(&&***name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A spec without what order and emptiness make of lists.
fn sorted(object: &Json) -> Json {
    let mut spec = object["spec"].clone();
    for list in ["parts", "names"] {
        if let Some(list) = spec[list].as_array_mut() {
            list.sort_by_key(Json::to_string);
        }
        if spec[list].as_array().is_none_or(Vec::is_empty) {
            spec[list] = Json::Null;
        }
    }
    spec
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_is_applying_once(writes in proptest::collection::vec(write(), 0..5), last in spec()) {
        let mut server = done(&writes);
        server.apply("one", widget(last.clone()), true).unwrap();
        let (once, version) = (server.object.clone(), server.version);
        server.apply("one", widget(last), false).unwrap();
        prop_assert_eq!(&server.object, &once);
        prop_assert_eq!(server.version, version);
    }

    #[test]
    fn what_is_applied_is_so(writes in proptest::collection::vec(write(), 0..5), last in spec()) {
        let mut server = done(&writes);
        server.apply("one", widget(last.clone()), true).unwrap();
        prop_assert!(holds(&server.object()["spec"], &last), "{} {last}", server.object());
    }

    #[test]
    fn nothing_stays_of_what_a_lone_manager_gives_up(first in spec(), second in spec()) {
        let mut server = widgets();
        server.apply("one", widget(first), false).unwrap();
        server.apply("one", widget(second.clone()), false).unwrap();
        let mut fresh = widgets();
        fresh.apply("one", widget(second), false).unwrap();
        prop_assert_eq!(server.owned("one", "Apply"), fresh.owned("one", "Apply"));
        prop_assert_eq!(sorted(server.object()), sorted(fresh.object()));
    }

    #[test]
    fn managers_of_different_fields_do_not_meet(one in spec(), two in spec(), gone in spec()) {
        let (ones, twos) = (["size", "parts", "free"], ["names", "plain", "whole"]);
        let mut server = widgets();
        server.apply("one", widget(only(&one, &ones)), false).unwrap();
        server.apply("two", widget(only(&two, &twos)), false).unwrap();
        let theirs = only(&server.object()["spec"], &twos);
        let owned = server.owned("two", "Apply");
        server.apply("one", widget(only(&gone, &ones)), false).unwrap();
        prop_assert_eq!(only(&server.object()["spec"], &twos), theirs);
        prop_assert_eq!(server.owned("two", "Apply"), owned);
    }

    #[test]
    fn whoever_owns_owns_something_that_is_there(writes in proptest::collection::vec(write(), 1..8)) {
        let server = done(&writes);
        if server.object.is_some() {
            let there = Delta::between(&widget_type(), &json!({}), server.object()).changed;
            let owned = all_owned(&server);
            prop_assert!(owned.is_within(&there), "{} is not within {}", owned.to_json(), there.to_json());
        }
    }

    #[test]
    fn what_differs_is_what_an_update_owns(before in spec(), after in spec()) {
        let mut server = widgets();
        server.update("one", |object| *object = widget(before.clone()));
        server.update("two", |object| object["spec"] = after.clone());
        let delta = Delta::between(&widget_type(), &widget(before), &widget(after));
        let read = |owned: Json| if owned.is_null() { Fields::default() } else { Fields::from_json(&owned).unwrap() };
        prop_assert_eq!(&read(server.owned("two", "Update")), &delta.changed);
        let ones = read(server.owned("one", "Update"));
        prop_assert!(ones.intersection(&delta.changed).is_empty());
        prop_assert!(ones.intersection(&delta.removed).is_empty());
    }

    #[test]
    fn no_document_makes_a_write_panic(one in any_json(), two in any_json(), force in any::<bool>()) {
        for of in [widget_type(), examples::deployment(), Type::any()] {
            let writer = Writer {
                manager: "kubectl", subresource: "", api_version: "v1", now: Timestamp::UNIX_EPOCH, reset: &["status"],
            };
            let mut after = two.clone();
            update(&of, Some(&one), &mut after, &writer);
            update(&of, None, &mut after, &writer);
            let _ = apply(&of, Some(&one), &two, &writer, force);
            let _ = settle(&one, &mut after);
            let _ = patch::strategic(&of, &one, &two);
            let _ = patch::merge(&one, &two);
            let _ = patch::json(&one, &two);
            let _ = to_parent(Some(&one), Some(&two), "apps/v1", "spec.replicas");
        }
    }

    #[test]
    fn an_empty_patch_changes_nothing_and_a_merge_patch_twice_is_one(object in any_json(), patch in any_json()) {
        let of = examples::deployment();
        if object.is_object() {
            prop_assert_eq!(patch::strategic(&of, &object, &json!({})).unwrap(), object.clone());
            prop_assert_eq!(patch::merge(&object, &json!({})).unwrap(), object.clone());
        }
        if let Ok(once) = patch::merge(&object, &patch) {
            prop_assert_eq!(patch::merge(&once, &patch).unwrap(), once);
        }
    }
}

/// Documents that look like objects in places.
fn any_json() -> impl Strategy<Value = Json> {
    let key = proptest::sample::select(vec![
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "status",
        "template",
        "containers",
        "name",
        "ports",
        "containerPort",
        "labels",
        "managedFields",
        "fieldsV1",
        "operation",
        "f:spec",
        "k:{",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$deleteFromPrimitiveList/finalizers",
        "finalizers",
        "parts",
        "names",
        "id",
        "op",
        "path",
        "value",
        "annotations",
        "kubectl.kubernetes.io/last-applied-configuration",
        "uid",
    ]);
    let text = proptest::sample::select(vec![
        "v1",
        "a",
        "",
        "Apply",
        "delete",
        "replace",
        "{}",
        r#"{"apiVersion":"v1"}"#,
        "add",
        "/a",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-2i64..90).prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        text.prop_map(Json::from),
    ];
    leaf.prop_recursive(7, 60, 6, move |inner| {
        let members = proptest::collection::btree_map(
            key.clone().prop_map(str::to_owned),
            inner.clone(),
            0..6,
        );
        prop_oneof![
            1 => proptest::collection::vec(inner, 0..4).prop_map(Json::from),
            4 => members.prop_map(|map| json!(map)),
        ]
    })
}
