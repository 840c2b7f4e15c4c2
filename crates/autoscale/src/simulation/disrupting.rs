//! Karpenter's other turn: nodes that may go (`pkg/controllers/disruption/controller.go`, `queue.go`).

use std::time::Duration;

use jiff::Timestamp;

use super::picture::usd;
use super::run::{Event, Run, find_node};
use crate::answer::{self, Decision, Kind};
use crate::karpenter::disruption::{
    Command, Explanation, Method, POLLING_PERIOD, Pass, Refusal, Round, Settings,
};
use crate::karpenter::provisioning::Planner;
use crate::names::Key;
use crate::world::{NodeId, Stage, World};

/// A command whose replacements are on their way.
#[derive(Debug)]
pub(super) struct Ordered {
    pub candidates: Vec<NodeId>,
    pub replacements: Vec<NodeId>,
    pub done: bool,
}

/// What a pass that found nothing has seen.
#[derive(Debug)]
pub(super) struct Quiet {
    /// The world's changes by then.
    changes: u64,
    /// Until when time alone changes nothing that matters.
    until: Option<Timestamp>,
    /// When the last `consolidateAfter` ends.
    pub window: Option<Timestamp>,
}

impl Run<'_> {
    fn settings(&self) -> Settings {
        Settings {
            spot_to_spot: self.question.switches.spot_to_spot,
            min_values: self.question.switches.min_values,
        }
    }

    /// Looks for something to do.
    pub(super) fn poll(&mut self) {
        self.retry();
        let now = self.now();
        let known = self.quiet.as_ref().is_some_and(|quiet| {
            quiet.changes == self.changes && quiet.until.is_none_or(|until| now < until)
        });
        if known {
            self.clock.after(POLLING_PERIOD, Event::Poll);
        } else {
            self.look(Method::Emptiness);
        }
    }

    /// Asks the methods from one on.
    fn look(&mut self, from: Method) {
        self.quiet = None;
        let round = Round::new(&self.world, self.now(), self.settings());
        let mut planner = Planner::new(&self.world, self.options());
        match round.next(from, &mut planner) {
            Ok(pass) => {
                let delay = pass.method.validation_delay();
                let commands = pass.commands;
                match delay {
                    Some(delay) => {
                        for command in commands {
                            self.clock.after(delay, Event::Validate(Box::new(command)));
                        }
                    }
                    None => {
                        for command in &commands {
                            self.execute(command);
                        }
                        self.clock.after(POLLING_PERIOD, Event::Poll);
                    }
                }
            }
            Err(passes) => {
                let refusals = refusals(&round, &passes);
                let explained = self
                    .question
                    .explain
                    .as_deref()
                    .and_then(|name| find_node(&self.world, name))
                    .map(|node| (node, round.explain(node, &mut planner)))
                    .map(|(node, explanation)| (node, reasons(&self.world, &explanation)));
                let until = round.changes_at();
                self.rest(refusals, explained, until);
            }
        }
    }

    /// Nothing is to be done.
    fn rest(
        &mut self,
        refusals: Vec<(NodeId, Method, Refusal)>,
        explained: Option<(NodeId, Vec<(Method, String)>)>,
        until: Option<Timestamp>,
    ) {
        let now = self.now();
        let mut window: Option<Timestamp> = None;
        self.refused.clear();
        for (node, method, refusal) in refusals {
            if let Refusal::NotConsolidatable { from: Some(from) } = &refusal {
                window = window.max(Some(*from));
            }
            if let Refusal::Nominated { until: nominated } = &refusal {
                window = window.max(Some(*nominated));
            }
            let text = refusal.display(&self.world);
            self.refused.insert(node, vec![(now, shown(method), text)]);
        }
        if let Some((node, reasons)) = explained
            && !reasons.is_empty()
        {
            let all = reasons
                .into_iter()
                .map(|(method, text)| (now, shown(method), text))
                .collect();
            self.refused.insert(node, all);
        }
        self.quiet = Some(Quiet {
            changes: self.changes,
            until,
            window,
        });
        self.clock.after(POLLING_PERIOD, Event::Poll);
    }

    /// A command has waited: it holds, or the next method is asked.
    pub(super) fn validate(&mut self, command: &Command) {
        let round = Round::new(&self.world, self.now(), self.settings());
        let mut planner = Planner::new(&self.world, self.options());
        match round.validate(command, &mut planner) {
            Ok(valid) => {
                self.execute(&valid);
                self.clock.after(Duration::ZERO, Event::Poll);
            }
            Err(abandoned) => {
                let reason = abandoned.display(&self.world);
                let name = self.node_name(command.candidates[0]);
                let more = command.candidates.len() - 1;
                let first = format!("that of {name} and {more} more at {}: {reason}", self.now());
                let method = command.method.to_string();
                self.abandoned.entry(method).or_insert((0, first)).0 += 1;
                let next = Method::ORDER
                    .into_iter()
                    .find(|method| *method > command.method);
                match next {
                    Some(next) => self.look(next),
                    None => self.clock.after(POLLING_PERIOD, Event::Poll),
                }
            }
        }
    }

    /// Taints, launches what comes first, and drains once it is ready.
    fn execute(&mut self, command: &Command) {
        let method = shown(command.method);
        for node in &command.candidates {
            self.mark(*node);
        }
        let mut replacements = Vec::new();
        let mut launched = Vec::new();
        for claim in &command.replacements {
            match self.create(claim, method) {
                Ok((node, decision)) => {
                    replacements.push(node);
                    launched.push(decision);
                }
                Err(error) => {
                    for node in &command.candidates {
                        self.unmark(*node);
                    }
                    for node in replacements {
                        self.mark(node);
                        self.terminate(node);
                    }
                    let name = self.node_name(command.candidates[0]);
                    self.warn(
                        format!("Node/{name}"),
                        format!("its replacement could not be launched: {error}"),
                    );
                    return;
                }
            }
        }
        for placement in &command.placements {
            self.nominate(placement.node);
        }
        let nodes = command
            .candidates
            .iter()
            .map(|node| self.node_name(*node))
            .collect();
        let first = self.world.node(command.candidates[0]);
        let of_first = |key| first.label(key).map(|value| self.text(value));
        let mut decision = Decision {
            at: self.now().to_string(),
            kind: Kind::Delete,
            method,
            reason: reason(command, &launched),
            nodepool: of_first(Key::NODE_POOL),
            nodes,
            instance_types: Vec::new(),
            chosen: None,
            zone: of_first(Key::ZONE),
            capacity_type: of_first(Key::CAPACITY_TYPE),
            usd_per_hour: Some(usd(command.before)),
            pods: self.movers(&command.candidates),
        };
        if let [first, ..] = launched.as_slice() {
            decision = Decision {
                kind: Kind::Replace,
                nodepool: first.nodepool.clone(),
                instance_types: first.instance_types.clone(),
                chosen: first.chosen.clone(),
                zone: first.zone.clone(),
                capacity_type: first.capacity_type.clone(),
                usd_per_hour: Some(
                    launched
                        .iter()
                        .filter_map(|decision| decision.usd_per_hour)
                        .sum(),
                ),
                ..decision
            };
        }
        self.decisions.push(decision);
        if replacements.is_empty() {
            for node in &command.candidates {
                self.terminate(*node);
            }
        } else {
            self.ordered.push(Ordered {
                candidates: command.candidates.clone(),
                replacements,
                done: false,
            });
        }
    }

    /// Commands whose replacements are all ready are carried out.
    pub(super) fn replacement_ready(&mut self) {
        let mut go = Vec::new();
        for order in &mut self.ordered {
            let ready = order
                .replacements
                .iter()
                .all(|node| self.world.nodes[node.0 as usize].stage == Stage::Initialized);
            if !order.done && ready {
                order.done = true;
                go.extend(order.candidates.iter().copied());
            }
        }
        for node in go {
            if !self.world.node(node).removed {
                self.terminate(node);
            }
        }
        self.ordered.retain(|order| !order.done);
    }
}

