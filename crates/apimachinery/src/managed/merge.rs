//! Merging what is applied into an object, and taking items out of one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::managed::fields::{Element, Fields, field};
use crate::managed::shape::{self, View, item_element, member, rooted};
use crate::schema::{Field, ListKind, Node, Shape, Type};

/// Merges a configuration into an object. Nothing is removed; what both have is as the configuration has it.
pub fn merge(schema: &Type, object: &Json, applied: &Json) -> Json {
    within(&rooted(schema), object, applied).unwrap_or_else(|| Json::Object(Map::new()))
}

fn within(of: &Type, left: &Json, right: &Json) -> Option<Json> {
    let node = of.node();
    match (shape::view(&node, left), shape::view(&node, right)) {
        (View::Members, View::Members) => match (left.as_object(), right.as_object()) {
            (Some(left), Some(right)) if !left.is_empty() || !right.is_empty() => {
                members(of, &node, left, right)
            }
            (Some(left), None) if !left.is_empty() => Some(Json::Object(left.clone())),
            _ => Some(right.clone()),
        },
        (View::Items(items, kind), View::Items(..)) => match (left.as_array(), right.as_array()) {
            (Some(left), Some(right)) if !left.is_empty() || !right.is_empty() => {
                list(items, kind, left, right)
            }
            (Some(left), None) if !left.is_empty() => Some(Json::Array(left.clone())),
            _ => Some(right.clone()),
        },
        _ => Some(right.clone()),
    }
}

fn members(
    of: &Type,
    node: &Node,
    left: &Map<String, Json>,
    right: &Map<String, Json>,
) -> Option<Json> {
    let structure = structure(of, node);
    let omits = |name: &str, value: &Json| {
        structure
            .as_ref()
            .is_some_and(|structure| structure.omits(name, value))
    };
    let mut merged = Map::new();
    for (name, mine) in left {
        let both = match right.get(name) {
            Some(theirs) => within(member(node, name).of_type(), mine, theirs),
            None => Some(mine.clone()),
        };
        if let Some(both) = both
            && (both == *mine || !omits(name, &both))
        {
            merged.insert(name.clone(), both);
        }
    }
    for (name, theirs) in right {
        if !left.contains_key(name) && !omits(name, theirs) {
            let mut theirs = theirs.clone();
            decode(member(node, name).of_type(), &mut theirs);
            merged.insert(name.clone(), theirs);
        }
    }
    (!merged.is_empty()).then_some(Json::Object(merged))
}

/// The fields of a type that is one of the API server's own: a Go struct, which decoding and encoding rid of what says
/// nothing.
fn structure<'n>(of: &Type, node: &'n Node) -> Option<Structure<'n>> {
    match &node.shape {
        Shape::Struct {
            fields, required, ..
        } if of.name().is_some() => Some(Structure { fields, required }),
        _ => None,
    }
}

struct Structure<'n> {
    fields: &'n BTreeMap<Arc<str>, Field>,
    required: &'n [Arc<str>],
}

impl Structure<'_> {
    /// Whether a field's value is none: null, or a list or map with nothing in it. An empty struct is a value.
    fn omits(&self, name: &str, value: &Json) -> bool {
        let is_empty = match value {
            Json::Null => return true,
            Json::Array(items) => items.is_empty(),
            Json::Object(members) => members.is_empty(),
            _ => false,
        };
        is_empty
            && !self.required.iter().any(|one| &**one == name)
            && self.fields.get(name).is_some_and(|field| {
                matches!(
                    field.value.node().shape,
                    Shape::List { .. } | Shape::Map { .. }
                )
            })
    }
}

/// Rids what is new to an object of what says nothing.
fn decode(of: &Type, value: &mut Json) {
    if !says_nothing_somewhere(value) {
        return;
    }
    let node = of.node();
    match value {
        Json::Object(members) => {
            if let Some(structure) = structure(of, &node) {
                members.retain(|name, value| !structure.omits(name, value));
            }
            for (name, value) in members {
                decode(member(&node, name).of_type(), value);
            }
        }
        Json::Array(list) => {
            if let Shape::List { items, .. } = &node.shape {
                for item in list {
                    decode(items, item);
                }
            }
        }
        _ => {}
    }
}

