//! Watches: what happens to a collection, as it happens.
//!
//! A watcher reads the store's ordered changes from where it is, at its own pace, so what it has not read yet costs nothing
//! of its own. It is closed when its client has taken nothing for [`STALLED`], and told `Expired` when it has fallen behind
//! what the store remembers; clients then begin again. Whole objects are sent as the bytes that are stored; rows and metadata
//! are written once for all watchers that want the same ([`Frames`]).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apimachinery::status::Reason;
use apimachinery::table::Include;
use apimachinery::{GroupResource, GroupVersionKind, Resource, Status};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::media::Form;
use super::query::ListOptions;
use super::reply;
use super::select::Selection;
use super::show::View;
use crate::server::Inner;
use crate::store::{Change, ChangeKind, Revision, Stored};

/// A client that takes nothing for so long is cut off.
const STALLED: Duration = Duration::from_secs(30);
/// About how many bytes are sent at once, and how many such parts may wait for the client.
const PART: usize = 64 << 10;
const PARTS: usize = 2;
/// While much happens, a watcher is served so often.
const PAUSE: Duration = Duration::from_millis(5);
/// How often a client that wants bookmarks is told how far it has come.
const BOOKMARK: Duration = Duration::from_secs(60);
/// Watches without a time limit of their own end after this, or up to twice as long.
const LONGEST: Duration = Duration::from_secs(1800);

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// With what there is.
    Now,
    /// With what there is, and a bookmark that says where that ends.
    NowAndSaySo,
    /// With what happens from now on.
    Next,
    After(Revision),
}

impl Start {
    fn of(options: &ListOptions) -> Self {
        match (options.initial, options.revision) {
            (Some(true), _) if options.bookmarks => Self::NowAndSaySo,
            (Some(true), _) => Self::Now,
            (Some(false), None | Some(Revision(0))) => Self::Next,
            (None, None | Some(Revision(0))) => Self::Now,
            (_, Some(revision)) => Self::After(revision),
        }
    }
}

/// Whom somebody watches, and how.
pub(crate) struct Watch {
    pub server: Arc<Inner>,
    pub resource: Arc<Resource>,
    /// `None` for all namespaces.
    pub namespace: Option<Arc<str>>,
    pub selection: Selection,
    pub view: View,
}

impl Watch {
    /// The answer, whose body goes on until the client leaves, its time is up, it falls behind, or the server closes.
    pub(crate) fn begin(self, options: &ListOptions) -> Response<Body> {
        let (parts, body) = reply::Stream::open(PARTS);
        let lasts = options.timeout.unwrap_or_else(|| {
            let drawn = u64::from(uuid::Uuid::new_v4().as_bytes()[0]);
            LONGEST + LONGEST * u32::try_from(drawn).unwrap_or(0) / 256
        });
        let place = self.server.registry.place(&self.resource);
        let watcher = Watcher {
            place,
            bookmarks: options.bookmarks,
            after: Revision(0),
            told: Revision(0),
            columns: false,
            translated: false,
            waiting: BytesMut::new(),
            parts,
            watch: self,
        };
        tokio::spawn(watcher.run(Start::of(options), Instant::now() + lasts));
        reply::of(StatusCode::OK, reply::JSON, body)
    }
}

/// Why a watcher ends.
struct Ended;

struct Watcher {
    watch: Watch,
    place: GroupResource,
    bookmarks: bool,
    /// What happened up to here has been looked at.
    after: Revision,
    /// The last revision that the client has heard of.
    told: Revision,
    /// Whether a table's columns have been sent.
    columns: bool,
    /// Whether objects are shown in another version than the one they are stored in.
    translated: bool,
    /// What is to be sent next.
    waiting: BytesMut,
    parts: mpsc::Sender<Bytes>,
}

impl Watcher {
    async fn run(mut self, start: Start, until: Instant) {
        // There is nobody to tell that it has ended but the client, who sees the end of the body.
        let _: Result<(), Ended> = self.serve(start, until).await;
    }

