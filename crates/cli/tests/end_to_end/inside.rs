//! A platform that is deployed into a sandbox, and the ways into its cluster that a user has.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value as Json;

use crate::lab::{Lab, Said, wait};

/// The repository's folder.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// kubectl or helm, as `scripts/prepare test` brings it; where it can't, from the `PATH`.
pub fn tool(name: &str) -> PathBuf {
    let ours = root().join("target/tools").join(name);
    if ours.exists() { ours } else { name.into() }
}

/// `ekb` dev with everything in it, at the scale at which nothing takes time.
pub struct Inside {
    pub lab: Lab,
}

impl Inside {
    pub fn deployed() -> Self {
        let mut lab = Lab::new("ekb");
        lab.set("SEAWORTHY_HELM", tool("helm").to_str().unwrap());
        lab.start("max");
        lab.deploy("dev").ok();
        lab.run(&["kubeconfig", "-e", "dev", "--merge"])
            .ok()
            .says("shop-dev@sandbox is the current context");
        Self { lab }
    }

    /// The user's own kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.lab.path("home/.kube/config")
    }

    /// A program of somebody else's, in the user's surroundings and with nothing of ours.
    pub fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.lab.path("home"))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.lab.path("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, program: &Path, arguments: &[&str]) -> Said {
        wait(self.command(program, arguments).spawn().unwrap())
    }

    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        self.run(&tool("kubectl"), arguments)
    }

    /// kubectl with something on its standard input.
    pub fn kubectl_reads(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = self.command(&tool("kubectl"), arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        wait(child)
    }

    pub fn helm(&self, arguments: &[&str]) -> Said {
        self.run(&tool("helm"), arguments)
    }

    /// A program in the tests' own Python.
    pub fn python(&self, arguments: &[&str]) -> Said {
        self.run(&root().join("target/venv/bin/python"), arguments)
    }

    /// How an operator outside the cluster would be set up: the kubeconfig, whose command makes the token.
    pub async fn config(&self) -> Config {
        let read = Kubeconfig::read_from(self.kubeconfig()).unwrap();
        Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .unwrap()
    }

    pub async fn client(&self) -> Client {
        Client::try_from(self.config().await).unwrap()
    }

    /// Somebody who comes with a token of another kind, or without any.
    pub async fn bearer(&self, token: Option<&str>) -> Client {
        let mut config = self.config().await;
        config.auth_info = kube::config::AuthInfo {
            token: token.map(|token| token.to_owned().into()),
            ..Default::default()
        };
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }
}

/// What the server answers to a request.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub json: Json,
}

impl Answer {
    /// Fails unless it is a whole Status object of this code and reason that says this.
    #[track_caller]
    pub fn refuses(&self, code: u16, reason: &str, message: &str) -> &Self {
        let status = &self.json;
        let whole = status["kind"] == "Status"
            && status["apiVersion"] == "v1"
            && status["status"] == "Failure"
            && status["code"] == code
            && status["reason"] == reason
            && status["metadata"].is_object();
        assert!(whole && self.code == code, "{code} {reason}: {self:#?}");
        let said = status["message"].as_str().unwrap();
        assert!(said.contains(message), "`{message}` is not in `{said}`");
        self
    }

    #[track_caller]
    pub fn is(self, code: u16) -> Json {
        assert_eq!(self.code, code, "{self:#?}");
        self.json
    }
}

/// Sends a request as it is, with a body of some type.
pub async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    media: &str,
    body: impl Into<Vec<u8>>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if !media.is_empty() {
        request = request.header("content-type", media);
    }
    let body: Vec<u8> = body.into();
    let request = request.body(kube::client::Body::from(body)).unwrap();
    let response = client.send(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect_bytes().await.unwrap();
    let json = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Json::from(String::from_utf8_lossy(&bytes).into_owned()));
    Answer { code, json }
}

pub async fn get(client: &Client, path: &str) -> Answer {
    ask(client, Method::GET, path, "", "").await
}
