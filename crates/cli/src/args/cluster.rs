//! What can be typed after `token` and `kubeconfig`.

use std::path::PathBuf;

use super::EnvironmentArg;

/// `token`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct TokenArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: EnvironmentArg,
}

/// `kubeconfig`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct KubeconfigArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: EnvironmentArg,
    /// Put it among what is in your kubeconfig, and make it the current context
    #[arg(long)]
    pub merge: bool,
    /// The file to merge into; the first of KUBECONFIG if it is left out, or ~/.kube/config
    #[arg(long, value_name = "FILE", requires = "merge")]
    pub file: Option<PathBuf>,
}
