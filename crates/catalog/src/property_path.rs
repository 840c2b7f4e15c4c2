//! Paths into property documents.
//!
//! A path is a list of segments: names, positions in an array (`0`), or `*`, which stands for any array element and any
//! value of a map. Written with dots: `PrimaryEndPoint.Address`, `Tags.*.Key`. A segment that a dot would cut in two
//! is quoted: `Labels["karpenter.sh/discovery"]`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The segment that stands for every element of an array or value of a map.
const ANY: &str = "*";

/// A path into a property document; the empty path is the whole document.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PropertyPath(Vec<Arc<str>>);

impl PropertyPath {
    /// The whole document.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// From names as they are, without parsing.
    #[must_use]
    pub fn from_segments<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Self {
        Self(
            segments
                .into_iter()
                .map(|segment| Arc::from(segment.as_ref()))
                .collect(),
        )
    }

    /// From a schema's pointer, `/properties/PrimaryEndPoint/Address` or `/properties/Tags/*/Key`.
    ///
    /// The schemas write what is below the first `properties` as names of the document, but some repeat `properties`
    /// or `items` between them (`/properties/A/properties/B`, `/properties/A/items/B`) as a pointer into the schema itself
    /// would; neither is the name of a property in CloudFormation, so they are read as structure.
    #[must_use]
    pub fn from_schema_pointer(pointer: &str) -> Self {
        let mut segments = Vec::new();
        for segment in pointer.split('/').skip(1) {
            match segment {
                "properties" => {}
                "items" => segments.push(Arc::from(ANY)),
                name => segments.push(Arc::from(unescape(name).as_str())),
            }
        }
        Self(segments)
    }

    /// From a JSON pointer into a property document, as JSON Patch has it.
    #[must_use]
    pub fn from_json_pointer(pointer: &str) -> Self {
        Self(
            pointer
                .split('/')
                .skip(1)
                .map(|segment| Arc::from(unescape(segment).as_str()))
                .collect(),
        )
    }

    /// `/PrimaryEndPoint/Address`, escaped as RFC 6901 says.
    #[must_use]
    pub fn to_json_pointer(&self) -> String {
        let mut pointer = String::new();
        for segment in &self.0 {
            pointer.push('/');
            pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        }
        pointer
    }

    /// The segments from the top.
    #[must_use]
    pub fn segments(&self) -> &[Arc<str>] {
        &self.0
    }

    /// The name of the property of the resource that the path is in; `None` for the whole document.
    #[must_use]
    pub fn property(&self) -> Option<&str> {
        self.0.first().map(AsRef::as_ref)
    }

    /// The last segment; `None` for the whole document.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(AsRef::as_ref)
    }

    /// Whether this is the path of the whole document.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the path has a `*`.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.0.iter().any(|segment| &**segment == ANY)
    }

    /// The path one level down.
    #[must_use]
    pub fn join(&self, segment: impl AsRef<str>) -> Self {
        let mut segments = self.0.clone();
        segments.push(Arc::from(segment.as_ref()));
        Self(segments)
    }

    /// The path one level up; the whole document is its own parent.
    #[must_use]
    pub fn parent(&self) -> Self {
        let mut segments = self.0.clone();
        segments.pop();
        Self(segments)
    }

    /// The value at the path. `None` when it is not there, or when the path has a `*` (use [`select`](Self::select)).
    #[must_use]
    pub fn get<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.0
            .iter()
            .try_fold(document, |value, segment| match value {
                Value::Object(map) => map.get(&**segment),
                Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
                _ => None,
            })
    }

    /// Every value that the path matches, with the path that it really stands at.
    #[must_use]
    pub fn select<'a>(&self, document: &'a Value) -> Vec<(PropertyPath, &'a Value)> {
        let mut found = vec![(PropertyPath::root(), document)];
        for segment in &self.0 {
            let mut next = Vec::new();
            for (path, value) in found {
                match value {
                    Value::Object(map) if &**segment == ANY => {
                        next.extend(map.iter().map(|(key, inner)| (path.join(key), inner)));
                    }
                    Value::Object(map) => {
                        next.extend(map.get(&**segment).map(|inner| (path.join(segment), inner)))
                    }
                    Value::Array(items) if &**segment == ANY => {
                        next.extend(
                            items
                                .iter()
                                .enumerate()
                                .map(|(at, inner)| (path.join(at.to_string()), inner)),
                        );
                    }
                    Value::Array(items) => {
                        let inner = segment.parse::<usize>().ok().and_then(|at| items.get(at));
                        next.extend(inner.map(|inner| (path.join(segment), inner)));
                    }
                    _ => {}
                }
            }
            found = next;
        }
        found
    }

    /// Removes what the path matches (each match, where it has a `*`), and tells whether anything was there.
    ///
    /// An object that this leaves empty stays: an empty object and an absent one are not the same to every type.
    pub fn remove_from(&self, document: &mut Value) -> bool {
        remove(&self.0, document)
    }

    /// Puts `value` at the path, making the objects on the way; `false` (and nothing changed) when the path has a `*`, is the
    /// root, or something on the way is neither an object nor an array that is long enough.
    pub fn insert_into(&self, document: &mut Value, value: Value) -> bool {
        if self.is_pattern() || self.is_root() {
            return false;
        }
        insert(&self.0, document, value)
    }

    /// Whether `other` is this path or lies below it, where `*` on either side matches any segment.
    ///
    /// `Tags` and `Tags.*.Key` both match `Tags.0.Key`; `Tags.*.Key` does not match `Tags`.
    #[must_use]
    pub fn matches_prefix_of(&self, other: &PropertyPath) -> bool {
        self.0.len() <= other.0.len()
            && self
                .0
                .iter()
                .zip(&other.0)
                .all(|(mine, theirs)| mine == theirs || &**mine == ANY || &**theirs == ANY)
    }

    /// Whether the paths are of one length and match, where `*` on either side matches any segment.
    #[must_use]
    pub fn matches(&self, other: &PropertyPath) -> bool {
        self.0.len() == other.0.len() && self.matches_prefix_of(other)
    }

    /// Whether one of the paths lies in the other: a change of one is a change of the other.
    #[must_use]
    pub fn overlaps(&self, other: &PropertyPath) -> bool {
        self.matches_prefix_of(other) || other.matches_prefix_of(self)
    }
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

