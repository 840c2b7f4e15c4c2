//! Texts that a spec is made of, and places in them.
//!
//! A [`Place`] carries its text with it, so that a diagnostic can be shown wherever it ends up.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::diagnostic::Diagnostic;

/// A text with its name: a file, or an environment variable.
#[derive(PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// Where each line starts, in bytes.
    lines: Vec<usize>,
}

impl Source {
    /// A text and the name that diagnostics give it (`environments/prod.yaml`).
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let bytes = text.as_bytes();
        let mut lines = vec![0];
        for (index, byte) in bytes.iter().enumerate() {
            let ends = *byte == b'\n' || (*byte == b'\r' && bytes.get(index + 1) != Some(&b'\n'));
            if ends {
                lines.push(index + 1);
            }
        }
        Arc::new(Self {
            name: name.into(),
            text,
            lines,
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line of a byte, counted from 0.
    fn line_of(&self, byte: usize) -> usize {
        self.lines
            .partition_point(|start| *start <= byte)
            .saturating_sub(1)
    }

    /// A line's text without its end, and where it starts.
    fn line(&self, line: usize) -> (usize, &str) {
        let start = self.lines.get(line).copied().unwrap_or(self.text.len());
        let end = self.lines.get(line + 1).copied().unwrap_or(self.text.len());
        (start, self.text[start..end].trim_end_matches(['\n', '\r']))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({}, {} bytes)", self.name, self.text.len())
    }
}

/// Part of a [`Source`].
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    /// The bytes `span` of `source`; moved inwards to whole characters of the text where it isn't there already.
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Self {
        let inside = |mut byte: usize| {
            byte = byte.min(source.text.len());
            while !source.text.is_char_boundary(byte) {
                byte -= 1;
            }
            byte
        };
        let start = inside(span.start);
        Self {
            source: source.clone(),
            span: start..inside(span.end).max(start),
        }
    }

    /// The name of the file or variable.
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.source.line_of(self.span.start) + 1
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        let (start, _) = self.source.line(self.line() - 1);
        self.source.text[start..self.span.start].chars().count() + 1
    }

    /// The bytes of the text.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        &self.source.text[self.span.clone()]
    }

    /// The whole line in which it starts.
    pub fn source_line(&self) -> &str {
        self.source.line(self.line() - 1).1
    }

    /// Whether `other` lies in it.
    pub fn contains(&self, other: &Place) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
            && self.span.start <= other.span.start
            && other.span.end <= self.span.end
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file(), self.line(), self.column())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut place = serializer.serialize_struct("Place", 4)?;
        place.serialize_field("file", self.file())?;
        place.serialize_field("line", &self.line())?;
        place.serialize_field("column", &self.column())?;
        place.serialize_field("span", &[self.span.start, self.span.end])?;
        place.end()
    }
}

/// A file's bytes as text.
///
/// # Errors
///
/// When they are not UTF-8, with the place of the first byte that isn't.
pub fn decode(name: &str, bytes: Vec<u8>) -> Result<String, Diagnostic> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
        let source = Source::new(name, String::from_utf8_lossy(&bytes).into_owned());
        // What comes before is valid, so its length is the same in the lossy text, whose next character is the replacement.
        let place = Place::new(&source, valid..valid + '\u{fffd}'.len_utf8());
        let help = if utf16 {
            "the file is UTF-16: save it as UTF-8"
        } else {
            "save the file as UTF-8"
        };
        Diagnostic::error("not-utf8", "the file is not UTF-8 text")
            .at(place)
            .help(help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let source = Source::new("a.yaml", "é: 1\r\nb: ü2\n");
        let place = Place::new(
            &source,
            source.text().find('2').unwrap()..source.text().len(),
        );
        assert_eq!(place.to_string(), "a.yaml:2:5");
        assert_eq!(place.source_line(), "b: ü2");
        assert_eq!(
            Place::new(&source, 1..1).to_string(),
            "a.yaml:1:1",
            "inside a character"
        );
        assert_eq!(Place::new(&source, 999..9999).line(), 3, "beyond the end");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_an_error_with_their_place() {
        let error = decode("a.yaml", b"a: 1\nb: \xff\n".to_vec()).unwrap_err();
        assert_eq!(error.place.unwrap().to_string(), "a.yaml:2:4");
    }
}
