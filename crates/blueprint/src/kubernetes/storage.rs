//! What workloads stand on: namespaces, priority classes, the storage class.

use std::collections::BTreeSet;

use objects::k8s_openapi::api::core::v1::Namespace;
use objects::k8s_openapi::api::scheduling::v1::PriorityClass;
use objects::k8s_openapi::api::storage::v1::StorageClass;
use objects::snapshot::Object;
use spec::Platform;
use spec::model::services::Priority;

use super::pods::{Labels, labels, metadata};
use super::services::MANAGED_BY;
use crate::iam::ServiceAccount;

/// The storage class of the services' volumes, and of whoever names none.
pub(super) const STORAGE_CLASS: &str = "gp3";

/// Namespaces that every cluster has.
const THERE: [&str; 2] = ["default", "kube-system"];

/// The name of a service's priority class, and its value. Without one a pod has 0. What is the system's own begins at
/// two thousand million, above all that users may give.
pub(super) fn priority_class(priority: Priority) -> Option<(&'static str, i32)> {
    match priority {
        Priority::Low => Some(("services-low", -1_000)),
        Priority::Normal => None,
        Priority::High => Some(("services-high", 100_000)),
    }
}

pub(crate) fn foundation(platform: &Platform) -> Vec<Object> {
    let services = || {
        platform
            .spec
            .services
            .values()
            .filter(|service| service.enabled)
    };
    let mut namespaces: BTreeSet<&str> = services()
        .map(|service| service.namespace.as_str())
        .collect();
    if platform.spec.external_secrets.enabled {
        namespaces.insert(ServiceAccount::EXTERNAL_SECRETS.namespace);
    }
    let mut objects: Vec<Object> = namespaces
        .into_iter()
        .filter(|name| !THERE.contains(name))
        .map(namespace)
        .collect();
    let classes: BTreeSet<(i32, &str)> = services()
        .filter_map(|service| priority_class(service.priority_class))
        .map(|(name, value)| (value, name))
        .collect();
    objects.extend(classes.into_iter().map(|(value, name)| {
        Object::PriorityClass(Box::new(PriorityClass {
            metadata: metadata(name, None, labels([MANAGED_BY])),
            value,
            ..PriorityClass::default()
        }))
    }));
    objects.push(storage_class());
    objects
}

pub(super) fn namespace(name: &str) -> Object {
    Object::Namespace(Box::new(Namespace {
        metadata: metadata(name, None, Labels::new()),
        ..Namespace::default()
    }))
}

/// Volumes are made where the first pod that needs them is, encrypted, and go with their claims.
fn storage_class() -> Object {
    let mut metadata = metadata(STORAGE_CLASS, None, labels([MANAGED_BY]));
    metadata.annotations = Some(labels([(
        "storageclass.kubernetes.io/is-default-class",
        "true",
    )]));
    Object::StorageClass(Box::new(StorageClass {
        metadata,
        provisioner: "ebs.csi.aws.com".to_owned(),
        parameters: Some(labels([("type", "gp3"), ("encrypted", "true")])),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("WaitForFirstConsumer".to_owned()),
        allow_volume_expansion: Some(true),
        ..StorageClass::default()
    }))
}
