//! `plan`, `status`, `drift`, `preflight`, `iam-policy`, `verify-aws`: what changes nothing of ours.

use std::io;

use graph::Action;
use operations::{Aim, Finding, Level, StateLocation, VerifyReport};
use seaworthy_cli::args::{
    DriftArgs, IamPolicyArgs, Output, PlanArgs, PlanOutput, PreflightArgs, StatusArgs,
    VerifyAwsArgs,
};
use seaworthy_cli::render::checks::{self, Check, CheckStatus};
use seaworthy_cli::render::plan::{Detail, PlanView};
use seaworthy_cli::render::{self, Hints};
use seaworthy_cli::terminal::Terminal;

use super::{confirmed, print, print_json, say};
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

pub(crate) async fn plan(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &PlanArgs,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.scope.environment)?;
    let target = match args.refresh {
        true => surroundings.target(&wanted.platform.region)?,
        false => surroundings.target_as_it_is()?,
    };
    let aim = match args.destroy {
        true => Aim::Destroy,
        false => Aim::Deploy,
    };
    let planned = operations::plan_only(&folder, &wanted, &target, args.refresh, aim).await?;
    if let Some(file) = &args.out {
        operations::write_plan(file, &planned.plan)?;
    }
    let view = PlanView {
        plan: &planned.plan,
        overrides: &wanted.overrides,
        warnings: &wanted.warnings,
        critical_path_seconds: planned.critical_path_seconds,
        unsettled: planned.unsettled,
        inside: planned.inside,
    };
    let detail = if args.all {
        Detail::All
    } else {
        Detail::Changes
    };
    let out = &mut io::BufWriter::new(io::stdout().lock());
    match args.output {
        PlanOutput::Text => render::plan::text(out, &view, detail, terminal.stdout.style)?,
        PlanOutput::Json => render::plan::json(out, &view)?,
        PlanOutput::Dot => render::dot::plan(out, &planned.plan)?,
    }
    io::Write::flush(out)?;
    if let (Some(file), PlanOutput::Text) = (&args.out, args.output) {
        let command = format!(
            "seaworthy deploy -e {} --plan {}",
            args.scope.environment,
            file.display()
        );
        say(&format!(
            "\nWritten to {}. `{command}` applies it.\n",
            file.display()
        ))?;
    }
    let changes = planned
        .plan
        .changes
        .iter()
        .any(|change| change.action != Action::Unchanged);
    Ok(if args.detailed_exitcode && changes {
        Ending::Changes
    } else {
        Ending::Done
    })
}

pub(crate) async fn status(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &StatusArgs,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.scope.environment)?;
    let target = match args.live {
        true => surroundings.target(&wanted.platform.region)?,
        false => surroundings.target_as_it_is()?,
    };
    let location = StateLocation {
        folder: &folder,
        wanted: &wanted,
        target: &target,
    };
    let store = location.offline().await?;
    let mut status = operations::state::status(&wanted, store.as_ref()).await?;
    if args.live {
        let gone = operations::gone(&folder, &wanted, &target).await?;
        status.mark_gone(&gone);
    }
    match args.output.output {
        Output::Json => render::status::json(&mut io::stdout(), &status)?,
        Output::Text => render::status::text(
            &mut io::stdout(),
            &status,
            hints(surroundings, &args.scope.environment),
            terminal.stdout.style,
        )?,
    }
    Ok(Ending::Done)
}

pub(crate) async fn drift(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &DriftArgs,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.scope.environment)?;
    let target = surroundings.target(&wanted.platform.region)?;
    let (drifted, checked) = operations::drifted(&folder, &wanted, &target).await?;
    let view = render::drift::DriftView {
        name: &wanted.scope().name(),
        drifted: &drifted,
        checked,
    };
    let out = &mut io::stdout();
    match args.output.output {
        Output::Json => render::drift::json(out, &view)?,
        Output::Text => {
            render::drift::text(
                out,
                &view,
                hints(surroundings, &args.scope.environment),
                terminal.stdout.style,
            )?;
        }
    }
    Ok(if args.detailed_exitcode && !drifted.is_empty() {
        Ending::Changes
    } else {
        Ending::Done
    })
}

