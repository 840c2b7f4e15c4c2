//! The loop: events in order, each changing the world and entering what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use super::budgets::Baseline;
use super::clock::{Clock, later};
use super::disrupting::{Ordered, Quiet};
use super::picture::{self, Spending};
use super::provisioning::Batch;
use super::question::{Interruption, Question, Removal, UnknownTarget};
use super::{MAX_DECISIONS, MAX_EVENTS};
use crate::answer::{Answer, Decision, Finding, Kind, Level, Method, Picture, Unschedulable};
use crate::instances::CapacityType;
use crate::karpenter::disruption::interruption::{self, Action, UNAVAILABLE_FOR};
use crate::karpenter::disruption::{POLLING_PERIOD, expiration};
use crate::names::{Key, Value};
use crate::world::{NodeId, PodId, Stage, World};

/// How much time "what happens next" plays at most.
const SETTLE: Duration = Duration::from_secs(4 * 3600);
/// What happens at a moment.
#[derive(Debug)]
pub(super) enum Event {
    /// kube-scheduler tries the pods that have no node.
    Schedule,
    /// The batch may be full.
    CloseBatch,
    /// A claim has a machine.
    Launched(NodeId),
    /// A node has joined.
    Registered(NodeId),
    /// A node takes pods.
    Initialized(NodeId),
    /// A pod is ready.
    PodReady(PodId),
    /// A pod is gone.
    PodGone(PodId),
    /// A node's next pods are evicted.
    Drain(NodeId),
    /// A node's time is up: its pods are ended without asking.
    Force(NodeId),
    /// A node's instance is gone.
    NodeGone(NodeId),
    /// Disruption looks for something to do.
    Poll,
    /// A command has waited.
    Validate(Box<crate::karpenter::disruption::Command>),
    /// A node is older than it may become.
    Expire(NodeId),
    /// A type may be had again.
    Available(Value, Value, CapacityType),
}

impl Event {
    /// Whether something is under way; otherwise nothing comes of it by itself.
    fn is_progress(&self, world: &World) -> bool {
        match self {
            Self::Poll | Self::Expire(_) | Self::Drain(_) | Self::Available(..) => false,
            Self::Force(node) => !world.node(*node).removed,
            _ => true,
        }
    }
}

/// A run.
pub(super) struct Run<'q> {
    pub world: World,
    pub question: &'q Question,
    pub clock: Clock<Event>,
    pub decisions: Vec<Decision>,
    pub findings: BTreeSet<Finding>,
    pub baseline: Baseline,
    /// Numbers of generated names.
    pub names: u64,
    pub batch: Option<Batch>,
    /// What [`Self::changes`] was when nodes were last asked for.
    pub provisioned_at: Option<u64>,
    /// Why pods wait, by whom.
    pub waiting: BTreeMap<PodId, Waiting>,
    /// Nodes that joined and are not initialised; cordoned for as long.
    pub starting: FxHashSet<NodeId>,
    /// Nodes whose last drain got nowhere.
    pub stuck: FxHashSet<NodeId>,
    /// Nodes whose instance is being ended.
    pub ending: FxHashSet<NodeId>,
    /// Commands that wait for replacements.
    pub ordered: Vec<Ordered>,
    /// The last refusal of each node, by when.
    pub refused: BTreeMap<NodeId, Vec<(Timestamp, Method, String)>>,
    /// Goes up with every change that decisions may depend on.
    pub changes: u64,
    /// The state of the last pass that found nothing.
    pub quiet: Option<Quiet>,
    pub scheduling: bool,
    pub scheduler: Option<crate::scheduler::Scheduler>,
    /// Commands that did not hold after their wait, by method: how many, and why the first one.
    pub abandoned: BTreeMap<String, (usize, String)>,
    /// How often nodes that this run launched were taken away again, by pool.
    pub churn: FxHashMap<Value, u32>,
    pub made: FxHashSet<NodeId>,
    deadline: Timestamp,
    before: Picture,
    spent: Spending,
    quiet_polls: u32,
}

/// Why a pod waits.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    pub scheduler: String,
    pub karpenter: Option<String>,
    /// The node that it is planned on.
    pub planned: Option<NodeId>,
}

