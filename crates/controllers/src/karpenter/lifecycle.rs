//! The life of a claim: launched, registered, initialised, kept up to date, and finalised (`pkg/controllers/nodeclaim/{lifecycle,
//! disruption,expiration,podevents}`).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Taint};
use objects::Quantity;
use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::{LooseCondition, NodeClaim, condition};
use serde_json::{Map, Value as Json, json};

use super::claims::{self, PARTS};
use super::conditions::Conditions;
use super::memory::{Memory, pause};
use super::node_class::status_as_seen;
use super::offer::{Offers, Unlaunchable};
use super::settings::Settings;
use super::{FINALIZER, NAME, POOL, UNREGISTERED, hash};
use crate::cloud::{CloudAction, InstanceState, Origin};
use crate::document::{Named, seconds};
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, View};

mod drift;

/// How long a launch may take (`liveness.go`).
const LAUNCH_TIMEOUT: SignedDuration = SignedDuration::from_mins(5);
/// How long a registration may take.
const REGISTRATION_TIMEOUT: SignedDuration = SignedDuration::from_mins(15);
/// After how long what was asked of EC2 is asked again if nothing came of it.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(20);
/// How often pods that come and go are noted, in seconds (`podevents/controller.go`).
const POD_EVENTS: i64 = 10;
/// The namespace of keys that say that a pod came or went on a claim's node.
const PODS: &str = "pods";
const TERMINATES_AT: &str = "karpenter.sh/nodeclaim-termination-timestamp";

/// Keeps claims. A key is a claim's name, in the namespace `pods` when a pod came or went on its node.
pub(super) struct Lifecycle {
    memory: Memory,
    offers: Offers,
    /// When EC2 was last asked to launch for a claim, by uid.
    launches: BTreeMap<String, Timestamp>,
}

impl Lifecycle {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            offers: Offers::default(),
            launches: BTreeMap::new(),
        }
    }
}

/// What a look at a claim has come to so far.
struct Look<'a> {
    claim: &'a NodeClaim,
    view: &'a View,
    now: Timestamp,
    conditions: Conditions,
    status: Map<String, Json>,
    again: Option<Timestamp>,
}

impl<'a> Look<'a> {
    fn new(claim: &'a NodeClaim, view: &'a View, now: Timestamp) -> Self {
        Self {
            claim,
            view,
            now,
            conditions: Conditions::of(
                claims::conditions(claim),
                PARTS,
                claim.metadata.generation,
                now,
            ),
            status: Map::new(),
            again: None,
        }
    }

    fn again_at(&mut self, at: Timestamp) {
        self.again = Some(self.again.map_or(at, |other| other.min(at)));
    }

    /// The patch of the status, if anything is new.
    fn finish(mut self) -> (Option<Action>, Option<Timestamp>) {
        let conditions = self.conditions.finish();
        if conditions != claims::conditions(self.claim) {
            self.status
                .insert("conditions".to_owned(), json!(conditions));
        }
        let patch = (!self.status.is_empty())
            .then(|| status_as_seen(self.claim, Json::Object(self.status)));
        (patch, self.again)
    }
}

fn since(conditions: &[LooseCondition], type_: &str, claim: &NodeClaim) -> Timestamp {
    condition(conditions, type_)
        .and_then(|condition| condition.last_transition_time.as_ref())
        .or(claim.metadata.creation_timestamp.as_ref())
        .map_or(Timestamp::MIN, |time| time.0)
}

fn shown(taint: &Taint) -> String {
    match taint.value.as_deref().filter(|value| !value.is_empty()) {
        Some(value) => format!("{}={value}:{}", taint.key, taint.effect),
        None => format!("{}:{}", taint.key, taint.effect),
    }
}

fn taints(node: &Node) -> &[Taint] {
    node.spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default()
}

fn same(a: &Taint, b: &Taint) -> bool {
    a.key == b.key && a.effect == b.effect
}

/// Taints that go by themselves while a node starts (`pkg/scheduling/taints.go`).
fn is_passing(taint: &Taint) -> bool {
    matches!(
        taint.key.as_str(),
        "node.kubernetes.io/not-ready"
            | "node.kubernetes.io/unreachable"
            | "node.cloudprovider.kubernetes.io/uninitialized"
            | UNREGISTERED
    ) || taint.key.starts_with("readiness.k8s.io/")
}

