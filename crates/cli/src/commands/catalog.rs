//! `catalog`.

use std::collections::BTreeMap;
use std::time::Instant;

use catalog::instance_types::{CapacityType, Offerings};
use operations::instance_types::{self as types, Refreshed};
use seaworthy_cli::args::{CatalogCommand, CatalogRefreshArgs, Output};
use serde_json::{Value, json};

use super::{print, print_json};
use crate::ended::{Ending, Failure};
use crate::surroundings::Surroundings;

/// Names in a line of the report; of more the first few.
const SHOWN: usize = 6;

pub(crate) async fn run(
    surroundings: &Surroundings,
    command: &CatalogCommand,
) -> Result<Ending, Failure> {
    match command {
        CatalogCommand::Refresh(args) => refresh(surroundings, args).await,
    }
}

async fn refresh(
    surroundings: &Surroundings,
    args: &CatalogRefreshArgs,
) -> Result<Ending, Failure> {
    // First of all: without it the region may be the lesser question.
    let target = surroundings.target_as_it_is()?;
    types::check_target(target.kind)?;
    let region = match &args.region {
        Some(region) => region.clone(),
        None => surroundings.region()?,
    };
    let folder = surroundings.data_folder();
    let started = Instant::now();
    let done = types::refresh(&target, &region, &folder, surroundings.today).await?;
    let report = Report::of(&done, started.elapsed().as_secs_f64());
    match args.output.output {
        Output::Json => print_json(&report.json())?,
        Output::Text => print(&report.text())?,
    }
    Ok(Ending::Done)
}

/// What is told of a refresh.
struct Report<'a> {
    done: &'a Refreshed,
    seconds: f64,
    zones: Vec<&'a str>,
    unpriced: Vec<&'a str>,
    unzoned: Vec<&'a str>,
    spot_prices: usize,
}

impl<'a> Report<'a> {
    fn of(done: &'a Refreshed, seconds: f64) -> Self {
        let (table, offerings): (_, &Offerings) = (&done.fetched.table, &done.fetched.offerings);
        let types = || table.types().iter();
        let spot = |of: &&catalog::instance_types::Offering| {
            of.capacity_type == CapacityType::Spot && of.price.is_some()
        };
        Self {
            done,
            seconds,
            zones: offerings.zones(),
            unpriced: types()
                .filter(|of| of.on_demand.is_none())
                .map(|of| of.name())
                .collect(),
            unzoned: types()
                .filter(|of| offerings.of(of.name()).is_empty())
                .map(|of| of.name())
                .collect(),
            spot_prices: offerings.all().iter().filter(spot).count(),
        }
    }

    fn json(&self) -> Value {
        let fetched = &self.done.fetched;
        let files = self.done.files.iter();
        let left_out = fetched.left_out.iter();
        json!({
            "region": fetched.table.region(),
            "date": fetched.table.date(),
            "types": fetched.table.types().len(),
            "zones": self.zones,
            "offerings": fetched.offerings.all().len(),
            "spotPrices": self.spot_prices,
            "unpriced": self.unpriced,
            "unlisted": fetched.unlisted,
            "unzoned": self.unzoned,
            "newer": fetched.newer.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            "leftOut": left_out.map(|of| json!({"type": of.name, "reason": of.reason})).collect::<Vec<_>>(),
            "files": files.map(|(path, bytes)| json!({"path": path, "bytes": bytes})).collect::<Vec<_>>(),
            "calls": fetched.calls,
            "seconds": self.seconds,
        })
    }

    fn text(&self) -> String {
        let fetched = &self.done.fetched;
        let (all, zones) = (fetched.table.types().len(), self.zones.len());
        let mut text = format!(
            "{} on {}: {all} instance types in {zones} zones, {} with an on-demand price, {} Spot prices; {} calls in {:.1} s\n",
            fetched.table.region(),
            fetched.table.date(),
            all - self.unpriced.len(),
            self.spot_prices,
            fetched.calls,
            self.seconds,
        );
        for (path, bytes) in &self.done.files {
            text.push_str(&format!("  wrote  {} ({bytes} bytes)\n", path.display()));
        }
        let mut line = |what: &str, names: &[&str]| {
            if !names.is_empty() {
                text.push_str(&format!("\n{}: {what}\n", listed(names)));
            }
        };
        match fetched.unlisted {
            Some(why) => line("no on-demand prices are known", &[why]),
            None => line("the price list has no price", &self.unpriced),
        }
        line(
            "no zone sells it by the hour or on the spot market",
            &self.unzoned,
        );
        let newer: Vec<&str> = fetched.newer.iter().map(|name| name.as_str()).collect();
        line(
            "newer than this version of seaworthy, so no branch interfaces are counted (as Karpenter does), and the \
             bandwidth is EC2's word",
            &newer,
        );
        let mut left_out: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for of in &fetched.left_out {
            left_out.entry(&of.reason).or_default().push(&of.name);
        }
        for (reason, names) in left_out {
            line(&format!("left out, since {reason}"), &names);
        }
        text
    }
}

/// `m5.large, m5.xlarge and 3 more`.
fn listed(names: &[&str]) -> String {
    let (shown, more) = names.split_at(names.len().min(SHOWN));
    let shown = shown.join(", ");
    match more.len() {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
