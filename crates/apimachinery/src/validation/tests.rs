use serde_json::{Value as Json, json};

use super::*;
use crate::builtin;
use crate::resource::Resource;

fn resource(plural: &str) -> Resource {
    let all = builtin::resources();
    all.into_iter().find(|one| &*one.plural == plural).unwrap()
}

fn deployment() -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"any.thing/x": "y"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}, "creationTimestamp": null},
                "spec": {"containers": [{
                    "name": "web", "image": "nginx",
                    "resources": {"limits": {"cpu": 1, "memory": "64Mi"}},
                    "ports": [{"containerPort": 80}],
                    "livenessProbe": {"httpGet": {"path": "/", "port": "http"}},
                }]},
            },
        },
    })
}

#[test]
fn a_proper_object_has_no_unknown_field_and_no_wrong_type() {
    let deployments = resource("deployments");
    assert_eq!(strict(&deployments.schema, &deployment()), [""; 0]);
    assert_eq!(types(&deployments.schema, &deployment()), Ok(()));
}

#[test]
fn unknown_fields_are_told_with_their_paths() {
    let mut object = deployment();
    object["spec"]["x"] = json!(1);
    object["spec"]["template"]["spec"]["containers"][0]["imagePullpolicy"] = json!("Always");
    let texts = strict(&resource("deployments").schema, &object);
    assert_eq!(
        texts,
        [
            r#"unknown field "spec.template.spec.containers[0].imagePullpolicy""#,
            r#"unknown field "spec.x""#,
        ]
    );
    assert_eq!(
        strict_failure(&resource("deployments").kind, &texts[1..]).message,
        r#"Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.x""#
    );
}

#[test]
fn fields_that_stand_twice_are_told() {
    let text = br#"{"spec": {"replicas": 1, "replicas": 2, "list": [{"a": 1}, {"a": 1, "b": 2, "a": 3}]}}"#;
    assert_eq!(
        duplicates(text),
        [
            r#"duplicate field "spec.replicas""#,
            r#"duplicate field "spec.list[1].a""#
        ]
    );
    assert_eq!(duplicates(br#"{"a": 1, "a": }"#), [""; 0]);
}

#[test]
fn wrong_types_are_told_in_go_s_words() {
    let told = |change: fn(&mut Json)| {
        let mut object = deployment();
        change(&mut object);
        types(&resource("deployments").schema, &object).unwrap_err()
    };
    assert_eq!(
        told(|object| object["spec"]["replicas"] = json!("two")),
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
    assert_eq!(
        told(|object| object["spec"]["replicas"] = json!(1.5)),
        "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"
    );
    assert_eq!(
        told(
            |object| object["spec"]["template"]["spec"]["containers"][0]["env"] =
                json!([{"name": "A", "value": 1}])
        ),
        "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string"
    );
    assert_eq!(
        told(|object| object["spec"]["template"]["spec"]["containers"] = json!({})),
        "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"
    );
    assert_eq!(
        told(
            |object| object["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] =
                json!("lots")
        ),
        crate::quantity::FORM
    );
    assert!(
        told(|object| object["metadata"]["creationTimestamp"] = json!("yesterday"))
            .starts_with(r#"parsing time "yesterday""#)
    );
    let secret = json!({"data": {"a": "not base64!"}});
    assert_eq!(
        types(&resource("secrets").schema, &secret).unwrap_err(),
        "illegal base64 data at input byte 3"
    );
}
