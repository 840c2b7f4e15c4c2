//! Strategic merge patch: a merge patch that knows which lists are merged by which key, with directives for what a document
//! cannot say (`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`).

use serde_json::{Map, Value as Json};

use crate::Status;
use crate::managed::go_value;
use crate::patch::json::{json_kind, unprocessable};
use crate::schema::{Node, PatchStrategy, Shape, Type};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

type Object = Map<String, Json>;

/// Why a patch cannot be applied.
enum Problem {
    /// The patch itself is wrong: 400.
    Format(String),
    /// It does not fit the object: 422.
    Fit(String),
    /// It is of a kind that is not supported: 422, and the API server does not say why.
    Unsupported(String),
}

impl Problem {
    fn order() -> Self {
        Self::Format("invalid patch format of setElementOrder list".into())
    }

    fn retain_keys() -> Self {
        Self::Format("invalid patch format of retainKeys".into())
    }

    fn no_key(object: &Json, key: &str) -> Self {
        Self::Fit(format!(
            "map: {} does not contain declared merge key: {key}",
            go_value(object)
        ))
    }

    fn no_map(item: &Json) -> Self {
        Self::Fit(format!(
            "expected a map[string]interface {{}}, but received a {}",
            json_kind(item)
        ))
    }

    fn no_list(value: &Json) -> Self {
        Self::Fit(format!(
            "expected a []interface {{}}, but received a {}",
            json_kind(value)
        ))
    }

    fn directive(directive: &Json, object: &Json) -> Self {
        Self::Fit(format!(
            "unknown patch type: {} in map: {}",
            go_value(directive),
            go_value(object)
        ))
    }
}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Format(why) => Self::bad_request(why),
            Problem::Fit(why) => Self::new(crate::status::Reason::Invalid, why),
            Problem::Unsupported(why) => unprocessable(why),
        }
    }
}

/// Applies a strategic merge patch to an object of a type.
///
/// # Errors
/// 400 if the patch is not an object or its directives are malformed, 422 if it does not fit the object: an element without
/// its merge key, an order that contradicts the list, an unknown directive.
pub fn strategic(schema: &Type, original: &Json, patch: &Json) -> Result<Json, Status> {
    let Json::Object(patch) = patch else {
        return Err(Status::bad_request(format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            json_kind(patch)
        )));
    };
    let original = original.as_object().cloned().unwrap_or_default();
    Ok(Json::Object(merge(schema, original, patch.clone())?))
}

