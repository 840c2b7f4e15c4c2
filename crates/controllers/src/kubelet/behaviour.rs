//! What a simulated container does: told by annotations of its pod, or guessed from its command.
//!
//! Annotations are `sandbox.seaworthy.dev/<what>` for all containers that are not init containers, or
//! `sandbox.seaworthy.dev/<what>.<container>` for one of any sort, which wins:
//!
//! | what | value | without it |
//! | --- | --- | --- |
//! | `exit-code` | with which code the container ends | what its command says, else 0 |
//! | `run-seconds` | after how many modelled seconds it ends, or `forever` | what its command says, else see below |
//! | `stop-seconds` | how long it takes to end once told to, at most the pod's grace period | 0.5 |
//! | `ready` | `"false"`: its readiness probe fails | it succeeds |
//! | `live` | `"false"`: its liveness probe fails | it succeeds |
//! | `cpu` | what it uses (`250m`); see [`super::usage`] for `load`, which pods share | see [`super::usage`] |
//! | `memory` | what it uses (`300Mi`); above its limit it is killed | see [`super::usage`] |
//! | `image-pull` | `fails`: its image can't be pulled | it can, if its name can be one |
//!
//! A command is understood when it is made of `sleep N`, `sleep infinity`, `exit N`, `true`, `false`, `echo`, `printf` and `date`
//! alone, by itself or in a shell's `-c`, joined by `;`, `&&` or new lines; so are the arguments of an image that has no program of
//! its own (`busybox`, `alpine`, …). Of any other program nothing is known: it runs for ever in
//! a pod that restarts it (`restartPolicy: Always`), [`JOB_SECONDS`] in one that doesn't, [`INIT_SECONDS`] as an init container, and
//! ends with code 0.

use k8s_openapi::api::core::v1::{Container, Pod};
use objects::Quantity;

use crate::document::Named;

/// Where the annotations are.
pub const PREFIX: &str = "sandbox.seaworthy.dev/";

/// How long programs run in pods that are to come to an end, in modelled seconds. An assumption.
pub const JOB_SECONDS: f64 = 5.0;
/// How long init containers run, in modelled seconds. An assumption.
pub const INIT_SECONDS: f64 = 1.0;
/// How long a program runs of which only the exit code is given and that is started again and again, in modelled seconds.
const FAILING_SECONDS: f64 = 1.0;
/// How long a program takes to end once it was told to, in modelled seconds. Those that heed SIGTERM end at once.
const STOP_SECONDS: f64 = 0.5;

/// How a container is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Main,
    /// An init container that ends before the next one starts.
    Init,
    /// An init container that runs on.
    Sidecar,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Behaviour {
    /// How long it runs, in modelled seconds; none is for ever.
    pub run: Option<f64>,
    pub exit_code: i32,
    pub stop: f64,
    pub ready: bool,
    pub live: bool,
    pub pull_fails: bool,
}

fn annotation<'a>(pod: &'a Pod, what: &str, container: &str, role: Role) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?;
    let own = pod.annotation(&format!("{PREFIX}{what}.{container}"));
    match role {
        Role::Main => own.or_else(|| pod.annotation(&format!("{PREFIX}{what}"))),
        Role::Init | Role::Sidecar => own,
    }
}

/// An annotated amount; none where there is none or it can't be read.
pub(super) fn amount(pod: &Pod, what: &str, container: &str, role: Role) -> Option<Quantity> {
    let amount: Quantity = annotation(pod, what, container, role)?.parse().ok()?;
    (!amount.is_negative()).then_some(amount)
}