/// Whether a pod came to a node, ended there or began to (`podevents/controller.go`); the node's name. Pods that are first seen on
/// their nodes are no event, so that a list of everything is none: Karpenter itself counts from its own start then.
fn pod_event(change: &Change) -> Option<&str> {
    let of = |object: &'_ Option<Object>| match object {
        Some(Object::Pod(pod)) => Some(pod.clone()),
        _ => None,
    };
    let (before, after) = (of(&change.before), of(&change.after));
    let there = match (&change.before, &change.after) {
        (_, Some(Object::Pod(pod))) | (Some(Object::Pod(pod)), None) => pod,
        _ => return None,
    };
    let node = there
        .spec
        .as_ref()?
        .node_name
        .as_deref()
        .filter(|name| !name.is_empty())?;
    let daemon = there
        .metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| owner.controller == Some(true) && owner.kind == "DaemonSet");
    if daemon {
        return None;
    }
    let state = |pod: &k8s_openapi::api::core::v1::Pod| {
        let bound = pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some());
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        let ended = matches!(phase.as_deref(), Some("Succeeded" | "Failed"));
        (bound, ended, pod.is_deleting())
    };
    let news = match (before, after) {
        (Some(before), Some(after)) => state(&before) != state(&after),
        (before, _) => before.is_some(),
    };
    news.then_some(node)
}

impl Controller for Lifecycle {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let all = || view.node_claims.iter().map(|(key, _)| key.clone());
        if self.memory.note(change) {
            return all().collect();
        }
        match change.kind {
            Some(Kind::NodeClaim) => vec![change.key.clone()],
            Some(Kind::Cloud) => all()
                .filter(|key| {
                    view.node_claims
                        .get(key)
                        .is_some_and(|claim| concerned_by_cloud(claim, view))
                })
                .collect(),
            Some(Kind::Node) => {
                let name = |object: &Option<Object>| match object {
                    Some(Object::Node(node)) => claims::name_of_node(view, node),
                    _ => None,
                };
                name(&change.after)
                    .or_else(|| name(&change.before))
                    .map(|name| Key::cluster(&name))
                    .into_iter()
                    .collect()
            }
            Some(Kind::Pod) => pod_event(change)
                .and_then(|node| view.nodes.get(&Key::cluster(node)))
                .and_then(|node| claims::name_of_node(view, node))
                .map(|name| Key::new(PODS, &name))
                .into_iter()
                .collect(),
            Some(Kind::NodePool) => {
                let news = match (&change.before, &change.after) {
                    (Some(Object::NodePool(before)), Some(Object::NodePool(after))) => {
                        before.spec != after.spec
                            || before.metadata.annotations != after.metadata.annotations
                    }
                    _ => true,
                };
                all()
                    .filter(|key| {
                        news && view
                            .node_claims
                            .get(key)
                            .is_some_and(|claim| claim.label(POOL) == Some(&change.key.name))
                    })
                    .collect()
            }
            Some(Kind::Ec2NodeClass) => all()
                .filter(|key| {
                    view.node_claims
                        .get(key)
                        .is_some_and(|claim| *claim.spec.node_class_ref.name == *change.key.name)
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let name = Key::cluster(&key.name);
        let (Some(claim), Some(settings)) = (
            context.view.node_claims.get(&name),
            self.memory.settings(context.view),
        ) else {
            return Outcome::settled();
        };
        if &*key.namespace == PODS {
            return note_pods(claim, context.now);
        }
        if claim.is_deleting() {
            return self.finalize(claim, context);
        }
        if !claim.has_finalizer(FINALIZER) {
            return Outcome::of(vec![claim.with_finalizer(FINALIZER)]);
        }
        if let Some(at) = expires_at(claim)
            && at <= context.now
        {
            return Outcome::of(vec![claim.delete(None)]);
        }
        let outcome = if claims::is_true(claim, "Launched") {
            self.keep(claim, context)
        } else {
            self.launch(claim, context, &settings)
        };
        match expires_at(claim) {
            Some(at) => outcome.again_at(at),
            None => outcome,
        }
    }
}

/// Whether news of AWS can matter to a claim: not to one that is up and well.
fn concerned_by_cloud(claim: &NodeClaim, view: &View) -> bool {
    claim.is_deleting()
        || !claims::is_true(claim, "Registered")
        || claims::instance(view, claim).is_none_or(|instance| !claims::is_up(instance))
}

/// When a claim's time is over.
fn expires_at(claim: &NodeClaim) -> Option<Timestamp> {
    let after = claim.spec.expire_after?.duration()?;
    let created = claim.metadata.creation_timestamp.as_ref()?.0;
    created
        .checked_add(SignedDuration::try_from(after).ok()?)
        .ok()
}

fn note_pods(claim: &NodeClaim, now: Timestamp) -> Outcome {
    let last = claim
        .status
        .as_ref()
        .and_then(|status| status.last_pod_event_time.as_ref());
    let known =
        last.is_some_and(|last| now.duration_since(last.0) < SignedDuration::from_secs(POD_EVENTS));
    if known {
        return Outcome::settled();
    }
    Outcome::of(vec![
        claim.patch_status(json!({"lastPodEventTime": seconds(now)})),
    ])
}

fn class_of<'a>(view: &'a View, claim: &NodeClaim) -> Option<&'a Ec2NodeClass> {
    let name = &claim.spec.node_class_ref.name;
    Some(view.ec2_node_classes.get(&Key::cluster(name))?)
}

