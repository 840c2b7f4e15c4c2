use serde_json::json;

use super::*;
use crate::managed::examples::{deployment, pod_spec};

fn patched(original: Json, patch: Json) -> Json {
    strategic(&pod_spec(), &original, &patch).unwrap()
}

fn names(list: &Json) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| item["name"].as_str().unwrap())
        .collect()
}

#[test]
fn lists_are_merged_by_their_key() {
    let merged = patched(
        json!({"containers": [{"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]}),
        json!({"containers": [{"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}]}, {"name": "c"}]}),
    );
    let containers = &merged["containers"];
    assert_eq!(containers[0]["image"], "a:2");
    assert_eq!(names(&containers[0]["env"]), ["Y", "X"]);
    let mut all = names(containers);
    all.sort_unstable();
    assert_eq!(all, ["a", "b", "c"]);
}

#[test]
fn elements_are_deleted_and_lists_replaced() {
    let original = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    assert_eq!(
        patched(
            original.clone(),
            json!({"containers": [{"name": "a", "$patch": "delete"}]})
        ),
        json!({"containers": [{"name": "b"}]})
    );
    assert_eq!(
        patched(
            original.clone(),
            json!({"containers": [{"name": "c"}, {"$patch": "replace"}]})
        ),
        json!({"containers": [{"name": "c"}]})
    );
    assert_eq!(patched(original, json!({"containers": null})), json!({}));
}

#[test]
fn maps_are_deleted_and_replaced() {
    let original = json!({"nodeSelector": {"a": "1", "b": "2"}});
    assert_eq!(
        patched(
            original.clone(),
            json!({"nodeSelector": {"$patch": "replace", "c": "3"}})
        ),
        json!({"nodeSelector": {"c": "3"}})
    );
    assert_eq!(
        patched(
            original.clone(),
            json!({"nodeSelector": {"$patch": "delete"}})
        ),
        json!({"nodeSelector": {}})
    );
    assert_eq!(
        patched(original, json!({"nodeSelector": {"a": null, "x": null}})),
        json!({"nodeSelector": {"b": "2"}})
    );
}

#[test]
fn the_order_is_set_and_what_it_does_not_name_stays_between_its_neighbours() {
    let merged = patched(
        json!({"containers": [{"name": "a"}, {"name": "side"}, {"name": "b"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}, {"name": "c"}], "containers": [{"name": "c"}]}),
    );
    let order = names(&merged["containers"]);
    assert_eq!(order, ["side", "b", "a", "c"]);

    let merged = patched(
        json!({"containers": [{"name": "a"}, {"name": "b"}]}),
        json!({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a", "$patch": "delete"}]}),
    );
    assert_eq!(names(&merged["containers"]), ["b"]);

    // A list that the object does not have, and one that neither has.
    let merged = patched(
        json!({}),
        json!({"$setElementOrder/containers": [{"name": "a"}], "containers": [{"name": "a"}],
            "$setElementOrder/volumes": [{"name": "v"}]}),
    );
    assert_eq!(merged, json!({"containers": [{"name": "a"}]}));
}

#[test]
fn what_kubectl_sends_when_a_container_and_a_port_go() {
    let original = json!({"containers": [
        {"name": "web", "image": "nginx:1", "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 443, "protocol": "TCP"}]},
        {"name": "old", "image": "busybox"}]});
    let patch = json!({"$setElementOrder/containers": [{"name": "web"}], "containers": [
        {"name": "web", "$setElementOrder/ports": [{"containerPort": 80}], "ports": [{"$patch": "delete", "containerPort": 443}]},
        {"$patch": "delete", "name": "old"}]});
    assert_eq!(
        patched(original, patch),
        json!({"containers": [{"name": "web", "image": "nginx:1", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]})
    );
}

#[test]
fn keys_are_retained() {
    let of = deployment();
    let original =
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let merged = strategic(
        &of,
        &original,
        &json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
    )
    .unwrap();
    assert_eq!(merged, json!({"spec": {"strategy": {"type": "Recreate"}}}));
    for wrong in [
        json!({"spec": {"strategy": {"$retainKeys": ["x"], "type": "Recreate"}}}),
        json!({"spec": {"strategy": {"$retainKeys": "type", "type": "Recreate"}}}),
    ] {
        let refused = strategic(&of, &original, &wrong).unwrap_err();
        assert_eq!(
            (refused.code, &*refused.message),
            (400, "invalid patch format of retainKeys")
        );
    }
}

#[test]
fn scalars_are_merged_and_deleted_as_sets() {
    let of = deployment();
    let finalizers = |original: Json, patch: Json| {
        strategic(
            &of,
            &json!({"metadata": {"finalizers": original}}),
            &json!({"metadata": patch}),
        )
        .unwrap()["metadata"]["finalizers"]
            .clone()
    };
    assert_eq!(
        finalizers(json!(["a", "b"]), json!({"finalizers": ["b", "c"]})),
        json!(["a", "b", "c"])
    );
    assert_eq!(
        finalizers(
            json!(["a", "b"]),
            json!({"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["c", "b"], "finalizers": ["c"]})
        ),
        json!(["c", "b"])
    );
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    assert_eq!(
        patched(
            json!({"tolerations": [{"key": "a"}]}),
            json!({"tolerations": [{"key": "b"}]})
        ),
        json!({"tolerations": [{"key": "b"}]})
    );
}

#[test]
fn what_is_new_has_no_directives() {
    assert_eq!(
        patched(
            json!({}),
            json!({"containers": [{"name": "a", "$patch": "delete"}, {"name": "b", "image": null,
                "$setElementOrder/env": [{"name": "X"}], "env": [{"name": "X"}]}]})
        ),
        json!({"containers": [{"name": "b", "env": [{"name": "X"}]}]})
    );
}

#[test]
fn wrong_patches_are_refused() {
    let original = json!({"containers": [{"name": "a"}], "nodeSelector": {"a": "1"}});
    for (patch, code) in [
        (json!([]), 400),
        (json!("x"), 400),
        (json!({"containers": [{"image": "x"}]}), 422),
        (
            json!({"containers": [{"name": "a", "$patch": "merge"}]}),
            422,
        ),
        (json!({"containers": [{"name": "a", "$patch": 7}]}), 422),
        (json!({"containers": [{"$patch": "delete"}]}), 422),
        (json!({"containers": ["a"]}), 422),
        (json!({"containers": [["a"]]}), 422),
        (json!({"nodeSelector": {"$patch": "merge"}}), 422),
        (json!({"$setElementOrder/containers": {}}), 422),
        (json!({"$setElementOrder": []}), 400),
        (json!({"$deleteFromPrimitiveList/x": {}}), 400),
        (
            json!({"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}),
            422,
        ),
        (json!({"$setElementOrder/containers": [{"x": "b"}]}), 422),
    ] {
        let refused = strategic(&pod_spec(), &original, &patch).unwrap_err();
        assert_eq!(refused.code, code, "{patch}: {}", refused.message);
    }
}
