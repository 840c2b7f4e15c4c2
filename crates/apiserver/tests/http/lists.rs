//! Lists and their pages.

use serde_json::{Value as Json, json};

use crate::cluster::{Cluster, TABLE};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn names(list: &Json) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn pages_show_the_list_as_it_was_at_the_first() {
    let cluster = Cluster::new();
    for name in ["a", "b", "c", "d", "e"] {
        cluster.config_map(name, "web").await;
    }
    let selected = format!("{MAPS}?labelSelector=app&limit=2");
    let first = cluster.get(&selected).await.ok();
    assert_eq!(names(&first), ["a", "b"]);
    assert!(
        first["metadata"]["remainingItemCount"].is_null(),
        "unknown where something is selected"
    );
    cluster.delete(&format!("{MAPS}/c")).await.ok();
    cluster
        .merge(&format!("{MAPS}/d"), json!({"data": {"a": "2"}}))
        .await
        .ok();
    cluster.config_map("bb", "web").await;
    let next = first["metadata"]["continue"].as_str().unwrap();
    let second = cluster
        .get(&format!("{selected}&continue={next}"))
        .await
        .ok();
    assert_eq!(names(&second), ["c", "d"]);
    assert_eq!(second["items"][1]["data"]["a"], "1");
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let next = second["metadata"]["continue"].as_str().unwrap();
    let third = cluster
        .get(&format!("{selected}&continue={next}"))
        .await
        .ok();
    assert_eq!(names(&third), ["e"]);
    assert!(third["metadata"]["continue"].is_null());
    let now = cluster.get(&format!("{MAPS}?labelSelector=app")).await.ok();
    assert_eq!(names(&now), ["a", "b", "bb", "d", "e"]);
}

#[tokio::test]
async fn a_list_can_be_of_a_revision() {
    let cluster = Cluster::new();
    let one = cluster.config_map("a", "web").await;
    cluster.config_map("b", "web").await;
    let revision = one["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = format!("{MAPS}?labelSelector=app&resourceVersion={revision}");
    let then = cluster
        .get(&format!("{exact}&resourceVersionMatch=Exact"))
        .await
        .ok();
    assert_eq!(names(&then), ["a"]);
    let now = cluster.get(&exact).await.ok();
    assert_eq!(names(&now), ["a", "b"]);
    let later = cluster
        .get(&format!("{MAPS}?resourceVersion=99999999"))
        .await;
    assert_eq!(later.code, 504);
    assert_eq!(
        later.json()["details"]["causes"][0]["reason"],
        "ResourceVersionTooLarge"
    );
    let broken = cluster.get(&format!("{MAPS}?continue=xyz")).await;
    assert_eq!(broken.code, 400);
}

#[tokio::test]
async fn lists_are_tables_or_metadata_when_that_is_wanted() {
    let cluster = Cluster::new();
    cluster.config_map("a", "web").await;
    let path = format!("{MAPS}?labelSelector=app");
    let table = cluster.get_as(&path, TABLE).await.ok();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["rows"][0]["cells"][0], "a");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert!(table["metadata"]["resourceVersion"].is_string());
    let table = cluster
        .get_as(&format!("{path}&includeObject=Object"), TABLE)
        .await
        .ok();
    assert_eq!(table["rows"][0]["object"]["data"]["a"], "1");
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let list = cluster.get_as(&path, accept).await.ok();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert!(list["items"][0]["data"].is_null());
    let yaml = cluster
        .get_as(&format!("{MAPS}/a"), "application/yaml")
        .await;
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    assert!(String::from_utf8_lossy(&yaml.body).contains("kind: ConfigMap"));
}

#[tokio::test]
async fn collections_are_deleted_as_far_as_they_are_meant() {
    let cluster = Cluster::new();
    cluster.config_map("a", "web").await;
    cluster.config_map("b", "db").await;
    let gone = cluster
        .delete(&format!("{MAPS}?labelSelector=app%3Dweb"))
        .await
        .ok();
    assert_eq!(names(&gone), ["a"]);
    let left = cluster.get(&format!("{MAPS}?labelSelector=app")).await.ok();
    assert_eq!(names(&left), ["b"]);
}
