//! The gate over a small cluster that is held in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use apimachinery::access_policies;
use apimachinery::rbac::{Attributes, Target, bootstrap_objects};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::*;
use crate::ports::{Grant, Rejected};

/// A cluster's objects.
#[derive(Default)]
struct Cluster {
    version: AtomicU64,
    reads: AtomicU64,
    policies: Mutex<Vec<Json>>,
    objects: Mutex<HashMap<(String, String, String), BoundObject>>,
}

impl Cluster {
    fn add(&self, policy: Json) {
        self.policies.lock().unwrap().push(policy);
        self.version.fetch_add(1, Ordering::SeqCst);
    }

    fn put(&self, resource: &str, namespace: &str, name: &str, uid: &str) {
        let on_pods = |text: &str| {
            if resource == "pods" {
                text.to_owned()
            } else {
                String::new()
            }
        };
        let object = BoundObject {
            uid: uid.to_owned(),
            service_account: on_pods("web"),
            node: on_pods("node-1"),
        };
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.objects.lock().unwrap().insert(key, object);
    }

    fn remove(&self, resource: &str, namespace: &str, name: &str) {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.objects.lock().unwrap().remove(&key);
    }
}

impl PolicySource for Cluster {
    fn policy_version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    fn policy_objects(&self) -> Vec<Json> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.policies.lock().unwrap().clone()
    }

    fn bound_object(&self, resource: &str, namespace: &str, name: &str) -> Option<BoundObject> {
        let key = (resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.objects.lock().unwrap().get(&key).cloned()
    }
}

/// Knows tokens `iam:<user>`; the user `viewer` has an access policy in the namespaces `team-*`.
struct Iam;

impl Authenticator for Iam {
    fn authenticate(&self, token: &str) -> Option<Result<UserInfo, Rejected>> {
        match token.strip_prefix("iam:")? {
            "nobody" => Some(Err(Rejected("no access entry".to_owned()))),
            name => Some(Ok(UserInfo {
                username: name.to_owned(),
                ..UserInfo::default()
            })),
        }
    }

    fn grants(&self, user: &UserInfo) -> Vec<Grant> {
        let grant = |policy: &str, namespaces: &[&str]| Grant {
            source: policy.to_owned(),
            namespaces: namespaces.iter().map(ToString::to_string).collect(),
            rules: access_policies::rules(policy).unwrap(),
        };
        match user.username.as_str() {
            "viewer" => vec![grant("AmazonEKSViewPolicy", &["team-*"])],
            "boss" => vec![grant("AmazonEKSClusterAdminPolicy", &[])],
            _ => Vec::new(),
        }
    }
}

const ISSUER: &str = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123";
const AUDIENCE: &str = "https://kubernetes.default.svc";

struct Setting {
    gate: Gate,
    cluster: Arc<Cluster>,
    _folder: TempDir,
}

fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Arc::new(Cluster::default());
    for object in bootstrap_objects() {
        cluster.add(object);
    }
    cluster.put("serviceaccounts", "shop", "web", "sa-uid");
    cluster.put("pods", "shop", "web-1", "pod-uid");
    cluster.put("nodes", "", "node-1", "node-uid");
    let options = GateOptions {
        authenticators: vec![Arc::new(Iam)],
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned()],
    };
    let gate = Gate::open(folder.path(), options, cluster.clone()).unwrap();
    Setting {
        gate,
        cluster,
        _folder: folder,
    }
}

impl Setting {
    fn token(&self, spec: Json) -> String {
        let answer = self
            .gate
            .issue("shop", "web", json!({ "spec": spec }))
            .unwrap();
        answer["status"]["token"].as_str().unwrap().to_owned()
    }

    fn who(&self, token: &str) -> Result<UserInfo, Status> {
        self.gate.authenticate(Some(&format!("Bearer {token}")))
    }

    fn allowed(
        &self,
        user: &UserInfo,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: &str,
    ) -> bool {
        self.gate
            .decide(user, &on(verb, group, resource, "", namespace))
            .allowed
    }
}

