//! A cluster in memory for the controllers' tests: it performs their actions as the API server would (uids, resourceVersions,
//! generations, conflicts, finalizers, the status apart), tells them of the changes, and has a kubelet that does what it is told.
//!
//! ```text
//! let mut cluster = Cluster::new(all(Options::default()));
//! cluster.create(json!({"apiVersion": "apps/v1", "kind": "Deployment", …}));
//! cluster.settle();            // the controllers, until none has anything to say
//! cluster.make_ready(|_| true); // the kubelet: these pods run and are ready
//! cluster.settle();
//! cluster.run_for(600);        // the clock, with every timer on the way
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::{Metadata, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

use crate::cloud::{Cloud, CloudAction};
use crate::{Action, Change, Context, Controller, EventKind, Key, Pace, Refusal, View};

/// Group, resource (plural), name.
pub type Place = (String, String, Key);

/// An Event as it was told, with how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Kind and name: `Deployment/web`.
    pub about: String,
    pub kind: EventKind,
    pub reason: String,
    pub message: String,
    pub count: usize,
}

type Watcher = Box<dyn FnMut(&Cluster)>;

/// The cluster.
pub struct Cluster {
    pub now: Timestamp,
    pub pace: Pace,
    pub view: View,
    pub events: Vec<Told>,
    /// What was not done: conflicts, names taken, wrong uids, refused creates.
    pub refused: usize,
    /// How often a controller was asked.
    pub reconciled: usize,
    /// The same by the controllers' names.
    pub reconciled_by: BTreeMap<&'static str, usize>,
    /// How many pods a namespace may have.
    pub pod_quota: Option<usize>,
    /// With a seed, controllers see writes late: a random prefix of them at each reconciliation.
    pub late: Option<u64>,
    /// What was asked of AWS.
    pub asked: Vec<CloudAction>,
    /// Whether this API server collects garbage itself, without a controller.
    pub collects: bool,
    /// Called after each action that did something.
    pub watch: Option<Watcher>,
    controllers: Vec<Box<dyn Controller>>,
    objects: BTreeMap<Place, Json>,
    dependents: BTreeMap<String, BTreeSet<Place>>,
    unseen: VecDeque<(Place, Option<Vec<u8>>)>,
    queue: VecDeque<(usize, Key)>,
    queued: BTreeSet<(usize, Key)>,
    timers: BTreeSet<(Timestamp, usize, Key)>,
    revision: u64,
}

/// The plural of a kind.
fn plural(kind: &str) -> String {
    let lower = kind.to_lowercase();
    if lower == "endpoints" {
        lower
    } else if let Some(stem) = lower.strip_suffix('y') {
        format!("{stem}ies")
    } else if lower.ends_with('s') {
        format!("{lower}es")
    } else {
        format!("{lower}s")
    }
}

fn text<'a>(json: &'a Json, pointer: &str) -> &'a str {
    json.pointer(pointer)
        .and_then(Json::as_str)
        .unwrap_or_default()
}

fn place(json: &Json) -> Place {
    let version = text(json, "/apiVersion");
    let group = version.split_once('/').map_or("", |(group, _)| group);
    (
        group.to_owned(),
        plural(text(json, "/kind")),
        Key::new(
            text(json, "/metadata/namespace"),
            text(json, "/metadata/name"),
        ),
    )
}

fn place_of<T: Resource>(namespace: &str, name: &str) -> Place {
    (
        T::GROUP.to_owned(),
        T::URL_PATH_SEGMENT.to_owned(),
        Key::new(namespace, name),
    )
}

fn owners(json: &Json) -> impl Iterator<Item = &Json> {
    json.pointer("/metadata/ownerReferences")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
}

fn controller(json: &Json) -> Option<&str> {
    owners(json)
        .find(|owner| owner["controller"] == true)
        .and_then(|owner| owner["uid"].as_str())
}

/// RFC 7386.
fn merge(target: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Json::Object(Map::new());
    }
    let Json::Object(fields) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Json::Null), value);
        }
    }
}