fn truncated(message: &str) -> String {
    match message.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message.to_owned(),
    }
}

impl Lifecycle {
    /// The claim has no machine yet (`launch.go`).
    fn launch(&mut self, claim: &NodeClaim, context: Context<'_>, settings: &Settings) -> Outcome {
        let (view, now) = (context.view, context.now);
        if let Some(instance) = claims::instance(view, claim) {
            return self.launched(claim, instance, context);
        }
        if let Some(refusal) = view.cloud.refusals.get(claim.name()) {
            let mut kept = self.memory.lock();
            for offering in &refusal.unavailable {
                kept.mark_unavailable(offering.clone(), refusal.at);
            }
            drop(kept);
            let message = format!("creating instance, {}: {}", refusal.code, refusal.message);
            if is_capacity(&refusal.code) {
                return give_up(claim, "InsufficientCapacityError", &message);
            }
            let retry = refusal.at + pause(context.pace, ASK_AGAIN.as_secs_f64());
            if retry > now && !timed_out(claim, now) {
                return failed(claim, view, now, &message).again_at(retry);
            }
        }
        let Some(class) = class_of(view, claim) else {
            let name = &claim.spec.node_class_ref.name;
            let message =
                format!("resolving nodeclass, ec2nodeclasses.karpenter.k8s.aws {name:?} not found");
            return give_up(claim, "InsufficientCapacityError", &message);
        };
        let ready = class
            .status
            .as_ref()
            .and_then(|status| condition(&status.conditions, "Ready"));
        match ready.map(|ready| ready.status.as_str()) {
            Some("True") => {}
            Some("False") => {
                let message = ready.and_then(|ready| ready.message.as_deref());
                return give_up(claim, "NodeClassNotReady", message.unwrap_or_default());
            }
            _ => {
                return Outcome::settled().again_at(now + pause(context.pace, 1.0));
            }
        }
        let limit = launch_limit(claim);
        if timed_out(claim, now) {
            return Outcome::of(vec![claim.delete(None)]);
        }
        let again = self
            .launches
            .get(claim.uid())
            .map(|at| *at + pause(context.pace, ASK_AGAIN.as_secs_f64()))
            .filter(|at| *at > now);
        if let Some(at) = again {
            return Outcome::settled().again_at(at.min(limit));
        }
        let unavailable = self.memory.lock().unavailable(now);
        match self
            .offers
            .launch(claim, class, view, &unavailable, &settings.cluster)
        {
            Ok(launch) => {
                self.launches.insert(claim.uid().to_owned(), now);
                let again = now + pause(context.pace, ASK_AGAIN.as_secs_f64());
                Outcome::of(vec![Action::Cloud(CloudAction::Launch(launch))])
                    .again_at(again.min(limit))
            }
            Err(error @ Unlaunchable::Capacity(_)) => {
                give_up(claim, "InsufficientCapacityError", &error.to_string())
            }
            Err(error @ Unlaunchable::NoImage) => failed(claim, view, now, &error.to_string())
                .again_at((now + pause(context.pace, 10.0)).min(limit)),
        }
    }

