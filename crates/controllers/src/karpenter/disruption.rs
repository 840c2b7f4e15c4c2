//! Nodes that are empty, drifted or dearer than need be (`pkg/controllers/disruption`): looked for every ten seconds, validated after
//! fifteen more, marked, replaced where their pods need it, and then deleted.

use std::collections::BTreeMap;

use autoscale::karpenter::disruption::{
    Command, Method, POLLING_PERIOD, Pass, Refusal, Round, VALIDATION_DELAY,
};
use autoscale::karpenter::provisioning::Planner;
use autoscale::world::{NodeId, World};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Taint};
use objects::budget::DisruptionReason;
use objects::karpenter::NodeClaim;
use serde_json::{Value as Json, json};

use super::claims::{self, PARTS};
use super::conditions::Conditions;
use super::memory::{Kept, Memory, Ordered, Telling, pause};
use super::node_class::status_as_seen;
use super::picture::Painter;
use super::provisioning::nominate;
use super::settings::Settings;
use super::termination::disrupted;
use super::{DISRUPTED, NAME, new_claim};
use crate::document::Named;
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Outcome, View};

/// How long a command may take at least, whatever there is to do (`queue.go` `minRetryDuration`).
const COMMAND_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);
const REASON: &str = "DisruptionReason";

/// Looks for nodes that may go. It has one key.
pub(super) struct Disruption {
    memory: Memory,
    painter: Painter,
    /// Commands that wait to be validated.
    pending: Option<Pending>,
    next_poll: Option<Timestamp>,
    /// What was known when nothing was found, and until when time alone changes nothing.
    quiet: Option<(u64, Option<Timestamp>)>,
}

/// Commands and what they are about.
struct Pending {
    commands: Vec<(Command, Vec<String>)>,
    at: Timestamp,
    /// The pools and classes that they were found with.
    pools: Vec<String>,
}

impl Disruption {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            painter: Painter::default(),
            pending: None,
            next_poll: None,
            quiet: None,
        }
    }
}

const fn reason(method: Method) -> DisruptionReason {
    method.reason()
}

/// What decides which number a pool or a set of types has.
fn pools(view: &View) -> Vec<String> {
    let pools = view.node_pools.iter().map(|(key, pool)| {
        format!(
            "{} {:?} {}",
            key.name, pool.metadata.generation, pool.spec.template.spec.node_class_ref.name
        )
    });
    let classes = view.ec2_node_classes.iter();
    pools
        .chain(classes.map(|(key, class)| format!("{} {:?}", key.name, class.status)))
        .collect()
}

fn claim_names(world: &World, nodes: &[NodeId]) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|node| Some(world.node(*node).claim.as_ref()?.name.clone()))
        .collect()
}

fn claim<'a>(view: &'a View, name: &str) -> Option<&'a NodeClaim> {
    Some(view.node_claims.get(&Key::cluster(name))?)
}

fn find(world: &World, claim: &str) -> Option<NodeId> {
    world
        .live_nodes()
        .find(|(_, node)| node.claim.as_ref().is_some_and(|own| own.name == claim))
        .map(|(id, _)| id)
}

