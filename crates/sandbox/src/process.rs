//! The sandbox as a process of its own: started on demand, found again by what it leaves in the world's folder, stopped by
//! its control.
//!
//! Whether one runs is told by the lock on the folder, which no end of a process can leave behind; the process id and the
//! port in `server.json` are believed only while the lock is held.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::aws::credentials::{Credentials, write_private};
use crate::aws::faults::Faults;
use crate::aws::services::events::{InstanceEvent, Interrupted};
use crate::clock::TimeScale;
use crate::control::{Interruption, PREFIX, Status, TimeScaleChange};
use crate::server::{ServeOptions, ServerFile, is_locked, lock, make_private_dir};
use crate::{Error, Settings};

/// The hidden first argument of the program that runs the server; the second is the world's folder. The program then calls
/// `serve(ServeOptions { detached: true, ..ServeOptions::load(dir)? })`.
pub const SERVE_ARGUMENT: &str = "__sandbox-serve";
/// How long a start waits for the server to answer, unless told.
pub const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a stop waits before it kills.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// A log above this many bytes is begun anew at a start.
const LOG_LIMIT: u64 = 8 << 20;

/// What a start is asked for. What is `None` stays as it was at the last start, or is the default.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// The port; 0 for any free one.
    pub port: Option<u16>,
    /// How fast modelled time runs.
    pub time_scale: Option<TimeScale>,
    /// The account's twelve digits; a world keeps its own.
    pub account: Option<String>,
    /// The region; a world keeps its own.
    pub region: Option<String>,
    /// Quotas, delays, limits.
    pub settings: Option<Settings>,
    /// What identifiers are made from, if the world is new.
    pub seed: Option<u64>,
    /// The faults on order.
    pub faults: Option<Faults>,
    /// The program that runs the server, in place of this one.
    pub executable: Option<PathBuf>,
    /// Arguments of that program before [`SERVE_ARGUMENT`].
    pub arguments: Vec<OsString>,
    /// How long to wait for the server to answer, in place of [`START_TIMEOUT`].
    pub timeout: Option<Duration>,
}

/// A server that runs.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The world's folder.
    pub dir: PathBuf,
    /// What it says of itself.
    pub status: Status,
    /// Whether this call started it.
    pub started: bool,
}

impl Endpoint {
    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.status.port)
    }

    /// What an AWS client needs in its environment to talk to it.
    ///
    /// # Errors
    /// When the credentials cannot be read.
    pub fn environment(&self) -> Result<BTreeMap<String, String>, Error> {
        Ok(environment(
            self.status.port,
            &self.status.overview.region,
            &Credentials::load(&self.dir)?,
        ))
    }
}

/// The variables that every AWS SDK reads; the last one keeps SDKs from asking for an instance's metadata.
pub(crate) fn environment(
    port: u16,
    region: &str,
    credentials: &Credentials,
) -> BTreeMap<String, String> {
    let pairs = [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        ("AWS_ACCESS_KEY_ID", credentials.access_key_id.clone()),
        (
            "AWS_SECRET_ACCESS_KEY",
            credentials.secret_access_key.clone(),
        ),
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Variables that would take an AWS client elsewhere although [`env`]'s are set.
pub const UNSET_VARIABLES: [&str; 3] = [
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
];

/// Starts a server on the world in `dir`, or uses the one that runs, with the time scale and the faults asked for.
///
/// # Errors
/// When the world, the port or the process cannot be had, the server does not answer in time, or the world is of another account
/// or region.
pub fn start(dir: &Path, options: &StartOptions) -> Result<Endpoint, Error> {
    make_private_dir(dir)?;
    let dir = &dir
        .canonicalize()
        .map_err(Error::file("cannot find", dir))?;
    let deadline = Instant::now() + options.timeout.unwrap_or(START_TIMEOUT);
    let mut child: Option<std::process::Child> = None;
    loop {
        // Held by nobody: there is no server yet, or the one that was started ended again.
        if !is_locked(dir)? {
            match child.as_mut() {
                None => child = Some(spawn(dir, options)?),
                Some(child) => {
                    if let Ok(Some(exit)) = child.try_wait() {
                        return Err(Error::NotReady {
                            reason: last_words(dir).unwrap_or_else(|| exit.to_string()),
                            log: log_path(dir),
                        });
                    }
                }
            }
        } else if let Ok(Some(status)) = status(dir) {
            let started = child.as_ref().is_some_and(|child| child.id() == status.pid);
            if let Some(mut child) = child {
                // Nobody else collects its end while this process lives.
                std::thread::spawn(move || child.wait());
            }
            return reuse(dir, status, started, options);
        }
        if Instant::now() >= deadline {
            let waited = options.timeout.unwrap_or(START_TIMEOUT).as_secs_f64();
            return Err(Error::NotReady {
                reason: format!("no answer within {waited} s"),
                log: log_path(dir),
            });
        }
        std::thread::sleep(POLL);
    }
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("server.log")
}

/// The last line of the log.
fn last_words(dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log_path(dir)).ok()?;
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .map(|line| line.trim().to_owned())
}

fn spawn(dir: &Path, options: &StartOptions) -> Result<std::process::Child, Error> {
    let mut serve = ServeOptions::load(dir)?;
    if dir.join("world.jsonl").exists() {
        same_world(dir, (&serve.account, &serve.region), options)?;
    }
    serve.port = options.port.or(serve.port);
    serve.time_scale = options.time_scale.unwrap_or(serve.time_scale);
    serve.account = options.account.clone().unwrap_or(serve.account);
    serve.region = options.region.clone().unwrap_or(serve.region);
    serve.settings = options.settings.clone().unwrap_or(serve.settings);
    serve.seed = options.seed.or(serve.seed);
    serve.check()?;
    if let Some(port) = options.port.filter(|port| *port != 0) {
        // The server would say the same, in its log.
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(Error::PortInUse { port });
            }
            Err(source) => return Err(Error::Listen { port, source }),
        }
    }
    serve.save()?;
    if let Some(faults) = &options.faults {
        let json = serde_json::to_vec_pretty(faults).expect("faults have string keys");
        write_private(&dir.join("faults.json"), &json)?;
    }
    let path = log_path(dir);
    let fresh = std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_LIMIT);
    let log = File::options()
        .create(true)
        .write(true)
        .append(!fresh)
        .truncate(fresh)
        .open(&path);
    let log = log.map_err(Error::file("cannot open", &path))?;
    let errors = log.try_clone().map_err(Error::file("cannot open", &path))?;
    let executable = match &options.executable {
        Some(executable) => executable.clone(),
        None => std::env::current_exe().map_err(|source| Error::Spawn {
            executable: "this program".into(),
            source,
        })?,
    };
    let spawned = Command::new(&executable)
        .args(&options.arguments)
        .arg(SERVE_ARGUMENT)
        .arg(dir)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn();
    spawned.map_err(|source| Error::Spawn { executable, source })
}

