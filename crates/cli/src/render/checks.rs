//! Checks with their outcomes: what `preflight`, `verify-aws` and `doctor` report.

use std::io::{self, Write};

use serde::Serialize;

use crate::terminal::{self, Style, Tone, count, one_line};

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum CheckStatus {
    /// As it must be.
    Ok,
    /// It works, with something to know of.
    Warning,
    /// It will not work.
    Error,
    /// It could not be found out.
    Skipped,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was looked at (`account`, `quota of elastic IPs`).
    pub name: String,
    /// How it went.
    pub status: CheckStatus,
    /// What was found.
    pub message: String,
    /// What to do, when it is not as it must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Check {
    /// A check.
    pub fn new(name: impl Into<String>, status: CheckStatus, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            status,
            message: message.into(),
            help: None,
        }
    }

    /// …with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Whether nothing failed.
pub fn passed(checks: &[Check]) -> bool {
    checks
        .iter()
        .all(|check| check.status != CheckStatus::Error)
}

/// Writes checks for people, in their order, with what to do below each that needs it.
///
/// # Errors
///
/// When it can't be written.
pub fn text(out: &mut dyn Write, checks: &[Check], style: Style) -> io::Result<()> {
    let width = checks
        .iter()
        .map(|check| console::measure_text_width(&check.name))
        .max()
        .unwrap_or_default();
    let indent = width + 6;
    let columns = style.columns().saturating_sub(indent).max(30);
    for check in checks {
        let (mark, tone) = match check.status {
            CheckStatus::Ok => ("✓", Tone::Added),
            CheckStatus::Warning => ("!", Tone::Changed),
            CheckStatus::Error => ("✗", Tone::Removed),
            CheckStatus::Skipped => ("-", Tone::Dim),
        };
        let lines = terminal::wrapped(&one_line(&check.message), columns);
        let blanks = " ".repeat(width - console::measure_text_width(&check.name));
        writeln!(
            out,
            "  {} {}{blanks}  {}",
            style.paint(tone, mark),
            one_line(&check.name),
            lines.first().map_or("", String::as_str)
        )?;
        for line in lines.iter().skip(1) {
            writeln!(out, "{:indent$}{line}", "")?;
        }
        for line in check.help.iter().flat_map(|help| {
            terminal::wrapped(&format!("→ {}", terminal::printable(help)), columns)
        }) {
            writeln!(out, "{:indent$}{}", "", style.paint(Tone::Link, &line))?;
        }
    }
    let of = |status| checks.iter().filter(|check| check.status == status).count();
    let parts: Vec<String> = [
        (CheckStatus::Ok, "passed"),
        (CheckStatus::Warning, "warning"),
        (CheckStatus::Error, "failed"),
        (CheckStatus::Skipped, "skipped"),
    ]
    .into_iter()
    .filter_map(|(status, word)| match (of(status), status) {
        (0, _) => None,
        (number, CheckStatus::Warning) => Some(count(number, word)),
        (number, _) => Some(format!("{number} {word}")),
    })
    .collect();
    writeln!(out, "\n{}", parts.join(", "))
}

#[derive(Serialize)]
struct Document<'a> {
    passed: bool,
    checks: &'a [Check],
}

/// Writes checks as JSON: `{passed, checks: [{name, status, message, help}]}`.
///
/// # Errors
///
/// When it can't be written.
pub fn json(out: &mut dyn Write, checks: &[Check]) -> io::Result<()> {
    let passed = passed(checks);
    terminal::write_json(out, &Document { passed, checks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::text as rendered;

    #[test]
    fn people_see_what_to_do_below_what_is_wrong() {
        let checks = [
            Check::new("account", CheckStatus::Ok, "123456789012, as the spec names it"),
            Check::new("elastic IPs", CheckStatus::Error, "3 are needed and 5 of 5 are in use")
                .help("ask for more: aws service-quotas request-service-quota-increase --quota-code L-0263D0A3"),
            Check::new("free IPs", CheckStatus::Skipped, "the VPC does not exist yet"),
        ];
        insta::assert_snapshot!(rendered(|out| text(out, &checks, Style::PLAIN)), @r"
          ✓ account      123456789012, as the spec names it
          ✗ elastic IPs  3 are needed and 5 of 5 are in use
                         → ask for more: aws service-quotas request-service-quota-increase --quota-code L-0263D0A3
          - free IPs     the VPC does not exist yet

        1 passed, 1 failed, 1 skipped
        ");
        assert!(!passed(&checks));
        let shown = rendered(|out| json(out, &checks));
        let document: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(document["passed"], false);
        assert_eq!(document["checks"][2]["status"], "skipped");
    }
}
