//! Kubernetes objects: applied by server-side apply, waited for, looked at, deleted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalog::TypeName;
use catalog::ids::{Address, Identifier, RequestToken};
use catalog::in_cluster::{self, owner_labels};
use engine::Pace;
use engine::provider::{ErrorClass, Owned, Progress, ProviderError, Status};
use graph::Scope;
use serde_json::{Value as Json, json};

use crate::classify::{Purpose, error};
use crate::connection::{Cluster, Connections, Kind};
use crate::contents;
use crate::drain;
use crate::manifest::Wanted;
use crate::name::{Operation, Place, Since};
use crate::observe::observe;
use crate::owner;
use crate::readiness::{Readiness, readiness};
use crate::why;

/// How long an object may take to become ready, in modelled time.
const READY_WITHIN: Duration = Duration::from_secs(15 * 60);
/// How long an object may take to go, in modelled time: nodes are drained by the grace of their pods.
const GONE_WITHIN: Duration = Duration::from_secs(30 * 60);
/// On the wall nothing is given up sooner than this, however fast the target's time goes.
const AT_LEAST: Duration = Duration::from_secs(120);
/// A grace where modelled time does not pass.
const MOMENT: Duration = Duration::from_secs(3);
/// Pods are asked why after this much modelled time.
const CURIOUS_AFTER: Duration = Duration::from_secs(45);

pub(crate) struct Objects {
    pub(crate) scope: Scope,
    pub(crate) connections: Arc<Connections>,
    pub(crate) pace: Pace,
    /// Whether fields that others have set are taken over.
    pub(crate) force: bool,
    /// How long what holds nodes that go is respected, in modelled time.
    pub(crate) drain_timeout: Duration,
    /// What others have made and may be deleted: a destroy has named it, and was allowed to.
    pub(crate) claimed: Mutex<BTreeSet<(TypeName, Identifier)>>,
}

impl Objects {
    /// Applies an object that is not known to be there.
    pub(crate) async fn create(
        &self,
        type_name: &TypeName,
        document: &Json,
    ) -> Result<Progress, ProviderError> {
        let wanted = Wanted::of(type_name, document)?;
        let result = self.create_wanted(type_name, &wanted, document).await;
        self.noted(&wanted.place, result).await
    }

    async fn create_wanted(
        &self,
        type_name: &TypeName,
        wanted: &Wanted,
        document: &Json,
    ) -> Result<Progress, ProviderError> {
        let (cluster, kind) = self.reach(type_name, &wanted.place).await?;
        let mut force = self.force || wanted.force;
        if let Some(live) = cluster.get(&kind, &wanted.place, Purpose::Change).await? {
            refuse_if_going(&live, &kind, &wanted.place)?;
            if owner::belongs_to(&live, &self.scope) {
                let its = owner::address(&live);
                let ours = owner::address(&document[in_cluster::MANIFEST]);
                if let Some(other) = its.filter(|its| ours.is_some_and(|ours| ours != *its)) {
                    return Err(error(
                        ErrorClass::NotReady,
                        "OtherAddress",
                        format!(
                            "{} {} is `{other}` of this environment, and is deleted before it comes again",
                            kind.kind,
                            wanted.place.words()
                        ),
                    ));
                }
            } else if wanted.adopt || owner::is_handed_over(&live, &self.scope) {
                // Consent to take it over is consent to what it is to be.
                force = true;
            } else {
                return Err(self.foreign(&kind, &wanted.place, &live));
            }
        }
        self.apply(&cluster, &kind, wanted, force).await
    }

    /// Applies an object that is known. One that is gone comes again.
    pub(crate) async fn update(
        &self,
        type_name: &TypeName,
        document: &Json,
    ) -> Result<Progress, ProviderError> {
        let wanted = Wanted::of(type_name, document)?;
        let result = async {
            let (cluster, kind) = self.reach(type_name, &wanted.place).await?;
            if let Some(live) = cluster.get(&kind, &wanted.place, Purpose::Change).await? {
                refuse_if_going(&live, &kind, &wanted.place)?;
                let touched = owner::applied_fields(&live).is_some();
                if !touched && !owner::belongs_to(&live, &self.scope) {
                    return Err(self.foreign(&kind, &wanted.place, &live));
                }
            }
            let force = self.force || wanted.force;
            self.apply(&cluster, &kind, &wanted, force).await
        };
        let result = result.await;
        self.noted(&wanted.place, result).await
    }

