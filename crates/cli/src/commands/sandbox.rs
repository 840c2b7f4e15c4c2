//! `sandbox …`: the embedded AWS as a process.

use std::fmt::Write as _;

use sandbox::process::{self, UNSET_VARIABLES};
use sandbox::{
    Faults, InstanceEvent, Interrupted, ServeOptions, Settings, StartOptions, Status, TimeScale,
};
use seaworthy_cli::args::{EnvShell, InterruptEvent, Output, SandboxCommand, SandboxStartArgs};
use seaworthy_cli::terminal::Terminal;
use serde_json::json;

use super::{confirmed, print, print_json};
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

pub(crate) async fn run(
    surroundings: &Surroundings,
    terminal: &Terminal,
    command: &SandboxCommand,
) -> Result<Ending, Failure> {
    let folder = surroundings.sandbox_folder();
    match command {
        SandboxCommand::Start(args) => {
            let endpoint = process::start(&folder, &start_options(surroundings, args)?)?;
            if !endpoint.started && (args.no_external_dns || !args.quotas.is_empty()) {
                return Err(Failure::Wrong(
                    "the sandbox runs already, and its quotas and DNS are set when it starts: stop it first".to_owned(),
                ));
            }
            let verb = if endpoint.started {
                "started"
            } else {
                "runs already"
            };
            print(&format!(
                "The sandbox {verb}: {}\n",
                described(&endpoint.status)
            ))?;
        }
        SandboxCommand::Stop => match process::stop(&folder)? {
            true => print(
                "The sandbox is stopped. Its world stays on disk, and its clock stands still.\n",
            )?,
            false => print("The sandbox does not run.\n")?,
        },
        SandboxCommand::Status(args) => {
            let status = process::status(&folder)?;
            match args.output.output {
                Output::Json => print_json(&status_json(status.as_ref())?)?,
                Output::Text => print(&status_text(status.as_ref()))?,
            }
        }
        SandboxCommand::Env(args) => {
            let variables = process::env(&folder)?;
            let mut text = String::new();
            for (name, value) in &variables {
                let _ = match args.shell {
                    EnvShell::Sh => writeln!(text, "export {name}='{value}'"),
                    EnvShell::Fish => writeln!(text, "set -gx {name} '{value}'"),
                };
            }
            for name in UNSET_VARIABLES {
                let _ = match args.shell {
                    EnvShell::Sh => writeln!(text, "unset {name}"),
                    EnvShell::Fish => writeln!(text, "set -e {name}"),
                };
            }
            print(&text)?;
        }
        SandboxCommand::Reset(args) => {
            if !confirmed(terminal, "Empty the sandbox's world?", args.yes).await? {
                return Ok(Ending::Refused);
            }
            process::reset(&folder)?;
            print("The sandbox's world is empty.\n")?;
        }
        SandboxCommand::Faults(args) => {
            let faults = match &args.file {
                Some(file) => Faults::load(file)?,
                None => Faults::default(),
            };
            process::set_faults(&folder, &faults)?;
            print(&match faults.rules.len() {
                0 => "No faults are on order.\n".to_owned(),
                1 => "One fault is on order.\n".to_owned(),
                more => format!("{more} faults are on order.\n"),
            })?;
        }
        SandboxCommand::Interrupt(args) => {
            let happened = process::interrupt(&folder, &args.instance, event(args.event))?;
            match args.output.output {
                Output::Json => print_json(&happened)?,
                Output::Text => print(&interrupted_text(args.event, &happened))?,
            }
        }
        SandboxCommand::World => print_json(&process::world(&folder)?)?,
        SandboxCommand::Serve(args) => {
            let mut options = ServeOptions::load(&folder)?;
            options.dir = folder;
            options.port = args.port.or(options.port);
            options.time_scale = args.time_scale.map_or(options.time_scale, time_scale);
            sandbox::serve(options).await?;
        }
    }
    Ok(Ending::Done)
}

