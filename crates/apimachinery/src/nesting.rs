//! How deep documents may be nested.
//!
//! What is stored is read again by a JSON parser that goes 128 levels deep, and `managedFields` nest a few levels deeper than
//! the object that they describe. Whatever is deeper than [`DEEPEST`] is therefore refused where it comes in. Kubernetes' own
//! parser goes 10,000 levels deep; no object of use is anywhere near either.

use serde_json::Value as Json;

/// The most levels of objects and lists inside each other.
pub const DEEPEST: usize = 100;

/// The levels of a document: 0 of a text or a number, 1 of a list of them. Needs no stack, however deep it is.
#[must_use]
pub fn depth(document: &Json) -> usize {
    let mut deepest = 0;
    let mut waiting = vec![(document, 0)];
    while let Some((value, above)) = waiting.pop() {
        let depth = above + 1;
        match value {
            Json::Array(items) => waiting.extend(items.iter().map(|item| (item, depth))),
            Json::Object(fields) => waiting.extend(fields.values().map(|field| (field, depth))),
            _ => continue,
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn levels_are_counted() {
        for (document, levels) in [
            (json!(1), 0),
            (json!([]), 1),
            (json!({"a": [1, {"b": {}}], "c": []}), 4),
        ] {
            assert_eq!(depth(&document), levels, "{document}");
        }
    }
}
