//! The server as those who run it see it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use apimachinery::{GroupResource, rbac};
use axum::body::Body;
use http::{Request, Response};
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::auth::{BoundObject, Gate, GateOptions, PolicySource};
use crate::http::{Discovery, Frames, OpenApi, answer, broken};
use crate::ports::{Authenticator, Clock, Logs, Metrics};
use crate::registry::{Local, Registry, Settings};
use crate::store::{Key, Revision, StoreError};

/// What a server is started with.
pub struct Options {
    /// Where it keeps its objects and its signing key. It is made if it is missing.
    pub folder: PathBuf,
    /// What `/version` says (`v1.33.5-eks-3025e55`).
    pub version: String,
    /// The addresses of Services (`10.100.0.0/16`).
    pub service_cidr: String,
    /// The issuer of service-account tokens (`https://oidc.eks.eu-west-1.amazonaws.com/id/…`).
    pub issuer: String,
    /// Whom service-account tokens are for that the server itself accepts; the first is meant where a request names none.
    pub audiences: Vec<String>,
    pub clock: Arc<dyn Clock>,
    /// Asked in turn for tokens that are not the server's own.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    pub logs: Arc<dyn Logs>,
    pub metrics: Arc<dyn Metrics>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the folder {} cannot be made: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the key that signs service-account tokens: {0}")]
    Key(io::Error),
    #[error("{object} cannot be made: {status}")]
    Bootstrap {
        object: String,
        status: apimachinery::Status,
    },
}

/// A Kubernetes API server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
}

/// What requests share.
pub(crate) struct Inner {
    pub registry: Arc<Registry>,
    pub gate: Gate,
    pub clock: Arc<dyn Clock>,
    pub logs: Arc<dyn Logs>,
    pub metrics: Arc<dyn Metrics>,
    pub discovery: Discovery,
    pub openapi: OpenApi,
    pub frames: Frames,
    version: String,
    closing: watch::Sender<bool>,
}

impl Inner {
    /// Tells when the server closes.
    pub(crate) fn closing(&self) -> Closing {
        Closing(self.closing.subscribe())
    }

    /// `/version`.
    pub(crate) fn version_document(&self) -> Json {
        let mut numbers = self.version.trim_start_matches('v').split(['.', '-', '+']);
        json!({
            "major": numbers.next().unwrap_or_default(),
            "minor": numbers.next().unwrap_or_default(),
            "gitVersion": self.version,
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "", "compiler": "", "platform": "linux/amd64",
        })
    }
}

/// Waits for the server to close.
pub(crate) struct Closing(watch::Receiver<bool>);

impl Closing {
    /// Returns when it closes, or has.
    pub(crate) async fn begun(&mut self) {
        // A server that is no more is closed as well.
        let _ = self.0.wait_for(|closing| *closing).await;
    }
}

impl ApiServer {
    /// Opens a server over its folder, and makes the roles that every cluster has where they are missing.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let folder = options.folder;
        std::fs::create_dir_all(&folder).map_err(|source| OpenError::Folder {
            folder: folder.clone(),
            source,
        })?;
        let settings = Settings {
            clock: options.clock.clone(),
            service_cidr: options.service_cidr,
            tokens: None,
        };
        let registry = Registry::open(&folder, settings)?;
        let gate_options = GateOptions {
            authenticators: options.authenticators,
            issuer: options.issuer,
            audiences: options.audiences,
        };
        let policies = Arc::new(Policies {
            registry: registry.clone(),
            seen: Mutex::new((registry.store().revision(), 0)),
        });
        let gate = Gate::open(&folder, gate_options, policies).map_err(OpenError::Key)?;
        let bootstrap = registry.local("kube-apiserver");
        for object in rbac::bootstrap_objects() {
            let told = format!("{} {}", object["kind"], object["metadata"]["name"]);
            bootstrap
                .ensure(object)
                .map_err(|status| OpenError::Bootstrap {
                    object: told,
                    status,
                })?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                registry,
                gate,
                clock: options.clock,
                logs: options.logs,
                metrics: options.metrics,
                discovery: Discovery::default(),
                openapi: OpenApi::of(&options.version),
                frames: Frames::default(),
                version: options.version,
                closing: watch::Sender::new(false),
            }),
        })
    }

    /// Answers a request. It is carried out even when the client goes away meanwhile. Needs a Tokio runtime.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        // A task of its own, so that what panics is one request and not the connection.
        let answered = tokio::spawn(answer(self.inner.clone(), request)).await;
        answered.unwrap_or_else(|error| {
            tracing::error!(%error, "a request broke off");
            broken()
        })
    }

    /// The client for a controller in this process. `manager` owns the fields that it writes.
    #[must_use]
    pub fn local(&self, manager: &str) -> Local {
        self.inner.registry.local(manager)
    }

    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.inner.registry
    }

    /// Who tokens belong to and what they may do.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    /// Ends all watches and followed logs, so that their connections can close. Requests are still answered.
    pub fn close(&self) {
        self.inner.closing.send_replace(true);
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const POLICIES: [&str; 4] = [
    "roles",
    "clusterroles",
    "rolebindings",
    "clusterrolebindings",
];

/// What the gate reads of the cluster.
struct Policies {
    registry: Arc<Registry>,
    /// Up to which revision changes were looked at, and how often there was one of a policy among them.
    seen: Mutex<(Revision, u64)>,
}

impl PolicySource for Policies {
    fn policy_version(&self) -> u64 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (revision, version) = &mut *seen;
        let store = self.registry.store();
        while *revision < store.revision() {
            let changes = store.changes(*revision, |change| {
                let resource = &change.object.key.resource;
                &*resource.group == RBAC
            });
            match changes {
                Ok(changes) => {
                    *version += u64::from(!changes.items.is_empty());
                    *revision = changes.revision;
                }
                // There may have been some.
                Err(_) => {
                    *version += 1;
                    *revision = store.revision();
                }
            }
        }
        *version
    }

    fn policy_objects(&self) -> Vec<Json> {
        let list = |resource| {
            let resource = GroupResource::new(RBAC, resource);
            self.registry.store().list(&resource, None).items
        };
        let stored = POLICIES.into_iter().flat_map(list);
        stored.map(|stored| stored.json()).collect()
    }

    fn bound_object(&self, resource: &str, namespace: &str, name: &str) -> Option<BoundObject> {
        let key = Key::new(&GroupResource::new("", resource), namespace, name);
        let stored = self.registry.store().get(&key)?;
        let spec = &stored.json()["spec"];
        let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
        Some(BoundObject {
            uid: stored.uid.to_string(),
            service_account: text("serviceAccountName"),
            node: text("nodeName"),
        })
    }
}
