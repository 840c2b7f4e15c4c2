//! Claims that are being filled, and the order in which pods are tried on them.

use super::states::StateId;
use crate::bits::Bits;
use crate::resources::Resources;
use crate::shape::HostPort;
use crate::world::PodId;

/// A claim that is being filled (`nodeclaim.go:42`).
#[derive(Debug)]
pub(super) struct ClaimState {
    pub template: u32,
    pub state: StateId,
    pub types: Bits,
    /// What its pods request, without daemons.
    pub requests: Resources,
    pub pods: Vec<PodId>,
    pub ports: Vec<HostPort>,
    pub min_values_relaxed: bool,
}

/// Claims by their number of pods, fewest first (`scheduler.go:583`). Karpenter sorts anew for every pod with an unstable sort;
/// the order here is that of its insertion sort, which it takes for up to twelve claims and mostly beyond: a claim that got a
/// pod comes before those that had as many already, a new one after them.
#[derive(Debug, Default)]
pub(super) struct Order {
    claims: Vec<u32>,
    /// `ends[n]` is how many claims have at most `n` pods.
    ends: Vec<usize>,
}

impl Order {
    pub fn clear(&mut self) {
        self.claims.clear();
        self.ends.clear();
        self.ends.resize(2, 0);
    }

    pub fn len(&self) -> usize {
        self.claims.len()
    }

    pub fn at(&self, place: usize) -> usize {
        self.claims[place] as usize
    }

    /// A new claim with its first pod.
    pub fn open(&mut self, claim: usize) {
        let place = self.ends[1];
        self.claims
            .insert(place, u32::try_from(claim).unwrap_or(u32::MAX));
        for end in &mut self.ends[1..] {
            *end += 1;
        }
    }

    /// The claim at a place got a pod; it had `pods` before.
    pub fn bump(&mut self, place: usize, pods: usize) {
        let end = self.ends[pods];
        self.claims[place..end].rotate_left(1);
        self.ends[pods] -= 1;
        if self.ends.len() == pods + 1 {
            self.ends.push(self.claims.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scheduler.go:583` with Go's insertion sort.
    #[test]
    fn the_order_is_that_of_an_insertion_sort() {
        let mut order = Order::default();
        order.clear();
        let mut model: Vec<(usize, usize)> = Vec::new();
        let mut random = 7_u64;
        for step in 0..200 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            if step % 3 == 0 {
                order.open(model.len());
                model.push((model.len(), 1));
            } else {
                let place = (random >> 33) as usize % model.len();
                order.bump(place, model[place].1);
                model[place].1 += 1;
            }
            model.sort_by_key(|(_, pods)| *pods);
            let expected: Vec<usize> = model.iter().map(|(claim, _)| *claim).collect();
            let got: Vec<usize> = (0..order.len()).map(|place| order.at(place)).collect();
            assert_eq!(got, expected, "step {step}");
        }
    }
}