/// One reason for each node that was looked at: that of the method that would most likely have acted.
fn refusals(round: &Round<'_>, passes: &[Pass]) -> Vec<(NodeId, Method, Refusal)> {
    let mut all: std::collections::BTreeMap<NodeId, (Method, Refusal)> =
        std::collections::BTreeMap::new();
    for (node, blockers) in round.blocked() {
        if let Some(first) = blockers.first()
            && !matches!(
                first,
                Refusal::NotManaged | Refusal::Deleting | Refusal::NoNode | Refusal::NotInitialized
            )
        {
            all.insert(*node, (Method::SingleNode, first.clone()));
        }
    }
    for method in [
        Method::SingleNode,
        Method::Emptiness,
        Method::MultiNode,
        Method::Drift,
        Method::StaticDrift,
    ] {
        for pass in passes.iter().filter(|pass| pass.method == method) {
            for (node, refusal) in &pass.refusals {
                let silent = matches!(
                    refusal,
                    Refusal::NotDrifted
                        | Refusal::NotEmpty
                        | Refusal::Empty
                        | Refusal::DynamicPool(_)
                );
                if !silent {
                    all.entry(*node)
                        .or_insert_with(|| (method, refusal.clone()));
                }
            }
        }
    }
    all.into_iter()
        .map(|(node, (method, refusal))| (node, method, refusal))
        .collect()
}

