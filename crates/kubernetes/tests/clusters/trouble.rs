//! What goes wrong, and what is said of it.

use catalog::TypeName;
use catalog::ids::{Address, Identifier};
use engine::Pace;
use engine::provider::{ErrorClass, Provider, Status};
use kubernetes::HelmSettings;
use serde_json::{Value as Json, json};

use crate::server::{Server, status};
use crate::{create, document, provider, scope, token};

fn config_map() -> Json {
    document(
        "services/web",
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"}, "data": {"a": "1"}}),
    )
}

fn on(server: &Server) -> impl Provider + use<> {
    provider(&server.endpoint, Pace::REAL, HelmSettings::default())
}

fn identifier() -> Identifier {
    Identifier::new("shop-dev|shop|web").unwrap()
}

fn type_name() -> TypeName {
    TypeName::kubernetes("v1", "ConfigMap").unwrap()
}

#[tokio::test]
async fn an_object_is_applied_as_us_with_a_token_and_strictly() {
    let server =
        Server::start(|asked| (asked.method == "PATCH").then(|| (201, asked.body.clone()))).await;
    let progress = create(&on(&server), &config_map()).await.unwrap();
    assert_eq!(progress.status, Status::Success);
    assert_eq!(progress.identifier, Some(identifier()));
    let asked = server.asked();
    let apply = asked.last().unwrap();
    assert_eq!(apply.path, "/api/v1/namespaces/shop/configmaps/web");
    assert_eq!(apply.content_type, "application/apply-patch+yaml");
    assert_eq!(apply.authorization, "Bearer admin");
    for wanted in ["fieldManager=seaworthy", "fieldValidation=Strict"] {
        assert!(apply.query.contains(wanted), "{}", apply.query);
    }
    assert!(!apply.query.contains("force=true"), "{}", apply.query);
}

#[tokio::test]
async fn what_is_somebody_elses_is_left_alone_unless_it_is_handed_over() {
    for (annotations, labels, taken) in [
        (json!({}), json!({}), false),
        (
            json!({}),
            json!({"seaworthy.dev/platform": "shop", "seaworthy.dev/environment": "prod"}),
            false,
        ),
        (
            json!({"seaworthy.dev/adopt": "shop-prod"}),
            json!({}),
            false,
        ),
        (json!({"seaworthy.dev/adopt": "shop-dev"}), json!({}), true),
    ] {
        let live = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "1", "annotations": annotations, "labels": labels,
                "managedFields": [{"manager": "helm", "operation": "Apply", "fieldsV1": {}}],
            },
        });
        let server = Server::start(move |asked| {
            Some(match asked.method.as_str() {
                "PATCH" => (200, asked.body.clone()),
                _ => (200, live.clone()),
            })
        })
        .await;
        let result = create(&on(&server), &config_map()).await;
        let patched = server
            .asked()
            .iter()
            .find(|asked| asked.method == "PATCH")
            .cloned();
        match result {
            Ok(_) => {
                assert!(taken);
                assert!(patched.unwrap().query.contains("force=true"));
            }
            Err(error) => {
                assert!(!taken && patched.is_none(), "{error}");
                assert_eq!(error.class, ErrorClass::AlreadyExists);
                assert!(
                    error.message.contains(
                        "kubectl annotate configmaps -n shop web seaworthy.dev/adopt=shop-dev"
                    ),
                    "{error}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_object_of_another_address_is_waited_for() {
    let live = document("services/old", config_map()["Manifest"].clone())["Manifest"].clone();
    let server =
        Server::start(move |asked| (asked.method == "GET").then(|| (200, live.clone()))).await;
    let error = create(&on(&server), &config_map()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotReady);
    assert!(error.message.contains("services/old"), "{error}");
    // It is none of ours to find, either.
    let address = Address::new("services/web").unwrap();
    let found = on(&server)
        .find(&scope(), &address, &type_name(), &config_map())
        .await
        .unwrap();
    assert_eq!(found, None);
}

#[tokio::test]
async fn what_is_not_there_yet_is_tried_again() {
    let server = Server::start(|asked| {
        (asked.method == "PATCH").then(|| status(404, "NotFound", "namespaces \"shop\" not found"))
    })
    .await;
    let error = create(&on(&server), &config_map()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotReady, "{error}");
    let pool = document(
        "karpenter/pool",
        json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "x"}}),
    );
    let error = create(&on(&server), &pool).await.unwrap_err();
    assert_eq!(
        (error.class, error.code.as_str()),
        (ErrorClass::NotReady, "NoMatch")
    );
    // To whoever looks it is simply not there.
    let pool_type = TypeName::kubernetes("karpenter.sh/v1", "NodePool").unwrap();
    let at = Identifier::new("shop-dev||x").unwrap();
    assert_eq!(on(&server).read(&pool_type, &at).await.unwrap(), None);
    let gone = on(&server)
        .begin_delete(&pool_type, &at, &token("t"))
        .await
        .unwrap();
    assert_eq!(gone.status, Status::Success);
}

