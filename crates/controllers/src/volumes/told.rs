//! What has been told of claims, so that the same is not told again.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::document::Named;
use crate::{Action, EventKind};

/// The reasons of events, by the uid of the claim that they are of.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeSet<(String, &'static str)>);

impl Told {
    /// Tells something of a claim once.
    pub(super) fn once(
        &mut self,
        claim: &PersistentVolumeClaim,
        kind: EventKind,
        reason: &'static str,
        message: String,
    ) -> Option<Action> {
        self.0
            .insert((claim.uid().to_owned(), reason))
            .then(|| claim.tell(kind, reason, message))
    }

    /// It may be told of the claim again.
    pub(super) fn forget(&mut self, claim: &PersistentVolumeClaim, reason: &'static str) {
        self.0.remove(&(claim.uid().to_owned(), reason));
    }
}
