//! The text form that the tables here share: lines `# key: value`, a line of columns, then a line for each row.

use std::collections::BTreeMap;
use std::str::FromStr;

/// A text that is no such table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct TableError {
    /// The line, from 1. For something that is missing: the line where it should have been.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A line at the start that has to be there.
    #[error("there is no `# {0}: …` before this line")]
    MissingHeader(&'static str),
    /// A line at the start with a value that can't be read.
    #[error("`# {key}: {text}` is not valid: {reason}")]
    Header {
        /// Its key.
        key: &'static str,
        /// The value.
        text: String,
        /// Why not.
        reason: String,
    },
    /// Other columns than this version reads.
    #[error("the columns have to be `{}`", expected.join(","))]
    Columns {
        /// The ones that it reads.
        expected: &'static [&'static str],
    },
    /// More or fewer cells than columns.
    #[error("{found} cells instead of {expected}")]
    Cells {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A cell that can't be read.
    #[error("{column} is `{text}`: expected {expected}")]
    Cell {
        /// Its column.
        column: &'static str,
        /// What it says.
        text: String,
        /// What it should say.
        expected: &'static str,
    },
    /// A row that the table has twice.
    #[error("{name} is in line {first} already")]
    Duplicate {
        /// What the row is about.
        name: String,
        /// Where it was first.
        first: usize,
    },
    /// A table without rows.
    #[error("there are no {0}")]
    Empty(&'static str),
}

/// A text, taken apart into its parts.
pub(super) struct Sheet<'text> {
    headers: BTreeMap<&'text str, (usize, &'text str)>,
    columns_at: usize,
    /// The rows with their lines, from 1.
    pub(super) rows: Vec<(usize, &'text str)>,
    /// The last line, from 1.
    pub(super) last: usize,
}

impl<'text> Sheet<'text> {
    /// Empty lines, and other lines that start with `#`, are passed over.
    pub(super) fn read(
        text: &'text str,
        columns: &'static [&'static str],
    ) -> Result<Self, TableError> {
        let mut headers = BTreeMap::new();
        let mut rows = Vec::new();
        let mut columns_at = None;
        let mut last = 1;
        let wrong_columns = |line| TableError {
            line,
            problem: Problem::Columns { expected: columns },
        };
        for (at, line) in text.lines().enumerate() {
            last = at + 1;
            let line = line.trim_end();
            if let Some(comment) = line.strip_prefix('#') {
                if let Some((key, value)) = comment.split_once(':') {
                    headers.entry(key.trim()).or_insert((last, value.trim()));
                }
            } else if line.is_empty() {
            } else if columns_at.is_some() {
                rows.push((last, line));
            } else if line.split(',').eq(columns.iter().copied()) {
                columns_at = Some(last);
            } else {
                return Err(wrong_columns(last));
            }
        }
        Ok(Self {
            headers,
            columns_at: columns_at.ok_or_else(|| wrong_columns(last))?,
            rows,
            last,
        })
    }

    /// The value of a line at the start.
    pub(super) fn header<T>(&self, key: &'static str) -> Result<T, TableError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let (line, text) = self.headers.get(key).ok_or(TableError {
            line: self.columns_at,
            problem: Problem::MissingHeader(key),
        })?;
        text.parse().map_err(|reason: T::Err| TableError {
            line: *line,
            problem: Problem::Header {
                key,
                text: (*text).to_owned(),
                reason: reason.to_string(),
            },
        })
    }
}

/// The lines at the start of a text that [`Sheet::read`] reads.
pub(super) fn head(
    source: &str,
    date: crate::date::Date,
    region: &crate::ids::Region,
    columns: &[&str],
) -> String {
    // A line break in the source would begin a line of its own.
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let columns = columns.join(",");
    format!("# source: {source}\n# date: {date}\n# region: {region}\n{columns}\n")
}

/// The cells of a row, read from the left in the order of the columns.
pub(super) struct Cells<'line> {
    columns: &'static [&'static str],
    cells: std::str::Split<'line, char>,
    next: usize,
}

impl<'line> Cells<'line> {
    pub(super) fn new(line: &'line str, columns: &'static [&'static str]) -> Result<Self, Problem> {
        let found = line.split(',').count();
        if found != columns.len() {
            return Err(Problem::Cells {
                found,
                expected: columns.len(),
            });
        }
        Ok(Self {
            columns,
            cells: line.split(','),
            next: 0,
        })
    }

    pub(super) fn read<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'line str) -> Option<T>,
    ) -> Result<T, Problem> {
        let column = self.columns.get(self.next).copied().unwrap_or_default();
        let text = self.cells.next().unwrap_or_default();
        self.next += 1;
        read(text).ok_or_else(|| Problem::Cell {
            column,
            text: text.to_owned(),
            expected,
        })
    }
}

/// `None` for an empty text, else what `read` makes of it.
#[allow(clippy::option_option)]
pub(super) fn optional<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    if text.is_empty() {
        Some(None)
    } else {
        read(text).map(Some)
    }
}
