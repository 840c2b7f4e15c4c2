//! A plan, for people and as JSON.

use std::io::{self, Write};

use graph::{Action, Change, Plan, Summary};
use operations::{Inside, is_made_by_others};
use serde::Serialize;
use spec::{Diagnostic, Override};

use super::values;
use crate::terminal::{self, Style, Tone, count, cut, one_line};

/// A plan with what its reader should know beside it.
#[derive(Debug, Clone, Copy)]
pub struct PlanView<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What environment variables have changed in the spec.
    pub overrides: &'a [Override],
    /// What is allowed but unwise.
    pub warnings: &'a [Diagnostic],
    /// The longest chain, in seconds at AWS.
    pub critical_path_seconds: f64,
    /// Operations of an earlier run whose outcome is not known.
    pub unsettled: usize,
    /// What is known of what others have made in the cluster.
    pub inside: Inside,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What would be done.
    Changes,
    /// Unchanged resources too, and each property of new ones.
    All,
}

const SECTIONS: [(Action, &str); 7] = [
    (Action::Create, "To create"),
    (Action::Update, "To update"),
    (Action::Replace, "To replace"),
    (Action::Delete, "To delete"),
    (Action::Read, "To read, somebody else's"),
    (Action::Forget, "To forget, not deleted"),
    (Action::Unchanged, "Unchanged"),
];

/// Writes the plan for people: what overrides the spec, warnings, the changes by action, the counts.
///
/// # Errors
///
/// When it can't be written.
pub fn text(
    out: &mut dyn Write,
    view: &PlanView<'_>,
    detail: Detail,
    style: Style,
) -> io::Result<()> {
    let plan = view.plan;
    overrides(out, view.overrides, style)?;
    if !view.warnings.is_empty() {
        writeln!(out, "{}", spec::render(view.warnings, style.colour))?;
    }
    let asked = match (plan.destroy, plan.refreshed) {
        (true, _) => "everything of it",
        (false, true) => "against what AWS has",
        (false, false) => "against the state; --refresh asks AWS",
    };
    let verb = if plan.destroy {
        "Destroying"
    } else {
        "Planned"
    };
    writeln!(
        out,
        "{verb} {} in {} {}",
        style.paint(Tone::Strong, &plan.scope.name()),
        plan.scope.region,
        style.paint(
            Tone::Dim,
            &format!("({asked}; serial {})", plan.state_serial)
        ),
    )?;
    if view.unsettled > 0 {
        let operations = count(view.unsettled, "operation");
        let note = format!(
            "An earlier run has left {operations} whose outcome is not known yet. The next deploy finds out first, and the plan may change by it."
        );
        for line in terminal::wrapped(&note, style.columns()) {
            writeln!(out, "{}", style.paint(Tone::Changed, &line))?;
        }
    }
    if let Some(note) = note(view.inside, plan) {
        for line in terminal::wrapped(&note, style.columns()) {
            writeln!(out, "{}", style.paint(Tone::Changed, &line))?;
        }
    }
    let address_width = plan
        .changes
        .iter()
        .filter(|change| shown(change.action, detail))
        .map(|change| change.address.as_str().len())
        .max()
        .unwrap_or_default()
        .min(48);
    let of_others: Vec<&Change> = plan
        .changes
        .iter()
        .filter(|change| is_made_by_others(change))
        .collect();
    if !of_others.is_empty() {
        writeln!(out)?;
        let heading = format!(
            "To remove from the cluster first, made by others ({})",
            of_others.len()
        );
        writeln!(out, "{}", style.strong(Tone::Removed, &heading))?;
        for change in of_others {
            write_change(out, change, detail, plan.destroy, address_width, style)?;
        }
    }
    for (action, title) in SECTIONS {
        if !shown(action, detail) {
            continue;
        }
        let changes: Vec<&Change> = plan
            .changes
            .iter()
            .filter(|change| change.action == action && !is_made_by_others(change))
            .collect();
        if changes.is_empty() {
            continue;
        }
        writeln!(out)?;
        let heading = format!("{title} ({})", changes.len());
        writeln!(out, "{}", style.strong(look(action).1, &heading))?;
        for change in changes {
            write_change(out, change, detail, plan.destroy, address_width, style)?;
        }
    }
    writeln!(out)?;
    if plan.is_empty() {
        writeln!(out, "Nothing to do: everything is as wanted.")?;
    } else if view.critical_path_seconds >= 1.0 {
        let longest = terminal::about(terminal::seconds(view.critical_path_seconds));
        writeln!(out, "The longest chain takes about {longest} at AWS.")?;
    }
    writeln!(out, "{}", summary_line(&plan.summary, style))
}

