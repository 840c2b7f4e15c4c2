//! What can go wrong in a use case.

use std::path::{Path, PathBuf};

use aws::instance_types::{Action, FetchError};
use catalog::ids::{AccountId, Address, EnvironmentName, Region};
use engine::provider::{ErrorClass, ProviderError};
use engine::{EngineError, LedgerError, RecordError};
use journal::StoreError;
use spec::Diagnostic;

/// What can go wrong in a use case.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no platform here.
    #[error("there is no platform.yaml in {} or a folder above it", folder.display())]
    NoPlatform {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// There is no such environment.
    #[error("there is no environment `{environment}`: {} has {}", folder.display(), listed(known))]
    NoEnvironment {
        /// What was asked for.
        environment: EnvironmentName,
        /// What there is.
        known: Vec<EnvironmentName>,
        /// Where overlays are.
        folder: PathBuf,
    },
    /// A file can't be read or written.
    #[error("{operation} {}", path.display())]
    File {
        /// What was done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The folder is not empty.
    #[error("{} is there already: nothing was written", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The spec is wrong.
    #[error("the spec has {} mistake(s)", .0.len())]
    Spec(Vec<Diagnostic>),
    /// The platform can't be built from its spec.
    #[error("the platform can't be built from its spec")]
    Blueprint(Vec<blueprint::Error>),
    /// AWS refuses, or can't be reached.
    #[error("{doing}")]
    Aws {
        /// What was done.
        doing: String,
        /// Why not.
        #[source]
        source: ProviderError,
    },
    /// The cluster that is to be destroyed can't be asked what is in it.
    #[error("the cluster {cluster} can't be asked what is in it, so nothing was deleted")]
    ClusterOutOfReach {
        /// Its name.
        cluster: String,
        /// The environment that is to be destroyed.
        environment: EnvironmentName,
        /// Why not.
        #[source]
        source: ProviderError,
    },
    /// A session with AWS can't be opened.
    #[error("could not connect to AWS")]
    Session(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The account or the region is another than the spec's.
    #[error("these credentials are of account {actual}, but the spec names account {wanted}")]
    WrongAccount {
        /// The spec's.
        wanted: AccountId,
        /// The credentials'.
        actual: AccountId,
    },
    /// The target serves another region.
    #[error("the sandbox plays the region {actual}, but the spec names {wanted}")]
    WrongRegion {
        /// The spec's.
        wanted: Region,
        /// The sandbox's.
        actual: Region,
    },
    /// Somebody else is at work.
    #[error("{scope} is locked by {owner} until {expires}: nothing was changed")]
    Locked {
        /// Which scope.
        scope: String,
        /// By whom.
        owner: String,
        /// Until when.
        expires: String,
    },
    /// The state is damaged.
    #[error("the state in {place} is damaged: {reason}")]
    Damaged {
        /// Which file or object.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// The state can't be read or written.
    #[error("the state can't be used")]
    Store(#[source] StoreError),
    /// The journal can't be folded.
    #[error("the state's journal can't be understood")]
    Ledger(#[source] LedgerError),
    /// The run ended before its time.
    #[error("the run could not go on")]
    Engine(#[source] EngineError),
    /// There is no such resource.
    #[error("there is no resource `{address}` in the state{}", suggestion.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    NoResource {
        /// What was asked for.
        address: Address,
        /// What is near.
        suggestion: Option<Address>,
    },
    /// A plan file can't be used.
    #[error("{} is not a plan of this version of seaworthy", path.display())]
    PlanFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The plan was made from another state or another spec.
    #[error("{0}: make a new one")]
    StalePlan(String),
    /// A protected environment, whose name was not given.
    #[error("{name} is protected: `--confirm {name}` is needed to destroy it")]
    Protected {
        /// Its name.
        name: String,
    },
    /// A platform can't be exported.
    #[error("the platform can't be exported")]
    Export(Vec<export::Error>),
    /// Files that are not an export's own are where it would write.
    #[error("nothing was written: {}", in_the_way(folder, foreign, edited))]
    InTheWay {
        /// The folder.
        folder: PathBuf,
        /// What no export has written.
        foreign: Vec<String>,
        /// What an export has written and somebody has edited since.
        edited: Vec<String>,
    },
    /// A text is no snapshot of a cluster.
    #[error("{} can't be read: {}", path.display(), several(reasons, *more))]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong, each with its place.
        reasons: Vec<String>,
        /// How many more faults were counted.
        more: usize,
    },
    /// A text is no table of instance types.
    #[error("{} is no table of instance types: {}", path.display(), several(reasons, 0))]
    InstanceTable {
        /// The file.
        path: PathBuf,
        /// What is wrong: line, column, reason.
        reasons: Vec<String>,
    },
    /// There is nothing for Karpenter to do.
    #[error("there is no NodePool (karpenter.sh/v1): Karpenter has nothing to decide")]
    NoNodePools,
    /// What was named is not in the snapshot.
    #[error("there is no {0} in the cluster")]
    NotInSnapshot(String),
    /// A workload wants more pods than anybody runs.
    #[error("{workload} wants more than {most} pods")]
    TooManyReplicas {
        /// Which.
        workload: String,
        /// The most.
        most: i32,
    },
    /// A spec has no Kubernetes objects.
    #[error("the platform has no Kubernetes objects")]
    Kubernetes(Vec<blueprint::kubernetes::Error>),
    /// Instance types can't be fetched.
    #[error("the instance types could not be renewed; those of before stay")]
    InstanceTypes(#[source] Box<aws::instance_types::FetchError>),
    /// A file of instance types can't be used.
    #[error("{} can't be used: {reason}", path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no cluster in a scope.
    #[error("`{environment}` has no cluster")]
    NoCluster {
        /// Which.
        environment: EnvironmentName,
    },
    /// A cluster is in the spec, and not in AWS.
    #[error("the cluster {cluster} of `{environment}` is not there")]
    NotDeployed {
        /// Of which environment.
        environment: EnvironmentName,
        /// Its name.
        cluster: String,
    },
    /// A file is no kubeconfig.
    #[error("{} can't be used, and is as it was: {reason}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that can't be done here.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            operation: "could not read",
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            operation: "could not write",
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn store(scope: &str, error: StoreError) -> Self {
        match error {
            StoreError::Held { owner, expires } => Self::Locked {
                scope: scope.to_owned(),
                owner: owner.to_string(),
                expires: expires.to_string(),
            },
            StoreError::Damaged { place, reason } => Self::Damaged { place, reason },
            other => Self::Store(other),
        }
    }

    pub(crate) fn record(scope: &str, error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => match &*error {
                StoreError::Held { owner, expires } => Self::Locked {
                    scope: scope.to_owned(),
                    owner: owner.to_string(),
                    expires: expires.to_string(),
                },
                StoreError::Damaged { place, reason } => Self::Damaged {
                    place: place.clone(),
                    reason: reason.clone(),
                },
                _ => Self::Engine(EngineError::Fatal(RecordError::Store(error).into())),
            },
            other => Self::Engine(EngineError::Fatal(other.into())),
        }
    }

    /// Whether it was refused, rather than gone wrong: nothing was changed, and a person can allow it.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Locked { .. }
                | Self::Protected { .. }
                | Self::Refused(_)
                | Self::StalePlan(_)
                | Self::WrongAccount { .. }
                | Self::InTheWay { .. }
                | Self::ClusterOutOfReach { .. }
        )
    }

    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoPlatform { .. } => Some("make one with `seaworthy init DIR --preset ekb`, or say where it is with -C DIR".into()),
            Self::Locked { .. } => Some("wait for it; if that process is gone, the lock runs out by itself, or take it away with `seaworthy state unlock`".into()),
            Self::Damaged { .. } => Some("nothing was overwritten; `seaworthy state history` lists the states that are whole, `seaworthy state rollback` goes back to the newest of them, and the next deploy finds by tag and name what it does not know of".into()),
            Self::Exists { .. } => Some("choose another folder".into()),
            Self::StalePlan(_) => Some("run `seaworthy plan --out FILE` again".into()),
            Self::WrongAccount { .. } => Some("use the credentials of that account (AWS_PROFILE), or change aws.account in the spec".into()),
            Self::WrongRegion { .. } => Some("run `seaworthy sandbox reset` and start it with `--region`, or let the deploy start it".into()),
            Self::Engine(EngineError::Fatal(engine::Fatal::Record(_))) => Some(
                "nothing was written after that; what was under way is settled by the next run of the same command".into(),
            ),
            Self::Engine(EngineError::Fatal(engine::Fatal::Unreachable(_))) => {
                Some("everything so far is in the state; run the same command again to carry on".into())
            }
            Self::NoCluster { .. } => Some("name an environment that has one with -e".into()),
            Self::NotDeployed { environment, .. } => Some(format!(
                "deploy it first: `seaworthy deploy -e {environment}`; or is it in another target, account or region?"
            )),
            Self::ClusterOutOfReach { environment, source, .. } => {
                let way = match source.class {
                    ErrorClass::Denied => "use the credentials that deployed it, or those of one of its admins (cluster.admins)",
                    _ => "look at the way there from this machine: `seaworthy kubeconfig`, the VPN, the endpoint's allowed addresses (cluster.endpoint)",
                };
                Some(format!(
                    "{way}, and run the same command again. If nobody can get into it any more, `seaworthy destroy -e {environment} --without-cluster` deletes what AWS has of it, nodes and load balancers too; volumes of claims stay in the account"
                ))
            }
            Self::NoNodePools => Some(
                "take them up in the snapshot: kubectl get nodes,nodeclaims,nodepools,ec2nodeclasses,pods,daemonsets,pdb,pvc,pv,storageclasses,csinodes,namespaces -A -o yaml".into(),
            ),
            Self::InstanceTypes(error) => match &**error {
                FetchError::NotAllowed { .. } => {
                    let all = Action::ALL.map(Action::permission).join(", ");
                    Some(format!("it takes the permissions {all}; docs/instance-types.md has the policy"))
                }
                FetchError::Call { source, .. } => {
                    aws::classify::credentials_hint(&source.code).map(str::to_owned)
                }
                _ => None,
            },
            Self::Catalogue { .. } => Some(
                "renew it with `seaworthy catalog refresh --target aws`, or remove it: the table in the binary serves then".into(),
            ),
            Self::InTheWay { foreign, .. } if foreign.is_empty() => {
                Some("keep your edits elsewhere, or give them up with --overwrite".into())
            }
            Self::InTheWay { .. } => Some("choose another folder, or move those files away".into()),
            _ => None,
        }
    }
}

