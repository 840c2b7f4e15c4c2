//! The API servers that run: one for each EKS cluster that there is, from its creation to its deletion.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use apiserver::ApiServer;
use catalog::TypeName;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::addons::Addons;
use super::endpoints::Endpoints;
use super::load::{SimulatedLogs, SimulatedMetrics};
use super::runtime::Runtime;
use super::time::ClusterTime;
use super::token::EksTokens;
use super::{controllers_of, serve};
use crate::Error;
use crate::aws::account::Account;
use crate::aws::kinds::ClusterEndpoints;
use crate::aws::state::Mutation;
use crate::aws::wire::ServiceError;
use crate::aws::world::{Entry, Phase};

const CLUSTER: TypeName = TypeName::new("AWS::EKS::Cluster");
/// How long a server that could not be started waits before it is tried again.
const RETRY: Duration = Duration::from_secs(2);
/// How often it is looked whether the servers that should run do.
const LOOK: Duration = Duration::from_secs(10);

/// What is known of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cluster {
    /// 32 hexadecimal digits.
    id: String,
    name: String,
    version: String,
    issuer: String,
    service_cidr: String,
}

impl Cluster {
    fn of(entry: &Entry) -> Option<Self> {
        let at = |pointer: &str| entry.model.pointer(pointer).and_then(Value::as_str);
        let issuer = at("/OpenIdConnectIssuerUrl")?;
        Some(Self {
            id: issuer.rsplit('/').next()?.to_owned(),
            name: entry.identifier.clone(),
            version: at("/Version")?.to_owned(),
            issuer: issuer.to_owned(),
            service_cidr: at("/KubernetesNetworkConfig/ServiceIpv4Cidr")?.to_owned(),
        })
    }
}

/// A server that runs, with its controllers.
struct Running {
    stop: watch::Sender<bool>,
    version: String,
    serving: JoinHandle<()>,
    controlling: std::thread::JoinHandle<()>,
    server: ApiServer,
}

