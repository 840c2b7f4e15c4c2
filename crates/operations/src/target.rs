//! Where a platform goes: an AWS account, or a sandbox that plays one. The difference is the endpoint, the credentials
//! and how fast time goes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::ids::{AccountId, EnvironmentName, Region};
use engine::{Pace, Provider, Routed, patiently};
use journal::{FolderStore, Store};
use kubernetes::{HelmSettings, KubernetesProvider};
use spec::model::StateBackendKind;

use crate::cluster::EksClusters;
use crate::error::Error;
use crate::platform_folder::PlatformFolder;
use crate::scope::Wanted;

/// Which kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// The sandbox on this machine.
    Sandbox,
    /// Amazon Web Services.
    Aws,
}

impl TargetKind {
    /// Its name, as the state's place has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Aws => "aws",
        }
    }
}

/// Where a platform goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// Which kind.
    pub kind: TargetKind,
    /// The endpoint of all services; AWS's own when none.
    pub endpoint: Option<String>,
    /// An access key and its secret; the SDK's own chain when none.
    pub credentials: Option<(String, String)>,
    /// The profile of the AWS configuration.
    pub profile: Option<String>,
    /// The account, if it is known without asking.
    pub account: Option<AccountId>,
    /// The only region that it serves, if it serves only one.
    pub region: Option<Region>,
    /// How fast time goes there.
    pub pace: Pace,
    /// Where Helm is.
    pub helm: HelmSettings,
    /// Whether fields of Kubernetes objects that others have set are taken over.
    pub force_conflicts: bool,
    /// How long a destroy respects what holds a cluster's nodes, in modelled time.
    pub drain_timeout: Duration,
}

/// How long a destroy respects what holds a cluster's nodes, unless it is told otherwise, in modelled time.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(600);

/// An opened target.
#[derive(Clone)]
pub struct Connection {
    /// What makes resources there.
    pub provider: Arc<dyn Provider>,
    /// What makes those of them that live in clusters.
    pub in_cluster: Arc<KubernetesProvider>,
    /// The session, for what is not a resource.
    pub session: aws::Session,
    /// The ways into clusters.
    pub clusters: Arc<EksClusters>,
    /// The account.
    pub account: AccountId,
    /// The IAM principal that deploys.
    pub deployer: String,
    /// How fast time goes there.
    pub pace: Pace,
}

impl Target {
    /// Opens it for the region and the account that a spec names.
    ///
    /// # Errors
    ///
    /// When there are no credentials, they are refused, or they are another account's.
    pub async fn connect(&self, wanted: &Wanted) -> Result<Connection, Error> {
        let region = &wanted.platform.region;
        self.check_region(region)?;
        let session = self.session(region).await?;
        let doing = "could not find out whose credentials these are";
        let refused = |source| Error::Aws {
            doing: doing.to_owned(),
            source,
        };
        let fetch = || aws::CallerIdentity::fetch(&session);
        let identity = patiently(self.pace, fetch).await.map_err(refused)?;
        if let Some(wanted) = wanted.account()
            && wanted != identity.account
        {
            return Err(Error::WrongAccount {
                wanted,
                actual: identity.account,
            });
        }
        let provider = Arc::new(aws::AwsProvider::new(session.clone()).at_pace(self.pace));
        let deployer = patiently(self.pace, || provider.deployer())
            .await
            .map_err(refused)?;
        let clusters = Arc::new(EksClusters::new(provider.clone()));
        let in_cluster = Arc::new(KubernetesProvider::new(kubernetes::Options {
            scope: wanted.scope().clone(),
            names: wanted.cluster().into_iter().collect(),
            clusters: clusters.clone(),
            pace: self.pace,
            force_conflicts: self.force_conflicts,
            drain_timeout: self.drain_timeout,
            helm: self.helm.clone(),
        }));
        Ok(Connection {
            provider: Arc::new(Routed::new(provider, in_cluster.clone())),
            in_cluster,
            session,
            clusters,
            account: identity.account,
            deployer,
            pace: self.pace,
        })
    }

