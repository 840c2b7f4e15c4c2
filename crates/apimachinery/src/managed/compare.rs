//! What differs between two objects of a type.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value as Json};

use crate::managed::fields::{Element, Fields, field};
use crate::managed::shape::{self, View, item_element, member, rooted, same};
use crate::schema::{Field, ListKind, Node, Shape, Type};

/// The fields that changed or are new, and those that are gone.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Delta {
    pub changed: Fields,
    pub removed: Fields,
}

/// Where in an object a value is. Some fields near its root are nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Root,
    Metadata,
    Within,
}

impl At {
    /// Where a member is, or none if nobody can own it.
    pub fn member(self, name: &str) -> Option<Self> {
        match (self, name) {
            (Self::Root, "apiVersion" | "kind")
            | (
                Self::Metadata,
                "name" | "namespace" | "creationTimestamp" | "selfLink" | "uid" | "clusterName"
                | "generation" | "managedFields" | "resourceVersion",
            ) => None,
            (Self::Root, "metadata") => Some(Self::Metadata),
            _ => Some(Self::Within),
        }
    }
}

impl Delta {
    /// The difference between two whole objects. Fields that nobody can own are not looked at.
    pub fn between(schema: &Type, before: &Json, after: &Json) -> Self {
        let mut delta = Self::default();
        delta.compare(&rooted(schema), Some(before), Some(after), At::Root);
        for set in [&mut delta.changed, &mut delta.removed] {
            set.owned = false;
            if let Some(metadata) = set.children.get_mut("f:metadata") {
                metadata.owned = false;
                if metadata.children.is_empty() {
                    set.children.remove("f:metadata");
                }
            }
        }
        delta
    }

    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// Leaves out fields and everything below them.
    pub fn without(mut self, fields: &Fields) -> Self {
        self.changed.subtract_with_children(fields);
        self.removed.subtract_with_children(fields);
        self
    }

    fn compare(&mut self, of: &Type, left: Option<&Json>, right: Option<&Json>, at: At) {
        if let (Some(left), Some(right)) = (left, right)
            && left == right
        {
            return;
        }
        let node = of.node();
        let left_view = left.map(|left| shape::view(&node, left));
        let right_view = right.map(|right| shape::view(&node, right));
        match (left_view, right_view) {
            (None, None) => return,
            (Some(View::Members), Some(View::Members)) => {
                if is_void(left) && is_void(right) {
                    self.leaf(left, right);
                } else {
                    self.members(of, &node, left, right, at);
                }
            }
            (Some(View::Items(items, kind)), Some(View::Items(..))) => {
                if is_void(left) && is_void(right) {
                    self.leaf(left, right);
                } else {
                    self.items(items, kind, left, right);
                }
            }
            (Some(View::Leaf), Some(View::Leaf)) => self.leaf(left, right),
            // Of what has no type, either side may be something else than the other.
            (left_view, right_view) => {
                if left.is_some() && right.is_some() {
                    self.leaf(left, right);
                }
                for (view, left, right) in [(left_view, left, None), (right_view, None, right)] {
                    match view {
                        Some(View::Members) if !is_void(left) || !is_void(right) => {
                            self.members(of, &node, left, right, at);
                        }
                        Some(View::Items(items, kind)) if !is_void(left) || !is_void(right) => {
                            self.items(items, kind, left, right);
                        }
                        _ => {}
                    }
                }
            }
        }
        if left.is_none() {
            self.changed.owned = true;
        } else if right.is_none() {
            self.removed.owned = true;
        }
    }

    fn leaf(&mut self, left: Option<&Json>, right: Option<&Json>) {
        match (left, right) {
            (Some(left), Some(right)) if same(left, right) => {}
            (_, Some(_)) => self.changed.owned = true,
            (Some(_), None) => self.removed.owned = true,
            (None, None) => {}
        }
    }

    fn below(
        &mut self,
        element: impl FnOnce() -> Element,
        of: &Type,
        left: Option<&Json>,
        right: Option<&Json>,
        at: At,
    ) {
        let mut delta = Self::default();
        delta.compare(of, left, right, at);
        self.attach(element, delta);
    }

    fn attach(&mut self, element: impl FnOnce() -> Element, delta: Self) {
        if delta != Self::default() {
            let element = element();
            self.removed.attach(element.clone(), delta.removed);
            self.changed.attach(element, delta.changed);
        }
    }

