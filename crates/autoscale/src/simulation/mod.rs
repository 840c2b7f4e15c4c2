//! What happens to a cluster over time: kube-scheduler and Karpenter take turns in virtual time.
//!
//! [`simulate`] plays a [`World`] from [`Question::at`] on: pods without a node are tried by kube-scheduler, those that fit nowhere
//! are batched for Karpenter, nodes are launched, register and become ready, pods are bound to them; every ten seconds disruption
//! looks for nodes that may go, its commands wait and are validated, replacements are ready before nodes are drained, and pods that
//! are evicted are made again by their owners. Pure: no clock, no input or output; the seed decides what the rules leave open.
//! The same world and question give the same answer to the byte. It always ends: time, events and decisions are bounded, and a
//! bound that was met is a finding.
//!
//! Machines, kubelets and containers are not modelled beyond [`Delays`]: nothing fails to start, nothing crashes, and loads don't
//! change.

mod budgets;
mod clock;
mod delays;
mod disrupting;
mod findings;
mod nodes;
mod picture;
mod placing;
mod pods;
mod provisioning;
mod question;
mod run;
mod termination;

#[cfg(test)]
mod tests;

pub use budgets::unreported as set_unreported_budgets;
pub use delays::Delays;
pub use picture::picture;
pub use question::{
    Interruption, InvalidInterruption, InvalidRemoval, Question, Removal, Switches, UnknownTarget,
};

use crate::answer::Answer;
use crate::world::World;

/// The most events that are played.
pub const MAX_EVENTS: usize = 2_000_000;
/// The most decisions that act; a run with more is flapping.
pub const MAX_DECISIONS: usize = 5_000;

/// Plays a world.
///
/// # Errors
///
/// What is to be removed or interrupted isn't there.
pub fn simulate(world: World, question: &Question) -> Result<Answer, UnknownTarget> {
    run::Run::new(world, question)?.play()
}
