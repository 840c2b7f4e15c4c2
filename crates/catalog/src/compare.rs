//! When two property documents of a type mean the same.
//!
//! [`differences`] is drift: what the user declared against what AWS returns. Only declared properties are compared, as
//! CloudFormation's own drift detection does it; what AWS adds of its own (defaults, echoes such as a route's
//! `VpcEndpointId`) is no difference, unless it is an element of an array or a tag. [`changes`] compares two desired
//! documents, both ways and with what cannot be read back.
//!
//! In both, read-only properties are left out, sets have no order, tags are compared by key (without `aws:*`), policy
//! documents by what they allow, and spellings that AWS takes for the same (`"1"` and `1`, `tcp` and `6`,
//! `Example.com.` and `example.com`, `10.0.0.9/24` and `10.0.0.0/24`, `7.1` and the `7.1.0` that it reads back) are equal.

mod equivalence;
mod policy;

use serde_json::{Map, Value};

use crate::corrections;
use crate::property_path::PropertyPath;
use crate::schema::ResourceSchema;
use crate::tagging::{RESERVED_PREFIX, TagShape};

/// A property that is not as it should be.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Difference {
    /// Where. In an ordered array of the same length the path goes into the element (`Rules.0.Priority`), a set is
    /// compared as one value, a tag has its key as last segment (`Tags.Name`), whatever the shape of the property. The path is for
    /// people and for finding the schema's rules; a patch replaces the whole property ([`PropertyPath::property`]).
    pub path: PropertyPath,
    /// The declared value; null when it is not to be there.
    pub expected: Value,
    /// The value that is there; null when there is none.
    pub actual: Value,
}

/// Where `actual`, as AWS returns it, differs from `desired`; empty when it does not.
///
/// Write-only properties are left out: they never read back. Nulls in `desired` declare nothing.
#[must_use]
pub fn differences(schema: &ResourceSchema, desired: &Value, actual: &Value) -> Vec<Difference> {
    Comparison {
        schema,
        mode: Mode::Drift,
    }
    .documents(desired, actual)
}

/// What a change of the declared properties from `before` to `after` changes: `expected` is the new value, `actual` the old
/// one. Write-only properties take part, and a property that is declared no more is a difference.
#[must_use]
pub fn changes(schema: &ResourceSchema, before: &Value, after: &Value) -> Vec<Difference> {
    Comparison {
        schema,
        mode: Mode::Change,
    }
    .documents(after, before)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Drift,
    Change,
}

struct Comparison<'s> {
    schema: &'s ResourceSchema,
    mode: Mode,
}

/// What is compared: where it stands in the document, where in the schema (array positions as `*`), and its schema.
#[derive(Clone)]
struct Place<'s> {
    path: PropertyPath,
    pattern: PropertyPath,
    schema: Option<&'s Value>,
}

impl<'s> Place<'s> {
    fn at(&self, owner: &'s ResourceSchema, segment: &str, in_array: bool) -> Self {
        let generic = if in_array { "*" } else { segment };
        Self {
            path: self.path.join(segment),
            pattern: self.pattern.join(generic),
            schema: self.schema.and_then(|schema| owner.child(schema, generic)),
        }
    }

    fn keyword(&self, name: &str) -> &Value {
        self.schema
            .and_then(|schema| schema.get(name))
            .unwrap_or(&Value::Null)
    }
}

impl<'s> Comparison<'s> {
    fn documents(&self, desired: &Value, actual: &Value) -> Vec<Difference> {
        let top = Place {
            path: PropertyPath::root(),
            pattern: PropertyPath::root(),
            schema: Some(self.schema.document()),
        };
        let mut found = Vec::new();
        self.values(&top, desired, actual, &mut found);
        found
    }

    fn is_left_out(&self, pattern: &PropertyPath) -> bool {
        self.schema.is_read_only(pattern)
            || self.mode == Mode::Drift && self.schema.is_write_only(pattern)
    }

