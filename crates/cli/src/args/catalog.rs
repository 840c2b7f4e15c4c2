//! What can be typed after `catalog`.

use catalog::ids::Region;
use clap::Subcommand;

use super::OutputArg;

/// The commands of `catalog`.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum CatalogCommand {
    /// Renew the table of EC2's instance types from AWS: what each has, its zones, its prices
    ///
    /// Four read-only calls with your credentials, so it takes `--target aws`. The result is for one region, in your
    /// folder for data; what a simulation says of that region is by it from then on.
    #[command(
        after_help = "Examples:\n  seaworthy catalog refresh --region eu-west-1 --target aws\n  seaworthy catalog refresh --target aws --profile prod -o json"
    )]
    Refresh(CatalogRefreshArgs),
}

/// `catalog refresh`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct CatalogRefreshArgs {
    /// The region; that of the platform we are in if it is left out, or AWS_REGION
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}