    /// The machine is there.
    fn launched(
        &mut self,
        claim: &NodeClaim,
        instance: &crate::cloud::Instance,
        context: Context<'_>,
    ) -> Outcome {
        self.launches.remove(claim.uid());
        let Some(class) = class_of(context.view, claim) else {
            return Outcome::settled();
        };
        let expected = self.offers.expected(instance, class, context.view);
        let mut labels = expected.labels;
        labels.extend(claim.metadata.labels.clone().unwrap_or_default());
        let mut annotations = json!({
            (hash::CLASS_HASH): hash::of_class(class),
            (hash::CLASS_VERSION.0): hash::CLASS_VERSION.1,
        });
        let profile = class
            .status
            .as_ref()
            .and_then(|status| status.instance_profile.as_ref());
        if let Some(profile) = profile {
            annotations["karpenter.k8s.aws/instance-profile-name"] = json!(profile);
        }
        let mut conditions = Conditions::of(
            claims::conditions(claim),
            PARTS,
            claim.metadata.generation,
            context.now,
        );
        conditions.yes("Launched");
        conditions.unknown(
            "Registered",
            "NodeNotFound",
            "Node not registered with cluster",
        );
        let status = json!({
            "providerID": claims::id_of(instance),
            "imageID": instance.image,
            "capacity": expected.capacity,
            "allocatable": expected.allocatable,
            "conditions": conditions.finish(),
        });
        Outcome::of(vec![Action::InTurn(vec![
            claim.patch(json!({"metadata": {"labels": labels, "annotations": annotations}})),
            claim.patch_status(status),
        ])])
    }

    /// The claim has a machine: its node registers and initialises, drifts, may be consolidated.
    fn keep(&mut self, claim: &NodeClaim, context: Context<'_>) -> Outcome {
        let (view, now) = (context.view, context.now);
        let mut look = Look::new(claim, view, now);
        let mut first = Vec::new();
        let node = claims::node(view, claim);
        if !look.conditions.is_true("Registered") {
            match node {
                Some(node) => first.extend(register(&mut look, node)),
                None => {
                    let started = since(claims::conditions(claim), "Registered", claim);
                    let limit = started + REGISTRATION_TIMEOUT;
                    if limit <= now {
                        return Outcome::of(vec![claim.delete(None)]);
                    }
                    look.again_at(limit);
                    look.conditions.unknown(
                        "Registered",
                        "NodeNotFound",
                        "Node not registered with cluster",
                    );
                }
            }
        } else if !look.conditions.is_true("Initialized") {
            first.extend(initialize(&mut look, node));
        }
        self.drifts(&mut look);
        consolidates(&mut look);
        let (patch, again) = look.finish();
        let mut actions = first;
        actions.extend(patch);
        let actions = match actions.len() {
            0 | 1 => actions,
            _ => vec![Action::InTurn(actions)],
        };
        let outcome = Outcome::of(actions);
        match again {
            Some(at) => outcome.again_at(at),
            None => outcome,
        }
    }

    /// `Drifted` (`nodeclaim/disruption/drift.go`).
    fn drifts(&mut self, look: &mut Look<'_>) {
        let Some(class) = class_of(look.view, look.claim) else {
            return;
        };
        match drift::reason(look.view, look.claim, class, &mut self.offers, look.now) {
            Some(reason) => look.conditions.yes_because("Drifted", &reason),
            None => look.conditions.clear("Drifted"),
        }
    }

