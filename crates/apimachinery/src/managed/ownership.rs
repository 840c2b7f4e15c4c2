//! The fields that a configuration names: what its manager comes to own by applying it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::managed::compare::At;
use crate::managed::fields::{Element, Fields, field, field_name};
use crate::managed::shape::{self, Member, View, item_element, member, rooted};
use crate::schema::{Shape, Type};

/// The fields of a whole object. Those that nobody can own are left out.
pub fn fields_of(schema: &Type, object: &Json) -> Fields {
    let mut set = within(&rooted(schema), object, At::Root);
    set.owned = false;
    set
}

fn within(of: &Type, value: &Json, at: At) -> Fields {
    let node = of.node();
    let mut set = Fields::default();
    match shape::view(&node, value) {
        View::Leaf => set.owned = true,
        View::Members => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let Some(at) = at.member(name) else {
                    continue;
                };
                let member = member(&node, name);
                let mut below = within(member.of_type(), value, at);
                if at == At::Metadata {
                    below.owned = false;
                } else if says_nothing(value) || !matches!(member, Member::Declared(_)) {
                    below.owned = true;
                }
                set.attach(field(name), below);
            }
        }
        View::Items(items, kind) => {
            let list = value.as_array().map_or(&[][..], Vec::as_slice);
            let mut by_element: BTreeMap<Element, Option<&Json>> = BTreeMap::new();
            for item in list {
                if let Ok(element) = item_element(items, kind, item) {
                    // Items that have the same keys are owned together, as a whole.
                    by_element
                        .entry(element)
                        .and_modify(|item| *item = None)
                        .or_insert(Some(item));
                }
            }
            for (element, item) in by_element {
                let mut below =
                    item.map_or_else(Fields::default, |item| within(items, item, At::Within));
                below.owned = true;
                set.attach(element, below);
            }
        }
    }
    set
}

/// Null, or a list or object with nothing in it: owned as such, or else nobody would own it. structured-merge-diff forgets the
/// empty list, so that one that was emptied by an apply comes back with the next.
fn says_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Adds the named fields on the way to each member: whoever owns something in a struct's field has a part in that field.
pub fn with_named(schema: &Type, set: &Fields) -> Fields {
    let mut set = set.clone();
    name_within(Some(&rooted(schema)), &mut set);
    set
}

fn name_within(of: Option<&Type>, set: &mut Fields) {
    let node = of.map(Type::node);
    for (element, below) in &mut set.children {
        if below.children.is_empty() {
            continue;
        }
        match (field_name(element), &node) {
            (Some(name), Some(node)) if !matches!(node.shape, Shape::List { .. }) => {
                let member = member(node, name);
                below.owned |= matches!(member, Member::Declared(_));
                name_within(Some(member.of_type()), below);
            }
            (None, Some(node)) => match &node.shape {
                Shape::List { items, .. } => name_within(Some(items), below),
                _ => name_within(None, below),
            },
            _ => name_within(None, below),
        }
    }
}

/// Makes owners of something within what is owned as a whole owners of the whole. The schema of a custom resource may have
/// changed since they wrote.
pub fn reconcile(schema: &Type, set: &mut Fields) -> bool {
    reconcile_within(&rooted(schema), set)
}

fn reconcile_within(of: &Type, set: &mut Fields) -> bool {
    let node = of.node();
    let mut changed = false;
    match &node.shape {
        Shape::Struct { atomic: true, .. } | Shape::Map { atomic: true, .. }
            if !set.children.is_empty() =>
        {
            set.children.clear();
            set.owned = true;
            changed = true;
        }
        Shape::List { items, kind } if !set.children.is_empty() => {
            if *kind == crate::schema::ListKind::Atomic {
                set.children.clear();
                set.owned = true;
                changed = true;
            } else {
                for below in set.children.values_mut() {
                    changed |= reconcile_within(items, below);
                }
            }
        }
        Shape::Struct { .. } | Shape::Map { .. } => {
            for (element, below) in &mut set.children {
                if let Some(name) = field_name(element)
                    && !below.children.is_empty()
                {
                    match member(&node, name) {
                        Member::Unknown => {}
                        member => changed |= reconcile_within(member.of_type(), below),
                    }
                }
            }
        }
        _ => {}
    }
    changed
}
