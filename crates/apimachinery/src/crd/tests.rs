use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::defaults;
use crate::schema::Shape;
use crate::validation;

fn spec_properties() -> Json {
    json!({
        "size": {"type": "integer", "format": "int32", "minimum": 0, "default": 1},
        "zone": {"type": "string", "enum": ["small", "big"]},
        "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
        "cpu": {"x-kubernetes-int-or-string": true},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "weights": {"type": "object", "additionalProperties": {"type": "number"}},
        "taints": {
            "type": "array", "maxItems": 2,
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"],
            "items": {"type": "object", "required": ["key"], "properties": {
                "key": {"type": "string"}, "effect": {"type": "string", "default": "NoSchedule"},
            }, "x-kubernetes-validations": [
                {"rule": "self.key.find('^[a-z.]+') == self.key", "messageExpression": "'bad key ' + self.key"},
            ]},
        },
    })
}

fn definition() -> Json {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "pools.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Pool", "plural": "pools", "shortNames": ["po"], "categories": ["all"],
                "singular": "pool", "listKind": "PoolList"},
            "versions": [
                {"name": "v1alpha1", "served": false, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}},
                {
                    "name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
                    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1}],
                    "schema": {"openAPIV3Schema": {
                        "type": "object", "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object", "required": ["zone"],
                                "x-kubernetes-validations": [
                                    {"rule": "self.size <= 10 || self.zone == 'big'", "message": "only the big zone has room"},
                                    {"rule": "self.zone == oldSelf.zone", "message": "zone is immutable", "fieldPath": ".zone",
                                        "reason": "FieldValueForbidden"},
                                    {"rule": "!has(self.cpu) || quantity(self.cpu).isGreaterThan(quantity('0'))"},
                                ],
                                "properties": spec_properties(),
                            },
                            "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                        },
                    }},
                },
            ],
        },
    })
}

fn pool(spec: Json) -> Json {
    json!({"apiVersion": "example.com/v1", "kind": "Pool", "metadata": {"name": "one"}, "spec": spec})
}

fn resource() -> Resource {
    resources(&definition()).remove(0)
}

