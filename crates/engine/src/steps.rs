//! From a plan to steps: what must be done, and what each step waits for.
//!
//! There are no waves: a step waits for the steps that it needs and for nothing else.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Operation;
use catalog::ids::{Address, Identifier};
use graph::{Action, Change, Lifecycle, Plan, State, Value, order};

use crate::event::OperationKind;

/// Which of a change's steps it is. A replacement has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// It makes, changes or reads the resource.
    Forward,
    /// It deletes the resource, or the one that was replaced.
    Backward,
}

/// A step's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    /// The resource.
    pub address: Address,
    /// Which step of it.
    pub part: Part,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub struct Step<'p> {
    /// Its change.
    pub change: &'p Change,
    /// What it does.
    pub action: StepAction,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum StepAction {
    /// Makes the resource.
    Create,
    /// Changes it.
    Update,
    /// Reads somebody else's.
    Read,
    /// Deletes the resource with this identifier.
    Delete(Identifier),
    /// Forgets it.
    Forget,
    /// Writes down what it needs now.
    Note,
}

/// The steps of a plan with their order.
#[derive(Debug, Clone)]
pub struct Steps<'p> {
    /// The steps.
    pub steps: BTreeMap<StepId, Step<'p>>,
    /// What each waits for.
    pub needs: BTreeMap<StepId, BTreeSet<StepId>>,
    /// How long the longest chain is that begins with it, in seconds at AWS.
    pub remaining: BTreeMap<StepId, f64>,
}

impl StepAction {
    /// What kind of operation it is.
    pub fn kind(&self) -> OperationKind {
        match self {
            Self::Create => OperationKind::Create,
            Self::Update | Self::Note => OperationKind::Update,
            Self::Read => OperationKind::Read,
            Self::Delete(_) | Self::Forget => OperationKind::Delete,
        }
    }
}

impl Step<'_> {
    /// How long it takes as a rule, in seconds at AWS.
    pub fn typical(&self) -> f64 {
        let operation = match self.action {
            StepAction::Create => Operation::Create,
            StepAction::Update => Operation::Update,
            StepAction::Delete(_) => Operation::Delete,
            StepAction::Read => Operation::Read,
            StepAction::Forget | StepAction::Note => return 0.0,
        };
        // What is known before anything runs is what durations depend on: sizes and modes, never references.
        let known = self.change.desired.iter().flatten();
        let literals: serde_json::Map<_, _> = known
            .filter_map(|(name, value)| Some((name.clone(), literal(value)?)))
            .collect();
        catalog::durations::of_resource(&self.change.type_name, operation, &literals.into())
    }
}

fn literal(value: &Value) -> Option<serde_json::Value> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.clone().into()),
        Value::Bool(truth) => Some((*truth).into()),
        _ => None,
    }
}

impl<'p> Steps<'p> {
    /// The steps of a plan that was made from `state`.
    ///
    /// # Errors
    ///
    /// A circle: two deploys with contrary orders can leave one, and it is told with its path.
    pub fn of(plan: &'p Plan, state: &State) -> Result<Self, Vec<Address>> {
        let mut steps = BTreeMap::new();
        for change in &plan.changes {
            for (part, action) in parts(change, state) {
                steps.insert(
                    StepId {
                        address: change.address.clone(),
                        part,
                    },
                    Step { change, action },
                );
            }
        }
        let needs: BTreeMap<StepId, BTreeSet<StepId>> = steps
            .iter()
            .map(|(id, step)| (id.clone(), waits_for(id, step, &steps, plan, state)))
            .collect();
        let order = order::topological(&needs).map_err(|circle| {
            circle
                .into_iter()
                .map(|step| step.address)
                .collect::<Vec<_>>()
        })?;
        let remaining = order::longest_remaining(&order, &needs, |id| {
            steps.get(id).map_or(0.0, Step::typical)
        });
        Ok(Self {
            steps,
            needs,
            remaining,
        })
    }

    /// The longest chain of all, in seconds at AWS.
    pub fn critical_path(&self) -> f64 {
        self.remaining.values().copied().fold(0.0, f64::max)
    }
}

fn parts(change: &Change, state: &State) -> Vec<(Part, StepAction)> {
    let known = state.resources.get(&change.address);
    let delete = |identifier: &Identifier| (Part::Backward, StepAction::Delete(identifier.clone()));
    // Predecessors that an interrupted replacement has left go with the next deploy, whatever it does besides.
    let predecessor = known.and_then(|known| known.deposed.first()).map(&delete);
    match change.action {
        Action::Create => forward(StepAction::Create, predecessor),
        Action::Update => forward(StepAction::Update, predecessor),
        Action::Read => {
            // Ours goes when somebody else's takes its place.
            let ours = known
                .filter(|known| known.lifecycle == Lifecycle::Managed)
                .map(|known| delete(&known.identifier));
            forward(StepAction::Read, predecessor.or(ours))
        }
        Action::Forget => vec![(Part::Backward, StepAction::Forget)],
        // What others have made is in no state: the plan alone knows which one it is.
        Action::Delete => known
            .map(|known| &known.identifier)
            .or(change.identifier.as_ref())
            .map(delete)
            .into_iter()
            .collect(),
        Action::Replace => {
            let old = known.map(|known| delete(&known.identifier));
            forward(StepAction::Create, old)
        }
        Action::Unchanged => match known {
            Some(known) if known.needs != change.needs || known.lifecycle != change.lifecycle => {
                forward(StepAction::Note, predecessor)
            }
            _ => predecessor.into_iter().collect(),
        },
    }
}

