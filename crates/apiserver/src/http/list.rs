//! Lists, whole and page by page.
//!
//! A page after the first shows the collection as of the first page's revision: the collection of today, with what happened
//! since then undone. So no list has to be kept for clients who may never come back; once the changes since then are not
//! known any more, the list has expired and the client begins again.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Status;
use apimachinery::status::{Cause, Reason};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::query::{ListOptions, Match};
use super::select::Selection;
use crate::registry::{Call, Registry};
use crate::store::{ChangeKind, Listing, Revision, Stored};

/// A list or a part of it.
#[derive(Debug)]
pub(crate) struct Page {
    pub items: Vec<Arc<Stored>>,
    revision: Revision,
    /// How to ask for the rest.
    next: Option<String>,
    /// How many objects the rest has; known only where nothing is selected.
    remaining: Option<usize>,
}

/// Where a page begins.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    v: String,
    rv: u64,
    /// The last object of the page before: `namespace/name`.
    start: String,
}

impl Page {
    /// # Errors
    /// 400 for an unreadable `continue`, 410 when it is too old, 504 for a revision that is yet to come.
    pub(crate) fn read(
        registry: &Registry,
        call: &Call<'_>,
        options: &ListOptions,
        selection: &Selection,
    ) -> Result<Self, Status> {
        let mut listing = registry.list(call);
        let mut after = None;
        if let Some(text) = &options.next {
            let token = Token::read(text)?;
            listing = as_of(registry, call, listing, Revision(token.rv))?;
            after = Some(token.start);
        } else if let Some(revision) = options.revision {
            if revision > listing.revision {
                return Err(too_large(revision, listing.revision));
            }
            if options.matching == Some(Match::Exact) {
                listing = as_of(registry, call, listing, revision)?;
            }
        }
        let Listing {
            mut items,
            revision,
        } = listing;
        if let Some(after) = &after {
            let (namespace, name) = after.split_once('/').unwrap_or(("", after));
            items.retain(|item| (&*item.key.namespace, &*item.key.name) > (namespace, name));
        }
        if !selection.is_everything() {
            items.retain(|item| selection.means(item));
        }
        let mut page = Self {
            items,
            revision,
            next: None,
            remaining: None,
        };
        if let Some(limit) = options.limit.filter(|limit| *limit < page.items.len()) {
            let rest = page.items.len() - limit;
            page.items.truncate(limit);
            page.remaining = selection.is_everything().then_some(rest);
            page.next = page.items.last().map(|last| Token::after(last, revision));
        }
        Ok(page)
    }

    /// The list's `metadata`.
    pub(crate) fn meta(&self) -> Json {
        let mut meta = json!({"resourceVersion": self.revision.to_string()});
        if let Some(next) = &self.next {
            meta["continue"] = json!(next);
        }
        if let Some(remaining) = self.remaining {
            meta["remainingItemCount"] = json!(remaining);
        }
        meta
    }
}

impl Token {
    fn after(last: &Stored, revision: Revision) -> String {
        let token = Self {
            v: "meta.k8s.io/v1".to_owned(),
            rv: revision.0,
            start: format!("{}/{}", last.key.namespace, last.key.name),
        };
        URL_SAFE_NO_PAD.encode(json!(token).to_string())
    }

    fn read(text: &str) -> Result<Self, Status> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        let token = bytes
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok());
        token
            .filter(|token| token.v == "meta.k8s.io/v1")
            .ok_or_else(|| Status::bad_request("continue key is not valid"))
    }
}

/// A collection as it was at a revision.
fn as_of(
    registry: &Registry,
    call: &Call<'_>,
    listing: Listing,
    revision: Revision,
) -> Result<Listing, Status> {
    if revision == listing.revision {
        return Ok(listing);
    }
    let place = registry.place(call.resource);
    let ours = |object: &Stored| {
        object.key.resource == place
            && (call.namespace.is_empty() || *object.key.namespace == *call.namespace)
    };
    let mut changes = Vec::new();
    let mut seen = revision;
    while seen < listing.revision {
        let more = registry
            .store()
            .changes(seen, |change| {
                change.revision <= listing.revision && ours(&change.object)
            })
            .map_err(|_| {
                Status::new(
                    Reason::Expired,
                    "The provided continue parameter is too old to display a consistent list result. You must start a new \
                     list without the continue parameter.",
                )
            })?;
        if more.revision == seen {
            break;
        }
        seen = more.revision;
        changes.extend(more.items);
    }
    let mut items: BTreeMap<(Arc<str>, Arc<str>), Arc<Stored>> = BTreeMap::new();
    let place_of = |object: &Stored| (object.key.namespace.clone(), object.key.name.clone());
    for item in listing.items {
        items.insert(place_of(&item), item);
    }
    for change in changes.into_iter().rev() {
        let place = place_of(&change.object);
        match (change.kind, change.before) {
            (ChangeKind::Added, _) | (_, None) => items.remove(&place),
            (_, Some(before)) => items.insert(place, before),
        };
    }
    Ok(Listing {
        items: items.into_values().collect(),
        revision,
    })
}

/// That somebody asks for what has not happened yet: of another server, or of this one before it lost its last moments.
fn too_large(asked: Revision, newest: Revision) -> Status {
    let mut status = Status::new(
        Reason::Timeout,
        format!("Too large resource version: {asked}, current: {newest}"),
    )
    .with_causes(vec![Cause {
        reason: "ResourceVersionTooLarge".to_owned(),
        message: "Too large resource version".to_owned(),
        field: String::new(),
    }]);
    if let Some(details) = &mut status.details {
        details.retry_after_seconds = Some(1);
    }
    status
}
