//! One function a command: it asks `operations`, and hands what comes back to `render`.

mod apply;
mod catalog;
mod cluster;
mod doctor;
mod export;
mod look;
mod sandbox;
mod simulate;
mod spec;
mod state;

use std::io::{self, Write};

use seaworthy_cli::args::{self, Args, Command};
use seaworthy_cli::terminal::Terminal;
use serde::Serialize;

use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

/// Carries out a command line.
pub(crate) async fn run(args: Args, terminal: &Terminal) -> Result<Ending, Failure> {
    let surroundings = Surroundings::read(args.global)?;
    match args.command {
        Command::Init(init) => spec::init(&surroundings, &init),
        Command::Validate(validate) => spec::validate(&surroundings, terminal, &validate),
        Command::Schema(schema) => spec::schema(&schema),
        Command::Plan(plan) => look::plan(&surroundings, terminal, &plan).await,
        Command::Status(status) => look::status(&surroundings, terminal, &status).await,
        Command::Drift(drift) => look::drift(&surroundings, terminal, &drift).await,
        Command::Preflight(preflight) => look::preflight(&surroundings, terminal, &preflight).await,
        Command::IamPolicy(policy) => look::iam_policy(&surroundings, &policy),
        Command::VerifyAws(verify) => look::verify_aws(&surroundings, terminal, &verify).await,
        Command::Deploy(deploy) => apply::deploy(&surroundings, terminal, &deploy).await,
        Command::Destroy(destroy) => apply::destroy(&surroundings, terminal, &destroy).await,
        Command::Bootstrap(bootstrap) => {
            apply::bootstrap(&surroundings, terminal, &bootstrap).await
        }
        Command::Kubeconfig(kubeconfig) => cluster::kubeconfig(&surroundings, &kubeconfig).await,
        Command::Token(token) => cluster::token(&surroundings, &token).await,
        Command::Export(export) => export::run(&surroundings, &export),
        Command::Simulate(simulate) => simulate::run(&surroundings, terminal, &simulate),
        Command::Catalog(command) => catalog::run(&surroundings, &command).await,
        Command::State(command) => state::run(&surroundings, terminal, &command).await,
        Command::Sandbox(command) => sandbox::run(&surroundings, terminal, &command).await,
        Command::Doctor(doctor) => doctor::run(&surroundings, terminal, &doctor).await,
        Command::Completions(completions) => {
            let mut script = Vec::new();
            args::completions(completions.shell, &mut script);
            io::stdout().write_all(&script)?;
            Ok(Ending::Done)
        }
    }
}

/// Writes a value as JSON, for programs.
fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Writes a text for people.
fn print(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// Says something beside the output: what is going on, a warning.
fn say(text: &str) -> Result<(), Failure> {
    Ok(io::stderr().write_all(text.as_bytes())?)
}

/// Asks a question that `yes` answers. Without a terminal nobody can be asked, and it is refused.
async fn confirmed(terminal: &Terminal, question: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !terminal.is_interactive() {
        return Err(Failure::Refused(
            "nobody can be asked without a terminal: give --yes to allow it; nothing was changed"
                .to_owned(),
        ));
    }
    say(&format!("\n{question} [y/N] "))?;
    // A thread of its own: Ctrl-C must be heard while it waits, and the process need not wait for it to end.
    let (answered, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // Whoever asked may be gone.
        let _ = answered.send(io::stdin().read_line(&mut line).map(|_| line));
    });
    let line = answer.await.unwrap_or_else(|_| Ok(String::new()))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
