//! The server: one port on loopback for all services and for the control of the sandbox itself.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::aws::account::{Account, AccountOptions};
use crate::aws::credentials::{Credentials, random_bytes, write_private};
use crate::aws::faults::Faults;
use crate::aws::router::{Routed, route};
use crate::aws::wire::{Reply, Request};
use crate::aws::world::World;
use crate::clock::{AHEAD, SystemClock, TimeScale, WallClock};
use crate::kubernetes::clusters;
use crate::kubernetes::endpoints::Endpoints;
use crate::{Error, Settings, charts, control};

/// The port that is tried first.
pub const DEFAULT_PORT: u16 = 4577;
/// The region of a world unless it is told another one.
pub const DEFAULT_REGION: &str = "us-east-1";
/// The longest request body: two documents of Cloud Control, escaped, and some more.
const LONGEST_BODY: usize = 4 << 20;
/// How long a server that is told to end lets running calls finish.
const GRACE: Duration = Duration::from_secs(2);

/// What a server is started with. All but the folder is kept in it (`options.json`), for the next start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeOptions {
    /// The world's folder.
    #[serde(skip)]
    pub dir: PathBuf,
    /// The port; 0 for any free one, `None` for [`DEFAULT_PORT`] or else any free one.
    pub port: Option<u16>,
    /// How fast modelled time runs.
    pub time_scale: TimeScale,
    /// The account's twelve digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// Quotas, delays, limits.
    pub settings: Settings,
    /// What identifiers are made from, if the world is new; random unless given.
    pub seed: Option<u64>,
    /// Whether the process leaves the terminal that started it.
    #[serde(skip)]
    pub detached: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            port: None,
            time_scale: TimeScale::DEFAULT,
            account: World::DEFAULT_ACCOUNT.to_owned(),
            region: DEFAULT_REGION.to_owned(),
            settings: Settings::default(),
            seed: None,
            detached: false,
        }
    }
}

impl ServeOptions {
    /// Those of the world in `dir`: what it was started with last, or the defaults.
    ///
    /// # Errors
    /// When they cannot be read or understood.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("options.json");
        let stored = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| Error::file("cannot read", &path)(error.into()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(error) => return Err(Error::file("cannot read", &path)(error)),
        };
        Ok(Self {
            dir: dir.to_owned(),
            ..stored
        })
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what, value: &str| Error::Option {
            what,
            value: value.to_owned(),
        };
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong("an account of twelve digits", &self.account));
        }
        if !catalog::regions::is_known(&self.region) {
            return Err(wrong("a region of AWS", &self.region));
        }
        Ok(())
    }

    /// Keeps them in the world's folder.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let json = serde_json::to_vec_pretty(self).expect("options have string keys");
        write_private(&self.dir.join("options.json"), &json)
    }
}

/// What a running server leaves in its folder for those who look for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerFile {
    pub(crate) pid: u32,
    pub(crate) port: u16,
    pub(crate) version: String,
}

impl ServerFile {
    pub(crate) fn path(dir: &Path) -> PathBuf {
        dir.join("server.json")
    }

    pub(crate) fn load(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(Self::path(dir)).ok()?).ok()
    }
}

/// Makes a folder that only its owner can look into, unless it is there.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), Error> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.map_err(Error::file("cannot make", dir))
}

fn lock_file(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let opened = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path);
    opened.map_err(Error::file("cannot open", &path))
}

/// Takes the world's folder for one server; the lock goes with the file, however the process ends.
pub(crate) fn lock(dir: &Path) -> Result<Option<File>, Error> {
    let file = lock_file(dir)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(Error::file("cannot lock", &dir.join("lock"))(error))
        }
    }
}

/// Whether a server has the world's folder. Those who only look share the lock, so that a server can tell them from another
/// server.
pub(crate) fn is_locked(dir: &Path) -> Result<bool, Error> {
    match lock_file(dir)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => {
            Err(Error::file("cannot lock", &dir.join("lock"))(error))
        }
    }
}