fn start_options(
    surroundings: &Surroundings,
    args: &SandboxStartArgs,
) -> Result<StartOptions, Failure> {
    let region = args.region.as_ref().map(ToString::to_string);
    // What is not asked for is the default, whatever it was at an earlier start.
    let settings = Some(Settings {
        external_dns: !args.no_external_dns,
        quotas: args.quotas.iter().cloned().collect(),
        ..Settings::default()
    });
    let region = match (region, process::exists(&surroundings.sandbox_folder())) {
        (Some(region), _) => Some(region),
        (None, true) => None,
        // The world of a platform plays its region.
        (None, false) => surroundings.region().ok().map(|region| region.to_string()),
    };
    Ok(StartOptions {
        port: args.port,
        time_scale: Some(args.time_scale.map_or(TimeScale::DEFAULT, time_scale)),
        region,
        settings,
        faults: faults(args)?,
        ..StartOptions::default()
    })
}

/// The faults that were asked for, by file or one by one.
fn faults(args: &SandboxStartArgs) -> Result<Option<Faults>, Failure> {
    if let Some(file) = &args.faults {
        return Ok(Some(Faults::load(file)?));
    }
    let rules = args.fault.clone();
    Ok((!rules.is_empty()).then(|| Faults {
        rules,
        ..Faults::default()
    }))
}

fn time_scale(scale: f64) -> TimeScale {
    if scale.is_infinite() {
        TimeScale::Max
    } else {
        TimeScale::Times(scale)
    }
}

fn described(status: &Status) -> String {
    let overview = &status.overview;
    let pace = match overview.time_scale {
        TimeScale::Max => "nothing takes time".to_owned(),
        TimeScale::Times(scale) => format!("{scale} modelled seconds a second"),
    };
    format!(
        "http://127.0.0.1:{}, account {}, {}, {pace} (process {})",
        status.port, overview.account, overview.region, status.pid
    )
}

fn event(event: InterruptEvent) -> InstanceEvent {
    match event {
        InterruptEvent::Spot => InstanceEvent::SpotInterruption,
        InterruptEvent::Rebalance => InstanceEvent::RebalanceRecommendation,
        InterruptEvent::ScheduledChange => InstanceEvent::ScheduledChange,
        InterruptEvent::Stopping => InstanceEvent::Stopping,
        InterruptEvent::Terminated => InstanceEvent::Terminated,
    }
}

fn interrupted_text(event: InterruptEvent, happened: &Interrupted) -> String {
    let what = match event {
        InterruptEvent::Spot => "EC2 takes it back",
        InterruptEvent::Rebalance => "EC2 recommends to leave it",
        InterruptEvent::ScheduledChange => "its machine is to be retired",
        InterruptEvent::Stopping => "it stops",
        InterruptEvent::Terminated => "it is terminated",
    };
    let when = match happened.ends_in_seconds {
        Some(seconds) if seconds >= 0.5 => format!(" in {seconds:.0} s of the sandbox's time"),
        _ => String::new(),
    };
    let mut text = format!("{} ({}): {what}{when}.\n", happened.node, happened.instance);
    text.push_str(match happened.queues {
        0 => {
            "No queue was told: no rule of EventBridge hands this on, so nobody drains the node.\n"
        }
        1 => "One queue was told.\n",
        _ => "Several queues were told.\n",
    });
    if let Some(replacement) = &happened.replacement {
        let _ = writeln!(text, "Its node group launches {replacement} in its place.");
    }
    text
}

fn status_json(status: Option<&Status>) -> Result<serde_json::Value, Failure> {
    let Some(status) = status else {
        return Ok(json!({ "running": false }));
    };
    let mut document = serde_json::to_value(status)?;
    document["running"] = json!(true);
    document["endpoint"] = json!(format!("http://127.0.0.1:{}", status.port));
    Ok(document)
}

fn status_text(status: Option<&Status>) -> String {
    let Some(status) = status else {
        return "The sandbox does not run. `seaworthy sandbox start` starts it, and so does a deploy.\n".to_owned();
    };
    let mut text = format!("The sandbox runs: {}\n", described(status));
    let total: usize = status.overview.resources.values().sum();
    let _ = writeln!(
        text,
        "{total} resources, {} operations under way",
        status.overview.open_operations.len()
    );
    for (type_name, count) in &status.overview.resources {
        let _ = writeln!(text, "  {count:>4}  {type_name}");
    }
    text
}