    /// The claim is being deleted (`lifecycle/controller.go` `finalize`).
    fn finalize(&mut self, claim: &NodeClaim, context: Context<'_>) -> Outcome {
        let (view, now) = (context.view, context.now);
        if !claim.has_finalizer(FINALIZER) {
            return Outcome::settled();
        }
        if let (Some(grace), Some(deleted), None) = (
            claim.spec.termination_grace_period,
            &claim.metadata.deletion_timestamp,
            claim.annotation(TERMINATES_AT),
        ) {
            let grace = SignedDuration::try_from(grace.0).unwrap_or(SignedDuration::MAX);
            let at = deleted.0.saturating_add(grace).unwrap_or(Timestamp::MAX);
            let at = seconds(at);
            return Outcome::of(vec![Action::InTurn(vec![
                claim.patch(json!({"metadata": {"annotations": {(TERMINATES_AT): at}}})),
                claim.tell(
                    EventKind::Warning,
                    "TerminationGracePeriodExpiring",
                    format!("All pods will be deleted by {at}"),
                ),
            ])]);
        }
        if claims::is_true(claim, "Registered")
            && let Some(node) = claims::node(view, claim)
        {
            if node.is_deleting() {
                return Outcome::settled();
            }
            return Outcome::of(vec![node.delete(None)]);
        }
        let instance = claims::instance(view, claim).filter(|instance| {
            // An instance that another claim of the same name had is none of this one's.
            matches!(&instance.origin, Origin::NodeClaim(name) if name == claim.name())
        });
        if let Some(instance) = instance
            && instance.state != InstanceState::Terminated
        {
            let mut look = Look::new(claim, view, now);
            look.conditions.yes("InstanceTerminating");
            let (patch, _) = look.finish();
            let outcome = Outcome::of(patch.into_iter().collect());
            return match self.memory.lock().end(instance, context) {
                Some((action, again)) => {
                    let mut outcome = outcome.again_at(again);
                    outcome.actions.extend(action);
                    outcome
                }
                None => outcome,
            };
        }
        self.launches.remove(claim.uid());
        Outcome::of(vec![claim.without_finalizer(FINALIZER)])
    }
}

/// Whether EC2 says that there is nothing left, and not that the request is wrong (`pkg/errors/errors.go`).
fn is_capacity(code: &str) -> bool {
    matches!(
        code,
        "InsufficientInstanceCapacity"
            | "MaxSpotInstanceCountExceeded"
            | "VcpuLimitExceeded"
            | "UnfulfillableCapacity"
            | "Unsupported"
            | "InsufficientFreeAddressesInSubnet"
            | "ReservationCapacityExceeded"
            | "MaxFleetCountExceeded"
    )
}

/// By when a claim has to be launched.
fn launch_limit(claim: &NodeClaim) -> Timestamp {
    since(claims::conditions(claim), "Launched", claim) + LAUNCH_TIMEOUT
}

fn timed_out(claim: &NodeClaim, now: Timestamp) -> bool {
    launch_limit(claim) <= now
}

/// The launch failed for now: the claim says why, and it is tried again.
fn failed(claim: &NodeClaim, view: &View, now: Timestamp, message: &str) -> Outcome {
    let mut look = Look::new(claim, view, now);
    look.conditions
        .unknown("Launched", "LaunchFailed", &truncated(message));
    let (patch, _) = look.finish();
    Outcome::of(patch.into_iter().collect())
}

/// The launch came to nothing: the claim goes, and provisioning looks again.
fn give_up(claim: &NodeClaim, reason: &str, message: &str) -> Outcome {
    let message = format!("NodeClaim {} event: {}", claim.name(), truncated(message));
    Outcome::of(vec![Action::InTurn(vec![
        claim.delete(None),
        claim.tell(EventKind::Warning, reason, message),
    ])])
}

/// The node has joined: what the claim says is put on it (`registration.go`).
fn register(look: &mut Look<'_>, node: &Node) -> Vec<Action> {
    let claim = look.claim;
    let mut first = Vec::new();
    if node.label("karpenter.sh/registered") != Some("true") {
        let unregistered = taints(node)
            .iter()
            .any(|taint| taint.key == UNREGISTERED && taint.effect == "NoExecute");
        let mut labels: BTreeMap<String, String> =
            claim.metadata.labels.clone().unwrap_or_default();
        labels.insert("karpenter.sh/registered".to_owned(), "true".to_owned());
        let mut finalizers = node.metadata.finalizers.clone().unwrap_or_default();
        if !node.has_finalizer(FINALIZER) {
            finalizers.push(FINALIZER.to_owned());
        }
        let mut own: Vec<Taint> = taints(node).to_vec();
        if node.label("karpenter.sh/do-not-sync-taints") != Some("true") {
            for taint in claim.spec.taints.iter().chain(&claim.spec.startup_taints) {
                if !own.iter().any(|other| same(other, taint)) {
                    own.push(taint.clone());
                }
            }
        }
        own.retain(|taint| !(taint.key == UNREGISTERED && taint.effect == "NoExecute"));
        let own = if own.is_empty() {
            Json::Null
        } else {
            json!(own)
        };
        first.push(node.patch_as_seen(json!({
            "metadata": {
                "labels": labels,
                "annotations": claim.metadata.annotations,
                "finalizers": finalizers,
                "ownerReferences": [{
                    "apiVersion": "karpenter.sh/v1",
                    "kind": "NodeClaim",
                    "name": claim.name(),
                    "uid": claim.uid(),
                    "blockOwnerDeletion": true,
                }],
            },
            "spec": {"taints": own},
        })));
        if !unregistered {
            first.push(claim.tell(
                EventKind::Warning,
                "UnregisteredTaintMissing",
                "Missing karpenter.sh/unregistered taint which prevents registration related race conditions on Karpenter-managed nodes",
            ));
        }
    }
    look.conditions.yes("Registered");
    look.conditions.unknown(
        "Initialized",
        "AwaitingReconciliation",
        "object is awaiting reconciliation",
    );
    look.status
        .insert("nodeName".to_owned(), json!(node.name()));
    first
}