impl Cluster {
    #[must_use]
    pub fn new(controllers: Vec<Box<dyn Controller>>) -> Self {
        Self {
            now: "2026-01-05T00:00:00Z".parse().unwrap(),
            pace: Pace::Modelled,
            view: View::default(),
            events: Vec::new(),
            refused: 0,
            reconciled: 0,
            reconciled_by: BTreeMap::new(),
            pod_quota: None,
            late: None,
            asked: Vec::new(),
            collects: true,
            watch: None,
            controllers,
            objects: BTreeMap::new(),
            dependents: BTreeMap::new(),
            unseen: VecDeque::new(),
            queue: VecDeque::new(),
            queued: BTreeSet::new(),
            timers: BTreeSet::new(),
            revision: 0,
        }
    }

    // What users do.

    /// Creates an object; gives it back as it is stored.
    pub fn create(&mut self, json: Json) -> Json {
        let place = self.insert(json).expect("the name is free");
        self.objects[&place].clone()
    }

    /// The object, which must be there.
    pub fn get<T: Resource + DeserializeOwned>(&self, namespace: &str, name: &str) -> T {
        self.find(namespace, name)
            .unwrap_or_else(|| panic!("there is no {} {namespace}/{name}", T::KIND))
    }

    pub fn find<T: Resource + DeserializeOwned>(&self, namespace: &str, name: &str) -> Option<T> {
        let json = self.objects.get(&place_of::<T>(namespace, name))?;
        Some(serde_json::from_value(json.clone()).unwrap())
    }

    /// As it is stored, the fields that its type does not know included.
    pub fn json<T: Resource>(&self, namespace: &str, name: &str) -> Json {
        self.objects[&place_of::<T>(namespace, name)].clone()
    }

    /// All of a kind in a namespace, by name.
    pub fn list<T: Resource + DeserializeOwned>(&self, namespace: &str) -> Vec<T> {
        let (group, resource, first) = place_of::<T>(namespace, "");
        self.objects
            .range((group.clone(), resource.clone(), first)..)
            .take_while(|((g, r, key), _)| {
                *g == group && *r == resource && &*key.namespace == namespace
            })
            .map(|(_, json)| serde_json::from_value(json.clone()).unwrap())
            .collect()
    }

    /// A merge patch of the object without its status.
    pub fn patch<T: Resource>(&mut self, namespace: &str, name: &str, patch: &Json) {
        let place = place_of::<T>(namespace, name);
        assert!(self.merge_into(&place, None, patch), "{place:?}");
    }

    /// A merge patch of the status (`{"status": …}`).
    pub fn patch_status<T: Resource>(&mut self, namespace: &str, name: &str, patch: &Json) {
        let place = place_of::<T>(namespace, name);
        assert!(self.merge_into(&place, Some("status"), patch), "{place:?}");
    }

    /// Deletes it with propagation `Background`, pods with the grace of 30 s.
    pub fn delete<T: Resource>(&mut self, namespace: &str, name: &str) {
        self.remove(&place_of::<T>(namespace, name), None, None);
    }

    /// Deletes it and leaves what it owns.
    pub fn orphan<T: Resource>(&mut self, namespace: &str, name: &str) {
        self.remove(&place_of::<T>(namespace, name), None, Some("Orphan"));
    }

    /// Deletes it with another propagation.
    pub fn remove_with<T: Resource>(
        &mut self,
        namespace: &str,
        name: &str,
        propagation: &'static str,
    ) {
        self.remove(&place_of::<T>(namespace, name), None, Some(propagation));
    }

    // The kubelet.