    fn members(
        &mut self,
        of: &Type,
        node: &Node,
        left: Option<&Json>,
        right: Option<&Json>,
        at: At,
    ) {
        static NONE: LazyLock<Map<String, Json>> = LazyLock::new(Map::new);
        // The API server's own types are Go structs: null is no value, and some members are there even if nobody wrote them.
        let structure = match &node.shape {
            Shape::Struct {
                fields, required, ..
            } if of.name().is_some() => Some((fields, required)),
            _ => None,
        };
        let both_there = left.is_some() && right.is_some();
        let lefts = left.and_then(Json::as_object).unwrap_or(&NONE);
        let rights = right.and_then(Json::as_object).unwrap_or(&NONE);
        let only_right = rights.iter().filter(|(name, _)| !lefts.contains_key(*name));
        let pairs = lefts
            .iter()
            .map(|(name, left)| (name, Some(left), rights.get(name)))
            .chain(only_right.map(|(name, right)| (name, None, Some(right))));
        for (name, mut left, mut right) in pairs {
            let Some(at) = at.member(name) else {
                continue;
            };
            if let Some((fields, required)) = structure {
                left = left.filter(|left| !left.is_null());
                right = right.filter(|right| !right.is_null());
                if both_there && left.is_none() != right.is_none() {
                    let standing = standing_member(fields, required, name);
                    left = left.or(standing);
                    right = right.or(standing);
                }
            }
            if left.is_none() && right.is_none() {
                continue;
            }
            self.below(
                || field(name),
                member(node, name).of_type(),
                left,
                right,
                at,
            );
        }
    }

    fn items(&mut self, items: &Type, kind: &ListKind, left: Option<&Json>, right: Option<&Json>) {
        let mut pairs: BTreeMap<Element, (Vec<&Json>, Vec<&Json>)> = BTreeMap::new();
        for item in elements(left) {
            if let Ok(element) = item_element(items, kind, item) {
                pairs.entry(element).or_default().0.push(item);
            }
        }
        for item in elements(right) {
            if let Ok(element) = item_element(items, kind, item) {
                pairs.entry(element).or_default().1.push(item);
            }
        }
        for (element, (lefts, rights)) in pairs {
            let mut delta = Self::default();
            match (&*lefts, &*rights) {
                ([] | [_], [] | [_]) => {
                    delta.compare(
                        items,
                        lefts.first().copied(),
                        rights.first().copied(),
                        At::Within,
                    );
                }
                // Items that have the same keys are owned together.
                ([_, _, ..], [_, _, ..]) => delta.changed.owned = lefts != rights,
                ([_, _, ..], _) => {
                    if let Some(one) = rights.first() {
                        delta.compare(items, None, Some(one), At::Within);
                    }
                    delta.removed.owned = true;
                }
                (_, [_, _, ..]) => {
                    if let Some(one) = lefts.first() {
                        delta.compare(items, Some(one), None, At::Within);
                    }
                    delta.changed.owned = true;
                }
            }
            self.attach(|| element, delta);
        }
    }
}

fn elements(list: Option<&Json>) -> &[Json] {
    list.and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// Nothing, null, or a list or object with nothing in it.
fn is_void(value: Option<&Json>) -> bool {
    match value {
        None | Some(Json::Null) => true,
        Some(Json::Array(items)) => items.is_empty(),
        Some(Json::Object(members)) => members.is_empty(),
        Some(_) => false,
    }
}

/// What stands for a member that is absent: Go structs embed some structs by value, and write required lists as null. Nobody
/// comes to own such a member by being the first to write into it.
fn standing_member<'a>(
    fields: &BTreeMap<Arc<str>, Field>,
    required: &[Arc<str>],
    name: &str,
) -> Option<&'a Json> {
    static OBJECT: LazyLock<Json> = LazyLock::new(|| Json::Object(Map::new()));
    static NULL: Json = Json::Null;
    let field = fields.get(name)?;
    let is_required = required.iter().any(|one| &**one == name);
    match &field.value.node().shape {
        Shape::Struct { .. } if is_required => Some(&OBJECT),
        Shape::Struct { .. } => matches!(
            name,
            "metadata"
                | "spec"
                | "status"
                | "template"
                | "jobTemplate"
                | "strategy"
                | "updateStrategy"
                | "resources"
                | "loadBalancer"
        )
        .then_some(&OBJECT),
        Shape::List { .. } if is_required => Some(&NULL),
        _ => None,
    }
}
