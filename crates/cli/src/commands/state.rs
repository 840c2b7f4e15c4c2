//! `state …`: what is known to exist, its history, and the way back.

use std::io;
use std::sync::Arc;

use catalog::ids::EnvironmentName;
use journal::Store;
use operations::{StateLocation, Wanted, state};
use seaworthy_cli::args::{Output, StateCommand};
use seaworthy_cli::render;
use seaworthy_cli::terminal::Terminal;

use super::{confirmed, print};
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

pub(crate) async fn run(
    surroundings: &Surroundings,
    terminal: &Terminal,
    command: &StateCommand,
) -> Result<Ending, Failure> {
    let environment = match command {
        StateCommand::List(args) | StateCommand::History(args) => &args.scope.environment,
        StateCommand::Show(args) => &args.scope.environment,
        StateCommand::Rollback(args) => &args.scope.environment,
        StateCommand::Unlock(args) => &args.scope.environment,
    };
    let (wanted, store) = open(surroundings, environment).await?;
    let name = wanted.scope().name();
    let out = &mut io::stdout();
    let style = terminal.stdout.style;
    match command {
        StateCommand::List(args) => {
            let ledger = state::ledger(Some(&store), &name).await?;
            match args.output.output {
                Output::Json => render::state::list_json(out, &ledger.state)?,
                Output::Text => render::state::list(out, &ledger.state, style)?,
            }
        }
        StateCommand::Show(args) => {
            let ledger = state::ledger(Some(&store), &name).await?;
            let resource = state::show(&ledger, &args.address)?;
            match args.output.output {
                Output::Json => render::state::show_json(out, &args.address, resource)?,
                Output::Text => render::state::show(out, &args.address, resource, style)?,
            }
        }
        StateCommand::History(args) => {
            let history = state::history(&store, &name).await?;
            match args.output.output {
                Output::Json => render::state::history_json(out, &history)?,
                Output::Text => render::state::history(out, &history, style)?,
            }
        }
        StateCommand::Rollback(args) => {
            let to = args.to.map_or("the newest whole state".to_owned(), |to| {
                format!("the state with the serial {to}")
            });
            if !confirmed(
                terminal,
                &format!("Return {name} to {to}? Nothing in AWS is changed."),
                args.yes,
            )
            .await?
            {
                return Ok(Ending::Refused);
            }
            let serial = state::rollback(&store, &name, args.to).await?;
            print(&format!(
                "{name} is back at the state with the serial {serial}. What was there is put aside in {}.\n\
                 The next deploy looks for every resource that the state does not know of before it makes one.\n",
                store.place()
            ))?;
        }
        StateCommand::Unlock(args) => {
            let Some(holder) = store.holder().await.map_err(operations::Error::Store)? else {
                print(&format!("{name} is not locked.\n"))?;
                return Ok(Ending::Done);
            };
            if !confirmed(
                terminal,
                &format!("Take the lock of {name} away from {}?", holder.owner),
                args.yes,
            )
            .await?
            {
                return Ok(Ending::Refused);
            }
            state::unlock(&store, &name).await?;
            print(&format!(
                "{name} is unlocked. {} can't write its state any more.\n",
                holder.owner
            ))?;
        }
    }
    Ok(Ending::Done)
}

async fn open(
    surroundings: &Surroundings,
    environment: &EnvironmentName,
) -> Result<(Wanted, Arc<dyn Store>), Failure> {
    let folder = surroundings.folder()?;
    let wanted = surroundings.wanted(&folder, environment)?;
    let mut target = surroundings.target_as_it_is()?;
    if target.endpoint.is_none() && target.kind == operations::TargetKind::Sandbox {
        target = surroundings.target(&wanted.platform.region)?;
    }
    let location = StateLocation {
        folder: &folder,
        wanted: &wanted,
        target: &target,
    };
    let store = match location.offline().await? {
        Some(store) => store,
        None => location.store(&target.connect(&wanted).await?),
    };
    Ok((wanted, store))
}
