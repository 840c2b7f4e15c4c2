//! What becomes of commands while they wait.

use jiff::{Timestamp, ToSpan};

use super::fixture::*;
use crate::karpenter::disruption::{Abandoned, Command, Method, Round, Settings};
use crate::karpenter::provisioning::{Options, Planner};
use crate::testing::pod;
use crate::world::{PodId, World};

fn later() -> Timestamp {
    noon() + 15.seconds()
}

fn validate(world: &World, command: &Command) -> Result<Command, Abandoned> {
    let mut planner = Planner::new(world, Options::default());
    Round::new(world, later(), Settings::default()).validate(command, &mut planner)
}

fn found(world: &World, method: Method) -> Command {
    pass(world, method).commands.remove(0)
}

fn one() -> World {
    world(&[
        open("p"),
        node("n1", "p", "l"),
        on("n1", "a", "a", "1", ""),
        pod("b", "b", "1", ""),
    ])
}

/// One node and no pending pod.
fn lonely() -> World {
    let mut world = one();
    world.remove_pod(PodId(1));
    world
}

/// `validation.go:192`: nothing changed, so the command holds.
#[test]
fn a_command_holds_where_nothing_changed() {
    let world = lonely();
    let command = found(&world, Method::SingleNode);
    assert_eq!(validate(&world, &command), Ok(command));
}

/// `validation.go:263` `validateCandidates`: a pod is on its way to the node, or something protects it now.
#[test]
fn churn_abandons_consolidation() {
    let world = lonely();
    let command = found(&world, Method::SingleNode);
    let mut nominated = world.clone();
    nominated.nodes[0].nominated_until = Some(later() + 5.seconds());
    let answer = validate(&nominated, &command).unwrap_err();
    assert_eq!(answer, Abandoned::Churn { candidates: 1 });
    assert_eq!(
        answer.display(&nominated),
        "1 candidates are no longer valid"
    );
    assert_eq!(answer.class(), "churn");
    let mut empty = world.clone();
    empty.remove_pod(PodId(0));
    assert!(
        validate(&empty, &command).is_err(),
        "emptiness takes it now"
    );
}

/// `validation.go:281`: another node of the pool is not ready by now.
#[test]
fn budgets_abandon_consolidation() {
    let mut world = world(&[
        pool(
            "p",
            "consolidateAfter: 0s, budgets: [{nodes: '1'}]",
            ON_DEMAND,
        ),
        node("n1", "p", "l"),
        node("n2", "p", "m"),
        on("n1", "a", "a", "1", ""),
        on("n2", "b", "b", "3800m", ""),
    ]);
    let command = found(&world, Method::SingleNode);
    assert!(validate(&world, &command).is_ok());
    let n2 = world.find_node("n2").unwrap();
    world.nodes[n2.0 as usize].ready = false;
    assert_eq!(validate(&world, &command), Err(Abandoned::Budget));
}

/// `validation.go:297` `validateCommand`: the pods now fit elsewhere, so there is something better; or they need more.
#[test]
fn new_results_abandon_consolidation() {
    let world = lonely();
    let command = found(&world, Method::SingleNode);
    assert_eq!(types(&world, &command), ["s", "m"]);
    // The pending pod takes a place in the replacement, which the small type has no room for.
    let mut grown = one();
    let shape = grown.pods[1].shape;
    for index in 0..2 {
        grown.add_pending(&format!("more-{index}"), shape);
    }
    assert_eq!(validate(&grown, &command), Err(Abandoned::NewResults));
    // A node to move to has come up.
    let wider = super::fixture::world(&[
        open("p"),
        node("n1", "p", "l"),
        node("n2", "p", "m"),
        on("n1", "a", "a", "1", ""),
    ]);
    assert_eq!(validate(&wider, &command), Err(Abandoned::NewResults));
}

/// `validation.go:134`, `:222`: emptiness keeps the nodes that are still empty.
#[test]
fn emptiness_keeps_what_is_still_valid() {
    let mut world = world(&[open("p"), node("n1", "p", "m"), node("n2", "p", "m")]);
    let command = found(&world, Method::Emptiness);
    assert_eq!(command.candidates.len(), 2);
    world.nodes[0].nominated_until = Some(later() + 5.seconds());
    let kept = validate(&world, &command).unwrap();
    assert_eq!(names(&world, &kept), ["n2"]);
    assert_eq!(kept.savings.0, 200_000);
    world.nodes[1].deleting = true;
    assert_eq!(
        validate(&world, &command),
        Err(Abandoned::Churn { candidates: 2 })
    );
}

/// `drift.go:63`: drift isn't validated.
#[test]
fn drift_holds_as_it_is() {
    let mut world = lonely();
    world.nodes[0].claim.as_mut().unwrap().drifted = Some("AMIDrift".to_owned());
    let command = found(&world, Method::Drift);
    world.nodes[0].nominated_until = Some(later() + 5.seconds());
    assert_eq!(validate(&world, &command), Ok(command));
}
