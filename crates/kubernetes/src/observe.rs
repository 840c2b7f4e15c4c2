//! What of a live object is ours, in the shape of what we have applied: so that the two can be compared field by field.
//!
//! Others write into the same objects: defaults, sidecars, a scaler's replicas. Which fields are ours is in the object's
//! managed fields. The model that comes out has
//!
//! - what we have applied, with the values that are there now, whoever has set them;
//! - what we own there and do not apply any more;
//! - nothing of what only others have set;
//! - the applied spelling where the value means the same, and the applied order where a list is a map by keys;
//! - the reference where we have applied a secret's, and a mark where somebody else has set it.

use graph::is_secret;
use serde_json::{Map, Value as Json};

use crate::quantity;

/// Stands for a secret that is not ours any more, or a value of a Secret that we have not set: never the value itself.
const NOT_OURS: &str = "(set by somebody else)";

/// The live object in the shape of the applied manifest. `fields` are the fields that we have applied, as `FieldsV1`.
pub(crate) fn observe(applied: &Json, live: &Json, fields: Option<&Json>) -> Json {
    let nothing = Json::Null;
    let fields = fields.unwrap_or(&nothing);
    let live = if applied["kind"] == "Secret" {
        secret(live)
    } else {
        live.clone()
    };
    let mut model = Map::new();
    let identity = ["apiVersion", "kind"];
    for (name, value) in applied.as_object().into_iter().flatten() {
        if identity.contains(&name.as_str()) {
            // Who can read an object by its version and kind has one of them.
            model.insert(name.clone(), value.clone());
            continue;
        }
        let found = match name.as_str() {
            "metadata" => metadata(value, &live[name], owned(fields, name)),
            _ => match live.get(name) {
                Some(live) => Some(overlay(value, live, owned(fields, name))),
                None => absent(value),
            },
        };
        model.extend(found.map(|found| (name.clone(), found)));
    }
    leftovers(applied, &live, fields, &mut model);
    model.into()
}

/// A Secret as it is declared, with its keys and none of its values.
fn secret(live: &Json) -> Json {
    let mut secret = live.clone();
    let data = secret
        .as_object_mut()
        .and_then(|secret| secret.remove("data"));
    if let Some(Json::Object(data)) = data {
        let hidden = data.into_iter().map(|(key, _)| (key, NOT_OURS.into()));
        secret["stringData"] = Json::Object(hidden.collect());
    }
    secret
}

/// Name and namespace are nobody's field.
fn metadata(applied: &Json, live: &Json, fields: &Json) -> Option<Json> {
    let mut model = overlay(applied, live, fields);
    for name in ["name", "namespace"] {
        if let (Some(model), Some(value)) = (model.as_object_mut(), applied.get(name)) {
            model.insert(name.to_owned(), live.get(name).unwrap_or(value).clone());
        }
    }
    Some(model)
}

/// What stands for a value that is not there: what is empty is not kept by an API server.
fn absent(applied: &Json) -> Option<Json> {
    let empty = match applied {
        Json::Null => true,
        Json::Object(object) => object.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => false,
    };
    empty.then(|| applied.clone())
}

/// The fields below a name; null when none of them is ours, an empty object when all are.
fn owned<'a>(fields: &'a Json, name: &str) -> &'a Json {
    // A Secret's values are declared in one field and kept in another.
    let kept = if name == "stringData" { "data" } else { name };
    match fields {
        Json::Object(inner) if inner.is_empty() => fields,
        Json::Object(inner) => inner.get(&format!("f:{kept}")).unwrap_or(&Json::Null),
        _ => &Json::Null,
    }
}

/// What is ours there and in nothing that we apply: it was applied once, and the state does not know.
fn leftovers(applied: &Json, live: &Json, fields: &Json, model: &mut Map<String, Json>) {
    let Json::Object(fields) = fields else {
        return;
    };
    for name in fields.keys().filter_map(|field| field.strip_prefix("f:")) {
        let declared = if name == "data" && live.get("data").is_none() {
            "stringData"
        } else {
            name
        };
        if applied.get(declared).is_none()
            && let Some(value) = live.get(declared)
        {
            model.insert(declared.to_owned(), value.clone());
        }
    }
}