    async fn apply(
        &self,
        cluster: &Cluster,
        kind: &Kind,
        wanted: &Wanted,
        force: bool,
    ) -> Result<Progress, ProviderError> {
        let place = &wanted.place;
        if kind.namespaced != place.namespace.is_some() {
            let is = if kind.namespaced { "is" } else { "is not" };
            return Err(error(
                ErrorClass::Terminal,
                "InvalidManifest",
                format!("a {} {is} in a namespace", kind.kind),
            ));
        }
        let live = match cluster.apply(kind, place, &wanted.manifest, force).await {
            Ok(live) => live,
            // Its namespace is not there yet, or its kind was there a moment ago.
            Err(absent) if absent.class == ErrorClass::NotFound => {
                return Err(ProviderError {
                    class: ErrorClass::NotReady,
                    ..absent
                });
            }
            Err(error) => return Err(error),
        };
        let since = now();
        let operation = Operation::Apply {
            place: place.clone(),
            since,
        };
        self.stands(cluster, place, &operation, since, &live).await
    }

    /// Asks how an operation stands.
    pub(crate) async fn poll(
        &self,
        type_name: &TypeName,
        token: &RequestToken,
    ) -> Result<Progress, ProviderError> {
        let unknown = || {
            error(
                ErrorClass::OperationUnknown,
                "UnknownOperation",
                format!("{token} is no operation in a cluster"),
            )
        };
        let operation = Operation::of(token).ok_or_else(unknown)?;
        let (Operation::Apply { place, .. } | Operation::Delete { place, .. }) = &operation;
        let result = match &operation {
            Operation::Apply { since, .. } => {
                self.follow(type_name, place, &operation, *since).await
            }
            Operation::Delete { uid, since, .. } => {
                self.gone(type_name, place, uid, &operation, *since).await
            }
        };
        self.noted(place, result).await
    }

    async fn follow(
        &self,
        type_name: &TypeName,
        place: &Place,
        operation: &Operation,
        since: u64,
    ) -> Result<Progress, ProviderError> {
        let (cluster, kind) = self.reach(type_name, place).await?;
        let Some(live) = cluster.get(&kind, place, Purpose::Change).await? else {
            let failed = error(
                ErrorClass::Retryable,
                "Gone",
                format!("somebody has deleted {} {}", kind.kind, place.words()),
            );
            return Ok(ended(None, Status::Failed(failed)));
        };
        self.stands(&cluster, place, operation, since, &live).await
    }

    /// How an object stands that was applied.
    async fn stands(
        &self,
        cluster: &Cluster,
        place: &Place,
        operation: &Operation,
        since: u64,
        live: &Json,
    ) -> Result<Progress, ProviderError> {
        let identifier = Some(place.identifier()?);
        let kind = live["kind"].as_str().unwrap_or("object");
        let about = format!("{kind} {}", place.words());
        let missing = match readiness(live) {
            Readiness::Ready => return Ok(ended(identifier, Status::Success)),
            Readiness::Progressing(_) if waits_for_a_pod(cluster, live).await? => {
                return Ok(ended(identifier, Status::Success));
            }
            Readiness::Failed(why) => {
                let pods = pods_say(cluster, place, live).await.unwrap_or_default();
                let failed = error(
                    ErrorClass::Terminal,
                    "Failed",
                    format!("{about} will not become ready: {why}{pods}"),
                );
                return Ok(ended(identifier, Status::Failed(failed)));
            }
            Readiness::Progressing(missing) => missing,
        };
        let pods = if self.has_passed(since, CURIOUS_AFTER, Duration::from_secs(2)) {
            pods_say(cluster, place, live).await.unwrap_or_default()
        } else {
            String::new()
        };
        if self.has_passed(since, READY_WITHIN, AT_LEAST) {
            let minutes = READY_WITHIN.as_secs() / 60;
            let failed = error(
                ErrorClass::Terminal,
                "NotReadyInTime",
                format!("{about} is not ready after {minutes} minutes: {missing}{pods}"),
            );
            return Ok(ended(identifier, Status::Failed(failed)));
        }
        Ok(Progress {
            operation: Some(operation.token()?),
            identifier,
            status: Status::InProgress,
            retry_after: None,
            note: Some(format!("{missing}{pods}")),
        })
    }

    /// Deletes an object, and waits for whatever holds it.
    pub(crate) async fn delete(
        &self,
        type_name: &TypeName,
        place: &Place,
    ) -> Result<Progress, ProviderError> {
        let result = self.delete_at(type_name, place).await;
        self.noted(place, result).await
    }

