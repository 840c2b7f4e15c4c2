//! `deploy`, `destroy`, `bootstrap`: what changes something. Each shows its plan first and asks.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catalog::ids::EnvironmentName;
use engine::{Observer, Outcome, Report, Settings, Stop};
use operations::{Aim, Level, Planned, SHARED, Session, Target, Wanted};
use seaworthy_cli::args::{BootstrapArgs, DeployArgs, DestroyArgs, Output, PaceArgs};
use seaworthy_cli::progress::{self, Progress};
use seaworthy_cli::render::plan::{Detail, PlanView};
use seaworthy_cli::render::{self, Hints, report};
use seaworthy_cli::terminal::{Stream, Terminal, count};
use tokio::sync::watch;

use super::{confirmed, say};
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

/// What is to be done, whichever command asked for it.
struct Request<'a> {
    environment: EnvironmentName,
    destroy: bool,
    plan: Option<&'a Path>,
    confirm: Option<&'a str>,
    yes: bool,
    refresh: bool,
    force_conflicts: bool,
    drain_timeout: Duration,
    without_cluster: bool,
    pace: PaceArgs,
    output: Output,
}

impl Request<'_> {
    fn aim(&self) -> Aim {
        match (self.destroy, self.without_cluster) {
            (false, _) => Aim::Deploy,
            (true, false) => Aim::Destroy,
            (true, true) => Aim::DestroyWithoutCluster,
        }
    }
}

pub(crate) async fn deploy(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &DeployArgs,
) -> Result<Ending, Failure> {
    let request = Request {
        environment: args.environment.environment.clone(),
        destroy: false,
        plan: args.plan.as_deref(),
        confirm: None,
        yes: args.yes,
        refresh: args.refresh,
        force_conflicts: args.force_conflicts,
        drain_timeout: operations::DRAIN_TIMEOUT,
        without_cluster: false,
        pace: args.pace,
        output: args.output.output,
    };
    not_shared(&request.environment, "bootstrap")?;
    carry_out(surroundings, terminal, &request).await
}

pub(crate) async fn destroy(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &DestroyArgs,
) -> Result<Ending, Failure> {
    let request = Request {
        environment: args.environment.environment.clone(),
        destroy: true,
        plan: None,
        confirm: args.confirm.as_deref(),
        yes: args.yes,
        refresh: false,
        force_conflicts: false,
        drain_timeout: args.drain_timeout,
        without_cluster: args.without_cluster,
        pace: args.pace,
        output: args.output.output,
    };
    not_shared(&request.environment, "bootstrap --destroy")?;
    carry_out(surroundings, terminal, &request).await
}

pub(crate) async fn bootstrap(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &BootstrapArgs,
) -> Result<Ending, Failure> {
    let environment =
        EnvironmentName::new(SHARED).map_err(|error| Failure::Wrong(error.to_string()))?;
    let request = Request {
        environment,
        destroy: args.destroy,
        plan: None,
        confirm: args.confirm.as_deref(),
        yes: args.yes,
        refresh: args.refresh,
        force_conflicts: false,
        drain_timeout: operations::DRAIN_TIMEOUT,
        without_cluster: false,
        pace: args.pace,
        output: args.output.output,
    };
    carry_out(surroundings, terminal, &request).await
}

fn not_shared(environment: &EnvironmentName, command: &str) -> Result<(), Failure> {
    match environment.as_str() {
        SHARED => Err(Failure::Wrong(format!(
            "what environments share is made by `seaworthy {command}`"
        ))),
        _ => Ok(()),
    }
}

async fn carry_out(
    surroundings: &Surroundings,
    terminal: &Terminal,
    request: &Request<'_>,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &request.environment)?;
    if request.destroy {
        operations::check_confirmation(&wanted, request.confirm)?;
    }
    let kept = request.plan.map(operations::read_plan).transpose()?;
    let target = Target {
        force_conflicts: request.force_conflicts,
        drain_timeout: request.drain_timeout,
        ..surroundings.target(&wanted.platform.region)?
    };
    let progress = Progress::new(progress::Options {
        // A log and a display that redraws itself would write over each other.
        stream: Stream {
            is_terminal: terminal.stderr.is_terminal && surroundings.global.verbose == 0,
            ..terminal.stderr
        },
        pace: target.pace,
        destroy: request.destroy,
    });
    let notices = progress.sender();
    let observer: Observer = Arc::new(move |notice| notices.send(notice));
    let settings = settings(&request.pace, &target);
    let (stop, stopped) = watch::channel(Stop::No);
    let session = Session::open(&folder, &wanted, &target, settings, observer).await?;
    tokio::spawn(interrupts(stop, progress.sender()));
    let work = Work {
        surroundings,
        terminal,
        request,
        wanted: &wanted,
        target: &target,
        session: &session,
        progress,
        stopped,
    };
    let result = work.run(kept).await;
    // The lease is given back and the history kept, whatever became of the run.
    let closed = session.close().await;
    let ending = result?;
    closed?;
    Ok(ending)
}