/// What a reader of a plan to destroy must know of what others have in the cluster.
fn note(inside: Inside, plan: &Plan) -> Option<String> {
    match inside {
        Inside::None | Inside::Listed(_) => None,
        Inside::NotAsked => Some(format!(
            "What others have made in the cluster is not in this plan: --refresh asks the cluster. `seaworthy destroy -e {}` asks it in any case, and shows what goes before it begins.",
            plan.scope.environment
        )),
        Inside::Gone => Some(
            "The cluster is gone, and what was in it: the rest is deleted without it.".to_owned(),
        ),
        Inside::Abandoned => Some(
            "The cluster is not asked. What others have in it goes with it; its nodes and load balancers are deleted by their tags, and volumes of claims stay in the account."
                .to_owned(),
        ),
    }
}

fn shown(action: Action, detail: Detail) -> bool {
    action != Action::Unchanged || detail == Detail::All
}

fn look(action: Action) -> (&'static str, Tone) {
    match action {
        Action::Create => ("  +", Tone::Added),
        Action::Update => ("  ~", Tone::Changed),
        Action::Replace => ("+/-", Tone::Replaced),
        Action::Delete => ("  -", Tone::Removed),
        Action::Unchanged => ("   ", Tone::Dim),
        Action::Read => (" <=", Tone::Link),
        Action::Forget => ("  .", Tone::Dim),
    }
}

fn symbol(change: &Change) -> (&'static str, Tone) {
    let delete_first = change
        .replacement
        .as_ref()
        .is_some_and(|replacement| replacement.delete_first);
    match look(change.action) {
        (_, tone) if delete_first => ("-/+", tone),
        look => look,
    }
}

fn write_change(
    out: &mut dyn Write,
    change: &Change,
    detail: Detail,
    destroy: bool,
    address_width: usize,
    style: Style,
) -> io::Result<()> {
    let (symbol, tone) = symbol(change);
    // What the section says already goes without saying.
    let obvious = match change.action {
        Action::Create => change.reason == "not there yet",
        Action::Delete => destroy && change.reason == "no longer wanted",
        Action::Unchanged => true,
        _ => false,
    };
    let identifier = change
        .identifier
        .as_ref()
        .filter(|_| change.action != Action::Create);
    let mut line = format!(
        "{} {:address_width$}  {}",
        style.paint(tone, symbol),
        change.address,
        style.paint(Tone::Dim, change.type_name.as_str()),
    );
    if !obvious {
        line.push_str("  ");
        line.push_str(&one_line(&change.reason));
    }
    if let Some(identifier) = identifier {
        line.push_str("  ");
        line.push_str(&style.paint(Tone::Dim, &one_line(identifier.as_str())));
    }
    write_cut(out, line.trim_end(), style)?;
    if let Some(replacement) = &change.replacement {
        let order = if replacement.delete_first {
            "the old one is deleted first: what needs it is without it until the new one is there"
        } else {
            "the new one is made first, then the old one is deleted"
        };
        write_cut(out, &format!("      {}", style.paint(tone, order)), style)?;
    }
    for property in &change.properties {
        let forces = change
            .replacement
            .as_ref()
            .is_some_and(|replacement| replacement.forced_by.contains(&property.path));
        let suffix = if forces { "# forces replacement" } else { "" };
        let lines = values::difference(
            &property.path.to_string(),
            property.before.as_ref(),
            property.after.as_ref(),
            suffix,
            6,
            style,
        );
        for line in lines {
            writeln!(out, "{line}")?;
        }
    }
    if detail == Detail::All && change.action == Action::Create {
        for (name, value) in change.desired.iter().flatten() {
            let value = values::compact(&values::desired(value));
            write_cut(out, &format!("      {name}: {value}"), style)?;
        }
    }
    Ok(())
}

fn write_cut(out: &mut dyn Write, line: &str, style: Style) -> io::Result<()> {
    match style.width {
        Some(width) => writeln!(out, "{}", cut(line, width)),
        None => writeln!(out, "{line}"),
    }
}

fn overrides(out: &mut dyn Write, overrides: &[Override], style: Style) -> io::Result<()> {
    if overrides.is_empty() {
        return Ok(());
    }
    let heading = "Environment variables override the spec";
    writeln!(out, "{}", style.strong(Tone::Changed, heading))?;
    let mut table = terminal::Table::default().indented(2);
    for one in overrides {
        table.row([
            (Tone::Strong, one.variable.clone()),
            (Tone::Plain, one.key.clone()),
            (
                Tone::Plain,
                format!("{} → {}", one.from.as_deref().unwrap_or("(none)"), one.to),
            ),
        ]);
    }
    table.write(out, style)?;
    writeln!(out)
}

