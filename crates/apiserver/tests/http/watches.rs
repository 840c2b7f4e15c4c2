//! What watchers are told.

use serde_json::json;

use crate::cluster::{Cluster, TABLE};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn event(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_watch_goes_on_where_the_list_ended() {
    let cluster = Cluster::new();
    cluster.config_map("before", "web").await;
    let list = cluster.get(MAPS).await.ok();
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!("{MAPS}?watch=true&resourceVersion={revision}");
    let mut watch = cluster.watch(&path).await;
    cluster.config_map("a", "web").await;
    cluster
        .merge(&format!("{MAPS}/a"), json!({"data": {"a": "2"}}))
        .await
        .ok();
    cluster
        .merge(&format!("{MAPS}/a"), json!({"data": {"a": "2"}}))
        .await
        .ok();
    cluster.delete(&format!("{MAPS}/a")).await.ok();
    assert_eq!(watch.told().await, event("ADDED", "a"));
    let changed = watch.next().await.unwrap();
    assert_eq!(changed["type"], "MODIFIED");
    assert_eq!(changed["object"]["data"]["a"], "2");
    // The second patch changed nothing, so nobody is told of it.
    let deleted = watch.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    let number = |event: &serde_json::Value| -> u64 {
        let text = event["object"]["metadata"]["resourceVersion"].as_str();
        text.unwrap().parse().unwrap()
    };
    assert!(number(&deleted) > number(&changed));
}

#[tokio::test]
async fn what_enters_or_leaves_the_selection_is_added_or_deleted() {
    let cluster = Cluster::new();
    cluster.config_map("a", "web").await;
    let mut watch = cluster
        .watch(&format!("{MAPS}?watch=1&labelSelector=app%3Dweb"))
        .await;
    assert_eq!(watch.told().await, event("ADDED", "a"));
    let label = |value: &str| json!({"metadata": {"labels": {"app": value}}});
    let path = format!("{MAPS}/a");
    let changed = cluster.merge(&path, label("db")).await.ok();
    let left = watch.next().await.unwrap();
    assert_eq!(left["type"], "DELETED");
    assert_eq!(
        left["object"]["metadata"]["labels"]["app"], "web",
        "as it was when it belonged"
    );
    assert_eq!(
        left["object"]["metadata"]["resourceVersion"],
        changed["metadata"]["resourceVersion"]
    );
    cluster.config_map("other", "db").await;
    cluster.merge(&path, json!({"data": {"b": "1"}})).await.ok();
    cluster.merge(&path, label("web")).await.ok();
    assert_eq!(watch.told().await, event("ADDED", "a"));
    cluster.merge(&path, json!({"data": {"b": "2"}})).await.ok();
    assert_eq!(watch.told().await, event("MODIFIED", "a"));
    cluster.delete(&path).await.ok();
    assert_eq!(watch.told().await, event("DELETED", "a"));
}

#[tokio::test]
async fn one_object_can_be_watched_by_its_name() {
    let cluster = Cluster::new();
    let path = format!("{MAPS}?watch=true&fieldSelector=metadata.name%3Db");
    let mut watch = cluster.watch(&path).await;
    cluster.config_map("a", "web").await;
    cluster.config_map("b", "web").await;
    assert_eq!(watch.told().await, event("ADDED", "b"));
}

#[tokio::test]
async fn a_watch_list_says_where_the_beginning_ends() {
    let cluster = Cluster::new();
    cluster.config_map("a", "web").await;
    let path = format!(
        "{MAPS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=app"
    );
    let mut watch = cluster.watch(&path).await;
    assert_eq!(watch.told().await, event("ADDED", "a"));
    let bookmark = watch.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    let metadata = &bookmark["object"]["metadata"];
    assert_eq!(metadata["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(metadata["resourceVersion"].is_string());
    cluster.config_map("b", "web").await;
    assert_eq!(watch.told().await, event("ADDED", "b"));
}

#[tokio::test]
async fn tables_have_their_columns_once() {
    let cluster = Cluster::new();
    let mut watch = cluster
        .watch_as(&format!("{MAPS}?watch=true&labelSelector=app"), TABLE)
        .await;
    cluster.config_map("a", "web").await;
    cluster.config_map("b", "web").await;
    let first = watch.next().await.unwrap();
    assert_eq!(first["object"]["kind"], "Table");
    assert_eq!(first["object"]["columnDefinitions"][0]["name"], "Name");
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    let second = watch.next().await.unwrap();
    assert!(second["object"]["columnDefinitions"].is_null());
    assert_eq!(
        second["object"]["rows"][0]["object"]["kind"],
        "PartialObjectMetadata"
    );
}

#[tokio::test]
async fn what_is_not_remembered_has_expired() {
    let cluster = Cluster::new();
    let mut watch = cluster
        .watch(&format!("{MAPS}?watch=true&resourceVersion=99999999"))
        .await;
    let event = watch.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["reason"], "Expired");
    assert_eq!(event["object"]["code"], 410);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn watches_end_in_time_with_a_bookmark() {
    let cluster = Cluster::new();
    let path =
        format!("{MAPS}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true&labelSelector=app");
    let mut watch = cluster.watch(&path).await;
    cluster.config_map("a", "web").await;
    assert_eq!(watch.told().await, event("ADDED", "a"));
    assert_eq!(watch.next().await.unwrap()["type"], "BOOKMARK");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_server_that_closes_ends_its_watches() {
    let cluster = Cluster::new();
    let mut watch = cluster
        .watch(&format!("{MAPS}?watch=true&labelSelector=app"))
        .await;
    cluster.config_map("a", "web").await;
    assert_eq!(watch.told().await, event("ADDED", "a"));
    cluster.server.close();
    assert!(watch.next().await.is_none());
}
