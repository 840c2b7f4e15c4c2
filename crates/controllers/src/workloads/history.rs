//! ControllerRevisions: the pod templates that StatefulSets and DaemonSets have had (`pkg/controller/history`).
//!
//! The data is a strategic merge patch that puts the template in place of the present one: `kubectl rollout undo` sends it as it
//! is, and `kubectl rollout history` shows it.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use k8s_openapi::{Metadata, Resource};
use serde_json::{Value as Json, json};

use crate::document::controller_of;
use crate::workloads::claims::{claim, controller_reference};
use crate::workloads::names::{fnv, safe};
use crate::workloads::pods::created_at;
use crate::workloads::selector::Selector;
use crate::workloads::writes::{create, delete, name_of, patch, uid_of};
use crate::{Action, Key, View};

/// The longest part of an owner's name that goes into a revision's (`ControllerRevisionName`, history/controller_history.go).
const LONGEST_PREFIX: usize = 223;

/// The revisions of one owner, and which of them its template is.
#[derive(Debug)]
pub(super) struct History {
    /// By number, the present one last.
    pub(super) revisions: Vec<Arc<ControllerRevision>>,
    pub(super) present: Arc<ControllerRevision>,
    /// The collision count after this.
    pub(super) collisions: Option<i32>,
    pub(super) actions: Vec<Action>,
}

/// Where the hash is: StatefulSets and DaemonSets label their revisions differently.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    pub(super) hash: &'static str,
}

pub(super) fn data_of(template: &PodTemplateSpec) -> Json {
    let mut data = json!({"spec": {"template": template}});
    data["spec"]["template"]["$patch"] = json!("replace");
    data
}

fn hash_of(data: &Json, collisions: Option<i32>) -> String {
    let mut text = data.to_string();
    if let Some(collisions) = collisions {
        text.push_str(&collisions.to_string());
    }
    safe(fnv(text.as_bytes()))
}

fn data(revision: &ControllerRevision) -> Option<&Json> {
    revision.data.as_ref().map(|data| &data.0)
}

/// The template that a revision keeps.
pub(super) fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let template = data(revision)?.pointer("/spec/template")?;
    serde_json::from_value(template.clone()).ok()
}

impl History {
    /// Finds the revisions of an owner, or makes the one that is missing (`getStatefulSetRevisions`,
    /// statefulset/stateful_set_control.go; `constructHistory`, daemon/update.go).
    pub(super) fn of<O>(
        view: &View,
        owner: &O,
        selector: &Selector,
        template: &PodTemplateSpec,
        collisions: Option<i32>,
        labels: Labels,
    ) -> Self
    where
        O: Resource + Metadata<Ty = ObjectMeta>,
    {
        let uid = uid_of(owner.metadata());
        let claims = claim(
            &view.controller_revisions,
            owner,
            |revision| {
                selector.matches(&revision.metadata)
                    || controller_of(&revision.metadata).is_some_and(|owner| owner.uid == uid)
            },
            |_| true,
        );
        let mut revisions: Vec<Arc<ControllerRevision>> =
            claims.owned.into_iter().cloned().collect();
        revisions.sort_by(|one, other| {
            (one.revision, created_at(&one.metadata), &one.metadata.name).cmp(&(
                other.revision,
                created_at(&other.metadata),
                &other.metadata.name,
            ))
        });
        let mut history = Self {
            present: Arc::default(),
            collisions,
            actions: claims.actions,
            revisions,
        };
        history.settle_on(view, owner, template, labels);
        history
    }

    fn settle_on<O>(&mut self, view: &View, owner: &O, template: &PodTemplateSpec, labels: Labels)
    where
        O: Resource + Metadata<Ty = ObjectMeta>,
    {
        let wanted = data_of(template);
        let highest = self.revisions.last().map_or(0, |last| last.revision);
        let known = self
            .revisions
            .iter()
            .rposition(|revision| data(revision) == Some(&wanted));
        if let Some(at) = known {
            let mut found = self.revisions.remove(at);
            if found.revision < highest || at < self.revisions.len() {
                // Rolled back to: it becomes the latest.
                let number = highest + 1;
                self.actions
                    .push(patch(found.as_ref(), json!({"revision": number})));
                Arc::make_mut(&mut found).revision = number;
            }
            self.revisions.push(found.clone());
            self.present = found;
            return;
        }
        let metadata = owner.metadata();
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let prefix: String = name_of(metadata).chars().take(LONGEST_PREFIX).collect();
        let (name, hash) = loop {
            let hash = hash_of(&wanted, self.collisions);
            let name = format!("{prefix}-{hash}");
            if view
                .controller_revisions
                .get(&Key::new(&namespace, &name))
                .is_none()
            {
                break (name, hash);
            }
            self.collisions = Some(self.collisions.unwrap_or(0) + 1);
        };
        let mut its_labels = template
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.labels.clone())
            .unwrap_or_default();
        its_labels.insert(labels.hash.to_owned(), hash);
        let revision = ControllerRevision {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace),
                labels: Some(its_labels),
                annotations: metadata.annotations.clone(),
                owner_references: Some(vec![controller_reference(owner)]),
                ..ObjectMeta::default()
            },
            data: Some(RawExtension(wanted)),
            revision: highest + 1,
        };
        if metadata.deletion_timestamp.is_none() {
            self.actions.push(create(&revision));
        }
        self.present = Arc::new(revision);
        self.revisions.push(self.present.clone());
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<ControllerRevision>> {
        self.revisions
            .iter()
            .find(|revision| name_of(&revision.metadata) == name)
    }

    /// Deletes the oldest revisions that are not among these, beyond so many.
    pub(super) fn truncate(&mut self, limit: Option<i32>, live: &BTreeSet<String>) {
        let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or(0);
        let dead: Vec<&Arc<ControllerRevision>> = self
            .revisions
            .iter()
            .filter(|revision| !live.contains(name_of(&revision.metadata)))
            .collect();
        let surplus = dead.len().saturating_sub(limit);
        for revision in dead.into_iter().take(surplus) {
            self.actions.push(delete(revision.as_ref(), None));
        }
    }
}
