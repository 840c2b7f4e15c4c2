use super::*;
use crate::builtin;

fn all_documents() -> Vec<Json> {
    let resources = builtin::resources();
    documents(&resources)
        .iter()
        .map(|one| document(&one.group, &one.version, &resources, "v1.33.0"))
        .collect()
}

#[test]
fn every_group_and_version_has_a_document() {
    let resources = builtin::resources();
    let paths: Vec<String> = documents(&resources).iter().map(Document::path).collect();
    assert_eq!(paths.len(), 22);
    assert_eq!(paths[0], "api/v1");
    assert!(paths.contains(&"apis/autoscaling/v2".to_owned()));
}

#[test]
fn references_are_resolved_inside_the_document() {
    fn walk(at: &Json, schemas: &Map<String, Json>) {
        match at {
            Json::Object(map) => {
                if let Some(Json::String(to)) = map.get("$ref") {
                    let name = to.strip_prefix("#/components/schemas/").unwrap();
                    assert!(schemas.contains_key(name), "{name}");
                }
                map.values().for_each(|value| walk(value, schemas));
            }
            Json::Array(list) => list.iter().for_each(|value| walk(value, schemas)),
            _ => {}
        }
    }
    for document in all_documents() {
        walk(
            &document,
            document["components"]["schemas"].as_object().unwrap(),
        );
    }
}

#[test]
fn patches_say_what_clients_look_for() {
    let resources = builtin::resources();
    let apps = document("apps", "v1", &resources, "v1.33.0");
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
    let patch = &apps["paths"][path]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "version": "v1", "kind": "Deployment"})
    );
    let names: Vec<&str> = patch["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["dryRun", "fieldManager", "fieldValidation", "force"]
    );
    let types: Vec<&String> = patch["requestBody"]["content"]
        .as_object()
        .unwrap()
        .keys()
        .collect();
    assert_eq!(
        types,
        [
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ]
    );
    let scale = &apps["paths"][format!("{path}/scale")]["patch"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "Scale");
    assert_eq!(scale["operationId"], "patchAppsV1NamespacedDeploymentScale");
}

#[test]
fn schemas_have_descriptions_and_patch_strategies() {
    let core = document("", "v1", &builtin::resources(), "v1.33.0");
    let spec = &core["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"];
    let containers = &spec["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert!(
        containers["description"]
            .as_str()
            .unwrap()
            .starts_with("List of containers")
    );
    let security = &spec["properties"]["securityContext"];
    assert_eq!(
        security["allOf"],
        json!([{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSecurityContext"}])
    );
    assert_eq!(security["$ref"], Json::Null);
}

#[test]
fn every_operation_has_its_own_id() {
    for document in all_documents() {
        let mut seen = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values() {
                if let Some(id) = operation["operationId"].as_str() {
                    assert!(seen.insert(id.to_owned()), "{id} of {path}");
                }
            }
        }
    }
}
