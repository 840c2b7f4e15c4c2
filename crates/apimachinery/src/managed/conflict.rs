//! What an apply that would take others' fields is answered with.

use crate::managed::entries::Identity;
use crate::managed::fields::{Element, Fields, path_text};
use crate::status::{Cause, Reason, Status};

/// A field that somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub identity: Identity,
    pub path: Vec<Element>,
}

impl Conflict {
    /// One for each member of a set.
    pub fn all(identity: &Identity, set: &Fields) -> Vec<Self> {
        set.paths()
            .into_iter()
            .map(|path| Self {
                identity: identity.clone(),
                path: path.into_iter().map(Element::from).collect(),
            })
            .collect()
    }

    fn path_text(&self) -> String {
        let path: Vec<&str> = self.path.iter().map(|element| &**element).collect();
        path_text(&path)
    }
}

/// 409, with a cause for each field; by manager.
pub fn status(conflicts: &[Conflict]) -> Status {
    let mut conflicts: Vec<&Conflict> = conflicts.iter().collect();
    conflicts.sort_by(|one, other| one.identity.cmp(&other.identity));
    let message = match &*conflicts {
        [one] => format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            one.identity.text(),
            one.path_text()
        ),
        several => {
            let mut lines = Vec::new();
            let mut last = None;
            for conflict in several {
                if last != Some(&conflict.identity) {
                    lines.push(format!("conflicts with {}:", conflict.identity.text()));
                    last = Some(&conflict.identity);
                }
                lines.push(format!("- {}", conflict.path_text()));
            }
            format!(
                "Apply failed with {} conflicts: {}",
                several.len(),
                lines.join("\n")
            )
        }
    };
    let causes = conflicts
        .iter()
        .map(|conflict| Cause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {}", conflict.identity.text()),
            field: conflict.path_text(),
        })
        .collect();
    Status::new(Reason::Conflict, message).with_causes(causes)
}