impl Behaviour {
    pub(super) fn of(pod: &Pod, container: &Container, role: Role) -> Self {
        let text = |what| annotation(pod, what, &container.name, role);
        let restarts = restart_policy(pod) == "Always";
        let unknown = match role {
            Role::Sidecar => None,
            Role::Init => Some(INIT_SECONDS),
            Role::Main if restarts => None,
            Role::Main => Some(JOB_SECONDS),
        };
        let understood = command(container);
        let exit_code: Option<i32> = text("exit-code").and_then(|text| text.parse().ok());
        let run = match text("run-seconds") {
            Some("forever") => None,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
                .or(unknown),
            None => match (understood, exit_code) {
                (Some(program), _) => program.run,
                (None, Some(_)) => unknown.or(Some(FAILING_SECONDS)),
                (None, None) => unknown,
            },
        };
        Self {
            run,
            exit_code: exit_code
                .or_else(|| understood.map(|program| program.exit_code))
                .unwrap_or(0),
            stop: text("stop-seconds")
                .and_then(|text| text.parse().ok())
                .filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)
                .unwrap_or(STOP_SECONDS),
            ready: text("ready") != Some("false"),
            live: text("live") != Some("false"),
            pull_fails: text("image-pull") == Some("fails"),
        }
    }
}

/// `Always` where the pod doesn't say.
pub(super) fn restart_policy(pod: &Pod) -> &str {
    pod.spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref())
        .unwrap_or("Always")
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Program {
    run: Option<f64>,
    exit_code: i32,
}

/// Images without a program of their own: a container's arguments are its command there (`kubectl run … -- sleep 60`).
const BARE_IMAGES: [&str; 7] = [
    "alpine",
    "amazonlinux",
    "bash",
    "busybox",
    "debian",
    "fedora",
    "ubuntu",
];

fn is_bare(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or(image);
    let name = name.split(['@', ':']).next().unwrap_or(name);
    BARE_IMAGES.contains(&name)
}

/// What a container's command does, if it is understood.
fn command(container: &Container) -> Option<Program> {
    let given = container
        .command
        .as_ref()
        .is_some_and(|all| !all.is_empty());
    // The image's own program takes the arguments otherwise.
    if !given && !is_bare(container.image.as_deref().unwrap_or_default()) {
        return None;
    }
    let words: Vec<&str> = container
        .command
        .iter()
        .chain(&container.args)
        .flatten()
        .map(String::as_str)
        .collect();
    program(words)
}

/// How long a command runs, in modelled seconds, if it is understood and comes to an end.
pub(super) fn command_seconds(command: &[String]) -> Option<f64> {
    program(command.iter().map(String::as_str).collect())?.run
}

fn program(mut words: Vec<&str>) -> Option<Program> {
    let first = words.first()?;
    let shell = first.rsplit('/').next().unwrap_or(first);
    if matches!(shell, "sh" | "bash" | "ash")
        && let Some(at) = words
            .iter()
            .position(|word| *word == "-c" || *word == "-ec")
    {
        let script = words.get(at + 1)?;
        return statements(script);
    }
    words[0] = shell;
    statement(&words).map(|step| match step {
        Step::Sleep(run) => Program { run, exit_code: 0 },
        Step::Exit(exit_code) | Step::Done(exit_code) => Program {
            run: Some(0.0),
            exit_code,
        },
    })
}

enum Step {
    Sleep(Option<f64>),
    Exit(i32),
    Done(i32),
}

fn statements(script: &str) -> Option<Program> {
    let mut program = Program {
        run: Some(0.0),
        exit_code: 0,
    };
    for sequence in script.split(['\n', ';']) {
        for text in sequence.split("&&") {
            let words: Vec<&str> = text.split_whitespace().collect();
            if words.is_empty() {
                continue;
            }
            match statement(&words)? {
                Step::Sleep(None) => {
                    program.run = None;
                    return Some(program);
                }
                Step::Sleep(Some(more)) => {
                    program.run = program.run.map(|run| run + more);
                    program.exit_code = 0;
                }
                Step::Exit(code) => {
                    program.exit_code = code;
                    return Some(program);
                }
                Step::Done(code) => program.exit_code = code,
            }
            // What `&&` joins goes on only after success.
            if program.exit_code != 0 {
                break;
            }
        }
    }
    Some(program)
}