    async fn delete_at(
        &self,
        type_name: &TypeName,
        place: &Place,
    ) -> Result<Progress, ProviderError> {
        let done = || ended(None, Status::Success);
        let Some((cluster, kind)) = self.look(type_name, place, Purpose::Change).await? else {
            return Ok(done());
        };
        let Some(live) = cluster.get(&kind, place, Purpose::Change).await? else {
            return Ok(done());
        };
        let ours = owner::belongs_to(&live, &self.scope) || owner::applied_fields(&live).is_some();
        let claimed = !ours && self.is_claimed(type_name, place)?;
        if !ours && !claimed {
            // Ours is gone, and somebody has made another one of the name.
            return Ok(done());
        }
        let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
        let since = Since {
            ours: now(),
            told: match drain::drains(type_name) {
                true => cluster.time().await?,
                false => None,
            },
        };
        let operation = Operation::Delete {
            place: place.clone(),
            uid: uid.to_owned(),
            since,
        };
        let waits = claimed && contents::is_waited_for(type_name);
        if !waits && !live["metadata"]["deletionTimestamp"].is_string() {
            // What has pods is gone when they are, and a pool of nodes when it has none.
            let foreground = ["apps/", "batch/", "karpenter.sh/"]
                .iter()
                .any(|group| kind.api_version.starts_with(group));
            match cluster.delete(&kind, place, uid, foreground).await {
                Ok(_) => {}
                // Another one has the name: ours is gone.
                Err(conflict) if conflict.code == "Conflict" => return Ok(done()),
                Err(error) => return Err(error),
            }
        }
        self.gone(type_name, place, uid, &operation, since).await
    }

    async fn gone(
        &self,
        type_name: &TypeName,
        place: &Place,
        uid: &str,
        operation: &Operation,
        since: Since,
    ) -> Result<Progress, ProviderError> {
        let done = ended(None, Status::Success);
        let Some((cluster, kind)) = self.look(type_name, place, Purpose::Change).await? else {
            return Ok(done);
        };
        let live = match cluster.get(&kind, place, Purpose::Change).await? {
            Some(live) if live["metadata"]["uid"].as_str().unwrap_or_default() == uid => live,
            _ => return Ok(done),
        };
        let mut stays = why::it_stays(&live);
        let mut within = GONE_WITHIN;
        let mut passed = self.passed(since.ours);
        if drain::drains(type_name) {
            within += self.drain_timeout;
            // A grace is the cluster's time, which stands still while a sandbox does not run: ours is believed as long as
            // some of it is left, and asked about when it is over.
            if self.left(passed, self.drain_timeout).is_none()
                && let Some(told) = since.told
                && let Some(time) = cluster.time().await?
            {
                passed = passed.min(Duration::from_secs(time.saturating_sub(told)));
            }
            let left = self.left(passed, self.drain_timeout);
            let drain = drain::look(&cluster, type_name, &place.name).await?;
            stays = drain.note(left).unwrap_or(stays);
            if left.is_none() {
                drain.override_what_holds(&cluster, place).await?;
            }
        }
        let is_over = match self.pace.scale().is_infinite() {
            true => passed >= AT_LEAST,
            false => passed >= within,
        };
        if is_over && self.has_passed(since.ours, within, AT_LEAST) {
            let failed = error(
                ErrorClass::Terminal,
                "StillThere",
                format!(
                    "{} {} was deleted and {stays}. Whoever has set a finalizer takes it away when its work is done: look at \
                     that controller's log; if it is gone for good, take the finalizer away with kubectl",
                    kind.kind,
                    place.words()
                ),
            );
            return Ok(ended(Some(place.identifier()?), Status::Failed(failed)));
        }
        Ok(Progress {
            operation: Some(operation.token()?),
            identifier: None,
            status: Status::InProgress,
            retry_after: None,
            // Whoever shows it says by itself that it waits.
            note: Some(stays.strip_prefix("waits ").unwrap_or(&stays).to_owned()),
        })
    }

    /// Reads an object. `applied` is what we have applied; without it, all of the object but what is secret in it.
    pub(crate) async fn read(
        &self,
        type_name: &TypeName,
        place: &Place,
        applied: Option<&Json>,
    ) -> Result<Option<Json>, ProviderError> {
        let result = self.read_at(type_name, place, applied).await;
        self.noted(place, result).await
    }

