//! What `bench/run` measures that the `seaworthy` command can't show by itself. Prints one JSON document.
//!
//! ```text
//! seaworthy-bench stages PLAN.json        what a plan takes stage by stage, by the model
//! seaworthy-bench graph RESOURCES DIR     a synthetic graph through SDK, HTTP and journal; DIR is made and left behind
//! seaworthy-bench pods PODS WATCHERS CLIENTS PID     pods through the API of the current kubeconfig's cluster, of that process
//! ```
#![forbid(unsafe_code)]

mod pods;
mod process;
mod stages;
mod synthetic;

use std::error::Error;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let report = match arguments.as_slice() {
        ["stages", plan] => {
            stages::measure(&serde_json::from_str(&std::fs::read_to_string(plan)?)?)?
        }
        ["graph", resources, dir] => {
            runtime.block_on(synthetic::measure(resources.parse()?, Path::new(dir)))?
        }
        ["pods", pods, watchers, clients, pid] => {
            let load = pods::Load {
                pods: pods.parse()?,
                watchers: watchers.parse()?,
                clients: clients.parse()?,
                pid: pid.parse()?,
            };
            runtime
                .block_on(pods::measure(&load))
                .map_err(|failure| failure.to_string())?
        }
        // The sandbox's process is this program again.
        [sandbox::process::SERVE_ARGUMENT, dir] => {
            let options = sandbox::ServeOptions {
                detached: true,
                ..sandbox::ServeOptions::load(Path::new(dir))?
            };
            return Ok(runtime.block_on(sandbox::serve(options))?);
        }
        _ => return Err("usage: seaworthy-bench stages PLAN.json | graph RESOURCES DIR | pods PODS WATCHERS CLIENTS PID".into()),
    };
    Ok(writeln!(std::io::stdout(), "{report:#}")?)
}
