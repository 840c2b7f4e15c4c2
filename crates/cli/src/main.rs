//! `seaworthy`: arguments in, output out, and the wiring between. No logic of its own.
#![forbid(unsafe_code)]

mod commands;
mod ended;
mod surroundings;

use std::io::Write as _;
use std::process::ExitCode;

use sandbox::ServeOptions;
use seaworthy_cli::args::{self, Args};
use seaworthy_cli::terminal::Terminal;

fn main() -> ExitCode {
    // The sandbox starts this program anew, as itself.
    let mut arguments = std::env::args_os().skip(1);
    if arguments
        .next()
        .is_some_and(|first| first == sandbox::process::SERVE_ARGUMENT)
        && let Some(folder) = arguments.next()
    {
        return serve(std::path::PathBuf::from(folder));
    }
    let args = args::parse();
    let terminal = Terminal::detect(args.global.color);
    log(&args);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("error: the process can't be set up: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(commands::run(args, &terminal));
    // What a stopped run has left under way is not waited for: the journal has it.
    runtime.shutdown_background();
    match result {
        Ok(ending) => ending.into(),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.text(terminal.colour_on_stderr()));
            failure.ending().into()
        }
    }
}

/// Is the sandbox: detached, until it is told to stop.
fn serve(folder: std::path::PathBuf) -> ExitCode {
    let served = tokio::runtime::Runtime::new()
        .map_err(|error| error.to_string())
        .and_then(|runtime| {
            let options = ServeOptions::load(&folder).map_err(|error| error.to_string())?;
            runtime
                .block_on(sandbox::serve(ServeOptions {
                    detached: true,
                    ..options
                }))
                .map_err(|error| error.to_string())
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Says something on standard error. If nobody can hear it there is nobody to tell.
fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn log(args: &Args) {
    let level = match args.global.verbose {
        0 => "error",
        1 => "info",
        _ => "debug,hyper=info,aws_config=info",
    };
    let mut filter = tracing_subscriber::EnvFilter::try_from_env("SEAWORTHY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    // Below `info` the SDKs log whole requests, with the secrets in them. Whatever is asked for, that is not.
    for quiet in [
        "aws_smithy_runtime",
        "aws_smithy_runtime_api",
        "aws_smithy_http_client",
        "aws_sdk_cloudcontrol",
        "aws_sdk_sts",
        "aws_runtime",
        "aws_sigv4",
        "tower_http",
        "hyper",
        "hyper_util",
        "h2",
    ] {
        if let Ok(directive) = format!("{quiet}=info").parse() {
            filter = filter.add_directive(directive);
        }
    }
    // What comes of a connection that fails is said where it matters; the client would only say it twice.
    let kube = if args.global.verbose == 0 {
        "off"
    } else {
        "info"
    };
    if let Ok(directive) = format!("kube_client={kube}").parse() {
        filter = filter.add_directive(directive);
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