fn overlay(applied: &Json, live: &Json, fields: &Json) -> Json {
    if is_secret(applied) {
        // Ours is what we have set; somebody else's value is none of ours, and is not told.
        return match fields.is_null() {
            false => applied.clone(),
            true => NOT_OURS.into(),
        };
    }
    match (applied, live) {
        (Json::Object(wanted), Json::Object(present)) => {
            let mut model = Map::new();
            for (name, value) in wanted {
                let found = match present.get(name) {
                    Some(live) => Some(overlay(value, live, owned(fields, name))),
                    None => absent(value),
                };
                model.extend(found.map(|found| (name.clone(), found)));
            }
            leftovers(applied, live, fields, &mut model);
            model.into()
        }
        (Json::Array(wanted), Json::Array(present)) => list(wanted, present, fields).into(),
        _ if quantity::same(applied, live) => applied.clone(),
        _ => live.clone(),
    }
}

/// A list is a map by keys, a set, or one value: which, the managed fields tell.
fn list(applied: &[Json], live: &[Json], fields: &Json) -> Vec<Json> {
    let empty = Map::new();
    let entries = fields.as_object().unwrap_or(&empty);
    let keyed = entries.keys().any(|entry| entry.starts_with("k:"));
    let set = entries.keys().any(|entry| entry.starts_with("v:"));
    if keyed {
        return applied
            .iter()
            .filter_map(|wanted| {
                let (fields, present) = entries.iter().find_map(|(entry, fields)| {
                    let keys = keys_of(entry)?;
                    let agrees = |item: &Json, unset: bool| {
                        keys.iter().all(|(name, key)| match item.get(name) {
                            Some(value) => value == key,
                            // A key with a default need not be written (`protocol`).
                            None => unset,
                        })
                    };
                    let present = live.iter().find(|present| agrees(present, false))?;
                    agrees(wanted, true).then_some((fields, present))
                })?;
                Some(overlay(wanted, present, fields))
            })
            .collect();
    }
    if set {
        return applied
            .iter()
            .filter(|wanted| live.contains(wanted))
            .cloned()
            .collect();
    }
    if let Some(key) = shared_key(applied, live) {
        // None of it is ours any more, but what it is can still be told.
        let find = |wanted: &Json| live.iter().find(|present| present[key] == wanted[key]);
        return applied
            .iter()
            .filter_map(|wanted| Some(overlay(wanted, find(wanted)?, fields)))
            .collect();
    }
    if applied.len() != live.len() {
        return live.to_vec();
    }
    applied
        .iter()
        .zip(live)
        .map(|(wanted, present)| overlay(wanted, present, fields))
        .collect()
}

/// The keys of `k:{"name":"web"}`.
fn keys_of(entry: &str) -> Option<Map<String, Json>> {
    serde_json::from_str(entry.strip_prefix("k:")?).ok()
}

