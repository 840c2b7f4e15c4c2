//! The two strategies (`rolling.go`, `recreate.go` of pkg/controller/deployment).

use crate::workloads::pods::has_ended;
use crate::workloads::writes::uid_of;

use super::{Rollout, Sized};

impl Rollout<'_> {
    /// `rolloutRolling`: up, or else down, or else tidied up.
    pub(super) fn roll(&mut self) {
        self.update_revision(true);
        if self.reconcile_new() || self.reconcile_old() {
            return;
        }
        if self.is_complete(&self.status) {
            self.clean_up();
        }
    }

    /// How many replicas the new set may have now (`NewRSNewReplicas`, deployment_util.go).
    fn room_for_new(&self, new: &Sized) -> i32 {
        if !self.limits.rolling {
            return self.limits.replicas;
        }
        let total: i32 = self.all().map(|set| set.replicas).sum();
        let room = self.limits.most() - total;
        if room <= 0 {
            return new.replicas;
        }
        new.replicas + room.min(self.limits.replicas - new.replicas)
    }

    /// Whether the new set was sized (`reconcileNewReplicaSet`). One that is only now made has its size, and the old ones are
    /// looked at too.
    fn reconcile_new(&mut self) -> bool {
        let limits = self.limits;
        let Some(size) = self.new.as_ref().map(|new| self.room_for_new(new)) else {
            return false;
        };
        let Some(new) = &mut self.new else {
            return false;
        };
        if new.fresh {
            new.replicas = size;
            return false;
        }
        let wanted = if new.replicas > limits.replicas {
            limits.replicas
        } else {
            size
        };
        if new.replicas == wanted {
            return false;
        }
        Self::scale(limits, new, wanted);
        true
    }

    /// Whether old sets were made smaller (`reconcileOldReplicaSets`): those with unhealthy pods first, then as far as enough
    /// pods stay available.
    fn reconcile_old(&mut self) -> bool {
        let limits = self.limits;
        let old: i32 = self.old.iter().map(|set| set.replicas).sum();
        if old == 0 {
            return false;
        }
        let total: i32 = self.all().map(|set| set.replicas).sum();
        let new_unavailable = self
            .new
            .as_ref()
            .map_or(0, |new| new.replicas - new.available());
        let mut may_go = total - limits.least_available() - new_unavailable;
        if may_go <= 0 {
            return false;
        }
        let mut changed = false;
        for set in self.old.iter_mut().filter(|set| set.replicas > 0) {
            let unhealthy = set.replicas - set.available();
            let gone = unhealthy.min(may_go);
            if gone > 0 {
                let left = set.replicas - gone;
                Self::scale(limits, set, left);
                may_go -= gone;
                changed = true;
            }
        }
        let available: i32 = self.all().map(Sized::available).sum();
        // The second bound is the first one's, unless a set's status is older than its size.
        let mut may_go = (available - limits.least_available()).min(may_go);
        for set in self.old.iter_mut().filter(|set| set.replicas > 0) {
            if may_go <= 0 {
                break;
            }
            let gone = set.replicas.min(may_go);
            let left = set.replicas - gone;
            Self::scale(limits, set, left);
            may_go -= gone;
            changed = true;
        }
        changed
    }

    /// `rolloutRecreate`: the new set comes when the last old pod is gone.
    pub(super) fn recreate(&mut self) {
        let limits = self.limits;
        self.update_revision(false);
        let mut scaled = false;
        for set in self.old.iter_mut().filter(|set| set.replicas > 0) {
            Self::scale(limits, set, 0);
            scaled = true;
        }
        if scaled || self.old_pods_run() {
            return;
        }
        if self.new.is_none() {
            self.update_revision(true);
        }
        if let Some(new) = &mut self.new {
            if new.fresh {
                new.replicas = limits.replicas;
            } else if new.replicas != limits.replicas {
                Self::scale(limits, new, limits.replicas);
            }
        }
        if self.is_complete(&self.status) {
            self.clean_up();
        }
    }

    /// Whether old pods are there that have not ended; those that are going count (`oldPodsRunning`).
    fn old_pods_run(&self) -> bool {
        self.old.iter().any(|old| {
            old.set
                .status
                .as_ref()
                .is_some_and(|status| status.replicas > 0)
                || self
                    .context
                    .view
                    .pods
                    .owned_by(uid_of(&old.set.metadata))
                    .any(|(_, pod)| !has_ended(pod))
        })
    }
}
