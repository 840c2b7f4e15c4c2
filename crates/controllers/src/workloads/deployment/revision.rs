//! Which ReplicaSet is the new one, and the revisions (`getNewReplicaSet`, deployment/sync.go; `FindNewReplicaSet`,
//! `SetNewReplicaSetAnnotations`, deployment/util/deployment_util.go).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::Key;
use crate::document::controller_of;
use crate::workloads::claims::controller_reference;
use crate::workloads::names::template_hash;
use crate::workloads::pods::created_at;
use crate::workloads::writes::{name_of, uid_of};

use super::progress::{Told, set_condition};
use super::{
    DESIRED_REPLICAS, MAX_REPLICAS, REVISION, REVISION_HISTORY, Rollout, Sized, TEMPLATE_HASH,
    replicas_of,
};

/// The longest list of former revisions, in characters (`maxRevHistoryLengthInChars`, deployment/sync.go).
const LONGEST_HISTORY: usize = 2_000;
/// The annotation of client-side `kubectl apply`.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether two templates are the same but for the hash (`EqualIgnoreHash`).
fn same(one: &PodTemplateSpec, other: &PodTemplateSpec) -> bool {
    if one.spec != other.spec {
        return false;
    }
    let plain = |template: &PodTemplateSpec| {
        let mut metadata = template.metadata.clone().unwrap_or_default();
        if let Some(labels) = &mut metadata.labels {
            labels.remove(TEMPLATE_HASH);
        }
        metadata.labels = metadata.labels.filter(|labels| !labels.is_empty());
        metadata.annotations = metadata.annotations.filter(|them| !them.is_empty());
        metadata.creation_timestamp = None;
        metadata
    };
    plain(one) == plain(other)
}

/// The set with the Deployment's template, the oldest if there are several, and the others from the oldest on.
pub(super) fn split<'a>(
    deployment: &Deployment,
    mut sets: Vec<&'a Arc<ReplicaSet>>,
) -> (Option<&'a Arc<ReplicaSet>>, Vec<&'a Arc<ReplicaSet>>) {
    sets.sort_by(|one, other| {
        created_at(&one.metadata)
            .cmp(&created_at(&other.metadata))
            .then_with(|| one.metadata.name.cmp(&other.metadata.name))
    });
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    let new = sets.iter().position(|set| {
        let theirs = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        matches!((template, theirs), (Some(one), Some(other)) if same(one, other))
    });
    let new = new.map(|at| sets.remove(at));
    (new, sets)
}

