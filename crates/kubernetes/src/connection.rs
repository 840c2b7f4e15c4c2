//! Connections to API servers: one client a cluster, made anew before its token runs out, and when the cluster is another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::TypeName;
use engine::provider::{ErrorClass, ProviderError};
use http::Request;
use http::header::CONTENT_TYPE;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, ValidationDirective};
use kube::{Client, Config};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use crate::access::{ClusterAccess, Clusters};
use crate::classify::{Purpose, classified, error};
use crate::name::Place;
use crate::owner::MANAGER;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take. A server gives a webhook 10 seconds as a rule, and there may be several.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// A token is renewed when it is good for less than this.
const EXPIRY_MARGIN: Duration = Duration::from_secs(180);
/// How long it is believed that there is no such cluster.
const ABSENT: Duration = Duration::from_secs(5);
/// How many objects of a kind are listed at once.
const PAGE: u32 = 500;

/// Connections to the clusters that are known.
pub(crate) struct Connections {
    clusters: Arc<dyn Clusters>,
    open: Mutex<HashMap<String, Known>>,
}

#[derive(Clone)]
enum Known {
    Absent(Instant),
    Open(Cluster),
}

/// A cluster that can be talked to. Cloning is cheap.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    expires: Option<SystemTime>,
    kinds: Arc<Mutex<HashMap<String, HashMap<String, Kind>>>>,
}

/// How the objects of a kind are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    /// `apps/v1`.
    pub(crate) api_version: String,
    /// `deployments`.
    pub(crate) plural: String,
    /// `Deployment`.
    pub(crate) kind: String,
    /// Whether they are in namespaces.
    pub(crate) namespaced: bool,
    /// Whether they can be listed and deleted.
    pub(crate) listed: bool,
}

impl Connections {
    pub(crate) fn new(clusters: Arc<dyn Clusters>) -> Self {
        Self {
            clusters,
            open: Mutex::default(),
        }
    }

    /// The way into a cluster, with a token that was made now.
    pub(crate) async fn access(&self, name: &str) -> Result<Option<ClusterAccess>, ProviderError> {
        self.clusters.access(name).await
    }

    /// The cluster of a name; none when there is none.
    pub(crate) async fn cluster(&self, name: &str) -> Result<Option<Cluster>, ProviderError> {
        // Held over the call on purpose: many calls at once ask once.
        let mut open = self.open.lock().await;
        match open.get(name) {
            Some(Known::Absent(since)) if since.elapsed() < ABSENT => return Ok(None),
            Some(Known::Open(cluster)) if cluster.is_fresh() => return Ok(Some(cluster.clone())),
            _ => {}
        }
        let Some(access) = self.clusters.access(name).await? else {
            open.insert(name.to_owned(), Known::Absent(Instant::now()));
            return Ok(None);
        };
        let mut cluster = Cluster::open(&access)?;
        if let Some(Known::Open(before)) = open.get(name) {
            cluster.kinds = before.kinds.clone();
        }
        open.insert(name.to_owned(), Known::Open(cluster.clone()));
        Ok(Some(cluster))
    }

    /// The cluster of a name that has to be there.
    pub(crate) async fn present(&self, name: &str) -> Result<Cluster, ProviderError> {
        let absent = || {
            error(
                ErrorClass::NotReady,
                "NoCluster",
                format!("there is no cluster {name}"),
            )
        };
        self.cluster(name).await?.ok_or_else(absent)
    }

    /// Looks at a cluster anew after an error that tells that it is another one now, or we are nobody to it.
    pub(crate) async fn doubt(&self, name: &str, error: &ProviderError) {
        if error.code == "ClusterUnreachable" || error.code == "Unauthorized" {
            self.open.lock().await.remove(name);
        }
    }
}

impl Cluster {
    pub(crate) fn open(access: &ClusterAccess) -> Result<Self, ProviderError> {
        let unusable = |why: String| error(ErrorClass::Terminal, "UnusableCluster", why);
        let endpoint = access
            .endpoint
            .parse()
            .map_err(|_| unusable(format!("`{}` is not a URL", access.endpoint)))?;
        let mut config = Config::new(endpoint);
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(READ_TIMEOUT);
        // Whoever drives the calls tries again.
        config.default_retry = false;
        if let Some(pem) = &access.certificate_authority {
            let certificates = certificates(pem);
            if certificates.is_empty() {
                return Err(unusable(
                    "the cluster's certificate authority is no PEM".to_owned(),
                ));
            }
            config.root_cert = Some(certificates);
        }
        if let Some(token) = &access.token {
            config.auth_info.token = Some(token.text.clone().into());
        }
        let client = Client::try_from(config)
            .map_err(|failure| unusable(format!("no client can be made: {failure}")))?;
        Ok(Self {
            client,
            expires: access.token.as_ref().and_then(|token| token.expires),
            kinds: Arc::default(),
        })
    }

