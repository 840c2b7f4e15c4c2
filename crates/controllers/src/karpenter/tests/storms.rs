//! Whatever happens in whatever order, in the end every pod runs, and nothing is left over.

use k8s_openapi::api::core::v1::Node;
use objects::karpenter::NodeClaim;
use serde_json::json;

use super::super::claims;
use super::lab::{Lab, controllers};
use crate::Pace;
use crate::document::Named;
use crate::draw::number;

struct Storm {
    lab: Lab,
    seed: String,
    step: usize,
    wanted: [usize; 3],
}

const APPS: [(&str, &str, &str); 3] = [
    ("small", "250m", "256Mi"),
    ("middle", "1", "3Gi"),
    ("large", "3", "4Gi"),
];

impl Storm {
    fn draw(&self, what: &str, below: usize) -> usize {
        let step = self.step.to_string();
        usize::try_from(number(&[&self.seed, &step, what]) % below.max(1) as u64).unwrap()
    }

    fn some_claim(&self) -> Option<NodeClaim> {
        let mut all = self.lab.claims();
        let index = self.draw("claim", all.len());
        (!all.is_empty()).then(|| all.swap_remove(index))
    }

    fn happen(&mut self) {
        self.step += 1;
        let claim = self.some_claim();
        let id = claim.as_ref().and_then(claims::provider_id);
        let id = id.and_then(claims::instance_of).map(str::to_owned);
        match self.draw("what", 9) {
            0..3 => {
                let which = self.draw("app", 3);
                self.wanted[which] = self.draw("count", 9);
                self.lab.scale(APPS[which].0, self.wanted[which]);
            }
            3 => {
                if let Some(claim) = claim {
                    self.lab.cluster.delete::<NodeClaim>("", claim.name());
                }
            }
            4 => {
                let nodes = self.lab.nodes();
                if let Some(node) = nodes.get(self.draw("node", nodes.len())) {
                    self.lab.cluster.delete::<Node>("", node.name());
                }
            }
            5 => {
                if let Some(id) = id {
                    let detail = json!({"instance-id": id});
                    self.lab
                        .send("aws.ec2", "EC2 Spot Instance Interruption Warning", detail);
                }
            }
            6 => {
                if let Some(id) = id {
                    self.lab.change(|cloud| drop(cloud.instances.remove(&id)));
                }
            }
            7 => {
                let launched = self.lab.launches.last().map(|one| one.offerings[0].clone());
                if let Some((kind, zone, _)) = launched {
                    self.lab.full.insert((kind, zone, false));
                }
            }
            _ => {
                if self.draw("restart", 2) == 0 {
                    self.lab.cluster.restart(controllers());
                } else {
                    self.lab.karpenter(0);
                    self.lab.run_for(30);
                    self.lab.karpenter(1);
                }
            }
        }
        let pause = [1, 7, 20, 45, 90][self.draw("pause", 5)];
        self.lab.run_for(pause);
    }
}

fn storm(seed: u64, pace: Pace, late: bool) {
    let mut lab = Lab::new();
    lab.cluster.pace = pace;
    lab.cluster.late = late.then_some(seed);
    lab.patch_pool(
        "general",
        json!({"disruption": {"consolidateAfter": "10s"}}),
    );
    for (name, cpu, memory) in APPS {
        lab.replicas(name, 2, cpu, memory, json!({}));
    }
    let mut storm = Storm {
        lab,
        seed: format!("{seed} {pace:?} {late}"),
        step: 0,
        wanted: [2; 3],
    };
    for _ in 0..12 {
        storm.happen();
    }
    let Storm {
        mut lab,
        seed,
        wanted,
        ..
    } = storm;
    let up = lab.run_until(1200, |lab| {
        APPS.iter()
            .zip(wanted)
            .all(|((name, ..), count)| lab.running(name) == count)
    });
    assert!(up, "{seed}: {wanted:?}");
    lab.run_for(900);
    let claims = lab.claims();
    let ids: Vec<&str> = claims.iter().filter_map(claims::provider_id).collect();
    assert_eq!(ids.len(), claims.len(), "{seed}");
    let (nodes, machines) = (lab.nodes().len(), lab.machines().len());
    assert_eq!((nodes, machines), (claims.len(), claims.len()), "{seed}");
    for instance in lab.cluster.view.cloud.instances.values() {
        assert!(ids.contains(&claims::id_of(instance).as_str()), "{seed}");
    }
    for claim in &claims {
        assert!(!claim.is_deleting(), "{seed}");
        assert!(
            lab.is(claim, "Ready") && !lab.is(claim, "DisruptionReason"),
            "{seed}"
        );
    }
    for node in lab.nodes() {
        assert_eq!(node.spec.unwrap().taints, None, "{seed}");
    }
    let running: usize = wanted.iter().sum();
    assert!(claims.len() <= running.max(1), "{seed}: no node is empty");
    lab.assert_settled();
}

#[test]
fn everything_is_well_after_a_storm() {
    // In 110, offerings are to be had again between two looks of disruption.
    for seed in [0, 101, 110] {
        storm(seed, Pace::Modelled, false);
    }
}

#[test]
fn everything_is_well_after_a_storm_that_is_seen_late() {
    storm(10, Pace::Modelled, true);
    for seed in 20..22 {
        storm(seed, Pace::Immediate, true);
    }
}
