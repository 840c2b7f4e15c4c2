//! Reading a snapshot of a cluster: YAML of several documents, JSON, and lists of either.
//!
//! [`read`] hands over one object at a time and forgets it, so that memory stays near that of the largest object, whatever
//! the text's size. A broken object is an error with its place and the rest is read on; broken YAML ends the reading.
//! Aliases are refused (what isn't expanded can't explode); depth and the size of one object are bounded.

mod json;
mod node;
mod object;
mod yaml;

use std::fmt;

pub use object::Object;

use node::{Context, Node};

/// How deep maps and lists may lie in each other.
pub const MAX_DEPTH: usize = 96;
/// How many values one object may have.
pub const MAX_VALUES: usize = 2_000_000;
/// How many errors and findings are kept; what comes after is counted only.
pub const MAX_REPORTS: usize = 1_000;

/// A place in a text; both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What an object is called, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectName {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// `shop`, where it has a namespace.
    pub namespace: Option<String>,
    /// `web`.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind.is_empty() {
            "object"
        } else {
            &self.kind
        };
        match &self.namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{}", self.name),
            None => write!(f, "{kind} {}", self.name),
        }
    }
}

/// What is wrong or worth knowing, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which document of the text, from 1.
    pub document: u32,
    /// Where in the text, as exactly as it is known.
    pub place: Option<Place>,
    /// Which object.
    pub object: Option<ObjectName>,
    /// Where in the object: `spec.containers[0].resources`.
    pub path: String,
    /// What it is.
    pub reason: Reason,
}

/// What is wrong or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The text is no YAML or no JSON; the reading ends here.
    Syntax(String),
    /// The object is not what its kind wants.
    Shape(String),
    /// An object without a kind.
    NoKind,
    /// A kind that nothing here reads.
    UnknownKind,
    /// A field that the kind doesn't have.
    UnknownField,
    /// The text has no object at all.
    Empty,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) | Self::Shape(text) => f.write_str(text),
            Self::NoKind => f.write_str("it has no `kind`"),
            Self::UnknownKind => f.write_str("the kind is not read here"),
            Self::UnknownField => f.write_str("the kind has no such field"),
            Self::Empty => f.write_str("the text has no object"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}", self.document)?;
        if let Some(place) = self.place {
            write!(f, ", {place}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ", {object}")?;
        }
        if !self.path.is_empty() {
            write!(f, ", {}", self.path)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What the reading of a text came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// How many objects were handed over.
    pub objects: usize,
    /// What could not be read.
    pub errors: Vec<Report>,
    /// What was read past: unknown kinds and fields.
    pub findings: Vec<Report>,
    /// How many errors and findings came after [`MAX_REPORTS`] of their sort.
    pub more: usize,
}

/// An object and where it starts.
#[derive(Debug, Clone)]
pub struct Located {
    /// Which document, from 1.
    pub document: u32,
    /// Where it starts.
    pub place: Place,
    /// The object.
    pub object: Object,
}

/// Reads a text and hands every object over, in the text's order.
pub fn read(text: &str, each: &mut dyn FnMut(Located)) -> Summary {
    let mut sink = Sink {
        summary: Summary::default(),
        each,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if matches!(text.trim_start().as_bytes().first(), Some(b'{' | b'[')) {
        json::read(text, &mut sink);
    } else {
        yaml::read(text, &mut sink);
    }
    if sink.summary.objects == 0
        && sink.summary.errors.is_empty()
        && sink.summary.findings.is_empty()
    {
        sink.error(Report {
            document: 1,
            place: None,
            object: None,
            path: String::new(),
            reason: Reason::Empty,
        });
    }
    sink.summary
}

/// Reads a text into memory.
#[must_use]
pub fn read_all(text: &str) -> (Vec<Located>, Summary) {
    let mut objects = Vec::new();
    let summary = read(text, &mut |object| objects.push(object));
    (objects, summary)
}

struct Sink<'a> {
    summary: Summary,
    each: &'a mut dyn FnMut(Located),
}

impl Sink<'_> {
    fn error(&mut self, report: Report) {
        if self.summary.errors.len() < MAX_REPORTS {
            self.summary.errors.push(report);
        } else {
            self.summary.more += 1;
        }
    }

    fn finding(&mut self, report: Report) {
        if self.summary.findings.len() < MAX_REPORTS {
            self.summary.findings.push(report);
        } else {
            self.summary.more += 1;
        }
    }

    fn syntax(&mut self, document: u32, place: Option<Place>, message: String) {
        self.error(Report {
            document,
            place,
            object: None,
            path: String::new(),
            reason: Reason::Syntax(message),
        });
    }

    /// Makes an object of a tree and hands it over. `default_kind` is what a typed list says of its items.
    fn object(&mut self, document: u32, node: Node, default_kind: Option<(&str, &str)>) {
        if node.is_null() {
            return;
        }
        let place = node.place;
        let mut name = node.object_name();
        if name.kind.is_empty()
            && let Some((api_version, kind)) = default_kind
        {
            api_version.clone_into(&mut name.api_version);
            kind.clone_into(&mut name.kind);
        }
        let report = |place, path, reason| Report {
            document,
            place: Some(place),
            object: Some(name.clone()),
            path,
            reason,
        };
        if name.kind.is_empty() {
            self.error(report(place, String::new(), Reason::NoKind));
            return;
        }
        let mut context = Context::default();
        match Object::from_node(&name.api_version, &name.kind, node, &mut context) {
            Ok(Some(object)) => {
                for (place, path) in context.unknown {
                    self.finding(report(place, path, Reason::UnknownField));
                }
                self.summary.objects += 1;
                (self.each)(Located {
                    document,
                    place,
                    object,
                });
            }
            Ok(None) => self.finding(report(place, String::new(), Reason::UnknownKind)),
            Err(fault) => {
                let at = fault.place.unwrap_or(place);
                self.error(report(at, fault.path(), Reason::Shape(fault.message)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
