//! `init`, `validate`, `schema`.

use std::io::{self, IsTerminal};

use catalog::ids::PlatformName;
use seaworthy_cli::args::{InitArgs, Output, SchemaArgs, ValidateArgs};
use seaworthy_cli::terminal::Terminal;
use serde_json::json;

use super::{print, print_json};
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

pub(crate) fn init(surroundings: &Surroundings, args: &InitArgs) -> Result<Ending, Failure> {
    let base = surroundings.global.directory.clone().unwrap_or_default();
    let folder = base.join(&args.folder);
    let name = match args.given_name() {
        Some(name) => name.clone(),
        None => named_after(&folder)?,
    };
    let written = operations::init(&folder, args.preset.into(), &name)?;
    let mut text = format!("{} is a new platform, `{name}`:\n", folder.display());
    for path in &written {
        text.push_str(&format!("  {}\n", path.display()));
    }
    let enter = if args.folder.as_os_str() == "." {
        String::new()
    } else {
        format!("cd {} && ", folder.display())
    };
    text.push_str(&format!(
        "\nNext: {enter}seaworthy plan -e dev, then seaworthy deploy -e dev\n"
    ));
    if io::stdout().is_terminal() {
        text.push_str(
            "Everything goes to the sandbox on this machine unless --target aws is given.\n",
        );
    }
    print(&text)?;
    Ok(Ending::Done)
}

fn named_after(folder: &std::path::Path) -> Result<PlatformName, Failure> {
    let whole = std::path::absolute(folder)?;
    let name = whole
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    PlatformName::new(name)
        .map_err(|error| Failure::Wrong(format!("{error}; give one with --name")))
}

pub(crate) fn validate(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &ValidateArgs,
) -> Result<Ending, Failure> {
    let folder = surroundings.folder()?;
    let environment = &args.scope.environment;
    if args.output.output == Output::Json {
        return match surroundings.wanted(&folder, environment) {
            Ok(wanted) => {
                print_json(
                    &json!({ "valid": true, "errors": [], "warnings": diagnostics(&wanted.warnings) }),
                )?;
                Ok(Ending::Done)
            }
            Err(Failure::Operation(operations::Error::Spec(found))) => {
                let (errors, warnings): (Vec<_>, Vec<_>) =
                    found.into_iter().partition(spec::Diagnostic::is_error);
                let report = json!({ "valid": false, "errors": diagnostics(&errors), "warnings": diagnostics(&warnings) });
                print_json(&report)?;
                Ok(Ending::Failed)
            }
            Err(Failure::Operation(operations::Error::Blueprint(found))) => {
                // What only the graph shows has no place in a file.
                let errors: Vec<_> = found
                    .iter()
                    .map(|error| json!({ "code": "blueprint", "message": error.to_string() }))
                    .collect();
                print_json(&json!({ "valid": false, "errors": errors, "warnings": [] }))?;
                Ok(Ending::Failed)
            }
            Err(other) => Err(other),
        };
    }
    let wanted = surroundings.wanted(&folder, environment)?;
    print(&spec::render(&wanted.warnings, terminal.colour()))?;
    let name = wanted.scope().name();
    let warnings = match wanted.warnings.len() {
        0 => String::new(),
        1 => ", with one warning".to_owned(),
        more => format!(", with {more} warnings"),
    };
    print(&format!(
        "{name} is valid{warnings}: {} resources\n",
        wanted.graph.len()
    ))?;
    Ok(Ending::Done)
}

fn diagnostics(found: &[spec::Diagnostic]) -> serde_json::Value {
    let one = |wrong: &spec::Diagnostic| {
        let place = wrong.place.as_ref();
        json!({
            "code": wrong.code,
            "message": wrong.message,
            "help": wrong.help,
            "file": place.map(|place| place.file()),
            "line": place.map(|place| place.line()),
            "column": place.map(|place| place.column()),
        })
    };
    found.iter().map(one).collect()
}

pub(crate) fn schema(args: &SchemaArgs) -> Result<Ending, Failure> {
    let schema = if args.environment {
        spec::overlay_schema()
    } else {
        spec::json_schema()
    };
    print_json(&schema)?;
    Ok(Ending::Done)
}
