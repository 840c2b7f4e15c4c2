//! Helm as a child process: what it must know is in files that nobody else can read, and none of it on its command line.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use engine::provider::{ErrorClass, ProviderError};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::Instant;

use super::outcome::classified;
use crate::access::ClusterAccess;
use crate::classify::error;
use crate::connection::{Cluster, Connections};

/// How often the token is written anew: client-go reads the file again every minute, and a token is good for a quarter of
/// an hour.
const RENEW: Duration = Duration::from_secs(5 * 60);
/// How long another Helm that works on a release is waited for, of this machine's time, before it is said; and how often it is
/// looked for.
const LEFT_BEHIND: Duration = Duration::from_secs(30);
const LOCK_PERIOD: Duration = Duration::from_millis(100);
/// How often a cluster is asked for a sign of life while Helm works on it, how long that may take, and how long there may be
/// none. Helm itself takes an API server that is gone for one that comes back, and waits for as long as it was told to.
const SIGN_PERIOD: Duration = Duration::from_secs(2);
const SIGN_WITHIN: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(15);
/// A process that was stopped for a while has heard nothing for a while: this many questions have to be without an answer.
const UNANSWERED: u32 = 3;
/// What the names of a release's lock and of its folder end in.
const LOCK: &str = ".lock";
const FILES: &str = ".files";
/// Variables by which Helm would look at another cluster, namespace or store than the one that is meant.
const FOREIGN: [&str; 12] = [
    "HELM_DRIVER",
    "HELM_KUBEAPISERVER",
    "HELM_KUBEASGROUPS",
    "HELM_KUBEASUSER",
    "HELM_KUBECAFILE",
    "HELM_KUBECONTEXT",
    "HELM_KUBEINSECURE_SKIP_TLS_VERIFY",
    "HELM_KUBETLS_SERVER_NAME",
    "HELM_KUBETOKEN",
    "HELM_NAMESPACE",
    "HELM_DEBUG",
    "KUBECONFIG",
];

/// Where Helm is, and where its files go.
#[derive(Debug, Clone, Default)]
pub struct HelmSettings {
    /// The program; none when there is none.
    pub program: Option<PathBuf>,
    /// A folder for files that exist as long as a command runs; made when it is needed, for its owner alone.
    pub scratch: PathBuf,
    /// A folder of packed charts (`NAME-VERSION.tgz`) that are taken instead of the network's.
    pub charts: Option<PathBuf>,
    /// A registry that has all charts, under the paths that they have in their own: it is asked instead of those.
    pub registry: Option<Registry>,
}

/// A registry of charts: the OCI distribution API, and a classic repository at `/charts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Its host, with its port.
    pub host: String,
    /// Whether it is spoken to without TLS.
    pub plain_http: bool,
}

impl Registry {
    /// A chart of another registry, in this one. What is no registry's is as it was.
    pub(crate) fn chart(&self, chart: &str) -> String {
        let path = chart
            .strip_prefix("oci://")
            .and_then(|rest| rest.split_once('/'));
        match path {
            Some((_, path)) => format!("oci://{}/{path}", self.host),
            None => chart.to_owned(),
        }
    }

    /// The URL of its classic repository.
    pub(crate) fn repository(&self) -> String {
        let scheme = if self.plain_http { "http" } else { "https" };
        format!("{scheme}://{}/charts", self.host)
    }
}

impl HelmSettings {
    /// Looks for Helm: where the user says, else on the search path, else in the product's own folders.
    pub fn find(
        given: Option<&Path>,
        search_path: Option<&OsStr>,
        folders: &[PathBuf],
    ) -> Option<PathBuf> {
        if let Some(given) = given {
            return Some(given.to_owned());
        }
        let on_path = search_path
            .map(|path| std::env::split_paths(path).collect::<Vec<_>>())
            .unwrap_or_default();
        on_path
            .iter()
            .chain(folders)
            .map(|folder| folder.join("helm"))
            .find(|program| program.is_file())
    }
}

/// The files of one release's commands. They go when it goes; what a process that was killed has left goes with the next one.
pub(crate) struct Session<'a> {
    program: PathBuf,
    /// Before the lock: it goes while nobody else can make it.
    folder: TempDir,
    /// Locked as long as we, or a Helm that we have left behind, are at work on the release.
    lock: File,
    connections: &'a Connections,
    cluster: String,
    /// By which the cluster is asked for signs of life. Also a token that it does not take any more is answered.
    api: Cluster,
    silence: Duration,
}

