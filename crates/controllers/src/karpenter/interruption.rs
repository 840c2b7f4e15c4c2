//! What EC2 and AWS Health say on the interruption queue (the provider's `pkg/controllers/interruption`).

use std::collections::BTreeSet;

use autoscale::karpenter::disruption::interruption::{Action as Response, Event, InstanceState};
use k8s_openapi::api::core::v1::Node;
use objects::karpenter::NodeClaim;
use serde_json::{Value as Json, json};

use super::NAME;
use super::claims;
use super::memory::{Memory, Telling};
use crate::cloud::CloudAction;
use crate::document::{Named, seconds};
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Outcome, View};

/// Reads the queue. It has one key.
pub(super) struct Interruptions {
    memory: Memory,
    /// Receipts of messages that were dealt with and are still in the view.
    done: BTreeSet<String>,
}

impl Interruptions {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            done: BTreeSet::new(),
        }
    }
}

/// What a message says, of which instances; nothing where Karpenter doesn't look at such messages.
fn read(body: &Json) -> Option<(Event, Vec<String>)> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Json::as_str);
    if text("/version")? != "0" {
        return None;
    }
    let instance = || Some(vec![text("/detail/instance-id")?.to_owned()]);
    match (text("/source")?, text("/detail-type")?) {
        ("aws.ec2", "EC2 Spot Instance Interruption Warning") => {
            Some((Event::SpotInterruption, instance()?))
        }
        ("aws.ec2", "EC2 Instance Rebalance Recommendation") => {
            Some((Event::RebalanceRecommendation, instance()?))
        }
        ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning") => {
            Some((Event::CapacityReservationInterruption, instance()?))
        }
        ("aws.ec2", "EC2 Instance State-change Notification") => {
            let state = match text("/detail/state")?.to_ascii_lowercase().as_str() {
                "stopping" => InstanceState::Stopping,
                "stopped" => InstanceState::Stopped,
                "shutting-down" => InstanceState::ShuttingDown,
                "terminated" => InstanceState::Terminated,
                _ => return None,
            };
            Some((Event::StateChange(state), instance()?))
        }
        ("aws.health", "AWS Health Event") => {
            if text("/detail/service")? != "EC2"
                || text("/detail/eventTypeCategory")? != "scheduledChange"
            {
                return None;
            }
            let entities = body.pointer("/detail/affectedEntities")?.as_array()?;
            let instances = entities
                .iter()
                .filter_map(|entity| Some(entity["entityValue"].as_str()?.to_owned()))
                .collect();
            Some((Event::ScheduledChange, instances))
        }
        _ => None,
    }
}

/// The event of a message: reason, text, and whether it warns.
fn words(event: Event) -> (&'static str, &'static str, EventKind) {
    use EventKind::{Normal, Warning};
    match event {
        Event::SpotInterruption => (
            "SpotInterrupted",
            "Spot interruption warning was triggered",
            Warning,
        ),
        Event::RebalanceRecommendation => (
            "SpotRebalanceRecommendation",
            "Spot rebalance recommendation was triggered",
            Normal,
        ),
        Event::CapacityReservationInterruption => (
            "CapacityReservationInstanceInterrupted",
            "Capacity Reservation interruption warning was triggered",
            Warning,
        ),
        Event::StateChange(InstanceState::Stopping | InstanceState::Stopped) => {
            ("InstanceStopping", "Instance is stopping", Warning)
        }
        Event::StateChange(_) => ("InstanceTerminating", "Instance is terminating", Warning),
        Event::ScheduledChange | Event::Impaired | Event::ScheduledEvent => (
            "InstanceUnhealthy",
            "An unhealthy warning was triggered for the instance",
            Warning,
        ),
    }
}

impl Controller for Interruptions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let own = self.memory.note(change);
        let news = change.kind == Some(Kind::Cloud) && !view.cloud.messages.is_empty();
        if own || news {
            vec![Key::cluster("interruptions")]
        } else {
            Vec::new()
        }
    }

    fn reconcile(&mut self, _: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let listens = self
            .memory
            .settings(view)
            .is_some_and(|settings| settings.interruptions);
        if !listens {
            return Outcome::settled();
        }
        let there: BTreeSet<&str> = view
            .cloud
            .messages
            .iter()
            .map(|message| message.receipt.as_str())
            .collect();
        self.done.retain(|receipt| there.contains(receipt.as_str()));
        let mut actions = Vec::new();
        let mut deleted = BTreeSet::new();
        for message in &view.cloud.messages {
            if !self.done.insert(message.receipt.clone()) {
                continue;
            }
            if let Some((event, instances)) = read(&message.body) {
                for id in instances {
                    let claims = view.node_claims.iter().filter(|(_, claim)| {
                        claims::provider_id(claim).and_then(claims::instance_of) == Some(&id)
                    });
                    for (_, claim) in claims {
                        self.respond(event, claim, context, &mut deleted, &mut actions);
                    }
                }
            }
            actions.push(Action::Cloud(CloudAction::DeleteMessage {
                receipt: message.receipt.clone(),
            }));
        }
        Outcome::of(actions)
    }
}

impl Interruptions {
    fn respond(
        &self,
        event: Event,
        claim: &NodeClaim,
        context: Context<'_>,
        deleted: &mut BTreeSet<String>,
        actions: &mut Vec<Action>,
    ) {
        let now = context.now;
        let mut kept = self.memory.lock();
        let node: Option<&Node> = claims::node(context.view, claim);
        let tell = |kept: &mut super::memory::Kept, reason: &str, of: [&str; 2], kind| {
            let subjects = [
                Some((claim.subject(), claim.uid().to_owned(), of[0])),
                node.map(|node| (node.subject(), node.uid().to_owned(), of[1])),
            ];
            let mut told = Vec::new();
            for (about, uid, message) in subjects.into_iter().flatten() {
                told.extend(kept.tell(
                    now,
                    Telling {
                        about,
                        kind,
                        reason,
                        message: message.to_owned(),
                        same: &[&uid],
                        seconds: 120,
                    },
                ));
            }
            told
        };
        let (reason, message, kind) = words(event);
        actions.extend(tell(&mut kept, reason, [message, message], kind));
        if event == Event::SpotInterruption
            && let (Some(instance_type), Some(zone)) = (
                claim.label("node.kubernetes.io/instance-type"),
                claim.label("topology.kubernetes.io/zone"),
            )
        {
            let offering = (instance_type.to_owned(), zone.to_owned(), true);
            kept.mark_unavailable(offering, now);
        }
        let response = event.action();
        if response == Response::NoAction
            || claim.is_deleting()
            || !deleted.insert(claim.name().to_owned())
        {
            return;
        }
        if response == Response::ForcefulTermination {
            const AT: &str = "karpenter.sh/nodeclaim-termination-timestamp";
            let patch = json!({"metadata": {"annotations": {(AT): seconds(now)}}});
            actions.push(claim.patch(patch));
        }
        let mut turn = vec![claim.delete(None)];
        turn.extend(tell(
            &mut kept,
            "TerminatingOnInterruption",
            [
                "Interruption triggered termination for the NodeClaim",
                "Interruption triggered termination for the Node",
            ],
            EventKind::Warning,
        ));
        actions.push(Action::InTurn(turn));
    }
}
