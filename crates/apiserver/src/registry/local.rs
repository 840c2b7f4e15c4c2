//! The client for controllers of this process.

use std::sync::Arc;

use apimachinery::status::Reason;
use apimachinery::{GroupResource, Resource, Status};
use serde_json::Value as Json;

use super::document::text;
use super::update::Source;
use super::{Call, DeleteOptions, FieldValidation, Patch, Registry, events};
use crate::ports::UserInfo;
use crate::store::{Change, Changes, Expired, Key, Listing, Revision, Stored};

/// An object by the parts of its path; `group` and `namespace` may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About<'a> {
    pub group: &'a str,
    /// The plural name.
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

/// An event to tell of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noted<'a> {
    /// The object that it is about: a whole object or an `ObjectReference`.
    pub about: &'a Json,
    /// `Normal` or `Warning`.
    pub kind: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
}

/// Writes as a named field manager, without authorization and without waiting for the disk; what is written is in the order
/// of the calls, and before everything that anybody writes later. Everything else (validation, admission, conflicts) is as it
/// is for clients.
#[derive(Clone)]
pub struct Local {
    registry: Arc<Registry>,
    manager: Arc<str>,
    user: Arc<UserInfo>,
}

impl Local {
    pub(super) fn new(registry: Arc<Registry>, manager: &str) -> Self {
        let user = UserInfo {
            username: format!("system:serviceaccount:kube-system:{manager}"),
            uid: String::new(),
            groups: vec![
                "system:masters".to_owned(),
                "system:authenticated".to_owned(),
            ],
            extra: std::collections::BTreeMap::new(),
        };
        Self {
            registry,
            manager: manager.into(),
            user: user.into(),
        }
    }

    /// The same for another field manager.
    #[must_use]
    pub fn as_manager(&self, manager: &str) -> Self {
        Self::new(self.registry.clone(), manager)
    }

    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    #[must_use]
    pub fn get(&self, about: About<'_>) -> Option<Arc<Stored>> {
        let place = GroupResource::new(about.group, about.resource);
        let key = Key::new(&place, about.namespace, about.name);
        self.registry.store().get(&key)
    }

    /// The objects of a resource, of one namespace or of all.
    #[must_use]
    pub fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Listing {
        let place = GroupResource::new(group, resource);
        self.registry.store().list(&place, namespace)
    }

    /// Creates an object; what it is and its namespace stand in it.
    ///
    /// # Errors
    /// As for a client.
    pub fn create(&self, object: Json) -> Result<Arc<Stored>, Status> {
        let resource = self.resource_of(&object)?;
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let call = self.call(&resource, &namespace, "", None);
        Ok(self.registry.create_object(&call, object)?.stored)
    }

    /// Creates an object unless its name is taken.
    ///
    /// # Errors
    /// As for a client.
    pub fn ensure(&self, object: Json) -> Result<(), Status> {
        let resource = self.resource_of(&object)?;
        let key = Key::new(
            &self.registry.place(&resource),
            text(&object, "/metadata/namespace"),
            text(&object, "/metadata/name"),
        );
        if self.registry.store().get(&key).is_some() {
            return Ok(());
        }
        match self.create(object) {
            Err(status) if status.reason == Reason::AlreadyExists => Ok(()),
            other => other.map(drop),
        }
    }

    /// Replaces an object. A `resourceVersion` in it must be the stored one.
    ///
    /// # Errors
    /// As for a client.
    pub fn update(&self, object: Json) -> Result<Arc<Stored>, Status> {
        self.replace(object, None)
    }

    /// Replaces an object's status.
    ///
    /// # Errors
    /// As for a client.
    pub fn update_status(&self, object: Json) -> Result<Arc<Stored>, Status> {
        self.replace(object, Some("status"))
    }

    fn replace(&self, object: Json, subresource: Option<&str>) -> Result<Arc<Stored>, Status> {
        let resource = self.resource_of(&object)?;
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let name = text(&object, "/metadata/name").to_owned();
        let call = self.call(&resource, &namespace, &name, subresource);
        let changed = self.registry.change_object(&call, Source::Put(object))?;
        Ok(changed.stored)
    }