/// Refuses options that are for another account or region than the world's.
fn same_world(
    dir: &Path,
    (account, region): (&str, &str),
    options: &StartOptions,
) -> Result<(), Error> {
    for (what, has, wanted) in [
        ("account", account, &options.account),
        ("region", region, &options.region),
    ] {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != has) {
            return Err(Error::OtherWorld {
                dir: dir.to_owned(),
                what,
                has: has.to_owned(),
                wanted: wanted.clone(),
            });
        }
    }
    Ok(())
}

/// Brings a running server to what is asked for.
fn reuse(
    dir: &Path,
    mut status: Status,
    started: bool,
    options: &StartOptions,
) -> Result<Endpoint, Error> {
    same_world(
        dir,
        (&status.overview.account, &status.overview.region),
        options,
    )?;
    if !started {
        if let Some(scale) = options
            .time_scale
            .filter(|scale| *scale != status.overview.time_scale)
        {
            set_time_scale(dir, scale)?;
            status.overview.time_scale = scale;
        }
        if let Some(faults) = &options.faults {
            set_faults(dir, faults)?;
            status.faults = faults.clone();
        }
    }
    Ok(Endpoint {
        dir: dir.to_owned(),
        status,
        started,
    })
}

/// The server that runs on the world in `dir`, if one does.
///
/// # Errors
/// When it runs but does not answer.
pub fn status(dir: &Path) -> Result<Option<Status>, Error> {
    if !dir.is_dir() || !is_locked(dir)? {
        return Ok(None);
    }
    let answer = control(dir, "GET", "status", &Value::Null)?;
    let port = ServerFile::load(dir).map_or(0, |server| server.port);
    let status = serde_json::from_value(answer).map_err(|error| Error::Unreachable {
        port,
        reason: error.to_string(),
    })?;
    Ok(Some(status))
}

/// Whether there is a world in `dir`, served or not: it keeps its account and region.
#[must_use]
pub fn exists(dir: &Path) -> bool {
    dir.join("world.jsonl").exists()
}

/// Every resource of the world in `dir`, as a read returns it: `{"resources": [{"type", "identifier", "properties"}]}`.
///
/// # Errors
/// When no server runs, or it does not answer.
pub fn world(dir: &Path) -> Result<Value, Error> {
    control(dir, "GET", "world", &Value::Null)
}

/// What an AWS client needs in its environment to talk to the server that runs on the world in `dir`.
///
/// # Errors
/// When none runs, or it does not answer.
pub fn env(dir: &Path) -> Result<BTreeMap<String, String>, Error> {
    let status = status(dir)?.ok_or_else(|| Error::NotRunning(dir.to_owned()))?;
    Endpoint {
        dir: dir.to_owned(),
        status,
        started: false,
    }
    .environment()
}

