//! Helm releases: installed and upgraded by the `helm` program, looked at in the Secrets that it keeps them in.

mod command;
mod outcome;
mod release;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use catalog::HELM_RELEASE;
use catalog::ids::{Address, ClientToken, Identifier, RequestToken};
use catalog::in_cluster::{self, owner_labels};
use engine::provider::{ErrorClass, Owned, Progress, ProviderError, Status};
use graph::Scope;
use serde_json::Value as Json;
use tokio::sync::OnceCell;

pub use command::{HelmSettings, Registry};

use crate::classify::error;
use crate::connection::{Connections, Kind};
use crate::name::Place;
use crate::objects::ended;
use command::Session;
use release::{Revision, description, revisions};

/// How long Helm waits for a release's resources if it is not said.
const TIMEOUT_SECONDS: u64 = 600;
/// How many revisions Helm keeps.
const HISTORY: u32 = 10;

/// Makes, changes and deletes releases.
pub(crate) struct Helm {
    worker: Arc<Worker>,
    running: Mutex<HashMap<RequestToken, Running>>,
}

/// A command, or several, that go on in the background.
struct Running {
    what: String,
    since: Instant,
    place: Place,
    /// None while it goes on.
    outcome: Arc<Mutex<Option<Outcome>>>,
}

#[derive(Clone)]
struct Outcome {
    result: Result<(), ProviderError>,
    /// Whether there is a release now.
    left: bool,
}

/// What a release is to be.
#[derive(Debug, Clone)]
struct Wanted {
    place: Place,
    chart: String,
    repository: Option<String>,
    version: String,
    values: Json,
    create_namespace: bool,
    timeout_seconds: u64,
    address: String,
    adopt: bool,
    force: bool,
}

struct Worker {
    settings: HelmSettings,
    scope: Scope,
    connections: Arc<Connections>,
    force: bool,
    /// The first part of Helm's version.
    major: OnceCell<u32>,
}

impl Helm {
    pub(crate) fn new(
        settings: HelmSettings,
        scope: Scope,
        connections: Arc<Connections>,
        force: bool,
    ) -> Self {
        Self {
            worker: Arc::new(Worker {
                settings,
                scope,
                connections,
                force,
                major: OnceCell::new(),
            }),
            running: Mutex::default(),
        }
    }

    /// Begins to install a release, or to upgrade it.
    pub(crate) async fn apply(
        &self,
        document: &Json,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        let wanted = Wanted::of(document)?;
        let what = format!("Helm installs {} {}", wanted.place.name, wanted.version);
        let place = wanted.place.clone();
        let worker = self.worker.clone();
        self.begin(
            what,
            place,
            token,
            async move { worker.apply(&wanted).await },
        )
    }

    /// Begins to uninstall a release.
    pub(crate) async fn uninstall(
        &self,
        place: &Place,
        token: &ClientToken,
    ) -> Result<Progress, ProviderError> {
        if self.worker.revisions(place).await?.is_empty() {
            return Ok(ended(None, Status::Success));
        }
        let what = format!("Helm uninstalls {}", place.name);
        let worker = self.worker.clone();
        let of = place.clone();
        self.begin(what, place.clone(), token, async move {
            worker.uninstall(&of).await
        })
    }

