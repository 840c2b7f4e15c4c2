//! The part of kubectl's JSONPath that printer columns use: fields, indices, slices, wildcards, recursive descent and
//! filters that compare one field to one value.

use serde_json::Value as Json;

/// A path that has been read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    /// From the end if negative.
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    Descendants,
    Filter {
        path: JsonPath,
        /// What the value is compared to; without it, it need only be there.
        test: Option<(Comparison, Json)>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a path cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the JSONPath cannot be read from {rest:?} on")]
pub(super) struct Unreadable {
    rest: String,
}

impl JsonPath {
    /// Reads a path, with or without braces around it or `$` in front.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        let text = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or(text);
        let text = text.strip_prefix('$').unwrap_or(text);
        let (path, rest) = Self::read(text, "")?;
        if rest.is_empty() {
            Ok(path)
        } else {
            Err(unreadable(rest))
        }
    }

    /// Reads steps until the end or one of the marks, outside of brackets.
    fn read<'a>(text: &'a str, marks: &str) -> Result<(Self, &'a str), Unreadable> {
        let mut steps = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if marks.contains(first) {
                break;
            }
            if let Some(after) = rest.strip_prefix("..") {
                steps.push(Step::Descendants);
                rest = after;
                if let Some(after) = rest.strip_prefix('*') {
                    rest = after;
                } else if !rest.starts_with('[') {
                    rest = field(rest, marks, &mut steps)?;
                }
            } else if let Some(after) = rest.strip_prefix('.') {
                if let Some(after) = after.strip_prefix('*') {
                    steps.push(Step::All);
                    rest = after;
                } else if after.is_empty() && steps.is_empty() {
                    rest = after;
                } else if !after.starts_with('[') {
                    rest = field(after, marks, &mut steps)?;
                } else {
                    rest = after;
                }
            } else if let Some(after) = rest.strip_prefix('[') {
                let end = bracket_end(after).ok_or_else(|| unreadable(rest))?;
                steps.push(bracket(after[..end].trim())?);
                rest = &after[end + 1..];
            } else {
                return Err(unreadable(rest));
            }
        }
        Ok((Self(steps), rest))
    }

    /// The first value that it leads to.
    pub(super) fn first<'a>(&self, document: &'a Json) -> Option<&'a Json> {
        self.values(document).into_iter().next()
    }

    fn values<'a>(&self, document: &'a Json) -> Vec<&'a Json> {
        self.0.iter().fold(vec![document], |at, step| {
            at.into_iter()
                .flat_map(|value| step.values(value))
                .collect()
        })
    }
}

fn unreadable(rest: &str) -> Unreadable {
    Unreadable {
        rest: rest.to_owned(),
    }
}

/// Reads a field's name, in which a backslash makes the next sign a plain one (`metadata.labels.app\.kubernetes\.io/name`).
fn field<'a>(text: &'a str, marks: &str, steps: &mut Vec<Step>) -> Result<&'a str, Unreadable> {
    let mut name = String::new();
    let mut signs = text.char_indices();
    let mut end = text.len();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => name.extend(signs.next().map(|(_, plain)| plain)),
            '.' | '[' => {
                end = at;
                break;
            }
            _ if marks.contains(sign) => {
                end = at;
                break;
            }
            _ => name.push(sign),
        }
    }
    let name = name.trim_end();
    if name.is_empty() {
        return Err(unreadable(text));
    }
    steps.push(Step::Field(name.to_owned()));
    Ok(&text[end..])
}

/// Where the bracket that has been opened is closed, not minding brackets in quotes or inside.
fn bracket_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, sign) in text.char_indices() {
        match (quote, sign) {
            (Some(open), _) if open == sign => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(sign),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Result<Step, Unreadable> {
    let error = || unreadable(inside);
    if inside == "*" {
        return Ok(Step::All);
    }
    if let Some(filter) = inside
        .strip_prefix("?(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return filter_step(filter.trim());
    }
    if let Some(name) = quoted(inside) {
        return Ok(Step::Field(name.to_owned()));
    }
    if let Some((from, to)) = inside.split_once(':') {
        let bound = |text: &str| match text.trim() {
            "" => Ok(None),
            number => number.parse().map(Some).map_err(|_| error()),
        };
        return Ok(Step::Slice(bound(from)?, bound(to)?));
    }
    inside.parse().map(Step::Index).map_err(|_| error())
}

fn quoted(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| {
        text.strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
    })
}

fn filter_step(filter: &str) -> Result<Step, Unreadable> {
    let path = filter.strip_prefix('@').ok_or_else(|| unreadable(filter))?;
    let (path, rest) = JsonPath::read(path, " =!<>")?;
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Ok(Step::Filter { path, test: None });
    }
    let (comparison, value) = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ]
    .into_iter()
    .find_map(|(sign, comparison)| Some((comparison, rest.strip_prefix(sign)?.trim())))
    .ok_or_else(|| unreadable(rest))?;
    let value = match quoted(value) {
        Some(text) => text.into(),
        None => serde_json::from_str(value).map_err(|_| unreadable(value))?,
    };
    Ok(Step::Filter {
        path,
        test: Some((comparison, value)),
    })
}