/// Stops the server on the world in `dir`; `false` when none runs.
///
/// # Errors
/// When it does not end, even killed.
pub fn stop(dir: &Path) -> Result<bool, Error> {
    if !dir.is_dir() || !is_locked(dir)? {
        return Ok(false);
    }
    let asked = control(dir, "POST", "shutdown", &Value::Null);
    if asked.is_ok() && ended_within(dir, STOP_TIMEOUT)? {
        return Ok(true);
    }
    let Some(server) = ServerFile::load(dir) else {
        return asked.map(|_| true);
    };
    let pid = i32::try_from(server.pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now; then there is nothing to kill.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    if ended_within(dir, STOP_TIMEOUT)? {
        Ok(true)
    } else {
        Err(Error::DoesNotEnd { pid: server.pid })
    }
}

fn ended_within(dir: &Path, limit: Duration) -> Result<bool, Error> {
    let deadline = Instant::now() + limit;
    while is_locked(dir)? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
    Ok(true)
}

/// Empties the world in `dir`, whether or not a server runs on it.
///
/// # Errors
/// When the server does not answer, or the files cannot be removed.
pub fn reset(dir: &Path) -> Result<(), Error> {
    if !dir.is_dir() {
        return Ok(());
    }
    let _lock = loop {
        if let Some(lock) = lock(dir)? {
            break lock;
        }
        if is_locked(dir)? {
            return control(dir, "POST", "reset", &Value::Null).map(|_| ());
        }
        std::thread::sleep(POLL);
    };
    // The options go too: account and region are the world's, and a new one may be of others.
    for name in [
        "world.jsonl",
        "world.new",
        "clock",
        "faults.json",
        "options.json",
    ] {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("cannot remove", &path)(error)),
        }
    }
    Ok(())
}

/// The faults on order at the running server.
///
/// # Errors
/// When none runs, or it does not answer.
pub fn faults(dir: &Path) -> Result<Faults, Error> {
    status(dir)?
        .map(|status| status.faults)
        .ok_or_else(|| Error::NotRunning(dir.to_owned()))
}

/// Puts other faults in place of those on order.
///
/// # Errors
/// When no server runs, or it refuses them.
pub fn set_faults(dir: &Path, faults: &Faults) -> Result<(), Error> {
    control(dir, "PUT", "faults", &json!(faults)).map(|_| ())
}

/// Changes how fast the modelled time of the running server goes.
///
/// # Errors
/// When no server runs, or it does not answer.
pub fn set_time_scale(dir: &Path, time_scale: TimeScale) -> Result<(), Error> {
    control(
        dir,
        "PUT",
        "time-scale",
        &json!(TimeScaleChange { time_scale }),
    )
    .map(|_| ())
}

/// Lets something happen to an instance of the running server's world, named by its id or its node.
///
/// # Errors
/// When no server runs, or when this can't happen to it: there is no such instance, it is no spot instance, it ends already.
pub fn interrupt(dir: &Path, instance: &str, event: InstanceEvent) -> Result<Interrupted, Error> {
    let wanted = Interruption {
        instance: instance.to_owned(),
        event,
    };
    let answer = control(dir, "POST", "interrupt", &json!(wanted))?;
    serde_json::from_value(answer).map_err(|error| Error::Unreachable {
        port: ServerFile::load(dir).map_or(0, |server| server.port),
        reason: error.to_string(),
    })
}

/// One control request to the running server.
fn control(dir: &Path, method: &str, path: &str, body: &Value) -> Result<Value, Error> {
    if !dir.is_dir() || !is_locked(dir)? {
        return Err(Error::NotRunning(dir.to_owned()));
    }
    let server = ServerFile::load(dir).ok_or_else(|| Error::NotRunning(dir.to_owned()))?;
    let token_path = dir.join("control-token");
    let token =
        std::fs::read_to_string(&token_path).map_err(Error::file("cannot read", &token_path))?;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = format!(
        "{method} {PREFIX}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let unreachable = |reason: String| Error::Unreachable {
        port: server.port,
        reason,
    };
    let (status, answer) = exchange(server.port, request.as_bytes())
        .map_err(|error| unreachable(error.to_string()))?;
    let value: Value =
        serde_json::from_slice(&answer).map_err(|error| unreachable(error.to_string()))?;
    if status == 200 {
        return Ok(value);
    }
    Err(Error::Refused(
        value["error"]
            .as_str()
            .unwrap_or("it does not say why")
            .to_owned(),
    ))
}

/// Sends a request and reads the answer to its end.
fn exchange(port: u16, request: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let invalid = || std::io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP");
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(invalid)?;
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| invalid())?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(invalid)?;
    Ok((status, answer.split_off(end + 4)))
}
