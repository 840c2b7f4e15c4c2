//! How long things take that no rule decides.

use std::time::Duration;

/// How long things take. Assumptions, all of them, in round numbers: neither Karpenter nor AWS promises any, and each can be set.
/// Together a node is ready 53 seconds after its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// From the claim until EC2 has given a machine.
    pub launch: Duration,
    /// From there until the kubelet has joined.
    pub register: Duration,
    /// From there until the node is ready, its start-up taints are gone and its daemons run.
    pub initialize: Duration,
    /// From binding until a pod is ready: image and start of the process.
    pub pod_start: Duration,
    /// How long a pod takes to end, at most its own grace period: processes that heed SIGTERM end well before it.
    pub pod_stop: Duration,
    /// From the last pod until the instance is gone.
    pub terminate: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            launch: seconds(3),
            register: seconds(35),
            initialize: seconds(15),
            pod_start: seconds(5),
            pod_stop: seconds(5),
            terminate: seconds(10),
        }
    }
}