impl Controller for Disruption {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, _: &View) -> Vec<Key> {
        let own = self.memory.note(change);
        let wakes = self.memory.count(change);
        let awaited = change.kind == Some(Kind::NodeClaim) && {
            let kept = self.memory.lock();
            kept.awaits(&change.key.name) || kept.holds(&change.key.name)
        };
        if own || wakes || awaited {
            vec![Key::cluster("disruption")]
        } else {
            Vec::new()
        }
    }

    fn reconcile(&mut self, _: &Key, context: Context<'_>) -> Outcome {
        let Some(settings) = self.memory.settings(context.view) else {
            self.pending = None;
            self.memory.lock().ordered.clear();
            return Outcome::settled();
        };
        let now = context.now;
        let memory = self.memory.clone();
        let mut kept = memory.lock();
        // What is to be had again is news.
        kept.unavailable(now);
        let mut actions = carry_out(context, &mut kept);
        if actions.is_empty() {
            actions = remark(context.view, &kept, now);
        }
        if let Some(pending) = self.pending.take() {
            if pending.at > now {
                let at = pending.at;
                self.pending = Some(pending);
                return Outcome::of(actions).again_at(at);
            }
            actions.extend(self.validate(pending, context, &mut kept, &settings));
        } else if self.next_poll.is_none_or(|at| at <= now) {
            actions.extend(unmark(context.view, &kept, now));
            self.poll(context, &mut kept, &settings, &mut actions);
        }
        let outcome = Outcome::of(actions);
        if let Some(pending) = &self.pending {
            return outcome.again_at(pending.at);
        }
        if let Some(until) = self.quiet_until(&kept, now) {
            // A change wakes it, or the time at which something comes out differently by itself.
            kept.asleep = true;
            let until = until.into_iter().chain(kept.available_at()).min();
            return match until {
                Some(until) => outcome.again_at(until),
                None => outcome,
            };
        }
        let poll = match self.next_poll {
            Some(at) if at > now => at,
            _ => {
                let at = now + pause(context.pace, POLLING_PERIOD.as_secs_f64());
                self.next_poll = Some(at);
                at
            }
        };
        outcome.again_at(poll)
    }
}

/// Goes on with the commands whose nodes are marked (`queue.go` `waitOrTerminate`).
fn carry_out(context: Context<'_>, kept: &mut Kept) -> Vec<Action> {
    let (view, now) = (context.view, context.now);
    let mut actions = Vec::new();
    for ordered in std::mem::take(&mut kept.ordered) {
        let word = reason(ordered.method).to_string();
        let mut waits = false;
        let mut lost = now.duration_since(ordered.since) > COMMAND_TIMEOUT;
        for name in &ordered.replacements {
            let Some(claim) = claim(view, name).filter(|claim| !claim.is_deleting()) else {
                // One that was created just now may not be in the view yet.
                if now.duration_since(ordered.since) > SignedDuration::from_secs(5) {
                    lost = true;
                }
                waits = true;
                continue;
            };
            let launching = Telling {
                about: claim.subject(),
                kind: EventKind::Normal,
                reason: "DisruptionLaunching",
                message: format!("Launching NodeClaim: {word}"),
                same: &[claim.uid(), &word],
                seconds: 120,
            };
            actions.extend(kept.tell(now, launching));
            if !claims::is_true(claim, "Initialized") {
                waits = true;
                let waiting = Telling {
                    about: claim.subject(),
                    kind: EventKind::Normal,
                    reason: "DisruptionWaitingReadiness",
                    message: "Waiting on readiness to continue disruption".to_owned(),
                    same: &[claim.uid()],
                    seconds: 120,
                };
                actions.extend(kept.tell(now, waiting));
            }
        }
        if !waits {
            for name in &ordered.candidates {
                let Some(claim) = claim(view, name).filter(|claim| !claim.is_deleting()) else {
                    continue;
                };
                let mut turn = vec![claim.delete(None)];
                let node = claims::node(view, claim);
                let subjects = node
                    .map(|node| (node.subject(), node.uid(), "Node"))
                    .into_iter()
                    .chain([(claim.subject(), claim.uid(), "NodeClaim")]);
                for (about, uid, what) in subjects {
                    turn.extend(kept.tell(
                        now,
                        Telling {
                            about,
                            kind: EventKind::Normal,
                            reason: "DisruptionTerminating",
                            message: format!("Disrupting {what}: {word}"),
                            same: &[uid, &word],
                            seconds: 120,
                        },
                    ));
                }
                actions.push(Action::InTurn(turn));
            }
            // It holds its nodes until they are seen to go.
            let seen = ordered
                .candidates
                .iter()
                .all(|name| claim(view, name).is_none_or(Named::is_deleting));
            if !seen {
                kept.ordered.push(ordered);
            }
        } else if !lost {
            kept.ordered.push(ordered);
        }
    }
    actions
}

