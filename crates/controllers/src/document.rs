//! How actions name and change objects.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::{Metadata, Resource};
use serde_json::{Value as Json, json};

use crate::{Action, EventKind, Key, Reference};

/// A time as objects have it: whole seconds.
pub(crate) fn seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second())
        .unwrap_or(time)
        .to_string()
}

/// The owner that controls an object.
pub(crate) fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata
        .owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
}

/// The key of the object of this kind that controls another one of this namespace.
pub(crate) fn controller_named(metadata: &ObjectMeta, namespace: &str, kind: &str) -> Option<Key> {
    controller_of(metadata)
        .filter(|owner| owner.kind == kind)
        .map(|owner| Key::new(namespace, &owner.name))
}

/// An object with a name.
pub(crate) trait Named: Resource + Metadata<Ty = ObjectMeta> {
    /// Its name and namespace.
    fn key(&self) -> Key {
        let metadata = self.metadata();
        Key::new(
            metadata.namespace.as_deref().unwrap_or_default(),
            self.name(),
        )
    }

    fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    fn uid(&self) -> &str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    fn is_deleting(&self) -> bool {
        self.metadata().deletion_timestamp.is_some()
    }

    fn annotation(&self, name: &str) -> Option<&str> {
        let annotations = self.metadata().annotations.as_ref()?;
        annotations.get(name).map(String::as_str)
    }

    fn label(&self, name: &str) -> Option<&str> {
        let labels = self.metadata().labels.as_ref()?;
        labels.get(name).map(String::as_str)
    }

    fn has_finalizer(&self, name: &str) -> bool {
        let finalizers = self.metadata().finalizers.as_deref().unwrap_or_default();
        finalizers.iter().any(|other| other == name)
    }

    /// The object's place in the API.
    fn reference(&self) -> Reference {
        Reference::new(Self::GROUP, Self::URL_PATH_SEGMENT, &self.key())
    }

    /// What Events say that they are about.
    fn subject(&self) -> Json {
        let metadata = self.metadata();
        let mut subject = json!({
            "apiVersion": Self::API_VERSION,
            "kind": Self::KIND,
            "name": self.name(),
            "uid": self.uid(),
        });
        if let Some(namespace) = &metadata.namespace {
            subject["namespace"] = json!(namespace);
        }
        subject
    }

    /// An Event about it.
    fn tell(&self, kind: EventKind, reason: &str, message: impl Into<String>) -> Action {
        Action::Event {
            about: self.subject(),
            kind,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// What another object says of it as its controller.
    fn as_owner(&self) -> Json {
        json!({
            "apiVersion": Self::API_VERSION,
            "kind": Self::KIND,
            "name": self.name(),
            "uid": self.uid(),
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// A merge patch that only this very object takes, not another that has its name by now.
    fn patch(&self, mut patch: Json) -> Action {
        patch["metadata"]["uid"] = json!(self.uid());
        Action::Patch {
            of: self.reference(),
            subresource: None,
            patch,
        }
    }

    /// The same of its status.
    fn patch_status(&self, status: Json) -> Action {
        Action::Patch {
            of: self.reference(),
            subresource: Some("status"),
            patch: json!({"metadata": {"uid": self.uid()}, "status": status}),
        }
    }

    /// A patch that is refused once the object has changed: for lists, which a patch replaces as a whole.
    fn patch_as_seen(&self, mut patch: Json) -> Action {
        patch["metadata"]["resourceVersion"] = json!(self.metadata().resource_version);
        self.patch(patch)
    }

    /// Its finalizers with one more.
    fn with_finalizer(&self, name: &str) -> Action {
        let mut all = self.metadata().finalizers.clone().unwrap_or_default();
        all.push(name.to_owned());
        self.patch_as_seen(json!({"metadata": {"finalizers": all}}))
    }

    /// Its finalizers with one less.
    fn without_finalizer(&self, name: &str) -> Action {
        let mut all = self.metadata().finalizers.clone().unwrap_or_default();
        all.retain(|other| other != name);
        let all = if all.is_empty() {
            Json::Null
        } else {
            json!(all)
        };
        self.patch_as_seen(json!({"metadata": {"finalizers": all}}))
    }

    fn delete(&self, grace: Option<i64>) -> Action {
        Action::Delete {
            of: self.reference(),
            uid: self.uid().to_owned(),
            grace,
            propagation: None,
        }
    }
}

impl<T: Resource + Metadata<Ty = ObjectMeta>> Named for T {}
