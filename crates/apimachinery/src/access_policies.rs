//! What the access policies of EKS allow in a cluster, as RBAC rules.
//!
//! The facts are those of AWS's documentation ("Review access policy permissions" in the EKS user guide). AWS describes the policies of its own service roles (Auto Mode, Cluster Insights) in words
//! only, without their rules: they are known here and grant nothing.

use serde_json::Value as Json;

use crate::rbac::PolicyRule;
use crate::rbac::bootstrap::{admin, edit_common, paths, rule, view};

/// What stands before a policy's name in its ARN, whatever the partition.
const ARN: &str = ":eks::aws:cluster-access-policy/";

/// Policies whose rules AWS does not publish.
const WITHOUT_RULES: [&str; 12] = [
    "AmazonAIOpsAssistantPolicy",
    "AmazonARCRegionSwitchScalingPolicy",
    "AmazonEKSAutoNodePolicy",
    "AmazonEKSBlockStorageClusterPolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSClusterInsightsPolicy",
    "AmazonEKSComputeClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSLoadBalancingClusterPolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingClusterPolicy",
    "AmazonEKSNetworkingPolicy",
];

/// The rules (`PolicyRule` documents) of an access policy, by its ARN
/// (`arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy`) or its bare name. `None`: no such policy is known.
#[must_use]
pub fn rules(policy: &str) -> Option<Vec<Json>> {
    let rules = policy_rules(policy)?;
    Some(rules.iter().map(PolicyRule::to_json).collect())
}

/// The same, read.
#[must_use]
pub fn policy_rules(policy: &str) -> Option<Vec<PolicyRule>> {
    let name = match policy.split_once(ARN) {
        Some((partition, name)) if partition.starts_with("arn:aws") => name,
        Some(_) => return None,
        None => policy,
    };
    let read = "get list watch";
    Some(match name {
        "AmazonEKSClusterAdminPolicy" => vec![rule(&["*"], "*", "*"), paths("*", "*")],
        "AmazonEKSAdminPolicy" => [admin(), edit_common(), view()].concat(),
        "AmazonEKSEditPolicy" => [edit_common(), view()].concat(),
        "AmazonEKSViewPolicy" => view(),
        "AmazonEKSAdminViewPolicy" => vec![rule(&["*"], "*", read)],
        "AmazonEKSSecretReaderPolicy" => vec![rule(&[""], "secrets", read)],
        "AmazonEKSHybridPolicy" => vec![rule(&["*"], "nodes", "list")],
        name if WITHOUT_RULES.contains(&name) => Vec::new(),
        _ => return None,
    })
}

/// Whether a namespace is in the scope of an association: named, or matched by a name with `*` in it (`team-*`). An empty scope
/// is the whole cluster.
#[must_use]
pub fn in_scope(scope: &[String], namespace: &str) -> bool {
    scope.is_empty()
        || (!namespace.is_empty() && scope.iter().any(|pattern| matches(pattern, namespace)))
}

fn matches(pattern: &str, namespace: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == namespace;
    };
    let Some(mut left) = namespace.strip_prefix(start) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rbac::{Attributes, Target};

    fn allows(policy: &str, verb: &str, group: &str, resource: &str, subresource: &str) -> bool {
        let target = Target::Resource {
            group,
            resource,
            subresource,
            name: "",
            namespace: "team",
        };
        let rules = policy_rules(policy).unwrap();
        rules
            .iter()
            .any(|rule| rule.allows(&Attributes { verb, target }))
    }

    #[test]
    fn policies_allow_what_aws_documents() {
        for (policy, verb, group, resource, subresource, allowed) in [
            (
                "AmazonEKSClusterAdminPolicy",
                "delete",
                "x.io",
                "anything",
                "",
                true,
            ),
            (
                "AmazonEKSAdminPolicy",
                "create",
                "rbac.authorization.k8s.io",
                "rolebindings",
                "",
                true,
            ),
            (
                "AmazonEKSAdminPolicy",
                "create",
                "rbac.authorization.k8s.io",
                "clusterroles",
                "",
                false,
            ),
            ("AmazonEKSAdminPolicy", "get", "", "secrets", "", true),
            (
                "AmazonEKSAdminPolicy",
                "create",
                "",
                "namespaces",
                "",
                false,
            ),
            (
                "AmazonEKSEditPolicy",
                "patch",
                "apps",
                "deployments",
                "scale",
                true,
            ),
            ("AmazonEKSEditPolicy", "create", "", "pods", "exec", true),
            (
                "AmazonEKSEditPolicy",
                "list",
                "rbac.authorization.k8s.io",
                "roles",
                "",
                false,
            ),
            // Kubernetes' own `edit` allows these two; the policy's table has neither.
            (
                "AmazonEKSEditPolicy",
                "create",
                "",
                "pods",
                "eviction",
                false,
            ),
            (
                "AmazonEKSEditPolicy",
                "update",
                "coordination.k8s.io",
                "leases",
                "",
                false,
            ),
            ("AmazonEKSViewPolicy", "list", "", "pods", "", true),
            ("AmazonEKSViewPolicy", "get", "", "pods", "log", true),
            ("AmazonEKSViewPolicy", "list", "", "secrets", "", false),
            ("AmazonEKSViewPolicy", "list", "", "nodes", "", false),
            ("AmazonEKSAdminViewPolicy", "list", "", "secrets", "", true),
            ("AmazonEKSAdminViewPolicy", "create", "", "pods", "", false),
            (
                "AmazonEKSSecretReaderPolicy",
                "watch",
                "",
                "secrets",
                "",
                true,
            ),
            ("AmazonEKSHybridPolicy", "list", "", "nodes", "", true),
        ] {
            assert_eq!(
                allows(policy, verb, group, resource, subresource),
                allowed,
                "{policy}: {verb} {resource}/{subresource}"
            );
        }
    }

    #[test]
    fn policies_are_found_by_arn_of_any_partition() {
        let known = |policy| rules(policy).is_some();
        assert!(known(
            "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
        ));
        assert!(known(
            "arn:aws-cn:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
        ));
        assert!(!known("arn:aws:iam::aws:policy/AmazonEKSViewPolicy"));
        assert!(!known("AmazonEKSNoSuchPolicy"));
        assert_eq!(rules("AmazonEKSAutoNodePolicy"), Some(Vec::new()));
    }

    #[test]
    fn scopes_name_namespaces_or_match_them() {
        let scope = |patterns: &[&str]| -> Vec<String> {
            patterns.iter().map(ToString::to_string).collect()
        };
        for (patterns, namespace, inside) in [
            (&[][..], "any", true),
            (&[], "", true),
            (&["team"], "team", true),
            (&["team"], "", false),
            (&["team"], "teams", false),
            (&["team-*"], "team-a", true),
            (&["*-prod"], "web-prod", true),
            (&["a*b*c"], "axxbxxc", true),
            (&["a*b*c"], "axxcxxb", false),
            (&["dev", "*"], "anything", true),
        ] {
            assert_eq!(
                in_scope(&scope(patterns), namespace),
                inside,
                "{patterns:?} {namespace}"
            );
        }
    }
}
