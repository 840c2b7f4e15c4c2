//! `export`.

use std::path::Path;

use seaworthy_cli::args::{ExportArgs, Exported};

use super::print;
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

pub(crate) fn run(surroundings: &Surroundings, args: &ExportArgs) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let format = export::Format::from(args.format);
    // As `-C` says where to work, the folder is one as it is seen from there.
    let base = surroundings.global.directory.clone().unwrap_or_default();
    let into = base.join(&args.output);
    let done = operations::Export {
        format,
        scopes: args.environment.clone().into(),
        into: &into,
        overwrite: args.overwrite,
    }
    .run(&folder, &surroundings.variables, surroundings.today)?;

    if done.written.is_empty() && done.removed.is_empty() && done.unchanged.is_empty() {
        print("There is nothing to export: nothing of it is made by this platform.\n")?;
        return Ok(Ending::Done);
    }
    let mut text = String::new();
    for path in &done.written {
        text.push_str(&format!("  wrote    {path}\n"));
    }
    for path in &done.removed {
        text.push_str(&format!("  removed  {path}\n"));
    }
    let count = |files: usize| match files {
        1 => "1 file".to_owned(),
        more => format!("{more} files"),
    };
    let place = into.display();
    text.push_str(&match (done.written.len(), done.removed.len()) {
        (0, 0) => format!("{place} is up to date: {}\n", count(done.unchanged.len())),
        (written, removed) => format!(
            "{place}: {} written, {removed} removed, {} unchanged\n",
            count(written),
            done.unchanged.len()
        ),
    });
    text.push_str(&format!(
        "\nNext: {}\n",
        next(format, &into, &args.environment)
    ));
    print(&text)?;
    Ok(Ending::Done)
}

/// The first command of whoever takes it from here.
fn next(format: export::Format, into: &Path, exported: &Exported) -> String {
    let environment = match exported {
        Exported::All => "<env>",
        Exported::One(name) => name.as_str(),
    };
    let folder = into.display();
    match format {
        export::Format::CloudFormation => format!(
            "cd {folder}/{environment} && aws cloudformation package --template-file stack.yaml \
             --s3-bucket BUCKET --output-template-file packaged.yaml"
        ),
        export::Format::Terraform => match environment {
            "shared" => format!("cd {folder}/terragrunt/shared && terragrunt apply"),
            _ => format!(
                "cd {folder}/terragrunt/environments/{environment} && terragrunt run --all plan"
            ),
        },
        export::Format::Eksctl => {
            format!(
                "eksctl create cluster --config-file {folder}/{environment}/cluster.yaml --dry-run"
            )
        }
    }
}