impl<'a> Session<'a> {
    /// Locks a release and writes down how to get to its cluster.
    pub(crate) async fn open(
        settings: &HelmSettings,
        connections: &'a Connections,
        cluster: &str,
        release: &str,
    ) -> Result<Self, ProviderError> {
        let program = settings.program.clone().ok_or_else(|| {
            error(
                ErrorClass::Terminal,
                "HelmMissing",
                "Helm is needed and was not found: install Helm 3.14 or later, or run scripts/tools, or say where it is with \
                 SEAWORTHY_HELM",
            )
        })?;
        let lock = locked(&settings.scratch, release, LEFT_BEHIND).await?;
        let access = connections.access(cluster).await?.ok_or_else(|| {
            error(
                ErrorClass::NotReady,
                "NoCluster",
                format!("there is no cluster {cluster}"),
            )
        })?;
        // What can't be looked through or removed now is found by the next one.
        let _ = sweep(&settings.scratch, release);
        let folder = folder(&settings.scratch, release).map_err(unwritable)?;
        let session = Self {
            program,
            folder,
            lock,
            connections,
            cluster: cluster.to_owned(),
            api: Cluster::open(&access)?,
            silence: SILENCE,
        };
        let token = session.path("token");
        session.write("kubeconfig", &kubeconfig(&access, &token).to_string())?;
        session.write_token(&access)?;
        Ok(session)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that nobody else can read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, ProviderError> {
        let path = self.path(name);
        private(&path, text).map_err(unwritable)?;
        Ok(path)
    }

    fn write_token(&self, access: &ClusterAccess) -> Result<(), ProviderError> {
        let text = access.token.as_ref().map_or("", |token| &token.text);
        // Renamed into its place: Helm never reads half a token.
        let next = self.write("token.next", text)?;
        fs::rename(next, self.path("token")).map_err(unwritable)
    }

    /// Runs a command against the cluster. `about` says what it is for.
    pub(crate) async fn run(
        &self,
        about: &str,
        arguments: &[String],
    ) -> Result<String, ProviderError> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .arg("--kubeconfig")
            .arg(self.path("kubeconfig"))
            .stdin(Stdio::from(self.lock.try_clone().map_err(unwritable)?))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for name in FOREIGN {
            command.env_remove(name);
        }
        // Ctrl-C is heard by us, and what is under way is waited for.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command
            .spawn()
            .map_err(|source| self.unstartable(&source))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let ended = async { tokio::try_join!(child.wait(), all_of(stdout), all_of(stderr)) };
        let ended = tokio::select! {
            biased;
            ended = ended => Some(ended.map_err(|source| self.unstartable(&source))?),
            () = silent(&self.api, self.silence) => None,
            failed = self.renew() => return Err(failed),
        };
        let Some((status, stdout, stderr)) = ended else {
            // It may have ended just now.
            let _ = child.kill().await;
            let failed = error(
                ErrorClass::NotReady,
                "ClusterUnreachable",
                format!(
                    "the cluster's API server has not answered for {} seconds, so Helm, which was to {about}, was stopped: the \
                     same command carries on when it answers again",
                    self.silence.as_secs()
                ),
            );
            self.connections.doubt(&self.cluster, &failed).await;
            return Err(failed);
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if status.success() {
            return Ok(text(&stdout));
        }
        let failed = classified(about, &text(&stderr));
        if status.code().is_none() {
            return Err(error(
                ErrorClass::Retryable,
                "HelmStopped",
                format!("Helm was stopped ({status}): {}", failed.message),
            ));
        }
        Err(failed)
    }

    /// Keeps the token good. It ends only when that can't be done.
    async fn renew(&self) -> ProviderError {
        loop {
            tokio::time::sleep(RENEW).await;
            // If there is no new token now, the old one may still do; what Helm says is told.
            if let Ok(Some(access)) = self.connections.access(&self.cluster).await
                && let Err(failed) = self.write_token(&access)
            {
                return failed;
            }
        }
    }

    fn unstartable(&self, source: &io::Error) -> ProviderError {
        error(
            ErrorClass::Terminal,
            "HelmMissing",
            format!("{} can't be run: {source}", self.program.display()),
        )
    }
}

/// Ends when a cluster has been silent for so long.
async fn silent(api: &Cluster, patience: Duration) {
    let (mut heard, mut unanswered) = (Instant::now(), 0);
    loop {
        tokio::time::sleep(SIGN_PERIOD.min(patience / UNANSWERED)).await;
        if api.answers(SIGN_WITHIN).await {
            (heard, unanswered) = (Instant::now(), 0);
            continue;
        }
        unanswered += 1;
        if unanswered >= UNANSWERED && heard.elapsed() >= patience {
            return;
        }
    }
}

async fn all_of(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn unwritable(source: io::Error) -> ProviderError {
    error(
        ErrorClass::Terminal,
        "NoScratch",
        format!("Helm's files can't be written: {source}"),
    )
}

/// The lock of a release, waited for: a Helm that somebody has left behind ends in its own time.
async fn locked(scratch: &Path, release: &str, patience: Duration) -> Result<File, ProviderError> {
    let begun = Instant::now();
    loop {
        match lock(scratch, release) {
            Err(busy) if busy.class == ErrorClass::NotReady && begun.elapsed() < patience => {
                tokio::time::sleep(LOCK_PERIOD).await;
            }
            settled => return settled,
        }
    }
}

/// A lock on a release of this machine. Helm's own input is the locked file, so that the lock stands as long as Helm runs,
/// also when we are dead by then.
fn lock(scratch: &Path, release: &str) -> Result<File, ProviderError> {
    private_folder(scratch).map_err(unwritable)?;
    let name = format!("{}{LOCK}", file_name(release));
    let file = lock_file(&scratch.join(name)).map_err(unwritable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(error(
            ErrorClass::NotReady,
            "HelmAtWork",
            "another Helm of this machine works on the release",
        )),
        Err(fs::TryLockError::Error(source)) => Err(unwritable(source)),
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
}

/// A release's place has no character that a file can't be called by but these.
fn file_name(release: &str) -> String {
    release.replace(['|', '/'], "_")
}

/// A release's folder, empty. Who has it locked alone may ask: nobody uses what is in it.
fn folder(scratch: &Path, release: &str) -> io::Result<TempDir> {
    let name = format!("{}{FILES}", file_name(release));
    match fs::remove_dir_all(scratch.join(&name)) {
        Err(failed) if failed.kind() != io::ErrorKind::NotFound => return Err(failed),
        _ => {}
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(&name).rand_bytes(0).tempdir_in(scratch)
}

/// Removes what others have left who were killed: secrets are in it. Whoever is at work on a release has it locked.
fn sweep(scratch: &Path, ours: &str) -> io::Result<()> {
    let names = || -> io::Result<Vec<String>> {
        let entries = fs::read_dir(scratch)?.flatten();
        Ok(entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect())
    };
    let folders = names()?;
    for name in &folders {
        let Some(release) = name.strip_suffix(FILES) else {
            continue;
        };
        let lock = lock_file(&scratch.join(format!("{release}{LOCK}")))?;
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(scratch.join(name));
        }
    }
    // Earlier versions gave no hint of whose a folder is: it is nobody's if nobody who was there before we looked at the
    // folders is still at work.
    let of_no_release = |name: &&String| name.starts_with("helm-") && !name.contains('.');
    let of_no_release: Vec<&String> = folders.iter().filter(of_no_release).collect();
    if of_no_release.is_empty() {
        return Ok(());
    }
    let ours = format!("{}{LOCK}", file_name(ours));
    for name in names()? {
        if name.ends_with(LOCK)
            && name != ours
            && lock_file(&scratch.join(&name))?.try_lock().is_err()
        {
            return Ok(());
        }
    }
    for name in of_no_release {
        let _ = fs::remove_dir_all(scratch.join(name));
    }
    Ok(())
}

fn private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

/// A kubeconfig of one cluster. JSON is YAML.
fn kubeconfig(access: &ClusterAccess, token: &Path) -> Json {
    use base64::Engine as _;
    let mut cluster = json!({ "server": access.endpoint });
    if let Some(pem) = &access.certificate_authority {
        let encoded = base64::engine::general_purpose::STANDARD.encode(pem);
        cluster["certificate-authority-data"] = encoded.into();
    }
    let user = match &access.token {
        Some(_) => json!({ "tokenFile": token }),
        None => json!({}),
    };
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "target", "cluster": cluster }],
        "users": [{ "name": "target", "user": user }],
        "contexts": [{ "name": "target", "context": { "cluster": "target", "user": "target" } }],
        "current-context": "target",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helm_is_where_the_user_says_or_on_the_path_or_with_us() {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("tools");
        fs::create_dir(&tools).unwrap();
        let found = |given: Option<&Path>, path: Option<&OsStr>| {
            HelmSettings::find(given, path, std::slice::from_ref(&tools))
        };
        assert_eq!(found(None, None), None);
        fs::write(tools.join("helm"), "").unwrap();
        assert_eq!(found(None, None), Some(tools.join("helm")));
        fs::write(folder.path().join("helm"), "").unwrap();
        let path = folder.path().as_os_str();
        assert_eq!(found(None, Some(path)), Some(folder.path().join("helm")));
        let given = Path::new("/opt/helm");
        assert_eq!(found(Some(given), Some(path)).as_deref(), Some(given));
    }

    #[cfg(unix)]
    #[test]
    fn files_are_for_their_owner_alone_and_a_release_is_worked_on_once() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        let first = lock(&scratch, "c|n|web").unwrap();
        let second = lock(&scratch, "c|n|web").unwrap_err();
        assert_eq!(second.class, ErrorClass::NotReady);
        lock(&scratch, "c|n|other").unwrap();
        drop(first);
        lock(&scratch, "c|n|web").unwrap();
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        executor.block_on(async {
            let first = lock(&scratch, "c|n|web").unwrap();
            let start = Instant::now();
            let impatient = locked(&scratch, "c|n|web", Duration::from_millis(150)).await;
            assert_eq!(impatient.unwrap_err().code, "HelmAtWork");
            assert!(start.elapsed() >= Duration::from_millis(150));
            let patient = locked(&scratch, "c|n|web", Duration::from_secs(60));
            let ends = async {
                tokio::time::sleep(Duration::from_millis(250)).await;
                drop(first);
            };
            let (patient, ()) = tokio::join!(patient, ends);
            patient.unwrap();
        });
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        private(&scratch.join("token"), "x").unwrap();
        assert_eq!(mode(&scratch.join("token")), 0o600);
        assert_eq!(mode(&scratch), 0o700);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_killed_process_has_left_goes_unless_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        let connections = at("http://127.0.0.1:1".to_owned());
        let left = |name: &str| {
            let folder = scratch.join(name);
            fs::create_dir_all(&folder).unwrap();
            private(&folder.join("values.json"), "secret").unwrap();
            folder
        };
        let (ours, other) = (left("c_n_web.files"), left("c_n_other.files"));
        let (used, old) = (left("c_n_used.files"), left("helm-Ab12Cd"));
        let user = lock(&scratch, "c|n|used").unwrap();
        let session = session(&scratch, &connections).await;
        assert_eq!(session.folder.path(), ours);
        assert!(!ours.join("values.json").exists());
        assert!(ours.join("token").exists());
        assert!(!other.exists());
        assert!(used.join("values.json").exists());
        assert!(old.exists(), "it may be the other's");
        sweep(&scratch, "c|n|more").unwrap();
        assert!(ours.join("token").exists());
        drop(user);
        sweep(&scratch, "c|n|web").unwrap();
        assert!(!used.exists() && !old.exists());
        drop(session);
        assert!(!ours.exists());
    }