fn merge(of: &Type, mut original: Object, mut patch: Object) -> Result<Object, Problem> {
    if let Some(directive) = patch.remove(PATCH) {
        return match directive.as_str() {
            Some("replace") => Ok(patch),
            Some("delete") => Ok(Object::new()),
            _ => Err(Problem::directive(&directive, &Json::Object(patch))),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    let node = of.node();
    let directives = |patch: &Object, prefix: &str| -> Vec<(String, String)> {
        patch
            .keys()
            .filter_map(|key| Some((key.clone(), key.strip_prefix(prefix)?.to_owned())))
            .collect()
    };
    for (directive, key) in directives(&patch, ORDER) {
        let order = patch.remove(&directive).unwrap_or_default();
        ordered(&node, &mut original, &mut patch, &key, &order)?;
    }
    for (directive, key) in directives(&patch, DELETE) {
        let Some(Json::Array(gone)) = patch.remove(&directive) else {
            return Err(Problem::Format(
                "invalid patch format of primitive list".into(),
            ));
        };
        if let Some(Json::Array(list)) = original.get_mut(&key) {
            list.retain(|item| !gone.contains(item));
        }
    }
    for (key, value) in patch {
        for (directive, format) in [
            ("$setElementOrder", Problem::order as fn() -> Problem),
            ("$deleteFromPrimitiveList", || {
                Problem::Format("invalid patch format of primitive list".into())
            }),
        ] {
            if key == directive {
                return Err(format());
            }
        }
        let merged = match (original.remove(&key), value) {
            (_, Json::Null) => None,
            (Some(Json::Object(before)), Json::Object(value)) => {
                let of = node.field(&key).unwrap_or_else(Type::any);
                Some(Json::Object(merge(&of, before, value)?))
            }
            (Some(Json::Array(before)), Json::Array(value)) => {
                let strategy = node.patch_strategy(&key);
                Some(Json::Array(if strategy.merge {
                    merge_lists(&items_type(&node, &key), &strategy, before, value)?
                } else {
                    value
                }))
            }
            (_, value) => plain(value),
        };
        if let Some(merged) = merged {
            original.insert(key, merged);
        }
    }
    Ok(original)
}

/// The type of a list's items.
fn items_type(node: &Node, key: &str) -> Type {
    match node.field(key).map(|field| field.node()) {
        Some(list) => match &list.shape {
            Shape::List { items, .. } => items.clone(),
            _ => Type::any(),
        },
        None => Type::any(),
    }
}

/// Clears what `$retainKeys` does not name.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), Problem> {
    let Some(retained) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Json::Array(retained) = retained else {
        return Err(Problem::retain_keys());
    };
    let is_retained = |key: &str| retained.iter().any(|one| one.as_str() == Some(key));
    for (key, value) in &*patch {
        if !value.is_null()
            && !key.starts_with(ORDER)
            && !key.starts_with(DELETE)
            && !is_retained(key)
        {
            return Err(Problem::retain_keys());
        }
    }
    original.retain(|key, _| is_retained(key));
    Ok(())
}

/// What is new to the object, without directives and nulls. None if it says to be deleted.
fn plain(value: Json) -> Option<Json> {
    match value {
        Json::Object(members) => {
            if members.contains_key(PATCH) {
                return None;
            }
            let members = members
                .into_iter()
                .filter(|(key, value)| {
                    !value.is_null()
                        && key != RETAIN_KEYS
                        && !key.starts_with(ORDER)
                        && !key.starts_with(DELETE)
                })
                .filter_map(|(key, value)| Some((key, plain(value)?)));
            Some(Json::Object(members.collect()))
        }
        Json::Array(items) => Some(Json::Array(items.into_iter().filter_map(plain).collect())),
        other => Some(other),
    }
}

/// Merges a list that comes with its order.
fn ordered(
    node: &Node,
    original: &mut Object,
    patch: &mut Object,
    key: &str,
    order: &Json,
) -> Result<(), Problem> {
    let Json::Array(order) = order else {
        return Err(Problem::no_list(order));
    };
    let list = |value: Option<&Json>| match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Array(items)) => Ok(Some(items.clone())),
        Some(other) => Err(Problem::no_list(other)),
    };
    let before = list(original.get(key))?;
    let given = list(patch.get(key))?;
    if patch.get(key).is_some_and(Json::is_null) {
        // The list goes as a whole.
        return Ok(());
    }
    let strategy = node.patch_strategy(key);
    let by = strategy.merge_key.as_deref();
    agree(given.as_deref().unwrap_or_default(), order, by)?;
    let server_order = before.clone().unwrap_or_default();
    let merged = match (before, given) {
        (None, None) => return Ok(()),
        (Some(before), None) => before,
        (None, Some(given)) => given.into_iter().filter_map(plain).collect(),
        (Some(before), Some(given)) if strategy.merge => {
            merge_lists(&items_type(node, key), &strategy, before, given)?
        }
        (Some(_), Some(given)) => given,
    };
    patch.remove(key);
    let merged = arrange(merged, order, &server_order, by)?;
    original.insert(key.to_owned(), Json::Array(merged));
    Ok(())
}

/// Refuses an order that lacks an element of the list, or has two the other way round.
fn agree(given: &[Json], order: &[Json], by: Option<&str>) -> Result<(), Problem> {
    if given.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in given {
        if item.get(PATCH).is_some() {
            continue;
        }
        let mut found = false;
        for place in rest.by_ref() {
            if identity(item, by)? == identity(place, by)? {
                found = true;
                break;
            }
        }
        if !found {
            return Err(Problem::Fit(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                go_value(&Json::Array(given.to_vec())),
                go_value(&Json::Array(order.to_vec()))
            )));
        }
    }
    Ok(())
}

