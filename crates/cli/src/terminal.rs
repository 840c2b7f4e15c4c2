//! The terminal: what it can show, and how durations, counts and tables look on it.
//!
//! Promises: no escape code where colours are off; no control character of foreign text (AWS's words, a spec, a state)
//! gets through [`printable`]; a reader that has gone away is no error.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use console::measure_text_width;

use crate::args::ColorChoice;

/// The width that prose is wrapped at where the terminal is wider, or is none.
const PROSE_WIDTH: usize = 110;

/// What standard output and standard error are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Where results go.
    pub stdout: Stream,
    /// Where progress, questions and errors go.
    pub stderr: Stream,
    /// Whether somebody can answer a question.
    interactive: bool,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Whether it is a terminal that can move its cursor.
    pub is_terminal: bool,
    /// How to write on it.
    pub style: Style,
}

impl Terminal {
    /// Looks at the process's own.
    pub fn detect(choice: ColorChoice) -> Self {
        let variable = |name: &str| std::env::var_os(name);
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let stream = |is_terminal: bool, term: &console::Term| Stream {
            is_terminal: is_terminal && !dumb,
            style: Style {
                colour: colour(choice, is_terminal, variable),
                width: term
                    .size_checked()
                    .filter(|_| is_terminal)
                    .map(|(_, columns)| usize::from(columns).max(20)),
            },
        };
        let stderr_is_terminal = io::stderr().is_terminal();
        Self {
            stdout: stream(io::stdout().is_terminal(), &console::Term::stdout()),
            stderr: stream(stderr_is_terminal, &console::Term::stderr()),
            interactive: io::stdin().is_terminal() && stderr_is_terminal,
        }
    }
}

impl Terminal {
    /// Whether results are coloured.
    pub fn colour(&self) -> bool {
        self.stdout.style.colour
    }

    /// Whether errors are coloured.
    pub fn colour_on_stderr(&self) -> bool {
        self.stderr.style.colour
    }

    /// Whether somebody can answer a question.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }
}

/// Whether to colour: what was asked for, else `NO_COLOR` (no-color.org), `CLICOLOR_FORCE` and `CLICOLOR`
/// (bixense.com/clicolors), else whether it is a terminal.
fn colour(
    choice: ColorChoice,
    is_terminal: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> bool {
    let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let on = |name: &str| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if set("NO_COLOR") => false,
        ColorChoice::Auto if on("CLICOLOR_FORCE") => true,
        ColorChoice::Auto => {
            let dumb = variable("TERM").is_some_and(|term| term == "dumb");
            is_terminal && !dumb && variable("CLICOLOR").is_none_or(|value| value != "0")
        }
    }
}

/// How to write: whether in colour, and how wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether in colour.
    pub colour: bool,
    /// The terminal's columns; none for a file or a pipe, where nothing is cut.
    pub width: Option<usize>,
}

/// What a text means, and so how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// A heading, a name.
    Strong,
    /// What matters less.
    Dim,
    /// What comes; what went well.
    Added,
    /// What changes; what to look at.
    Changed,
    /// What is made anew.
    Replaced,
    /// What goes; what went wrong.
    Removed,
    /// What is referred to.
    Link,
}

impl Style {
    /// Without any colour, for a file.
    pub const PLAIN: Self = Self {
        colour: false,
        width: None,
    };

    /// The columns that prose is wrapped at.
    pub fn columns(self) -> usize {
        self.width.unwrap_or(PROSE_WIDTH).min(PROSE_WIDTH)
    }

    /// The text in a tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Dim => "2",
            Tone::Added => "32",
            Tone::Changed => "33",
            Tone::Replaced => "35",
            Tone::Removed => "31",
            Tone::Link => "36",
        };
        if self.colour && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// The text in bold and a tone.
    pub fn strong(self, tone: Tone, text: &str) -> String {
        self.paint(Tone::Strong, &self.paint(tone, text))
    }
}

