//! `doctor`: is this machine ready?

use std::io;

use catalog::ids::EnvironmentName;
use sandbox::process;
use seaworthy_cli::args::{DoctorArgs, Output, TargetName};
use seaworthy_cli::render::checks::{self, Check, CheckStatus};
use seaworthy_cli::terminal::Terminal;

use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

pub(crate) async fn run(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &DoctorArgs,
) -> Result<Ending, Failure> {
    let mut checks = vec![Check::new(
        "seaworthy",
        CheckStatus::Ok,
        concat!("version ", env!("CARGO_PKG_VERSION")),
    )];
    checks.extend(platform(surroundings));
    checks.push(sandbox(surroundings));
    checks.push(helm(surroundings));
    if surroundings.global.target == TargetName::Aws {
        checks.push(credentials(surroundings).await);
    }
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

fn helm(surroundings: &Surroundings) -> Check {
    match surroundings.helm().program {
        Some(program) => Check::new("helm", CheckStatus::Ok, program.display().to_string()),
        None => Check::new(
            "helm",
            CheckStatus::Warning,
            "not found: no release can be made",
        )
        .help("install Helm 3.14 or later, run scripts/tools, or set SEAWORTHY_HELM"),
    }
}

fn platform(surroundings: &Surroundings) -> Vec<Check> {
    let Ok(folder) = surroundings.folder() else {
        let check = Check::new(
            "platform",
            CheckStatus::Warning,
            "there is no platform.yaml here",
        );
        return vec![check.help("make one: seaworthy init DIR --preset ekb")];
    };
    let check = |environment: &EnvironmentName| {
        let name = format!("environment {environment}");
        match surroundings.wanted(&folder, environment) {
            Ok(wanted) => {
                let detail = format!(
                    "valid: {} resources, {} warnings",
                    wanted.graph.len(),
                    wanted.warnings.len()
                );
                Check::new(name, CheckStatus::Ok, detail)
            }
            Err(_) => Check::new(name, CheckStatus::Error, "the spec is wrong")
                .help(format!("see what: seaworthy validate -e {environment}")),
        }
    };
    folder
        .environments()
        .unwrap_or_default()
        .iter()
        .map(check)
        .collect()
}

fn sandbox(surroundings: &Surroundings) -> Check {
    let folder = surroundings.sandbox_folder();
    match process::status(&folder) {
        Ok(Some(running)) => {
            let detail = format!(
                "runs on port {}, its world is in {}",
                running.port,
                folder.display()
            );
            Check::new("sandbox", CheckStatus::Ok, detail)
        }
        Ok(None) => {
            let detail = format!(
                "does not run; a deploy starts it. Its world is in {}",
                folder.display()
            );
            Check::new("sandbox", CheckStatus::Ok, detail)
        }
        Err(error) => Check::new("sandbox", CheckStatus::Error, error.to_string())
            .help("start it anew: seaworthy sandbox stop, then seaworthy sandbox start"),
    }
}

async fn credentials(surroundings: &Surroundings) -> Check {
    let asked = async {
        let folder = surroundings.folder()?;
        let environments = folder.environments()?;
        let environment = environments
            .first()
            .ok_or_else(|| Failure::Wrong("there is no environment".to_owned()))?;
        let wanted = surroundings.wanted(&folder, environment)?;
        let target = surroundings.target(&wanted.platform.region)?;
        Ok::<_, Failure>(target.connect(&wanted).await?)
    };
    match asked.await {
        Ok(connection) => {
            let detail = format!("account {}, as {}", connection.account, connection.deployer);
            Check::new("AWS credentials", CheckStatus::Ok, detail)
        }
        Err(failure) => Check::new(
            "AWS credentials",
            CheckStatus::Error,
            failure.text(false).trim().to_owned(),
        ),
    }
}
