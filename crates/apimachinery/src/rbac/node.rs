//! What nodes may do (users `system:node:<name>` in the group `system:nodes`), apart from RBAC as in a real cluster.
//!
//! A real server also lets a node read the secrets, config maps and volumes, and ask for the tokens, of the pods that run on
//! it. Which ones these are is not kept track of here, and they are refused: no kubelet but a simulated one, which asks nobody,
//! runs in these clusters.

use super::{Attributes, Subject, Target, bootstrap};

/// The group of all nodes.
pub const NODES: &str = "system:nodes";

/// Whether somebody is a node that may do this.
#[must_use]
pub fn node_may(subject: Subject<'_>, attributes: &Attributes<'_>) -> bool {
    let Some(node) = subject.user.strip_prefix("system:node:") else {
        return false;
    };
    if node.is_empty() || !subject.groups.iter().any(|group| group == NODES) {
        return false;
    }
    let Target::Resource {
        resource,
        subresource,
        name,
        ..
    } = attributes.target
    else {
        return false;
    };
    let reads = matches!(attributes.verb, "get" | "list" | "watch");
    let own = match resource {
        "secrets"
        | "configmaps"
        | "persistentvolumes"
        | "persistentvolumeclaims"
        | "volumeattachments" => false,
        "serviceaccounts" if subresource == "token" => false,
        // A name is not known of what is being created; whose it is, admission would say.
        "nodes" | "leases" | "csinodes" => reads || attributes.verb == "create" || name == node,
        _ => true,
    };
    own && bootstrap::node().iter().any(|rule| rule.allows(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_reads_the_cluster_and_writes_what_is_its_own() {
        let nodes = [NODES.to_owned()];
        let ask = |groups: &[String], verb: &str, resource: &str, subresource: &str, name: &str| {
            let group = if resource == "leases" {
                "coordination.k8s.io"
            } else {
                ""
            };
            let target = Target::Resource {
                group,
                resource,
                subresource,
                name,
                namespace: "",
            };
            node_may(
                Subject {
                    user: "system:node:ip-10-0-1-7",
                    groups,
                },
                &Attributes { verb, target },
            )
        };
        assert!(ask(&nodes, "list", "pods", "", ""));
        assert!(ask(&nodes, "patch", "nodes", "status", "ip-10-0-1-7"));
        assert!(!ask(&nodes, "patch", "nodes", "status", "ip-10-0-2-9"));
        assert!(ask(&nodes, "update", "leases", "", "ip-10-0-1-7"));
        assert!(!ask(&nodes, "get", "secrets", "", "x"));
        assert!(!ask(&nodes, "create", "deployments", "", ""));
        assert!(!ask(&[], "list", "pods", "", ""));
    }
}
