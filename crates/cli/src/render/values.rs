//! Property values as text: compact, what isn't known or is secret said in words, and only what differs of a pair.

use graph::{Lookup, Parameter, Reference, SecretReference, as_secret, is_secret, resolve};
use serde_json::Value as Json;

use crate::terminal::{Style, Tone, cut, one_line};

/// Columns of a value in a file, where no terminal says how many there are.
const FILE_WIDTH: usize = 160;
/// Lines of one property's difference.
const MOST_LINES: usize = 12;

/// A value on one line: JSON with bare keys; markers in words.
pub fn compact(value: &Json) -> String {
    if value.get("$unknown").is_some() {
        return "(known after deploy)".to_owned();
    }
    if let Some(SecretReference { secret, key }) = as_secret(value) {
        return match key {
            Some(key) => format!("(secret {secret}#{})", one_line(&key)),
            None => format!("(secret {secret})"),
        };
    }
    if is_secret(value) {
        let parts = value["$join"].as_array().into_iter().flatten();
        let parts: Vec<_> = parts.map(compact).collect();
        return format!("(joined: {})", parts.join(" "));
    }
    match value {
        Json::String(text) => match one_line(text) {
            line if line == *text => format!("\"{line}\""),
            // Blanks or line ends were lost: the value as JSON tells.
            _ => value.to_string(),
        },
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(compact).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(object) if object.is_empty() => "{}".to_owned(),
        Json::Object(object) => {
            let properties: Vec<_> = object
                .iter()
                .map(|(key, value)| format!("{}: {}", one_line(key), compact(value)))
                .collect();
            format!("{{ {} }}", properties.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// A desired value of a resource that does not exist yet: of other resources nothing is known.
pub fn desired(value: &graph::Value) -> Json {
    resolve(value, &NothingKnown)
}

struct NothingKnown;

impl Lookup for NothingKnown {
    fn attribute(&self, _: &Reference) -> Option<Json> {
        None
    }

    fn parameter(&self, _: Parameter) -> Option<String> {
        None
    }

    fn is_new_secret(&self, _: &SecretReference) -> bool {
        false
    }
}

/// A property's change, in as few lines as show what differs. `suffix` ends the first line.
pub fn difference(
    name: &str,
    before: Option<&Json>,
    after: Option<&Json>,
    suffix: &str,
    indent: usize,
    style: Style,
) -> Vec<String> {
    let mut lines = Vec::new();
    collect(name, before, after, indent, style, &mut lines);
    if lines.len() > MOST_LINES {
        let more = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push(format!(
            "{:indent$}{}",
            "",
            style.paint(Tone::Dim, &format!("… {more} more lines; -o json has all"))
        ));
    }
    if let Some(first) = lines.first_mut().filter(|_| !suffix.is_empty()) {
        first.push_str("  ");
        first.push_str(&style.paint(Tone::Removed, suffix));
    }
    lines
}

fn collect(
    name: &str,
    before: Option<&Json>,
    after: Option<&Json>,
    indent: usize,
    style: Style,
    lines: &mut Vec<String>,
) {
    let blank = " ".repeat(indent);
    let room = style
        .width
        .unwrap_or(FILE_WIDTH)
        .saturating_sub(indent + 4)
        .max(24);
    let old = before.map_or_else(|| "(none)".to_owned(), compact);
    let new = after.map_or_else(|| "(none)".to_owned(), compact);
    let name = one_line(name);
    if name.chars().count() + old.chars().count() + new.chars().count() + 8 <= room {
        lines.push(format!(
            "{blank}{name}: {} → {}",
            style.paint(Tone::Removed, &old),
            style.paint(Tone::Added, &new)
        ));
        return;
    }
    match (before, after) {
        (Some(Json::Object(old)), Some(Json::Object(new)))
            if !is_marker(before) && !is_marker(after) =>
        {
            let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                if old.get(key) != new.get(key) {
                    let path = format!("{name}.{key}");
                    collect(&path, old.get(key), new.get(key), indent, style, lines);
                }
            }
        }
        (Some(Json::Array(old)), Some(Json::Array(new))) => {
            let gone = without(old, new);
            let come = without(new, old);
            let same = old.len() - gone.len();
            let note = match (same, gone.is_empty() && come.is_empty()) {
                (_, true) => "  (in another order)".to_owned(),
                (0, false) => String::new(),
                (same, false) => format!("  ({same} the same)"),
            };
            lines.push(format!("{blank}{name}:{}", style.paint(Tone::Dim, &note)));
            for (sign, tone, items) in [("-", Tone::Removed, gone), ("+", Tone::Added, come)] {
                for item in items {
                    let text = format!("{sign} {}", compact(item));
                    lines.push(format!("{blank}  {}", style.paint(tone, &cut(&text, room))));
                }
            }
        }
        _ => {
            lines.push(format!("{blank}{name}:"));
            let (old, new) = around_difference(&old, &new, room - 2);
            lines.push(format!(
                "{blank}  {}",
                style.paint(Tone::Removed, &format!("- {old}"))
            ));
            lines.push(format!(
                "{blank}  {}",
                style.paint(Tone::Added, &format!("+ {new}"))
            ));
        }
    }
}

fn is_marker(value: Option<&Json>) -> bool {
    value.is_some_and(|value| value.get("$unknown").is_some() || is_secret(value))
}

/// The items of `list` that are not in `other`, each as often as it is missing there.
fn without<'v>(list: &'v [Json], other: &[Json]) -> Vec<&'v Json> {
    let mut other: Vec<&Json> = other.iter().collect();
    list.iter()
        .filter(
            |item| match other.iter().position(|candidate| candidate == item) {
                Some(at) => {
                    other.swap_remove(at);
                    false
                }
                None => true,
            },
        )
        .collect()
}

/// Two texts, cut to a width so that the first place where they differ stays in view.
fn around_difference(old: &str, new: &str, width: usize) -> (String, String) {
    let same = old
        .chars()
        .zip(new.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let from = if same < width * 2 / 3 {
        0
    } else {
        same - width / 3
    };
    let window = |text: &str| {
        let tail: String = text.chars().skip(from).collect();
        let tail = if from > 0 { format!("…{tail}") } else { tail };
        cut(&tail, width).into_owned()
    };
    (window(old), window(new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn markers_are_said_in_words() {
        let value = json!({ "VpcId": { "$unknown": "${network/vpc}" }, "Password": { "$secret": { "secret": "rabbitmq/secret", "key": "password" } } });
        assert_eq!(
            compact(&value),
            "{ Password: (secret rabbitmq/secret#password), VpcId: (known after deploy) }"
        );
    }

    #[test]
    fn line_ends_and_escapes_stay_in_the_quotes() {
        assert_eq!(compact(&json!("a\n\x1b[2Jb")), r#""a\n\u001b[2Jb""#);
        assert_eq!(compact(&json!({ "a\x1b": 1 })), "{ a\u{fffd}: 1 }");
    }

    fn lines(before: Json, after: Json, width: usize) -> Vec<String> {
        let style = Style {
            colour: false,
            width: Some(width),
        };
        difference("P", Some(&before), Some(&after), "", 0, style)
    }

    #[test]
    fn short_changes_take_one_line() {
        assert_eq!(lines(json!("a"), json!(1), 80), ["P: \"a\" → 1"]);
    }

    #[test]
    fn of_long_objects_only_what_differs_is_shown() {
        let before = json!({ "A": "the same, and quite long", "B": { "C": 1, "D": 2 } });
        let after = json!({ "A": "the same, and quite long", "B": { "C": 1, "D": 3, "E": true } });
        assert_eq!(
            lines(before, after, 60),
            ["P.B: { C: 1, D: 2 } → { C: 1, D: 3, E: true }"]
        );
    }

    #[test]
    fn of_long_lists_only_what_comes_and_goes_is_shown() {
        let before = json!([
            "10.0.0.0/16",
            "10.1.0.0/16",
            "10.1.0.0/16",
            "10.2.0.0/16",
            "10.3.0.0/16"
        ]);
        let after = json!(["10.3.0.0/16", "10.0.0.0/16", "10.1.0.0/16", "10.4.0.0/16"]);
        assert_eq!(
            lines(before, after, 60),
            [
                "P:  (3 the same)",
                "  - \"10.1.0.0/16\"",
                "  - \"10.2.0.0/16\"",
                "  + \"10.4.0.0/16\""
            ]
        );
    }

    #[test]
    fn long_texts_are_cut_around_the_difference() {
        let long = "x".repeat(100);
        let lines = lines(json!(format!("{long}1")), json!(format!("{long}2")), 60);
        assert_eq!(lines.len(), 3);
        assert!(lines[1].ends_with("x1\""), "{lines:?}");
        assert!(lines[2].ends_with("x2\""), "{lines:?}");
        assert!(lines.iter().all(|line| line.chars().count() <= 60));
    }

    #[test]
    fn very_long_differences_are_counted() {
        let before: Json = (0..50)
            .map(|n| format!("some quite long item {n}"))
            .collect();
        let lines = lines(before, json!([]), 60);
        assert_eq!(lines.len(), MOST_LINES + 1);
        assert!(lines[MOST_LINES].contains("39 more lines"), "{lines:?}");
    }
}