    fn begin(
        &self,
        what: String,
        place: Place,
        token: &ClientToken,
        work: impl Future<Output = Result<(), ProviderError>> + Send + 'static,
    ) -> Result<Progress, ProviderError> {
        let operation = RequestToken::new(format!("helm|{token}"))
            .map_err(|failure| error(ErrorClass::Terminal, "InvalidToken", failure.to_string()))?;
        let mut running = self.running();
        if !running.contains_key(&operation) {
            let outcome = Arc::new(Mutex::new(None));
            let (told, worker, at) = (outcome.clone(), self.worker.clone(), place.clone());
            tokio::spawn(async move {
                let result = work.await;
                let left = match &result {
                    Ok(()) => true,
                    // What is left is what a next attempt, or a destroy, has to know of.
                    Err(_) => worker.revisions(&at).await.is_ok_and(|left| {
                        left.first()
                            .is_some_and(|one| one.belongs_to(&worker.scope))
                    }),
                };
                *told.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Outcome { result, left });
            });
            let begun = Running {
                what,
                since: Instant::now(),
                place,
                outcome,
            };
            running.insert(operation.clone(), begun);
        }
        drop(running);
        self.poll(&operation)
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<RequestToken, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks how an operation stands. One of another process is not known here: what it has led to is looked for.
    pub(crate) fn poll(&self, operation: &RequestToken) -> Result<Progress, ProviderError> {
        let running = self.running();
        let Some(begun) = running.get(operation) else {
            return Err(error(
                ErrorClass::OperationUnknown,
                "UnknownOperation",
                "the process that ran Helm is gone",
            ));
        };
        let identifier = begun.place.identifier()?;
        let outcome = begun
            .outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        Ok(match outcome {
            Some(Outcome { result: Ok(()), .. }) => ended(Some(identifier), Status::Success),
            Some(Outcome {
                result: Err(failed),
                left,
            }) => ended(left.then_some(identifier), Status::Failed(failed)),
            None => Progress {
                operation: Some(operation.clone()),
                identifier: None,
                status: Status::InProgress,
                retry_after: None,
                note: (begun.since.elapsed() > Duration::from_secs(2)).then(|| begun.what.clone()),
            },
        })
    }

    /// Reads a release in the shape of what was applied.
    pub(crate) async fn read(
        &self,
        place: &Place,
        applied: &Json,
    ) -> Result<Option<Json>, ProviderError> {
        let revisions = self.worker.revisions(place).await?;
        // What Helm keeps of an uninstalled release is no release.
        let newest = revisions.first().filter(|one| one.status != "uninstalled");
        let Some(newest) = newest else {
            return Ok(None);
        };
        let contents = newest.contents().ok_or_else(|| {
            error(
                ErrorClass::Terminal,
                "MalformedRelease",
                format!("what Helm keeps of {} can't be read", place.words()),
            )
        })?;
        Ok(Some(newest.model(place, &contents, applied)))
    }

    /// Looks for a release that is ours and whole: one that is half done is done again.
    pub(crate) async fn find(&self, desired: &Json) -> Result<Option<Identifier>, ProviderError> {
        let Some(text) = in_cluster::identifier(&HELM_RELEASE, desired) else {
            return Ok(None);
        };
        let place: Place = text.parse()?;
        let revisions = self.worker.revisions(&place).await?;
        let whole = revisions.first().is_some_and(|newest| {
            newest.belongs_to(&self.worker.scope) && newest.status == "deployed"
        });
        whole.then(|| place.identifier()).transpose()
    }

    /// The releases of the scope in a cluster.
    pub(crate) async fn owned(&self, cluster: &str) -> Result<Vec<Owned>, ProviderError> {
        let Some(open) = self.worker.connections.cluster(cluster).await? else {
            return Ok(Vec::new());
        };
        let scope = &self.worker.scope;
        let labels = format!(
            "owner=helm,{}={},{}={}",
            owner_labels::PLATFORM,
            scope.platform,
            owner_labels::ENVIRONMENT,
            scope.environment
        );
        let secrets = open.list(&secrets(), None, &labels).await?;
        let mut names: Vec<String> = secrets
            .iter()
            .filter_map(|secret| {
                let metadata = &secret["metadata"];
                let namespace = metadata["namespace"].as_str()?;
                let name = metadata["labels"]["name"].as_str()?;
                Some(format!("helm://{cluster}/{namespace}/{name}"))
            })
            .collect();
        names.sort();
        names.dedup();
        let owned = names.into_iter().map(|arn| Owned { arn, address: None });
        Ok(owned.collect())
    }
}

/// The kind that Helm keeps releases in.
fn secrets() -> Kind {
    Kind {
        api_version: "v1".to_owned(),
        plural: "secrets".to_owned(),
        kind: "Secret".to_owned(),
        namespaced: true,
        listed: true,
    }
}