    /// Compares two values at a place; an absent one is null.
    fn values(
        &self,
        place: &Place<'s>,
        desired: &Value,
        actual: &Value,
        found: &mut Vec<Difference>,
    ) {
        if self.mode == Mode::Drift && desired.is_null() || self.is_left_out(&place.pattern) {
            return;
        }
        if self.schema.tagging().property.as_ref() == Some(&place.pattern) {
            return self.tags(place, desired, actual, found);
        }
        if is_free_form(place) {
            if !equivalence::same_document(desired, actual) {
                found.push(place.difference(desired, actual));
            }
            return;
        }
        match (desired, actual) {
            (Value::Object(desired), Value::Object(actual)) => {
                self.objects(place, desired, actual, found)
            }
            (Value::Array(wanted), Value::Array(present)) => {
                self.arrays(place, wanted, present, desired, actual, found);
            }
            // An object of which nothing is declared, or nothing but what AWS uses anyway, is as good as none.
            (Value::Object(inner), Value::Null) => {
                let mut missing = Vec::new();
                self.objects(place, inner, &Map::new(), &mut missing);
                if !missing.is_empty() {
                    found.push(place.difference(desired, actual));
                }
            }
            (Value::Null, Value::Object(inner)) => {
                let mut gone = Vec::new();
                self.objects(place, &Map::new(), inner, &mut gone);
                if !gone.is_empty() {
                    found.push(place.difference(desired, actual));
                }
            }
            (Value::Array(items), Value::Null) | (Value::Null, Value::Array(items))
                if items.is_empty() => {}
            _ => {
                let default = place.keyword("default");
                let is_default = !default.is_null()
                    && (desired.is_null() && equivalence::same_scalar(default, actual)
                        || actual.is_null() && equivalence::same_scalar(default, desired));
                if !is_default && !self.same_leaf(place, desired, actual) {
                    found.push(place.difference(desired, actual));
                }
            }
        }
    }

    fn same_leaf(&self, place: &Place<'s>, desired: &Value, actual: &Value) -> bool {
        equivalence::same_scalar(desired, actual)
            || !place.keyword("enumCaseInsensitive").is_null()
                && equivalence::same_in_any_case(desired, actual)
            || equivalence::same_by_rule(self.schema.type_name(), &place.pattern, desired, actual)
    }

    fn objects(
        &self,
        place: &Place<'s>,
        desired: &Map<String, Value>,
        actual: &Map<String, Value>,
        found: &mut Vec<Difference>,
    ) {
        let any_port =
            equivalence::is_any_protocol(desired) && equivalence::is_any_protocol(actual);
        for (name, value) in desired {
            // A rule for every protocol has no ports, whatever was declared (propertyTransform of the security group types).
            if any_port && (name == "FromPort" || name == "ToPort") {
                continue;
            }
            let inner = place.at(self.schema, name, false);
            self.values(
                &inner,
                value,
                actual.get(name).unwrap_or(&Value::Null),
                found,
            );
        }
        if self.mode == Mode::Change {
            for (name, value) in actual
                .iter()
                .filter(|(name, _)| !desired.contains_key(*name))
            {
                self.values(
                    &place.at(self.schema, name, false),
                    &Value::Null,
                    value,
                    found,
                );
            }
        }
    }

    fn arrays(
        &self,
        place: &Place<'s>,
        wanted: &[Value],
        present: &[Value],
        desired: &Value,
        actual: &Value,
        found: &mut Vec<Difference>,
    ) {
        // `[{Key, Value}]` of attributes, of which AWS returns all that there are and not only those that were set.
        if place.keyword("arrayType") == "AttributeList" && self.mode == Mode::Drift {
            let unmet = wanted.iter().any(|item| {
                !present
                    .iter()
                    .any(|other| self.same_element(place, item, other))
            });
            if unmet {
                found.push(place.difference(desired, actual));
            }
            return;
        }
        if self.is_set(place) {
            if wanted.len() != present.len() || !self.pairs_up(place, wanted, present) {
                found.push(place.difference(desired, actual));
            }
            return;
        }
        if wanted.len() != present.len() {
            found.push(place.difference(desired, actual));
            return;
        }
        for (at, (item, other)) in wanted.iter().zip(present).enumerate() {
            self.values(
                &place.at(self.schema, &at.to_string(), true),
                item,
                other,
                found,
            );
        }
    }

    fn is_set(&self, place: &Place<'s>) -> bool {
        if *place.keyword("insertionOrder") == Value::Bool(false) {
            return true;
        }
        let listed = |(name, path): &(&str, &str)| {
            *self.schema.type_name() == *name
                && path
                    .parse::<PropertyPath>()
                    .is_ok_and(|path| path == place.pattern)
        };
        place.pattern.last() == Some("Tags") || corrections::SETS.iter().any(listed)
    }