    /// Pods that wait and that this is true of run on a node and are ready; the terminating ones are gone. How many pods changed.
    pub fn make_ready(&mut self, which: impl Fn(&Pod) -> bool) -> usize {
        let mut changed = 0;
        for (place, pod) in self.pods() {
            let terminating = pod.metadata.deletion_timestamp.is_some();
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref())
                .unwrap_or("Pending");
            if !which(&pod) {
                continue;
            }
            if terminating {
                changed += usize::from(self.vanish(&place));
            } else if phase == "Pending" {
                self.set_running(&place, &pod, true);
                changed += 1;
            }
        }
        changed
    }

    /// The terminating pods that this is true of are gone.
    pub fn finish_terminating(&mut self, which: impl Fn(&Pod) -> bool) -> usize {
        let mut changed = 0;
        for (place, pod) in self.pods() {
            if pod.metadata.deletion_timestamp.is_some() && which(&pod) {
                changed += usize::from(self.vanish(&place));
            }
        }
        changed
    }

    /// A pod runs, ready or not.
    pub fn run(&mut self, namespace: &str, name: &str, ready: bool) {
        let pod = self.get::<Pod>(namespace, name);
        self.set_running(&place_of::<Pod>(namespace, name), &pod, ready);
    }

    /// A pod's containers end with this code: 0 is success.
    pub fn exit(&mut self, namespace: &str, name: &str, code: i32) {
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let pod = self.get::<Pod>(namespace, name);
        let names: Vec<String> = pod
            .spec
            .iter()
            .flat_map(|spec| spec.containers.iter().map(|c| c.name.clone()))
            .collect();
        let now = self.now.to_string();
        let ended: Vec<Json> = names
            .iter()
            .map(|name| {
                json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": code, "startedAt": now, "finishedAt": now}}})
            })
            .collect();
        self.patch_status::<Pod>(
            namespace,
            name,
            &json!({"status": {"phase": phase, "containerStatuses": ended,
                "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]}}),
        );
    }

    /// The controllers and the kubelet, until nothing changes any more.
    pub fn settle_with_kubelet(&mut self) {
        loop {
            self.settle();
            if self.make_ready(|_| true) == 0 {
                return;
            }
        }
    }

    fn pods(&self) -> Vec<(Place, Pod)> {
        let first = (String::new(), "pods".to_owned(), Key::new("", ""));
        self.objects
            .range(first..)
            .take_while(|((group, resource, _), _)| group.is_empty() && resource == "pods")
            .map(|(place, json)| (place.clone(), serde_json::from_value(json.clone()).unwrap()))
            .collect()
    }

    fn set_running(&mut self, place: &Place, pod: &Pod, ready: bool) {
        let now = self.now.to_string();
        if pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_none())
        {
            let patch = json!({"spec": {"nodeName": "node-1"}});
            self.merge_into(place, None, &patch);
        }
        let patch = json!({"status": {"phase": "Running", "startTime": now, "conditions": [
            {"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": now},
        ]}});
        self.merge_into(place, Some("status"), &patch);
    }

    fn vanish(&mut self, place: &Place) -> bool {
        let Some(json) = self.objects.get(place) else {
            return false;
        };
        if json.pointer("/metadata/deletionGracePeriodSeconds") == Some(&json!(0)) {
            return false;
        }
        self.remove(place, Some(0), None)
    }

    // The API server.

    fn stamp(&mut self, json: &mut Json) {
        self.revision += 1;
        json["metadata"]["resourceVersion"] = json!(self.revision.to_string());
    }

    fn insert(&mut self, mut json: Json) -> Option<Place> {
        if text(&json, "/metadata/name").is_empty() {
            let name = format!(
                "{}{}",
                text(&json, "/metadata/generateName"),
                self.revision + 1
            );
            json["metadata"]["name"] = json!(name);
        }
        let place = place(&json);
        if self.objects.contains_key(&place) {
            return None;
        }
        self.revision += 1;
        if text(&json, "/metadata/uid").is_empty() {
            let uid = format!("00000000-0000-4000-8000-{:012x}", self.revision);
            json["metadata"]["uid"] = json!(uid);
        }
        json["metadata"]["creationTimestamp"] = json!(self.now.to_string());
        json["metadata"]["generation"] = json!(1);
        if place.1 == "pods" && json.pointer("/status/phase").is_none() {
            merge(&mut json, &json!({"status": {"phase": "Pending"}}));
        }
        self.stamp(&mut json);
        self.store(&place, Some(json));
        Some(place)
    }

    fn store(&mut self, place: &Place, json: Option<Json>) {
        let owner_uids = |json: &Json| -> Vec<String> {
            owners(json)
                .filter_map(|owner| owner["uid"].as_str().map(str::to_owned))
                .collect()
        };
        let bytes = json.as_ref().map(|json| serde_json::to_vec(json).unwrap());
        let before = match json {
            Some(json) => {
                for uid in owner_uids(&json) {
                    self.dependents
                        .entry(uid)
                        .or_default()
                        .insert(place.clone());
                }
                self.objects.insert(place.clone(), json)
            }
            None => self.objects.remove(place),
        };
        let gone = bytes.is_none();
        self.unseen.push_back((place.clone(), bytes));
        if let (true, true, Some(before)) = (self.collects, gone, before) {
            self.collect_garbage(text(&before, "/metadata/uid"));
        }
        if let Some(mut watch) = self.watch.take() {
            watch(self);
            self.watch = Some(watch);
        }
    }

    fn collect_garbage(&mut self, uid: &str) {
        for place in self.dependents.remove(uid).unwrap_or_default() {
            let Some(json) = self.objects.get(&place) else {
                continue;
            };
            let mut left: Vec<Json> = owners(json).cloned().collect();
            let before = left.len();
            left.retain(|owner| owner["uid"] != uid);
            if left.len() == before {
                continue;
            }
            if left.is_empty() {
                self.remove(&place, None, None);
            } else {
                let patch = json!({"metadata": {"ownerReferences": left}});
                self.merge_into(&place, None, &patch);
            }
        }
    }

    /// Replaces an object, its status apart: `subresource` says which half is written.
    fn replace(&mut self, place: &Place, subresource: Option<&str>, mut json: Json) -> bool {
        let Some(old) = self.objects.get(place) else {
            return false;
        };
        let asked = text(&json, "/metadata/resourceVersion");
        if !asked.is_empty() && asked != text(old, "/metadata/resourceVersion") {
            return false;
        }
        let uid = text(&json, "/metadata/uid");
        if !uid.is_empty() && uid != text(old, "/metadata/uid") {
            return false;
        }
        if subresource == Some("finalize") {
            let finalizers = json["spec"]["finalizers"].take();
            json = old.clone();
            json["spec"]["finalizers"] = finalizers;
        } else if subresource == Some("status") {
            let status = json["status"].take();
            json = old.clone();
            json["status"] = status;
        } else {
            json["status"] = old["status"].clone();
            for field in [
                "uid",
                "creationTimestamp",
                "generation",
                "deletionTimestamp",
                "resourceVersion",
            ] {
                json["metadata"][field] = old["metadata"][field].clone();
            }
            if json["spec"] != old["spec"] {
                let generation = old["metadata"]["generation"].as_i64().unwrap_or(1) + 1;
                json["metadata"]["generation"] = json!(generation);
            }
        }
        let Json::Object(metadata) = &mut json["metadata"] else {
            return false;
        };
        metadata.retain(|_, value| !value.is_null());
        if json["status"].is_null()
            && let Json::Object(fields) = &mut json
        {
            fields.remove("status");
        }
        if json == *old {
            return true;
        }
        self.stamp(&mut json);
        self.store(place, Some(json));
        self.reap(place);
        true
    }

    fn merge_into(&mut self, place: &Place, subresource: Option<&str>, patch: &Json) -> bool {
        let Some(old) = self.objects.get(place) else {
            return false;
        };
        let asked = text(patch, "/metadata/resourceVersion");
        if !asked.is_empty() && asked != text(old, "/metadata/resourceVersion") {
            return false;
        }
        let mut json = old.clone();
        merge(&mut json, patch);
        self.replace(place, subresource, json)
    }

    fn remove(&mut self, place: &Place, grace: Option<i64>, propagation: Option<&str>) -> bool {
        let Some(json) = self.objects.get(place) else {
            return false;
        };
        let mut json = json.clone();
        let finalizer = match propagation {
            Some("Orphan") => Some("orphan"),
            Some("Foreground") => Some("foregroundDeletion"),
            _ => None,
        };
        if let (false, Some(finalizer)) = (self.collects, finalizer) {
            let mut finalizers = json["metadata"]["finalizers"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            if !finalizers.contains(&json!(finalizer)) {
                finalizers.push(json!(finalizer));
            }
            json["metadata"]["finalizers"] = json!(finalizers);
        }
        if self.collects && propagation == Some("Orphan") {
            let uid = text(&json, "/metadata/uid").to_owned();
            for child in self.dependents.remove(&uid).unwrap_or_default() {
                if let Some(object) = self.objects.get(&child) {
                    let left: Vec<Json> = owners(object)
                        .filter(|owner| owner["uid"] != uid)
                        .cloned()
                        .collect();
                    let patch = json!({"metadata": {"ownerReferences": left}});
                    self.merge_into(&child, None, &patch);
                }
            }
        }
        let pod = place.1 == "pods";
        let bound = !text(&json, "/spec/nodeName").is_empty();
        let ended = matches!(text(&json, "/status/phase"), "Succeeded" | "Failed");
        let grace = if pod && bound && !ended {
            grace.unwrap_or(30)
        } else {
            0
        };
        let before = json.clone();
        if text(&json, "/metadata/deletionTimestamp").is_empty() {
            let at = self.now + SignedDuration::from_secs(grace);
            json["metadata"]["deletionTimestamp"] = json!(at.to_string());
        }
        let known = json["metadata"]["deletionGracePeriodSeconds"].as_i64();
        json["metadata"]["deletionGracePeriodSeconds"] =
            json!(known.map_or(grace, |known| known.min(grace)));
        if removable(place, &json) {
            self.store(place, None);
        } else if json != before {
            self.stamp(&mut json);
            self.store(place, Some(json));
        }
        true
    }

    fn reap(&mut self, place: &Place) {
        if let Some(json) = self.objects.get(place)
            && !text(json, "/metadata/deletionTimestamp").is_empty()
            && removable(place, json)
        {
            self.store(place, None);
        }
    }

    /// Whether it did something. `failed` has the owners of what was refused in this round.
    fn perform(&mut self, action: Action, failed: &mut BTreeSet<String>) -> bool {
        let done = match action {
            Action::InTurn(actions) => {
                return actions
                    .into_iter()
                    .all(|action| self.perform(action, failed));
            }
            Action::Create(json) => self.create_for_controller(json, failed),
            Action::Update(json) => self.replace(&place(&json), None, json),
            Action::UpdateStatus(json) => self.replace(&place(&json), Some("status"), json),
            Action::Patch {
                of,
                subresource,
                patch,
            } => self.merge_into(&(of.group, of.resource, of.key), subresource, &patch),
            Action::Delete {
                of,
                uid,
                grace,
                propagation,
            } => {
                let place = (of.group, of.resource, of.key);
                match self.objects.get(&place) {
                    Some(json) if text(json, "/metadata/uid") == uid => {
                        self.remove(&place, grace, propagation)
                    }
                    _ => false,
                }
            }
            Action::Bind { pod, node } => {
                let place = (String::new(), "pods".to_owned(), pod);
                match self.objects.get(&place) {
                    Some(json) if text(json, "/spec/nodeName").is_empty() => {
                        self.merge_into(&place, None, &json!({"spec": {"nodeName": node}}))
                    }
                    _ => false,
                }
            }
            Action::Evict { pod, uid } => {
                let place = (String::new(), "pods".to_owned(), pod);
                match self.objects.get(&place).cloned() {
                    Some(json) if text(&json, "/metadata/uid") == uid => {
                        self.may_evict(&json) && self.remove(&place, None, None)
                    }
                    _ => false,
                }
            }
            Action::Event {
                about,
                kind,
                reason,
                message,
            } => {
                self.tell(&about, kind, reason, message);
                true
            }
            Action::Cloud(action) => {
                self.asked.push(action);
                true
            }
        };
        if !done {
            self.refused += 1;
        }
        done
    }

    fn create_for_controller(&mut self, json: Json, failed: &mut BTreeSet<String>) -> bool {
        let place = place(&json);
        let owner = controller(&json).map(str::to_owned);
        let namespace = place.2.namespace.clone();
        if let (Some(quota), "pods") = (self.pod_quota, place.1.as_str())
            && !self.objects.contains_key(&place)
            && self.list_len("pods", &namespace) >= quota
        {
            let Some(owner) = owner else { return false };
            if failed.insert(owner.clone()) {
                let rounds = self
                    .view
                    .refusals
                    .get(&owner)
                    .map_or(0, |known| known.rounds);
                self.view.refusals.insert(
                    owner,
                    Refusal {
                        message: format!("pods \"{}\" is forbidden: exceeded quota", place.2.name),
                        at: self.now,
                        rounds: rounds + 1,
                    },
                );
            }
            return false;
        }
        let created = self.insert(json).is_some();
        if let (true, Some(owner)) = (created, owner)
            && !failed.contains(&owner)
        {
            self.view.refusals.remove(&owner);
        }
        created
    }

    /// Takes one from the budget of a pod, if there is one. Selectors are `matchLabels` here.
    fn may_evict(&mut self, pod: &Json) -> bool {
        let first = (
            "policy".to_owned(),
            "poddisruptionbudgets".to_owned(),
            Key::new(text(pod, "/metadata/namespace"), ""),
        );
        let selects = |budget: &Json| {
            let wanted = budget.pointer("/spec/selector/matchLabels");
            let wanted = wanted.and_then(Json::as_object);
            wanted.is_some_and(|wanted| {
                let mut pairs = wanted.iter();
                pairs.all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
            })
        };
        let namespace = first.2.namespace.clone();
        let found: Vec<(Place, i64)> = self
            .objects
            .range(first..)
            .take_while(|((_, resource, key), _)| {
                resource == "poddisruptionbudgets" && key.namespace == namespace
            })
            .filter(|(_, budget)| selects(budget))
            .map(|(place, budget)| {
                let allowed = budget.pointer("/status/disruptionsAllowed");
                (place.clone(), allowed.and_then(Json::as_i64).unwrap_or(0))
            })
            .collect();
        match &found[..] {
            [] => true,
            [(place, allowed)] if *allowed > 0 => {
                let patch = json!({"status": {"disruptionsAllowed": allowed - 1}});
                self.merge_into(place, Some("status"), &patch)
            }
            _ => false,
        }
    }

    fn list_len(&self, resource: &str, namespace: &str) -> usize {
        self.objects
            .keys()
            .filter(|(_, r, key)| r == resource && &*key.namespace == namespace)
            .count()
    }

    fn tell(&mut self, about: &Json, kind: EventKind, reason: String, message: String) {
        let about = format!("{}/{}", text(about, "/kind"), text(about, "/name"));
        let same = self
            .events
            .iter_mut()
            .find(|told| told.about == about && told.reason == reason && told.message == message);
        match same {
            Some(told) => told.count += 1,
            None => self.events.push(Told {
                about,
                kind,
                reason,
                message,
                count: 1,
            }),
        }
    }

    /// The messages told of an object for a reason.
    pub fn told(&self, about: &str, reason: &str) -> Vec<&str> {
        self.events
            .iter()
            .filter(|told| told.about == about && told.reason == reason)
            .map(|told| told.message.as_str())
            .collect()
    }

    /// What AWS has from now on.
    pub fn set_cloud(&mut self, cloud: Cloud) {
        let change = self.view.set_cloud(cloud);
        self.notify(&change);
    }

    // The controllers' queue.

    fn notify(&mut self, change: &Change) {
        for index in 0..self.controllers.len() {
            for key in self.controllers[index].concerns(change, &self.view) {
                self.enqueue(index, key);
            }
        }
    }

    fn see(&mut self, count: usize) {
        for _ in 0..count {
            let Some(((group, resource, key), bytes)) = self.unseen.pop_front() else {
                return;
            };
            let change = self
                .view
                .apply(&group, &resource, &key, bytes.as_deref())
                .unwrap();
            self.notify(&change);
        }
    }

    fn enqueue(&mut self, index: usize, key: Key) {
        if self.queued.insert((index, key.clone())) {
            self.queue.push_back((index, key));
        }
    }

    /// Asks the controllers until none has anything to do now.
    ///
    /// # Panics
    /// When they never stop.
    pub fn settle(&mut self) {
        let limit = self.reconciled + 200_000;
        loop {
            let count = match &mut self.late {
                // Knuth's MMIX constants.
                Some(state) if !self.queue.is_empty() => {
                    *state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    usize::try_from(*state >> 33).unwrap() % (self.unseen.len() + 1)
                }
                _ => self.unseen.len(),
            };
            self.see(count);
            while let Some((at, index, key)) = self.timers.first().cloned()
                && at <= self.now
            {
                self.timers.pop_first();
                self.enqueue(index, key);
            }
            let Some((index, key)) = self.queue.pop_front() else {
                if self.unseen.is_empty() {
                    return;
                }
                continue;
            };
            self.queued.remove(&(index, key.clone()));
            self.reconciled += 1;
            *self
                .reconciled_by
                .entry(self.controllers[index].name())
                .or_default() += 1;
            assert!(
                self.reconciled < limit,
                "{} never settles on {key}",
                self.controllers[index].name()
            );
            let context = Context {
                view: &self.view,
                now: self.now,
                pace: self.pace,
            };
            let outcome = self.controllers[index].reconcile(&key, context);
            let mut failed = BTreeSet::new();
            for action in outcome.actions {
                self.perform(action, &mut failed);
            }
            if let Some(at) = outcome.again {
                self.timers
                    .retain(|(_, other, same)| (*other, same) != (index, &key));
                self.timers.insert((at, index, key));
            }
        }
    }

    /// When the next timer rings.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, ..)| *at)
    }

    /// Lets so many seconds go by: every timer on the way rings at its time.
    pub fn run_for(&mut self, seconds: i64) {
        self.go_on_for(seconds, |_| {});
    }

    /// The same, with the kubelet making every pod ready at once.
    pub fn run_with_kubelet_for(&mut self, seconds: i64) {
        self.go_on_for(seconds, Self::settle_with_kubelet);
    }

    fn go_on_for(&mut self, seconds: i64, meanwhile: impl Fn(&mut Self)) {
        let end = self.now + SignedDuration::from_secs(seconds);
        self.settle();
        meanwhile(self);
        while let Some((at, _, _)) = self.timers.first().cloned()
            && at <= end
        {
            self.now = self.now.max(at);
            self.settle();
            meanwhile(self);
        }
        self.now = end;
        self.settle();
        meanwhile(self);
    }

    /// Forgets the controllers and starts others on what there is, as after a restart.
    pub fn restart(&mut self, controllers: Vec<Box<dyn Controller>>) {
        self.controllers = controllers;
        self.queue.clear();
        self.queued.clear();
        self.timers.clear();
        self.relist();
    }

    /// Shows the controllers everything anew, all at once.
    pub fn relist(&mut self) {
        self.unseen.clear();
        let cloud = std::mem::take(&mut self.view.cloud);
        self.view = View::default();
        self.set_cloud(cloud);
        for (place, json) in &self.objects {
            self.unseen
                .push_back((place.clone(), Some(serde_json::to_vec(json).unwrap())));
        }
        self.see(self.unseen.len());
    }
}

/// Has one controller look at an object that comes, or that goes: for what it remembers.
pub fn show(controller: &mut dyn Controller, view: &mut View, json: &Json, is_there: bool) {
    let (group, resource, key) = place(json);
    let bytes = is_there.then(|| serde_json::to_vec(json).unwrap());
    let change = view.apply(&group, &resource, &key, bytes.as_deref());
    for key in controller.concerns(&change.unwrap(), view) {
        let context = Context {
            view,
            now: "2026-01-05T00:00:00Z".parse().unwrap(),
            pace: Pace::Modelled,
        };
        controller.reconcile(&key, context);
    }
}

fn removable(place: &Place, json: &Json) -> bool {
    let any = |pointer: &str| {
        json.pointer(pointer)
            .and_then(Json::as_array)
            .is_some_and(|finalizers| !finalizers.is_empty())
    };
    let held = any("/metadata/finalizers") || (place.1 == "namespaces" && any("/spec/finalizers"));
    let graceful = place.1 == "pods"
        && json["metadata"]["deletionGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(0)
            > 0;
    !held && !graceful
}

/// The name of what an object of this type is called, for assertions.
pub fn name_of<T: Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>>(
    object: &T,
) -> &str {
    object.metadata().name.as_deref().unwrap_or_default()
}