fn remove(segments: &[Arc<str>], value: &mut Value) -> bool {
    let Some((segment, rest)) = segments.split_first() else {
        return false;
    };
    match (value, &**segment) {
        (Value::Object(map), ANY) if rest.is_empty() => {
            let any = !map.is_empty();
            map.clear();
            any
        }
        (Value::Array(items), ANY) if rest.is_empty() => {
            let any = !items.is_empty();
            items.clear();
            any
        }
        (Value::Object(map), ANY) => remove_from_each(map.values_mut(), rest),
        (Value::Array(items), ANY) => remove_from_each(items.iter_mut(), rest),
        (Value::Object(map), name) if rest.is_empty() => map.remove(name).is_some(),
        (Value::Object(map), name) => map.get_mut(name).is_some_and(|inner| remove(rest, inner)),
        (Value::Array(items), at) => match at.parse::<usize>() {
            Ok(at) if at < items.len() && rest.is_empty() => {
                items.remove(at);
                true
            }
            Ok(at) => items.get_mut(at).is_some_and(|inner| remove(rest, inner)),
            // A schema may leave the `*` out: `/properties/Rules/Arn` of an array of rules.
            Err(_) => remove_from_each(items.iter_mut(), segments),
        },
        _ => false,
    }
}

/// Removes from each value, not only up to the first that had something.
fn remove_from_each<'a>(
    values: impl Iterator<Item = &'a mut Value>,
    segments: &[Arc<str>],
) -> bool {
    let mut any = false;
    for value in values {
        any |= remove(segments, value);
    }
    any
}

fn insert(segments: &[Arc<str>], value: &mut Value, new: Value) -> bool {
    let Some((segment, rest)) = segments.split_first() else {
        *value = new;
        return true;
    };
    match value {
        Value::Null if segment.parse::<usize>().is_err() => {
            let mut inner = Value::Null;
            let done = insert(rest, &mut inner, new);
            if done {
                *value = Value::Object([(segment.to_string(), inner)].into_iter().collect());
            }
            done
        }
        Value::Object(map) => {
            if let Some(inner) = map.get_mut(&**segment) {
                return insert(rest, inner, new);
            }
            let mut inner = Value::Null;
            let done = insert(rest, &mut inner, new);
            if done {
                map.insert(segment.to_string(), inner);
            }
            done
        }
        Value::Array(items) => segment
            .parse::<usize>()
            .ok()
            .and_then(|at| items.get_mut(at))
            .is_some_and(|inner| insert(rest, inner, new)),
        _ => false,
    }
}

/// Whether the segment has to be quoted to be read back as one.
fn needs_quotes(segment: &str) -> bool {
    segment.is_empty() || segment.contains(['.', '[', ']', '"'])
}

impl fmt::Display for PropertyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for segment in &self.0 {
            if needs_quotes(segment) {
                text.push_str("[\"");
                text.push_str(&segment.replace('\\', "\\\\").replace('"', "\\\""));
                text.push_str("\"]");
            } else {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(segment);
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for PropertyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text is no property path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a property path: expected names separated by dots, such as PrimaryEndPoint.Address"
)]
pub struct InvalidPropertyPath(pub String);