    /// Applies a configuration (server-side apply), and takes from others the fields that they own of it.
    ///
    /// # Errors
    /// As for a client.
    pub fn apply(&self, object: Json) -> Result<Arc<Stored>, Status> {
        let resource = self.resource_of(&object)?;
        let namespace = text(&object, "/metadata/namespace").to_owned();
        let name = text(&object, "/metadata/name").to_owned();
        let call = self.call(&resource, &namespace, &name, None);
        let patch = Patch::Apply {
            object,
            force: true,
        };
        let changed = self.registry.change_object(&call, Source::Patch(&patch))?;
        Ok(changed.stored)
    }

    /// Applies a merge patch (RFC 7386), to the object or to a subresource.
    ///
    /// # Errors
    /// As for a client.
    pub fn merge_patch(
        &self,
        about: About<'_>,
        subresource: Option<&str>,
        patch: Json,
    ) -> Result<Arc<Stored>, Status> {
        let resource = self.resource(about)?;
        let call = self.call(&resource, about.namespace, about.name, subresource);
        let patch = Patch::Merge(patch);
        if subresource == Some("scale") {
            self.registry.change_scale(&call, Source::Patch(&patch))?;
            return self.get(about).ok_or_else(|| call.not_found(about.name));
        }
        let changed = self.registry.change_object(&call, Source::Patch(&patch))?;
        Ok(changed.stored)
    }

    /// Deletes an object, or begins to; whether it is gone.
    ///
    /// # Errors
    /// As for a client.
    pub fn delete(&self, about: About<'_>, options: &DeleteOptions) -> Result<bool, Status> {
        let resource = self.resource(about)?;
        let call = self.call(&resource, about.namespace, about.name, None);
        Ok(self.registry.delete_object(&call, options)?.gone)
    }

    /// Puts a pod on a node.
    ///
    /// # Errors
    /// `Conflict` when it is on one already.
    pub fn bind(&self, namespace: &str, pod: &str, node: &str) -> Result<(), Status> {
        self.registry.write(false, |tx| {
            self.registry.bind(tx, namespace, pod, node, &Json::Null)
        })?;
        Ok(())
    }

    /// Evicts a pod; with a uid, only that one.
    ///
    /// # Errors
    /// `TooManyRequests` when a PodDisruptionBudget forbids it now.
    pub fn evict(&self, namespace: &str, pod: &str, uid: Option<&str>) -> Result<(), Status> {
        let about = About {
            group: "",
            resource: "pods",
            namespace,
            name: pod,
        };
        let resource = self.resource(about)?;
        let call = self.call(&resource, namespace, pod, None);
        let options = DeleteOptions {
            uid: uid.map(str::to_owned),
            ..DeleteOptions::default()
        };
        self.registry
            .write(false, |tx| self.registry.evict(tx, &call, &options))?;
        Ok(())
    }

    /// Tells of something. The same told again (about the same object, for the same reason, in the same words, by the same
    /// manager) counts up the event that is there.
    ///
    /// # Errors
    /// When it can't be written: the namespace is being deleted, …
    pub fn event(&self, noted: Noted<'_>) -> Result<(), Status> {
        events::tell(&self.registry, &self.manager, noted)
    }

    fn resource(&self, about: About<'_>) -> Result<Arc<Resource>, Status> {
        self.registry.target_of(about.group, about.resource)
    }

    fn resource_of(&self, object: &Json) -> Result<Arc<Resource>, Status> {
        let (version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
        let catalogue = self.registry.resources();
        catalogue.of_type(version, kind).cloned().ok_or_else(|| {
            Status::new(
                Reason::NotFound,
                format!("no matches for kind {kind:?} in version {version:?}"),
            )
        })
    }

    fn call<'a>(
        &'a self,
        resource: &'a Arc<Resource>,
        namespace: &'a str,
        name: &'a str,
        subresource: Option<&'a str>,
    ) -> Call<'a> {
        Call {
            subresource,
            field_manager: Some(&self.manager),
            // Controllers write what they have read: nobody listens to warnings.
            field_validation: FieldValidation::Ignore,
            ..Call::of(resource, &self.user).named(namespace, name)
        }
    }

    /// What happened after a revision, see [`crate::store::Store::changes`].
    ///
    /// # Errors
    /// When it is too long ago.
    pub fn changes(
        &self,
        after: Revision,
        wanted: impl FnMut(&Change) -> bool,
    ) -> Result<Changes, Expired> {
        self.registry.store().changes(after, wanted)
    }
}