fn told(spec: Json) -> Vec<String> {
    let causes = check(&resource().schema, &pool(spec), None);
    causes
        .into_iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

#[test]
fn served_versions_become_resources() {
    let all = resources(&definition());
    assert_eq!(all.len(), 1);
    let one = &all[0];
    assert_eq!(one.kind, GroupVersionKind::new("example.com", "v1", "Pool"));
    assert!(one.namespaced && one.custom);
    assert!(one.subresource("status").is_some());
    assert_eq!(
        one.subresource("scale").unwrap().kind.api_version(),
        "autoscaling/v1"
    );
    assert_eq!(
        scale_paths(&definition(), "v1").unwrap().spec_replicas,
        ".spec.size"
    );
    assert_eq!(storage_version(&definition()), Some("v1"));
    let columns = printer_columns(&definition(), "v1");
    assert_eq!((columns[0].name.as_str(), columns[0].priority), ("Size", 1));
    assert_eq!(printer_columns(&definition(), "v1alpha1")[0].name, "Age");
}

#[test]
fn structural_schemas_become_types() {
    let schema = resource().schema;
    let metadata = schema.node().field("metadata").unwrap();
    assert_eq!(metadata.name(), Some(crate::definitions::OBJECT_META));
    let spec = schema.node().field("spec").unwrap().node();
    let taints = spec.field("taints").unwrap().node();
    let Shape::List { kind, .. } = &taints.shape else {
        panic!("{taints:?}")
    };
    assert_eq!(*kind, crate::schema::ListKind::Map(vec!["key".into()]));
    assert!(matches!(
        spec.field("cpu").unwrap().node().shape,
        Shape::IntOrString
    ));
    assert!(matches!(
        spec.field("free").unwrap().node().shape,
        Shape::Struct { open: true, .. }
    ));
}

#[test]
fn unknown_fields_are_pruned_and_defaults_put_in() {
    let mut object = pool(json!({
        "zone": "small", "x": 1, "free": {"any": {"thing": 1}}, "taints": [{"key": "a", "y": 2}], "name": null,
    }));
    object["metadata"]["z"] = json!(1);
    object["extra"] = json!(1);
    let schema = resource().schema;
    assert_eq!(validation::strict(&schema, &object).len(), 4);
    prune(&schema, &mut object);
    default(&schema, &mut object);
    assert_eq!(
        object,
        pool(json!({
            "zone": "small", "size": 1, "free": {"any": {"thing": 1}}, "taints": [{"key": "a", "effect": "NoSchedule"}],
        }))
    );
    let mut again = object.clone();
    defaults::apply(&resource(), &mut again);
    assert_eq!(again, object);
}

#[test]
fn values_are_held_against_the_schema() {
    assert_eq!(told(json!({"zone": "small", "size": 3})), [""; 0]);
    assert_eq!(
        told(json!({"size": "three", "zone": "tiny", "name": "A", "weights": {"a": true}})),
        [
            r#"spec.name: Invalid value: "A": spec.name in body should match '^[a-z]+$'"#,
            r#"spec.size: Invalid value: "string": spec.size in body must be of type integer: "string""#,
            r#"spec.weights.a: Invalid value: "boolean": spec.weights.a in body must be of type number: "boolean""#,
            r#"spec.zone: Unsupported value: "tiny": supported values: "small", "big""#,
        ]
    );
    assert_eq!(told(json!({"size": 3})), ["spec.zone: Required value"]);
    assert_eq!(
        told(
            json!({"zone": "big", "size": -1, "name": "abcdef", "taints": [{"key": "a"}, {"key": "a"}, {"key": "b"}]})
        ),
        [
            "spec.name: Too long: may not be more than 5 bytes",
            "spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0",
            r#"spec.taints[1]: Duplicate value: {"key":"a"}"#,
            "spec.taints: Too many: 3: must have at most 2 items",
        ]
    );
}

#[test]
fn rules_in_cel_are_evaluated() {
    assert_eq!(
        told(json!({"zone": "small", "size": 11})),
        [r#"spec: Invalid value: "object": only the big zone has room"#]
    );
    assert_eq!(
        told(json!({"zone": "big", "size": 11, "taints": [{"key": "a.b"}, {"key": "A"}]})),
        [r#"spec.taints[1]: Invalid value: "object": bad key A"#]
    );
    let (old, new) = (
        pool(json!({"zone": "big", "size": 1})),
        pool(json!({"zone": "small", "size": 1})),
    );
    let causes = check(&resource().schema, &new, Some(&old));
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].field, "spec.zone");
    assert_eq!(causes[0].message, "Forbidden: zone is immutable");
    assert_eq!(check(&resource().schema, &new, Some(&new)), []);
}

#[test]
fn rules_that_are_not_evaluated_are_named() {
    let missed = unevaluated(&definition());
    assert_eq!(missed.len(), 1);
    assert!(missed[0].1.contains("quantity("), "{missed:?}");
}

#[test]
fn combinations_of_schemas_are_held() {
    let mut definition = definition();
    definition["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["oneOf"] = json!([{"required": ["name"]}, {"properties": {"size": {"maximum": 5}}, "required": ["size"]}]);
    let schema = resources(&definition).remove(0).schema;
    let count = |spec: Json| check(&schema, &pool(spec), None).len();
    assert_eq!(count(json!({"zone": "big", "size": 3})), 0);
    assert_eq!(count(json!({"zone": "big", "size": 3, "name": "a"})), 1);
    assert_eq!(count(json!({"zone": "big", "size": 6})), 1);
}

#[test]
fn definitions_have_rules_of_their_own() {
    assert_eq!(validate(&definition(), None), []);
    let broken = |change: fn(&mut Json)| {
        let mut definition = definition();
        change(&mut definition);
        let causes = validate(&definition, Some(&self::definition()));
        let told = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message));
        told.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(
        broken(|it| it["metadata"]["name"] = json!("pool.example.com")),
        r#"metadata.name: Invalid value: "pool.example.com": must be spec.names.plural+"."+spec.group"#
    );
    assert!(
        broken(|it| it["spec"]["versions"][1]["storage"] = json!(false))
            .contains("exactly one version marked")
    );
    assert!(
        broken(|it| it["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"] =
            json!({"minimum": 1}))
        .contains("properties[spec].properties[size].type: Required value: must not be empty for specified object fields")
    );
    assert!(broken(|it| it["spec"]["group"] = json!("new.k8s.io")).contains("protected groups"));
}

/// Objects that almost fit the definition.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        prop::sample::select(vec!["", "small", "big", "A", "object", "array", "string"])
            .prop_map(Json::from),
    ];
    let names = vec![
        "spec",
        "size",
        "zone",
        "name",
        "cpu",
        "free",
        "weights",
        "taints",
        "key",
        "effect",
        "metadata",
        "status",
        "type",
        "properties",
        "items",
        "required",
        "names",
        "kind",
        "plural",
        "versions",
        "schema",
        "openAPIV3Schema",
        "enum",
        "pattern",
        "anyOf",
        "not",
        "x-kubernetes-validations",
        "rule",
        "default",
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::btree_map(prop::sample::select(names.clone()), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_makes_it_panic(mut object in anything(), old in anything()) {
        let schema = resource().schema;
        let _ = check(&schema, &object, Some(&old));
        prune(&schema, &mut object);
        default(&schema, &mut object);
        let after = object.clone();
        prune(&schema, &mut object);
        default(&schema, &mut object);
        prop_assert_eq!(after, object);
    }

    #[test]
    fn no_definition_makes_it_panic(schema in anything(), object in anything(), whole in anything()) {
        let mut definition = definition();
        definition["spec"]["versions"][1]["schema"]["openAPIV3Schema"] = schema;
        let _ = validate(&definition, None);
        for resource in resources(&definition) {
            let mut object = object.clone();
            let _ = check(&resource.schema, &object, None);
            defaults::apply(&resource, &mut object);
        }
        let _ = (validate(&whole, Some(&definition)), resources(&whole), unevaluated(&whole));
    }

    #[test]
    fn no_rule_makes_it_panic(rule in "[a-z0-9.()'\"!=<>&|+\\[\\]{}?: -]{0,40}") {
        let mut definition = definition();
        definition["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
            json!([{"rule": rule}, {"rule": format!("self.{rule}")}]);
        let schema = resources(&definition).remove(0).schema;
        let _ = check(&schema, &pool(json!({"zone": "big", "size": 1})), None);
        let _ = unevaluated(&definition);
    }
}
