//! `plan`, `status`, `drift`, `preflight`, `iam-policy`, `verify-aws`: what changes nothing of ours.

use std::io;

use graph::Action;
use operations::StateLocation;
use seaworthy_cli::args::{DriftArgs, IamPolicyArgs, Output, PlanArgs, PlanOutput, PreflightArgs, StatusArgs, VerifyAwsArgs};
use seaworthy_cli::render::plan::{Detail, PlanView};
use seaworthy_cli::render::{self, Hints};
use seaworthy_cli::terminal::Terminal;

use super::say;
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

pub(crate) async fn plan(surroundings: &Surroundings, terminal: &Terminal, args: &PlanArgs) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.scope.environment)?;
    let target = match args.refresh {
        true => surroundings.target(&wanted.platform.region)?,
        false => surroundings.target_as_it_is()?,
    };
    let planned = operations::plan_only(&folder, &wanted, &target, args.refresh, args.destroy).await?;
    if let Some(file) = &args.out {
        operations::write_plan(file, &planned.plan)?;
    }
    let view = PlanView {
        plan: &planned.plan,
        overrides: &wanted.overrides,
        warnings: &wanted.warnings,
        critical_path_seconds: planned.critical_path_seconds,
        unsettled: planned.unsettled,
    };
    let detail = if args.all { Detail::All } else { Detail::Changes };
    let out = &mut io::BufWriter::new(io::stdout().lock());
    match args.output {
        PlanOutput::Text => render::plan::text(out, &view, detail, terminal.stdout.style)?,
        PlanOutput::Json => render::plan::json(out, &view)?,
        PlanOutput::Dot => render::dot::plan(out, &planned.plan)?,
    }
    io::Write::flush(out)?;
    if let (Some(file), PlanOutput::Text) = (&args.out, args.output) {
        let command = format!("seaworthy deploy -e {} --plan {}", args.scope.environment, file.display());
        say(&format!("\nWritten to {}. `{command}` applies it.\n", file.display()))?;
    }
    let changes = planned.plan.changes.iter().any(|change| change.action != Action::Unchanged);
    Ok(if args.detailed_exitcode && changes { Ending::Changes } else { Ending::Done })
}

pub(crate) async fn status(surroundings: &Surroundings, terminal: &Terminal, args: &StatusArgs) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.scope.environment)?;
    let target = match args.live {
        true => surroundings.target(&wanted.platform.region)?,
        false => surroundings.target_as_it_is()?,
    };
    let location = StateLocation { folder: &folder, wanted: &wanted, target: &target };
    let store = location.offline().await?;
    let mut status = operations::state::status(&wanted, store.as_ref()).await?;
    if args.live {
        let gone = operations::gone(&folder, &wanted, &target).await?;
        status.mark_gone(&gone);
    }
    match args.output.output {
        Output::Json => render::status::json(&mut io::stdout(), &status)?,
        Output::Text => render::status::text(&mut io::stdout(), &status, hints(surroundings, &args.scope.environment), terminal.stdout.style)?,
    }
    Ok(Ending::Done)
}

pub(crate) async fn drift(surroundings: &Surroundings, terminal: &Terminal, args: &DriftArgs) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.scope.environment)?;
    let target = surroundings.target(&wanted.platform.region)?;
    let (drifted, checked) = operations::drifted(&folder, &wanted, &target).await?;
    let view = render::drift::DriftView { name: &wanted.scope().name(), drifted: &drifted, checked };
    let out = &mut io::stdout();
    match args.output.output {
        Output::Json => render::drift::json(out, &view)?,
        Output::Text => {
            render::drift::text(out, &view, hints(surroundings, &args.scope.environment), terminal.stdout.style)?;
        }
    }
    Ok(if args.detailed_exitcode && !drifted.is_empty() { Ending::Changes } else { Ending::Done })
}

pub(crate) async fn preflight(_: &Surroundings, _: &Terminal, _: &PreflightArgs) -> Result<Ending, Failure> {
    Err(Failure::Wrong("preflight is not built yet".to_owned()))
}

pub(crate) fn iam_policy(_: &Surroundings, _: &IamPolicyArgs) -> Result<Ending, Failure> {
    Err(Failure::Wrong("iam-policy is not built yet".to_owned()))
}

pub(crate) async fn verify_aws(_: &Surroundings, _: &Terminal, _: &VerifyAwsArgs) -> Result<Ending, Failure> {
    Err(Failure::Wrong("verify-aws is not built yet".to_owned()))
}

fn hints<'a>(surroundings: &Surroundings, environment: &'a catalog::ids::EnvironmentName) -> Hints<'a> {
    Hints { environment: environment.as_str(), target: surroundings.global.target }
}
