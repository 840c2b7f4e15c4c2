//! What is done with pods through their subresources: bound to nodes, evicted.

use apimachinery::status::{Cause, Reason};
use apimachinery::{GroupResource, Status};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::Registry;
use super::call::{Call, DeleteOptions, Written};
use super::document::{condition, list, map, metadata, number, part, seconds, set_condition, text};
use crate::store::{Key, Revision, Stored, Transaction};

/// Evictions that a budget has let through and whose pods are still there: more than this many, and it can't take another
/// (`MaxDisruptedPodSize`).
const MOST_DISRUPTED: usize = 2000;
const VIOLATES: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

pub(super) fn pods() -> GroupResource {
    GroupResource::new("", "pods")
}

fn budgets() -> GroupResource {
    GroupResource::new("policy", "poddisruptionbudgets")
}

impl Registry {
    /// POST of a `Binding`, to `pods/x/binding` or to `bindings`.
    pub(super) fn create_binding(&self, call: &Call<'_>, body: &Json) -> Result<Written, Status> {
        let name = match call.subresource {
            Some(_) => call.name,
            None => text(body, "/metadata/name"),
        };
        let kind = text(body, "/target/kind");
        if !matches!(kind, "" | "Node") {
            return Err(Status::invalid(
                "",
                "Binding",
                name,
                vec![Cause {
                    reason: "FieldValueNotSupported".to_owned(),
                    message: format!(
                        "Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\""
                    ),
                    field: "target.kind".to_owned(),
                }],
            ));
        }
        let node = text(body, "/target/name");
        if node.is_empty() {
            return Err(Status::invalid(
                "",
                "Binding",
                name,
                vec![Cause {
                    reason: "FieldValueRequired".to_owned(),
                    message: "Required value".to_owned(),
                    field: "target.name".to_owned(),
                }],
            ));
        }
        let ((), revision) = self.write(call.dry_run, |tx| {
            self.bind(tx, call.namespace, name, node, body)
        })?;
        Ok(success(revision))
    }

    /// Puts a pod on a node; `binding` may bring a uid that the pod must have, and annotations.
    pub(super) fn bind(
        &self,
        tx: &mut Transaction<'_>,
        namespace: &str,
        name: &str,
        node: &str,
        binding: &Json,
    ) -> Result<(), Status> {
        let now = self.settings.clock.now();
        let key = Key::new(&pods(), namespace, name);
        let stored = tx
            .get(&key)
            .ok_or_else(|| Status::not_found("", "pods", name))?;
        let refuse = |why: String| Err(Status::conflict("", "pods/binding", name, &why));
        let uid = text(binding, "/metadata/uid");
        if !uid.is_empty() && uid != &*stored.uid {
            return refuse(format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                stored.uid
            ));
        }
        if stored.deleting {
            return refuse(format!(
                "pod {name} is being deleted, cannot be assigned to a host"
            ));
        }
        let mut pod = stored.json();
        let on = text(&pod, "/spec/nodeName");
        if !on.is_empty() {
            return refuse(format!("pod {name} is already assigned to node {on:?}"));
        }
        if !list(&pod, "/spec/schedulingGates").is_empty() {
            return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        part(&mut pod, "spec").insert("nodeName".to_owned(), node.into());
        if let Some(annotations) = binding
            .pointer("/metadata/annotations")
            .and_then(Json::as_object)
        {
            let own = metadata(&mut pod)
                .entry("annotations")
                .or_insert_with(|| json!({}));
            map(own).extend(annotations.clone());
        }
        set_condition(&mut pod, "PodScheduled", "True", "", "", now);
        let target = self.target_of("", "pods")?;
        self.put(tx, &target, &key, pod)?;
        Ok(())
    }

    /// POST of an `Eviction` to `pods/x/eviction`.
    pub(super) fn create_eviction(&self, call: &Call<'_>, body: &Json) -> Result<Written, Status> {
        let options = match &body["deleteOptions"] {
            Json::Null => DeleteOptions::default(),
            options => DeleteOptions::parse(options)?,
        };
        let name = text(body, "/metadata/name");
        if !name.is_empty() && name != call.name {
            return Err(Status::bad_request(
                "name in URL does not match name in Eviction object",
            ));
        }
        let ((), revision) = self.write(call.dry_run || options.dry_run, |tx| {
            self.evict(tx, call, &options)
        })?;
        Ok(success(revision))
    }

    /// Deletes a pod unless a budget forbids it.
    pub(super) fn evict(
        &self,
        tx: &mut Transaction<'_>,
        call: &Call<'_>,
        options: &DeleteOptions,
    ) -> Result<(), Status> {
        let now = self.settings.clock.now();
        let target = self.target_of("", "pods")?;
        let key = Key::new(&pods(), call.namespace, call.name);
        let stored = tx
            .get(&key)
            .ok_or_else(|| Status::not_found("", "pods", call.name))?;
        let mut pod = stored.json();
        let call = Call {
            resource: &target,
            subresource: None,
            ..*call
        };
        if must_be_asked_for(&pod) {
            let budget = budget_of(tx, &stored)?;
            if let Some(budget) = budget {
                let mut document = budget.json();
                if !may_go_anyway(&pod, &document) {
                    spend(&mut document, &key.name, now)?;
                    tx.put(&budget.key, document)?;
                }
            }
            set_condition(
                &mut pod,
                "DisruptionTarget",
                "True",
                "EvictionByEvictionAPI",
                "Eviction API: evicting",
                now,
            );
            // The caller's preconditions are about the pod as it was.
            if let Some(uid) = &options.uid
                && **uid != *stored.uid
            {
                let why = format!(
                    "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    stored.uid
                );
                return Err(call.conflict(call.name, &why));
            }
            if let Some(version) = &options.resource_version
                && *version != stored.revision.to_string()
            {
                return Err(call.conflict(call.name, "the pod has changed"));
            }
            self.put(tx, &target, &key, pod)?;
            let options = DeleteOptions {
                uid: None,
                resource_version: None,
                ..options.clone()
            };
            self.delete_in(tx, &call, &target, &key, &options)?;
            return Ok(());
        }
        self.delete_in(tx, &call, &target, &key, options)?;
        Ok(())
    }
}