fn on<'a>(
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    name: &'a str,
    namespace: &'a str,
) -> Attributes<'a> {
    let target = Target::Resource {
        group,
        resource,
        subresource: "",
        name,
        namespace,
    };
    Attributes { verb, target }
}

fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo {
        username: name.to_owned(),
        groups: groups.iter().map(ToString::to_string).collect(),
        ..UserInfo::default()
    }
}

fn binding(kind: &str, namespace: &str, role: (&str, &str), to: &str) -> Json {
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": { "name": format!("{to}-{}", role.1), "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1 },
        "subjects": [{ "kind": "User", "name": to }] })
}

#[test]
fn without_a_token_one_is_anonymous_and_a_bad_one_is_refused() {
    let it = setting();
    let anonymous = user("system:anonymous", &["system:unauthenticated"]);
    for header in [
        None,
        Some(""),
        Some("Basic eDp5"),
        Some("Bearer"),
        Some("Bearer  "),
    ] {
        assert_eq!(
            it.gate.authenticate(header).unwrap(),
            anonymous,
            "{header:?}"
        );
    }
    for token in ["nonsense", "iam:nobody", "a.b.c"] {
        let refused = it.who(token).unwrap_err();
        assert_eq!((refused.code, &*refused.message), (401, "Unauthorized"));
    }
    assert_eq!(
        it.gate.authenticate(Some("bearer iam:jane")).unwrap(),
        user("jane", &["system:authenticated"])
    );
    let refused = it
        .gate
        .authorize(&anonymous, &on("list", "", "pods", "", "default"))
        .unwrap_err();
    assert_eq!(
        refused.message,
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let version = Attributes {
        verb: "get",
        target: Target::Path("/version"),
    };
    assert_eq!(it.gate.authorize(&anonymous, &version), Ok(()));
}

#[test]
fn tokens_say_who_they_belong_to() {
    let it = setting();
    let token = it.token(json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "web-1", "uid": "pod-uid" } }));
    let claims = key::claims(&token).unwrap();
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], json!([AUDIENCE]));
    assert_eq!(claims["sub"], "system:serviceaccount:shop:web");
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        3600
    );
    assert_eq!(claims["nbf"], claims["iat"]);
    assert_eq!(
        claims["kubernetes.io"],
        json!({ "namespace": "shop",
        "node": { "name": "node-1", "uid": "node-uid" }, "pod": { "name": "web-1", "uid": "pod-uid" },
        "serviceaccount": { "name": "web", "uid": "sa-uid" } })
    );
    let found = it.who(&token).unwrap();
    assert_eq!(found.username, "system:serviceaccount:shop:web");
    assert_eq!(found.uid, "sa-uid");
    assert_eq!(
        found.groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:shop",
            "system:authenticated"
        ]
    );
    let extra = |key: &str| &found.extra[&format!("authentication.kubernetes.io/{key}")][0];
    assert_eq!(extra("pod-name"), "web-1");
    assert_eq!(extra("node-uid"), "node-uid");
    assert_eq!(
        *extra("credential-id"),
        format!("JTI={}", claims["jti"].as_str().unwrap())
    );
}

#[test]
fn tokens_end_with_what_they_are_bound_to() {
    let it = setting();
    let pod = json!({ "boundObjectRef": { "apiVersion": "v1", "kind": "Pod", "name": "web-1" } });
    let (plain, bound) = (it.token(json!({})), it.token(pod));
    it.cluster.put("pods", "shop", "web-1", "another");
    assert!(it.who(&bound).is_err());
    assert!(it.who(&plain).is_ok());
    it.cluster.put("pods", "shop", "web-1", "pod-uid");
    it.cluster.remove("nodes", "", "node-1");
    assert!(
        it.who(&bound).is_ok(),
        "a pod's token outlives the node's object"
    );
    it.cluster.remove("pods", "shop", "web-1");
    assert!(it.who(&bound).is_err());
    it.cluster
        .put("serviceaccounts", "shop", "web", "made-again");
    assert!(it.who(&plain).is_err());
    it.cluster.remove("serviceaccounts", "shop", "web");
    assert!(it.who(&plain).is_err());
}

