//! Scaling, as against rolling (`scale`, deployment/sync.go; `GetReplicaSetProportion`, deployment/util/deployment_util.go).

use std::cmp::Reverse;

use crate::workloads::pods::created_at;

use super::{DESIRED_REPLICAS, Limits, MAX_REPLICAS, Rollout, Sized};

impl Rollout<'_> {
    /// Whether the Deployment's size is another than when its sets were sized (`isScalingEvent`).
    pub(super) fn is_scaling(&self) -> bool {
        let replicas = self.limits.replicas.to_string();
        self.all().filter(|set| set.replicas > 0).any(|set| {
            set.annotation(DESIRED_REPLICAS)
                .is_some_and(|desired| desired != replicas)
        })
    }

    /// Brings the sets to the Deployment's size: the only active one, or the old ones to nothing once the new one is up, or all in
    /// proportion while a rollout is under way.
    pub(super) fn scale_all(&mut self) {
        let limits = self.limits;
        let active = self.all().filter(|set| set.replicas > 0).count();
        if active <= 1 {
            // The only active set, else the new one, else the latest (`FindActiveOrLatest`).
            let set = if active == 1 {
                self.old
                    .iter_mut()
                    .chain(&mut self.new)
                    .find(|set| set.replicas > 0)
            } else {
                self.new.as_mut().or(self.old.last_mut())
            };
            if let Some(set) = set
                && set.replicas != limits.replicas
            {
                Self::scale(limits, set, limits.replicas);
            }
            return;
        }
        if self
            .new
            .as_ref()
            .is_some_and(|new| is_saturated(new, limits))
        {
            for old in self.old.iter_mut().filter(|old| old.replicas > 0) {
                Self::scale(limits, old, 0);
            }
            return;
        }
        if limits.rolling {
            self.scale_in_proportion();
        }
    }

    fn scale_in_proportion(&mut self) {
        let limits = self.limits;
        let before = self
            .deployment
            .status
            .as_ref()
            .and_then(|status| status.replicas)
            .unwrap_or(0);
        let mut sets: Vec<&mut Sized> = self
            .old
            .iter_mut()
            .chain(&mut self.new)
            .filter(|set| set.replicas > 0)
            .collect();
        let total: i32 = sets.iter().map(|set| set.replicas).sum();
        let allowed = if limits.replicas > 0 {
            limits.most()
        } else {
            0
        };
        let to_add = allowed - total;
        // The biggest first; of the same size the newest when adding, the oldest when taking away.
        if to_add > 0 {
            sets.sort_by_key(|set| {
                (
                    Reverse(set.replicas),
                    Reverse(created_at(&set.set.metadata)),
                )
            });
        } else {
            sets.sort_by_key(|set| (Reverse(set.replicas), created_at(&set.set.metadata)));
        }
        let mut added = 0;
        let mut sizes = Vec::new();
        for set in &sets {
            let share = if to_add == 0 {
                0
            } else {
                proportion(set, limits, before, to_add, added)
            };
            added += share;
            sizes.push(set.replicas + share);
        }
        // What rounding left goes to the biggest.
        if let Some(size) = sizes.first_mut() {
            *size = (*size + to_add - added).max(0);
        }
        for (set, size) in sets.into_iter().zip(sizes) {
            Self::scale(limits, set, size);
        }
    }
}

/// Whether a set is all that the Deployment wants, and was told so (`IsSaturated`).
fn is_saturated(set: &Sized, limits: Limits) -> bool {
    let desired = set
        .annotation(DESIRED_REPLICAS)
        .and_then(|desired| desired.parse::<i32>().ok());
    set.replicas == limits.replicas
        && desired == Some(limits.replicas)
        && set.available() == limits.replicas
}

/// A set's share of what is to be added (`GetReplicaSetProportion`).
fn proportion(set: &Sized, limits: Limits, before: i32, to_add: i32, added: i32) -> i32 {
    let fraction = fraction(set, limits, before);
    let left = to_add - added;
    if to_add > 0 {
        fraction.min(left)
    } else {
        fraction.max(left)
    }
}

fn fraction(set: &Sized, limits: Limits, before: i32) -> i32 {
    if limits.replicas == 0 {
        return -set.replicas;
    }
    let most_before = set
        .annotation(MAX_REPLICAS)
        .and_then(|most| most.parse::<i32>().ok())
        .filter(|most| *most > 0)
        .unwrap_or(before);
    if most_before == 0 {
        return 0;
    }
    let size = f64::from(set.replicas) * f64::from(limits.most()) / f64::from(most_before);
    // Within i32: a set's size times a ratio of two sizes.
    size.round().clamp(0.0, f64::from(i32::MAX)) as i32 - set.replicas
}