/// Takes back what no command holds: after a restart, or where a replacement did not come.
fn unmark(view: &View, kept: &Kept, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for (_, claim) in view.node_claims.iter() {
        if claim.is_deleting() || kept.holds(claim.name()) {
            continue;
        }
        if claims::is_true(claim, REASON) {
            let mut conditions = Conditions::of(
                claims::conditions(claim),
                PARTS,
                claim.metadata.generation,
                now,
            );
            conditions.clear(REASON);
            let made = conditions.finish();
            actions.push(status_as_seen(&**claim, json!({"conditions": made})));
        }
        if let Some(node) = claims::node(view, claim)
            && !node.is_deleting()
            && let Some(taints) = without_mark(node)
        {
            actions.push(node.patch_as_seen(json!({"spec": {"taints": taints}})));
        }
    }
    actions
}

fn without_mark(node: &Node) -> Option<Json> {
    let there: &[Taint] = node
        .spec
        .as_ref()
        .and_then(|spec| spec.taints.as_deref())
        .unwrap_or_default();
    let left: Vec<&Taint> = there
        .iter()
        .filter(|taint| taint.key != DISRUPTED)
        .collect();
    if left.len() == there.len() {
        return None;
    }
    Some(if left.is_empty() {
        Json::Null
    } else {
        json!(left)
    })
}

impl Disruption {
    /// Whether nothing has changed since nothing was found, and if so, when time alone changes something.
    fn quiet_until(&self, kept: &Kept, now: Timestamp) -> Option<Option<Timestamp>> {
        let (changes, until) = self.quiet?;
        let quiet = changes == kept.changes
            && until.is_none_or(|until| now < until)
            && kept.ordered.is_empty();
        quiet.then_some(until)
    }

    /// Looks for something to do.
    fn poll(
        &mut self,
        context: Context<'_>,
        kept: &mut Kept,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) {
        let now = context.now;
        self.next_poll = Some(now + pause(context.pace, POLLING_PERIOD.as_secs_f64()));
        if self.quiet_until(kept, now).is_some() || !kept.synced(context.view, now) {
            return;
        }
        let any = context
            .view
            .node_claims
            .iter()
            .any(|(_, claim)| !claim.is_deleting() && claims::is_true(claim, "Initialized"));
        self.quiet = (!any).then_some((kept.changes, None));
        if !any {
            return;
        }
        let world = self.painter.paint(context.view, kept, now);
        actions.extend(self.look(&world, Method::Emptiness, context, kept, settings));
    }

    /// Asks the methods from one on.
    fn look(
        &mut self,
        world: &World,
        from: Method,
        context: Context<'_>,
        kept: &mut Kept,
        settings: &Settings,
    ) -> Vec<Action> {
        let now = context.now;
        let round = Round::new(world, now, settings.disruption());
        let mut planner = Planner::new(world, settings.provisioning());
        match round.next(from, &mut planner) {
            Ok(pass) if pass.method.validation_delay().is_some() => {
                let delay = pause(context.pace, VALIDATION_DELAY.as_secs_f64());
                self.pending = Some(Pending {
                    commands: pass
                        .commands
                        .into_iter()
                        .map(|command| {
                            let names = claim_names(world, &command.candidates);
                            (command, names)
                        })
                        .collect(),
                    at: now + delay,
                    pools: pools(context.view),
                });
                Vec::new()
            }
            Ok(pass) => {
                let mut actions = Vec::new();
                for command in &pass.commands {
                    actions.extend(execute(world, command, context, kept, settings));
                }
                actions
            }
            Err(passes) => {
                let actions = explain(world, &round, &passes, context, kept);
                self.quiet = Some((kept.changes, round.changes_at()));
                actions
            }
        }
    }

