//! The roles and bindings that every cluster has from the beginning.
//!
//! The facts are those of Kubernetes 1.33 (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`). Left out are the
//! roles of the single controllers of kube-controller-manager (`system:controller:…`), since controllers in this process act
//! without authorization, and Heapster's.

use serde_json::{Map, Value as Json, json};

use super::aggregation::aggregated_rules;
use super::{GROUP, PolicyRule};

const READ: &str = "get list watch";
const WRITE: &str = "create delete deletecollection patch update";
const ALL: &str = "create delete deletecollection get list patch update watch";
const CORE: &[&str] = &[""];
const EVENTS: &[&str] = &["", "events.k8s.io"];

/// A rule on resources; lists are separated by blanks.
pub(crate) fn rule(groups: &[&str], resources: &str, verbs: &str) -> PolicyRule {
    PolicyRule {
        verbs: words(verbs),
        api_groups: groups.iter().map(ToString::to_string).collect(),
        resources: words(resources),
        ..PolicyRule::default()
    }
}

/// A rule on paths.
pub(crate) fn paths(verbs: &str, paths: &str) -> PolicyRule {
    PolicyRule {
        verbs: words(verbs),
        non_resource_urls: words(paths),
        ..PolicyRule::default()
    }
}

fn named(rule: PolicyRule, names: &str) -> PolicyRule {
    PolicyRule {
        resource_names: words(names),
        ..rule
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// All of them, as documents: the registry creates those that are missing. Roles that gather others' rules hold them already.
#[must_use]
pub fn objects() -> Vec<Json> {
    let mut objects = cluster_roles();
    let gathered: Vec<Option<Vec<PolicyRule>>> = gather(&objects);
    for (role, rules) in objects.iter_mut().zip(gathered) {
        if let Some(rules) = rules {
            role["rules"] = rules.iter().map(PolicyRule::to_json).collect();
        }
    }
    objects.extend(cluster_role_bindings());
    objects.extend(roles());
    objects.extend(role_bindings());
    objects
}

/// `admin` gathers `edit`, which gathers `view`: as many rounds as that is deep.
fn gather(roles: &[Json]) -> Vec<Option<Vec<PolicyRule>>> {
    let mut roles = roles.to_vec();
    let mut gathered = Vec::new();
    for _ in 0..3 {
        gathered = roles
            .iter()
            .map(|role| aggregated_rules(role, &roles))
            .collect();
        for (role, rules) in roles.iter_mut().zip(&gathered) {
            if let Some(rules) = rules {
                role["rules"] = rules.iter().map(PolicyRule::to_json).collect();
            }
        }
    }
    gathered
}

fn object(kind: &str, name: &str, namespace: &str) -> Json {
    let mut metadata = json!({
        "name": name,
        "labels": { "kubernetes.io/bootstrapping": "rbac-defaults" },
        "annotations": { "rbac.authorization.kubernetes.io/autoupdate": "true" },
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    json!({ "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": metadata })
}

fn role(kind: &str, name: &str, namespace: &str, rules: &[PolicyRule]) -> Json {
    let mut role = object(kind, name, namespace);
    role["rules"] = rules.iter().map(PolicyRule::to_json).collect();
    role
}

fn cluster_role(name: &str, rules: &[PolicyRule]) -> Json {
    role("ClusterRole", name, "", rules)
}

const AGGREGATE: &str = "rbac.authorization.k8s.io/aggregate-to-";

/// The role is gathered by another one.
fn gathered_by(mut role: Json, gatherer: &str) -> Json {
    role["metadata"]["labels"][format!("{AGGREGATE}{gatherer}")] = "true".into();
    role
}

/// The role gathers those that are labelled for it.
fn gathering(name: &str) -> Json {
    let mut labels = Map::new();
    labels.insert(format!("{AGGREGATE}{name}"), "true".into());
    let mut role = cluster_role(name, &[]);
    role["aggregationRule"] = json!({ "clusterRoleSelectors": [{ "matchLabels": labels }] });
    role
}

fn cluster_roles() -> Vec<Json> {
    let mut roles = vec![
        cluster_role("cluster-admin", &[rule(&["*"], "*", "*"), paths("*", "*")]),
        gathering("admin"),
        gathered_by(gathering("edit"), "admin"),
        gathered_by(gathering("view"), "edit"),
        gathered_by(cluster_role("system:aggregate-to-admin", &admin()), "admin"),
        gathered_by(cluster_role("system:aggregate-to-edit", &edit()), "edit"),
        gathered_by(cluster_role("system:aggregate-to-view", &view()), "view"),
    ];
    roles.extend(for_users());
    roles.extend(for_components());
    for (name, resource) in [
        ("nodeclient", "certificatesigningrequests/nodeclient"),
        (
            "selfnodeclient",
            "certificatesigningrequests/selfnodeclient",
        ),
    ] {
        roles.push(cluster_role(
            &format!("system:certificates.k8s.io:certificatesigningrequests:{name}"),
            &[rule(&["certificates.k8s.io"], resource, "create")],
        ));
    }
    for (name, signer) in [
        ("kube-apiserver-client-approver", "kube-apiserver-client"),
        (
            "kube-apiserver-client-kubelet-approver",
            "kube-apiserver-client-kubelet",
        ),
        ("kubelet-serving-approver", "kubelet-serving"),
        ("legacy-unknown-approver", "legacy-unknown"),
    ] {
        let approve = rule(&["certificates.k8s.io"], "signers", "approve");
        roles.push(cluster_role(
            &format!("system:certificates.k8s.io:{name}"),
            &[named(approve, &format!("kubernetes.io/{signer}"))],
        ));
    }
    roles
}

pub(crate) fn admin() -> Vec<PolicyRule> {
    vec![
        rule(
            &["authorization.k8s.io"],
            "localsubjectaccessreviews",
            "create",
        ),
        rule(&[GROUP], "rolebindings roles", ALL),
    ]
}

const LEGACY_WORKLOADS: &str = "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies \
                                replicasets replicasets/scale replicationcontrollers/scale";

/// What `edit` adds to `view`, but for what AWS's policies leave out.
pub(crate) fn edit_common() -> Vec<PolicyRule> {
    vec![
        rule(
            CORE,
            "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy",
            READ,
        ),
        rule(CORE, "serviceaccounts", "impersonate"),
        rule(
            CORE,
            "pods pods/attach pods/exec pods/portforward pods/proxy",
            WRITE,
        ),
        rule(
            CORE,
            "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets \
             serviceaccounts services services/proxy",
            WRITE,
        ),
        rule(
            &["apps"],
            "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets \
             statefulsets/scale",
            WRITE,
        ),
        rule(&["autoscaling"], "horizontalpodautoscalers", WRITE),
        rule(&["batch"], "cronjobs jobs", WRITE),
        rule(&["extensions"], LEGACY_WORKLOADS, WRITE),
        rule(&["policy"], "poddisruptionbudgets", WRITE),
        rule(&["networking.k8s.io"], "ingresses networkpolicies", WRITE),
    ]
}

fn edit() -> Vec<PolicyRule> {
    let mut rules = edit_common();
    rules.extend([
        rule(CORE, "pods/eviction serviceaccounts/token", "create"),
        rule(&["coordination.k8s.io"], "leases", ALL),
    ]);
    rules
}

pub(crate) fn view() -> Vec<PolicyRule> {
    vec![
        rule(
            CORE,
            "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers \
             replicationcontrollers/scale serviceaccounts services services/status",
            READ,
        ),
        rule(
            CORE,
            "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status \
             resourcequotas resourcequotas/status",
            READ,
        ),
        rule(CORE, "namespaces", READ),
        rule(&["discovery.k8s.io"], "endpointslices", READ),
        rule(
            &["apps"],
            "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets \
             replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
            READ,
        ),
        rule(
            &["autoscaling"],
            "horizontalpodautoscalers horizontalpodautoscalers/status",
            READ,
        ),
        rule(
            &["batch"],
            "cronjobs cronjobs/status jobs jobs/status",
            READ,
        ),
        rule(
            &["extensions"],
            "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status \
             networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
            READ,
        ),
        rule(
            &["policy"],
            "poddisruptionbudgets poddisruptionbudgets/status",
            READ,
        ),
        rule(
            &["networking.k8s.io"],
            "ingresses ingresses/status networkpolicies",
            READ,
        ),
    ]
}

/// Roles that people, tools and everybody have.
fn for_users() -> Vec<Json> {
    let reviews = [
        rule(&["authentication.k8s.io"], "tokenreviews", "create"),
        rule(&["authorization.k8s.io"], "subjectaccessreviews", "create"),
    ];
    vec![
        cluster_role("system:auth-delegator", &reviews),
        cluster_role(
            "system:basic-user",
            &[
                rule(
                    &["authorization.k8s.io"],
                    "selfsubjectaccessreviews selfsubjectrulesreviews",
                    "create",
                ),
                rule(&["authentication.k8s.io"], "selfsubjectreviews", "create"),
            ],
        ),
        cluster_role(
            "system:discovery",
            &[paths(
                "get",
                "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/",
            )],
        ),
        cluster_role(
            "system:monitoring",
            &[paths(
                "get",
                "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*",
            )],
        ),
        cluster_role(
            "system:public-info-viewer",
            &[paths("get", "/healthz /livez /readyz /version /version/")],
        ),
        cluster_role(
            "system:service-account-issuer-discovery",
            &[paths(
                "get",
                "/.well-known/openid-configuration /openid/v1/jwks",
            )],
        ),
    ]
}

/// Events as components write them.
fn write_events() -> PolicyRule {
    rule(EVENTS, "events", "create patch update")
}

/// Roles of the components of a cluster.
fn for_components() -> Vec<Json> {
    let token_reviews = rule(&["authentication.k8s.io"], "tokenreviews", "create");
    let access_reviews = rule(&["authorization.k8s.io"], "subjectaccessreviews", "create");
    let leader = |name: &str| {
        [
            rule(&["coordination.k8s.io"], "leases", "create"),
            named(rule(&["coordination.k8s.io"], "leases", "get update"), name),
        ]
    };
    let mut manager = vec![write_events()];
    manager.extend(leader("kube-controller-manager"));
    manager.extend([
        rule(CORE, "secrets serviceaccounts", "create update"),
        rule(CORE, "secrets", "delete"),
        rule(CORE, "configmaps namespaces secrets serviceaccounts", "get"),
        token_reviews.clone(),
        access_reviews.clone(),
        rule(&["*"], "*", "list watch"),
        rule(CORE, "serviceaccounts/token", "create"),
    ]);
    let mut scheduler = vec![write_events()];
    scheduler.extend(leader("kube-scheduler"));
    scheduler.extend([
        rule(CORE, "nodes", READ),
        rule(CORE, "pods", "delete get list watch"),
        rule(CORE, "bindings pods/binding", "create"),
        rule(CORE, "pods/status", "patch update"),
        rule(CORE, "replicationcontrollers services", READ),
        rule(&["apps", "extensions"], "replicasets", READ),
        rule(&["apps"], "statefulsets", READ),
        rule(&["policy"], "poddisruptionbudgets", READ),
        rule(CORE, "persistentvolumeclaims persistentvolumes", READ),
        token_reviews,
        access_reviews,
        rule(
            &["storage.k8s.io"],
            "csinodes csidrivers csistoragecapacities",
            READ,
        ),
        rule(CORE, "namespaces", READ),
    ]);
    let requests = "certificatesigningrequests";
    vec![
        cluster_role(
            "system:kube-aggregator",
            &[rule(CORE, "endpoints services", READ)],
        ),
        cluster_role("system:kube-controller-manager", &manager),
        cluster_role(
            "system:kube-dns",
            &[rule(CORE, "endpoints services", "list watch")],
        ),
        cluster_role("system:kube-scheduler", &scheduler),
        cluster_role(
            "system:kubelet-api-admin",
            &[
                rule(CORE, "nodes", "get list watch proxy"),
                rule(CORE, "nodes/log nodes/metrics nodes/proxy nodes/stats", "*"),
            ],
        ),
        cluster_role("system:node", &node()),
        cluster_role(
            "system:node-bootstrapper",
            &[rule(
                &["certificates.k8s.io"],
                requests,
                "create get list watch",
            )],
        ),
        cluster_role(
            "system:node-problem-detector",
            &[
                rule(CORE, "nodes", "get"),
                rule(CORE, "nodes/status", "patch"),
                write_events(),
            ],
        ),
        cluster_role(
            "system:node-proxier",
            &[
                rule(CORE, "endpoints services", "list watch"),
                rule(CORE, "nodes", READ),
                write_events(),
                rule(&["discovery.k8s.io"], "endpointslices", "list watch"),
            ],
        ),
        cluster_role(
            "system:persistent-volume-provisioner",
            &[
                rule(CORE, "persistentvolumes", "create delete get list watch"),
                rule(CORE, "persistentvolumeclaims", "get list update watch"),
                rule(&["storage.k8s.io"], "storageclasses", READ),
                rule(CORE, "events", "watch"),
                write_events(),
            ],
        ),
        cluster_role(
            "system:volume-scheduler",
            &[
                rule(CORE, "persistentvolumes", "get list patch update watch"),
                rule(&["storage.k8s.io"], "storageclasses", READ),
                rule(
                    CORE,
                    "persistentvolumeclaims",
                    "get list patch update watch",
                ),
            ],
        ),
    ]
}

pub(super) fn node() -> Vec<PolicyRule> {
    vec![
        rule(&["authentication.k8s.io"], "tokenreviews", "create"),
        rule(
            &["authorization.k8s.io"],
            "localsubjectaccessreviews subjectaccessreviews",
            "create",
        ),
        rule(CORE, "services", READ),
        rule(CORE, "nodes", "create get list watch patch update"),
        rule(CORE, "nodes/status", "patch update"),
        rule(CORE, "events", "create patch update"),
        rule(CORE, "pods", "get list watch create delete"),
        rule(CORE, "pods/status", "patch update"),
        rule(CORE, "pods/eviction serviceaccounts/token", "create"),
        rule(CORE, "configmaps secrets", READ),
        rule(
            CORE,
            "persistentvolumeclaims persistentvolumes endpoints",
            "get",
        ),
        rule(
            &["certificates.k8s.io"],
            "certificatesigningrequests",
            "create get list watch",
        ),
        rule(
            &["coordination.k8s.io"],
            "leases",
            "create delete get patch update",
        ),
        rule(&["storage.k8s.io"], "volumeattachments", "get"),
        rule(CORE, "persistentvolumeclaims/status", "get patch update"),
        rule(&["storage.k8s.io"], "csidrivers", READ),
        rule(
            &["storage.k8s.io"],
            "csinodes",
            "create delete get patch update",
        ),
        rule(&["node.k8s.io"], "runtimeclasses", READ),
    ]
}

fn binding(kind: &str, name: &str, namespace: &str, role: (&str, &str), subjects: &[Json]) -> Json {
    let mut binding = object(kind, name, namespace);
    binding["roleRef"] = json!({ "apiGroup": GROUP, "kind": role.0, "name": role.1 });
    if !subjects.is_empty() {
        binding["subjects"] = subjects.into();
    }
    binding
}

fn group(name: &str) -> Json {
    json!({ "apiGroup": GROUP, "kind": "Group", "name": name })
}

fn user(name: &str) -> Json {
    json!({ "apiGroup": GROUP, "kind": "User", "name": name })
}

fn service_account(name: &str) -> Json {
    json!({ "kind": "ServiceAccount", "name": name, "namespace": "kube-system" })
}

fn cluster_role_bindings() -> Vec<Json> {
    let everybody = [
        group("system:authenticated"),
        group("system:unauthenticated"),
    ];
    let bound: [(&str, &[Json]); 11] = [
        ("cluster-admin", &[group(super::MASTERS)]),
        ("system:basic-user", &everybody[..1]),
        ("system:discovery", &everybody[..1]),
        ("system:public-info-viewer", &everybody),
        ("system:monitoring", &[group("system:monitoring")]),
        (
            "system:service-account-issuer-discovery",
            &[group("system:serviceaccounts")],
        ),
        (
            "system:kube-controller-manager",
            &[user("system:kube-controller-manager")],
        ),
        ("system:kube-dns", &[service_account("kube-dns")]),
        ("system:kube-scheduler", &[user("system:kube-scheduler")]),
        ("system:node-proxier", &[user("system:kube-proxy")]),
        // Nodes are judged apart from RBAC; the binding is there and names nobody, as in a real cluster.
        ("system:node", &[]),
    ];
    let mut bindings: Vec<Json> = bound
        .into_iter()
        .map(|(name, to)| binding("ClusterRoleBinding", name, "", ("ClusterRole", name), to))
        .collect();
    bindings.push(binding(
        "ClusterRoleBinding",
        "system:volume-scheduler",
        "",
        ("ClusterRole", "system:volume-scheduler"),
        &[user("system:kube-scheduler")],
    ));
    bindings
}

const AUTHENTICATION_READER: &str = "extension-apiserver-authentication-reader";
const LEADERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

fn roles() -> Vec<Json> {
    let read = named(
        rule(CORE, "configmaps", READ),
        "extension-apiserver-authentication",
    );
    let mut roles = vec![role("Role", AUTHENTICATION_READER, "kube-system", &[read])];
    roles.extend(LEADERS.map(|leader| {
        let lock = rule(
            &["coordination.k8s.io"],
            "leases leasecandidates",
            "create get list update watch",
        );
        let name = format!("system::leader-locking-{leader}");
        role("Role", &name, "kube-system", &[lock])
    }));
    roles
}

fn role_bindings() -> Vec<Json> {
    let mut bindings = vec![binding(
        "RoleBinding",
        "system::extension-apiserver-authentication-reader",
        "kube-system",
        ("Role", AUTHENTICATION_READER),
        &LEADERS.map(|leader| user(&format!("system:{leader}"))),
    )];
    bindings.extend(LEADERS.map(|leader| {
        let name = format!("system::leader-locking-{leader}");
        binding(
            "RoleBinding",
            &name,
            "kube-system",
            ("Role", &name),
            &[user(&format!("system:{leader}")), service_account(leader)],
        )
    }));
    bindings
}

#[cfg(test)]
mod tests {
    use super::super::aggregated_updates;
    use super::*;

    fn find<'a>(objects: &'a [Json], kind: &str, name: &str) -> &'a Json {
        objects
            .iter()
            .find(|one| one["kind"] == kind && one["metadata"]["name"] == name)
            .unwrap()
    }

    #[test]
    fn gathering_roles_hold_what_they_gather() {
        let objects = objects();
        let roles: Vec<&Json> = objects
            .iter()
            .filter(|one| one["kind"] == "ClusterRole")
            .collect();
        assert_eq!(aggregated_updates(&roles).len(), 0);
        let count = |name| PolicyRule::list(&find(&objects, "ClusterRole", name)["rules"]).len();
        assert_eq!(count("view"), view().len());
        assert_eq!(count("edit"), view().len() + edit().len());
        assert_eq!(count("admin"), view().len() + edit().len() + admin().len());
    }

    #[test]
    fn every_binding_leads_to_a_role() {
        let objects = objects();
        for binding in objects.iter().filter(|one| one.get("roleRef").is_some()) {
            let role = &binding["roleRef"];
            find(
                &objects,
                role["kind"].as_str().unwrap(),
                role["name"].as_str().unwrap(),
            );
        }
        assert_eq!(
            find(&objects, "ClusterRoleBinding", "system:node").get("subjects"),
            None
        );
    }

    #[test]
    fn names_are_there_once() {
        let mut seen = std::collections::BTreeSet::new();
        for one in objects() {
            let key = format!(
                "{} {} {}",
                one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]
            );
            assert!(seen.insert(key.clone()), "{key}");
        }
    }
}