    async fn serve(&mut self, start: Start, until: Instant) -> Result<(), Ended> {
        let mut seen = self.watch.server.registry.store().subscribe();
        let mut closing = self.watch.server.closing();
        self.start(start).await?;
        let mut bookmark = Instant::now() + BOOKMARK;
        loop {
            seen.borrow_and_update();
            let sent = self.catch_up().await?;
            if sent {
                // What happens meanwhile is sent together.
                tokio::select! {
                    () = sleep_until(Instant::now() + PAUSE) => {}
                    () = closing.begun() => return Ok(()),
                }
            }
            tokio::select! {
                changed = seen.changed() => changed.map_err(|_| Ended)?,
                () = sleep_until(until) => {
                    if self.bookmarks {
                        self.bookmark(false);
                        self.send().await?;
                    }
                    return Ok(());
                }
                () = sleep_until(bookmark), if self.bookmarks => {
                    bookmark = Instant::now() + BOOKMARK;
                    if self.after > self.told {
                        self.bookmark(false);
                        self.send().await?;
                    }
                }
                () = closing.begun() => return Ok(()),
                () = self.parts.closed() => return Ok(()),
            }
        }
    }

    async fn start(&mut self, start: Start) -> Result<(), Ended> {
        let server = self.watch.server.clone();
        let store = server.registry.store();
        match start {
            Start::After(revision) => self.after = revision,
            Start::Next => self.after = store.revision(),
            Start::Now | Start::NowAndSaySo => {
                let listing = store.list(&self.place, self.watch.namespace.as_deref());
                self.after = listing.revision;
                for object in listing.items {
                    if self.watch.selection.means(&object) {
                        let whole = server.registry.present(&self.watch.resource, &object);
                        let shown = self.show(&whole);
                        self.event("ADDED", &shown).await?;
                    }
                }
                if start == Start::NowAndSaySo {
                    self.bookmark(true);
                }
            }
        }
        self.told = self.after;
        self.send().await
    }

    /// Tells of all that has happened, and whether there was anything to tell.
    async fn catch_up(&mut self) -> Result<bool, Ended> {
        let server = self.watch.server.clone();
        let mut sent = false;
        loop {
            let namespace = self.watch.namespace.clone();
            let ours = |change: &Change| {
                let key = &change.object.key;
                key.resource == self.place
                    && namespace.as_ref().is_none_or(|only| *only == key.namespace)
            };
            let changes = match server.registry.store().changes(self.after, ours) {
                Ok(changes) => changes,
                Err(expired) => {
                    let status = Status::new(Reason::Expired, expired.to_string());
                    let status: Bytes = status.to_json().to_string().into();
                    self.event("ERROR", &status).await?;
                    self.send().await?;
                    return Err(Ended);
                }
            };
            for change in &changes.items {
                self.tell(change).await?;
            }
            sent |= !self.waiting.is_empty();
            self.send().await?;
            if changes.revision == self.after {
                return Ok(sent);
            }
            self.after = changes.revision;
        }
    }

    async fn tell(&mut self, change: &Change) -> Result<(), Ended> {
        let selection = &self.watch.selection;
        let is = change.kind != ChangeKind::Deleted && selection.means(&change.object);
        let was = match (&change.before, change.kind) {
            (Some(before), _) => selection.means(before),
            (None, ChangeKind::Deleted) => selection.means(&change.object),
            (None, _) => false,
        };
        match (was, is) {
            (false, false) => return Ok(()),
            (false, true) => {
                let shown = self.show_change(change);
                self.event("ADDED", &shown).await?;
            }
            (true, true) => {
                let shown = self.show_change(change);
                self.event("MODIFIED", &shown).await?;
            }
            (true, false) if change.kind == ChangeKind::Deleted => {
                let shown = self.show_change(change);
                self.event("DELETED", &shown).await?;
            }
            // It has left the selection: what is told of is the object as it last belonged to it.
            (true, false) => {
                let before = change.before.as_ref().unwrap_or(&change.object);
                let whole = self.whole(before);
                let shown = self.show(&with_revision(&whole, change.revision));
                self.event("DELETED", &shown).await?;
            }
        }
        self.told = change.revision;
        Ok(())
    }