/// `Plan: 104 to create, 0 to update, 0 to replace, 0 to delete, 3 unchanged`.
pub fn summary_line(summary: &Summary, style: Style) -> String {
    let always = [
        (summary.create, "to create", Tone::Added),
        (summary.update, "to update", Tone::Changed),
        (summary.replace, "to replace", Tone::Replaced),
        (summary.delete, "to delete", Tone::Removed),
    ];
    let sometimes = [
        (summary.read, "to read"),
        (summary.forget, "to forget"),
        (summary.unchanged, "unchanged"),
    ];
    let mut parts: Vec<String> = always
        .into_iter()
        .map(|(number, what, tone)| {
            let tone = if number > 0 { tone } else { Tone::Plain };
            style.paint(tone, &format!("{number} {what}"))
        })
        .collect();
    parts.extend(
        sometimes
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{number} {what}")),
    );
    format!(
        "{} {}",
        style.paint(Tone::Strong, "Plan:"),
        parts.join(", ")
    )
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    overrides: &'a [Override],
    warnings: &'a [Diagnostic],
    critical_path_seconds: f64,
    unsettled_operations: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    contents: Option<ContentsDocument>,
}

/// What is known of what others have made in the cluster: their deletions have addresses under `contents/`.
#[derive(Serialize)]
#[serde(tag = "known", rename_all = "camelCase")]
enum ContentsDocument {
    NotAsked,
    ClusterGone,
    Abandoned,
    Listed { count: usize },
}

impl ContentsDocument {
    fn of(inside: Inside) -> Option<Self> {
        match inside {
            Inside::None => None,
            Inside::NotAsked => Some(Self::NotAsked),
            Inside::Gone => Some(Self::ClusterGone),
            Inside::Abandoned => Some(Self::Abandoned),
            Inside::Listed(count) => Some(Self::Listed { count }),
        }
    }
}

