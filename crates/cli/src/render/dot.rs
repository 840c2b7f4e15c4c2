//! A plan as a graph for Graphviz: a node a resource, coloured by its action, an edge to each one that it needs.

use std::collections::BTreeSet;
use std::io::{self, Write};

use graph::{Action, Plan};

/// Writes the plan in the DOT language. Edges run from a resource to what it needs; what comes first is on the left.
///
/// # Errors
///
/// When it can't be written.
pub fn plan(out: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    writeln!(out, "digraph {} {{", quoted(&plan.scope.name()))?;
    writeln!(out, "  rankdir=RL;")?;
    writeln!(
        out,
        "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=10];"
    )?;
    writeln!(out, "  edge [color=\"#888888\", arrowsize=0.6];")?;
    let known: BTreeSet<&str> = plan
        .changes
        .iter()
        .map(|change| change.address.as_str())
        .collect();
    for change in &plan.changes {
        let address = quoted(change.address.as_str());
        let (fill, word) = look(change.action);
        let label = format!("{}\\n{}", change.address, change.type_name);
        writeln!(
            out,
            "  {address} [label=\"{label}\", fillcolor=\"{fill}\", tooltip={}];",
            quoted(&format!("{word}: {}", change.reason))
        )?;
    }
    for change in &plan.changes {
        for need in &change.needs {
            if known.contains(need.as_str()) {
                writeln!(
                    out,
                    "  {} -> {};",
                    quoted(change.address.as_str()),
                    quoted(need.as_str())
                )?;
            }
        }
    }
    writeln!(out, "}}")
}

fn look(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Create => ("#b7e4c7", "create"),
        Action::Update => ("#ffe8a1", "update"),
        Action::Replace => ("#e5c1f0", "replace"),
        Action::Delete => ("#f5b7b1", "delete"),
        Action::Unchanged => ("#f0f0f0", "unchanged"),
        Action::Read => ("#cfe8f5", "read"),
        Action::Forget => ("#dddddd", "forget"),
    }
}

/// A quoted string of the DOT language, in which only the quote needs escaping and a backslash is kept from meaning more
/// than itself.
fn quoted(text: &str) -> String {
    let text = crate::terminal::one_line(text)
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::{address, change, plan as planned, text};

    #[test]
    fn nodes_are_changes_and_edges_are_needs() {
        let mut subnet = change(
            "network/subnet/a",
            "AWS::EC2::Subnet",
            Action::Create,
            "not \"there\" yet",
        );
        subnet.needs = BTreeSet::from([address("network/vpc"), address("not/in-the-plan")]);
        let vpc = change(
            "network/vpc",
            "AWS::EC2::VPC",
            Action::Unchanged,
            "as wanted",
        );
        let dot = text(|out| plan(out, &planned(vec![vpc, subnet])));
        assert!(
            dot.starts_with("digraph \"shop-prod\" {\n") && dot.ends_with("}\n"),
            "{dot}"
        );
        assert!(
            dot.contains("  \"network/subnet/a\" -> \"network/vpc\";\n"),
            "{dot}"
        );
        assert!(
            dot.contains(r#"tooltip="create: not \"there\" yet""#),
            "{dot}"
        );
        assert!(!dot.contains("not/in-the-plan"), "{dot}");
    }
}
