use super::*;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  containers:\n  - name: web\n    resources:\n      requests: {cpu: 2, memory: 1Gi}\n";

fn reports(reports: &[Report]) -> Vec<String> {
    reports.iter().map(ToString::to_string).collect()
}

#[test]
fn documents_and_lists_give_the_same_objects() {
    let list = "apiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: b}\nkind: List\n";
    let documents = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n---\n";
    let json = r#"{"apiVersion":"v1","kind":"NamespaceList","items":[{"metadata":{"name":"a"}},{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"b"}}]}"#;
    let names = |text: &str| {
        let (objects, summary) = read_all(text);
        assert_eq!(summary.errors, [], "{text}");
        objects
            .iter()
            .map(|located| located.object.metadata().name.clone().unwrap())
            .collect::<Vec<_>>()
    };
    for text in [list, documents, json] {
        assert_eq!(names(text), ["a", "b"]);
    }
}

#[test]
fn json_objects_have_their_places() {
    let text = "{\"items\": [{\"kind\": \"\u{e4}\"}, {\"kind\": \"b\"},\n  {\"kind\": \"c\"}]}";
    let (_, summary) = read_all(text);
    let places: Vec<_> = summary
        .findings
        .iter()
        .map(|report| report.place.unwrap().to_string())
        .collect();
    assert_eq!(places, ["1:12", "1:27", "2:3"]);
}

#[test]
fn quantities_may_be_numbers() {
    let (objects, summary) = read_all(POD);
    assert_eq!(summary.errors, []);
    let Object::Pod(pod) = &objects[0].object else {
        panic!("no pod");
    };
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let requests = container
        .resources
        .as_ref()
        .unwrap()
        .requests
        .as_ref()
        .unwrap();
    assert_eq!(requests["cpu"].0, "2");
}

#[test]
fn a_broken_object_is_told_with_its_place_and_the_rest_is_read() {
    let text = format!("{}---\n{POD}", POD.replace("1Gi", "1Gb"));
    let (objects, summary) = read_all(&text);
    assert_eq!(objects.len(), 1);
    assert_eq!(
        reports(&summary.errors),
        [
            "document 1, 10:34, Pod shop/web, spec.containers[0].resources.requests.memory: `1Gb` is no quantity: its suffix is unknown"
        ]
    );
}

#[test]
fn unknown_kinds_and_fields_are_findings() {
    let text =
        format!("{POD}  nodeNamee: a\n---\napiVersion: v1\nkind: Widget\nmetadata: {{name: w}}\n");
    let (objects, summary) = read_all(&text);
    assert_eq!(objects.len(), 1);
    assert_eq!(
        reports(&summary.findings),
        [
            "document 1, 11:14, Pod shop/web, spec.nodeNamee: the kind has no such field",
            "document 2, 13:1, Widget w: the kind is not read here",
        ]
    );
}

#[test]
fn what_is_no_yaml_or_json_is_a_syntax_error() {
    for text in [
        "a: [",
        "a: b: c\n",
        "{\"a\": }",
        "kind: Pod\nkind: Pod\n",
        "a: &x 1\nb: *x\n",
        "[1,",
    ] {
        let (objects, summary) = read_all(text);
        assert!(objects.is_empty(), "{text}");
        assert!(
            matches!(summary.errors[0].reason, Reason::Syntax(_)),
            "{text}: {:?}",
            summary.errors
        );
    }
    assert_eq!(read_all("# nothing\n").1.errors[0].reason, Reason::Empty);
    assert_eq!(read_all("a: 1\n").1.errors[0].reason, Reason::NoKind);
}

#[test]
fn depth_is_bounded() {
    let deep = "[".repeat(100_000);
    assert!(!read_all(&format!("a: {deep}")).1.errors.is_empty());
    assert!(!read_all(&deep).1.errors.is_empty());
    assert!(!read_all(&"{\"a\":".repeat(100_000)).1.errors.is_empty());
}

#[test]
fn karpenter_objects_have_their_defaults() {
    let text = "apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: general}\nspec:\n  template:\n    spec:\n      nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}\n      requirements:\n      - {key: karpenter.sh/capacity-type, operator: In, values: [spot, on-demand], minValues: 1}\n  limits: {cpu: 100}\n  disruption: {consolidateAfter: 30s}\n";
    let (objects, summary) = read_all(text);
    assert_eq!((summary.errors, summary.findings), (vec![], vec![]));
    let Object::NodePool(pool) = &objects[0].object else {
        panic!("no pool");
    };
    assert_eq!(
        pool.spec.disruption.budgets,
        [crate::budget::Budget::default()]
    );
    assert_eq!(pool.spec.template.spec.requirements[0].min_values, Some(1));
    assert_eq!(pool.spec.limits.as_ref().unwrap()["cpu"].0, "100");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[ -~\n\u{e4}]{0,200}") {
        let _ = read_all(&text);
    }

    #[test]
    fn no_cut_or_changed_pod_panics(cut in 0_usize..150, byte in 32_u8..127) {
        let cut = cut.min(POD.len());
        let mut text = POD.as_bytes().to_vec();
        text.truncate(cut);
        text.push(byte);
        text.extend_from_slice(&POD.as_bytes()[cut..]);
        let _ = read_all(&String::from_utf8(text).unwrap());
    }
}
