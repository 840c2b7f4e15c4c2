//! Ways out: a platform's graph as the files of other tools.
//!
//! Every export is made from the graph and from nothing else: there is no second description of the platform. What comes
//! out is a set of texts by path; whoever calls writes them. The same graphs give the same texts, to the byte.
#![forbid(unsafe_code)]

pub mod cloudformation;
pub mod eksctl;
mod files;
mod module;
pub mod terraform;

use catalog::ids::{Address, EnvironmentName};
use graph::Graph;
use spec::Platform;

pub use files::{File, Files, Owner, header};
pub use module::{Module, modules, needs};

/// One scope of a platform: an environment, or what environments share.
#[derive(Debug, Clone, Copy)]
pub struct Scoped<'a> {
    /// The validated spec.
    pub platform: &'a Platform,
    /// Its resources.
    pub graph: &'a Graph,
}

impl Scoped<'_> {
    /// The environment's name, or `shared`.
    pub fn name(&self) -> &EnvironmentName {
        &self.graph.scope().environment
    }
}

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// All environments of the platform, by name: what differs between them is a variable wherever one text serves all.
    pub environments: &'a [Scoped<'a>],
    /// What the environments share.
    pub shared: Scoped<'a>,
    /// The scopes whose files are wanted; `shared` may be among them.
    pub wanted: &'a [EnvironmentName],
}

impl<'a> Source<'a> {
    /// The wanted scopes, environments first.
    pub fn wanted(&self) -> impl Iterator<Item = Scoped<'a>> {
        self.environments
            .iter()
            .copied()
            .chain([self.shared])
            .filter(|scope| self.wanted.contains(scope.name()))
    }
}

/// The format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// CloudFormation templates: a stack with nested stacks for each scope.
    CloudFormation,
    /// Terraform modules and a Terragrunt tree.
    Terraform,
    /// eksctl's ClusterConfig.
    Eksctl,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CloudFormation, Self::Terraform, Self::Eksctl];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloudFormation => "cloudformation",
            Self::Terraform => "terraform",
            Self::Eksctl => "eksctl",
        }
    }
}

/// Why a graph cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Two addresses would have one name in the export.
    #[error("`{first}` and `{second}` would both be called `{name}` in the export")]
    Name {
        /// One of them.
        first: Address,
        /// The other.
        second: Address,
        /// The name.
        name: String,
    },
    /// Modules need each other.
    #[error(
        "`{from}` needs `{to}`, so that the modules `{first}` and `{second}` would need each other"
    )]
    Circle {
        /// The resource that needs.
        from: Address,
        /// What it needs.
        to: Address,
        /// Where it is.
        first: Module,
        /// Where that is.
        second: Module,
    },
    /// A value that the format has no words for.
    #[error("`{address}` cannot be exported to {}: {why}", format.name())]
    Inexpressible {
        /// The resource.
        address: Address,
        /// The format.
        format: Format,
        /// What there are no words for, and what to do.
        why: String,
    },
    /// A resource needs something of a cluster's, which no export has.
    #[error("`{address}` refers to `{inside}`, which is in the cluster: no export has it")]
    InCluster {
        /// The resource.
        address: Address,
        /// What it refers to.
        inside: Address,
    },
    /// A file would be larger than the format allows.
    #[error("`{file}` would have {count} {what}, and {} takes {limit} at most", format.name())]
    Limit {
        /// The file's path.
        file: String,
        /// The format.
        format: Format,
        /// What there are too many of (`resources`, `bytes`).
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
}

/// Exports a platform.
///
/// # Errors
///
/// All that the format cannot express; see [`Error`].
pub fn export(format: Format, source: &Source<'_>) -> Result<Files, Vec<Error>> {
    let mut errors = Vec::new();
    // What lives in a cluster is left out of all formats: the files say so.
    let mut outside = |scope: &Scoped<'_>| match scope.graph.without_cluster_contents() {
        Ok((graph, left_out)) => (graph, left_out),
        Err(dangling) => {
            errors.extend(
                dangling
                    .into_iter()
                    .map(|(address, inside)| Error::InCluster { address, inside }),
            );
            (scope.graph.clone(), 0)
        }
    };
    let graphs: Vec<_> = source.environments.iter().map(&mut outside).collect();
    let (shared, _) = outside(&source.shared);
    if !errors.is_empty() {
        return Err(errors);
    }
    let environments: Vec<_> = source
        .environments
        .iter()
        .zip(&graphs)
        .map(|(scope, (graph, _))| Scoped { graph, ..*scope })
        .collect();
    let source = &Source {
        environments: &environments,
        shared: Scoped {
            graph: &shared,
            ..source.shared
        },
        wanted: source.wanted,
    };
    let mut files = match format {
        Format::CloudFormation => cloudformation::export(source),
        Format::Terraform => terraform::export(source),
        Format::Eksctl => eksctl::export(source),
    }?;
    let left_out = |owner: &Owner| {
        let of_owner = environments
            .iter()
            .zip(&graphs)
            .filter(|(scope, _)| match owner {
                Owner::All => true,
                Owner::Scope(name) => scope.name() == name,
            });
        of_owner.map(|(_, (_, left_out))| *left_out).max()
    };
    files.remark(|owner| match left_out(owner) {
        None | Some(0) => None,
        Some(count) => Some(format!(
            "# The {count} Kubernetes objects and Helm releases of the platform are not in it: `seaworthy deploy` makes them."
        )),
    });
    Ok(files)
}
