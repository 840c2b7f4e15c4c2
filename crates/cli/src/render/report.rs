//! The end of a deploy or a destroy: what was done, how long it took, what failed and what to do about it, what is left.

use std::collections::BTreeMap;
use std::io::{self, Write};

use catalog::ids::Address;
use engine::provider::{ErrorClass, Owned, ProviderError};
use engine::{Failure, OperationKind, Outcome, Report, Sweep};
use graph::Summary;
use serde::Serialize;

use super::Hints;
use crate::terminal::{self, Style, Tone, count, one_line, seconds};

/// Addresses of one list before the rest is only counted.
const MOST_LISTED: usize = 8;

/// A run that has ended.
#[derive(Debug, Clone, Copy)]
pub struct ReportView<'a> {
    /// The environment's name in AWS.
    pub name: &'a str,
    /// Whether it was to be destroyed.
    pub destroy: bool,
    /// What the plan was going to do.
    pub planned: Summary,
    /// How it went.
    pub report: &'a Report,
    /// The proof after a destroy.
    pub sweep: Option<&'a Sweep>,
    /// What a destroy leaves in AWS by the spec's wish.
    pub retained: &'a [String],
}

impl ReportView<'_> {
    fn verb(&self) -> &'static str {
        if self.destroy { "destroy" } else { "deploy" }
    }

    /// Whether nothing is left over that should not be, as far as it was looked for.
    pub fn is_clean(&self) -> bool {
        self.sweep
            .is_none_or(|sweep| sweep.leftovers.is_empty() && self.unknown(sweep).next().is_none())
    }

    /// What carries the owner tags although nobody knows of it.
    fn unknown<'s>(&'s self, sweep: &'s Sweep) -> impl Iterator<Item = &'s Owned> {
        let retained = |owned: &&Owned| {
            owned
                .address
                .as_ref()
                .is_some_and(|address| self.retained.iter().any(|known| known == address.as_str()))
        };
        sweep.owned.iter().filter(move |owned| !retained(owned))
    }
}

/// Writes a run's end for people.
///
/// # Errors
///
/// When it can't be written.
pub fn text(
    out: &mut dyn Write,
    view: &ReportView<'_>,
    hints: Hints<'_>,
    style: Style,
) -> io::Result<()> {
    headline(out, view, style)?;
    times(out, view.report)?;
    failures(out, view, hints, style)?;
    skipped(out, view.report, style)?;
    left(out, view, hints, style)?;
    if let Some(sweep) = view.sweep {
        proof(out, sweep, view, style)?;
    }
    Ok(())
}

fn headline(out: &mut dyn Write, view: &ReportView<'_>, style: Style) -> io::Result<()> {
    let name = style.paint(Tone::Strong, view.name);
    let report = view.report;
    let done = match report.outcome {
        Outcome::Completed => done_as_planned(&view.planned),
        Outcome::Failed | Outcome::Interrupted => {
            let mut parts = vec![format!("{} done", count(report.done, "step"))];
            for (number, what) in [
                (report.failed.len(), "failed"),
                (report.skipped.len(), "not begun because of that"),
                (report.left.len(), "left"),
            ] {
                if number > 0 {
                    parts.push(format!("{number} {what}"));
                }
            }
            parts.join(", ")
        }
    };
    let (tone, word) = match (view.destroy, report.outcome) {
        (false, Outcome::Completed) => (Tone::Added, "is deployed"),
        (true, Outcome::Completed) => (Tone::Added, "is destroyed"),
        (false, Outcome::Failed) => (Tone::Removed, "is not all deployed"),
        (true, Outcome::Failed) => (Tone::Removed, "is not all destroyed"),
        (_, Outcome::Interrupted) => (Tone::Changed, "was interrupted"),
    };
    writeln!(out, "{name} {}: {done}", style.paint(tone, word))
}