    fn same_element(&self, place: &Place<'s>, item: &Value, other: &Value) -> bool {
        let mut found = Vec::new();
        self.values(&place.at(self.schema, "0", true), item, other, &mut found);
        found.is_empty()
    }

    /// Whether every wanted element has a present one of its own. An element may fit several (it declares less than
    /// they have), so the pairs are found by augmenting paths.
    fn pairs_up(&self, place: &Place<'s>, wanted: &[Value], present: &[Value]) -> bool {
        fn place_for(
            at: usize,
            fits: &[Vec<usize>],
            taken: &mut [Option<usize>],
            seen: &mut [bool],
        ) -> bool {
            for &slot in &fits[at] {
                if !std::mem::replace(&mut seen[slot], true)
                    && taken[slot].is_none_or(|holder| place_for(holder, fits, taken, seen))
                {
                    taken[slot] = Some(at);
                    return true;
                }
            }
            false
        }
        let fits: Vec<Vec<usize>> = wanted
            .iter()
            .map(|item| {
                (0..present.len())
                    .filter(|slot| self.same_element(place, item, &present[*slot]))
                    .collect()
            })
            .collect();
        let mut taken = vec![None; present.len()];
        (0..wanted.len())
            .all(|at| place_for(at, &fits, &mut taken, &mut vec![false; present.len()]))
    }

    fn tags(
        &self,
        place: &Place<'s>,
        desired: &Value,
        actual: &Value,
        found: &mut Vec<Difference>,
    ) {
        // Tag specifications name resource types beside the tags; as a set of them each element is compared whole.
        if matches!(self.schema.tagging().shape, TagShape::Specifications(_)) {
            let (wanted, present) = (elements(desired), elements(actual));
            if wanted.len() != present.len() || !self.pairs_up(place, wanted, present) {
                found.push(place.difference(desired, actual));
            }
            return;
        }
        let (wanted, present) = (by_key(desired), by_key(actual));
        for (key, value) in &wanted {
            let other = present.get(key).unwrap_or(&Value::Null);
            if !equivalence::same_scalar(value, other) {
                found.push(Difference {
                    path: place.path.join(key),
                    expected: value.clone(),
                    actual: other.clone(),
                });
            }
        }
        for (key, value) in present.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            found.push(Difference {
                path: place.path.join(key),
                expected: Value::Null,
                actual: value.clone(),
            });
        }
    }
}

impl Place<'_> {
    fn difference(&self, desired: &Value, actual: &Value) -> Difference {
        Difference {
            path: self.path.clone(),
            expected: desired.clone(),
            actual: actual.clone(),
        }
    }
}

/// Whether the value is a document of its own (a policy, an event pattern), which the schema takes as an object or as
/// text and says nothing of. All of it counts, not only what is declared.
fn is_free_form(place: &Place<'_>) -> bool {
    let either = |types: &Vec<Value>| {
        types.iter().any(|kind| kind == "object") && types.iter().any(|kind| kind == "string")
    };
    place.keyword("type").as_array().is_some_and(either)
        || place.keyword("type") == "object"
            && place.keyword("properties").is_null()
            && place.keyword("patternProperties").is_null()
            && place.pattern.last().is_some_and(|name| name.ends_with("PolicyDocument") || name.ends_with("Policy"))
        // Text by the schema, JSON by the service (EKS user guide, "configuration values").
        || place.pattern.last() == Some("ConfigurationValues")
}

fn elements(list: &Value) -> &[Value] {
    list.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Tags of either shape by key, without those of AWS.
fn by_key(tags: &Value) -> std::collections::BTreeMap<String, Value> {
    let pairs: Vec<(String, Value)> = match tags {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        Value::Array(items) => items
            .iter()
            .filter_map(|item| {
                Some((
                    item.get("Key")?.as_str()?.to_owned(),
                    item.get("Value").cloned().unwrap_or_default(),
                ))
            })
            .collect(),
        _ => Vec::new(),
    };
    pairs
        .into_iter()
        .filter(|(key, _)| !key.starts_with(RESERVED_PREFIX))
        .collect()
}

#[cfg(test)]
mod tests;
