//! Objects and their lives: what the API server does with a request once it knows who asks and that they may.
//!
//! [`Registry`] is for clients: its writes are answered when the disk has them. [`Local`] is for controllers in this process:
//! the same writes, in the same order, without authorization and without waiting.

mod admission;
mod bootstrap;
mod call;
mod catalogue;
mod conversion;
mod create;
mod custom;
mod delete;
mod document;
mod events;
mod local;
mod machinery;
mod namespace;
mod naming;
mod pods;
mod scale;
mod strategy;
mod update;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use apimachinery::managed::Writer;
use apimachinery::status::Reason;
use apimachinery::{GroupResource, Resource, Status, builtin, crd};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value as Json;

use crate::ports::{Clock, UserInfo};
use crate::store::{Key, Listing, Revision, Store, StoreError, Stored, Transaction};

pub use call::{Call, DeleteOptions, Deleted, FieldValidation, Patch, Propagation, Written};
pub use catalogue::{Catalogue, compare_versions};
pub use local::{About, Local, Noted};

use admission::ServiceCidr;
use update::Source;

/// Issues service-account tokens.
pub trait Tokens: Send + Sync {
    /// Answers a `TokenRequest` (the whole document, with the answer in its `status`) for a service account.
    ///
    /// # Errors
    /// When what it asks for can't be issued.
    fn issue(
        &self,
        service_account: &Json,
        request: Json,
        store: &Store,
        user: &UserInfo,
    ) -> Result<Json, Status>;
}

/// What a registry is told.
pub struct Settings {
    pub clock: Arc<dyn Clock>,
    /// The addresses of Services (`10.100.0.0/16`).
    pub service_cidr: String,
    /// None: `TokenRequest`s are answered by somebody else, and refused here.
    pub tokens: Option<Arc<dyn Tokens>>,
}

/// What a write came to.
struct Outcome {
    stored: Arc<Stored>,
    created: bool,
    revision: Revision,
    warnings: Vec<String>,
}

/// The objects of a cluster.
pub struct Registry {
    store: Store,
    settings: Settings,
    catalogue: RwLock<Arc<Catalogue>>,
    /// Held while the catalogue is made anew.
    reloading: Mutex<()>,
    services: ServiceCidr,
    events: Mutex<events::Recent>,
    usage: Mutex<admission::Usage>,
}

impl Registry {
    /// Opens the store in a folder, and makes what every cluster has from the beginning (the system's namespaces, priority
    /// classes and the Service `kubernetes`), unless it is there.
    ///
    /// # Errors
    /// When the store can't be opened, see [`StoreError`].
    pub fn open(folder: &Path, settings: Settings) -> Result<Arc<Self>, StoreError> {
        let services = ServiceCidr::parse(&settings.service_cidr).ok_or_else(|| {
            StoreError::Unusable(format!(
                "{:?} is no range of addresses for Services",
                settings.service_cidr
            ))
        })?;
        let store = Store::open(folder)?;
        let registry = Arc::new(Self {
            store,
            settings,
            catalogue: RwLock::default(),
            reloading: Mutex::new(()),
            services,
            events: Mutex::default(),
            usage: Mutex::default(),
        });
        registry.reload();
        events::recall(&registry);
        bootstrap::bootstrap(&registry).map_err(|status| StoreError::Unusable(status.message))?;
        Ok(registry)
    }

