//! The Kubernetes half of the sandbox: an API server with its controllers for each EKS cluster of the embedded AWS.
//!
//! Here they meet, and only here: the API server (`apiserver`) and the controllers (`controllers`) know nothing of the embedded
//! AWS, and its rules know nothing of them.

mod addons;
mod cloud;
pub(crate) mod clusters;
pub(crate) mod endpoints;
mod load;
mod runtime;
mod serve;
mod time;
mod token;

use controllers::Controller;

/// All controllers of a cluster. `authority` is the certificate of its authority, in PEM.
fn controllers_of(authority: String, version: &str) -> Vec<Box<dyn Controller>> {
    let options = controllers::cluster::Options {
        certificate_authority: authority,
        kubelet_version: version.to_owned(),
        // Both come with EKS's add-ons, or not at all.
        ebs_driver: controllers::volumes::Driver::WhenInstalled,
        network: controllers::node_lifecycle::Network::WhenInstalled,
        ..controllers::cluster::Options::default()
    };
    let mut all = controllers::cluster::all(options);
    all.extend(controllers::workloads::all(
        controllers::workloads::Options::default(),
    ));
    all.extend(controllers::karpenter::all());
    all
}