impl Wanted {
    fn of(document: &Json) -> Result<Self, ProviderError> {
        let unusable = |what: &str| {
            error(
                ErrorClass::Terminal,
                "InvalidRelease",
                format!("a release needs `{what}`"),
            )
        };
        let text = |name: &str| document[name].as_str().map(str::to_owned);
        let is_set = |name: &str| document[name].as_bool().unwrap_or(false);
        let place: Place = in_cluster::identifier(&HELM_RELEASE, document)
            .ok_or_else(|| unusable("Cluster, Namespace, Name"))?
            .parse()?;
        if place.namespace.is_none() {
            return Err(unusable("Namespace"));
        }
        Ok(Self {
            place,
            chart: text("Chart").ok_or_else(|| unusable("Chart"))?,
            repository: text("Repository"),
            version: text("Version").ok_or_else(|| unusable("Version"))?,
            values: document["Values"].clone(),
            create_namespace: is_set("CreateNamespace"),
            timeout_seconds: document["TimeoutSeconds"]
                .as_u64()
                .unwrap_or(TIMEOUT_SECONDS),
            address: document["Owner"][owner_labels::ADDRESS]
                .as_str()
                .filter(|address| Address::new(address).is_ok())
                .unwrap_or_default()
                .to_owned(),
            adopt: is_set(in_cluster::ADOPT),
            force: is_set(in_cluster::FORCE),
        })
    }

    /// The chart as Helm is told it: a packed one on this machine stands in for the network's.
    fn source(&self, charts: Option<&Path>, registry: Option<&Registry>) -> Vec<String> {
        let name = self.chart.rsplit('/').next().unwrap_or(&self.chart);
        let plain = self.version.strip_prefix('v').unwrap_or(&self.version);
        let packed = charts.and_then(|folder| {
            [&self.version, plain]
                .iter()
                .map(|version| folder.join(format!("{name}-{version}.tgz")))
                .find(|path| path.is_file())
        });
        if let Some(packed) = packed {
            return vec![packed.to_string_lossy().into_owned()];
        }
        let (chart, repository) = match registry {
            Some(registry) => (
                registry.chart(&self.chart),
                self.repository.as_ref().map(|_| registry.repository()),
            ),
            None => (self.chart.clone(), self.repository.clone()),
        };
        let is_plain = registry.is_some_and(|registry| registry.plain_http);
        let plain = (is_plain && chart.starts_with("oci://")).then(|| "--plain-http".to_owned());
        let mut source = vec![chart, "--version".to_owned(), self.version.clone()];
        source.extend(
            repository
                .into_iter()
                .flat_map(|url| ["--repo".to_owned(), url]),
        );
        source.extend(plain);
        source
    }
}

/// What has to be done about what an earlier Helm has left, before a release can be made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Repair {
    Nothing,
    /// Back to the last revision that was whole.
    Rollback(u64),
    /// There never was a whole one.
    Uninstall,
}

fn repair(revisions: &[Revision]) -> Repair {
    let Some(newest) = revisions.first() else {
        return Repair::Nothing;
    };
    if newest.status == "uninstalling" {
        return Repair::Uninstall;
    }
    let whole = revisions
        .iter()
        .find(|one| matches!(one.status.as_str(), "deployed" | "superseded"));
    match (newest.is_pending(), newest.status.as_str(), whole) {
        (true, _, Some(whole)) => Repair::Rollback(whole.number),
        (true, _, None) | (false, "failed", None) => Repair::Uninstall,
        _ => Repair::Nothing,
    }
}

impl Worker {
    /// The revisions that Helm keeps of a release, the newest first; none when there is no such release or no cluster.
    async fn revisions(&self, place: &Place) -> Result<Vec<Revision>, ProviderError> {
        let Some(cluster) = self.connections.cluster(&place.cluster).await? else {
            return Ok(Vec::new());
        };
        let labels = format!("owner=helm,name={}", place.name);
        let listed = cluster
            .list(&secrets(), place.namespace.as_deref(), &labels)
            .await;
        match listed {
            Ok(secrets) => Ok(revisions(&secrets)),
            Err(absent) if absent.class == ErrorClass::NotFound => Ok(Vec::new()),
            Err(failed) => {
                self.connections.doubt(&place.cluster, &failed).await;
                Err(failed)
            }
        }
    }

