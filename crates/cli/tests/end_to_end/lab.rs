//! A platform's folder, a sandbox and the built binary, all in a temporary folder and gone when the test ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A day on which the presets' Kubernetes version is in standard support.
const TODAY: &str = "2026-11-21";
/// How long a command may take before the test says that it hangs.
const PATIENCE: Duration = Duration::from_secs(240);

pub struct Lab {
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let all = format!("{}\n{}", self.stdout, self.stderr);
        assert!(all.contains(text), "`{text}` is not in:\n{all}");
        self
    }
}

impl Lab {
    /// A platform `shop` from a preset. No sandbox runs yet.
    pub fn new(preset: &str) -> Self {
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
            variables: BTreeMap::new(),
        };
        std::fs::create_dir_all(lab.path("home")).unwrap();
        lab.command(
            &["init", "shop", "--preset", preset, "--name", "shop"],
            lab.folder.path(),
        )
        .ok();
        lab
    }

    /// The same, with a sandbox that goes at this scale.
    pub fn running(preset: &str, time_scale: &str) -> Self {
        let lab = Self::new(preset);
        lab.start(time_scale);
        lab
    }

    pub fn start(&self, time_scale: &str) -> Said {
        self.run(&[
            "sandbox",
            "start",
            "--port",
            "0",
            "--time-scale",
            time_scale,
        ])
        .ok()
    }

    /// Starts the sandbox on the port that it had, as happens to users without a thought.
    pub fn start_where_it_was(&self, port: u64, time_scale: &str) -> Said {
        let port = port.to_string();
        self.run(&[
            "sandbox",
            "start",
            "--port",
            &port,
            "--time-scale",
            time_scale,
        ])
        .ok()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn platform(&self) -> PathBuf {
        self.path("shop")
    }

    pub fn set(&mut self, variable: &str, value: &str) {
        self.variables.insert(variable.to_owned(), value.to_owned());
    }

    /// Adds lines to a file of the platform.
    pub fn append(&self, file: &str, text: &str) {
        let path = self.platform().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{}\n{text}\n", before.trim_end())).unwrap();
    }

    /// Replaces a text in a file of the platform, which must have it.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.platform().join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "{from} is not in {before}");
        std::fs::write(path, before.replace(from, to)).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        self.command(arguments, &self.platform())
    }

    /// From another folder than the platform's.
    pub fn run_in(&self, arguments: &[&str], folder: &Path) -> Said {
        self.command(arguments, folder)
    }

    fn prepared(&self, arguments: &[&str], folder: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seaworthy"));
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("SEAWORTHY_HOME", self.path("home/seaworthy"))
            .env("SEAWORTHY_TODAY", TODAY)
            .envs(&self.variables)
            .stdin(Stdio::null());
        command
    }

    fn command(&self, arguments: &[&str], folder: &Path) -> Said {
        wait(
            self.prepared(arguments, folder)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    /// Starts a command and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.prepared(arguments, &self.platform());
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Everything that the sandbox's world holds, in a form that two worlds can be compared by: what AWS makes up is left
    /// out, and a reference to a resource that carries an address is written as that address.
    pub fn world(&self) -> Vec<String> {
        comparable(&self.run(&["sandbox", "world"]).ok().json())
    }

    pub fn sandbox_pid(&self) -> u32 {
        let status = self.run(&["sandbox", "status", "-o", "json"]).ok().json();
        u32::try_from(status["pid"].as_u64().unwrap()).unwrap()
    }

    pub fn sandbox_port(&self) -> u64 {
        let status = self.run(&["sandbox", "status", "-o", "json"]).ok().json();
        status["port"].as_u64().unwrap()
    }

    pub fn kill_sandbox(&self) {
        kill(self.sandbox_pid());
    }

    /// Deploys until it is done, however often the sandbox or the client were killed before.
    pub fn deploy(&self, environment: &str) -> Said {
        self.run(&["deploy", "-e", environment, "--yes"])
    }

    pub fn destroy(&self, environment: &str) -> Said {
        let name = format!("shop-{environment}");
        self.run(&["destroy", "-e", environment, "--confirm", &name, "--yes"])
    }

    /// All texts that the product has written, secrets' own place in the sandbox left out.
    pub fn written(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        let mut folders = vec![self.platform()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                    found.push((path, text));
                }
            }
        }
        found
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.run(&["sandbox", "stop"]);
    }
}