/// A name that tells the elements of two lists of objects apart, of those that Kubernetes' lists have as a rule.
fn shared_key(applied: &[Json], live: &[Json]) -> Option<&'static str> {
    ["name", "type", "mountPath", "uid", "key"]
        .into_iter()
        .find(|key| {
            let tells = |items: &[Json]| {
                let mut keys: Vec<&str> = items
                    .iter()
                    .filter_map(|item| item.get(*key).and_then(Json::as_str))
                    .collect();
                let all = keys.len() == items.len() && !items.is_empty();
                keys.sort_unstable();
                keys.dedup();
                all && keys.len() == items.len()
            };
            tells(applied) && tells(live)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> (Json, Json, Json) {
        let applied = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "labels": {"a": "1"}},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{
                "name": "web", "image": "web:1", "resources": {"requests": {"cpu": "1000m"}},
                "ports": [{"containerPort": 80}],
            }]}}},
        });
        let live = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "labels": {"a": "1", "other": "x"}},
            "spec": {"replicas": 2, "revisionHistoryLimit": 10, "template": {"spec": {"dnsPolicy": "ClusterFirst", "containers": [
                {"name": "sidecar", "image": "s"},
                {"name": "web", "image": "web:1", "resources": {"requests": {"cpu": "1"}}, "imagePullPolicy": "Always",
                 "ports": [{"containerPort": 80, "protocol": "TCP"}]},
            ]}}},
        });
        let fields = json!({
            "f:metadata": {"f:labels": {"f:a": {}}},
            "f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {
                ".": {}, "f:name": {}, "f:image": {}, "f:resources": {"f:requests": {"f:cpu": {}}},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
            }}}}},
        });
        (applied, live, fields)
    }

    #[test]
    fn what_others_have_added_is_not_seen_and_what_means_the_same_is_the_same() {
        let (applied, live, fields) = deployment();
        assert_eq!(observe(&applied, &live, Some(&fields)), applied);
    }

    #[test]
    fn what_others_have_changed_is_seen_whoever_owns_it_now() {
        let (applied, mut live, mut fields) = deployment();
        live["spec"]["replicas"] = 5.into();
        fields["f:spec"]
            .as_object_mut()
            .unwrap()
            .remove("f:replicas");
        live["spec"]["template"]["spec"]["containers"][1]["image"] = "web:2".into();
        let model = observe(&applied, &live, Some(&fields));
        assert_eq!(model["spec"]["replicas"], 5);
        assert_eq!(
            model["spec"]["template"]["spec"]["containers"][0]["image"],
            "web:2"
        );
        // A container that is gone leaves a shorter list.
        live["spec"]["template"]["spec"]["containers"]
            .as_array_mut()
            .unwrap()
            .remove(1);
        let model = observe(&applied, &live, Some(&fields));
        assert_eq!(model["spec"]["template"]["spec"]["containers"], json!([]));
    }

    #[test]
    fn what_we_own_and_apply_no_more_is_seen() {
        let (applied, mut live, mut fields) = deployment();
        live["spec"]["paused"] = true.into();
        fields["f:spec"]["f:paused"] = json!({});
        assert_eq!(
            observe(&applied, &live, Some(&fields))["spec"]["paused"],
            true
        );
    }

    #[test]
    fn no_value_of_a_secret_is_seen() {
        let reference = json!({"$secret": {"secret": "redis/secret", "key": "password"}});
        let applied = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "stringData": {"password": reference, "gone": reference, "taken": reference},
        });
        let live = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "data": {"password": "aHVudGVyMg==", "taken": "b3RoZXI=", "extra": "ZXh0cmE="},
        });
        let fields = json!({"f:data": {"f:password": {}}});
        let model = observe(&applied, &live, Some(&fields));
        assert_eq!(model["stringData"]["password"], reference);
        assert_eq!(model["stringData"].get("gone"), None);
        assert_eq!(model["stringData"]["taken"], NOT_OURS);
        let text = model.to_string();
        for value in ["aHVudGVyMg", "b3RoZXI", "ZXh0cmE"] {
            assert!(!text.contains(value), "{text}");
        }
    }

    #[test]
    fn a_set_and_a_list_that_is_one_value() {
        let applied =
            json!({"metadata": {"name": "x", "finalizers": ["a", "b"]}, "args": ["1", "2"]});
        let live = json!({"metadata": {"name": "x", "finalizers": ["z", "b"]}, "args": ["2", "1"]});
        let fields =
            json!({"f:metadata": {"f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}}}, "f:args": {}});
        let model = observe(&applied, &live, Some(&fields));
        assert_eq!(model["metadata"]["finalizers"], json!(["b"]));
        assert_eq!(model["args"], json!(["2", "1"]));
    }
}