    /// Where the objects are: for watches.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.settings.clock
    }

    /// What is served now.
    #[must_use]
    pub fn resources(&self) -> Arc<Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Under which resource the objects of a resource are stored: Events are the same in both of their groups.
    #[must_use]
    pub fn place(&self, resource: &Resource) -> GroupResource {
        catalogue::place(resource)
    }

    /// A stored object in the version of a resource: mostly its bytes as they are.
    #[must_use]
    pub fn present(&self, resource: &Resource, stored: &Stored) -> Bytes {
        conversion::present(resource, &self.target(resource), stored)
    }

    /// The object, or a subresource of it (`status` is the object; `scale` is a `Scale`).
    ///
    /// # Errors
    /// `NotFound`.
    pub fn get(&self, call: &Call<'_>) -> Result<Bytes, Status> {
        let key = Key::new(&self.place(call.resource), call.namespace, call.name);
        let stored = self
            .store
            .get(&key)
            .ok_or_else(|| call.not_found(call.name))?;
        if call.subresource == Some("scale") {
            return Ok(self.scale_of(call, &stored)?.to_string().into());
        }
        Ok(self.present(call.resource, &stored))
    }

    /// The objects of the call's resource in its namespace, or in all. [`Registry::present`] gives their bytes.
    #[must_use]
    pub fn list(&self, call: &Call<'_>) -> Listing {
        let namespace = (!call.namespace.is_empty()).then_some(call.namespace);
        self.store.list(&self.place(call.resource), namespace)
    }

    /// Creates an object, or what POST to a subresource does (`eviction`, `binding`, `token`).
    ///
    /// # Errors
    /// As Kubernetes has them.
    pub async fn create(&self, call: &Call<'_>, body: Json) -> Result<Written, Status> {
        let written = self.create_now(call, body)?;
        self.synced(written.revision).await?;
        Ok(written)
    }

    /// Replaces an object, or its subresource (`status`, `scale`, `finalize`, `approval`, `ephemeralcontainers`, `resize`).
    ///
    /// # Errors
    /// As Kubernetes has them.
    pub async fn update(&self, call: &Call<'_>, body: Json) -> Result<Written, Status> {
        let written = self.change_now(call, Source::Put(body))?;
        self.synced(written.revision).await?;
        Ok(written)
    }

    /// Patches an object or its subresource; server-side apply also creates.
    ///
    /// # Errors
    /// As Kubernetes has them.
    pub async fn patch(&self, call: &Call<'_>, patch: &Patch) -> Result<Written, Status> {
        let written = self.change_now(call, Source::Patch(patch))?;
        self.synced(written.revision).await?;
        Ok(written)
    }

    /// Deletes an object, or begins to.
    ///
    /// # Errors
    /// As Kubernetes has them.
    pub async fn delete(
        &self,
        call: &Call<'_>,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        let deleted = self.delete_object(call, options)?;
        self.synced(deleted.revision).await?;
        Ok(deleted)
    }

    /// Deletes the objects of a collection that are `wanted`. The answer to the client is a list of them.
    ///
    /// # Errors
    /// The first that one of the deletions has, unless it is that the object has gone meanwhile.
    pub async fn delete_collection(
        &self,
        call: &Call<'_>,
        options: &DeleteOptions,
        wanted: &(dyn Fn(&Stored) -> bool + Sync),
    ) -> Result<Vec<Deleted>, Status> {
        let deleted = self.delete_all(call, options, &wanted)?;
        if let Some(last) = deleted.last() {
            self.synced(last.revision).await?;
        }
        Ok(deleted)
    }

    /// Waits until the disk has everything up to a revision.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn synced(&self, revision: Revision) -> Result<(), Status> {
        self.store.synced(revision).await
    }

    /// The client for a controller of this process; `manager` owns the fields that it writes.
    #[must_use]
    pub fn local(self: &Arc<Self>, manager: &str) -> Local {
        Local::new(self.clone(), manager)
    }

    fn create_now(&self, call: &Call<'_>, body: Json) -> Result<Written, Status> {
        let core = call.resource.kind.group.is_empty();
        match call.subresource {
            None if core && &*call.resource.plural == "bindings" => {
                self.create_binding(call, &body)
            }
            None => Ok(self.written(call, self.create_object(call, body)?)),
            Some("binding") => self.create_binding(call, &body),
            Some("eviction") => self.create_eviction(call, &body),
            Some("token") => self.create_token(call, body),
            Some(_) => Err(not_allowed(call)),
        }
    }

    fn change_now(&self, call: &Call<'_>, source: Source<'_>) -> Result<Written, Status> {
        match call.subresource {
            Some("scale") => self.change_scale(call, source),
            None | Some("status" | "finalize" | "approval" | "ephemeralcontainers" | "resize") => {
                Ok(self.written(call, self.change_object(call, source)?))
            }
            Some(_) => Err(not_allowed(call)),
        }
    }

    fn create_token(&self, call: &Call<'_>, body: Json) -> Result<Written, Status> {
        let tokens = self
            .settings
            .tokens
            .as_ref()
            .ok_or_else(|| not_allowed(call))?;
        let key = Key::new(&self.place(call.resource), call.namespace, call.name);
        let account = self
            .store
            .get(&key)
            .ok_or_else(|| call.not_found(call.name))?;
        let answer = tokens.issue(&account.json(), body, &self.store, call.user)?;
        Ok(Written {
            object: answer.to_string().into(),
            created: true,
            revision: Revision(0),
            warnings: Vec::new(),
        })
    }

    /// The resource in the version that its objects are stored in.
    fn target(&self, resource: &Resource) -> Arc<Resource> {
        self.resources()
            .target(resource)
            .unwrap_or_else(|| Arc::new(resource.clone()))
    }

    fn target_of(&self, group: &str, plural: &str) -> Result<Arc<Resource>, Status> {
        self.resources()
            .stored_in(&GroupResource::new(group, plural))
            .ok_or_else(|| Status::not_found(group, plural, ""))
    }

    /// One transaction; nothing of it is kept if it is a dry run.
    fn write<T>(
        &self,
        dry_run: bool,
        act: impl FnOnce(&mut Transaction<'_>) -> Result<T, Status>,
    ) -> Result<(T, Revision), Status> {
        let written = self.store.transact(|tx| {
            let outcome = act(tx)?;
            if dry_run {
                tx.discard();
            }
            Ok(outcome)
        })?;
        self.reload();
        Ok(written)
    }

    /// Stores an object, with what follows from that.
    fn put(
        &self,
        tx: &mut Transaction<'_>,
        target: &Resource,
        key: &Key,
        object: Json,
    ) -> Result<Arc<Stored>, Status> {
        let stored = tx.put(key, object)?;
        admission::recount(self, tx, target, key)?;
        Ok(stored)
    }

    /// Takes an object away, with what follows from that.
    fn remove(
        &self,
        tx: &mut Transaction<'_>,
        target: &Resource,
        key: &Key,
        last: Option<Json>,
    ) -> Result<Arc<Stored>, Status> {
        let stored = tx.remove(key, last)?;
        if target.custom {
            custom::after_removal(tx, &key.resource)?;
        }
        admission::recount(self, tx, target, key)?;
        Ok(stored)
    }

    /// The answer to a write.
    fn written(&self, call: &Call<'_>, outcome: Outcome) -> Written {
        let stored = outcome.stored;
        let mut object = self.present(call.resource, &stored);
        if call.dry_run {
            // What wasn't stored has no version of its own.
            let mut shown: Json = serde_json::from_slice(&object).unwrap_or_default();
            let before = self.store.get(&stored.key);
            let metadata = document::metadata(&mut shown);
            match before {
                Some(before) => metadata.insert(
                    "resourceVersion".to_owned(),
                    before.revision.to_string().into(),
                ),
                None => metadata.remove("resourceVersion"),
            };
            object = shown.to_string().into();
        }
        Written {
            object,
            created: outcome.created,
            revision: outcome.revision,
            warnings: outcome.warnings,
        }
    }

    /// Makes the catalogue anew if a definition has changed.
    fn reload(&self) {
        let place = custom::definitions();
        let fresh = |catalogue: &Catalogue| {
            catalogue.serial() > 0 && catalogue.as_of() == self.store.changed(&place)
        };
        if fresh(&self.resources()) {
            return;
        }
        let _one = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = self.resources();
        if fresh(&before) {
            return;
        }
        let as_of = self.store.changed(&place);
        let listing = self.store.list(&place, None);
        let mut storage = Vec::new();
        for stored in &listing.items {
            let definition = stored.json();
            storage.push((
                GroupResource::new(
                    document::text(&definition, "/spec/group"),
                    document::text(&definition, "/spec/names/plural"),
                ),
                crd::storage_version(&definition)
                    .unwrap_or_default()
                    .to_owned(),
            ));
        }
        let built_in: Vec<Arc<Resource>> = if before.serial() == 0 {
            builtin::resources().into_iter().map(Arc::new).collect()
        } else {
            before.iter().filter(|one| !one.custom).cloned().collect()
        };
        let custom = custom::served(listing.items.iter().map(|stored| &**stored));
        let all = built_in
            .into_iter()
            .chain(custom.into_iter().map(Arc::new))
            .collect();
        let catalogue = Catalogue::new(all, &storage, before.serial() + 1, as_of);
        *self
            .catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(catalogue);
    }
}

fn not_allowed(call: &Call<'_>) -> Status {
    Status::new(
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    )
    .about(&call.resource.kind.group, &call.resource.plural, call.name)
}

/// Whose a call's write is. `version` is the stored one's `apiVersion`.
fn writer<'a>(
    call: &'a Call<'_>,
    target: &Resource,
    (manager, version): (&'a str, &'a str),
    now: Timestamp,
) -> Writer<'a> {
    Writer {
        manager,
        subresource: call.subresource.unwrap_or_default(),
        api_version: version,
        now,
        reset: strategy::reset_fields(target, call.subresource),
    }
}