impl Rollout<'_> {
    /// `getAllReplicaSetsAndSyncRevision`: the new set's annotations, or the new set itself.
    pub(super) fn update_revision(&mut self, create: bool) {
        let revision = self.old.iter().map(Sized::revision).max().unwrap_or(0) + 1;
        let min_ready = self
            .deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.min_ready_seconds);
        let progresses = self.deadline().is_some();
        if let Some(new) = &mut self.new {
            annotate(new, self.deployment, revision);
            let theirs = new
                .set
                .spec
                .as_ref()
                .and_then(|spec| spec.min_ready_seconds);
            if theirs.unwrap_or(0) != min_ready.unwrap_or(0) {
                new.min_ready_seconds = Some(min_ready.unwrap_or(0));
            }
            let known = self.status.conditions.iter().flatten();
            if progresses && !known.into_iter().any(|known| known.type_ == "Progressing") {
                let message = format!("Found new replica set \"{}\"", name_of(&new.set.metadata));
                self.set_progressing("True", "FoundNewReplicaSet", message);
            }
        } else if create {
            self.make_new(revision);
        }
    }

    fn make_new(&mut self, revision: i64) {
        let Some(spec) = &self.deployment.spec else {
            return;
        };
        let metadata = &self.deployment.metadata;
        let hash = template_hash(&spec.template, self.status.collision_count);
        let name = format!("{}-{hash}", name_of(metadata));
        let namespace = metadata.namespace.clone().unwrap_or_default();
        if let Some(taken) = self
            .context
            .view
            .replica_sets
            .get(&Key::new(&namespace, &name))
        {
            // Another template came to the same hash, or the set is someone else's: next time with another hash.
            let ours =
                controller_of(&taken.metadata).is_some_and(|owner| owner.uid == uid_of(metadata));
            if !ours || taken.metadata.deletion_timestamp.is_none() {
                self.status.collision_count = Some(self.status.collision_count.unwrap_or(0) + 1);
            }
            return;
        }
        let mut template = spec.template.clone();
        let template_metadata = template.metadata.get_or_insert_default();
        let labels = template_metadata.labels.get_or_insert_default();
        labels.insert(TEMPLATE_HASH.to_owned(), hash.clone());
        let labels = labels.clone();
        let mut selector: LabelSelector = spec.selector.clone();
        selector
            .match_labels
            .get_or_insert_default()
            .insert(TEMPLATE_HASH.to_owned(), hash);
        let set = ReplicaSet {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace),
                labels: Some(labels),
                owner_references: Some(vec![controller_reference(self.deployment)]),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                replicas: Some(0),
                min_ready_seconds: spec.min_ready_seconds,
                selector,
                template: Some(template),
            }),
            status: None,
        };
        let mut new = Sized {
            set: Arc::new(set),
            replicas: 0,
            annotations: BTreeMap::new(),
            min_ready_seconds: None,
            fresh: true,
        };
        annotate(&mut new, self.deployment, revision);
        new.annotate(DESIRED_REPLICAS, self.limits.replicas.to_string());
        new.annotate(MAX_REPLICAS, self.limits.most().to_string());
        let refused = self
            .context
            .view
            .refusals
            .get(uid_of(metadata))
            .map(|refusal| refusal.message.clone());
        self.new = Some(new);
        if self.deadline().is_none() {
            return;
        }
        match refused {
            Some(message) => self.set_progressing(
                "False",
                "ReplicaSetCreateError",
                format!("Failed to create new replica set \"{name}\": {message}"),
            ),
            None => self.set_progressing(
                "True",
                "NewReplicaSetCreated",
                format!("Created new replica set \"{name}\""),
            ),
        }
    }

    pub(super) fn set_progressing(&mut self, status: &str, reason: &str, message: String) {
        set_condition(
            &mut self.status,
            &Told {
                kind: "Progressing",
                status,
                reason,
                message,
            },
            self.context.now,
        );
    }

    /// Old sets beyond `revisionHistoryLimit` are deleted, if nothing runs in them (`cleanupDeployment`).
    pub(super) fn clean_up(&mut self) {
        let limit = self
            .deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.revision_history_limit)
            .unwrap_or(10);
        // MaxInt32 keeps all.
        let (Ok(limit), true) = (usize::try_from(limit), limit != i32::MAX) else {
            return;
        };
        let mut alive: Vec<&Sized> = self
            .old
            .iter()
            .filter(|old| old.set.metadata.deletion_timestamp.is_none())
            .collect();
        let surplus = alive.len().saturating_sub(limit);
        alive.sort_by_key(|old| old.revision());
        for old in alive.into_iter().take(surplus) {
            let status = old.set.status.clone().unwrap_or_default();
            let generation = old.set.metadata.generation.unwrap_or(0);
            if status.replicas == 0
                && old.replicas == 0
                && replicas_of(&old.set) == 0
                && generation <= status.observed_generation.unwrap_or(0)
            {
                let gone = crate::workloads::writes::delete(old.set.as_ref(), None);
                self.outcome.actions.push(gone);
            }
        }
    }
}

/// Copies the Deployment's annotations to the set, and gives it the revision if its own is lower: then it was rolled back to, and
/// the former revision goes into its history.
fn annotate(new: &mut Sized, deployment: &Deployment, revision: i64) {
    let skipped = [
        LAST_APPLIED,
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    ];
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !skipped.contains(&name.as_str()) {
            new.annotate(name, value.clone());
        }
    }
    let former = new.annotation(REVISION).map(str::to_owned);
    let number = new.revision();
    if number >= revision {
        return;
    }
    new.annotate(REVISION, revision.to_string());
    let Some(former) = former else { return };
    let history = new.annotation(REVISION_HISTORY).unwrap_or_default();
    let mut revisions: Vec<&str> = history.split(',').filter(|one| !one.is_empty()).collect();
    revisions.push(&former);
    let length = |revisions: &[&str]| {
        revisions
            .iter()
            .map(|one| one.len() + 1)
            .sum::<usize>()
            .saturating_sub(1)
    };
    while length(&revisions) > LONGEST_HISTORY {
        revisions.remove(0);
    }
    let history = revisions.join(",");
    new.annotate(REVISION_HISTORY, history);
}