#[test]
fn tokens_are_good_for_their_time_and_their_audience() {
    let mut it = setting();
    let token = it.token(json!({ "expirationSeconds": 600 }));
    let foreign = it.token(json!({ "audiences": ["sts.amazonaws.com"] }));
    assert!(it.who(&token).is_ok());
    assert!(it.who(&foreign).is_err());
    it.gate.wall_clock = || Timestamp::now() + SignedDuration::from_secs(599);
    assert!(it.who(&token).is_ok());
    it.gate.wall_clock = || Timestamp::now() + SignedDuration::from_secs(601);
    assert!(it.who(&token).is_err());
    it.gate.wall_clock = || Timestamp::now() - SignedDuration::from_secs(10);
    assert!(it.who(&token).is_err());
}

#[test]
fn another_servers_tokens_are_refused_even_under_our_name() {
    let (it, other) = (setting(), setting());
    assert!(it.who(&other.token(json!({}))).is_err());
}

#[test]
fn token_requests_are_answered_in_the_real_servers_words() {
    let it = setting();
    let ask = |name: &str, spec: Json| {
        it.gate.issue(
            "shop",
            name,
            json!({ "kind": "TokenRequest", "spec": spec }),
        )
    };
    let answer = ask(
        "web",
        json!({ "audiences": [], "expirationSeconds": 7200, "boundObjectRef": null }),
    )
    .unwrap();
    assert_eq!(answer["spec"]["audiences"], json!([AUDIENCE]));
    assert_eq!(answer["spec"]["expirationSeconds"], 7200);
    assert_eq!(answer["apiVersion"], "authentication.k8s.io/v1");
    let expires: Timestamp = answer["status"]["expirationTimestamp"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let left = expires.duration_since(Timestamp::now()).as_secs();
    assert!((7190..=7200).contains(&left), "{left}");
    let bound = |kind: &str, name: &str, uid: &str| json!({ "boundObjectRef": { "apiVersion": "v1", "kind": kind, "name": name, "uid": uid } });
    it.cluster.put("serviceaccounts", "shop", "other", "o");
    for (account, spec, code, message) in [
        ("gone", json!({}), 404, "serviceaccounts \"gone\" not found"),
        (
            "web",
            bound("Pod", "gone", ""),
            404,
            "pods \"gone\" not found",
        ),
        (
            "web",
            bound("Service", "x", ""),
            400,
            "cannot bind token to object of type v1, Kind=Service",
        ),
        (
            "other",
            bound("Pod", "web-1", ""),
            400,
            "cannot bind token for serviceaccount \"other\" to pod running with serviceaccount \"web\"",
        ),
        (
            "web",
            json!({ "expirationSeconds": 30 }),
            422,
            "TokenRequest.authentication.k8s.io \"web\" is invalid: spec.expirationSeconds: Invalid value: 30: may not specify a duration less than 10 minutes",
        ),
    ] {
        let refused = ask(account, spec).unwrap_err();
        assert_eq!((refused.code, &*refused.message), (code, message));
    }
    assert_eq!(
        ask("web", bound("Pod", "web-1", "old")).unwrap_err().code,
        409
    );
}

#[test]
fn keys_are_told_to_those_who_check_tokens() {
    let it = setting();
    let keys = it.gate.json_web_keys();
    let token = it.token(json!({}));
    let header = token.split('.').next().unwrap();
    let header = {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(header)
            .unwrap()
    };
    let header: Json = serde_json::from_slice(&header).unwrap();
    assert_eq!(keys["keys"][0]["kid"], header["kid"]);
    assert_eq!(keys["keys"][0]["alg"], header["alg"]);
    assert_eq!(it.gate.openid_configuration()["issuer"], ISSUER);
}

#[test]
fn the_index_is_made_again_only_when_policies_change() {
    let it = setting();
    let jane = user("jane", &["system:authenticated"]);
    for _ in 0..10 {
        assert!(!it.allowed(&jane, "list", "", "pods", "shop"));
    }
    assert_eq!(it.cluster.reads.load(Ordering::SeqCst), 1);
    it.cluster.add(binding(
        "RoleBinding",
        "shop",
        ("ClusterRole", "view"),
        "jane",
    ));
    assert!(it.allowed(&jane, "list", "", "pods", "shop"));
    assert!(!it.allowed(&jane, "list", "", "pods", "other"));
    assert_eq!(it.cluster.reads.load(Ordering::SeqCst), 2);
}

#[test]
fn access_policies_grant_in_their_namespaces() {
    let it = setting();
    let (viewer, boss) = (user("viewer", &[]), user("boss", &[]));
    assert!(it.allowed(&viewer, "list", "", "pods", "team-a"));
    assert!(!it.allowed(&viewer, "list", "", "pods", "shop"));
    assert!(!it.allowed(&viewer, "list", "", "pods", ""));
    assert!(!it.allowed(&viewer, "delete", "", "pods", "team-a"));
    assert!(it.allowed(&boss, "delete", "", "nodes", ""));
    let metrics = Attributes {
        verb: "get",
        target: Target::Path("/metrics"),
    };
    assert!(it.gate.decide(&boss, &metrics).allowed);
    assert!(!it.gate.decide(&viewer, &metrics).allowed);
    let reason = it
        .gate
        .decide(&viewer, &on("get", "", "pods", "", "team-a"))
        .reason;
    assert_eq!(reason, "EKS Access Policy: allowed by AmazonEKSViewPolicy");
    // Its own Namespace is within the scope.
    assert_eq!(
        it.gate
            .authorize(&viewer, &on("get", "", "namespaces", "team-a", "")),
        Ok(())
    );
    assert!(
        it.gate
            .authorize(&viewer, &on("get", "", "namespaces", "shop", ""))
            .is_err()
    );
    assert!(
        it.gate
            .authorize(&viewer, &on("list", "", "namespaces", "", ""))
            .is_err()
    );
}

#[test]
fn impersonation_needs_leave_for_each_part() {
    let it = setting();
    it.cluster.add(json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "act" },
        "rules": [{ "verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"] },
            { "verbs": ["impersonate"], "apiGroups": [""], "resources": ["serviceaccounts"] }] }));
    it.cluster.add(binding(
        "ClusterRoleBinding",
        "",
        ("ClusterRole", "act"),
        "root",
    ));
    let root = user("root", &[]);
    let act = |name: &str, groups: &[&str]| {
        let groups = groups.iter().map(ToString::to_string).collect();
        it.gate.impersonate(
            &root,
            Impersonation {
                user: name.to_owned(),
                groups,
                ..Impersonation::default()
            },
        )
    };
    assert_eq!(
        act("jane", &[]).unwrap(),
        user("jane", &["system:authenticated"])
    );
    assert_eq!(
        act("bob", &[]).unwrap_err().message,
        "users \"bob\" is forbidden: User \"root\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
    assert_eq!(
        act("jane", &["system:masters"]).unwrap_err().message,
        "groups \"system:masters\" is forbidden: User \"root\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope"
    );
    assert_eq!(
        act("system:serviceaccount:shop:web", &[]).unwrap().groups,
        [
            "system:serviceaccounts",
            "system:serviceaccounts:shop",
            "system:authenticated"
        ]
    );
    assert_eq!(act("", &["x"]).unwrap_err().code, 500);
}