/// Keeps an API server running for each cluster, until told to stop.
pub(crate) async fn run(
    account: Arc<Account>,
    endpoints: Arc<Endpoints>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let time = ClusterTime::open(endpoints.root(), account.clone())?;
    let mut running: BTreeMap<String, Running> = BTreeMap::new();
    let mut world = account.changes();
    loop {
        world.borrow_and_update();
        // Before the world is asked: a cluster gets its place while it is being made, and is in the world after that.
        let places = endpoints.known();
        let Ok((there, reserved)) = clusters(&account) else {
            // What is not known to be gone stays.
            tokio::select! {
                () = tokio::time::sleep(RETRY) => continue,
                _ = stop.wait_for(|stop| *stop) => break,
            }
        };
        let gone: Vec<String> = running
            .iter()
            .filter(|(id, running)| {
                let is_meant = |cluster: &Cluster| cluster.version == running.version;
                !there.get(*id).is_some_and(is_meant) || running.controlling.is_finished()
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            if let Some(running) = running.remove(&id) {
                running.end().await;
            }
        }
        for id in places {
            if !there.contains_key(&id) && !reserved.contains(&id) {
                let removed = endpoints.remove(&id);
                if let Err(error) = removed {
                    tracing::warn!(cluster = id, %error, "what a cluster has left could not be removed");
                }
            }
        }
        let mut again = LOOK;
        for (id, cluster) in there {
            if running.contains_key(&id) {
                continue;
            }
            match start(&cluster, &account, &endpoints, &time) {
                Ok(started) => {
                    running.insert(id, started);
                }
                Err(reason) => {
                    tracing::error!(
                        cluster = cluster.name,
                        reason,
                        "the API server can't be started"
                    );
                    again = RETRY;
                }
            }
        }
        tokio::select! {
            _ = world.changed() => {}
            () = tokio::time::sleep(again) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    for (_, running) in running {
        running.end().await;
    }
    Ok(())
}

/// The clusters that can be talked to, and the ids of those that are being made.
fn clusters(account: &Account) -> Result<(BTreeMap<String, Cluster>, Vec<String>), ServiceError> {
    account.session(|session| {
        let mut there = BTreeMap::new();
        let mut made = Vec::new();
        for entry in session.world().of_type(&CLUSTER) {
            let Some(cluster) = Cluster::of(entry) else {
                continue;
            };
            match entry.phase {
                Phase::Ready | Phase::Updating | Phase::Deleting => {
                    there.insert(cluster.id.clone(), cluster);
                }
                Phase::Creating | Phase::Remnant => made.push(cluster.id),
            }
        }
        Ok((there, made))
    })
}

fn start(
    cluster: &Cluster,
    account: &Arc<Account>,
    endpoints: &Endpoints,
    time: &ClusterTime,
) -> Result<Running, String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let tls = endpoints.tls(&cluster.id)?;
    let folder = endpoints.folder(&cluster.id).join("store");
    let listener = match endpoints.listener(&cluster.id) {
        Ok(listener) => listener,
        Err(taken) => {
            let url = endpoints.move_away(&cluster.id)?;
            tracing::warn!(cluster = cluster.name, %taken, url, "its port can't be had: it has another one now");
            endpoints
                .listener(&cluster.id)
                .map_err(|error| format!("its port can't be had: {error}"))?
        }
    };
    let place = endpoints.assign(&cluster.id)?;
    is_at(account, &cluster.id, &place.url)?;
    let authority = place.certificate_authority;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| told(&error))?;
    // The form of EKS's own: a Kubernetes version with the platform's build after it.
    let version = format!("v{}.0-eks-seaworthy", cluster.version);
    let logs = Arc::new(SimulatedLogs);
    let time = time.of_cluster(!folder.exists());
    let metrics = Arc::new(SimulatedMetrics::new(time.clone()));
    let server = ApiServer::open(apiserver::Options {
        folder,
        clock: Arc::new(time.clone()),
        authenticators: vec![Arc::new(EksTokens::new(account.clone(), &cluster.name))],
        logs,
        metrics: metrics.clone(),
        version: version.clone(),
        issuer: cluster.issuer.clone(),
        audiences: vec!["https://kubernetes.default.svc".to_owned()],
        service_cidr: cluster.service_cidr.clone(),
    })
    .map_err(|error| told(&error))?;
    let local = server.local("kube-controller-manager");
    time.go_on(local.registry().store());
    metrics.follow(server.local("metrics-server"));
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(serve::serve(listener, tls, server.clone(), stopped.clone()));
    let runtime = Runtime::new(
        &cluster.name,
        account.clone(),
        time.clone(),
        &local,
        controllers_of(authority.clone(), &version),
        Addons::new(&local, authority),
    );
    let controlling = std::thread::Builder::new()
        .name(format!("controllers-{}", cluster.name))
        .spawn(move || {
            let executor = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            match executor {
                Ok(executor) => executor.block_on(runtime.run(stopped)),
                Err(error) => tracing::error!(%error, "the controllers can't run"),
            }
        })
        .map_err(|error| told(&error))?;
    tracing::info!(cluster = cluster.name, "the API server runs");
    Ok(Running {
        stop,
        version: cluster.version.clone(),
        serving,
        controlling,
        server,
    })
}

/// Tells the world where a cluster's API server is, if it does not know: somebody else may have taken its port.
fn is_at(account: &Account, id: &str, url: &str) -> Result<(), String> {
    let told = account.session(|session| {
        let entry = session
            .world()
            .of_type(&CLUSTER)
            .find(|entry| Cluster::of(entry).is_some_and(|cluster| cluster.id == id))
            .filter(|entry| entry.model["Endpoint"] != url)
            .cloned();
        if let Some(mut entry) = entry {
            entry.model["Endpoint"] = url.into();
            session.change(Mutation::Put(entry));
        }
        Ok(())
    });
    told.map_err(|error| format!("the world can't be told where it is: {}", error.message))
}

impl Running {
    /// Ends the server in order; what was acknowledged is on disk.
    async fn end(self) {
        self.stop.send_replace(true);
        self.server.close();
        let _ = self.serving.await;
        let _ = tokio::task::spawn_blocking(move || self.controlling.join()).await;
    }
}
