//! What can be typed after `simulate`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ::catalog::ids::EnvironmentName;
use ::catalog::instance_types::SpotRatio;
use autoscale::simulation::{Interruption, Removal};
use autoscale::version::KarpenterVersion;
use clap::{ArgGroup, ValueEnum};
use jiff::Timestamp;

/// What the help ends with.
pub(super) const EXAMPLES: &str = "Examples:
  kubectl get nodes,nodeclaims,nodepools,ec2nodeclasses,pods,daemonsets,pdb,pvc,pv,storageclasses,csinodes,namespaces -A -o yaml > cluster.yaml
  seaworthy simulate --snapshot cluster.yaml
  seaworthy simulate --snapshot cluster.yaml --apply nodepool.yaml
  seaworthy simulate --snapshot cluster.yaml --remove node/ip-10-1-3-7 --for 30m
  seaworthy simulate --snapshot cluster.yaml --interrupt node/ip-10-1-3-7=spot
  seaworthy simulate --snapshot cluster.yaml --explain node/ip-10-1-3-7
  seaworthy simulate -e prod --replicas max -o html > prod.html";

/// `simulate`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(group = ArgGroup::new("cluster").required(true).args(["snapshot", "environment"]))]
pub struct SimulateArgs {
    /// What a cluster is, as `kubectl get … -o yaml` or `-o json` prints it; `-` reads standard input. May be given more than once
    #[arg(long, value_name = "FILE")]
    pub snapshot: Vec<PathBuf>,
    /// A platform that is not built yet: the environment's nodes, pools and services
    #[arg(
        short,
        long = "environment",
        value_name = "ENV",
        conflicts_with = "snapshot"
    )]
    pub environment: Option<EnvironmentName>,
    /// With -e: how many replicas the services have
    #[arg(
        long,
        value_enum,
        value_name = "min|max",
        default_value = "min",
        requires = "environment"
    )]
    pub replicas: ReplicasArg,
    /// Objects to add, or to put in the place of those of the same kind and name: pools, pods, Deployments, budgets
    #[arg(long, value_name = "FILE")]
    pub apply: Vec<PathBuf>,
    /// Take something away: node/NAME, nodepool/NAME, pod/NAMESPACE/NAME, deployment/NAMESPACE/NAME, …
    #[arg(long, value_name = "WHAT")]
    pub remove: Vec<Removal>,
    /// AWS takes a node's instance away: node/NAME, or node/NAME=rebalance and the like
    #[arg(long, value_name = "NODE[=EVENT]")]
    pub interrupt: Vec<Interruption>,
    /// Tell all that stands in the way of one node
    #[arg(long, value_name = "node/NAME")]
    pub explain: Option<NodeName>,
    /// Your own instance types and prices, a CSV file; any kind of node class will do then
    #[arg(long, value_name = "FILE")]
    pub instance_types: Option<PathBuf>,
    /// Spot prices as a share of the on-demand price
    #[arg(long, value_name = "RATIO", value_parser = spot_ratio, conflicts_with = "instance_types")]
    pub spot_ratio: Option<SpotRatio>,
    /// How much time to play (`90s`, `30m`, `2h`); without it, until nothing more happens by itself
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub span: Option<Duration>,
    /// When it begins; the newest time in the snapshot without it
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// A feature gate of Karpenter: SpotToSpotConsolidation=true
    #[arg(long, value_name = "NAME=true|false")]
    pub feature_gate: Vec<FeatureGate>,
    /// Whose rules hold
    #[arg(long, value_name = "VERSION", default_value_t)]
    pub karpenter_version: KarpenterVersion,
    /// Decides what the rules leave to chance
    #[arg(long, value_name = "NUMBER", default_value_t)]
    pub seed: u64,
    /// How the answer is shown
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub output: SimulateOutput,
}

/// How many replicas services have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplicasArg {
    /// The least
    Min,
    /// The most
    Max,
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SimulateOutput {
    /// For people
    Text,
    /// For programs
    Json,
    /// A page with a picture of the nodes
    Html,
}

/// `node/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName(pub String);

impl FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_prefix("node/")
            .filter(|name| !name.is_empty() && !name.contains('/'))
            .map(|name| Self(name.to_owned()))
            .ok_or_else(|| "node/NAME is wanted".to_owned())
    }
}

/// A feature gate that decides something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeatureGate {
    /// `SpotToSpotConsolidation`.
    SpotToSpotConsolidation(bool),
}

impl FromStr for FeatureGate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("SpotToSpotConsolidation", value)) => value
                .parse()
                .map(Self::SpotToSpotConsolidation)
                .map_err(|_| format!("`{value}` is neither true nor false")),
            Some((name, _)) => Err(format!(
                "the gate `{name}` changes nothing here; SpotToSpotConsolidation is known"
            )),
            None => Err("NAME=true or NAME=false is wanted".to_owned()),
        }
    }
}

/// The most time that is played.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// A length of time that is told in words of `90s`, `30m`, `2h`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "a time such as 90s, 30m or 2h is wanted".to_owned())?;
    match Duration::try_from(span) {
        Ok(span) if span <= LONGEST => Ok(span),
        _ => Err("a time from 0s to 744h (31 days) is wanted".to_owned()),
    }
}

fn spot_ratio(text: &str) -> Result<SpotRatio, String> {
    let ratio: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    SpotRatio::new(ratio).map_err(|error| error.to_string())
}
