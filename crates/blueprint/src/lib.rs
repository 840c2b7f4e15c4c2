//! A validated spec becomes a graph of AWS resources, and of what is put into their cluster. This is the only place where desired properties are written.
//!
//! One file a component. Each declares its resources by address and refers to those of others by what they are, so that
//! the graph's edges are the references; where AWS demands an order that no property tells, the resource says `after`.
//! Names, owner tags and the spec's lifecycles are given to all resources at once, when the drawing is finished.
//!
//! Pure: the same platform gives the same graph, to the byte.
#![forbid(unsafe_code)]

mod addons;
mod audit;
mod backup;
mod buckets;
mod budget;
mod certificate;
mod cluster;
mod data_services;
mod dns;
mod draft;
mod external_secrets;
pub mod iam;
mod inside;
mod karpenter;
pub mod kubernetes;
mod lifecycle;
mod load_balancer_controller;
mod naming;
mod network;
mod policy;
mod rabbitmq;
mod redis;
mod secrets;
pub mod shared;
mod subnets;
mod system_nodes;
pub mod tags;
mod types;
mod waf;

use catalog::InvalidTypeName;
use catalog::ids::{Address, EnvironmentName, IdError};
use catalog::names::NameError;
use graph::{Graph, GraphError};
use ipnet::Ipv4Net;
use spec::Platform;

use crate::draft::Drawing;

/// The environment's name of the scope that environments share.
pub const SHARED: &str = "shared";

/// Why a platform has no graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The spec's `lifecycle` names a resource that there is not.
    #[error("`lifecycle` names `{address}`, which this platform does not have{}", suggestion(.nearest.as_ref()))]
    UnknownAddress {
        /// What it names.
        address: String,
        /// What it may have meant.
        nearest: Option<Address>,
    },
    /// A name made of the platform's, the environment's and the component's is none that AWS takes.
    #[error(
        "the name of `{address}` is not one that AWS takes: {why}; a shorter platform or environment name makes it one"
    )]
    Name {
        /// The resource.
        address: Address,
        /// What is wrong with it.
        why: NameError,
    },
    /// The VPC's range cannot be cut into subnets.
    #[error(
        "`network.cidr` {cidr} cannot be cut into subnets for {zones} availability zones: it takes /16 to /21, and seven zones at most"
    )]
    Range {
        /// The range.
        cidr: Ipv4Net,
        /// How many zones there are.
        zones: usize,
    },
    /// One node group cannot have x86 and Arm instances.
    #[error("`systemNodes.instanceTypes` must be of one architecture: {}", .instance_types.join(", "))]
    Architectures {
        /// The instance types.
        instance_types: Vec<String>,
    },
    /// A certificate is asked for, but there is no domain to have one for.
    #[error("`certificate.mode` asks for a certificate, but `dns.domain` is not set")]
    NoDomain,
    /// An identifier of somebody else's resource is none.
    #[error("`{address}` is to be an existing resource, but {why}")]
    Identifier {
        /// The resource.
        address: Address,
        /// What is wrong with the identifier.
        why: IdError,
    },
    /// A name in the spec (of a secret, a host, a repository) makes no address.
    #[error(transparent)]
    Address(IdError),
    /// A version is given for an add-on that the platform does not have.
    #[error("`addons.versions` names `{name}`, which is none of the platform's add-ons: {}", .addons.join(", "))]
    UnknownAddon {
        /// What it names.
        name: String,
        /// What there is.
        addons: Vec<String>,
    },
    /// A tag of the spec has no value.
    #[error(
        "`aws.tags` gives `{key}` no value, but EKS add-ons and ECR repositories take no tag without one"
    )]
    EmptyTag {
        /// The tag's key.
        key: String,
    },
    /// A value of the spec is not what Kubernetes or Karpenter takes.
    #[error(transparent)]
    Kubernetes(kubernetes::Error),
    /// An object of the cluster is none.
    #[error("{kind} {name} can't be written as a manifest: {why}")]
    Object {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The type of something in the cluster is none.
    #[error("`{address}` has no type: {why}")]
    Type {
        /// The resource.
        address: Address,
        /// What is wrong with it.
        why: InvalidTypeName,
    },
    /// The resources make no graph.
    #[error(transparent)]
    Graph(GraphError),
}

fn suggestion(nearest: Option<&Address>) -> String {
    nearest
        .map(|address| format!("; did you mean `{address}`?"))
        .unwrap_or_default()
}

/// The resources of a platform's environment.
///
/// # Errors
///
/// All that keeps the spec from being a graph; see [`Error`].
pub fn environment(platform: &Platform) -> Result<Graph, Vec<Error>> {
    let mut drawing = Drawing::new(platform, platform.environment.clone());
    draw_environment(&mut drawing);
    drawing.finish()
}

fn draw_environment(drawing: &mut Drawing<'_>) {
    let network = network::draw(drawing);
    let cluster = cluster::draw(drawing, &network);
    let before_nodes = addons::draw_before_nodes(drawing, &cluster);
    let nodes = system_nodes::draw(drawing, &network, &cluster, &before_nodes);
    let after_nodes = addons::draw_after_nodes(drawing, &cluster, &nodes);
    addons::check_versions(drawing);
    let karpenter = karpenter::draw(drawing, &cluster, &after_nodes);
    inside::draw(drawing, &cluster, &nodes, &after_nodes, karpenter.as_ref());
    load_balancer_controller::draw(drawing, &network, &cluster, &after_nodes);
    external_secrets::draw(drawing, &cluster, &after_nodes);
    redis::draw(drawing, &network);
    rabbitmq::draw(drawing, &network);
    secrets::draw(drawing);
    let hosted_zone = dns::draw(drawing);
    certificate::draw(drawing, hosted_zone.as_ref());
    waf::draw(drawing);
    audit::draw(drawing);
    backup::draw(drawing);
    budget::draw(drawing);
}

/// The resources that a platform's environments share. The environment that `platform` is of makes no difference.
///
/// # Errors
///
/// As [`environment`].
pub fn shared(platform: &Platform) -> Result<Graph, Vec<Error>> {
    let scope = EnvironmentName::new(SHARED).map_err(|why| vec![Error::Address(why)])?;
    let mut drawing = Drawing::new(platform, scope);
    shared::draw(&mut drawing);
    drawing.finish()
}