    async fn apply(&self, wanted: &Wanted) -> Result<(), ProviderError> {
        let place = &wanted.place;
        let session = self.session(place).await?;
        let found = self.revisions(place).await?;
        let newest = found.first().filter(|one| one.status != "uninstalled");
        if let Some(newest) = newest
            && !newest.belongs_to(&self.scope)
            && !wanted.adopt
        {
            return Err(error(
                ErrorClass::AlreadyExists,
                "NotOurs",
                format!(
                    "there is a release {} already, and it is not this environment's: uninstall it, give ours another name, or \
                     let it be taken over (`Adopt`)",
                    place.words()
                ),
            ));
        }
        let timeout = format!("{}s", wanted.timeout_seconds);
        match repair(&found) {
            Repair::Nothing => {}
            Repair::Rollback(revision) => {
                self.rollback(&session, place, revision, &timeout).await?
            }
            Repair::Uninstall => self.remove(&session, place, &timeout).await?,
        }
        let is_new = !found.iter().any(|one| one.status == "deployed");
        let major = self.major(&session).await?;
        let values = session.write("values.json", &wanted.values.to_string())?;
        let mut arguments: Vec<String> = ["upgrade", &place.name].map(str::to_owned).to_vec();
        arguments.extend(wanted.source(
            self.settings.charts.as_deref(),
            self.settings.registry.as_ref(),
        ));
        let history = HISTORY.to_string();
        let labels = format!(
            "{}={},{}={}",
            owner_labels::PLATFORM,
            self.scope.platform,
            owner_labels::ENVIRONMENT,
            self.scope.environment
        );
        let description = description(&wanted.address);
        let values = values.to_string_lossy();
        arguments.extend(
            [
                "--install",
                "--namespace",
                place.namespace.as_deref().unwrap_or_default(),
                "--values",
                &values,
                // What is not in our values any more is as the chart has it.
                "--reset-values",
                "--timeout",
                &timeout,
                "--history-max",
                &history,
                "--labels",
                &labels,
                "--description",
                &description,
                "--wait",
                // Back to the last whole revision when it fails; a first one is uninstalled.
                if major >= 4 {
                    "--rollback-on-failure"
                } else {
                    "--atomic"
                },
            ]
            .map(str::to_owned),
        );
        if wanted.create_namespace {
            arguments.push("--create-namespace".to_owned());
        }
        if (self.force || wanted.force) && major >= 4 {
            arguments.push("--force-conflicts".to_owned());
        }
        let verb = if is_new { "install" } else { "upgrade" };
        let about = format!("{verb} {} {}", place.words(), wanted.version);
        session.run(&about, &arguments).await.map(drop)
    }

    async fn uninstall(&self, place: &Place) -> Result<(), ProviderError> {
        let session = self.session(place).await?;
        let found = self.revisions(place).await?;
        match found.first() {
            None => Ok(()),
            // Ours is gone, and somebody has made another one of the name.
            Some(newest) if !newest.belongs_to(&self.scope) => Ok(()),
            Some(_) => {
                let timeout = format!("{TIMEOUT_SECONDS}s");
                self.remove(&session, place, &timeout).await
            }
        }
    }

    async fn remove(
        &self,
        session: &Session<'_>,
        place: &Place,
        timeout: &str,
    ) -> Result<(), ProviderError> {
        let namespace = place.namespace.as_deref().unwrap_or_default();
        let arguments = [
            "uninstall",
            &place.name,
            "--namespace",
            namespace,
            "--wait",
            "--timeout",
            timeout,
            "--ignore-not-found",
        ];
        let about = format!("uninstall {}", place.words());
        let arguments = arguments.map(str::to_owned);
        session.run(&about, &arguments).await.map(drop)
    }

    async fn rollback(
        &self,
        session: &Session<'_>,
        place: &Place,
        revision: u64,
        timeout: &str,
    ) -> Result<(), ProviderError> {
        let namespace = place.namespace.as_deref().unwrap_or_default();
        let revision = revision.to_string();
        // It is not waited for: what it goes back to need not have been ready, and is upgraded at once.
        let arguments = [
            "rollback",
            &place.name,
            &revision,
            "--namespace",
            namespace,
            "--timeout",
            timeout,
        ];
        let about = format!("take {} back to revision {revision}", place.words());
        let arguments = arguments.map(str::to_owned);
        session.run(&about, &arguments).await.map(drop)
    }