/// Faults, a line each where there are several; of many the first few.
fn several(reasons: &[String], more: usize) -> String {
    const SHOWN: usize = 20;
    if let ([only], 0) = (reasons, more) {
        return only.clone();
    }
    let mut text = String::new();
    for reason in reasons.iter().take(SHOWN) {
        text.push_str("\n    ");
        text.push_str(reason);
    }
    let rest = reasons.len().saturating_sub(SHOWN) + more;
    if rest > 0 {
        text.push_str(&format!("\n    and {rest} more"));
    }
    text
}

/// The files in the way, a line each; of many the first few.
fn in_the_way(folder: &Path, foreign: &[String], edited: &[String]) -> String {
    const SHOWN: usize = 10;
    let (what, paths) = match foreign {
        [] => ("files that were edited since they were exported", edited),
        foreign => ("files that no export has written", foreign),
    };
    let mut text = format!("{} has {what}:", folder.display());
    for path in paths.iter().take(SHOWN) {
        text.push_str("\n    ");
        text.push_str(path);
    }
    if paths.len() > SHOWN {
        text.push_str(&format!("\n    and {} more", paths.len() - SHOWN));
    }
    text
}

fn listed(names: &[EnvironmentName]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names
            .iter()
            .map(EnvironmentName::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    }
}
