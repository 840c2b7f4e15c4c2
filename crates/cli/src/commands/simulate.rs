//! `simulate`.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use autoscale::simulation::{Delays, Switches};
use operations::simulate::{Cluster, Replicas, Simulation};
use seaworthy_cli::args::{FeatureGate, ReplicasArg, SimulateArgs, SimulateOutput};
use seaworthy_cli::render::simulation::{self, SimulationView};
use seaworthy_cli::terminal::Terminal;

use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

/// The most of standard input that is read: a snapshot of a very large cluster has some 200 MB.
const MOST: u64 = 1 << 30;

pub(crate) fn run(
    surroundings: &Surroundings,
    terminal: &Terminal,
    args: &SimulateArgs,
) -> Result<Ending, Failure> {
    // As `-C` says where to work, files are those that are seen from there.
    let base = surroundings.global.directory.clone().unwrap_or_default();
    let read_all = |paths: &[PathBuf]| -> Result<Vec<(PathBuf, String)>, Failure> {
        paths.iter().map(|path| read(&base, path)).collect()
    };
    let texts = read_all(&args.snapshot)?;
    let apply = read_all(&args.apply)?;
    let instance_types = match &args.instance_types {
        Some(path) => Some(read(&base, path)?),
        None => None,
    };
    let wanted = match &args.environment {
        Some(environment) => {
            let folder = surroundings.folder()?;
            Some(surroundings.wanted(&folder, environment)?)
        }
        None => None,
    };
    let cluster = match &wanted {
        Some(wanted) => Cluster::Environment(
            wanted,
            match args.replicas {
                ReplicasArg::Min => Replicas::Min,
                ReplicasArg::Max => Replicas::Max,
            },
        ),
        None => Cluster::Snapshot(&texts),
    };
    let mut switches = Switches::default();
    for gate in &args.feature_gate {
        match gate {
            FeatureGate::SpotToSpotConsolidation(on) => switches.spot_to_spot = *on,
        }
    }
    let data_folder = surroundings.data_folder();
    let explain = args.explain.as_ref().map(|node| node.0.clone());
    let answer = Simulation {
        cluster,
        apply: &apply,
        instance_types: instance_types.as_ref(),
        data_folder: Some(&data_folder),
        spot_ratio: args.spot_ratio,
        removes: args.remove.clone(),
        interrupts: args.interrupt.clone(),
        span: args.span,
        at: args
            .at
            .or_else(|| wanted.as_ref().and_then(|_| midnight(surroundings.today))),
        seed: args.seed,
        switches,
        version: args.karpenter_version,
        explain: explain.clone(),
        delays: Delays::default(),
    }
    .run()?;
    let subject = match (&args.environment, args.snapshot.as_slice()) {
        (Some(environment), _) => environment.to_string(),
        (None, [only]) => only.display().to_string(),
        (None, several) => format!("{} files", several.len()),
    };
    let view = SimulationView {
        subject: &subject,
        answer: &answer,
    };
    if let Some(node) = &explain
        && !simulation::is_known(&answer, node)
    {
        return Err(Failure::Wrong(format!(
            "there is no node `{node}`, neither before nor after"
        )));
    }
    let out = &mut io::BufWriter::new(io::stdout().lock());
    match (args.output, &explain) {
        (SimulateOutput::Json, _) => simulation::json(out, &answer)?,
        (SimulateOutput::Html, _) => simulation::html(out, &view)?,
        (SimulateOutput::Text, Some(node)) => {
            simulation::explain(out, &view, node, terminal.stdout.style)?;
        }
        (SimulateOutput::Text, None) => simulation::text(out, &view, terminal.stdout.style)?,
    }
    out.flush()?;
    Ok(Ending::Done)
}

/// An environment that isn't built has no time of its own: its first day begins.
fn midnight(today: catalog::Date) -> Option<jiff::Timestamp> {
    format!("{today}T00:00:00Z").parse().ok()
}

fn read(base: &Path, path: &Path) -> Result<(PathBuf, String), Failure> {
    let failed = |source: io::Error| {
        Failure::Operation(operations::Error::File {
            operation: "could not read",
            path: path.to_owned(),
            source,
        })
    };
    let mut text = String::new();
    let (name, read) = if path == Path::new("-") {
        let input = io::stdin().lock();
        (
            PathBuf::from("standard input"),
            input.take(MOST).read_to_string(&mut text),
        )
    } else {
        let file = std::fs::File::open(base.join(path)).map_err(failed)?;
        (path.to_owned(), file.take(MOST).read_to_string(&mut text))
    };
    match read.map_err(failed)? as u64 {
        MOST => Err(Failure::Wrong(format!(
            "{} is larger than a snapshot of any cluster: 1 GiB is read at most",
            name.display()
        ))),
        _ => Ok((name, text)),
    }
}
