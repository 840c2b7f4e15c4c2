//! The `scale` subresource: how many replicas, whatever the kind.

use apimachinery::schema::Type;
use apimachinery::status::Reason;
use apimachinery::{GroupVersionKind, Resource, Status, crd, definitions, managed, patch};
use serde_json::{Map, Value as Json, json};

use super::call::{Call, Patch, Written};
use super::create::Ownership;
use super::document::{expect_object, list, map, text};
use super::update::{Source, check_patch};
use super::{Registry, custom};
use crate::store::{Key, Stored, Transaction};

/// Where a kind has its replicas: JSON pointers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Paths {
    spec: String,
    status: String,
    selector: Option<String>,
}

impl Paths {
    /// The replicas' path as managedFields' readers want it: `spec.replicas`.
    fn dotted(&self) -> String {
        self.spec.trim_start_matches('/').replace('/', ".")
    }
}

const VERSION: &str = "autoscaling/v1";

impl Registry {
    /// The `Scale` of a stored object.
    pub(super) fn scale_of(&self, call: &Call<'_>, stored: &Stored) -> Result<Json, Status> {
        let target = self.target(call.resource);
        let definition = |key: &Key| self.store.get(key);
        let paths = paths(&target, &call.resource.kind.version, definition)
            .ok_or_else(|| no_scale(call))?;
        let object = stored.json();
        Ok(owned(scale(&object, &paths), &object, &paths))
    }

    pub(super) fn change_scale(
        &self,
        call: &Call<'_>,
        source: Source<'_>,
    ) -> Result<Written, Status> {
        let target = self.target(call.resource);
        let key = Key::new(&target.group_resource(), call.namespace, call.name);
        let schema = definitions::of_kind(&GroupVersionKind::new("autoscaling", "v1", "Scale"))
            .unwrap_or_else(Type::any);
        if let Source::Patch(patch) = &source {
            check_patch(call, patch)?;
        }
        let ((stored, paths), revision) = self.write(call.dry_run, |tx| {
            let existing = tx.get(&key).ok_or_else(|| call.not_found(call.name))?;
            let paths = definition_paths(tx, call, &target)?;
            let old = existing.json();
            let shown = owned(scale(&old, &paths), &old, &paths);
            let now = self.settings.clock.now();
            let manager = call.manager();
            // What is owned of a Scale is owned by the version that Scales have.
            let writer = managed::Writer {
                manager: &manager,
                subresource: "scale",
                api_version: VERSION,
                now,
                reset: &["status"],
            };
            let sent = match source {
                Source::Put(mut sent) => {
                    identify(&mut sent)?;
                    managed::update(&schema, Some(&shown), &mut sent, &writer);
                    sent
                }
                Source::Patch(Patch::Apply { object, force }) => {
                    let mut applied = object.clone();
                    identify(&mut applied)?;
                    managed::apply(&schema, Some(&shown), &applied, &writer, *force)?
                }
                Source::Patch(patch) => {
                    let mut sent = patched(&schema, &shown, patch)?;
                    identify(&mut sent)?;
                    managed::update(&schema, Some(&shown), &mut sent, &writer);
                    sent
                }
            };
            let mut new = old.clone();
            set(&mut new, &sent, &paths)?;
            let fields = managed::to_parent(
                old["metadata"].get("managedFields"),
                sent["metadata"].get("managedFields"),
                &target.kind.api_version(),
                &paths.dotted(),
            );
            let metadata = map(&mut new["metadata"]);
            match fields {
                Some(fields) => metadata.insert("managedFields".to_owned(), fields),
                None => metadata.remove("managedFields"),
            };
            let ownership = Ownership::AsApplied;
            let stored = self.replace(tx, call, &target, &existing, &old, new, ownership)?;
            Ok((stored, paths))
        })?;
        let object = stored.json();
        let object = owned(scale(&object, &paths), &object, &paths);
        Ok(Written {
            object: object.to_string().into(),
            created: false,
            revision,
            warnings: Vec::new(),
        })
    }
}

fn no_scale(call: &Call<'_>) -> Status {
    let resource = call.resource;
    Status::new(
        Reason::NotFound,
        "the server could not find the requested resource",
    )
    .about(&resource.kind.group, &resource.plural, call.name)
}

fn definition_paths(
    tx: &Transaction<'_>,
    call: &Call<'_>,
    target: &Resource,
) -> Result<Paths, Status> {
    paths(target, &call.resource.kind.version, |key| tx.get(key)).ok_or_else(|| no_scale(call))
}

fn paths(
    target: &Resource,
    version: &str,
    definition: impl Fn(&Key) -> Option<std::sync::Arc<Stored>>,
) -> Option<Paths> {
    if !target.custom {
        return target.subresource("scale").map(|_| Paths {
            spec: "/spec/replicas".to_owned(),
            status: "/status/replicas".to_owned(),
            selector: Some("/spec/selector".to_owned()),
        });
    }
    let name = format!("{}.{}", target.plural, target.kind.group);
    let definition = definition(&Key::new(&custom::definitions(), "", &name))?.json();
    let scale = crd::scale_paths(&definition, version)?;
    let pointer = |path: &str| path.replace('.', "/");
    Some(Paths {
        spec: pointer(&scale.spec_replicas),
        status: pointer(&scale.status_replicas),
        selector: scale.label_selector.as_deref().map(pointer),
    })
}