impl<'q> Run<'q> {
    pub fn new(world: World, question: &'q Question) -> Result<Self, UnknownTarget> {
        let deadline = later(question.at, question.span.unwrap_or(SETTLE));
        let mut run = Self {
            before: picture::picture(&world),
            spent: picture::spending(&world),
            baseline: Baseline::of(&world),
            world,
            question,
            clock: Clock::new(question.at),
            decisions: Vec::new(),
            findings: question.findings.iter().cloned().collect(),
            names: 0,
            batch: None,
            provisioned_at: None,
            waiting: BTreeMap::new(),
            starting: FxHashSet::default(),
            stuck: FxHashSet::default(),
            ending: FxHashSet::default(),
            ordered: Vec::new(),
            refused: BTreeMap::new(),
            changes: 0,
            quiet: None,
            scheduling: false,
            scheduler: None,
            abandoned: BTreeMap::new(),
            churn: FxHashMap::default(),
            made: FxHashSet::default(),
            deadline,
            quiet_polls: 0,
        };
        run.begin();
        for removal in &question.removes {
            run.remove(removal)?;
        }
        for event in &question.interrupts {
            run.interrupt(event)?;
        }
        run.schedule_soon();
        run.clock.after(POLLING_PERIOD, Event::Poll);
        Ok(run)
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn text(&self, value: Value) -> String {
        self.world.names.value_text(value).into_owned()
    }

    pub fn node_name(&self, node: NodeId) -> String {
        self.text(self.world.node(node).name)
    }

    pub fn warn(&mut self, about: String, message: String) {
        self.findings.insert(Finding {
            level: Level::Warning,
            about,
            message,
        });
    }

    pub fn note(&mut self, about: String, message: String) {
        self.findings.insert(Finding {
            level: Level::Note,
            about,
            message,
        });
    }

    /// What was under way when the snapshot was taken goes on.
    fn begin(&mut self) {
        let nodes: Vec<NodeId> = self.world.live_nodes().map(|(id, _)| id).collect();
        let delays = self.question.delays;
        for id in nodes {
            let node = self.world.node(id);
            if node.deleting {
                self.resume_termination(id);
                continue;
            }
            match node.stage {
                Stage::Launched => self.clock.after(delays.register, Event::Registered(id)),
                Stage::Registered => {
                    self.close(id);
                    self.clock.after(delays.initialize, Event::Initialized(id));
                }
                Stage::Initialized => self.start_daemons(id),
            }
            self.watch_expiry(id);
        }
        let pods: Vec<(PodId, bool)> = self
            .world
            .live_pods()
            .filter(|(_, pod)| pod.node.is_some())
            .filter(|(_, pod)| {
                pod.deleting.is_some() || pod.phase == crate::world::Phase::Pending || pod.unready
            })
            .map(|(id, pod)| (id, pod.deleting.is_some()))
            .collect();
        for (pod, goes) in pods {
            if goes {
                self.clock.after(delays.pod_stop, Event::PodGone(pod));
            } else if self.world.pod(pod).phase == crate::world::Phase::Pending {
                self.clock.after(delays.pod_start, Event::PodReady(pod));
            }
        }
        self.find_at_start();
    }

    /// kube-scheduler puts nothing on a node that is not ready.
    pub fn close(&mut self, id: NodeId) {
        let node = &mut self.world.nodes[id.0 as usize];
        if !node.unschedulable {
            node.unschedulable = true;
            self.starting.insert(id);
        }
    }

    pub fn watch_expiry(&mut self, id: NodeId) {
        if let Some(at) = expiration::expires_at(self.world.node(id)) {
            self.clock.at(at, Event::Expire(id));
        }
    }

    fn remove(&mut self, removal: &Removal) -> Result<(), UnknownTarget> {
        let unknown = || UnknownTarget(removal.to_string());
        let reason = format!("removed as asked ({removal})");
        match removal {
            Removal::Node(name) => {
                let node = find_node(&self.world, name).ok_or_else(unknown)?;
                self.delete_node(node, Method::Asked, reason);
            }
            Removal::NodePool(name) => {
                let pool = self.world.find_pool(name).ok_or_else(unknown)?;
                self.world.pools[pool.0 as usize].ready = false;
                let nodes: Vec<NodeId> = self
                    .world
                    .live_nodes()
                    .filter(|(_, node)| node.pool == Some(pool) && !node.deleting)
                    .map(|(id, _)| id)
                    .collect();
                for node in nodes {
                    self.delete_node(node, Method::Asked, reason.clone());
                }
            }
            Removal::Pod { namespace, name } => {
                let full = format!("{namespace}/{name}");
                let pod = self
                    .world
                    .live_pods()
                    .map(|(id, _)| id)
                    .find(|id| self.world.pod_name(*id) == full)
                    .ok_or_else(unknown)?;
                self.evict(pod, true);
            }
            Removal::Workload {
                kind,
                namespace,
                name,
            } => {
                let of_name = format!("{kind}/{name}");
                let pods: Vec<PodId> = self
                    .world
                    .live_pods()
                    .map(|(id, _)| id)
                    .filter(|id| {
                        let of = self.world.shape_of(*id).namespace;
                        self.world.names.value_text(of) == namespace.as_str()
                            && (picture::owner(&self.world, *id).as_ref() == Some(&of_name)
                                || (*kind == "ReplicaSet" || *kind == "Job")
                                    && self.world.names.value_text(self.world.pod(*id).owner_name)
                                        == name.as_str())
                    })
                    .collect();
                if pods.is_empty() {
                    return Err(unknown());
                }
                for pod in pods {
                    self.evict(pod, false);
                }
            }
        }
        Ok(())
    }

    fn interrupt(&mut self, interruption: &Interruption) -> Result<(), UnknownTarget> {
        let node = find_node(&self.world, &interruption.node)
            .ok_or_else(|| UnknownTarget(format!("node/{}", interruption.node)))?;
        let about = format!("Node/{}", interruption.node);
        let event = interruption.event;
        let Some(follows) = interruption::interrupt(&self.world, node, event) else {
            self.warn(
                about,
                "Karpenter doesn't manage it and does nothing about an interruption".to_owned(),
            );
            return Ok(());
        };
        if follows.action == Action::NoAction {
            self.note(
                about,
                format!("interruption ({event}): Karpenter records an event and does nothing"),
            );
            return Ok(());
        }
        if let Some((name, zone, kind)) = follows.unavailable {
            self.set_available(name, zone, kind, false);
            self.clock
                .after(UNAVAILABLE_FOR, Event::Available(name, zone, kind));
        }
        self.delete_node(
            node,
            Method::Interruption,
            format!("Interruption ({event})"),
        );
        if follows.action == Action::ForcefulTermination {
            self.clock.after(Duration::ZERO, Event::Force(node));
        } else if let Some(notice) = event.notice() {
            self.clock.after(notice, Event::Force(node));
        }
        Ok(())
    }

    fn set_available(&mut self, name: Value, zone: Value, kind: CapacityType, available: bool) {
        for types in &mut self.world.type_sets {
            types.set_available(name, zone, kind, available);
        }
        self.changes += 1;
    }

    /// Plays until the end.
    pub fn play(mut self) -> Result<Answer, UnknownTarget> {
        let mut events = 0;
        let mut settled = false;
        while let Some(next) = self.clock.peek() {
            if next > self.deadline {
                break;
            }
            if events == MAX_EVENTS || self.acting() >= MAX_DECISIONS {
                self.warn(
                    "Simulation".to_owned(),
                    format!(
                        "it was ended at {} after {events} events and {} decisions: nodes come and go without end, or more is asked than is played",
                        self.now(),
                        self.acting()
                    ),
                );
                break;
            }
            let Some(event) = self.clock.pop() else {
                break;
            };
            events += 1;
            let poll = matches!(event, Event::Poll);
            self.happen(event);
            if poll && self.question.span.is_none() {
                let now = self.now();
                let quiet = self.ordered.is_empty()
                    && !self.clock.any(|event| event.is_progress(&self.world))
                    && (self.quiet.as_ref())
                        .is_some_and(|quiet| quiet.window.is_none_or(|end| end <= now));
                self.quiet_polls = if quiet { self.quiet_polls + 1 } else { 0 };
                if self.quiet_polls >= 2 {
                    settled = true;
                    break;
                }
            }
        }
        Ok(self.answer(settled))
    }

    fn acting(&self) -> usize {
        self.decisions.len()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Schedule => self.schedule(),
            Event::CloseBatch => self.close_batch(),
            Event::Launched(node) => self.launched(node),
            Event::Registered(node) => self.registered(node),
            Event::Initialized(node) => self.initialized(node),
            Event::PodReady(pod) => self.pod_ready(pod),
            Event::PodGone(pod) => self.pod_gone(pod),
            Event::Drain(node) => self.drain(node),
            Event::Force(node) => self.force(node),
            Event::NodeGone(node) => self.node_gone(node),
            Event::Poll => self.poll(),
            Event::Validate(command) => self.validate(&command),
            Event::Expire(node) => self.expire(node),
            Event::Available(name, zone, kind) => {
                self.set_available(name, zone, kind, true);
                self.schedule_soon();
            }
        }
    }

