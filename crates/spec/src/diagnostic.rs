//! What is wrong with a spec, where, and what to do about it; and its text for people.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde::Serialize;

use crate::source::Place;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// There is no platform until it is corrected.
    Error,
    /// There is a platform, with a risk or a cost that the reader should know.
    Warning,
}

/// Something wrong or risky in a spec.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is: stable, for machines (`unknown-key`).
    pub code: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Where; a default has no place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            place: None,
            help: None,
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// …at this place.
    #[must_use]
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    /// …with this advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Sorts by file, in the order of `files`, then by position; what has no place comes last.
pub(crate) fn sort(diagnostics: &mut [Diagnostic], files: &[&str]) {
    let rank = |file: &str| {
        files
            .iter()
            .position(|known| *known == file)
            .unwrap_or(files.len())
    };
    diagnostics.sort_by(|a, b| match (&a.place, &b.place) {
        (Some(a), Some(b)) => {
            (rank(a.file()), a.span().start).cmp(&(rank(b.file()), b.span().start))
        }
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
}

struct Paint {
    colour: bool,
}

impl Paint {
    fn on(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The diagnostics as text: message, place, the source line with the part underlined, advice; a count at the end.
///
/// Control characters of the source are shown as `�`: a spec does not reach the terminal that it is shown on.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let paint = Paint { colour };
    let mut text = String::new();
    for diagnostic in diagnostics {
        let (word, code) = match diagnostic.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let head = paint.on(code, &format!("{word}[{}]", diagnostic.code));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{head}: {}",
            paint.on("1", &printable(&diagnostic.message))
        );
        let mut margin = 1;
        if let Some(place) = &diagnostic.place {
            let number = place.line().to_string();
            margin = number.len();
            let blue = |text: &str| paint.on("34", text);
            let _ = writeln!(text, "{:margin$}{} {place}", "", blue("-->"));
            let _ = writeln!(text, "{:margin$} {}", "", blue("|"));
            let line = printable(place.source_line());
            let (line, before) = window(&line, place.column() - 1);
            let _ = writeln!(text, "{} {} {line}", blue(&number), blue("|"));
            let shown = line.chars().count().saturating_sub(before);
            let first_line = place.text().lines().next().unwrap_or_default();
            let carets = "^".repeat(first_line.trim_end().chars().count().min(shown).max(1));
            let _ = writeln!(
                text,
                "{:margin$} {} {:before$}{}",
                "",
                blue("|"),
                "",
                paint.on(code, &carets)
            );
        }
        if let Some(help) = &diagnostic.help {
            let _ = writeln!(
                text,
                "{:margin$} {} {}",
                "",
                paint.on("34", "="),
                printable(help)
            );
        }
        text.push('\n');
    }
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count();
    let count = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{number} {word}s")),
    };
    let counts: Vec<_> = [
        count(errors, "error"),
        count(diagnostics.len() - errors, "warning"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !counts.is_empty() {
        let _ = writeln!(text, "{}", counts.join(", "));
    }
    text
}

fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if c.is_control() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// At most 120 characters of a line around a column, and the column in them.
fn window(line: &str, column: usize) -> (String, usize) {
    const WIDTH: usize = 120;
    if line.chars().count() <= WIDTH {
        return (line.to_owned(), column);
    }
    let from = column.saturating_sub(WIDTH / 3);
    (line.chars().skip(from).take(WIDTH).collect(), column - from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn text_shows_the_line_and_underlines_the_part() {
        let source = Source::new("platform.yaml", "redis:\n  replicsa: 2\n");
        let diagnostic = Diagnostic::error("unknown-key", "unknown key `replicsa` in `redis`")
            .at(Place::new(&source, 9..17))
            .help("did you mean `replicas`?");
        assert_eq!(
            render(&[diagnostic], false),
            "error[unknown-key]: unknown key `replicsa` in `redis`\n --> platform.yaml:2:3\n  |\n2 |   replicsa: 2\n  |   ^^^^^^^^\n  = did you mean `replicas`?\n\n1 error\n"
        );
    }

    #[test]
    fn a_spec_does_not_reach_the_terminal() {
        let source = Source::new("a", "x: \x1b[2Jy");
        let text = render(
            &[Diagnostic::warning("a", "b \x07").at(Place::new(&source, 3..5))],
            false,
        );
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
    }
}