/// Everything that stands in the way of one node.
fn reasons(world: &World, explanation: &Explanation) -> Vec<(Method, String)> {
    let mut all: Vec<(Method, String)> = explanation
        .blockers
        .iter()
        .map(|refusal| (Method::SingleNode, refusal.display(world)))
        .collect();
    for (method, refusals) in &explanation.methods {
        for refusal in refusals {
            // That a method is for other nodes stands in nobody's way.
            if !matches!(
                refusal,
                Refusal::DynamicPool(_) | Refusal::NotEmpty | Refusal::Empty | Refusal::NotDrifted
            ) {
                all.push((*method, refusal.display(world)));
            }
        }
    }
    match &explanation.alone {
        Some(Err(refusal)) => all.push((Method::SingleNode, refusal.display(world))),
        Some(Ok(command)) => all.push((
            Method::SingleNode,
            format!(
                "if nothing else stood in the way: {}",
                match command.replacements.as_slice() {
                    [] => format!(
                        "it would be deleted, its pods fit on other nodes (saves {} an hour)",
                        command.savings
                    ),
                    _ => format!(
                        "it would be replaced by a cheaper node (saves up to {} an hour)",
                        command.savings
                    ),
                }
            ),
        )),
        None => {}
    }
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|(_, text)| seen.insert(text.clone()));
    all
}

/// Karpenter's reason and what it comes to.
fn reason(command: &Command, launched: &[Decision]) -> String {
    let word = match command.method {
        Method::Emptiness => "Empty",
        Method::StaticDrift | Method::Drift => "Drifted",
        Method::MultiNode | Method::SingleNode => "Underutilized",
    };
    let saves = command.savings;
    let names: Vec<&str> = launched
        .iter()
        .flat_map(|decision| decision.nodes.iter().map(String::as_str))
        .collect();
    let names = names.join(", ");
    match (command.method, command.replacements.len()) {
        (Method::Emptiness, _) => {
            format!("{word}: no pod on it needs room elsewhere; saves {saves} an hour")
        }
        (_, 0) => format!("{word}: its pods fit on other nodes; saves {saves} an hour"),
        (Method::Drift | Method::StaticDrift, _) => {
            format!("{word}: it is no longer as its pool says; {names} takes its place")
        }
        (_, _) => format!(
            "{word}: {names}, which is cheaper, takes its pods; saves up to {saves} an hour"
        ),
    }
}

/// The method in the answer's words.
pub(super) const fn shown(method: Method) -> answer::Method {
    match method {
        Method::Emptiness => answer::Method::Emptiness,
        Method::StaticDrift | Method::Drift => answer::Method::Drift,
        Method::MultiNode => answer::Method::MultiNodeConsolidation,
        Method::SingleNode => answer::Method::SingleNodeConsolidation,
    }
}