    /// A session at a cluster, with a shell for a Helm.
    #[cfg(unix)]
    async fn session<'a>(scratch: &Path, connections: &'a Connections) -> Session<'a> {
        let settings = HelmSettings {
            program: Some(PathBuf::from("/bin/sh")),
            scratch: scratch.to_owned(),
            ..HelmSettings::default()
        };
        Session::open(&settings, connections, "c", "c|n|web")
            .await
            .unwrap()
    }

    #[cfg(unix)]
    fn script(text: &str) -> [String; 2] {
        ["-c".to_owned(), text.to_owned()]
    }

    #[cfg(unix)]
    fn at(endpoint: String) -> Connections {
        Connections::new(std::sync::Arc::new(crate::access::OneCluster {
            name: "c".to_owned(),
            access: ClusterAccess {
                endpoint,
                certificate_authority: None,
                token: Some(crate::access::Token {
                    text: "hush".to_owned(),
                    expires: None,
                }),
            },
        }))
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn helm_ends_soon_after_its_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        let connections = at("http://127.0.0.1:1".to_owned());
        let mut session = session(&scratch, &connections).await;
        session.silence = Duration::from_millis(1500);
        let start = Instant::now();
        let script = script("exec sleep 100");
        let failed = session.run("install web", &script).await.unwrap_err();
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1500), "{took:?}");
        assert!(took < Duration::from_secs(60), "{took:?}");
        assert_eq!(
            (failed.class, failed.code.as_str()),
            (ErrorClass::NotReady, "ClusterUnreachable")
        );
        assert!(failed.message.contains("install web"), "{}", failed.message);
        assert!(!failed.message.contains("hush"), "{}", failed.message);
        // It is dead, or it would hold the lock.
        drop(session);
        lock(&scratch, "c|n|web").unwrap();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_cluster_that_is_away_for_a_moment_or_does_not_know_us_lives() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        drop(held);
        let connections = at(format!("http://{address}"));
        let mut session = session(&scratch, &connections).await;
        session.silence = Duration::from_secs(3);
        let comes = async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            let nobody = async || (axum::http::StatusCode::UNAUTHORIZED, "who are you?");
            let app = axum::Router::new().fallback(nobody);
            axum::serve(listener, app).await.unwrap();
        };
        let script = script("sleep 6; echo done");
        let said = tokio::select! {
            said = session.run("install web", &script) => said,
            () = comes => unreachable!("it serves for ever"),
        };
        assert_eq!(said.unwrap(), "done\n");
    }
}