fn statement(words: &[&str]) -> Option<Step> {
    let plain = |text: &str| {
        !text
            .chars()
            .any(|character| matches!(character, '|' | '`' | '&' | '<'))
    };
    if !words.iter().all(|word| plain(word)) {
        return None;
    }
    match (*words.first()?, words.get(1).copied()) {
        ("sleep", Some("infinity" | "inf")) => Some(Step::Sleep(None)),
        ("sleep", Some(text)) => {
            let (number, unit) = match text.char_indices().last()? {
                (at, 's') => (&text[..at], 1.0),
                (at, 'm') => (&text[..at], 60.0),
                (at, 'h') => (&text[..at], 3600.0),
                (at, 'd') => (&text[..at], 86400.0),
                _ => (text, 1.0),
            };
            let number: f64 = number.parse().ok()?;
            (number.is_finite() && number >= 0.0).then_some(Step::Sleep(Some(number * unit)))
        }
        ("exit", code) => code
            .map_or(Some(0), |code| code.parse().ok())
            .map(Step::Exit),
        ("true" | "date" | "echo" | "printf", _) => Some(Step::Done(0)),
        ("false", _) => Some(Step::Done(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn behaviour(restart: &str, annotations: Json, command: Json, role: Role) -> Behaviour {
        let pod: Pod = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": annotations},
            "spec": {"restartPolicy": restart, "containers": [{"name": "c", "command": command}]},
        }))
        .unwrap();
        let container = pod.spec.as_ref().unwrap().containers[0].clone();
        Behaviour::of(&pod, &container, role)
    }

    fn ends(restart: &str, command: Json) -> (Option<f64>, i32) {
        let of = behaviour(restart, json!({}), command, Role::Main);
        (of.run, of.exit_code)
    }

    #[test]
    fn arguments_are_a_command_where_the_image_has_none() {
        let of = |image: &str| {
            let container: Container = serde_json::from_value(
                json!({"name": "c", "image": image, "args": ["sleep", "7"]}),
            )
            .unwrap();
            command(&container).map(|program| program.run)
        };
        for image in [
            "busybox",
            "busybox:1.36",
            "public.ecr.aws/docker/library/alpine@sha256:00",
        ] {
            assert_eq!(of(image), Some(Some(7.0)), "{image}");
        }
        for image in ["", "nginx:1.27", "example.org/busybox/tool:1"] {
            assert_eq!(of(image), None, "{image}");
        }
    }

    #[test]
    fn commands_that_are_understood() {
        assert_eq!(ends("Always", json!(["sleep", "30"])), (Some(30.0), 0));
        assert_eq!(ends("Never", json!(["sleep", "infinity"])), (None, 0));
        assert_eq!(
            ends(
                "Never",
                json!(["/bin/sh", "-c", "echo hi; sleep 2 && exit 3"])
            ),
            (Some(2.0), 3)
        );
        assert_eq!(
            ends("Always", json!(["sh", "-c", "false && sleep 9\necho on"])),
            (Some(0.0), 0)
        );
        assert_eq!(
            ends("Always", json!(["sh", "-c", "sleep 1m; false"])),
            (Some(60.0), 1)
        );
        assert_eq!(
            ends(
                "Always",
                json!(["sh", "-c", "while true; do sleep 5; done"])
            ),
            (None, 0)
        );
        assert_eq!(
            ends("Never", json!(["./migrate", "--up"])),
            (Some(JOB_SECONDS), 0)
        );
        assert_eq!(
            ends("Never", json!(["sh", "-c", "curl x | exit 1"])),
            (Some(JOB_SECONDS), 0)
        );
    }

    #[test]
    fn annotations_win() {
        let of = |what: Json, role| behaviour("Always", what, json!(["sleep", "3"]), role);
        let all = of(
            json!({"sandbox.seaworthy.dev/run-seconds": "9", "sandbox.seaworthy.dev/exit-code": "2", "sandbox.seaworthy.dev/ready": "false"}),
            Role::Main,
        );
        assert_eq!((all.run, all.exit_code, all.ready), (Some(9.0), 2, false));
        let init = of(
            json!({"sandbox.seaworthy.dev/exit-code": "2", "sandbox.seaworthy.dev/run-seconds.c": "forever"}),
            Role::Init,
        );
        assert_eq!(
            (init.run, init.exit_code),
            (None, 0),
            "an init container is named"
        );
        let failing = behaviour(
            "Always",
            json!({"sandbox.seaworthy.dev/exit-code": "1"}),
            json!([]),
            Role::Main,
        );
        assert_eq!((failing.run, failing.exit_code), (Some(1.0), 1));
    }
}