/// The node becomes usable (`initialization.go`).
fn initialize(look: &mut Look<'_>, node: Option<&Node>) -> Vec<Action> {
    const TYPE: &str = "Initialized";
    let Some(node) = node else {
        look.conditions
            .unknown(TYPE, "NodeNotFound", "Node not registered with cluster");
        return Vec::new();
    };
    if !claims::is_ready(node) {
        look.conditions
            .unknown(TYPE, "NodeNotReady", "Node status is NotReady");
        return Vec::new();
    }
    let startup = taints(node).iter().find(|taint| {
        let startup = &look.claim.spec.startup_taints;
        startup.iter().any(|other| same(other, taint))
    });
    if let Some(taint) = startup {
        let message = format!("StartupTaint {:?} still exists", shown(taint));
        look.conditions
            .unknown(TYPE, "StartupTaintsExist", &message);
        return Vec::new();
    }
    if let Some(taint) = taints(node).iter().find(|taint| is_passing(taint)) {
        let message = format!("KnownEphemeralTaint {:?} still exists", shown(taint));
        look.conditions
            .unknown(TYPE, "KnownEphemeralTaintsExist", &message);
        return Vec::new();
    }
    let is_zero = |text: Option<&k8s_openapi::apimachinery::pkg::api::resource::Quantity>| {
        text.and_then(|text| text.0.parse::<Quantity>().ok())
            .is_none_or(|amount| amount == Quantity::ZERO)
    };
    let allocatable = node
        .status
        .as_ref()
        .and_then(|status| status.allocatable.as_ref());
    let lacking = look
        .claim
        .spec
        .resources
        .requests
        .iter()
        .find(|(name, amount)| {
            !is_zero(Some(amount)) && is_zero(allocatable.and_then(|all| all.get(*name)))
        });
    if let Some((name, _)) = lacking {
        let message = format!("Resource {name:?} was requested but not registered");
        look.conditions
            .unknown(TYPE, "ResourceNotRegistered", &message);
        return Vec::new();
    }
    look.conditions.yes(TYPE);
    if node.label("karpenter.sh/initialized") == Some("true") {
        return Vec::new();
    }
    vec![node.patch(json!({"metadata": {"labels": {"karpenter.sh/initialized": "true"}}}))]
}

/// `Consolidatable` (`nodeclaim/disruption/consolidation.go`).
fn consolidates(look: &mut Look<'_>) {
    const TYPE: &str = "Consolidatable";
    let after = claims::pool(look.view, look.claim)
        .filter(|pool| pool.spec.replicas.is_none())
        .and_then(|pool| pool.spec.disruption.consolidate_after.duration())
        .and_then(|after| SignedDuration::try_from(after).ok());
    let (Some(after), true) = (after, look.conditions.is_true("Initialized")) else {
        look.conditions.clear(TYPE);
        return;
    };
    let event = look
        .claim
        .status
        .as_ref()
        .and_then(|status| status.last_pod_event_time.as_ref())
        .map(|time| time.0);
    let initialized = look
        .conditions
        .get("Initialized")
        .and_then(|condition| condition.last_transition_time.as_ref())
        .map(|time| time.0);
    let from = event
        .or(initialized)
        .and_then(|from| from.checked_add(after).ok())
        .unwrap_or(Timestamp::MIN);
    if from > look.now && !after.is_zero() {
        look.conditions.clear(TYPE);
        look.again_at(from);
    } else {
        look.conditions.yes(TYPE);
    }
}