pub(crate) async fn preflight(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &PreflightArgs,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.scope.environment)?;
    let target = surroundings.target(&wanted.platform.region)?;
    let planned = operations::plan_only(&folder, &wanted, &target, false, Aim::Deploy).await?;
    let connection = target.connect(&wanted).await?;
    let checks = as_checks(operations::check_account(&connection, &wanted, &planned.plan).await);
    let out = &mut io::stdout();
    match args.output.output {
        Output::Json => checks::json(out, &checks)?,
        Output::Text => checks::text(out, &checks, terminal.stdout.style)?,
    }
    Ok(if checks::passed(&checks) {
        Ending::Done
    } else {
        Ending::Failed
    })
}

/// What a preflight has found, as checks to be shown.
pub(super) fn as_checks(findings: Vec<Finding>) -> Vec<Check> {
    findings
        .into_iter()
        .map(|finding| {
            let name = match finding.check {
                operations::Check::Identity => "identity",
                operations::Check::Account => "account",
                operations::Check::Region => "region",
                operations::Check::TypeSupport => "resource types",
                operations::Check::Quota => "quota",
                operations::Check::Zones => "availability zones",
                operations::Check::FreeAddresses => "free addresses",
                operations::Check::Existing => "existing",
            };
            let status = match finding.level {
                Level::Ok => CheckStatus::Ok,
                Level::Warning => CheckStatus::Warning,
                Level::Error => CheckStatus::Error,
            };
            Check {
                help: finding.advice,
                ..Check::new(name, status, finding.message)
            }
        })
        .collect()
}

pub(crate) fn iam_policy(
    surroundings: &Surroundings,
    args: &IamPolicyArgs,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.scope.environment)?;
    let target = surroundings.target_as_it_is()?;
    let documents = operations::policies(&StateLocation {
        folder: &folder,
        wanted: &wanted,
        target: &target,
    })?;
    match documents.as_slice() {
        [only] => print_json(only)?,
        several => {
            // More than a managed policy may hold: a list of documents, each for a policy of its own.
            print_json(&several)?;
            let count = several.len();
            say(&format!(
                "These are {count} policies: together they are longer than one managed policy may be.\n"
            ))?;
        }
    }
    Ok(Ending::Done)
}

pub(crate) async fn verify_aws(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &VerifyAwsArgs,
) -> Result<Ending, Failure> {
    let region = match &args.region {
        Some(region) => region.clone(),
        None => surroundings.region()?,
    };
    let question = "Make a VPC, a subnet, a role, a queue and a secret in this account, and delete them again?";
    if !confirmed(terminal, question, args.yes).await? {
        return Ok(Ending::Refused);
    }
    let target = surroundings.target(&region)?;
    let cancel = async {
        // Without signals nobody can interrupt it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let observe = |step: &str| {
        // Nobody may be looking.
        let _ = say(&format!("{step}\n"));
    };
    let report = operations::verify_account(&target, &region, cancel, observe).await?;
    match args.output.output {
        Output::Json => print_json(&report)?,
        Output::Text => print(&verified(&report))?,
    }
    Ok(match (report.interrupted, report.is_clean()) {
        (true, _) => Ending::Interrupted,
        (false, true) => Ending::Done,
        (false, false) => Ending::Failed,
    })
}

fn verified(report: &VerifyReport) -> String {
    let mut text = format!(
        "\n{} steps, {} differences from what the sandbox does\n",
        report.steps.len(),
        report.differences.len()
    );
    for step in &report.steps {
        text.push_str(&format!(
            "  {:>7.1} s  {}: {}\n",
            step.seconds, step.name, step.observed
        ));
    }
    for difference in &report.differences {
        text.push_str(&format!(
            "\n{}\n  expected: {}\n  found:    {}\n",
            difference.step, difference.expected, difference.found
        ));
    }
    for left in &report.left_behind {
        text.push_str(&format!("\nleft behind, delete it by hand: {left}\n"));
    }
    text
}

fn hints<'a>(
    surroundings: &Surroundings,
    environment: &'a catalog::ids::EnvironmentName,
) -> Hints<'a> {
    Hints {
        environment: environment.as_str(),
        target: surroundings.global.target,
    }
}