/// Ends a process as nothing can be done about.
pub fn kill(pid: u32) {
    let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
}

/// Waits for a child, and for no longer than it may take.
pub fn wait(mut child: Child) -> Said {
    let started = Instant::now();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = |stream: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let stderr = std::thread::spawn(move || read(&mut err));
    let stdout = std::thread::spawn(move || read(&mut out));
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if started.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!(
                "a command hangs; it said:\n{}\n{}",
                stdout.join().unwrap(),
                stderr.join().unwrap()
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Said {
        code,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

/// Fails with what one world has and the other has not.
#[track_caller]
pub fn same_world(actual: &[String], expected: &[String], when: &str) {
    let without = |these: &[String], those: &[String]| {
        let mut left = those.to_vec();
        let gone = |line: &&String| match left.iter().position(|other| other == *line) {
            Some(place) => {
                left.remove(place);
                false
            }
            None => true,
        };
        these.iter().filter(gone).cloned().collect::<Vec<_>>()
    };
    let (extra, missing) = (without(actual, expected), without(expected, actual));
    assert!(
        extra.is_empty() && missing.is_empty(),
        "{when}\nthere and not expected: {extra:#?}\nexpected and not there: {missing:#?}"
    );
}

/// The text with every number of nine digits and more (part of a name that AWS makes up) left out.
fn without_long_numbers(text: &str) -> String {
    let mut result = String::new();
    let mut digits = String::new();
    for c in text.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        result.push_str(if digits.len() >= 9 { "#" } else { &digits });
        digits.clear();
        result.push(c);
    }
    result.trim_end_matches('\0').to_owned()
}

/// A launch template's tags can't be read: it is known by its name.
fn template_name(entry: &Value) -> Option<String> {
    let name = entry["properties"]["LaunchTemplateName"].as_str();
    name.filter(|_| entry["type"] == "AWS::EC2::LaunchTemplate")
        .map(str::to_owned)
}

fn comparable(world: &Value) -> Vec<String> {
    let entries = world["resources"].as_array().unwrap();
    let schema = |entry: &Value| {
        let type_name: catalog::TypeName = entry["type"].as_str().unwrap().parse().unwrap();
        catalog::schema(&type_name)
    };
    // Every text that AWS made up for a resource with an address stands for that address.
    let mut names: Vec<(String, String)> = Vec::new();
    for entry in entries {
        let Some(schema) = schema(entry) else {
            continue;
        };
        let tags = schema.tagging().read(&entry["properties"]);
        let Some(address) = tags
            .get("seaworthy:address")
            .cloned()
            .or_else(|| template_name(entry))
        else {
            continue;
        };
        let mut made_up = vec![(
            entry["identifier"].as_str().unwrap().to_owned(),
            "id".to_owned(),
        )];
        for path in schema.read_only() {
            for (at, value) in path.select(&entry["properties"]) {
                made_up.extend(
                    value
                        .as_str()
                        .filter(|text| text.len() > 7)
                        .map(|text| (text.to_owned(), at.to_string())),
                );
            }
        }
        for (text, what) in made_up {
            // IAM speaks of an OIDC issuer without its scheme.
            if let Some(bare) = text.strip_prefix("https://") {
                names.push((bare.to_owned(), format!("<{address}.{what} without https>")));
            }
            names.push((text, format!("<{address}.{what}>")));
        }
    }
    // Longer ones first: an ARN has the id in it.
    names.sort_by_key(|(text, name)| (std::cmp::Reverse(text.len()), name.clone()));
    let mut lines: Vec<String> = entries
        .iter()
        .map(|entry| {
            let mut properties = entry["properties"].clone();
            // What nobody makes through Cloud Control (the instances of a node group) is counted.
            let Some(schema) = schema(entry) else {
                return entry["type"].as_str().unwrap().to_owned();
            };
            for path in schema.read_only() {
                path.remove_from(&mut properties);
            }
            // Drawn by AWS although the schema lets a user set them.
            if let Some(object) = properties.as_object_mut() {
                for drawn in [
                    "PrivateIpAddress",
                    "ThumbprintList",
                    "MaintenanceWindowStartTime",
                ] {
                    object.remove(drawn);
                }
            }
            let mut text = format!("{} {properties}", entry["type"].as_str().unwrap());
            for (from, to) in &names {
                text = text.replace(from, to);
            }
            without_long_numbers(&text)
        })
        .collect();
    lines.sort();
    lines
}