fn scale(object: &Json, paths: &Paths) -> Json {
    let metadata = &object["metadata"];
    let mut shown = Map::new();
    for name in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = metadata.get(name) {
            shown.insert(name.to_owned(), value.clone());
        }
    }
    let count = |path: &str| object.pointer(path).and_then(Json::as_i64).unwrap_or(0);
    // Go leaves out a count of nothing in the spec.
    let spec = match count(&paths.spec) {
        0 => json!({}),
        replicas => json!({ "replicas": replicas }),
    };
    let mut status = json!({ "replicas": count(&paths.status) });
    let selector = paths
        .selector
        .as_deref()
        .and_then(|path| object.pointer(path));
    let selector = match selector {
        Some(Json::String(text)) => text.clone(),
        Some(selector) => selector_text(selector),
        None => String::new(),
    };
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": shown, "spec": spec, "status": status,
    })
}

/// A label selector as queries have it.
pub(super) fn selector_text(selector: &Json) -> String {
    // A ReplicationController's is a map of labels by itself.
    let labels = match selector.get("matchLabels") {
        Some(labels) => labels.as_object(),
        None if selector.get("matchExpressions").is_some() => None,
        None => selector.as_object(),
    };
    let mut terms: Vec<(String, String)> = labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), format!("{name}={}", value.as_str()?))))
        .collect();
    for one in list(selector, "/matchExpressions") {
        let name = text(one, "/key");
        let mut values: Vec<&str> = list(one, "/values")
            .iter()
            .filter_map(Json::as_str)
            .collect();
        values.sort_unstable();
        let values = values.join(",");
        let term = match text(one, "/operator") {
            "In" => format!("{name} in ({values})"),
            "NotIn" => format!("{name} notin ({values})"),
            "Exists" => name.to_owned(),
            "DoesNotExist" => format!("!{name}"),
            _ => continue,
        };
        terms.push((name.to_owned(), term));
    }
    terms.sort();
    let terms: Vec<String> = terms.into_iter().map(|(_, term)| term).collect();
    terms.join(",")
}

/// Takes over what a `Scale` says.
fn set(object: &mut Json, scale: &Json, paths: &Paths) -> Result<(), Status> {
    let replicas = match &scale["spec"]["replicas"] {
        Json::Null => 0,
        value => value.as_i64().ok_or_else(|| {
            Status::bad_request(
                "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32",
            )
        })?,
    };
    if replicas < 0 {
        let cause = apimachinery::status::Cause {
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {replicas}: must be greater than or equal to 0"),
            field: "spec.replicas".to_owned(),
        };
        let name = text(object, "/metadata/name");
        return Err(Status::invalid("autoscaling", "Scale", name, vec![cause]));
    }
    insert(object, &paths.spec, replicas.into());
    let metadata = map(&mut object["metadata"]);
    for name in ["uid", "resourceVersion"] {
        if let Some(value) = scale["metadata"].get(name) {
            metadata.insert(name.to_owned(), value.clone());
        } else {
            metadata.remove(name);
        }
    }
    Ok(())
}

/// A `Scale` with its owners: those of the object's replicas.
fn owned(mut scale: Json, object: &Json, paths: &Paths) -> Json {
    let fields = managed::to_scale(object["metadata"].get("managedFields"), &paths.dotted());
    if let Some(fields) = fields {
        map(&mut scale["metadata"]).insert("managedFields".to_owned(), fields);
    }
    scale
}

/// What is sent is a `Scale`.
fn identify(sent: &mut Json) -> Result<(), Status> {
    expect_object(sent)?;
    let (version, kind) = (text(sent, "/apiVersion"), text(sent, "/kind"));
    if !matches!(version, "" | VERSION) || !matches!(kind, "" | "Scale") {
        return Err(Status::bad_request(format!(
            "the kind in the data ({version}, {kind}) does not match the expected kind ({VERSION}, Scale)"
        )));
    }
    let all = map(sent);
    all.insert("apiVersion".to_owned(), VERSION.into());
    all.insert("kind".to_owned(), "Scale".into());
    Ok(())
}

fn patched(schema: &Type, shown: &Json, patch: &Patch) -> Result<Json, Status> {
    match patch {
        Patch::Json(patch) => patch::json(shown, patch),
        Patch::Merge(patch) => patch::merge(shown, patch),
        Patch::Strategic(patch) => patch::strategic(schema, shown, patch),
        Patch::Apply { object, .. } => Ok(object.clone()),
    }
}

fn insert(object: &mut Json, pointer: &str, value: Json) {
    let mut place = object;
    for part in pointer.split('/').skip(1) {
        place = map(place).entry(part).or_insert(Json::Null);
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_told_as_queries_have_them() {
        let selector = json!({
            "matchLabels": { "b": "1", "a": "2" },
            "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["y", "x"] },
                { "key": "gone", "operator": "DoesNotExist" },
            ],
        });
        assert_eq!(selector_text(&selector), "a=2,b=1,!gone,tier in (x,y)");
        assert_eq!(selector_text(&json!({ "app": "web" })), "app=web");
    }
}
