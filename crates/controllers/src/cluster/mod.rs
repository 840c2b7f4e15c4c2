//! The controllers that every cluster has.

#[cfg(test)]
pub(crate) mod aws;
#[cfg(test)]
mod tests;

use jiff::SignedDuration;

use crate::Controller;
use crate::endpoint_slice::{EndpointSlices, EndpointsObjects};
use crate::garbage_collector::GarbageCollector;
use crate::kubelet::Kubelets;
use crate::namespace::Namespaces;
use crate::node_lifecycle::{Network, Nodes, PodCollector, TaintEviction};
use crate::scheduler::PodScheduler;
use crate::service::LoadBalancers;
use crate::service_account::{RootCertificates, ServiceAccounts};
use crate::volumes::{Attacher, Binder, ClaimProtection, Driver, Provisioner, VolumeProtection};

/// What they need to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// What nodes say that their kubelets are: `v1.33.5-eks-113cf36`.
    pub kubelet_version: String,
    /// The certificate authority of the API server, PEM.
    pub certificate_authority: String,
    /// Decides among equal nodes.
    pub seed: u64,
    /// Whether volumes need the EBS CSI driver's add-on.
    pub ebs_driver: Driver,
    /// Whether nodes need a network plugin's pod to be ready.
    pub network: Network,
    /// How long from one renewal of a node's Lease to the next.
    pub heartbeat: SignedDuration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kubelet_version: "v1.33.5-eks-113cf36".to_owned(),
            certificate_authority: String::new(),
            seed: 0,
            ebs_driver: Driver::Assumed,
            network: Network::Assumed,
            heartbeat: SignedDuration::from_mins(5),
        }
    }
}

/// All of them but those of workloads.
#[must_use]
pub fn all(options: Options) -> Vec<Box<dyn Controller>> {
    let driver = options.ebs_driver;
    vec![
        Box::new(Namespaces),
        Box::new(GarbageCollector),
        Box::new(ServiceAccounts),
        Box::new(RootCertificates::new(options.certificate_authority)),
        Box::new(LoadBalancers),
        Box::<EndpointSlices>::default(),
        Box::<EndpointsObjects>::default(),
        Box::<Binder>::default(),
        Box::new(Provisioner::new(driver)),
        Box::new(Attacher::new(driver)),
        Box::new(ClaimProtection),
        Box::new(VolumeProtection),
        Box::new(Nodes::new(
            options.kubelet_version,
            driver,
            options.network,
            options.heartbeat,
        )),
        Box::<TaintEviction>::default(),
        Box::<PodCollector>::default(),
        Box::new(PodScheduler::new(options.seed)),
        Box::<Kubelets>::default(),
    ]
}