    fn whole(&mut self, object: &Stored) -> Bytes {
        let registry = &self.watch.server.registry;
        let whole = registry.present(&self.watch.resource, object);
        self.translated |= whole.as_ptr() != object.bytes.as_ptr();
        whole
    }

    /// An object as this client wants it, written for it alone.
    fn show(&mut self, whole: &Bytes) -> Bytes {
        let now = self.watch.server.clock.now();
        let first = !std::mem::replace(&mut self.columns, true);
        let Watch { view, resource, .. } = &self.watch;
        if first {
            view.first_row(resource, whole, now)
        } else {
            view.row(resource, whole, now)
        }
    }

    /// What has changed as this client wants it; the same bytes as for all others who want the same.
    fn show_change(&mut self, change: &Change) -> Bytes {
        let object = &change.object;
        let form = self.watch.view.form;
        let first_table = matches!(form, Form::Table(_)) && !self.columns;
        if first_table || (form == Form::Whole && !self.translated) {
            let whole = self.whole(object);
            return self.show(&whole);
        }
        let key = Wanted {
            revision: change.revision,
            kind: self.watch.resource.kind.clone(),
            form,
            include: match self.watch.view.include {
                Include::None => 0,
                Include::Metadata => 1,
                Include::Object => 2,
            },
        };
        let server = self.watch.server.clone();
        server.frames.get(key, || {
            let whole = self.whole(object);
            self.show(&whole)
        })
    }

    async fn event(&mut self, kind: &str, object: &Bytes) -> Result<(), Ended> {
        self.frame(kind, object);
        if self.waiting.len() >= PART {
            self.send().await?;
        }
        Ok(())
    }

    fn frame(&mut self, kind: &str, object: &Bytes) {
        let waiting = &mut self.waiting;
        waiting.reserve(object.len() + 40);
        waiting.extend_from_slice(b"{\"type\":\"");
        waiting.extend_from_slice(kind.as_bytes());
        waiting.extend_from_slice(b"\",\"object\":");
        waiting.extend_from_slice(object.trim_ascii_end());
        waiting.extend_from_slice(b"}\n");
    }

    /// Tells how far the client has come, or (`initial`) that it now knows what there was at the beginning.
    fn bookmark(&mut self, initial: bool) {
        let kind = &self.watch.resource.kind;
        let mut object = json!({
            "kind": kind.kind, "apiVersion": kind.api_version(),
            "metadata": {"resourceVersion": self.after.to_string(), "creationTimestamp": null},
        });
        if initial {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let shown = self.show(&object.to_string().into());
        self.frame("BOOKMARK", &shown);
        self.told = self.after;
    }

    async fn send(&mut self) -> Result<(), Ended> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let part = self.waiting.split().freeze();
        let sent = self.parts.send_timeout(part, STALLED).await;
        sent.map_err(|_| Ended)
    }
}

fn with_revision(whole: &Bytes, revision: Revision) -> Bytes {
    let mut object: Json = serde_json::from_slice(whole).unwrap_or_default();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.insert("resourceVersion".to_owned(), json!(revision.to_string()));
    }
    object.to_string().into()
}

/// What tells a written change from others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Wanted {
    revision: Revision,
    kind: GroupVersionKind,
    form: Form,
    include: u8,
}

/// Changes as they were last written for watchers.
#[derive(Default)]
pub(crate) struct Frames(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    frames: HashMap<Wanted, Bytes>,
    order: VecDeque<Wanted>,
    bytes: usize,
}

impl Frames {
    /// So many bytes are kept at most.
    const MOST: usize = 8 << 20;

    fn get(&self, wanted: Wanted, write: impl FnOnce() -> Bytes) -> Bytes {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frame) = kept.frames.get(&wanted) {
            return frame.clone();
        }
        // Written under the lock, so that others wait for it instead of writing it too.
        let frame = write();
        kept.bytes += frame.len();
        kept.order.push_back(wanted.clone());
        kept.frames.insert(wanted, frame.clone());
        while kept.bytes > Self::MOST {
            let Some(oldest) = kept.order.pop_front() else {
                break;
            };
            if let Some(gone) = kept.frames.remove(&oldest) {
                kept.bytes -= gone.len();
            }
        }
        frame
    }
}