/// What tells an element apart: its merge key's value, or itself.
fn identity<'a>(item: &'a Json, by: Option<&str>) -> Result<&'a Json, Problem> {
    let Some(by) = by else {
        return Ok(item);
    };
    let object = item.as_object().ok_or_else(|| Problem::no_map(item))?;
    object.get(by).ok_or_else(|| Problem::no_key(item, by))
}

/// Merges two lists that are merged, and puts the elements of the patch into its order.
fn merge_lists(
    items: &Type,
    strategy: &PatchStrategy,
    mut before: Vec<Json>,
    given: Vec<Json>,
) -> Result<Vec<Json>, Problem> {
    if before.is_empty() && given.is_empty() {
        return Ok(before);
    }
    let all = || before.iter().chain(&given);
    if all().any(Json::is_array) {
        return Err(Problem::Unsupported(
            "lists of lists are not supported".into(),
        ));
    }
    let maps = all().filter(|item| item.is_object()).count();
    if maps == 0 {
        let server_order = before.clone();
        let mut merged: Vec<Json> = Vec::with_capacity(before.len() + given.len());
        for item in before.into_iter().chain(given.iter().cloned()) {
            if !merged.contains(&item) {
                merged.push(item);
            }
        }
        return arrange(merged, &given, &server_order, None);
    }
    if let Some(scalar) = all().find(|item| !item.is_object()) {
        return Err(Problem::no_map(scalar));
    }
    let Some(by) = strategy.merge_key.as_deref() else {
        return Err(Problem::Fit(
            "cannot merge lists without merge key".to_owned(),
        ));
    };

    let mut replaced = false;
    let mut patches = Vec::with_capacity(given.len());
    for item in given {
        match item
            .get(PATCH)
            .map(|directive| (directive, directive.as_str()))
        {
            None => patches.push(item),
            Some((_, Some("delete"))) => {
                let gone = identity(&item, Some(by))?;
                before.retain(|one| one.get(by) != Some(gone));
            }
            Some((_, Some("replace"))) => replaced = true,
            Some((_, Some("merge"))) => {
                return Err(Problem::Fit(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            Some((directive, _)) => return Err(Problem::directive(directive, &item)),
        }
    }
    if replaced {
        return Ok(patches.into_iter().filter_map(plain).collect());
    }

    let order = patches.clone();
    let server_order = before.clone();
    for item in patches {
        let key = identity(&item, Some(by))?;
        let place = before.iter().position(|one| one.get(by) == Some(key));
        match (place, item) {
            (Some(place), Json::Object(item)) => {
                let Json::Object(mine) = std::mem::take(&mut before[place]) else {
                    continue;
                };
                before[place] = Json::Object(merge(items, mine, item)?);
            }
            (_, item) => before.extend(plain(item)),
        }
    }
    arrange(before, &order, &server_order, Some(by))
}

/// Puts elements that `order` names into its order. The others keep theirs, each before the first of those that it was before.
fn arrange(
    merged: Vec<Json>,
    order: &[Json],
    server_order: &[Json],
    by: Option<&str>,
) -> Result<Vec<Json>, Problem> {
    for item in order {
        identity(item, by)?;
    }
    let place = |list: &[Json], item: &Json| -> Result<Option<usize>, Problem> {
        let item = identity(item, by)?;
        Ok(list.iter().position(|one| match by {
            Some(by) => one.get(by) == Some(item),
            None => one == item,
        }))
    };
    let mut named = Vec::new();
    let mut others = Vec::new();
    for item in merged {
        match place(order, &item)? {
            Some(at) => named.push((at, item)),
            None => others.push((place(server_order, &item)?, item)),
        }
    }
    named.sort_by_key(|(at, _)| *at);
    others.sort_by_key(|(at, _)| at.unwrap_or(usize::MAX));

    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, item) in named {
        let here = place(server_order, &item)?;
        while let (Some(here), Some((Some(there), _))) = (here, others.peek()) {
            if *there >= here {
                break;
            }
            arranged.extend(others.next().map(|(_, other)| other));
        }
        arranged.push(item);
    }
    arranged.extend(others.map(|(_, other)| other));
    Ok(arranged)
}

#[cfg(test)]
#[path = "strategic_tests.rs"]
mod tests;
