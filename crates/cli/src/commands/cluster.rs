//! `kubeconfig` and `token`: the way into an environment's cluster.

use std::path::{Path, PathBuf};

use operations::kubeconfig::{self, TokenCommand};
use operations::{TargetKind, Wanted};
use seaworthy_cli::args::{KubeconfigArgs, TargetName, TokenArgs};

use super::{print, print_json, say};
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

pub(crate) async fn token(
    surroundings: &Surroundings,
    args: &TokenArgs,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.environment.environment)?;
    let target = surroundings.target_as_it_is()?;
    // kubectl asks for a token before every command: that is no reason to start anything.
    if target.kind == TargetKind::Sandbox && target.endpoint.is_none() {
        return Err(Failure::Wrong(
            "the sandbox does not run: start it with `seaworthy sandbox start`".to_owned(),
        ));
    }
    print_json(&operations::token(&wanted, &target).await?)?;
    Ok(Ending::Done)
}

pub(crate) async fn kubeconfig(
    surroundings: &Surroundings,
    args: &KubeconfigArgs,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, &args.environment.environment)?;
    let target = surroundings.target(&wanted.platform.region)?;
    let access = operations::access(&wanted, &target).await?;
    let name = kubeconfig::entry_name(&wanted, &target);
    let command = token_command(surroundings, folder.root(), &wanted)?;
    let document = kubeconfig::document(&name, &access, &command);
    if !args.merge {
        print(&kubeconfig::text(&document)?)?;
        return Ok(Ending::Done);
    }
    let file = match &args.file {
        Some(file) => file.clone(),
        None => kubeconfig_of_user(surroundings)?,
    };
    kubeconfig::merge_into(&file, &document)?;
    say(&format!(
        "{name} is the current context of {}\n",
        file.display()
    ))?;
    Ok(Ending::Done)
}

/// This very program, with all that it needs to make the same token from anywhere.
fn token_command(
    surroundings: &Surroundings,
    folder: &Path,
    wanted: &Wanted,
) -> Result<TokenCommand, Failure> {
    let program = std::env::current_exe()?;
    let target = match surroundings.global.target {
        TargetName::Sandbox => "sandbox",
        TargetName::Aws => "aws",
    };
    let folder = std::fs::canonicalize(folder)?;
    let environment = wanted.scope().environment.as_str();
    let folder = folder.to_string_lossy();
    let mut arguments: Vec<String> = [
        "token",
        "--environment",
        environment,
        "--directory",
        &folder,
        "--target",
        target,
    ]
    .map(str::to_owned)
    .to_vec();
    if let Some(profile) = &surroundings.global.profile {
        arguments.extend(["--profile".to_owned(), profile.clone()]);
    }
    // Which sandbox, and which profile of AWS's: as it was when the file was made.
    let names = match surroundings.global.target {
        TargetName::Sandbox => &["SEAWORTHY_HOME"][..],
        TargetName::Aws => &["AWS_PROFILE"],
    };
    let variables = names
        .iter()
        .filter_map(|name| {
            let value = surroundings.variables.get(*name)?;
            Some(((*name).to_owned(), value.clone()))
        })
        .collect();
    Ok(TokenCommand {
        program,
        arguments,
        variables,
    })
}

/// The file that kubectl writes: the first of KUBECONFIG, or the user's own.
fn kubeconfig_of_user(surroundings: &Surroundings) -> Result<PathBuf, Failure> {
    let named = surroundings
        .variables
        .get("KUBECONFIG")
        .and_then(|paths| std::env::split_paths(paths).find(|path| !path.as_os_str().is_empty()));
    let of_home = || {
        let home = surroundings.variables.get("HOME")?;
        Some(Path::new(home).join(".kube/config"))
    };
    named.or_else(of_home).ok_or_else(|| {
        Failure::Wrong("which file? there is neither KUBECONFIG nor HOME: give --file".to_owned())
    })
}
