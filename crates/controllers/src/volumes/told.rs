//! What has been told of claims, so that the same is not told again.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::document::Named;
use crate::{Action, EventKind, Key};

/// The reasons of events, by the claim that they are of, which is that of this uid.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<Key, (String, BTreeSet<&'static str>)>);

impl Told {
    /// Tells something of a claim once.
    pub(super) fn once(
        &mut self,
        claim: &PersistentVolumeClaim,
        kind: EventKind,
        reason: &'static str,
        message: String,
    ) -> Option<Action> {
        let (uid, told) = self.0.entry(claim.key()).or_default();
        if uid != claim.uid() {
            claim.uid().clone_into(uid);
            told.clear();
        }
        told.insert(reason)
            .then(|| claim.tell(kind, reason, message))
    }

    /// It may be told of the claim again.
    pub(super) fn forget(&mut self, claim: &PersistentVolumeClaim, reason: &'static str) {
        if let Some((_, told)) = self.0.get_mut(&claim.key()) {
            told.remove(reason);
        }
    }

    /// The claim is gone.
    pub(super) fn drop(&mut self, claim: &Key) {
        self.0.remove(claim);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