impl FromStr for PropertyPath {
    type Err = InvalidPropertyPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPropertyPath(text.to_owned());
        let mut segments: Vec<Arc<str>> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("[\"") {
                let mut segment = String::new();
                let mut characters = quoted.char_indices();
                let end = loop {
                    match characters.next().ok_or_else(invalid)? {
                        (_, '\\') => segment.push(characters.next().ok_or_else(invalid)?.1),
                        (at, '"') => break at,
                        (_, character) => segment.push(character),
                    }
                };
                segments.push(Arc::from(segment.as_str()));
                rest = quoted[end + 1..].strip_prefix(']').ok_or_else(invalid)?;
                if !(rest.is_empty() || rest.starts_with('[') || rest.starts_with('.')) {
                    return Err(invalid());
                }
            } else {
                let after_dot = if segments.is_empty() {
                    rest
                } else {
                    rest.strip_prefix('.').ok_or_else(invalid)?
                };
                let end = after_dot.find(['.', '[']).unwrap_or(after_dot.len());
                let name = &after_dot[..end];
                if needs_quotes(name) {
                    return Err(invalid());
                }
                segments.push(Arc::from(name));
                rest = &after_dot[end..];
            }
        }
        Ok(Self(segments))
    }
}

impl Serialize for PropertyPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PropertyPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn path(text: &str) -> PropertyPath {
        text.parse().unwrap()
    }

    #[test]
    fn schema_pointers_become_dotted_paths() {
        for (pointer, dotted) in [
            ("/properties/VpcId", "VpcId"),
            (
                "/properties/PrimaryEndPoint/Address",
                "PrimaryEndPoint.Address",
            ),
            ("/properties/Tags/*/Key", "Tags.*.Key"),
            ("/properties/Rules/items/Arn", "Rules.*.Arn"),
            ("/properties/A/properties/B", "A.B"),
        ] {
            assert_eq!(PropertyPath::from_schema_pointer(pointer), path(dotted));
        }
        assert_eq!(
            path("Labels[\"karpenter.sh/discovery\"]").to_json_pointer(),
            "/Labels/karpenter.sh~1discovery"
        );
        assert_eq!(
            PropertyPath::from_json_pointer("/Labels/karpenter.sh~1discovery")
                .segments()
                .len(),
            2
        );
    }

    #[test]
    fn removal_reaches_every_match() {
        let mut document = json!({"Users": [{"Name": "a", "Password": "x"}, {"Name": "b", "Password": "y"}], "Keep": {"Password": 1}});
        assert!(path("Users.*.Password").remove_from(&mut document));
        assert_eq!(
            document,
            json!({"Users": [{"Name": "a"}, {"Name": "b"}], "Keep": {"Password": 1}})
        );
        assert!(
            path("Users.Name").remove_from(&mut document),
            "a schema may leave the * out"
        );
        assert!(path("Keep").remove_from(&mut document));
        assert!(!path("Keep").remove_from(&mut document));
        assert_eq!(document, json!({"Users": [{}, {}]}));
    }

    #[test]
    fn insertion_makes_what_is_on_the_way_and_nothing_else() {
        let mut document = json!({"List": [1, {"A": 1}], "Leaf": "text"});
        assert!(path("Data.Inner.Leaf").insert_into(&mut document, json!(1)));
        assert!(path("List.1.A").insert_into(&mut document, json!(2)));
        let before = document.clone();
        for impossible in ["Leaf.Below", "List.7", "List.*.A", ""] {
            assert!(
                !path(impossible).insert_into(&mut document, json!(0)),
                "{impossible}"
            );
        }
        assert_eq!(document, before);
        assert_eq!(
            document,
            json!({"List": [1, {"A": 2}], "Leaf": "text", "Data": {"Inner": {"Leaf": 1}}})
        );
    }

    #[test]
    fn a_star_matches_any_segment() {
        assert!(path("Tags.*.Key").matches(&path("Tags.0.Key")));
        assert!(path("Tags").matches_prefix_of(&path("Tags.0.Key")));
        assert!(!path("Tags.*.Key").matches_prefix_of(&path("Tags")));
        assert!(path("Tags.0.Key").overlaps(&path("Tags")));
        assert!(!path("Tag").overlaps(&path("Tags")));
    }

    #[test]
    fn text_that_is_no_path_is_refused() {
        for bad in [
            ".",
            "A.",
            "A..B",
            "A[",
            "A[\"",
            "A[\"b\"",
            "A[\"b\"]c",
            "A[b]",
            "A]",
        ] {
            assert_eq!(
                bad.parse::<PropertyPath>(),
                Err(InvalidPropertyPath(bad.to_owned())),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_path_reads_back_as_itself(segments in proptest::collection::vec("[ -~]{0,6}", 0..5)) {
            let original = PropertyPath::from_segments(&segments);
            prop_assert_eq!(original.to_string().parse::<PropertyPath>(), Ok(original.clone()));
            prop_assert_eq!(PropertyPath::from_json_pointer(&original.to_json_pointer()), original);
        }
    }
}