/// Whether a pod is one that budgets protect: it runs, and nobody deletes it yet.
fn must_be_asked_for(pod: &Json) -> bool {
    !matches!(
        text(pod, "/status/phase"),
        "Succeeded" | "Failed" | "Pending"
    ) && text(pod, "/metadata/deletionTimestamp").is_empty()
}

/// The budget that a pod falls under.
fn budget_of(tx: &Transaction<'_>, pod: &Stored) -> Result<Option<std::sync::Arc<Stored>>, Status> {
    let mut found = Vec::new();
    for budget in tx.list(&budgets(), Some(&pod.key.namespace)) {
        if selects(&budget.json()["spec"]["selector"], pod) {
            found.push(budget);
        }
    }
    if found.len() > 1 {
        return Err(Status::new(
            Reason::InternalError,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    Ok(found.pop())
}

/// Whether a label selector selects an object. None selects nothing, an empty one everything (`policy/v1`).
pub(super) fn selects(selector: &Json, object: &Stored) -> bool {
    if !selector.is_object() {
        return false;
    }
    let labels = selector["matchLabels"].as_object();
    let equal = labels
        .into_iter()
        .flatten()
        .all(|(name, value)| object.label(name) == value.as_str());
    equal
        && list(selector, "/matchExpressions").iter().all(|one| {
            let has = object.label(text(one, "/key"));
            let among = || {
                list(one, "/values")
                    .iter()
                    .any(|value| has.is_some() && value.as_str() == has)
            };
            match text(one, "/operator") {
                "In" => among(),
                "NotIn" => !among(),
                "Exists" => has.is_some(),
                "DoesNotExist" => has.is_none(),
                _ => false,
            }
        })
}

/// Whether a pod that isn't ready may go without being counted (`unhealthyPodEvictionPolicy`).
fn may_go_anyway(pod: &Json, budget: &Json) -> bool {
    let ready = condition(pod, "Ready").is_some_and(|ready| ready["status"] == "True");
    if ready {
        return false;
    }
    if text(budget, "/spec/unhealthyPodEvictionPolicy") == "AlwaysAllow" {
        return true;
    }
    let count = |name: &str| number(&budget["status"], name).unwrap_or_default();
    count("/desiredHealthy") > 0 && count("/currentHealthy") >= count("/desiredHealthy")
}

/// Takes one disruption off a budget.
fn spend(budget: &mut Json, pod: &str, now: Timestamp) -> Result<(), Status> {
    let name = text(budget, "/metadata/name").to_owned();
    let refuse = |message: String, retry: Option<u32>| {
        let cause = Cause {
            reason: "DisruptionBudget".to_owned(),
            message,
            field: String::new(),
        };
        let mut status = Status::new(Reason::TooManyRequests, VIOLATES).with_causes(vec![cause]);
        status.details.get_or_insert_default().retry_after_seconds = retry;
        Err(status)
    };
    let count = |pointer: &str| number(budget, pointer).unwrap_or_default();
    if count("/status/observedGeneration") < count("/metadata/generation") {
        let told = format!("The disruption budget {name} is still being processed by the server.");
        return refuse(told, Some(10));
    }
    let allowed = count("/status/disruptionsAllowed");
    if allowed < 0 {
        return Err(Status::forbidden(
            "policy",
            "poddisruptionbudgets",
            &name,
            "pdb disruptions allowed is negative",
        ));
    }
    let disrupted = budget["status"]["disruptedPods"]
        .as_object()
        .map_or(0, serde_json::Map::len);
    if disrupted > MOST_DISRUPTED {
        return Err(Status::forbidden(
            "policy",
            "poddisruptionbudgets",
            &name,
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ));
    }
    if allowed == 0 {
        let told = format!(
            "The disruption budget {name} needs {} healthy pods and has {} currently",
            count("/status/desiredHealthy"),
            count("/status/currentHealthy")
        );
        return refuse(told, None);
    }
    let status = part(budget, "status");
    status.insert("disruptionsAllowed".to_owned(), (allowed - 1).into());
    let disrupted = map(status.entry("disruptedPods").or_insert_with(|| json!({})));
    disrupted.insert(pod.to_owned(), seconds(now).into());
    if allowed == 1 {
        set_condition(
            budget,
            "DisruptionAllowed",
            "False",
            "InsufficientPods",
            "",
            now,
        );
    }
    Ok(())
}

fn success(revision: Revision) -> Written {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201,
    });
    Written {
        object: status.to_string().into(),
        created: true,
        revision,
        warnings: Vec::new(),
    }
}