/// Writes the plan as JSON: its own document, which `deploy --plan` takes, with `overrides`, `warnings`,
/// `criticalPathSeconds` and `unsettledOperations` beside it, and `contents` for a plan to destroy.
///
/// # Errors
///
/// When it can't be written.
pub fn json(out: &mut dyn Write, view: &PlanView<'_>) -> io::Result<()> {
    terminal::write_json(
        out,
        &Document {
            plan: view.plan,
            overrides: view.overrides,
            warnings: view.warnings,
            critical_path_seconds: view.critical_path_seconds,
            unsettled_operations: view.unsettled,
            contents: ContentsDocument::of(view.inside),
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::render::fixtures::{address, change, plan, text as rendered};
    use catalog::PropertyPath;
    use graph::{PropertyChange, Replacement, Value};
    use serde_json::json;

    fn property(
        path: &str,
        before: serde_json::Value,
        after: Option<serde_json::Value>,
    ) -> PropertyChange {
        PropertyChange {
            path: PropertyPath::from_segments(path.split('.')),
            before: Some(before),
            after,
        }
    }

    fn sample() -> Plan {
        let mut vpc = change(
            "network/vpc",
            "AWS::EC2::VPC",
            Action::Replace,
            "CidrBlock can't be changed on an existing one",
        );
        vpc.identifier = Some("vpc-0a1b".parse().unwrap());
        vpc.replacement = Some(Replacement {
            forced_by: vec![PropertyPath::from_segments("CidrBlock".split('.'))],
            delete_first: true,
        });
        vpc.properties = vec![
            property(
                "CidrBlock",
                json!("10.0.0.0/16"),
                Some(json!("10.1.0.0/16")),
            ),
            property(
                "Tags",
                json!([]),
                Some(json!([{ "Key": "a", "Value": "b" }])),
            ),
        ];
        let mut cluster = change(
            "cluster/eks",
            "AWS::EKS::Cluster",
            Action::Update,
            "Version, Logging differ",
        );
        cluster.properties = vec![
            property("Version", json!("1.33"), Some(json!("1.34"))),
            property(
                "RoleArn",
                json!("arn:aws:iam::1:role/a"),
                Some(json!({ "$unknown": "${iam/role.Arn}" })),
            ),
            property("Logging", json!({ "ClusterLogging": {} }), None),
        ];
        let mut subnet = change(
            "network/subnet/private-a",
            "AWS::EC2::Subnet",
            Action::Create,
            "not there yet",
        );
        subnet.desired = Some(BTreeMap::from([(
            "VpcId".to_owned(),
            Value::identifier(&address("network/vpc")),
        )]));
        plan(vec![
            vpc,
            subnet,
            change(
                "redis/group",
                "AWS::ElastiCache::ReplicationGroup",
                Action::Create,
                "gone from AWS",
            ),
            cluster,
            change("iam/role", "AWS::IAM::Role", Action::Unchanged, "as wanted"),
            change(
                "old/queue",
                "AWS::SQS::Queue",
                Action::Delete,
                "no longer wanted",
            ),
            change(
                "old/bucket",
                "AWS::S3::Bucket",
                Action::Forget,
                "retained: it stays in AWS",
            ),
        ])
    }

    fn view(plan: &Plan) -> PlanView<'_> {
        PlanView {
            plan,
            overrides: &[],
            warnings: &[],
            critical_path_seconds: 1262.0,
            unsettled: 0,
            inside: Inside::None,
        }
    }

    #[test]
    fn people_see_what_changes_and_why() {
        let plan = sample();
        let overrides = [Override {
            variable: "ENABLE_AWS_SERVICES".to_owned(),
            key: "redis.enabled".to_owned(),
            from: Some("false".to_owned()),
            to: "true".to_owned(),
        }];
        let warnings = [Diagnostic::warning(
            "public-endpoint",
            "the cluster's endpoint is open to the world",
        )];
        let view = PlanView {
            overrides: &overrides,
            warnings: &warnings,
            ..view(&plan)
        };
        insta::assert_snapshot!(rendered(|out| text(
            out,
            &view,
            Detail::Changes,
            Style::PLAIN
        )));
    }

    #[test]
    fn all_shows_unchanged_ones_and_the_properties_of_new_ones() {
        let plan = sample();
        let shown = rendered(|out| text(out, &view(&plan), Detail::All, Style::PLAIN));
        assert!(
            shown.contains("Unchanged (1)") && shown.contains("iam/role"),
            "{shown}"
        );
        assert!(shown.contains("VpcId: (known after deploy)"), "{shown}");
        let fewer = rendered(|out| text(out, &view(&plan), Detail::Changes, Style::PLAIN));
        assert!(
            !fewer.contains("iam/role ") && !fewer.contains("VpcId"),
            "{fewer}"
        );
    }

    #[test]
    fn nothing_to_do_is_said() {
        let plan = plan(vec![change(
            "iam/role",
            "AWS::IAM::Role",
            Action::Unchanged,
            "as wanted",
        )]);
        let shown = rendered(|out| text(out, &view(&plan), Detail::Changes, Style::PLAIN));
        assert!(
            shown.ends_with("Nothing to do: everything is as wanted.\nPlan: 0 to create, 0 to update, 0 to replace, 0 to delete, 1 unchanged\n"),
            "{shown}"
        );
    }

    #[test]
    fn colours_say_nothing_that_words_do_not() {
        let plan = sample();
        let style = Style {
            colour: true,
            width: None,
        };
        let coloured = rendered(|out| text(out, &view(&plan), Detail::All, style));
        let plain = rendered(|out| text(out, &view(&plan), Detail::All, Style::PLAIN));
        assert_ne!(coloured, plain);
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
    }

    #[test]
    fn lines_fit_a_terminal() {
        let plan = sample();
        let style = Style {
            colour: true,
            width: Some(60),
        };
        let shown = rendered(|out| text(out, &view(&plan), Detail::Changes, style));
        for line in shown.lines().filter(|line| line.contains("::")) {
            assert!(console::measure_text_width(line) <= 60, "{line}");
        }
    }

    #[test]
    fn json_is_the_plan_and_can_be_read_as_one() {
        let plan = sample();
        let shown = rendered(|out| json(out, &view(&plan)));
        let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            document["summary"],
            json!({ "create": 2, "update": 1, "replace": 1, "delete": 1, "unchanged": 1, "read": 0, "forget": 1 })
        );
        assert_eq!(document["changes"][0]["address"], "network/vpc");
        assert_eq!(document["changes"][0]["type"], "AWS::EC2::VPC");
        assert_eq!(document["changes"][0]["action"], "replace");
        assert_eq!(document["overrides"], json!([]));
        assert_eq!(document["warnings"], json!([]));
        assert_eq!(serde_json::from_str::<Plan>(&shown).unwrap(), plan);
    }
}