/// Takes the folder even while those who only look whether a server runs hold the lock for an instant. A server that has it is
/// not waited for: who stops that one does not expect this one in its place.
async fn lock_patiently(dir: &Path) -> Result<File, Error> {
    for _ in 0..100 {
        if let Some(lock) = lock(dir)? {
            return Ok(lock);
        }
        if is_locked(dir)? {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(Error::Locked(dir.to_owned()))
}

/// What every request is answered from.
pub(crate) struct Shared {
    pub(crate) account: Arc<Account>,
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) control_token: String,
    pub(crate) port: u16,
    pub(crate) shutdown: watch::Sender<bool>,
}

/// A server that has its port and its world and serves neither yet.
struct Opened {
    shared: Arc<Shared>,
    listener: TcpListener,
    _lock: File,
}

async fn open(
    options: &ServeOptions,
    faults: Faults,
    wall: Arc<dyn WallClock>,
    on_stop: Box<dyn Fn() + Send + Sync>,
) -> Result<Opened, Error> {
    let dir = &options.dir;
    options.check()?;
    make_private_dir(dir)?;
    let lock = lock_patiently(dir).await?;
    // What an earlier server left would lead to a port that is no longer ours.
    if let Err(error) = std::fs::remove_file(ServerFile::path(dir))
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Error::file("cannot remove", &ServerFile::path(dir))(error));
    }
    let endpoints = Arc::new(Endpoints::open(&dir.join("kubernetes"))?);
    let account_options = AccountOptions {
        account: options.account.clone(),
        region: options.region.clone(),
        settings: options.settings.clone(),
        time_scale: options.time_scale,
        seed: options.seed,
        faults,
        wall,
        on_stop,
        endpoints: endpoints.clone(),
    };
    let account = Arc::new(Account::open(dir, account_options)?);
    let control_token = hex::encode(random_bytes());
    write_private(&dir.join("control-token"), control_token.as_bytes())?;
    let listener = listen(options.port).await?;
    let port = listener
        .local_addr()
        .map_err(|source| Error::Listen { port: 0, source })?
        .port();
    let server = ServerFile {
        pid: std::process::id(),
        port,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let json = serde_json::to_vec(&server).expect("a number and two texts are JSON");
    write_private(&ServerFile::path(dir), &json)?;
    let shared = Shared {
        account,
        endpoints,
        control_token,
        port,
        shutdown: watch::Sender::new(false),
    };
    Ok(Opened {
        shared: Arc::new(shared),
        listener,
        _lock: lock,
    })
}

async fn listen(port: Option<u16>) -> Result<TcpListener, Error> {
    let bind = |port: u16| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let wanted = port.unwrap_or(DEFAULT_PORT);
    match bind(wanted).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => match port {
            Some(port) => Err(Error::PortInUse { port }),
            None => bind(0)
                .await
                .map_err(|source| Error::Listen { port: 0, source }),
        },
        Err(source) => Err(Error::Listen {
            port: wanted,
            source,
        }),
    }
}

/// Serves until the shutdown is asked for, then lets running calls finish.
async fn run(opened: Opened) -> Result<(), Error> {
    let Opened {
        shared,
        listener,
        _lock,
    } = opened;
    let port = shared.port;
    let ticking = tokio::spawn(tick(Arc::clone(&shared)));
    let clusters = tokio::spawn(clusters::run(
        Arc::clone(&shared.account),
        Arc::clone(&shared.endpoints),
        shared.shutdown.subscribe(),
    ));
    let app = Router::new()
        .fallback(answer)
        .with_state(Arc::clone(&shared));
    let mut asked = shared.shutdown.subscribe();
    let ended = {
        let mut asked = shared.shutdown.subscribe();
        async move {
            let _ = asked.wait_for(|asked| *asked).await;
        }
    };
    let serving = std::future::IntoFuture::into_future(
        axum::serve(listener, app).with_graceful_shutdown(ended),
    );
    let served = tokio::select! {
        served = serving => served,
        () = async {
            let _ = asked.wait_for(|asked| *asked).await;
            tokio::time::sleep(GRACE).await;
        } => Ok(()),
    };
    // Their stores are whole at any moment; in order is quicker for the next start.
    let _ = tokio::time::timeout(GRACE, clusters).await;
    ticking.abort();
    shared.account.mark_time(Duration::ZERO);
    served.map_err(|source| Error::Listen { port, source })
}

/// Keeps the modelled time, twice before what was kept has come.
async fn tick(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(AHEAD / 2);
    loop {
        interval.tick().await;
        shared.account.mark_time(AHEAD);
    }
}

/// Answers one request.
async fn answer(State(shared): State<Arc<Shared>>, request: http::Request<Body>) -> Response {
    let request_id = uuid::Uuid::new_v4().to_string();
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LONGEST_BODY).await else {
        return respond(
            Reply {
                status: 413,
                content_type: "text/plain",
                body: b"the request is too large".to_vec(),
            },
            &request_id,
        );
    };
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: body.into(),
    };
    if request.path.starts_with(control::PREFIX) {
        return respond(control::answer(&shared, &request), &request_id);
    }
    if charts::is_ours(&request.path) {
        let reply = charts::answer(&request);
        let digest = charts::digest(&reply.body);
        let mut response = respond(reply, &request_id);
        // Clients of registries ask for the head alone and want to know what the whole is.
        if let Ok(digest) = HeaderValue::from_str(&digest) {
            response
                .headers_mut()
                .insert("docker-content-digest", digest);
        }
        return response;
    }
    // No call waits for anything but the world's lock and one write to a file, so none has to leave this thread. One that panics
    // has changed nothing: changes are made by what is on disk already.
    let routed = catch_unwind(AssertUnwindSafe(|| {
        route(&shared.account, &request, &request_id)
    }));
    match routed {
        Ok(Routed::Reply(reply)) => {
            let target = request.header("x-amz-target");
            tracing::debug!(
                target,
                path = request.path,
                status = reply.status,
                "answered"
            );
            respond(reply, &request_id)
        }
        Ok(Routed::Stopped) => std::future::pending().await,
        Err(_) => {
            let body = br#"{"__type":"ServiceInternalErrorException","Message":"The sandbox has a bug: its log tells where."}"#;
            let reply = Reply {
                status: 500,
                content_type: "application/x-amz-json-1.0",
                body: body.to_vec(),
            };
            respond(reply, &request_id)
        }
    }
}

