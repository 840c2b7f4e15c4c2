//! Where the pods of a Service are: EndpointSlices, and Endpoints for those who still read them.
//!
//! As `pkg/controller/endpointslice` and `pkg/controller/endpoint` of Kubernetes 1.33, for IPv4. Of a large Service's changes several
//! are written at once, the more the larger it is: the kinds are lists of everything, so writing each change at once would cost the
//! square of the Service's size.

mod address;
mod endpoints;
mod slices;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};

pub use endpoints::EndpointsObjects;
pub use slices::EndpointSlices;

use crate::document::Named;
use crate::{Change, Context, Key, Kind, Object, Outcome, View};

/// Which Services a change concerns: the Service itself, those whose selector matches a pod that came, went or answers differently, and
/// the Service of a slice or of Endpoints that somebody touched.
fn services(change: &Change, view: &View, own: Kind) -> Vec<Key> {
    match change.kind {
        Some(Kind::Service) => vec![change.key.clone()],
        Some(Kind::Pod) => {
            let pod = |object: &Option<Object>| match object {
                Some(Object::Pod(pod)) => Some(pod.clone()),
                _ => None,
            };
            let (before, after) = (pod(&change.before), pod(&change.after));
            if let (Some(before), Some(after)) = (&before, &after)
                && address::Facts::of(before) == address::Facts::of(after)
                && before.metadata.labels == after.metadata.labels
            {
                return Vec::new();
            }
            let mut keys = BTreeSet::new();
            for (key, service) in view.services.in_namespace(&change.key.namespace) {
                if [&before, &after]
                    .into_iter()
                    .flatten()
                    .any(|pod| selects(service, pod))
                {
                    keys.insert(key.clone());
                }
            }
            keys.into_iter().collect()
        }
        Some(Kind::Endpoints) if own == Kind::Endpoints => vec![change.key.clone()],
        Some(Kind::EndpointSlice) if own == Kind::EndpointSlice => {
            let named = |object: &Option<Object>| match object {
                Some(Object::EndpointSlice(slice)) => {
                    slice.label(slices::SERVICE_NAME).map(str::to_owned)
                }
                _ => None,
            };
            [named(&change.before), named(&change.after)]
                .into_iter()
                .flatten()
                .collect::<BTreeSet<_>>()
                .iter()
                .map(|name| Key::new(&change.key.namespace, name))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a Service sends anything to a pod. One without a selector has Endpoints that others write.
fn selects(service: &Service, pod: &Pod) -> bool {
    let Some(selector) = service
        .spec
        .as_ref()
        .and_then(|spec| spec.selector.as_ref())
    else {
        return false;
    };
    !selector.is_empty()
        && selector
            .iter()
            .all(|(key, value)| pod.label(key) == Some(value))
}

/// The Service, if it is one that this looks after: with a selector, not an alias, not on its way out.
fn looked_after<'a>(view: &'a View, key: &Key) -> Option<&'a Service> {
    let service = view.services.get(key)?;
    let spec = service.spec.as_ref()?;
    let selects = spec
        .selector
        .as_ref()
        .is_some_and(|selector| !selector.is_empty());
    (selects && spec.type_.as_deref() != Some("ExternalName") && !service.is_deleting())
        .then_some(service)
}

/// Puts writes of large Services off.
#[derive(Debug, Default)]
struct Batches {
    /// When each Service may be written again.
    next: BTreeMap<Key, Timestamp>,
}

impl Batches {
    /// When to look again, if it is too early to write.
    fn too_early(&mut self, key: &Key, now: Timestamp) -> Option<Outcome> {
        match self.next.get(key) {
            Some(next) if *next > now => Some(Outcome::settled().again_at(*next)),
            Some(_) => {
                self.next.remove(key);
                None
            }
            None => None,
        }
    }

    /// A Service of so many pods has been written: a millisecond of rest for each, once there are more than fifty.
    #[allow(clippy::cast_precision_loss, reason = "a count of pods")]
    fn written(&mut self, key: &Key, pods: usize, context: Context<'_>) {
        if pods > 50 {
            let rest = context.pace.after(context.now, pods as f64 / 1000.0);
            if rest > context.now {
                self.next.insert(key.clone(), rest);
            }
        }
    }
}
