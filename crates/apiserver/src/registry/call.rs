//! What a request asks of the registry, and what it gets.

use std::sync::Arc;

use apimachinery::{Resource, Status};
use serde_json::Value as Json;

use crate::ports::UserInfo;
use crate::store::{Revision, Stored};

/// What a request is about, and who asks.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The resource in the version that the path names; bodies and answers are in this version.
    pub resource: &'a Arc<Resource>,
    /// Empty for what has no namespace, and for lists of all namespaces.
    pub namespace: &'a str,
    /// Empty for collections.
    pub name: &'a str,
    /// `status`, `scale`, `eviction`, `binding`, `token`, `finalize`, `approval`, `ephemeralcontainers`, `resize`.
    pub subresource: Option<&'a str>,
    pub user: &'a UserInfo,
    /// Everything is done but kept (`dryRun=All`).
    pub dry_run: bool,
    /// The query's `fieldManager`.
    pub field_manager: Option<&'a str>,
    pub field_validation: FieldValidation,
    /// The `User-Agent` header: what stands before its first `/` is the field manager of those who name none.
    pub user_agent: &'a str,
    /// What the decoder of the body had to say, in Kubernetes' words (`duplicate field "spec.x"`): refused or warned of
    /// with the unknown fields.
    pub decoding: &'a [String],
}

impl<'a> Call<'a> {
    /// A call about a resource with nothing special about it.
    #[must_use]
    pub fn of(resource: &'a Arc<Resource>, user: &'a UserInfo) -> Self {
        Self {
            resource,
            namespace: "",
            name: "",
            subresource: None,
            user,
            dry_run: false,
            field_manager: None,
            field_validation: FieldValidation::Warn,
            user_agent: "",
            decoding: &[],
        }
    }

    #[must_use]
    pub fn named(self, namespace: &'a str, name: &'a str) -> Self {
        Self {
            namespace,
            name,
            ..self
        }
    }

    /// Who owns the fields that this call writes.
    #[must_use]
    pub fn manager(&self) -> String {
        apimachinery::managed::manager_of(self.field_manager, self.user_agent)
    }

    pub(crate) fn not_found(&self, name: &str) -> Status {
        Status::not_found(&self.resource.kind.group, &self.resource.plural, name)
    }

    pub(crate) fn conflict(&self, name: &str, why: &str) -> Status {
        Status::conflict(&self.resource.kind.group, &self.resource.plural, name, why)
    }

    pub(crate) fn forbidden(&self, name: &str, why: &str) -> Status {
        Status::forbidden(&self.resource.kind.group, &self.resource.plural, name, why)
    }
}

/// What becomes of fields that nobody knows (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, with a warning.
    #[default]
    Warn,
    /// The request is refused.
    Strict,
}

impl FieldValidation {
    /// Of the query's value.
    ///
    /// # Errors
    /// When there is no such value.
    pub fn parse(value: &str) -> Result<Self, Status> {
        match value {
            "" | "Warn" => Ok(Self::Warn),
            "Ignore" => Ok(Self::Ignore),
            "Strict" => Ok(Self::Strict),
            _ => Err(Status::bad_request(format!(
                "fieldValidation: Unsupported value: {value:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
            ))),
        }
    }
}

/// A patch, by its content type.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// `application/json-patch+json`
    Json(Json),
    /// `application/merge-patch+json`
    Merge(Json),
    /// `application/strategic-merge-patch+json`
    Strategic(Json),
    /// `application/apply-patch+yaml`. `force` takes fields from those who own them.
    Apply { object: Json, force: bool },
}

/// What a write left behind.
#[derive(Debug, Clone)]
pub struct Written {
    /// The body of the answer: the object in the call's version, or what the subresource answers with (a `Scale`, an
    /// `Eviction`'s `Status`, a `TokenRequest`).
    pub object: bytes::Bytes,
    /// Whether it is new (201) or was there before (200).
    pub created: bool,
    /// Of the last write; for what didn't change, the object's own.
    pub revision: Revision,
    /// For the `Warning` headers, as plain text.
    pub warnings: Vec<String>,
}

impl Written {
    /// The answer as a document.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.object).unwrap_or_default()
    }
}

/// What a deletion left behind.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// The object as it is now, or was last.
    pub object: Arc<Stored>,
    /// Whether it is gone; if not, finalizers or its grace period hold it.
    pub gone: bool,
    pub revision: Revision,
    pub warnings: Vec<String>,
}

impl Deleted {
    /// The body of the answer to a deletion: a `Status` when the object is gone, the object while it is not. Pods are always
    /// answered with the pod.
    #[must_use]
    pub fn answer(&self, registry: &super::Registry, call: &Call<'_>) -> bytes::Bytes {
        let resource = call.resource;
        let whole = resource.kind.group.is_empty()
            && matches!(
                &*resource.plural,
                "pods"
                    | "services"
                    | "persistentvolumeclaims"
                    | "persistentvolumes"
                    | "serviceaccounts"
                    | "podtemplates"
                    | "resourcequotas"
            );
        if !self.gone || whole {
            return registry.present(resource, &self.object);
        }
        let status = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {
                "name": &*self.object.key.name,
                "group": &*resource.kind.group,
                "kind": &*resource.plural,
                "uid": &*self.object.uid,
            },
        });
        let mut status = status;
        if resource.kind.group.is_empty()
            && let Some(details) = status["details"].as_object_mut()
        {
            details.remove("group");
        }
        status.to_string().into()
    }
}

/// What becomes of the objects that an object owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted later.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

impl Propagation {
    /// Of its name in the API.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "Background" => Some(Self::Background),
            "Foreground" => Some(Self::Foreground),
            "Orphan" => Some(Self::Orphan),
            _ => None,
        }
    }
}

/// How to delete.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// In seconds; of pods only. None is the pod's own.
    pub grace_period: Option<i64>,
    pub propagation: Option<Propagation>,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only the object as of this resourceVersion.
    pub resource_version: Option<String>,
    pub dry_run: bool,
}
impl DeleteOptions {
    /// Of a `DeleteOptions` document (`v1`, or of any group), the request's body.
    ///
    /// # Errors
    /// When it says what can't be.
    pub fn parse(body: &Json) -> Result<Self, Status> {
        let mut options = Self {
            grace_period: body["gracePeriodSeconds"].as_i64(),
            ..Self::default()
        };
        if let Some(name) = body["propagationPolicy"].as_str() {
            options.set_propagation(name)?;
        } else if let Some(orphan) = body["orphanDependents"].as_bool() {
            options.propagation = Some(if orphan {
                Propagation::Orphan
            } else {
                Propagation::Background
            });
        }
        let text = |value: &Json| {
            value
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        options.uid = text(&body["preconditions"]["uid"]);
        options.resource_version = text(&body["preconditions"]["resourceVersion"]);
        if let Some(all) = body["dryRun"].as_array() {
            options.dry_run = !all.is_empty();
        }
        Ok(options)
    }

    /// Takes in the query's (or the body's) `propagationPolicy`.
    ///
    /// # Errors
    /// When there is no such policy.
    pub fn set_propagation(&mut self, name: &str) -> Result<(), Status> {
        self.propagation = Some(Propagation::parse(name).ok_or_else(|| {
            Status::invalid(
                "meta.k8s.io",
                "DeleteOptions",
                "",
                vec![apimachinery::status::Cause {
                    reason: "FieldValueNotSupported".to_owned(),
                    message: format!(
                        "Unsupported value: {name:?}: supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\""
                    ),
                    field: "propagationPolicy".to_owned(),
                }],
            )
        })?);
        Ok(())
    }
}
