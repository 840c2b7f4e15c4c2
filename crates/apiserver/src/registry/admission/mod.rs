//! What the server adds to objects on their way in, and refuses: the admission plugins that every cluster runs.
//!
//! In Kubernetes' order: first all that change the object, then, when it is whole, those that count.

mod ingress;
mod limit_ranger;
mod pod;
mod priority;
mod quota;
mod service_account;
mod services;
mod storage;

use std::sync::Arc;

use apimachinery::defaults::qos_class;
use apimachinery::{GroupResource, Resource, Status};
use jiff::Timestamp;
use serde_json::Value as Json;

use super::Registry;
use super::call::Call;
use crate::store::{Key, Stored, Transaction};

pub(super) use quota::{Usage, recount};
pub(super) use services::ServiceCidr;

/// A write that is about to happen.
pub(super) struct Attempt<'a, 't> {
    pub registry: &'a Registry,
    pub call: &'a Call<'a>,
    /// In the version that is stored.
    pub resource: &'a Resource,
    pub key: &'a Key,
    /// What is there; none when it is made.
    pub old: Option<&'a Json>,
    pub now: Timestamp,
    pub tx: &'a mut Transaction<'t>,
}

impl Attempt<'_, '_> {
    fn creates(&self) -> bool {
        self.old.is_none()
    }

    fn forbidden(&self, why: &str) -> Status {
        self.call.forbidden(&self.key.name, why)
    }

    fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Option<Arc<Stored>> {
        let place = GroupResource::new(group, plural);
        self.tx.get(&Key::new(&place, namespace, name))
    }

    fn list(&self, group: &str, plural: &str, namespace: Option<&str>) -> Vec<Arc<Stored>> {
        self.tx.list(&GroupResource::new(group, plural), namespace)
    }
}

/// Changes the object.
///
/// # Errors
/// Mostly `Forbidden`, in the plugin's words.
pub(super) fn mutate(attempt: &mut Attempt<'_, '_>, object: &mut Json) -> Result<(), Status> {
    if attempt.call.subresource.is_some() {
        return Ok(());
    }
    match (&*attempt.resource.kind.group, &*attempt.resource.plural) {
        ("", "pods") if attempt.creates() => {
            limit_ranger::default_pod(attempt, object);
            service_account::admit(attempt, object)?;
            priority::admit_pod(attempt, object)?;
            pod::tolerate(object);
            pod::runtime_class(attempt, object)?;
            // Limits may have made it another one.
            object["status"]["qosClass"] = qos_class(object).into();
            Ok(())
        }
        ("scheduling.k8s.io", "priorityclasses") => priority::admit_class(attempt, object),
        ("", "persistentvolumeclaims") if attempt.creates() => {
            storage::default_class(attempt, object);
            storage::protect(object, "kubernetes.io/pvc-protection");
            Ok(())
        }
        ("", "persistentvolumes") if attempt.creates() => {
            storage::protect(object, "kubernetes.io/pv-protection");
            Ok(())
        }
        ("", "services") => services::admit(attempt, object),
        ("networking.k8s.io", "ingresses") if attempt.creates() => {
            ingress::default_class(attempt, object);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Refuses what breaks a rule that depends on other objects.
///
/// # Errors
/// `Forbidden`, in the plugin's words.
pub(super) fn validate(attempt: &mut Attempt<'_, '_>, object: &Json) -> Result<(), Status> {
    match (&*attempt.resource.kind.group, &*attempt.resource.plural) {
        ("", "pods") if attempt.creates() => limit_ranger::check_pod(attempt, object)?,
        ("", "persistentvolumeclaims") if attempt.call.subresource.is_none() => {
            limit_ranger::check_claim(attempt, object)?;
            storage::check_resize(attempt, object)?;
        }
        _ => {}
    }
    quota::check(attempt, object)
}