#[tokio::test]
async fn a_server_that_can_t_be_reached_is_waited_for_by_who_changes_and_told_to_who_looks() {
    let nowhere = provider("http://127.0.0.1:1", Pace::REAL, HelmSettings::default());
    let error = create(&nowhere, &config_map()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::NotReady, "{error}");
    let error = nowhere.read(&type_name(), &identifier()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable, "{error}");
    // A cluster that is gone has taken everything with it.
    let elsewhere = Identifier::new("another|shop|web").unwrap();
    assert_eq!(nowhere.read(&type_name(), &elsewhere).await.unwrap(), None);
    let deleted = nowhere
        .begin_delete(&type_name(), &elsewhere, &token("t"))
        .await
        .unwrap();
    assert_eq!(deleted.status, Status::Success);
}

#[tokio::test]
async fn a_deletion_waits_and_says_for_what_and_another_of_the_name_is_not_ours() {
    let mut live = config_map()["Manifest"].clone();
    live["metadata"]["uid"] = "one".into();
    live["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let mut left = 3;
    let server = Server::start(move |asked| {
        if asked.method == "DELETE" {
            assert_eq!(asked.body["preconditions"]["uid"], "one");
            live["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z".into();
        } else {
            left -= 1;
        }
        if left <= 0 {
            live["metadata"]["uid"] = "two".into();
        }
        Some((200, live.clone()))
    })
    .await;
    let provider = on(&server);
    let begun = provider
        .begin_delete(&type_name(), &identifier(), &token("t"))
        .await
        .unwrap();
    assert_eq!(begun.status, Status::InProgress);
    assert_eq!(begun.note.as_deref(), Some("for example.com/hold"));
    let operation = begun.operation.unwrap();
    let ended = provider.poll(&type_name(), &operation).await.unwrap();
    assert_eq!(ended.status, Status::Success);
    let deletions = server
        .asked()
        .iter()
        .filter(|asked| asked.method == "DELETE")
        .count();
    assert_eq!(deletions, 1);
}

#[tokio::test]
async fn nobody_elses_object_is_deleted() {
    let server = Server::start(|_| {
        Some((
            200,
            json!({"kind": "ConfigMap", "metadata": {"name": "web", "uid": "1"}}),
        ))
    })
    .await;
    let deleted = on(&server)
        .begin_delete(&type_name(), &identifier(), &token("t"))
        .await
        .unwrap();
    assert_eq!(deleted.status, Status::Success);
    assert!(server.asked().iter().all(|asked| asked.method == "GET"));
}

#[tokio::test]
async fn without_helm_it_is_said_what_is_missing() {
    let server = Server::start(|_| Some((200, json!({"items": []})))).await;
    let scratch = tempfile::tempdir().unwrap();
    let helm = HelmSettings {
        scratch: scratch.path().to_owned(),
        ..HelmSettings::default()
    };
    let provider = provider(&server.endpoint, Pace::REAL, helm);
    let release = json!({
        "Cluster": "shop-dev", "Namespace": "kube-system", "Name": "karpenter", "Chart": "oci://x/karpenter", "Version": "1.0.0",
    });
    let payload = engine::provider::Payload::new(release);
    let begun = provider
        .begin_create(&catalog::HELM_RELEASE, &payload, &token("t"))
        .await;
    let ended = crate::ended(&provider, &catalog::HELM_RELEASE, begun)
        .await
        .unwrap();
    let Status::Failed(error) = ended.status else {
        panic!("{ended:?}")
    };
    assert_eq!(error.code, "HelmMissing");
    assert!(error.message.contains("SEAWORTHY_HELM"), "{error}");
}

/// The pods that were deleted.
fn deleted(server: &Server) -> usize {
    let asked = server.asked();
    let of_pods = asked
        .iter()
        .filter(|asked| asked.method == "DELETE" && asked.path.contains("/pods/"));
    of_pods.count()
}

#[tokio::test]
async fn a_grace_is_the_clusters_time_and_not_ours() {
    let pool = document(
        "karpenter/pool",
        json!({"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "x", "uid": "1"}}),
    );
    let pool = pool["Manifest"].clone();
    let claim = json!({"metadata": {"name": "x-1"}, "status": {"nodeName": "n"}});
    let pod = json!({"metadata": {"namespace": "shop", "name": "db", "uid": "2"}, "spec": {"nodeName": "n"}});
    let time = std::sync::Arc::new(std::sync::Mutex::new("2031-01-01T00:00:00Z"));
    let of_cluster = time.clone();
    let server = Server::start(move |asked| {
        let body = match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/api/v1/namespaces/default/configmaps") => {
                assert_eq!(asked.query, "dryRun=All");
                json!({"metadata": {"creationTimestamp": *of_cluster.lock().unwrap()}})
            }
            (_, "/apis/karpenter.sh/v1") => json!({"resources": [
                {"name": "nodepools", "kind": "NodePool", "namespaced": false, "verbs": ["list", "delete"]},
                {"name": "nodeclaims", "kind": "NodeClaim", "namespaced": false, "verbs": ["list", "delete"]},
            ]}),
            (_, "/apis/karpenter.sh/v1/nodepools/x") => pool.clone(),
            (_, "/apis/karpenter.sh/v1/nodeclaims") => json!({"items": [claim]}),
            (_, "/api/v1/pods") => json!({"items": [pod]}),
            ("DELETE", "/api/v1/namespaces/shop/pods/db") => json!({}),
            _ => return None,
        };
        Some((200, body))
    })
    .await;
    // A second of ours is more than the grace of ten minutes.
    let fast = provider(&server.endpoint, Pace::new(1000.0), HelmSettings::default());
    let pool_type = TypeName::kubernetes("karpenter.sh/v1", "NodePool").unwrap();
    let at = Identifier::new("shop-dev||x").unwrap();
    let begun = fast.begin_delete(&pool_type, &at, &token("t")).await;
    let operation = begun.unwrap().operation.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    *time.lock().unwrap() = "2031-01-01T00:03:00Z";
    let waits = fast.poll(&pool_type, &operation).await.unwrap();
    assert_eq!(waits.status, Status::InProgress);
    let note = waits.note.unwrap();
    assert!(note.contains("7 more minutes are given"), "{note}");
    assert_eq!(deleted(&server), 0);
    *time.lock().unwrap() = "2031-01-01T00:10:00Z";
    let waits = fast.poll(&pool_type, &operation).await.unwrap();
    let note = waits.note.unwrap();
    assert!(note.contains("the grace is over"), "{note}");
    assert_eq!(deleted(&server), 1);
}