fn respond(reply: Reply, request_id: &str) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static(reply.content_type),
    );
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// The faults that the world was left with.
fn stored_faults(dir: &Path) -> Result<Faults, Error> {
    let path = dir.join("faults.json");
    if path.exists() {
        Faults::load(&path)
    } else {
        Ok(Faults::default())
    }
}

/// Runs the server in this process until it is told to end, by its control endpoint or by SIGTERM or SIGINT.
///
/// # Errors
/// When the world or the port cannot be had, or the port is lost.
pub async fn serve(options: ServeOptions) -> Result<(), Error> {
    if options.detached {
        // A session of its own: neither the terminal's end nor its Ctrl-C reaches this process. It fails only for the leader of
        // a process group, which is as good.
        let _ = rustix::process::setsid();
    }
    let faults = stored_faults(&options.dir)?;
    let on_stop = Box::new(|| std::process::abort());
    let opened = open(&options, faults, Arc::new(SystemClock::default()), on_stop).await?;
    tracing::info!(port = opened.shared.port, dir = %options.dir.display(), time_scale = %options.time_scale, "the sandbox runs");
    let shutdown = opened.shared.shutdown.clone();
    let signals = tokio::spawn(async move {
        ended_by_signal().await;
        shutdown.send_replace(true);
    });
    let served = run(opened).await;
    signals.abort();
    // Faults are for the run that they were ordered for; after a sudden end, what is left of them goes on.
    for left in [
        ServerFile::path(&options.dir),
        options.dir.join("faults.json"),
    ] {
        if let Err(error) = std::fs::remove_file(&left)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %left.display(), %error, "could not be removed");
        }
    }
    tracing::info!("the sandbox ends");
    served
}

async fn ended_by_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("signals cannot be listened for");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// A server inside another program, for tests: in threads of its own, on any free port, that can be killed like a process.
#[derive(Debug)]
pub struct Server {
    port: u16,
    region: String,
    dir: PathBuf,
    credentials: Credentials,
    end: mpsc::Sender<End>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// Running calls finish, the time is kept.
    Clean,
    /// Every connection breaks; nothing is written any more.
    Sudden,
}

impl Server {
    /// Starts a server on the world in `options.dir`.
    ///
    /// # Errors
    /// When the world or the port cannot be had.
    pub fn start(options: ServeOptions, faults: Faults) -> Result<Self, Error> {
        Self::start_with_clock(options, faults, Arc::new(SystemClock::default()))
    }

    /// Starts a server whose wall clock is `wall`.
    ///
    /// # Errors
    /// When the world or the port cannot be had.
    pub fn start_with_clock(
        options: ServeOptions,
        faults: Faults,
        wall: Arc<dyn WallClock>,
    ) -> Result<Self, Error> {
        let (end, ends) = mpsc::channel();
        let (ready, readiness) = mpsc::channel();
        let (dir, region) = (options.dir.clone(), options.region.clone());
        let on_stop = {
            let end = end.clone();
            Box::new(move || {
                let _ = end.send(End::Sudden);
            })
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build();
            let opened = match runtime {
                Err(source) => Err(Error::Listen { port: 0, source }),
                Ok(runtime) => runtime
                    .block_on(open(&options, faults, wall, on_stop))
                    .map(|opened| (runtime, opened)),
            };
            let (runtime, opened) = match opened {
                Ok(parts) => parts,
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let shutdown = opened.shared.shutdown.clone();
            let _ = ready.send(Ok((
                opened.shared.port,
                opened.shared.account.credentials().clone(),
            )));
            let running = runtime.spawn(run(opened));
            // A handle that was dropped ends its server.
            if let Ok(End::Clean) = ends.recv() {
                shutdown.send_replace(true);
                let _ = runtime.block_on(running);
            }
            runtime.shutdown_timeout(GRACE);
        });
        let broken = || Error::NotReady {
            reason: "its thread ended".to_owned(),
            log: dir.join("server.log"),
        };
        let (port, credentials) = readiness.recv().map_err(|_| broken())??;
        Ok(Self {
            port,
            region,
            dir,
            credentials,
            end,
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its access key.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The world's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What an AWS client needs in its environment to talk to it.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        crate::process::environment(self.port, &self.region, &self.credentials)
    }

    /// Ends it as SIGKILL would: every connection breaks, and what was not on disk is lost.
    pub fn kill(mut self) {
        self.finish(End::Sudden);
    }

    /// Ends it in order.
    pub fn shutdown(mut self) {
        self.finish(End::Clean);
    }

    /// Waits until it has ended by itself, as a fault ordered.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn finish(&mut self, end: End) {
        let _ = self.end.send(end);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.finish(End::Sudden);
    }
}