    fn expire(&mut self, node: NodeId) {
        let entry = self.world.node(node);
        if entry.removed || entry.deleting {
            return;
        }
        let age = entry.claim.as_ref().and_then(|claim| claim.expire_after);
        let age = age.map_or_else(String::new, |age| format!(" (expireAfter {age})"));
        self.delete_node(node, Method::Expiration, format!("Expired{age}"));
    }

    fn launched(&mut self, node: NodeId) {
        if !self.world.node(node).removed {
            self.clock
                .after(self.question.delays.register, Event::Registered(node));
        }
    }

    fn registered(&mut self, node: NodeId) {
        let entry = &mut self.world.nodes[node.0 as usize];
        if entry.removed {
            return;
        }
        entry.stage = Stage::Registered;
        self.close(node);
        self.changes += 1;
        self.clock
            .after(self.question.delays.initialize, Event::Initialized(node));
    }

    fn initialized(&mut self, node: NodeId) {
        let now = self.now();
        let entry = &mut self.world.nodes[node.0 as usize];
        if entry.removed {
            return;
        }
        entry.stage = Stage::Initialized;
        entry.ready = true;
        if self.starting.remove(&node) {
            entry.unschedulable = false;
        }
        if let Some(claim) = &mut entry.claim {
            claim.initialized_at = Some(now);
        }
        if !entry.deleting {
            self.start_daemons(node);
        }
        self.changes += 1;
        self.schedule_soon();
        self.replacement_ready();
    }

