//! What a reader should know besides the decisions.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::pods;
use super::run::Run;
use super::termination::named;
use crate::karpenter::disruption;
use crate::world::{OwnerKind, PodId};

/// How many nodes of a run may be taken away again before it is called flapping.
const FLAPPING: u32 = 3;

impl Run<'_> {
    /// What can be seen in the cluster as it is given.
    pub(super) fn find_at_start(&mut self) {
        self.find_fixed_pools();
        self.find_budgets();
        for finding in disruption::findings::findings(&self.world, self.now()) {
            // Those are told by workload.
            if !matches!(finding, disruption::findings::Finding::Pdb { .. }) {
                let text = finding.display(&self.world);
                self.warn("NodePool".to_owned(), text);
            }
        }
        if self.world.pools.is_empty() {
            self.warn(
                "NodePool".to_owned(),
                "there is none: Karpenter launches nothing and disrupts nothing".to_owned(),
            );
        }
    }

    fn find_fixed_pools(&mut self) {
        let fixed: Vec<(String, i64)> = self
            .world
            .pools
            .iter()
            .filter_map(|pool| Some((self.text(pool.name), pool.replicas?)))
            .collect();
        for (name, replicas) in fixed {
            let there = self.world.find_pool(&name).map_or(0, |id| {
                self.world
                    .live_nodes()
                    .filter(|(_, node)| node.pool == Some(id) && !node.deleting)
                    .count()
            });
            if i64::try_from(there) != Ok(replicas) {
                self.note(
                    format!("NodePool/{name}"),
                    format!(
                        "it wants {replicas} nodes and has {there}: making a fixed number of nodes is not part of the model"
                    ),
                );
            }
        }
    }

    /// Budgets that keep pools from consolidating workloads, now or for ever.
    fn find_budgets(&mut self) {
        let mut found = BTreeSet::new();
        for (index, budget) in self.world.disruption_budgets.iter().enumerate() {
            let forever = budget.max_unavailable.as_deref() == Some("0")
                || budget.max_unavailable.as_deref() == Some("0%")
                || budget.min_available.as_deref() == Some("100%");
            if !forever && budget.disruptions_allowed > 0 {
                continue;
            }
            for (id, pod) in self.world.live_pods() {
                let Some(pool) = pod.node.and_then(|node| self.world.node(node).pool) else {
                    continue;
                };
                let shape = self.world.shape_of(id);
                if pod.owner == OwnerKind::DaemonSet
                    || shape.namespace != budget.namespace
                    || !budget.selector.matches(&shape.labels)
                {
                    continue;
                }
                found.insert((pool, index, forever, self.workload(id)));
            }
        }
        for (pool, index, forever, workload) in found {
            let pool = self.text(self.world.pool(pool).name);
            let budget = &self.world.disruption_budgets[index];
            let name = format!("{}/{}", self.text(budget.namespace), budget.name);
            let rule = match (&budget.min_available, &budget.max_unavailable) {
                (Some(least), _) => format!(" (minAvailable: {least})"),
                (None, Some(most)) => format!(" (maxUnavailable: {most})"),
                (None, None) => String::new(),
            };
            let message = if forever {
                format!(
                    "pool `{pool}` can never consolidate `{workload}`: its PDB {name} allows no disruption{rule}"
                )
            } else {
                format!(
                    "pool `{pool}` can't consolidate `{workload}` as it stands: its PDB {name} allows no disruption now{rule}"
                )
            };
            self.warn(format!("PodDisruptionBudget/{name}"), message);
        }
    }

    fn workload(&self, pod: PodId) -> String {
        match self.world.pod(pod).owner {
            OwnerKind::None => self.world.pod_name(pod),
            OwnerKind::StatefulSet | OwnerKind::DaemonSet | OwnerKind::Node => {
                self.text(self.world.pod(pod).owner_name)
            }
            _ => pods::controller(&self.world, pod).1,
        }
    }

    /// How the end was reached, where no time was given.
    pub(super) fn find_at_end(&mut self, settled: bool, deadline: Timestamp) {
        let now = self.now();
        let message = if settled {
            format!(
                "played until {now}, when nothing more was under way; --for sees further (expiry, schedules of budgets)"
            )
        } else {
            format!(
                "played until {now} and not to the end ({deadline} is the last moment without --for)"
            )
        };
        self.note("Simulation".to_owned(), message);
    }

    /// What got nowhere: drains, and nodes that come and go.
    pub(super) fn find_stuck(&mut self) {
        for (method, (count, first)) in std::mem::take(&mut self.abandoned) {
            self.note(
                "Simulation".to_owned(),
                format!(
                    "{} of {method} given up after the wait, the first: {first}",
                    super::termination::count(count, "command")
                ),
            );
        }
        let mut stuck: Vec<_> = self.stuck.iter().copied().collect();
        stuck.sort_unstable();
        for node in stuck {
            let name = self.node_name(node);
            let pods: Vec<String> = self
                .world
                .node(node)
                .pods
                .iter()
                .filter(|pod| self.world.pod(**pod).is_reschedulable())
                .map(|pod| self.world.pod_name(*pod))
                .collect();
            self.warn(
                format!("Node/{name}"),
                format!(
                    "it is being deleted and can't be drained: {} may not be evicted (PDB or karpenter.sh/do-not-disrupt), and without terminationGracePeriod it stays for as long",
                    named(&pods)
                ),
            );
        }
        let mut churn: Vec<(String, u32)> = self
            .churn
            .iter()
            .map(|(pool, count)| (self.text(*pool), *count))
            .collect();
        churn.sort_unstable();
        for (pool, count) in churn {
            if count >= FLAPPING {
                self.warn(
                    format!("NodePool/{pool}"),
                    format!("{count} of the nodes that were launched here were taken away again: nodes come and go (flapping)"),
                );
            }
        }
    }
}