fn forward(action: StepAction, backward: Option<(Part, StepAction)>) -> Vec<(Part, StepAction)> {
    std::iter::once((Part::Forward, action))
        .chain(backward)
        .collect()
}

fn waits_for(
    id: &StepId,
    step: &Step<'_>,
    steps: &BTreeMap<StepId, Step<'_>>,
    plan: &Plan,
    state: &State,
) -> BTreeSet<StepId> {
    let at = |address: &Address, part: Part| StepId {
        address: address.clone(),
        part,
    };
    let delete_first = step
        .change
        .replacement
        .as_ref()
        .is_some_and(|replacement| replacement.delete_first);
    let mut waits = BTreeSet::new();
    match id.part {
        Part::Forward => {
            waits.extend(step.change.needs.iter().map(|need| at(need, Part::Forward)));
            if delete_first {
                waits.insert(at(&id.address, Part::Backward));
            }
        }
        Part::Backward => {
            // Whoever needed it goes first, or has gone over to its successor.
            for (dependant, _) in state
                .resources
                .iter()
                .filter(|(_, known)| known.needs.contains(&id.address))
            {
                waits.insert(at(dependant, Part::Backward));
                if !delete_first {
                    waits.insert(at(dependant, Part::Forward));
                }
            }
            // What others have made is in no state; and a plan may know of more than a state.
            let by_plan = plan
                .changes
                .iter()
                .filter(|change| change.action == Action::Delete)
                .filter(|change| change.needs.contains(&id.address));
            waits.extend(by_plan.map(|change| at(&change.address, Part::Backward)));
            if !delete_first {
                waits.insert(at(&id.address, Part::Forward));
                let moved_over = plan
                    .changes
                    .iter()
                    .filter(|change| change.needs.contains(&id.address));
                if step.change.action != Action::Delete && step.change.action != Action::Forget {
                    waits.extend(moved_over.map(|change| at(&change.address, Part::Forward)));
                }
            }
        }
    }
    waits.retain(|wait| wait != id && steps.contains_key(wait));
    waits
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::{Lifecycle, value};

    #[test]
    fn a_step_takes_as_long_as_what_it_makes() {
        let typical = |mode: &str| {
            let Value::Object(desired) = value!({ "DeploymentMode": mode }) else {
                panic!("an object")
            };
            let change = Change {
                address: Address::new("rabbitmq/broker").unwrap(),
                type_name: "AWS::AmazonMQ::Broker".parse().unwrap(),
                action: Action::Create,
                reason: String::new(),
                identifier: None,
                properties: Vec::new(),
                replacement: None,
                needs: BTreeSet::new(),
                lifecycle: Lifecycle::Managed,
                desired: Some(desired),
            };
            let action = StepAction::Create;
            Step {
                change: &change,
                action,
            }
            .typical()
        };
        assert!(typical("CLUSTER_MULTI_AZ") > typical("SINGLE_INSTANCE"));
    }

    #[test]
    fn what_a_plan_alone_knows_is_deleted_before_what_it_needs() {
        let nodes = Address::new("nodes").unwrap();
        let known = graph::ResourceState {
            type_name: "AWS::EKS::Nodegroup".parse().unwrap(),
            identifier: "n".parse().unwrap(),
            properties: serde_json::Value::Null,
            attributes: serde_json::Value::Null,
            needs: BTreeSet::new(),
            lifecycle: Lifecycle::Managed,
            tainted: false,
            deposed: Vec::new(),
        };
        let mut state = State::default();
        state.resources.insert(nodes.clone(), known);
        let delete = |address: &Address, identifier: &str, needs: BTreeSet<Address>| Change {
            address: address.clone(),
            type_name: "AWS::EKS::Nodegroup".parse().unwrap(),
            action: Action::Delete,
            reason: String::new(),
            identifier: Some(identifier.parse().unwrap()),
            properties: Vec::new(),
            replacement: None,
            needs,
            lifecycle: Lifecycle::Managed,
            desired: None,
        };
        let pod = Address::new("contents/pod").unwrap();
        let changes = vec![
            delete(&nodes, "n", BTreeSet::new()),
            delete(&pod, "p", BTreeSet::from([nodes.clone()])),
        ];
        let plan = Plan {
            format: graph::FORMAT,
            scope: graph::Scope {
                platform: "shop".parse().unwrap(),
                environment: "dev".parse().unwrap(),
                region: "eu-central-1".parse().unwrap(),
            },
            destroy: true,
            spec_hash: String::new(),
            state_serial: state.serial,
            refreshed: false,
            summary: graph::Summary::of(&changes),
            changes,
        };
        let steps = Steps::of(&plan, &state).unwrap();
        let backward = |address: &Address| StepId {
            address: address.clone(),
            part: Part::Backward,
        };
        let action = &steps.steps[&backward(&pod)].action;
        assert_eq!(*action, StepAction::Delete("p".parse().unwrap()));
        let waits = &steps.needs[&backward(&nodes)];
        assert_eq!(*waits, BTreeSet::from([backward(&pod)]));
        assert!(steps.needs[&backward(&pod)].is_empty());
    }
}