fn done_as_planned(planned: &Summary) -> String {
    let parts: Vec<String> = [
        (planned.create, "created"),
        (planned.update, "updated"),
        (planned.replace, "replaced"),
        (planned.delete, "deleted"),
        (planned.read, "read"),
        (planned.forget, "forgotten"),
        (planned.unchanged, "unchanged"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("{number} {what}"))
    .collect();
    if parts.is_empty() {
        "there was nothing to do".to_owned()
    } else {
        parts.join(", ")
    }
}

fn times(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let wall = terminal::duration(seconds(report.wall_seconds));
    let longest = report.critical_path_seconds;
    let mut line = format!("It took {wall}");
    match report.modelled_seconds {
        // At AWS itself the two are the same.
        Some(modelled) if (modelled - report.wall_seconds).abs() > 0.5 => {
            line.push_str(&format!(
                " here; it would take {} at AWS",
                terminal::about(seconds(modelled))
            ));
        }
        Some(_) => {}
        None => line.push_str(" here, where nothing is waited for"),
    }
    if longest >= 1.0 && report.outcome == Outcome::Completed {
        let ratio = report.modelled_seconds.map(|modelled| modelled / longest);
        line.push_str(&format!(
            ". The longest chain takes {}",
            terminal::about(seconds(longest))
        ));
        if let Some(ratio) = ratio {
            line.push_str(&format!(" ({ratio:.2} times that)"));
        }
    }
    writeln!(out, "{line}.")
}

fn failures(
    out: &mut dyn Write,
    view: &ReportView<'_>,
    hints: Hints<'_>,
    style: Style,
) -> io::Result<()> {
    if view.report.failed.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    writeln!(out, "{}", style.strong(Tone::Removed, "Failed"))?;
    for failure in &view.report.failed {
        let verb = match failure.operation {
            OperationKind::Create => "could not be created",
            OperationKind::Update => "could not be updated",
            OperationKind::Delete => "could not be deleted",
            OperationKind::Read => "could not be read",
        };
        let address = style.paint(Tone::Strong, failure.address.as_str());
        writeln!(out, "  {address} {verb}")?;
        let width = style.columns().saturating_sub(6).max(40);
        for line in terminal::wrapped(&terminal::printable(&failure.error.to_string()), width) {
            writeln!(out, "    {line}")?;
        }
        let next = next_step(failure, view.verb(), hints);
        for (index, line) in terminal::wrapped(&next, width - 2).iter().enumerate() {
            let mark = if index == 0 { "→" } else { " " };
            writeln!(
                out,
                "    {}",
                style.paint(Tone::Link, &format!("{mark} {line}"))
            )?;
        }
    }
    Ok(())
}

/// What to do about a failure, by what AWS's error means.
pub fn next_step(failure: &Failure, verb: &str, hints: Hints<'_>) -> String {
    let again = hints.command(verb);
    let ProviderError { class, code, .. } = &failure.error;
    let quota = ["LimitExceeded", "QuotaExceeded"];
    if quota.iter().any(|part| code.contains(part)) {
        return format!(
            "a quota of the account is used up: `{}` says which; ask AWS for more, or free some, then `{again}`",
            hints.command("preflight")
        );
    }
    // What a cluster, or Helm, has said with what to do about it.
    let told = [
        "ChartNotFound",
        "FieldManagerConflict",
        "Forbidden",
        "HelmMissing",
        "NotOurs",
        "NotReadyInTime",
        "StillThere",
        "Unauthorized",
    ];
    if told.contains(&code.as_str()) {
        return format!("when that is put right, `{again}` goes on from here");
    }
    match class {
        ErrorClass::Throttled => {
            format!(
                "AWS took no more calls for a long time: `{again} --rate 2` goes on, more slowly"
            )
        }
        ErrorClass::Retryable | ErrorClass::Propagation | ErrorClass::NotReady => {
            format!("it was tried again for as long as makes sense; `{again}` goes on from here")
        }
        ErrorClass::Unreachable => {
            format!("when the other side can be reached again, `{again}` goes on from here")
        }
        ErrorClass::AlreadyExists => format!(
            "something of this name is there and is not this environment's: delete or rename it, or put `{}: {{ existing: <id> }}` under `lifecycle` in the spec; then `{again}`",
            failure.address
        ),
        ErrorClass::Denied => format!(
            "the deployer may not do this: `{}` prints the policy that it needs; then `{again}`",
            hints.command("iam-policy")
        ),
        ErrorClass::NotFound => format!(
            "it, or something that it refers to, is not there: `{}` shows what was changed from outside, `{again} --refresh` puts it right",
            hints.command("drift")
        ),
        ErrorClass::TokenConflict(_) | ErrorClass::OperationUnknown => {
            format!("`{again}` finds out what became of it and goes on")
        }
        ErrorClass::Terminal if failure.operation == OperationKind::Delete => format!(
            "remove what AWS names above, if it is not this environment's own; then `{again}` goes on"
        ),
        ErrorClass::Terminal => format!(
            "trying again changes nothing by itself: correct what AWS names above in the spec, look with `{}`, then `{again}`",
            hints.command("plan")
        ),
    }
}

fn skipped(out: &mut dyn Write, report: &Report, style: Style) -> io::Result<()> {
    if report.skipped.is_empty() {
        return Ok(());
    }
    let because: BTreeMap<&Address, &Address> = report
        .skipped
        .iter()
        .map(|skipped| (&skipped.address, &skipped.because))
        .collect();
    let mut by_root: BTreeMap<&Address, Vec<&Address>> = BTreeMap::new();
    for skipped in &report.skipped {
        let mut root = &skipped.because;
        // A chain can't be longer than all that was skipped.
        for _ in 0..because.len() {
            match because.get(root) {
                Some(next) => root = next,
                None => break,
            }
        }
        by_root.entry(root).or_default().push(&skipped.address);
    }
    writeln!(out)?;
    writeln!(out, "{}", style.strong(Tone::Changed, "Not begun"))?;
    for (root, addresses) in by_root {
        let line = format!("because of {root}: {}", listed(&addresses));
        for line in terminal::wrapped(&line, style.columns().saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

fn listed(addresses: &[&Address]) -> String {
    let shown: Vec<&str> = addresses
        .iter()
        .take(MOST_LISTED)
        .map(|address| address.as_str())
        .collect();
    let more = addresses.len().saturating_sub(MOST_LISTED);
    let mut text = shown.join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn left(
    out: &mut dyn Write,
    view: &ReportView<'_>,
    hints: Hints<'_>,
    style: Style,
) -> io::Result<()> {
    if view.report.outcome == Outcome::Completed {
        return Ok(());
    }
    let again = hints.command(view.verb());
    let left: Vec<&Address> = view.report.left.iter().collect();
    writeln!(out)?;
    let mut note = String::new();
    if !left.is_empty() {
        note.push_str(&format!(
            "Left: {} ({}). ",
            count(left.len(), "resource"),
            listed(&left)
        ));
    }
    note.push_str(&format!(
        "Nothing is lost, and nothing will be done twice: `{again}` goes on from here."
    ));
    for line in terminal::wrapped(&note, style.columns()) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn proof(
    out: &mut dyn Write,
    sweep: &Sweep,
    view: &ReportView<'_>,
    style: Style,
) -> io::Result<()> {
    writeln!(out)?;
    let asked = format!(
        "AWS was asked once more for {} and for everything with the owner tags of {}",
        count(sweep.checked, "deleted resource"),
        view.name
    );
    let (tone, verdict) = if view.is_clean() {
        (Tone::Added, "nothing is left over")
    } else {
        (Tone::Removed, "something is left over")
    };
    for line in terminal::wrapped(&format!("{asked}: {verdict}."), style.columns()) {
        writeln!(out, "{}", style.paint(tone, &line))?;
    }
    let mut table = terminal::Table::default().indented(2);
    for leftover in &sweep.leftovers {
        table.row([
            (Tone::Removed, "still there".to_owned()),
            (Tone::Plain, leftover.address.to_string()),
            (Tone::Dim, leftover.type_name.to_string()),
            (Tone::Plain, leftover.identifier.to_string()),
        ]);
    }
    for owned in view.unknown(sweep) {
        let address = owned.address.as_ref().map(ToString::to_string);
        table.row([
            (Tone::Removed, "unknown".to_owned()),
            (Tone::Plain, address.unwrap_or_default()),
            (Tone::Dim, "carries the owner tags".to_owned()),
            (Tone::Plain, owned.arn.clone()),
        ]);
    }
    for pending in &sweep.pending_deletion {
        table.row([
            (Tone::Changed, "pending deletion".to_owned()),
            (Tone::Plain, pending.address.to_string()),
            (Tone::Dim, pending.type_name.to_string()),
            (Tone::Plain, pending.identifier.to_string()),
        ]);
    }
    for address in view.retained {
        table.row([
            (Tone::Changed, "stays".to_owned()),
            (Tone::Plain, address.clone()),
            (Tone::Dim, "retained, or somebody else's".to_owned()),
        ]);
    }
    table.write(
        out,
        Style {
            width: None,
            ..style
        },
    )?;
    if !sweep.pending_deletion.is_empty() {
        let note = "AWS deletes what is pending deletion by itself, after its waiting period; it costs nothing until then.";
        for line in terminal::wrapped(note, style.columns()) {
            writeln!(out, "{}", style.paint(Tone::Dim, &line))?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    name: &'a str,
    kind: &'static str,
    summary: Summary,
    #[serde(flatten)]
    report: &'a Report,
    next_steps: BTreeMap<&'a Address, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sweep: Option<&'a Sweep>,
    retained: &'a [String],
}

/// Writes a run's end as JSON: `{name, kind, summary, outcome, done, failed: [{address, operation, error}],
/// skipped: [{address, because}], left, nextSteps: {address: text}, wallSeconds, modelledSeconds, criticalPathSeconds, sweep, retained}`.
///
/// # Errors
///
/// When it can't be written.
pub fn json(out: &mut dyn Write, view: &ReportView<'_>, hints: Hints<'_>) -> io::Result<()> {
    let failed = view.report.failed.iter();
    let next_steps = failed
        .map(|failure| (&failure.address, next_step(failure, view.verb(), hints)))
        .collect();
    terminal::write_json(
        out,
        &Document {
            name: view.name,
            kind: view.verb(),
            summary: view.planned,
            report: view.report,
            next_steps,
            sweep: view.sweep,
            retained: view.retained,
        },
    )
}

/// What an earlier run's open operations came to, before a new plan is made. Nothing is written when all went well.
///
/// # Errors
///
/// When it can't be written.
pub fn unsettled(out: &mut dyn Write, failures: &[Failure], style: Style) -> io::Result<()> {
    for failure in failures {
        let line = format!(
            "{}: what an earlier run had begun there has failed: {}",
            failure.address,
            one_line(&failure.error.to_string())
        );
        for line in terminal::wrapped(&line, style.columns()) {
            writeln!(out, "{}", style.paint(Tone::Changed, &line))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TargetName;
    use crate::render::fixtures::{address, text as rendered, type_name};
    use engine::{Leftover, Skipped};

    const HINTS: Hints<'_> = Hints {
        environment: "prod",
        target: TargetName::Sandbox,
    };

    fn report(outcome: Outcome) -> Report {
        Report {
            outcome,
            done: 104,
            failed: Vec::new(),
            skipped: Vec::new(),
            left: Vec::new(),
            wall_seconds: 21.4,
            modelled_seconds: Some(1284.0),
            critical_path_seconds: 1262.0,
        }
    }

    fn failure(at: &str, class: ErrorClass, code: &str, message: &str) -> Failure {
        Failure {
            address: address(at),
            operation: OperationKind::Create,
            error: ProviderError {
                class,
                code: code.to_owned(),
                message: message.to_owned(),
            },
        }
    }

    fn shown(view: &ReportView<'_>) -> String {
        rendered(|out| text(out, view, HINTS, Style::PLAIN))
    }

    #[test]
    fn a_deploy_that_went_well_takes_two_lines() {
        let planned = Summary {
            create: 104,
            ..Summary::default()
        };
        let view = ReportView {
            name: "shop-prod",
            destroy: false,
            planned,
            report: &report(Outcome::Completed),
            sweep: None,
            retained: &[],
        };
        insta::assert_snapshot!(shown(&view), @r"
        shop-prod is deployed: 104 created
        It took 21 s here; it would take 21 min at AWS. The longest chain takes 21 min (1.02 times that).
        ");
    }

    #[test]
    fn failures_say_where_why_and_what_next() {
        let mut failed = report(Outcome::Failed);
        failed.failed = vec![
            failure(
                "karpenter/queue",
                ErrorClass::Terminal,
                "InvalidRequest",
                "the queue is not to be",
            ),
            failure(
                "network/eip",
                ErrorClass::Terminal,
                "ServiceLimitExceeded",
                "no more\x1b[2J",
            ),
        ];
        let skip = |at: &str, because: &str| Skipped {
            address: address(at),
            because: address(because),
        };
        failed.skipped = vec![
            skip("karpenter/queue-policy", "karpenter/queue"),
            skip("karpenter/rule", "karpenter/queue-policy"),
        ];
        failed.left = vec![address("redis/group")];
        let view = ReportView {
            name: "shop-prod",
            destroy: false,
            planned: Summary::default(),
            report: &failed,
            sweep: None,
            retained: &[],
        };
        insta::assert_snapshot!(shown(&view), @r"
        shop-prod is not all deployed: 104 steps done, 2 failed, 2 not begun because of that, 1 left
        It took 21 s here; it would take 21 min at AWS.

        Failed
          karpenter/queue could not be created
            InvalidRequest: the queue is not to be
            → trying again changes nothing by itself: correct what AWS names above in the spec, look with
              `seaworthy plan -e prod`, then `seaworthy deploy -e prod`
          network/eip could not be created
            ServiceLimitExceeded: no more�[2J
            → a quota of the account is used up: `seaworthy preflight -e prod` says which; ask AWS for more, or free
              some, then `seaworthy deploy -e prod`

        Not begun
          because of karpenter/queue: karpenter/queue-policy, karpenter/rule

        Left: 1 resource (redis/group). Nothing is lost, and nothing will be done twice: `seaworthy deploy -e prod`
        goes on from here.
        ");
    }

    #[test]
    fn a_destroy_ends_with_its_proof() {
        let leftover = |at: &str, of: &str, id: &str| Leftover {
            address: address(at),
            type_name: type_name(of),
            identifier: id.parse().unwrap(),
        };
        let bucket = address("backups/bucket");
        let mut sweep = Sweep {
            checked: 103,
            pending_deletion: vec![leftover("cluster/key", "AWS::KMS::Key", "1234")],
            leftovers: Vec::new(),
            owned: vec![Owned {
                arn: "arn:aws:s3:::b".to_owned(),
                address: Some(bucket.clone()),
            }],
        };
        let planned = Summary {
            delete: 103,
            forget: 1,
            ..Summary::default()
        };
        let report = Report {
            modelled_seconds: None,
            ..report(Outcome::Completed)
        };
        let retained = [bucket.to_string()];
        let view = ReportView {
            name: "shop-prod",
            destroy: true,
            planned,
            report: &report,
            sweep: None,
            retained: &retained,
        };
        let shown = |sweep: &Sweep| {
            shown(&ReportView {
                sweep: Some(sweep),
                ..view
            })
        };
        let is_clean = |sweep: &Sweep, retained| {
            ReportView {
                sweep: Some(sweep),
                retained,
                ..view
            }
            .is_clean()
        };
        assert!(is_clean(&sweep, &retained));
        insta::assert_snapshot!(shown(&sweep), @r"
        shop-prod is destroyed: 103 deleted, 1 forgotten
        It took 21 s here, where nothing is waited for. The longest chain takes 21 min.

        AWS was asked once more for 103 deleted resources and for everything with the owner tags of shop-prod: nothing
        is left over.
          pending deletion  cluster/key     AWS::KMS::Key                 1234
          stays             backups/bucket  retained, or somebody else's
        AWS deletes what is pending deletion by itself, after its waiting period; it costs nothing until then.
        ");
        sweep.leftovers.push(leftover(
            "network/eni",
            "AWS::EC2::NetworkInterface",
            "eni-1",
        ));
        assert!(!is_clean(&sweep, &retained));
        let text = shown(&sweep);
        assert!(
            text.contains("something is left over") && text.contains("eni-1"),
            "{text}"
        );
        assert!(
            !is_clean(
                &Sweep {
                    leftovers: Vec::new(),
                    ..sweep
                },
                &[]
            ),
            "an owned one that nobody wants"
        );
    }

    #[test]
    fn each_kind_of_error_has_a_next_step_of_its_own() {
        let step =
            |class, code: &str| next_step(&failure("a/b", class, code, ""), "destroy", HINTS);
        assert!(step(ErrorClass::Denied, "AccessDenied").contains("iam-policy -e prod"));
        assert!(
            step(ErrorClass::AlreadyExists, "AlreadyExists").contains("a/b: { existing: <id> }")
        );
        assert!(step(ErrorClass::Throttled, "Throttling").contains("destroy -e prod --rate 2"));
        assert!(step(ErrorClass::Terminal, "ServiceLimitExceeded").contains("preflight"));
    }

    #[test]
    fn json_has_the_documented_keys() {
        let mut failed = report(Outcome::Failed);
        failed.failed = vec![failure("a/b", ErrorClass::Denied, "AccessDenied", "no")];
        let view = ReportView {
            name: "shop-prod",
            destroy: false,
            planned: Summary::default(),
            report: &failed,
            sweep: None,
            retained: &[],
        };
        let document: serde_json::Value =
            serde_json::from_str(&rendered(|out| json(out, &view, HINTS))).unwrap();
        assert_eq!(document["outcome"], "failed");
        assert_eq!(document["failed"][0]["error"]["code"], "AccessDenied");
        assert_eq!(document["kind"], "deploy");
        assert_eq!(document["wallSeconds"], 21.4);
        assert!(document["nextSteps"]["a/b"].is_string());
    }
}