/// A reader that has gone away (`seaworthy plan | head`) is no error.
///
/// # Errors
///
/// Every other one.
pub fn unless_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a value as JSON, indented, a newline last.
///
/// # Errors
///
/// When it can't be written.
pub fn write_json(out: &mut dyn Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Foreign text, fit to be shown: control characters become `�`, tabs a blank, line ends stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    let bad = |c: char| c.is_control() && c != '\n';
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .filter(|c| *c != '\r')
            .map(|c| match c {
                '\t' => ' ',
                c if bad(c) => '\u{fffd}',
                c => c,
            })
            .collect(),
    )
}

/// As [`printable`], on one line.
pub fn one_line(text: &str) -> String {
    printable(text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// At most `width` columns of a text, which may be coloured; `…` in the place of the rest.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    console::truncate_str(text, width, "…")
}

/// Lines of at most `width` columns, broken at blanks where there are some. Longer words stay whole, and so do commands in
/// backticks, so that they can be copied.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in words(paragraph) {
            let longer = measure_text_width(&line) + 1 + measure_text_width(&word);
            if !line.is_empty() && longer > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        lines.push(line);
    }
    lines
}

fn words(paragraph: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for part in paragraph.split_whitespace() {
        match words.last_mut() {
            Some(open) if open.matches('`').count() % 2 == 1 => {
                open.push(' ');
                open.push_str(part);
            }
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// A duration to the second: `0.4 s`, `45 s`, `1 m 05 s`, `1 h 02 m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 && duration.subsec_millis() != 0 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A duration as one would say it: `40 s`, `9 min`, `1 h 10 min`.
pub fn about(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    let minutes = (seconds + 30) / 60;
    match seconds {
        0..10 => format!("{seconds} s"),
        10..95 => format!("{} s", (seconds + 2) / 5 * 5),
        95..3570 => format!("{minutes} min"),
        _ if minutes.is_multiple_of(60) => format!("{} h", minutes / 60),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// Seconds as a duration; nothing below zero, nothing that is not a number.
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// A number with a comma at each thousand: `12,345`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its word: `1 resource`, `2 resources`.
pub fn count(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {word}{plural}", self::number(number as u64))
}

/// Bytes with their unit, powers of 1,024: `512 B`, `1.5 KiB`, `20 MiB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" || value >= 9.95 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// A table whose columns are as wide as they must be; the last one is cut when the line is full.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<(Tone, String)>>,
    indent: usize,
}

impl Table {
    /// A table with these headings; none for a table without.
    pub fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    /// …with so many blanks before each line.
    #[must_use]
    pub fn indented(mut self, indent: usize) -> Self {
        self.indent = indent;
        self
    }

    /// Adds a row. Foreign text in it is made fit to be shown.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (Tone, String)>) {
        let clean = |(tone, text): (Tone, String)| (tone, one_line(&text));
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes it. On a terminal lines are cut to its width; elsewhere nothing is lost.
    ///
    /// # Errors
    ///
    /// When it can't be written.
    pub fn write(&self, out: &mut dyn Write, style: Style) -> io::Result<()> {
        let columns = self
            .rows
            .iter()
            .map(Vec::len)
            .max()
            .unwrap_or_default()
            .max(self.header.len());
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let header = self
                .header
                .get(column)
                .map_or(0, |text| measure_text_width(text));
            cells
                .map(|(_, text)| measure_text_width(text))
                .max()
                .unwrap_or_default()
                .max(header)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let heading = self
            .header
            .iter()
            .map(|text| (Tone::Dim, text.clone()))
            .collect();
        let heading = Some(heading).filter(|_| !self.header.is_empty());
        for row in heading.iter().chain(&self.rows) {
            let mut line = " ".repeat(self.indent);
            for (column, (tone, text)) in row.iter().enumerate() {
                line.push_str(&style.paint(*tone, text));
                if column + 1 < row.len() {
                    let blanks = widths[column] - measure_text_width(text) + 2;
                    line.push_str(&" ".repeat(blanks));
                }
            }
            let line = line.trim_end();
            match style.width {
                Some(width) => writeln!(out, "{}", cut(line, width))?,
                None => writeln!(out, "{line}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_say_them() {
        let to_the_second = |seconds| duration(Duration::from_secs_f64(seconds));
        assert_eq!(to_the_second(0.0), "0 s");
        assert_eq!(to_the_second(0.42), "0.4 s");
        assert_eq!(to_the_second(45.3), "45 s");
        assert_eq!(to_the_second(59.7), "1 m 00 s");
        assert_eq!(to_the_second(65.0), "1 m 05 s");
        assert_eq!(to_the_second(3725.0), "1 h 02 m");
        let roughly = |seconds| about(Duration::from_secs(seconds));
        assert_eq!(roughly(4), "4 s");
        assert_eq!(roughly(43), "45 s");
        assert_eq!(roughly(94), "95 s");
        assert_eq!(roughly(95), "2 min");
        assert_eq!(roughly(540), "9 min");
        assert_eq!(roughly(3599), "1 h");
        assert_eq!(roughly(4200), "1 h 10 min");
        assert_eq!(seconds(f64::NAN), Duration::ZERO);
        assert_eq!(seconds(-1.0), Duration::ZERO);
    }

    #[test]
    fn numbers_and_bytes() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(count(1, "resource"), "1 resource");
        assert_eq!(count(1000, "resource"), "1,000 resources");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(20 * 1024 * 1024), "20 MiB");
    }

    #[test]
    fn colours_follow_the_option_then_the_variables_then_the_terminal() {
        let none = |_: &str| None;
        let only = |wanted: &'static str, value: &'static str| {
            move |name: &str| (name == wanted).then(|| OsString::from(value))
        };
        assert!(colour(ColorChoice::Auto, true, none));
        assert!(!colour(ColorChoice::Auto, false, none));
        assert!(!colour(ColorChoice::Auto, true, only("NO_COLOR", "1")));
        assert!(colour(ColorChoice::Auto, true, only("NO_COLOR", "")));
        assert!(colour(
            ColorChoice::Auto,
            false,
            only("CLICOLOR_FORCE", "1")
        ));
        assert!(!colour(
            ColorChoice::Auto,
            false,
            only("CLICOLOR_FORCE", "0")
        ));
        assert!(!colour(ColorChoice::Auto, true, only("TERM", "dumb")));
        assert!(colour(ColorChoice::Always, false, only("NO_COLOR", "1")));
        assert!(!colour(ColorChoice::Never, true, none));
    }

    #[test]
    fn foreign_text_does_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\n\tc"), "a\u{fffd}[2Jb\n c");
        assert_eq!(one_line("a\n  b\x07"), "a b\u{fffd}");
        let mut table = Table::new(&["A"]);
        table.row([(Tone::Plain, "\x1b[2J".to_owned())]);
        let mut out = Vec::new();
        table.write(&mut out, Style::PLAIN).unwrap();
        assert!(!out.contains(&0x1b));
    }

    #[test]
    fn tables_are_aligned_and_cut_on_a_terminal_alone() {
        let mut table = Table::new(&["ADDRESS", "ID"]).indented(2);
        table.row([
            (Tone::Plain, "network/vpc".to_owned()),
            (Tone::Plain, "vpc-0123456789".to_owned()),
        ]);
        table.row([(Tone::Added, "a".to_owned()), (Tone::Plain, "é".to_owned())]);
        let text = |width| {
            let style = Style {
                colour: false,
                width,
            };
            let mut out = Vec::new();
            table.write(&mut out, style).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            text(None),
            "  ADDRESS      ID\n  network/vpc  vpc-0123456789\n  a            é\n"
        );
        assert_eq!(
            text(Some(20)),
            "  ADDRESS      ID\n  network/vpc  vpc-…\n  a            é\n"
        );
    }

    #[test]
    fn a_reader_that_has_gone_away_is_no_error() {
        let gone = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(unless_broken_pipe(Err(gone)).is_ok());
        assert!(unless_broken_pipe(Err(io::Error::from(io::ErrorKind::StorageFull))).is_err());
    }

    #[test]
    fn long_words_and_commands_are_not_broken() {
        assert_eq!(
            wrapped("one two https://example.com/a/long/address x", 9),
            ["one two", "https://example.com/a/long/address", "x"]
        );
        assert_eq!(
            wrapped("then `make it so`, and", 9),
            ["then", "`make it so`,", "and"]
        );
    }
}