    fn is_fresh(&self) -> bool {
        self.expires
            .is_none_or(|expires| SystemTime::now() + EXPIRY_MARGIN < expires)
    }

    /// Whether anybody answers, whatever they say.
    pub(crate) async fn answers(&self, within: Duration) -> bool {
        let Ok(request) = Request::get("/version").body(kube::client::Body::empty()) else {
            return false;
        };
        let answer = tokio::time::timeout(within, self.client.send(request)).await;
        matches!(answer, Ok(Ok(_)))
    }

    /// The cluster's own time, in seconds since 1970: what would be made now is stamped with it. None when it does not tell,
    /// because we may not make anything, or a webhook stands in the way.
    pub(crate) async fn time(&self) -> Result<Option<u64>, ProviderError> {
        const PATH: &str = "/api/v1/namespaces/default/configmaps?dryRun=All";
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "seaworthy-"},
        });
        let request = Request::post(PATH).header(CONTENT_TYPE, "application/json");
        let object = match self.send(request, object.to_string().into_bytes()).await {
            Ok(object) => object,
            Err(failure) => {
                let error = classified(&failure, "the cluster's time", Purpose::Change);
                let passes = matches!(error.class, ErrorClass::Retryable | ErrorClass::Throttled)
                    || error.code == "ClusterUnreachable";
                return match passes && !error.message.contains("webhook") {
                    true => Err(error),
                    false => Ok(None),
                };
            }
        };
        let stamp = object["metadata"]["creationTimestamp"].as_str();
        let time: Option<Timestamp> = stamp.and_then(|text| text.parse().ok());
        Ok(time.and_then(|time| u64::try_from(time.as_second()).ok()))
    }

    /// The kind of a type. The API server is asked once a version, and again for a kind that it did not have.
    pub(crate) async fn kind(
        &self,
        type_name: &TypeName,
        purpose: Purpose,
    ) -> Result<Kind, ProviderError> {
        let (version, name) = (type_name.service(), type_name.resource());
        let mut known = self.kinds.lock().await;
        if let Some(kind) = known.get(version).and_then(|kinds| kinds.get(name)) {
            return Ok(kind.clone());
        }
        let kinds = self.kinds_of(version, purpose).await?;
        let kinds = kinds.into_iter().map(|kind| (kind.kind.clone(), kind));
        let kinds: HashMap<String, Kind> = kinds.collect();
        let found = kinds.get(name).cloned();
        known.insert(version.to_owned(), kinds);
        found.ok_or_else(|| {
            error(
                ErrorClass::NotReady,
                "NoMatch",
                format!("the cluster has no {name} in {version}: its definition is not there"),
            )
        })
    }

    /// The kinds of a version; none when the cluster does not have it.
    pub(crate) async fn kinds_of(
        &self,
        version: &str,
        purpose: Purpose,
    ) -> Result<Vec<Kind>, ProviderError> {
        let path = root(version);
        let list: Json = match self.send(Request::get(&path), Vec::new()).await {
            Ok(list) => list,
            Err(failure) => {
                let error = classified(&failure, &format!("the API {version}"), purpose);
                return match error.class {
                    ErrorClass::NotFound => Ok(Vec::new()),
                    _ => Err(error),
                };
            }
        };
        let resources = list["resources"].as_array().into_iter().flatten();
        let kind = |resource: &Json| -> Option<Kind> {
            let plural = resource["name"].as_str()?;
            let verbs = resource["verbs"].as_array();
            let can = |verb: &str| verbs.is_some_and(|verbs| verbs.iter().any(|one| one == verb));
            // A subresource is no kind.
            (!plural.contains('/')).then(|| Kind {
                api_version: version.to_owned(),
                plural: plural.to_owned(),
                kind: resource["kind"].as_str().unwrap_or_default().to_owned(),
                namespaced: resource["namespaced"].as_bool().unwrap_or(false),
                listed: can("list") && can("delete"),
            })
        };
        Ok(resources.filter_map(kind).collect())
    }

    /// The preferred version of each API group, the core one first.
    pub(crate) async fn versions(&self) -> Result<Vec<String>, ProviderError> {
        let groups: Json = self
            .send(Request::get("/apis"), Vec::new())
            .await
            .map_err(|failure| classified(&failure, "the list of APIs", Purpose::Look))?;
        let preferred = groups["groups"].as_array().into_iter().flatten();
        let preferred = preferred
            .filter_map(|group| group["preferredVersion"]["groupVersion"].as_str())
            .map(str::to_owned);
        Ok(std::iter::once("v1".to_owned()).chain(preferred).collect())
    }

    /// Reads an object; none when it is not there.
    pub(crate) async fn get(
        &self,
        kind: &Kind,
        place: &Place,
        purpose: Purpose,
    ) -> Result<Option<Json>, ProviderError> {
        let request = kube::core::Request::new(kind.collection(place.namespace.as_deref()))
            .get(&place.name, &GetParams::default());
        absent_is_none(self.answer(request, kind, place, purpose).await)
    }

    /// Applies an object as the manager that we are.
    pub(crate) async fn apply(
        &self,
        kind: &Kind,
        place: &Place,
        manifest: &Json,
        force: bool,
    ) -> Result<Json, ProviderError> {
        let mut parameters = PatchParams::apply(MANAGER);
        parameters.force = force;
        parameters.field_validation = Some(ValidationDirective::Strict);
        let request = kube::core::Request::new(kind.collection(place.namespace.as_deref())).patch(
            &place.name,
            &parameters,
            &Patch::Apply(manifest),
        );
        self.answer(request, kind, place, Purpose::Change).await
    }

    /// Asks for an object to be deleted, that of the uid and no later one of the name. None when it is not there.
    pub(crate) async fn delete(
        &self,
        kind: &Kind,
        place: &Place,
        uid: &str,
        foreground: bool,
    ) -> Result<Option<Json>, ProviderError> {
        let parameters = if foreground {
            DeleteParams::foreground()
        } else {
            DeleteParams::background()
        };
        let parameters = parameters.preconditions(kube::api::Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        let request = kube::core::Request::new(kind.collection(place.namespace.as_deref()))
            .delete(&place.name, &parameters);
        absent_is_none(self.answer(request, kind, place, Purpose::Change).await)
    }

    /// The objects of a kind that labels select, in one namespace or in all.
    pub(crate) async fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Json>, ProviderError> {
        let mut objects = Vec::new();
        let mut parameters = ListParams::default().labels(labels).limit(PAGE);
        loop {
            let about = format!("the {}", kind.plural);
            let failed = |failure: kube::Error| classified(&failure, &about, Purpose::Look);
            let request = kube::core::Request::new(kind.collection(namespace))
                .list(&parameters)
                .map_err(kube::Error::BuildRequest)
                .map_err(failed)?;
            let mut page: Json = self.client.request(request).await.map_err(failed)?;
            if let Json::Array(items) = page["items"].take() {
                objects.extend(items);
            }
            match page["metadata"]["continue"].as_str() {
                Some(next) if !next.is_empty() => parameters = parameters.continue_token(next),
                _ => return Ok(objects),
            }
        }
    }

    async fn answer(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
        kind: &Kind,
        place: &Place,
        purpose: Purpose,
    ) -> Result<Json, ProviderError> {
        let about = format!("{} {}", kind.kind, place.words());
        let request = request
            .map_err(kube::Error::BuildRequest)
            .map_err(|failure| classified(&failure, &about, purpose))?;
        self.client
            .request(request)
            .await
            .map_err(|failure| classified(&failure, &about, purpose))
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Json, kube::Error> {
        let request = request.body(body).map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}

impl Kind {
    /// The path of the objects in a namespace, or in none or all.
    fn collection(&self, namespace: Option<&str>) -> String {
        let root = root(&self.api_version);
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }
}

/// The path of an API's version.
fn root(version: &str) -> String {
    if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    }
}

fn absent_is_none(result: Result<Json, ProviderError>) -> Result<Option<Json>, ProviderError> {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.class == ErrorClass::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The certificates of a PEM text, as DER.
fn certificates(pem: &str) -> Vec<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    pem.split(BEGIN)
        .skip(1)
        .filter_map(|part| {
            let (body, _) = part.split_once(END)?;
            let body: String = body.split_whitespace().collect();
            STANDARD.decode(body).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_certificate_of_a_pem_is_taken() {
        let one = "-----BEGIN CERTIFICATE-----\nAAEC\nAwQ=\n-----END CERTIFICATE-----\n";
        assert_eq!(
            certificates(&format!("{one}text\n{one}")),
            [[0, 1, 2, 3, 4]; 2]
        );
        assert!(certificates("nothing").is_empty());
    }

    #[test]
    fn an_object_has_a_path_by_its_kind() {
        let kind = |api_version: &str, plural: &str, namespaced: bool| Kind {
            api_version: api_version.to_owned(),
            plural: plural.to_owned(),
            kind: String::new(),
            namespaced,
            listed: true,
        };
        assert_eq!(
            kind("apps/v1", "deployments", true).collection(Some("shop")),
            "/apis/apps/v1/namespaces/shop/deployments"
        );
        assert_eq!(
            kind("v1", "namespaces", false).collection(None),
            "/api/v1/namespaces"
        );
        // A namespace that somebody has written on what is in none does no harm.
        assert_eq!(
            kind("karpenter.sh/v1", "nodepools", false).collection(Some("shop")),
            "/apis/karpenter.sh/v1/nodepools"
        );
    }
}