    /// Opens a session without asking anything.
    ///
    /// # Errors
    ///
    /// When there are no credentials.
    pub async fn session(&self, region: &Region) -> Result<aws::Session, Error> {
        let options = aws::SessionOptions {
            endpoint: self.endpoint.clone(),
            region: region.clone(),
            credentials: self
                .credentials
                .as_ref()
                .map(|(id, secret)| aws::StaticCredentials {
                    access_key_id: id.clone(),
                    secret_access_key: secret.clone(),
                    session_token: None,
                }),
            profile: self.profile.clone(),
        };
        aws::Session::new(options)
            .await
            .map_err(|error| Error::Session(Box::new(error)))
    }

    pub(crate) fn check_region(&self, wanted: &Region) -> Result<(), Error> {
        match &self.region {
            Some(actual) if actual != wanted => Err(Error::WrongRegion {
                wanted: wanted.clone(),
                actual: actual.clone(),
            }),
            _ => Ok(()),
        }
    }
}

/// Where the state of a scope is kept.
pub struct StateLocation<'a> {
    /// The platform's folder.
    pub folder: &'a PlatformFolder,
    /// The scope.
    pub wanted: &'a Wanted,
    /// The target.
    pub target: &'a Target,
}

impl StateLocation<'_> {
    /// The store, without asking AWS who we are where that can be avoided.
    ///
    /// # Errors
    ///
    /// When AWS has to be asked and refuses.
    pub async fn offline(&self) -> Result<Option<Arc<dyn Store>>, Error> {
        let in_s3 = self.wanted.platform.spec.state.backend == StateBackendKind::S3;
        if in_s3
            && self.target.kind == TargetKind::Aws
            && self.environment().as_str() != crate::SHARED
        {
            let connection = self.target.connect(self.wanted).await?;
            return Ok(Some(self.store(&connection)));
        }
        let account = self
            .wanted
            .account()
            .or_else(|| self.target.account.clone());
        let account = account.or_else(|| self.only_account());
        Ok(account.map(|account| self.folder_store(&account)))
    }

    /// The store of an opened target.
    pub fn store(&self, connection: &Connection) -> Arc<dyn Store> {
        let account = &connection.account;
        match self.s3(account) {
            Some(location) => Arc::new(aws::S3Store::new(connection.session.clone(), location)),
            None => self.folder_store(account),
        }
    }

    /// Where in S3 the state is kept, if it is.
    pub(crate) fn s3(&self, account: &AccountId) -> Option<aws::S3Location> {
        let state = &self.wanted.platform.spec.state;
        // The shared scope makes the bucket, so its own state can't be in it; and the sandbox has no buckets to put
        // anything into.
        let shared = self.environment().as_str() == crate::SHARED;
        let sandbox = self.target.kind == TargetKind::Sandbox;
        if state.backend == StateBackendKind::Folder || shared || sandbox {
            return None;
        }
        let platform = &self.wanted.platform.platform;
        let bucket = state
            .bucket
            .clone()
            .unwrap_or_else(|| format!("{platform}-seaworthy-state-{account}"));
        let table = state
            .lock_table
            .clone()
            .unwrap_or_else(|| format!("{platform}-seaworthy-locks"));
        let region = &self.wanted.platform.region;
        let prefix = format!(
            "{}/{account}/{region}/{}",
            self.target.kind.name(),
            self.environment()
        );
        Some(aws::S3Location {
            bucket,
            prefix,
            table,
        })
    }

    fn folder_store(&self, account: &AccountId) -> Arc<dyn Store> {
        Arc::new(FolderStore::new(self.path(account)))
    }

    fn path(&self, account: &AccountId) -> PathBuf {
        let region = self.wanted.platform.region.as_str();
        self.accounts()
            .join(account.as_str())
            .join(region)
            .join(self.environment().as_str())
    }

    fn accounts(&self) -> PathBuf {
        self.folder
            .own()
            .join("state")
            .join(self.target.kind.name())
    }

    fn environment(&self) -> &EnvironmentName {
        &self.wanted.scope().environment
    }

    /// The account that this environment was deployed to, if it was to one alone.
    fn only_account(&self) -> Option<AccountId> {
        let entries = std::fs::read_dir(self.accounts()).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut accounts = names
            .filter_map(|name| AccountId::new(name).ok())
            .filter(|account| self.path(account).exists());
        match (accounts.next(), accounts.next()) {
            (Some(account), None) => Some(account),
            _ => None,
        }
    }
}