#[test]
fn reviews_of_access() {
    let it = setting();
    it.cluster.add(binding(
        "RoleBinding",
        "shop",
        ("ClusterRole", "view"),
        "jane",
    ));
    let jane = user("jane", &["system:authenticated"]);
    let ask = |resource: &str, namespace: &str, spec: Json| {
        it.gate
            .review(&jane, resource, namespace, json!({ "spec": spec }))
    };
    let pods = |verb: &str| json!({ "namespace": "shop", "verb": verb, "resource": "pods", "group": null });
    let answer = ask(
        "selfsubjectaccessreviews",
        "",
        json!({ "resourceAttributes": pods("list") }),
    )
    .unwrap();
    assert_eq!(answer["kind"], "SelfSubjectAccessReview");
    assert_eq!(answer["apiVersion"], "authorization.k8s.io/v1");
    assert_eq!(
        answer["status"],
        json!({ "allowed": true,
        "reason": "RBAC: allowed by RoleBinding \"jane-view/shop\" of ClusterRole \"view\" to User \"jane\"" })
    );
    let denied = ask(
        "selfsubjectaccessreviews",
        "",
        json!({ "resourceAttributes": pods("delete") }),
    )
    .unwrap();
    assert_eq!(denied["status"], json!({ "allowed": false }));
    let path = json!({ "nonResourceAttributes": { "path": "/version", "verb": "get" } });
    assert_eq!(
        ask("selfsubjectaccessreviews", "", path).unwrap()["status"]["allowed"],
        true
    );
    let other = json!({ "user": "bob", "groups": ["system:masters"], "resourceAttributes": pods("delete") });
    assert_eq!(
        ask("subjectaccessreviews", "", other.clone()).unwrap()["status"]["allowed"],
        true
    );
    assert_eq!(
        ask("localsubjectaccessreviews", "shop", other.clone()).unwrap()["status"]["allowed"],
        true
    );
    assert_eq!(
        ask("localsubjectaccessreviews", "default", other)
            .unwrap_err()
            .code,
        400
    );
    assert_eq!(
        ask("selfsubjectaccessreviews", "", json!({}))
            .unwrap_err()
            .code,
        422
    );
    assert_eq!(
        ask(
            "subjectaccessreviews",
            "",
            json!({ "resourceAttributes": pods("get") })
        )
        .unwrap_err()
        .code,
        422
    );
    assert_eq!(ask("pods", "", json!({})).unwrap_err().code, 404);
}

