//! A validated spec becomes Kubernetes objects: what the simulator reads, and what a deploy applies.
//!
//! Three sets, since they come from three hands:
//!
//! - [`objects`]: what is ours to apply: namespaces, priority classes, the storage class, the node class, the node pools,
//!   the services.
//! - [`platform_objects`]: what EKS's add-ons and the charts bring by themselves: their daemon sets, deployments and budgets,
//!   with the requests that they come with.
//! - [`system_nodes`]: the nodes of the managed node group, as they will stand when they are there.
//!
//! [`cluster`] is all of it: a cluster that is not built yet.
//!
//! What is known only after the deploy is written as a [`graph::Reference`] is displayed,
//! `${cluster/cluster.ClusterSecurityGroupId}`: its address is one of [`crate::environment`]'s graph.
//!
//! Pure: the same platform gives the same objects in the same order.

mod node_class;
mod node_pools;
mod nodes;
mod platform;
mod pods;
mod services;
mod storage;

use objects::snapshot::Object;
use spec::Platform;

pub(crate) use node_class::AFTER_DEPLOY;
pub use nodes::system_nodes;
pub(crate) use platform::karpenter_pods;
pub use platform::platform_objects;
pub(crate) use storage::foundation;

/// Which number of replicas the services have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Replicas {
    /// The least: nothing is going on.
    #[default]
    Min,
    /// The most: everything is scaled out.
    Max,
}

/// Why a platform has no Kubernetes objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value of the spec is not what Karpenter or Kubernetes takes.
    #[error("`{path}` is not what Kubernetes takes: {why}")]
    Value {
        /// Where in the spec.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A service names a node pool that there is not.
    #[error(
        "`services.{service}.nodePool` names `{pool}`, which is no node pool of this environment"
    )]
    UnknownNodePool {
        /// The service.
        service: String,
        /// What it names.
        pool: String,
    },
    /// The catalog doesn't know an instance type, so that nobody can tell what its nodes have.
    #[error(
        "`systemNodes.instanceTypes` has {0}, which the catalog of instance types doesn't know"
    )]
    UnknownInstanceType(String),
}

/// What is ours to apply, in an order in which it can be.
///
/// # Errors
///
/// Everything in the spec that no object can be made of.
pub fn objects(platform: &Platform, replicas: Replicas) -> Result<Vec<Object>, Vec<Error>> {
    let mut errors = Vec::new();
    let mut objects = foundation(platform);
    if platform.spec.karpenter.enabled {
        match karpenter_objects(platform) {
            Ok((class, pools)) => {
                objects.push(class);
                objects.extend(pools);
            }
            Err(more) => errors.extend(more),
        }
    }
    objects.extend(services::render(platform, replicas, &mut errors));
    if errors.is_empty() {
        Ok(objects)
    } else {
        Err(errors)
    }
}

/// The node class and the node pools.
///
/// # Errors
///
/// Every text of a pool that Karpenter doesn't take.
pub(crate) fn karpenter_objects(platform: &Platform) -> Result<(Object, Vec<Object>), Vec<Error>> {
    let mut errors = Vec::new();
    let pools = node_pools::render(platform, &mut errors);
    match errors.as_slice() {
        [] => Ok((node_class::render(platform), pools)),
        _ => Err(errors),
    }
}

/// The whole cluster, before it is built: [`system_nodes`], [`platform_objects`] and [`objects`]; no pods, which
/// controllers make of the workloads.
///
/// # Errors
///
/// As [`objects`] and [`system_nodes`].
pub fn cluster(platform: &Platform, replicas: Replicas) -> Result<Vec<Object>, Vec<Error>> {
    let mut errors = Vec::new();
    let mut all = Vec::new();
    for part in [system_nodes(platform), objects(platform, replicas)] {
        match part {
            Ok(objects) => all.extend(objects),
            Err(more) => errors.extend(more),
        }
    }
    all.extend(platform_objects(platform));
    if errors.is_empty() {
        Ok(all)
    } else {
        Err(errors)
    }
}

/// A name of the spec in which `{cluster}` stands for `<platform>-<env>`.
fn named(platform: &Platform, name: &str) -> String {
    name.replace("{cluster}", &platform.name())
}
