use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A field of bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push((length as u8 & 0x7f) | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [
        MAGIC,
        &field(1, &meta),
        &field(2, raw),
        &field(3, b""),
        &field(4, b""),
    ]
    .concat()
}

#[test]
fn a_secret_has_base64_data_and_no_empty_fields() {
    let entry = [field(1, b"release"), field(2, b"H4sI")].concat();
    let meta = [
        field(1, b"sh.helm.release.v1.demo.v1"),
        field(2, b""),
        varint(7, 0),
        field(8, b""),
        field(11, &[field(1, b"owner"), field(2, b"helm")].concat()),
    ]
    .concat();
    let raw = [
        field(1, &meta),
        field(2, &entry),
        field(3, b"helm.sh/release.v1"),
    ]
    .concat();
    assert_eq!(
        decode(&body("v1", "Secret", &raw)).unwrap(),
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "sh.helm.release.v1.demo.v1", "labels": {"owner": "helm"}},
            "data": {"release": "SDRzSQ=="},
            "type": "helm.sh/release.v1",
        })
    );
}

#[test]
fn pointers_keep_their_zero() {
    let raw = field(2, &varint(1, 0));
    assert_eq!(
        decode(&body("apps/v1", "Deployment", &raw)).unwrap(),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 0}})
    );
}

#[test]
fn messages_that_go_inlines_stand_in_their_parent() {
    let secret = field(6, &field(1, b"tls"));
    let volume = [field(1, b"certs"), field(2, &secret)].concat();
    let raw = field(2, &field(1, &volume));
    assert_eq!(
        decode(&body("v1", "Pod", &raw)).unwrap()["spec"],
        json!({"volumes": [{"name": "certs", "secret": {"secretName": "tls"}}]})
    );
}

#[test]
fn ports_quantities_and_times_are_as_json_has_them() {
    let by_name = [varint(1, 1), varint(2, 0), field(3, b"http")].concat();
    let by_number = [varint(1, 0), varint(2, 80), field(3, b"")].concat();
    let port = |target: &[u8]| [varint(3, 80), field(4, target)].concat();
    let ports = [field(1, &port(&by_name)), field(1, &port(&by_number))].concat();
    assert_eq!(
        decode(&body("v1", "Service", &field(2, &ports))).unwrap()["spec"]["ports"],
        json!([{"port": 80, "targetPort": "http"}, {"port": 80, "targetPort": 80}])
    );

    let hard = [field(1, b"pods"), field(2, &field(1, b"10"))].concat();
    assert_eq!(
        decode(&body("v1", "ResourceQuota", &field(2, &field(1, &hard)))).unwrap()["spec"],
        json!({"hard": {"pods": "10"}})
    );

    // 1,700,000,000 seconds and 123,456,000 nanoseconds after 1970.
    let seconds = [8, 0x80, 0xe2, 0xcf, 0xaa, 6];
    let nanos = [16, 0x80, 0x94, 0xef, 0x3a];
    let renew = field(4, &[&seconds[..], &nanos[..]].concat());
    assert_eq!(
        decode(&body("coordination.k8s.io/v1", "Lease", &field(2, &renew))).unwrap()["spec"],
        json!({"renewTime": "2023-11-14T22:13:20.123456Z"})
    );
    let created = field(1, &field(8, &seconds));
    assert_eq!(
        decode(&body("v1", "Pod", &created)).unwrap()["metadata"],
        json!({"creationTimestamp": "2023-11-14T22:13:20Z"})
    );
}

#[test]
fn options_of_a_deletion_may_be_empty() {
    let expected = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
    assert_eq!(decode(&body("v1", "DeleteOptions", b"")).unwrap(), expected);
    let raw = [field(4, b"Background"), varint(1, 0)].concat();
    let options = decode(&body("apps/v1", "DeleteOptions", &raw)).unwrap();
    assert_eq!(options["propagationPolicy"], "Background");
    assert_eq!(options["gracePeriodSeconds"], 0);
}

#[test]
fn lists_in_messages_of_their_own_are_lists() {
    let scopes = [field(1, b"a"), field(1, b"b")].concat();
    let extra = [field(1, b"scopes"), field(2, &scopes)].concat();
    let raw = field(2, &[field(3, b"ann"), field(5, &extra)].concat());
    let review = decode(&body(
        "authorization.k8s.io/v1",
        "SubjectAccessReview",
        &raw,
    ))
    .unwrap();
    assert_eq!(
        review["spec"],
        json!({"user": "ann", "extra": {"scopes": ["a", "b"]}})
    );
}

#[test]
fn what_is_not_a_known_kind_is_refused() {
    let refused = |body: &[u8]| decode(body).unwrap_err().message;
    assert!(refused(b"{}").contains("does not appear to be a protobuf message"));
    let custom = refused(&body("karpenter.sh/v1", "NodePool", b""));
    assert!(
        custom.contains("no kind \"NodePool\" is registered"),
        "{custom}"
    );
    let short = refused(&body("v1", "Pod", &[0x0a, 200]));
    assert!(short.contains("Pod cannot be decoded"), "{short}");
}

#[test]
fn nesting_has_an_end() {
    // `not` of a JSON schema, a thousand deep: `JSONSchemaProps.not` is field 28, so its key has two bytes.
    let mut schema = Vec::new();
    for _ in 0..1000 {
        let inner = field(0, &schema);
        schema = [&[0xe2, 0x01][..], &inner[1..]].concat();
    }
    let version = field(4, &field(1, &schema));
    let raw = field(2, &field(7, &version));
    let refused = decode(&body(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        &raw,
    ));
    assert!(refused.unwrap_err().message.contains("nested too deep"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let _ = decode(&[MAGIC, &bytes].concat());
    }

    /// Keys of few numbers, so that many lead to fields.
    #[test]
    fn no_fields_make_it_panic(
        kind in prop::sample::select(vec![
            ("v1", "Pod"), ("apps/v1", "Deployment"), ("v1", "Service"), ("v1", "Secret"), ("coordination.k8s.io/v1", "Lease"),
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition"), ("authorization.k8s.io/v1", "SubjectAccessReview"),
        ]),
        raw in nested(),
    ) {
        let _ = decode(&body(kind.0, kind.1, &raw));
    }
}

fn nested() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop::collection::vec(any::<u8>(), 0..8);
    leaf.prop_recursive(6, 64, 4, |inner| {
        prop::collection::vec((1_u8..16, inner, any::<bool>()), 0..4).prop_map(|parts| {
            parts
                .into_iter()
                .flat_map(|(number, content, number_only)| match number_only {
                    true => varint(number, content.len() as u8),
                    false => field(number, &content),
                })
                .collect()
        })
    })
}
