//! What can be typed after `export`.

use std::path::PathBuf;
use std::str::FromStr;

use catalog::ids::{EnvironmentName, IdError};
use clap::ValueEnum;

/// `export`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct ExportArgs {
    /// What to write
    #[arg(value_enum, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// The environment: a file's name in `environments/`; `shared` for what environments share, `all` for everything
    #[arg(
        short,
        long = "environment",
        value_name = "ENV|all",
        env = "SEAWORTHY_ENVIRONMENT",
        hide_env_values = true
    )]
    pub environment: Exported,
    /// The folder to write into; made if it is not there. Nothing in it is touched but what exports have written
    #[arg(short, long = "output", value_name = "DIR")]
    pub output: PathBuf,
    /// Write over files of an earlier export that were edited since
    #[arg(long)]
    pub overwrite: bool,
}

/// A format to export to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Templates: a stack with nested stacks an environment
    #[value(name = "cloudformation")]
    CloudFormation,
    /// Terraform modules, and a Terragrunt tree with a folder an environment
    Terraform,
    /// A ClusterConfig an environment: the cluster and what belongs to it
    Eksctl,
}

impl From<ExportFormat> for export::Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::CloudFormation => Self::CloudFormation,
            ExportFormat::Terraform => Self::Terraform,
            ExportFormat::Eksctl => Self::Eksctl,
        }
    }
}

/// Which environments to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// All of them, and what they share.
    All,
    /// One of them, or `shared`.
    One(EnvironmentName),
}

impl FromStr for Exported {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text {
            "all" => Ok(Self::All),
            name => EnvironmentName::new(name).map(Self::One),
        }
    }
}

impl From<Exported> for operations::Scopes {
    fn from(exported: Exported) -> Self {
        match exported {
            Exported::All => Self::All,
            Exported::One(name) => Self::One(name),
        }
    }
}