    async fn session(&self, place: &Place) -> Result<Session<'_>, ProviderError> {
        let release = place.to_string();
        Session::open(&self.settings, &self.connections, &place.cluster, &release).await
    }

    async fn major(&self, session: &Session<'_>) -> Result<u32, ProviderError> {
        let ask = || async {
            let arguments = ["version", "--template", "{{.Version}}"].map(str::to_owned);
            let text = session.run("say its version", &arguments).await?;
            let number = text.trim().trim_start_matches('v').split('.').next();
            number
                .and_then(|number| number.parse().ok())
                .ok_or_else(|| {
                    error(
                        ErrorClass::Terminal,
                        "HelmMissing",
                        format!("Helm says that its version is `{}`", text.trim()),
                    )
                })
        };
        self.major.get_or_try_init(ask).await.copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(statuses: &[&str]) -> Repair {
        let secrets: Vec<Json> = statuses
            .iter()
            .zip(1..)
            .map(|(status, number)| release::tests::secret(number, status, json!({})))
            .collect();
        repair(&revisions(&secrets))
    }

    #[test]
    fn what_a_killed_helm_has_left_is_mended_first() {
        assert_eq!(of(&[]), Repair::Nothing);
        assert_eq!(of(&["deployed"]), Repair::Nothing);
        assert_eq!(of(&["pending-install"]), Repair::Uninstall);
        assert_eq!(of(&["failed"]), Repair::Uninstall);
        assert_eq!(of(&["deployed", "pending-upgrade"]), Repair::Rollback(1));
        assert_eq!(
            of(&["superseded", "deployed", "pending-rollback"]),
            Repair::Rollback(2)
        );
        assert_eq!(of(&["deployed", "failed"]), Repair::Nothing);
        assert_eq!(of(&["deployed", "uninstalling"]), Repair::Uninstall);
    }

    #[test]
    fn a_registry_that_has_all_charts_stands_in_for_those_that_charts_name() {
        let registry = Registry {
            host: "127.0.0.1:4701".to_owned(),
            plain_http: true,
        };
        let source = |chart: &str, repository: Json| {
            let document = json!({
                "Cluster": "c", "Namespace": "n", "Name": "x", "Version": "1.0.0", "Chart": chart,
                "Repository": repository, "Values": {},
            });
            Wanted::of(&document)
                .unwrap()
                .source(None, Some(&registry))
                .join(" ")
        };
        assert_eq!(
            source("oci://public.ecr.aws/karpenter/karpenter", Json::Null),
            "oci://127.0.0.1:4701/karpenter/karpenter --version 1.0.0 --plain-http"
        );
        assert_eq!(
            source("keda", json!("https://kedacore.github.io/charts")),
            "keda --version 1.0.0 --repo http://127.0.0.1:4701/charts"
        );
        assert_eq!(
            source("./charts/mine", Json::Null),
            "./charts/mine --version 1.0.0"
        );
    }

    #[test]
    fn a_packed_chart_on_this_machine_stands_in_for_the_networks() {
        let folder = tempfile::tempdir().unwrap();
        let document = json!({
            "Cluster": "c", "Namespace": "n", "Name": "karpenter", "Version": "v1.8.0",
            "Chart": "oci://public.ecr.aws/karpenter/karpenter", "Values": {},
        });
        let wanted = Wanted::of(&document).unwrap();
        assert_eq!(
            wanted.source(Some(folder.path()), None),
            [
                "oci://public.ecr.aws/karpenter/karpenter",
                "--version",
                "v1.8.0"
            ]
        );
        let packed = folder.path().join("karpenter-1.8.0.tgz");
        std::fs::write(&packed, "").unwrap();
        assert_eq!(
            wanted.source(Some(folder.path()), None),
            [packed.to_string_lossy()]
        );
    }
}