impl Step {
    fn values<'a>(&self, value: &'a Json) -> Vec<&'a Json> {
        match (self, value) {
            (Self::Field(name), _) => value.get(name).into_iter().collect(),
            (Self::Index(index), Json::Array(items)) => position(*index, items.len())
                .and_then(|index| items.get(index))
                .into_iter()
                .collect(),
            (Self::Slice(from, to), Json::Array(items)) => {
                let bound = |bound: Option<i64>, otherwise: usize| {
                    bound.map_or(otherwise, |bound| {
                        position(bound, items.len())
                            .unwrap_or_default()
                            .min(items.len())
                    })
                };
                let (from, to) = (bound(*from, 0), bound(*to, items.len()));
                items
                    .get(from..to.max(from))
                    .into_iter()
                    .flatten()
                    .collect()
            }
            (Self::All, _) => children(value).collect(),
            (Self::Descendants, _) => {
                let mut all = vec![value];
                let mut next = 0;
                while next < all.len() {
                    all.extend(children(all[next]));
                    next += 1;
                }
                all
            }
            (Self::Filter { path, test }, _) => children(value)
                .filter(|item| {
                    let found = path.first(item);
                    match test {
                        None => found.is_some(),
                        Some((comparison, to)) => {
                            found.is_some_and(|found| comparison.holds(found, to))
                        }
                    }
                })
                .collect(),
            (Self::Index(_) | Self::Slice(..), _) => Vec::new(),
        }
    }
}

/// An index from the start or, if negative, from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    if index < 0 {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    } else {
        usize::try_from(index).ok()
    }
}

fn children(value: &Json) -> Box<dyn Iterator<Item = &Json> + '_> {
    match value {
        Json::Array(items) => Box::new(items.iter()),
        Json::Object(fields) => Box::new(fields.values()),
        _ => Box::new(std::iter::empty()),
    }
}

impl Comparison {
    fn holds(self, left: &Json, right: &Json) -> bool {
        use std::cmp::Ordering;
        let order = match (left, right) {
            (Json::String(left), Json::String(right)) => Some(left.cmp(right)),
            (Json::Bool(left), Json::Bool(right)) => Some(left.cmp(right)),
            _ => match (left.as_f64(), right.as_f64()) {
                (Some(left), Some(right)) => left.partial_cmp(&right),
                _ => None,
            },
        };
        match (self, order) {
            (Self::NotEqual, order) => order != Some(Ordering::Equal),
            (_, None) => false,
            (Self::Equal, Some(order)) => order.is_eq(),
            (Self::Less, Some(order)) => order.is_lt(),
            (Self::LessOrEqual, Some(order)) => order.is_le(),
            (Self::Greater, Some(order)) => order.is_gt(),
            (Self::GreaterOrEqual, Some(order)) => order.is_ge(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_that_printer_columns_use() {
        let document = json!({
            "metadata": { "labels": { "app.kubernetes.io/name": "web" } },
            "spec": { "replicas": 3, "hosts": ["a", "b", "c"], "deep": [{ "x": [{ "y": 1 }] }] },
            "status": { "conditions": [
                { "type": "Synced", "status": "False", "weight": 2 },
                { "type": "Ready", "status": "True", "weight": 5 },
            ] },
        });
        for (path, value) in [
            (".spec.replicas", json!(3)),
            ("{.spec.replicas}", json!(3)),
            ("$.spec['replicas']", json!(3)),
            (r".metadata.labels.app\.kubernetes\.io/name", json!("web")),
            (".metadata.labels['app.kubernetes.io/name']", json!("web")),
            (".spec.hosts[1]", json!("b")),
            (".spec.hosts[-1]", json!("c")),
            (".spec.hosts[*]", json!("a")),
            (".spec.hosts[1:]", json!("b")),
            (".spec.hosts[-2:3]", json!("b")),
            (
                r#".status.conditions[?(@.type=="Ready")].status"#,
                json!("True"),
            ),
            (
                ".status.conditions[?(@.type == 'Ready')].status",
                json!("True"),
            ),
            (".status.conditions[?(@.weight>=3)].type", json!("Ready")),
            (
                ".status.conditions[?(@.type!='Ready')].type",
                json!("Synced"),
            ),
            (".status.conditions[?(@.weight)].type", json!("Synced")),
            ("..y", json!(1)),
        ] {
            let read = JsonPath::parse(path).unwrap();
            assert_eq!(read.first(&document), Some(&value), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let document = json!({ "a": [1], "b": null });
        for path in [
            ".a.b",
            ".a[1]",
            ".a[-2]",
            ".a[5:9]",
            ".c",
            ".a[?(@.x=='y')]",
        ] {
            assert_eq!(
                JsonPath::parse(path).unwrap().first(&document),
                None,
                "{path}"
            );
        }
    }

    #[test]
    fn paths_that_cannot_be_read() {
        for path in [
            "spec",
            ".a[",
            ".a[x]",
            ".a[?(.x=='y')]",
            ".a..",
            ".a[?(@.x~='y')]",
            ".a[?(@.x==y)]",
        ] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused() {
        use proptest::prelude::*;
        let document = json!({ "a": [{ "b": "c" }, 1], "é": 2 });
        proptest!(|(path in r#"[.\[\]?(@)='"*a-c:0-9é\\ <>!-]{0,24}"#)| {
            if let Ok(path) = JsonPath::parse(&path) {
                let _ = path.first(&document);
            }
        });
    }
}
