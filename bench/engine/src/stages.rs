//! What a plan takes when it is applied stage by stage, each stage after the whole one before: network, then the cluster
//! with its nodes and add-ons, then the rest. That is how a Terragrunt stack of units runs; within a unit everything that can
//! run beside each other does.

use std::collections::BTreeMap;

use catalog::ids::Address;
use engine::{StepId, Steps};
use graph::{Plan, State};
use serde_json::{Value, json};

const STAGES: [&str; 3] = ["network", "cluster, nodes, add-ons", "the rest"];

/// The longest chain within each stage and their sum, beside the longest chain of the whole plan, in seconds at AWS.
pub(crate) fn measure(plan: &Plan) -> Result<Value, String> {
    let state = State::default();
    let steps =
        Steps::of(plan, &state).map_err(|circle| format!("the plan has a circle: {circle:?}"))?;
    let mut stage: BTreeMap<&StepId, usize> =
        steps.steps.keys().map(|id| (id, of(&id.address))).collect();
    // What an earlier stage needs belongs to it, whatever it is called. Each pass goes one need further up.
    loop {
        let mut moved = false;
        for (id, needs) in &steps.needs {
            let own = stage[id];
            for need in needs {
                if stage.get(need).is_some_and(|theirs| *theirs > own) {
                    stage.insert(need, own);
                    moved = true;
                }
            }
        }
        if !moved {
            break;
        }
    }
    let mut report = Vec::new();
    let mut sum = 0.0;
    for (number, name) in STAGES.iter().enumerate() {
        let mut longest: BTreeMap<&StepId, f64> = BTreeMap::new();
        let seconds = stage
            .iter()
            .filter(|(_, its)| **its == number)
            .map(|(id, _)| chain(id, number, &steps, &stage, &mut longest))
            .fold(0.0, f64::max);
        let resources = stage.values().filter(|its| **its == number).count();
        report.push(json!({ "stage": name, "resources": resources, "seconds": seconds }));
        sum += seconds;
    }
    Ok(
        json!({ "stages": report, "stageByStageSeconds": sum, "criticalPathSeconds": steps.critical_path() }),
    )
}

fn of(address: &Address) -> usize {
    match address.as_str().split('/').next() {
        Some("network") => 0,
        Some("cluster" | "system-nodes" | "addons" | "addon") => 1,
        _ => 2,
    }
}

/// The longest chain that ends with a step, counting only steps of its stage: those before it are there already.
fn chain<'s>(
    id: &'s StepId,
    number: usize,
    steps: &'s Steps<'_>,
    stage: &BTreeMap<&StepId, usize>,
    known: &mut BTreeMap<&'s StepId, f64>,
) -> f64 {
    if let Some(seconds) = known.get(id) {
        return *seconds;
    }
    let before = steps.needs[id]
        .iter()
        .filter(|need| stage.get(need) == Some(&number))
        .map(|need| chain(need, number, steps, stage, known))
        .fold(0.0, f64::max);
    let seconds = before + steps.steps[id].typical();
    known.insert(id, seconds);
    seconds
}