    async fn read_at(
        &self,
        type_name: &TypeName,
        place: &Place,
        applied: Option<&Json>,
    ) -> Result<Option<Json>, ProviderError> {
        let Some((cluster, kind)) = self.look(type_name, place, Purpose::Look).await? else {
            return Ok(None);
        };
        let Some(mut live) = cluster.get(&kind, place, Purpose::Look).await? else {
            return Ok(None);
        };
        let mut status = live["status"].take();
        if let Some(status) = status.as_object_mut() {
            // They change all the time, and nobody refers to them.
            status.remove("conditions");
        }
        let uid = live["metadata"]["uid"].clone();
        let manifest = match applied.map(|applied| &applied[in_cluster::MANIFEST]) {
            Some(applied) if applied.is_object() => {
                observe(applied, &live, owner::applied_fields(&live))
            }
            _ => bare(live),
        };
        Ok(Some(json!({
            in_cluster::CLUSTER: place.cluster,
            in_cluster::MANIFEST: manifest,
            "Status": status,
            "Uid": uid,
        })))
    }

    /// Looks for an object that is ours.
    pub(crate) async fn find(
        &self,
        address: &Address,
        type_name: &TypeName,
        desired: &Json,
    ) -> Result<Option<Identifier>, ProviderError> {
        let Some(text) = in_cluster::identifier(type_name, desired) else {
            return Ok(None);
        };
        let place: Place = text.parse()?;
        let result = async {
            let Some((cluster, kind)) = self.look(type_name, &place, Purpose::Look).await? else {
                return Ok(None);
            };
            cluster.get(&kind, &place, Purpose::Look).await
        };
        let result = result.await;
        let Some(live) = self.noted(&place, result).await? else {
            return Ok(None);
        };
        let stays = !live["metadata"]["deletionTimestamp"].is_string();
        let at = owner::address(&live).is_none_or(|its| its == address.as_str());
        let ours = owner::belongs_to(&live, &self.scope) && at && stays;
        ours.then(|| place.identifier()).transpose()
    }

    /// Everything in a cluster that carries the scope's labels and that we have applied. What controllers make of our
    /// objects may carry the labels too; it is theirs.
    pub(crate) async fn owned(&self, cluster: &str) -> Result<Vec<Owned>, ProviderError> {
        let Some(open) = self.connections.cluster(cluster).await? else {
            return Ok(Vec::new());
        };
        let labels = self.labels();
        let mut owned = Vec::new();
        for version in open.versions().await? {
            let kinds = open.kinds_of(&version, Purpose::Look).await?;
            for kind in kinds.into_iter().filter(|kind| kind.listed) {
                let objects = open.list(&kind, None, &labels).await?;
                let ours = objects
                    .iter()
                    .filter(|object| owner::applied_fields(object).is_some());
                owned.extend(ours.map(|object| Owned {
                    arn: arn(cluster, &kind, object),
                    address: owner::address(object).and_then(|text| Address::new(text).ok()),
                }));
            }
        }
        Ok(owned)
    }

    /// The labels that select what is the scope's.
    pub(crate) fn labels(&self) -> String {
        let Scope {
            platform,
            environment,
            ..
        } = &self.scope;
        format!(
            "{}={platform},{}={environment}",
            owner_labels::PLATFORM,
            owner_labels::ENVIRONMENT
        )
    }

    async fn reach(
        &self,
        type_name: &TypeName,
        place: &Place,
    ) -> Result<(Cluster, Kind), ProviderError> {
        let cluster = self.connections.present(&place.cluster).await?;
        let kind = cluster.kind(type_name, Purpose::Change).await?;
        Ok((cluster, kind))
    }