#[test]
fn reviews_of_rules_and_of_oneself() {
    let it = setting();
    let viewer = it.who("iam:viewer").unwrap();
    let answer = it
        .gate
        .review(
            &viewer,
            "selfsubjectrulesreviews",
            "",
            json!({ "spec": { "namespace": "team-a" } }),
        )
        .unwrap();
    let rules = answer["status"]["resourceRules"].as_array().unwrap();
    let has = |resource: &str| {
        rules.iter().any(|rule| {
            rule["resources"]
                .as_array()
                .unwrap()
                .contains(&json!(resource))
        })
    };
    assert!(has("pods") && has("selfsubjectaccessreviews") && !has("secrets"));
    assert_eq!(answer["status"]["incomplete"], false);
    assert!(
        answer["status"]["nonResourceRules"]
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| rule["nonResourceURLs"][0] == "/api")
    );
    let elsewhere = it
        .gate
        .review(
            &viewer,
            "selfsubjectrulesreviews",
            "",
            json!({ "spec": { "namespace": "shop" } }),
        )
        .unwrap();
    assert_eq!(
        elsewhere["status"]["resourceRules"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let me = it
        .gate
        .review(&viewer, "selfsubjectreviews", "", json!({}))
        .unwrap();
    assert_eq!(
        me["status"],
        json!({ "userInfo": { "username": "viewer", "groups": ["system:authenticated"] } })
    );
}

#[test]
fn reviews_of_tokens() {
    let it = setting();
    let jane = user("jane", &[]);
    let ask = |spec: Json| {
        it.gate
            .review(&jane, "tokenreviews", "", json!({ "spec": spec }))
    };
    let (own, foreign) = (
        it.token(json!({})),
        it.token(json!({ "audiences": ["sts.amazonaws.com", "x"] })),
    );
    let status = |spec| ask(spec).unwrap()["status"].clone();
    let good = status(json!({ "token": own }));
    assert_eq!(good["authenticated"], true);
    assert_eq!(good["user"]["username"], "system:serviceaccount:shop:web");
    assert_eq!(good["user"]["groups"][2], "system:authenticated");
    assert_eq!(good["audiences"], json!([AUDIENCE]));
    assert_eq!(status(json!({ "token": foreign }))["authenticated"], false);
    assert_eq!(
        status(json!({ "token": foreign, "audiences": ["sts.amazonaws.com"] }))["audiences"],
        json!(["sts.amazonaws.com"])
    );
    assert_eq!(
        status(json!({ "token": "iam:jane" }))["user"]["username"],
        "jane"
    );
    assert_eq!(
        status(json!({ "token": "iam:jane", "audiences": ["y"] }))["authenticated"],
        false
    );
    let bad = status(json!({ "token": "secret-text" }));
    assert_eq!(bad["authenticated"], false);
    assert!(!bad.to_string().contains("secret-text"));
    assert_eq!(ask(json!({})).unwrap_err().code, 400);
}

#[test]
fn nobody_gives_away_what_they_do_not_have() {
    let it = setting();
    it.cluster.add(binding(
        "RoleBinding",
        "shop",
        ("ClusterRole", "admin"),
        "jane",
    ));
    let jane = user("jane", &["system:authenticated"]);
    let role = |kind: &str, resource: &str| {
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": { "name": "x", "namespace": if kind == "Role" { "shop" } else { "" } },
        "rules": [{ "verbs": ["get"], "apiGroups": [""], "resources": [resource] }] })
    };
    let may = |object: &Json, before: Option<&Json>| it.gate.may_grant(&jane, object, before);
    assert_eq!(may(&role("Role", "pods"), None), Ok(()));
    let nodes = role("Role", "nodes");
    let refused = may(&nodes, None).unwrap_err();
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.message,
        "roles.rbac.authorization.k8s.io \"x\" is forbidden: user \"jane\" (groups=[\"system:authenticated\"]) is attempting to \
         grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\"]}"
    );
    assert_eq!(
        may(&nodes, Some(&nodes)),
        Ok(()),
        "what was granted before may stay"
    );
    assert_eq!(
        may(&role("ClusterRole", "pods"), None).unwrap_err().code,
        403
    );
    let to =
        |kind: &str, namespace: &str, role: (&str, &str)| binding(kind, namespace, role, "bob");
    assert_eq!(
        may(&to("RoleBinding", "shop", ("ClusterRole", "view")), None),
        Ok(())
    );
    assert_eq!(
        may(
            &to("RoleBinding", "shop", ("ClusterRole", "cluster-admin")),
            None
        )
        .unwrap_err()
        .code,
        403
    );
    assert_eq!(
        may(&to("ClusterRoleBinding", "", ("ClusterRole", "view")), None)
            .unwrap_err()
            .code,
        403
    );
    assert_eq!(
        may(&to("RoleBinding", "shop", ("Role", "gone")), None)
            .unwrap_err()
            .code,
        404
    );
    assert_eq!(
        may(&json!({ "apiVersion": "v1", "kind": "Pod" }), None),
        Ok(())
    );
    let mut gatherer = role("ClusterRole", "pods");
    gatherer["aggregationRule"] = json!({ "clusterRoleSelectors": [] });
    assert_eq!(
        may(&gatherer, None).unwrap_err().message,
        "clusterroles.rbac.authorization.k8s.io \"x\" is forbidden: must have cluster-admin privileges to use the aggregationRule"
    );
    // The verbs `escalate` and `bind`, here from an access policy and from being a master.
    for powerful in [user("boss", &[]), user("root", &["system:masters"])] {
        assert_eq!(it.gate.may_grant(&powerful, &gatherer, None), Ok(()));
        let any = to("ClusterRoleBinding", "", ("ClusterRole", "cluster-admin"));
        assert_eq!(it.gate.may_grant(&powerful, &any, None), Ok(()));
    }
}
