//! What somebody else has changed since the last deploy.

use std::io::{self, Write};

use graph::Drifted;
use serde::Serialize;

use super::{Hints, values};
use crate::terminal::{self, Style, Tone, count};

/// What was found.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DriftView<'a> {
    /// The environment's name in AWS.
    pub name: &'a str,
    /// What differs.
    pub drifted: &'a [Drifted],
    /// How many resources were looked at.
    pub checked: usize,
}

/// Writes the drift for people: by resource, what was applied and what is there.
///
/// # Errors
///
/// When it can't be written.
pub fn text(
    out: &mut dyn Write,
    view: &DriftView<'_>,
    hints: Hints<'_>,
    style: Style,
) -> io::Result<()> {
    let mut resources = 0;
    let mut last = None;
    for one in view.drifted {
        if last != Some(&one.address) {
            last = Some(&one.address);
            resources += 1;
            writeln!(out, "{}", style.strong(Tone::Changed, one.address.as_str()))?;
        }
        let Some(property) = &one.property else {
            let identifier = values::compact(&one.expected);
            let gone = format!("  is gone from AWS (it was {identifier})");
            writeln!(out, "{}", style.paint(Tone::Removed, &gone))?;
            continue;
        };
        let some = |value: &'_ _| !matches!(value, serde_json::Value::Null);
        let lines = values::difference(
            &property.to_string(),
            Some(&one.expected).filter(|value| some(value)),
            Some(&one.actual).filter(|value| some(value)),
            "",
            2,
            style,
        );
        for line in lines {
            writeln!(out, "{line}")?;
        }
    }
    let looked = count(view.checked, "resource");
    if resources == 0 {
        return writeln!(
            out,
            "No drift: {looked} of {} looked at, all as they were deployed.",
            view.name
        );
    }
    writeln!(out)?;
    writeln!(
        out,
        "{resources} of {looked} of {} drifted (deployed → now). `{} --refresh` puts them right.",
        view.name,
        hints.command("deploy")
    )
}

/// Writes the drift as JSON: `{name, drifted: [{address, property, expected, actual}], checked}`. A property of null is a
/// resource that is gone.
///
/// # Errors
///
/// When it can't be written.
pub fn json(out: &mut dyn Write, view: &DriftView<'_>) -> io::Result<()> {
    terminal::write_json(out, view)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::TargetName;
    use crate::render::fixtures::{address, text as rendered};
    use catalog::PropertyPath;
    use serde_json::{Value, json};

    const HINTS: Hints<'_> = Hints {
        environment: "prod",
        target: TargetName::Sandbox,
    };

    fn view(drifted: &[Drifted]) -> DriftView<'_> {
        DriftView {
            name: "shop-prod",
            drifted,
            checked: 104,
        }
    }

    fn drifted() -> Vec<Drifted> {
        let property = |name: &str| Some(PropertyPath::from_segments([name]));
        vec![
            Drifted {
                address: address("karpenter/queue"),
                property: property("MessageRetentionPeriod"),
                expected: json!(300),
                actual: json!(60),
            },
            Drifted {
                address: address("karpenter/queue"),
                property: property("KmsMasterKeyId"),
                expected: json!("alias/aws/sqs"),
                actual: Value::Null,
            },
            Drifted {
                address: address("network/vpc"),
                property: None,
                expected: json!("vpc-0a1b"),
                actual: Value::Null,
            },
        ]
    }

    #[test]
    fn people_see_what_was_deployed_and_what_is_there() {
        insta::assert_snapshot!(rendered(|out| text(out, &view(&drifted()), HINTS, Style::PLAIN)), @r#"
        karpenter/queue
          MessageRetentionPeriod: 300 → 60
          KmsMasterKeyId: "alias/aws/sqs" → (none)
        network/vpc
          is gone from AWS (it was "vpc-0a1b")

        2 of 104 resources of shop-prod drifted (deployed → now). `seaworthy deploy -e prod --refresh` puts them right.
        "#);
        assert!(
            rendered(|out| text(out, &view(&[]), HINTS, Style::PLAIN)).starts_with("No drift: 104")
        );
    }

    #[test]
    fn json_has_the_documented_keys() {
        let shown = rendered(|out| super::json(out, &view(&drifted())));
        let document: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            document["drifted"][0],
            json!({ "address": "karpenter/queue", "property": "MessageRetentionPeriod", "expected": 300, "actual": 60 })
        );
        assert_eq!(document["drifted"][2]["property"], Value::Null);
    }
}