    /// The cluster and the kind; none when one of them is not there, and the object with it.
    async fn look(
        &self,
        type_name: &TypeName,
        place: &Place,
        purpose: Purpose,
    ) -> Result<Option<(Cluster, Kind)>, ProviderError> {
        let Some(cluster) = self.connections.cluster(&place.cluster).await? else {
            return Ok(None);
        };
        match cluster.kind(type_name, purpose).await {
            Ok(kind) => Ok(Some((cluster, kind))),
            Err(absent) if absent.code == "NoMatch" => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes note of errors that tell that the connection is not good any more.
    async fn noted<T>(
        &self,
        place: &Place,
        result: Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        if let Err(error) = &result {
            self.connections.doubt(&place.cluster, error).await;
        }
        result
    }

    fn has_passed(&self, since: u64, modelled: Duration, at_least: Duration) -> bool {
        let passed = Duration::from_secs(now().saturating_sub(since));
        let in_the_model = self.pace.modelled(passed);
        passed >= at_least && in_the_model.is_none_or(|passed| passed >= modelled)
    }

    /// How much has passed at the target by our clock. Where nothing is waited for, its clock keeps the pace of ours.
    fn passed(&self, since: u64) -> Duration {
        let passed = Duration::from_secs(now().saturating_sub(since));
        self.pace.modelled(passed).unwrap_or(passed)
    }

    /// What is left of a grace of which so much has passed; none when it is over. Where nothing is waited for, a moment has
    /// to do.
    fn left(&self, passed: Duration, grace: Duration) -> Option<Duration> {
        let passed = match self.pace.scale().is_infinite() {
            true if passed >= MOMENT => grace,
            true => Duration::ZERO,
            false => passed,
        };
        grace.checked_sub(passed).filter(|left| !left.is_zero())
    }

    /// Allows to delete something that others have made.
    pub(crate) fn claim(&self, type_name: &TypeName, identifier: &Identifier) {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.insert((type_name.clone(), identifier.clone()));
    }

    fn is_claimed(&self, type_name: &TypeName, place: &Place) -> Result<bool, ProviderError> {
        let key = (type_name.clone(), place.identifier()?);
        let claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(claimed.contains(&key))
    }

    fn foreign(&self, kind: &Kind, place: &Place, live: &Json) -> ProviderError {
        let (what, name) = (&kind.kind, place.words());
        let namespace = place
            .namespace
            .as_ref()
            .map(|namespace| format!(" -n {namespace}"))
            .unwrap_or_default();
        error(
            ErrorClass::AlreadyExists,
            "NotOurs",
            format!(
                "there is a {what} {name} already, and it is not this environment's: {}. Delete it, give ours another name, or \
                 hand it over: kubectl annotate {}{namespace} {} {}={}",
                owner::whose(live),
                kind.plural,
                place.name,
                owner_labels::ADOPT,
                self.scope.name()
            ),
        )
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs())
}

pub(crate) fn ended(identifier: Option<Identifier>, status: Status) -> Progress {
    Progress {
        operation: None,
        identifier,
        status,
        retry_after: None,
        note: None,
    }
}

/// An object that is on its way out can't be applied to: the name is free when it is gone.
fn refuse_if_going(live: &Json, kind: &Kind, place: &Place) -> Result<(), ProviderError> {
    if !live["metadata"]["deletionTimestamp"].is_string() {
        return Ok(());
    }
    Err(error(
        ErrorClass::NotReady,
        "BeingDeleted",
        format!(
            "{} {} is being deleted and {}",
            kind.kind,
            place.words(),
            why::it_stays(live)
        ),
    ))
}

/// Whether it is a claim that gets its volume when a pod wants it, and not before.
async fn waits_for_a_pod(cluster: &Cluster, live: &Json) -> Result<bool, ProviderError> {
    if live["kind"] != "PersistentVolumeClaim" || live["status"]["phase"] == "Lost" {
        return Ok(false);
    }
    let Some(class) = live["spec"]["storageClassName"].as_str() else {
        return Ok(false);
    };
    let kind = Kind {
        api_version: "storage.k8s.io/v1".to_owned(),
        plural: "storageclasses".to_owned(),
        kind: "StorageClass".to_owned(),
        namespaced: false,
        listed: true,
    };
    let place = Place {
        cluster: String::new(),
        namespace: None,
        name: class.to_owned(),
    };
    let class = cluster.get(&kind, &place, Purpose::Change).await?;
    Ok(class.is_some_and(|class| class["volumeBindingMode"] == "WaitForFirstConsumer"))
}

/// What the pods of a workload say, to be put behind what is missing.
async fn pods_say(cluster: &Cluster, place: &Place, live: &Json) -> Option<String> {
    let kind = Kind {
        api_version: "v1".to_owned(),
        plural: "pods".to_owned(),
        kind: "Pod".to_owned(),
        namespaced: true,
        listed: true,
    };
    let selector = why::selector(live)?;
    let namespace = place.namespace.as_deref();
    // That they can't be asked is no news beside what they are asked about.
    let pods = cluster.list(&kind, namespace, &selector).await.ok()?;
    why::of_pods(&pods).map(|reasons| format!(" ({reasons})"))
}

/// An object without what nobody compares, and without what is secret.
fn bare(mut live: Json) -> Json {
    if let Some(metadata) = live["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
    }
    if live["kind"] == "Secret"
        && let Some(secret) = live.as_object_mut()
    {
        secret.remove("data");
        secret.remove("stringData");
    }
    live
}

/// A name for an object that tells it from all others, as an ARN does.
fn arn(cluster: &str, kind: &Kind, object: &Json) -> String {
    let metadata = &object["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    let namespace = match text("namespace") {
        "" => String::new(),
        namespace => format!("{namespace}/"),
    };
    format!(
        "kubernetes://{cluster}/{}/{}/{namespace}{}",
        kind.api_version,
        kind.kind,
        text("name")
    )
}