    /// Commands have waited: they hold, or the next method is asked.
    fn validate(
        &mut self,
        pending: Pending,
        context: Context<'_>,
        kept: &mut Kept,
        settings: &Settings,
    ) -> Vec<Action> {
        let now = context.now;
        if pending.pools != pools(context.view) || !kept.synced(context.view, now) {
            self.next_poll = None;
            return Vec::new();
        }
        let world = self.painter.paint(context.view, kept, now);
        let mut actions = Vec::new();
        let mut next = None;
        for (mut command, names) in pending.commands {
            let found: Option<Vec<NodeId>> = names.iter().map(|name| find(&world, name)).collect();
            match found {
                Some(nodes) => command.candidates = nodes,
                None if command.method == Method::Emptiness => {
                    command.candidates =
                        names.iter().filter_map(|name| find(&world, name)).collect();
                }
                None => {
                    next = Some(command.method);
                    continue;
                }
            }
            let verdict = {
                let round = Round::new(&world, now, settings.disruption());
                let mut planner = Planner::new(&world, settings.provisioning());
                round.validate(&command, &mut planner)
            };
            match verdict {
                Ok(valid) => {
                    actions.extend(execute(&world, &valid, context, kept, settings));
                    // The next look is at once.
                    self.next_poll = None;
                }
                Err(abandoned) => {
                    let why = abandoned.class();
                    actions.extend(rejected(&world, &command, why, context, kept));
                    next = Some(command.method);
                }
            }
        }
        let next = next.and_then(|last| Method::ORDER.into_iter().find(|method| *method > last));
        if let (Some(next), true) = (next, self.next_poll.is_some()) {
            actions.extend(self.look(&world, next, context, kept, settings));
        }
        actions
    }
}

/// Marks the nodes, creates what comes first, and holds the command until that is up (`queue.go` `StartCommand`).
fn execute(
    world: &World,
    command: &Command,
    context: Context<'_>,
    kept: &mut Kept,
    settings: &Settings,
) -> Vec<Action> {
    let (view, now) = (context.view, context.now);
    let candidates = claim_names(world, &command.candidates);
    if candidates.iter().any(|name| kept.holds(name)) {
        return Vec::new();
    }
    let mut created = Vec::new();
    for (index, replacement) in command.replacements.iter().enumerate() {
        if new_claim::over_limit(world, replacement).is_some() {
            return Vec::new();
        }
        match new_claim::document(world, view, replacement, index, now) {
            Some(made) => created.push(made),
            None => return Vec::new(),
        }
    }
    let word = reason(command.method).to_string();
    let mut actions = Vec::new();
    for claim in candidates.iter().filter_map(|name| claim(view, name)) {
        actions.extend(mark(view, claim, &word, now));
    }
    let mut replacements = Vec::new();
    for (name, document) in created {
        kept.expect(&name, now);
        kept.nominate(&name, context, settings);
        actions.push(Action::Create(document));
        replacements.push(name);
    }
    for placement in &command.placements {
        actions.extend(nominate(
            world,
            kept,
            placement.node,
            placement.pod,
            context,
            settings,
        ));
    }
    kept.ordered.push(Ordered {
        method: command.method,
        candidates,
        replacements,
        since: now,
    });
    kept.changes += 1;
    let then = carry_out(context, kept);
    actions.extend(then);
    actions
}

/// Marks a claim and its node, as far as they are not.
fn mark(view: &View, claim: &NodeClaim, word: &str, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    if let Some(node) = claims::node(view, claim)
        && let Some(taints) = disrupted(node)
    {
        actions.push(node.patch_as_seen(json!({"spec": {"taints": taints}})));
    }
    if !claims::is_true(claim, REASON) {
        let mut conditions = Conditions::of(
            claims::conditions(claim),
            PARTS,
            claim.metadata.generation,
            now,
        );
        conditions.yes_because(REASON, word);
        let made = conditions.finish();
        actions.push(status_as_seen(claim, json!({"conditions": made})));
    }
    actions
}

/// What is to be marked of the commands that wait: somebody else's write may have come in between.
fn remark(view: &View, kept: &Kept, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for ordered in &kept.ordered {
        let word = reason(ordered.method).to_string();
        let claims = ordered.candidates.iter();
        for claim in claims.filter_map(|name| claim(view, name)) {
            if !claim.is_deleting() {
                actions.extend(mark(view, claim, &word, now));
            }
        }
    }
    actions
}