    /// kube-scheduler has something to look at.
    pub fn schedule_soon(&mut self) {
        if !self.scheduling {
            self.scheduling = true;
            self.clock.after(Duration::ZERO, Event::Schedule);
        }
    }

    fn answer(mut self, settled: bool) -> Answer {
        if self.question.span.is_some() {
            self.clock.advance(self.deadline);
        } else {
            self.find_at_end(settled, self.deadline);
        }
        self.find_stuck();
        let refused = std::mem::take(&mut self.refused);
        let refused = refused
            .into_iter()
            .flat_map(|(node, all)| all.into_iter().map(move |one| (node, one)));
        for (node, (at, method, reason)) in refused {
            let entry = self.world.node(node);
            if entry.removed || entry.deleting {
                continue;
            }
            self.decisions.push(Decision {
                at: at.to_string(),
                kind: Kind::None,
                method,
                reason,
                nodepool: entry.pool.map(|pool| self.text(self.world.pool(pool).name)),
                nodes: vec![self.node_name(node)],
                instance_types: Vec::new(),
                chosen: entry.label(Key::INSTANCE_TYPE).map(|name| self.text(name)),
                zone: entry.label(Key::ZONE).map(|zone| self.text(zone)),
                capacity_type: entry.label(Key::CAPACITY_TYPE).map(|kind| self.text(kind)),
                usd_per_hour: self.world.price(node).map(picture::usd),
                pods: Vec::new(),
            });
        }
        let unschedulable = self.unschedulable();
        Answer {
            at: self.question.at.to_string(),
            until: self.now().to_string(),
            karpenter_version: self.world.version.to_string(),
            seed: self.question.seed,
            decisions: self.decisions,
            cost: picture::cost(
                self.spent,
                picture::spending(&self.world),
                self.question.spot_is_estimated,
            ),
            unschedulable,
            findings: self.findings.into_iter().collect(),
            before: self.before,
            after: picture::picture(&self.world),
        }
    }

    fn unschedulable(&self) -> Vec<Unschedulable> {
        let mut all: Vec<Unschedulable> = self
            .world
            .live_pods()
            .filter(|(_, pod)| pod.node.is_none() && pod.is_active())
            .filter_map(|(id, _)| {
                let waiting = self.waiting.get(&id);
                let planned = waiting
                    .and_then(|waiting| waiting.planned)
                    .map(|node| (node, self.world.node(node)))
                    .filter(|(_, node)| !node.removed);
                // Its node is on the way.
                if planned.is_some_and(|(_, node)| node.stage != Stage::Initialized) {
                    return None;
                }
                let reason = match (waiting, planned) {
                    (None, _) => "it was not tried yet".to_owned(),
                    (Some(waiting), Some((node, _))) => format!(
                        "{} (Karpenter expects it on {} and launches nothing)",
                        waiting.scheduler,
                        self.node_name(node)
                    ),
                    (Some(waiting), None) => match &waiting.karpenter {
                        Some(error) => format!("{error} (kube-scheduler: {})", waiting.scheduler),
                        None => waiting.scheduler.clone(),
                    },
                };
                Some(Unschedulable {
                    pod: self.world.pod_name(id),
                    reason,
                })
            })
            .collect();
        all.sort_by(|a, b| a.pod.cmp(&b.pod));
        all
    }
}

/// A node by its name, or by the part before the first dot if only one has it (`ip-10-1-3-7` of EC2's names).
pub(super) fn find_node(world: &World, name: &str) -> Option<NodeId> {
    world.find_node(name).or_else(|| {
        let mut all = world.live_nodes().filter(|(_, node)| {
            let text = world.names.value_text(node.name);
            text.split_once('.').is_some_and(|(host, _)| host == name)
        });
        let (id, _) = all.next()?;
        all.next().is_none().then_some(id)
    })
}
