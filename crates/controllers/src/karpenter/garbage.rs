//! Claims whose machine is gone, and machines that no claim wants (`nodeclaim/garbagecollection` of both).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::NAME;
use super::claims;
use super::memory::{Memory, pause};
use crate::cloud::{CloudAction, Origin};
use crate::document::Named;
use crate::{Action, Change, Context, Controller, Key, Kind, Outcome, View};

/// How old a machine has to be before it can be nobody's.
const YOUNG: SignedDuration = SignedDuration::from_secs(30);
/// How often Karpenter itself looks, in seconds.
const PERIOD: f64 = 120.0;
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// Looks at everything when AWS changes, and again where something has to be waited for. It has one key.
pub(super) struct GarbageCollection {
    memory: Memory,
    asked: BTreeMap<String, Timestamp>,
}

impl GarbageCollection {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
            asked: BTreeMap::new(),
        }
    }
}

impl Controller for GarbageCollection {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, _: &View) -> Vec<Key> {
        let news = match change.kind {
            Some(Kind::Cloud) => true,
            Some(Kind::NodeClaim) => change.after.is_none(),
            _ => false,
        };
        if self.memory.note(change) || news {
            vec![Key::cluster("garbage")]
        } else {
            Vec::new()
        }
    }

    fn reconcile(&mut self, _: &Key, context: Context<'_>) -> Outcome {
        let (view, now) = (context.view, context.now);
        if self.memory.settings(view).is_none() {
            return Outcome::settled();
        }
        self.asked
            .retain(|_, at| now.duration_since(*at) < ASK_AGAIN);
        let mut actions = Vec::new();
        let mut next: Option<Timestamp> = None;
        let mut soon = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
        for (_, claim) in view.node_claims.iter() {
            if claim.is_deleting()
                || !claims::is_true(claim, "Registered")
                || claims::instance(view, claim).is_some_and(claims::is_up)
            {
                continue;
            }
            // Where the kubelet is still heard of, the machine is not believed to be gone.
            if claims::node(view, claim).is_some_and(claims::is_ready) {
                soon(now + pause(context.pace, PERIOD));
                continue;
            }
            actions.push(claim.delete(None));
        }
        for instance in view.cloud.instances.values() {
            let Origin::NodeClaim(name) = &instance.origin else {
                continue;
            };
            let wanted = view
                .node_claims
                .get(&Key::cluster(name))
                .is_some_and(|claim| {
                    claims::provider_id(claim).is_none_or(|id| id == claims::id_of(instance))
                });
            if wanted || !claims::is_up(instance) {
                continue;
            }
            let due = instance.launched_at + YOUNG;
            if due > now {
                soon(due);
                continue;
            }
            if let Some(at) = self.asked.get(&instance.id) {
                soon(*at + ASK_AGAIN);
                continue;
            }
            soon(now + ASK_AGAIN);
            self.asked.insert(instance.id.clone(), now);
            actions.push(Action::Cloud(CloudAction::Terminate {
                instance: instance.id.clone(),
            }));
            let node = view.nodes.get(&Key::cluster(&instance.private_dns_name));
            actions.extend(
                node.filter(|node| !node.is_deleting())
                    .map(|node| node.delete(None)),
            );
        }
        let outcome = Outcome::of(actions);
        match next {
            Some(next) => outcome.again_at(next),
            None => outcome,
        }
    }
}