/// A command that did not hold.
fn rejected(
    world: &World,
    command: &Command,
    why: &str,
    context: Context<'_>,
    kept: &mut Kept,
) -> Vec<Action> {
    let (view, now) = (context.view, context.now);
    let kind = if command.replacements.is_empty() {
        "delete"
    } else {
        "replace"
    };
    #[allow(clippy::cast_precision_loss, reason = "dollars an hour")]
    let saves = command.savings.0 as f64 / 1e6;
    let message = format!("Consolidation rejected: {kind}, reason: {why} (savings: ${saves:.2})");
    claim_names(world, &command.candidates)
        .iter()
        .filter_map(|name| claim(view, name))
        .flat_map(|claim| {
            about_both(
                view,
                claim,
                "ConsolidationRejected",
                &message,
                now,
                120,
                kept,
            )
        })
        .collect()
}

/// An event about a claim and its node.
fn about_both(
    view: &View,
    claim: &NodeClaim,
    reason: &str,
    message: &str,
    now: Timestamp,
    seconds: i64,
    kept: &mut Kept,
) -> Vec<Action> {
    let node = claims::node(view, claim).map(|node| (node.subject(), node.uid()));
    node.into_iter()
        .chain([(claim.subject(), claim.uid())])
        .filter_map(|(about, uid)| {
            kept.tell(
                now,
                Telling {
                    about,
                    kind: EventKind::Normal,
                    reason,
                    message: message.to_owned(),
                    same: &[uid, message],
                    seconds,
                },
            )
        })
        .collect()
}

/// Tells why nodes are left alone.
fn explain(
    world: &World,
    round: &Round<'_>,
    passes: &[Pass],
    context: Context<'_>,
    kept: &mut Kept,
) -> Vec<Action> {
    let (view, now) = (context.view, context.now);
    let mut actions = Vec::new();
    let of = |node: NodeId| {
        let name = &world.node(node).claim.as_ref()?.name;
        claim(view, name)
    };
    for (node, blockers) in round.blocked() {
        let (Some(first), Some(claim)) = (blockers.first(), of(*node)) else {
            continue;
        };
        if kept.holds(claim.name()) {
            continue;
        }
        // Until when is nothing that an event says.
        let message = match first {
            Refusal::Nominated { .. } => "Node is nominated for a pending pod".to_owned(),
            other => other.display(world),
        };
        actions.extend(about_both(
            view,
            claim,
            "DisruptionBlocked",
            &message,
            now,
            120,
            kept,
        ));
    }
    let mut budgets: BTreeMap<String, String> = BTreeMap::new();
    for pass in passes {
        for (node, refusal) in &pass.refusals {
            match refusal {
                Refusal::Budget {
                    pool,
                    reason,
                    allowed: 0,
                    ..
                } => {
                    let pool = world.names.value_text(world.pool(*pool).name);
                    budgets.insert(
                        pool.into_owned(),
                        format!(
                            "No allowed disruptions for disruption reason {reason} due to blocking budget"
                        ),
                    );
                }
                Refusal::TypeNotFound(_)
                | Refusal::NoLabel(_)
                | Refusal::ConsolidationDisabled(_)
                | Refusal::WhenEmpty(_)
                | Refusal::Unschedulable(_)
                | Refusal::ManyClaims(_)
                | Refusal::NotCheaper
                | Refusal::MinValues(_)
                | Refusal::SpotToSpotDisabled
                | Refusal::SpotFlexibility { .. }
                    if pass.method == Method::SingleNode =>
                {
                    if let Some(claim) = of(*node) {
                        let message = refusal.display(world);
                        actions.extend(about_both(
                            view,
                            claim,
                            "Unconsolidatable",
                            &message,
                            now,
                            900,
                            kept,
                        ));
                    }
                }
                _ => {}
            }
        }
    }
    for (name, message) in budgets {
        let Some(pool) = view.node_pools.get(&Key::cluster(&name)) else {
            continue;
        };
        let event = kept.tell(
            now,
            Telling {
                about: pool.subject(),
                kind: EventKind::Normal,
                reason: "DisruptionBlocked",
                same: &[pool.uid(), &message.clone()],
                message,
                seconds: 60,
            },
        );
        actions.extend(event);
    }
    actions
}
