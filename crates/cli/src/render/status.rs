//! The status of a scope. As JSON it is [`Status`] itself.

use std::collections::BTreeMap;
use std::io::{self, Write};

use engine::Outcome;
use operations::state::{ResourceStatus, Status};

use super::Hints;
use super::state::moment;
use crate::terminal::{self, Style, Table, Tone, count, one_line};

/// Writes the status for people: the resources, then what they add up to and what to do next.
///
/// # Errors
///
/// When it can't be written.
pub fn text(
    out: &mut dyn Write,
    status: &Status,
    hints: Hints<'_>,
    style: Style,
) -> io::Result<()> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut table = Table::new(&["ADDRESS", "STATUS", "TYPE", "ID"]);
    for resource in &status.resources {
        let (word, tone) = look(resource.status);
        *counts.entry(word).or_default() += 1;
        table.row([
            (Tone::Plain, resource.address.to_string()),
            (tone, word.to_owned()),
            (Tone::Dim, resource.type_name.clone()),
            (Tone::Plain, resource.id.clone().unwrap_or_default()),
        ]);
    }
    if !table.is_empty() {
        table.write(out, style)?;
        writeln!(out)?;
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(word, number)| format!("{number} {word}"))
        .collect();
    let counts = match counts.len() {
        0 => String::new(),
        _ => format!(": {}", counts.join(", ")),
    };
    writeln!(
        out,
        "{} has {}{counts}",
        style.paint(Tone::Strong, &status.name),
        count(status.resources.len(), "resource"),
    )?;
    for (tone, line) in remarks(status, hints) {
        for line in terminal::wrapped(&line, style.columns()) {
            writeln!(out, "{}", style.paint(tone, &line))?;
        }
    }
    Ok(())
}

fn remarks(status: &Status, hints: Hints<'_>) -> Vec<(Tone, String)> {
    let mut remarks = Vec::new();
    let deploy = hints.command("deploy");
    match &status.run {
        None => remarks.push((
            Tone::Plain,
            format!("It was never deployed: `{deploy}` makes it."),
        )),
        Some(run) => {
            let kind = run.kind.name();
            let again = hints.command(kind);
            let began = moment(run.started);
            remarks.push(match (run.outcome, &status.locked_by) {
                (Some(Outcome::Completed), _) => (
                    Tone::Plain,
                    format!("The last {kind} (begun {began}) was completed."),
                ),
                (Some(Outcome::Failed), _) => (
                    Tone::Removed,
                    format!("The last {kind} (begun {began}) had failures: `{again}` tries the rest again."),
                ),
                (Some(Outcome::Interrupted), _) => (
                    Tone::Changed,
                    format!("The last {kind} (begun {began}) was interrupted: `{again}` carries it on."),
                ),
                (None, Some(_)) => (Tone::Plain, format!("A {kind} goes on since {began}.")),
                (None, None) => (
                    Tone::Changed,
                    format!("The last {kind} (begun {began}) ended without a word: `{again}` carries it on."),
                ),
            });
            if !status.up_to_date && run.outcome == Some(Outcome::Completed) {
                remarks.push((
                    Tone::Changed,
                    format!(
                        "The spec has changed since: `{}` shows what a deploy would do.",
                        hints.command("plan")
                    ),
                ));
            }
        }
    }
    if let Some(lease) = &status.locked_by {
        remarks.push((
            Tone::Changed,
            format!(
                "Locked by {} until {}.",
                one_line(lease.owner.as_str()),
                moment(lease.expires)
            ),
        ));
    }
    remarks
}

fn look(status: ResourceStatus) -> (&'static str, Tone) {
    match status {
        ResourceStatus::Deployed => ("deployed", Tone::Added),
        ResourceStatus::Existing => ("existing", Tone::Link),
        ResourceStatus::Creating => ("creating", Tone::Changed),
        ResourceStatus::Updating => ("updating", Tone::Changed),
        ResourceStatus::Deleting => ("deleting", Tone::Changed),
        ResourceStatus::Tainted => ("tainted", Tone::Removed),
        ResourceStatus::Gone => ("gone from AWS", Tone::Removed),
        ResourceStatus::NotDeployed => ("not deployed", Tone::Dim),
        ResourceStatus::Unwanted => ("unwanted", Tone::Changed),
    }
}

/// Writes the status as JSON: `{name, serial, run, lockedBy, upToDate, resources: [{address, type, id, status}]}`.
///
/// # Errors
///
/// When it can't be written.
pub fn json(out: &mut dyn Write, status: &Status) -> io::Result<()> {
    terminal::write_json(out, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TargetName;
    use crate::render::fixtures::{address, text as rendered};
    use catalog::ids::Serial;
    use engine::{Run, RunKind};
    use operations::state::ResourceLine;

    const HINTS: Hints<'_> = Hints {
        environment: "prod",
        target: TargetName::Aws,
    };

    fn status(outcome: Option<Outcome>) -> Status {
        Status {
            name: "shop-prod".to_owned(),
            serial: Serial(12),
            run: Some(Run {
                id: "r-1".parse().unwrap(),
                kind: RunKind::Deploy,
                started: "2026-11-21T06:11:07Z".parse().unwrap(),
                outcome,
                spec_hash: None,
            }),
            locked_by: None,
            up_to_date: true,
            resources: vec![
                ResourceLine {
                    address: address("network/vpc"),
                    type_name: "AWS::EC2::VPC".to_owned(),
                    id: Some("vpc-0a1b".to_owned()),
                    status: ResourceStatus::Deployed,
                },
                ResourceLine {
                    address: address("redis/group"),
                    type_name: "AWS::ElastiCache::ReplicationGroup".to_owned(),
                    id: None,
                    status: ResourceStatus::NotDeployed,
                },
            ],
        }
    }

    #[test]
    fn people_see_the_resources_and_how_to_go_on() {
        let shown = rendered(|out| {
            text(
                out,
                &status(Some(Outcome::Interrupted)),
                HINTS,
                Style::PLAIN,
            )
        });
        insta::assert_snapshot!(shown, @r"
        ADDRESS      STATUS        TYPE                                ID
        network/vpc  deployed      AWS::EC2::VPC                       vpc-0a1b
        redis/group  not deployed  AWS::ElastiCache::ReplicationGroup

        shop-prod has 2 resources: 1 deployed, 1 not deployed
        The last deploy (begun 2026-11-21 06:11:07 UTC) was interrupted: `seaworthy deploy -e prod --target aws`
        carries it on.
        ");
    }

    #[test]
    fn a_changed_spec_is_said_only_of_what_is_deployed() {
        let stale = |outcome| {
            let status = Status {
                up_to_date: false,
                ..status(outcome)
            };
            rendered(|out| text(out, &status, HINTS, Style::PLAIN)).contains("spec has changed")
        };
        assert!(stale(Some(Outcome::Completed)));
        assert!(!stale(Some(Outcome::Failed)));
    }

    #[test]
    fn json_has_the_documented_keys() {
        let shown = rendered(|out| json(out, &status(None)));
        let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            document["resources"][0],
            serde_json::json!({ "address": "network/vpc", "type": "AWS::EC2::VPC", "id": "vpc-0a1b", "status": "deployed" })
        );
    }
}
