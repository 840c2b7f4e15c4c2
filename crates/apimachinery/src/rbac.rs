//! Role-based access control: who may do what, from Role, ClusterRole, RoleBinding and ClusterRoleBinding documents.
//!
//! [`Rules`] is an index over such documents, by subject: building it costs one pass over all of them, asking it costs the
//! rules of the bindings that name the user or one of the groups. Rules only ever allow; what no rule allows is denied.

mod aggregation;
pub(crate) mod bootstrap;
mod escalation;
mod index;
mod node;
mod policy_rule;

pub use self::aggregation::{aggregated_rules, aggregated_updates};
pub use self::bootstrap::objects as bootstrap_objects;
pub use self::escalation::{missing, missing_message};
pub use self::index::{RoleRules, Rules};
pub use self::node::{NODES, node_may};
pub use self::policy_rule::PolicyRule;

use crate::status::{Details, Reason, Status};

/// The group of RBAC's own kinds.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The group whose members may do everything, whatever the rules say.
pub const MASTERS: &str = "system:masters";

/// Who asks. Service accounts are users (`system:serviceaccount:<namespace>:<name>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    pub user: &'a str,
    pub groups: &'a [String],
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes<'a> {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, …; of paths the HTTP method in
    /// lower case.
    pub verb: &'a str,
    pub target: Target<'a>,
}

/// On what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    Resource {
        /// Empty for the core.
        group: &'a str,
        /// The plural name.
        resource: &'a str,
        /// Empty if none.
        subresource: &'a str,
        /// Empty for a whole collection.
        name: &'a str,
        /// Empty at the cluster's scope.
        namespace: &'a str,
    },
    /// A path that belongs to no resource (`/version`).
    Path(&'a str),
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    pub allowed: bool,
    /// Which binding allows it; or what is wrong with bindings that might have. Empty if nothing is to be said.
    pub reason: String,
}

impl Attributes<'_> {
    /// Where rules are looked for; empty at the cluster's scope and for paths.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match self.target {
            Target::Resource { namespace, .. } => namespace,
            Target::Path(_) => "",
        }
    }

    /// What a user who may not is told: 403, in the real server's words.
    #[must_use]
    pub fn forbidden(&self, user: &str, reason: &str) -> Status {
        let verb = self.verb;
        let reason = match reason {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        match self.target {
            Target::Path(path) => {
                let mut status = Status::new(
                    Reason::Forbidden,
                    format!("forbidden: User {user:?} cannot {verb} path {path:?}{reason}"),
                );
                status.details = Some(Box::new(Details::default()));
                status
            }
            Target::Resource {
                group,
                resource,
                subresource,
                name,
                namespace,
            } => {
                let whole = match subresource {
                    "" => resource.to_owned(),
                    subresource => format!("{resource}/{subresource}"),
                };
                let place = match namespace {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace {namespace:?}"),
                };
                let why = format!(
                    "User {user:?} cannot {verb} resource {whole:?} in API group {group:?} {place}{reason}"
                );
                Status::forbidden(group, resource, name, &why)
            }
        }
    }
}
