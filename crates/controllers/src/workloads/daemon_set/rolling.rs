//! Rolling updates (`rollingUpdate`, daemon/update.go): old pods make way, or with a surge new ones come first.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::workloads::fractions::{Rounding, of_total};
use crate::workloads::pods::is_terminating;

use super::sync::{Plan, Sync, hash_of};

/// How many nodes may have two pods, and how many none that is available (`updatedDesiredNodeCounts`).
pub(super) struct RollingLimits {
    pub(super) surge: i32,
    unavailable: i32,
}

/// A node's old pod and its new one; nothing if there are two of a sort (`findUpdatedPodsOnNode`).
fn pair<'a>(pods: &[&'a Pod], hash: &str) -> Option<(Option<&'a Pod>, Option<&'a Pod>)> {
    let (mut old, mut new) = (None, None);
    for pod in pods.iter().filter(|pod| !is_terminating(pod)) {
        let place = if hash_of(pod) == Some(hash) {
            &mut new
        } else {
            &mut old
        };
        if place.replace(*pod).is_some() {
            return None;
        }
    }
    Some((old, new))
}

impl<'a> Sync<'a> {
    pub(super) fn limits(&self) -> RollingLimits {
        let desired = self.places.values().filter(|place| place.0).count();
        let desired = i32::try_from(desired).unwrap_or(i32::MAX);
        let strategy = self.spec.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let part = |value: Option<&IntOrString>, default: i32| {
            value.map_or(Some(default), |value| {
                of_total(value, desired, Rounding::Up)
            })
        };
        let surge = part(rolling.and_then(|them| them.max_surge.as_ref()), 0).unwrap_or(0);
        let unavailable =
            part(rolling.and_then(|them| them.max_unavailable.as_ref()), 1).unwrap_or(0);
        RollingLimits {
            surge,
            unavailable: if surge == 0 {
                unavailable.max(1)
            } else {
                unavailable
            },
        }
    }

    pub(super) fn roll(&self) -> Plan<'a> {
        let limits = self.limits();
        if limits.surge > 0 {
            self.surge(limits.surge)
        } else {
            self.replace(limits.unavailable)
        }
    }

    /// Old pods go, as many as may be unavailable; those that are unavailable anyway go first.
    fn replace(&self, most: i32) -> Plan<'a> {
        let mut plan = Plan::default();
        let mut candidates = Vec::new();
        let mut unavailable = 0;
        for pods in self.pods.values() {
            match pair(pods, &self.hash) {
                None | Some((None, None) | (Some(_), Some(_))) => unavailable += 1,
                Some((None, Some(new))) => unavailable += i32::from(!self.is_available(new)),
                Some((Some(old), None)) if !self.is_available(old) => {
                    plan.delete.push(old);
                    unavailable += 1;
                }
                Some((Some(old), None)) => candidates.push(old),
            }
        }
        let room = usize::try_from(most - unavailable).unwrap_or(0);
        plan.delete.extend(candidates.into_iter().take(room));
        plan
    }

    /// New pods come beside old ones, as many as may be too many; an old one goes when its new one is available.
    fn surge(&self, most: i32) -> Plan<'a> {
        let mut plan = Plan::default();
        let mut candidates = Vec::new();
        let mut surging = 0;
        for (node, pods) in &self.pods {
            match pair(pods, &self.hash) {
                None => surging += 1,
                Some((None, _)) => {}
                Some((Some(old), None)) if !self.is_available(old) => plan.create.push(*node),
                Some((Some(_), None)) => candidates.push(*node),
                Some((Some(old), Some(new))) => {
                    if self.is_available(new) {
                        plan.delete.push(old);
                    } else {
                        surging += 1;
                    }
                }
            }
        }
        let room = usize::try_from(most - surging).unwrap_or(0);
        plan.create.extend(candidates.into_iter().take(room));
        // A node that may have the old pod only has no place for a new one.
        plan.create
            .retain(|node| self.places.get(node).is_some_and(|place| place.0));
        plan
    }
}