fn says_nothing_somewhere(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(list) => list.is_empty() || list.iter().any(says_nothing_somewhere),
        Json::Object(members) => members.is_empty() || members.values().any(says_nothing_somewhere),
        _ => false,
    }
}

/// Merges two lists item by item. What both have comes in the order of `right`; what only `left` has stays where it is between
/// its neighbours, as far as that goes.
fn list(items: &Type, kind: &ListKind, left: &[Json], right: &[Json]) -> Option<Json> {
    let named = |list: &'_ [Json]| -> Vec<Option<Element>> {
        list.iter()
            .map(|item| item_element(items, kind, item).ok())
            .collect()
    };
    let (left_names, right_names) = (named(left), named(right));
    // Items that have the same keys are not merged with anything.
    let mut lefts: BTreeMap<&str, Option<&Json>> = BTreeMap::new();
    for (name, item) in left_names.iter().zip(left) {
        if let Some(name) = name {
            lefts
                .entry(name)
                .and_modify(|item| *item = None)
                .or_insert(Some(item));
        }
    }
    let rights: BTreeSet<&str> = right_names.iter().flatten().map(|name| &**name).collect();
    let mut shared: VecDeque<&str> = right_names
        .iter()
        .flatten()
        .map(|name| &**name)
        .filter(|name| lefts.contains_key(name))
        .collect();
    let mut next = shared.pop_front();

    let mut merged = Vec::with_capacity(left.len().max(right.len()));
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let take = |merged: &mut Vec<Json>, name: Option<&str>, theirs: &Json| {
        let mine = name.and_then(|name| lefts.get(name).copied().flatten());
        merged.extend(match mine {
            Some(mine) => within(items, mine, theirs),
            None => {
                let mut theirs = theirs.clone();
                decode(items, &mut theirs);
                Some(theirs)
            }
        });
    };
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        let mine = left_names.get(l).map(Option::as_deref);
        let theirs = right_names.get(r).map(Option::as_deref);
        if let (Some(mine), Some(their)) = (mine, theirs) {
            if mine.is_some() && mine == their {
                taken.extend(mine);
                take(&mut merged, mine, &right[r]);
                (l, r) = (l + 1, r + 1);
                next = shared.pop_front();
                continue;
            }
            if mine.is_some_and(|mine| rights.contains(mine)) && next.is_some() && next != mine {
                // It comes later, where the configuration has it.
                l += 1;
                continue;
            }
        }
        if let Some(mine) = mine {
            if !mine.is_some_and(|mine| rights.contains(mine)) {
                merged.push(left[l].clone());
                l += 1;
                continue;
            }
            if mine.is_some_and(|mine| taken.contains(mine)) {
                l += 1;
            } else if theirs.is_none() {
                // Not reached: what the configuration has is taken before its end.
                l += 1;
            }
        }
        if let Some(their) = theirs {
            taken.extend(their);
            take(&mut merged, their, &right[r]);
            r += 1;
            if next.is_some() && next == their {
                next = shared.pop_front();
            }
        }
    }
    (!merged.is_empty()).then_some(Json::Array(merged))
}

/// Takes the members of a set out of an object.
pub fn remove(schema: &Type, object: &mut Json, set: &Fields) {
    if !set.is_empty() {
        remove_within(&rooted(schema), object, set);
    }
}

fn remove_within(of: &Type, value: &mut Json, set: &Fields) {
    let node = of.node();
    match (shape::view(&node, value), value) {
        (View::Members, Json::Object(members)) => {
            let structure = structure(of, &node);
            members.retain(|name, value| {
                let Some(below) = set.children.get(&field(name)) else {
                    return true;
                };
                if below.owned {
                    return false;
                }
                remove_within(member(&node, name).of_type(), value, below);
                structure
                    .as_ref()
                    .is_none_or(|structure| !structure.omits(name, value))
            });
        }
        (View::Items(items, kind), Json::Array(list)) => {
            list.retain_mut(|item| {
                let below = item_element(items, kind, item)
                    .ok()
                    .and_then(|element| set.children.get(&element));
                if let Some(below) = below {
                    if below.owned {
                        return false;
                    }
                    remove_within(items, item, below);
                }
                true
            });
        }
        _ => {}
    }
}