fn settings(pace: &PaceArgs, target: &Target) -> Settings {
    let default = Settings {
        pace: target.pace,
        ..Settings::default()
    };
    Settings {
        operations: pace.concurrency.unwrap_or(default.operations),
        rate: pace.rate.unwrap_or(default.rate),
        calls: pace
            .rate
            .map_or(default.calls, |rate| (rate.ceil() as usize).clamp(1, 256)),
        ..default
    }
}

struct Work<'a> {
    surroundings: &'a Surroundings,
    terminal: &'a Terminal,
    request: &'a Request<'a>,
    wanted: &'a Wanted,
    target: &'a Target,
    session: &'a Session<'a>,
    progress: Progress,
    stopped: watch::Receiver<Stop>,
}

impl Work<'_> {
    async fn run(mut self, kept: Option<graph::Plan>) -> Result<Ending, Failure> {
        let unsettled = self.session.unsettled();
        if unsettled > 0 {
            let open = count(unsettled, "operation");
            self.tell(&format!(
                "An earlier run has left {open} open. What became of them is found out first.\n"
            ))?;
            // That can make, change and delete things too.
            if !self.may("Carry on with them?").await? {
                return Ok(self.unchanged());
            }
            let failures = self.session.settle(self.stopped.clone()).await?;
            report::unsettled(&mut io::stderr(), &failures, self.terminal.stderr.style)?;
            if *self.stopped.borrow() > Stop::No {
                return Ok(Ending::Interrupted);
            }
            let still = self.session.unsettled();
            if still > 0 {
                let open = count(still, "operation");
                self.tell(&format!(
                    "What became of {open} could not be found out, so nothing else is begun. Run the same command again.\n"
                ))?;
                return Ok(Ending::Failed);
            }
        }
        let planned = match kept {
            Some(plan) => {
                self.session.check(&plan)?;
                Planned {
                    plan,
                    ..self.session.plan(false, self.request.aim()).await?
                }
            }
            None => {
                self.session
                    .plan(self.request.refresh, self.request.aim())
                    .await?
            }
        };
        if self.session.is_settled(&planned.plan) {
            return self.nothing_to_do(&planned);
        }
        if self.request.output == Output::Text {
            let view = PlanView {
                plan: &planned.plan,
                overrides: &self.wanted.overrides,
                warnings: &self.wanted.warnings,
                critical_path_seconds: planned.critical_path_seconds,
                unsettled: planned.unsettled,
                inside: planned.inside,
            };
            render::plan::text(
                &mut io::stdout(),
                &view,
                Detail::Changes,
                self.terminal.stdout.style,
            )?;
        }
        if !self.request.destroy && !self.account_is_ready(&planned.plan).await? {
            return Ok(Ending::Refused);
        }
        let question = match self.request.destroy {
            true => format!("Destroy {}?", self.wanted.scope().name()),
            false => format!("Deploy this to {}?", self.target.kind.name()),
        };
        if !self.may(&question).await? {
            return Ok(self.unchanged());
        }
        let before = self.session.state();
        self.progress
            .start(&planned.plan, planned.critical_path_seconds);
        let result = self
            .session
            .apply(&planned.plan, self.stopped.clone())
            .await;
        self.progress.finish();
        let done = result?;
        let sweep = match self.request.destroy && done.outcome == Outcome::Completed {
            true => Some(self.session.sweep(&before).await?),
            false => None,
        };
        let retained: Vec<String> = match self.request.destroy {
            true => operations::staying(&before, self.wanted, sweep.as_ref())
                .into_iter()
                .map(|address| address.to_string())
                .collect(),
            false => Vec::new(),
        };
        let view = report::ReportView {
            name: &self.wanted.scope().name(),
            destroy: self.request.destroy,
            planned: planned.plan.summary,
            report: &done,
            sweep: sweep.as_ref(),
            retained: &retained,
        };
        match self.request.output {
            Output::Json => report::json(&mut io::stdout(), &view, self.hints())?,
            Output::Text => report::text(
                &mut io::stdout(),
                &view,
                self.hints(),
                self.terminal.stdout.style,
            )?,
        }
        let clean = view.is_clean();
        Ok(match done.outcome {
            Outcome::Completed if !clean => Ending::Failed,
            Outcome::Completed => Ending::Done,
            Outcome::Failed => Ending::Failed,
            Outcome::Interrupted => Ending::Interrupted,
        })
    }

    /// Asks, unless `--yes` has answered. Ctrl-C is a no.
    async fn may(&self, question: &str) -> Result<bool, Failure> {
        let mut stopped = self.stopped.clone();
        let may = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop > Stop::No) => false,
            answer = confirmed(self.terminal, question, self.request.yes) => answer?,
        };
        if !may {
            self.tell("\nNothing was changed.\n")?;
        }
        Ok(may)
    }

    /// How a command ends that was not allowed to go on.
    fn unchanged(&self) -> Ending {
        match *self.stopped.borrow() {
            Stop::No => Ending::Refused,
            Stop::Drain | Stop::Now => Ending::Interrupted,
        }
    }

    /// Asks the account whether the plan can work, before anything is made. What is only unwise is said.
    async fn account_is_ready(&self, plan: &graph::Plan) -> Result<bool, Failure> {
        let findings =
            operations::check_account(self.session.connection(), self.wanted, plan).await;
        let worth_saying: Vec<_> = findings
            .into_iter()
            .filter(|finding| finding.level != Level::Ok)
            .collect();
        let ready = worth_saying
            .iter()
            .all(|finding| finding.level != Level::Error);
        if !worth_saying.is_empty() {
            let checks = super::look::as_checks(worth_saying);
            render::checks::text(&mut io::stderr(), &checks, self.terminal.stderr.style)?;
        }
        if !ready {
            self.tell("error: the account is not ready for this plan; nothing was changed\n")?;
        }
        Ok(ready)
    }

    fn nothing_to_do(&self, planned: &Planned) -> Result<Ending, Failure> {
        if self.request.output == Output::Json {
            let name = self.wanted.scope().name();
            let nothing = Report {
                outcome: Outcome::Completed,
                done: 0,
                failed: Vec::new(),
                skipped: Vec::new(),
                left: Vec::new(),
                wall_seconds: 0.0,
                modelled_seconds: Some(0.0),
                critical_path_seconds: 0.0,
            };
            let view = report::ReportView {
                name: &name,
                destroy: self.request.destroy,
                planned: planned.plan.summary,
                report: &nothing,
                sweep: None,
                retained: &[],
            };
            report::json(&mut io::stdout(), &view, self.hints())?;
            return Ok(Ending::Done);
        }
        let name = self.wanted.scope().name();
        let text = match (self.request.destroy, planned.plan.summary.unchanged) {
            (true, _) => format!("Nothing to do: there is nothing of {name}.\n"),
            (false, 1) => {
                format!("Nothing to do: the one resource of {name} is as the spec wants it.\n")
            }
            (false, many) => format!(
                "Nothing to do: all {many} resources of {name} are as the spec wants them.\n"
            ),
        };
        super::print(&text)?;
        Ok(Ending::Done)
    }

    fn hints(&self) -> Hints<'_> {
        Hints {
            environment: self.request.environment.as_str(),
            target: self.surroundings.global.target,
        }
    }

    fn tell(&self, text: &str) -> Result<(), Failure> {
        say(text)
    }
}

/// Ctrl-C once: nothing new is begun. Twice, or a request to end (SIGTERM, whose sender does not wait): stop now.
async fn interrupts(stop: watch::Sender<Stop>, progress: progress::Sender) {
    let mut terminate =
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(terminate) => terminate,
            Err(_) => return,
        };
    loop {
        let next = tokio::select! {
            pressed = tokio::signal::ctrl_c() => match pressed {
                Ok(()) if *stop.borrow() == Stop::No => Stop::Drain,
                Ok(()) => Stop::Now,
                Err(_) => return,
            },
            _ = terminate.recv() => Stop::Now,
        };
        progress.interrupted(next);
        stop.send_replace(next);
    }
}
