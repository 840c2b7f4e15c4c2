//! Choices among equals: fixed by the seed and the pod, so that one pod's choice never shifts another's.

use crate::world::PodId;

/// What is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice {
    /// A node among those of the best score (`schedule_one.go` `selectHost`).
    Node,
    /// Where the search for pods to take away begins (`default_preemption.go` `GetOffsetAndNumCandidates`).
    Offset,
}

/// A number below `below`; 0 if that is 0. The mixing is SplitMix64's finaliser (Steele, Lea and Flood, 2014).
pub(super) fn pick(seed: u64, pod: PodId, choice: Choice, below: usize) -> usize {
    let stream = u64::from(pod.0) << 1 | choice as u64;
    let mut mixed = seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let wide = u128::from(mixed) * below as u128;
    usize::try_from(wide >> 64).unwrap_or(0)
}
