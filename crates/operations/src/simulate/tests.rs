use std::path::PathBuf;

use autoscale::answer::{Answer, Kind, Level};

use super::*;

const TYPES: &str = "instance_type,arch,os,zones,vcpu,memory_mib,pods,overhead_cpu_milli,overhead_memory_mib,on_demand_usd_per_hour,spot_usd_per_hour,labels
s,amd64,linux,a;b;c,2,8192,20,100,512,0.10,,
l,amd64,linux,a;b;c,8,32768,80,100,512,0.40,,
";
const POOL: &str = "{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: general}, spec: {template: {spec: {nodeClassRef: {group: g, kind: Own, name: default}, requirements: []}}}}";

fn file(name: &str, text: &str) -> (PathBuf, String) {
    // What begins with a brace is read as JSON.
    let text = if text.starts_with('{') {
        format!("---\n{text}")
    } else {
        text.to_owned()
    };
    (PathBuf::from(name), text)
}

fn ask(snapshot: &str, apply: &str) -> Result<Answer, Error> {
    ask_of(Cluster::Snapshot(&[file("cluster.yaml", snapshot)]), apply)
}

fn ask_of(cluster: Cluster<'_>, apply: &str) -> Result<Answer, Error> {
    let applied = match apply {
        "" => Vec::new(),
        text => vec![file("more.yaml", text)],
    };
    Simulation {
        cluster,
        apply: &applied,
        instance_types: Some(&file("types.csv", TYPES)),
        data_folder: None,
        spot_ratio: None,
        removes: Vec::new(),
        interrupts: Vec::new(),
        span: None,
        at: None,
        seed: 0,
        switches: Switches::default(),
        version: KarpenterVersion::default(),
        explain: None,
        delays: Delays::default(),
    }
    .run()
}

fn launched(answer: &Answer) -> Vec<&str> {
    let all = answer.decisions.iter();
    all.filter(|one| one.kind == Kind::Launch)
        .filter_map(|one| one.chosen.as_deref())
        .collect()
}

fn deployment(replicas: i32, cpu: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web, namespace: shop}}, spec: {{replicas: {replicas}, selector: {{matchLabels: {{app: web}}}}, template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: c, resources: {{requests: {{cpu: {cpu}}}}}}}]}}}}}}}}"
    )
}

#[test]
fn a_deployment_that_is_applied_has_its_pods() {
    let answer = ask(POOL, &deployment(3, "600m")).unwrap();
    // Three of 600m fit on one s (1900m).
    assert_eq!(launched(&answer), ["s"]);
    assert_eq!(answer.after.nodes[0].pods.len(), 3);
    let owner = answer.after.nodes[0].pods[0].owner.as_deref();
    assert_eq!(owner, Some("Deployment/web"));
}

#[test]
fn what_is_applied_takes_the_place_of_what_is_there() {
    let only_l = POOL.replace(
        "requirements: []",
        "requirements: [{key: node.kubernetes.io/instance-type, operator: In, values: [l]}]",
    );
    let snapshot = format!(
        "{POOL}\n---\n{{apiVersion: v1, kind: Pod, metadata: {{name: web-6c9f7b5d8-old, namespace: shop, creationTimestamp: '2026-03-02T10:00:00Z', ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: web-6c9f7b5d8, controller: true, uid: u}}]}}, spec: {{containers: [{{name: c}}]}}}}"
    );
    let answer = ask(
        &snapshot,
        &format!("{only_l}\n---\n{}", deployment(1, "100m")),
    )
    .unwrap();
    assert_eq!(launched(&answer), ["l"]);
    assert_eq!(answer.after.nodes[0].pods.len(), 1);
    assert!(
        answer
            .findings
            .iter()
            .any(|one| one.message.starts_with("1 of its pods"))
    );
}

#[test]
fn stateful_sets_and_jobs_have_pods_and_claims() {
    let more = "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: shop}, spec: {replicas: 2, serviceName: db, selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, resources: {requests: {cpu: 1500m}}}]}}, volumeClaimTemplates: [{metadata: {name: data}, spec: {storageClassName: gp3, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: gp3}, provisioner: ebs.csi.aws.com, volumeBindingMode: WaitForFirstConsumer}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: sum, namespace: shop}, spec: {parallelism: 3, completions: 2, template: {spec: {restartPolicy: Never, containers: [{name: c, resources: {requests: {cpu: 100m}}}]}}}}";
    let answer = ask(POOL, more).unwrap();
    let mut pods: Vec<String> = answer
        .after
        .nodes
        .iter()
        .flat_map(|node| node.pods.iter().map(|pod| pod.name.clone()))
        .collect();
    pods.sort_unstable();
    assert_eq!(&pods[..2], ["shop/db-0", "shop/db-1"]);
    assert_eq!(pods.len(), 4);
}

#[test]
fn bad_input_is_told_with_its_place() {
    let message = |snapshot: &str| ask(snapshot, "").unwrap_err().to_string();
    let quantity = format!(
        "{POOL}\n---\n{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c, resources: {{requests: {{cpu: lots}}}}}}]}}}}"
    );
    assert!(message(&quantity).starts_with("cluster.yaml can't be read: document 2, 4:"));
    assert!(message("a: [").starts_with("cluster.yaml can't be read: document 1, "));
    assert!(message("").ends_with("the text has no object"));
    let no_pool = "{apiVersion: v1, kind: Namespace, metadata: {name: a}}";
    assert!(matches!(ask(no_pool, ""), Err(Error::NoNodePools)));
    let many = deployment(i32::MAX, "1");
    assert!(matches!(
        ask(POOL, &many),
        Err(Error::TooManyReplicas { .. })
    ));
}

#[test]
fn what_is_not_understood_is_a_finding() {
    let snapshot = format!(
        "{POOL}
---
{{apiVersion: v1, kind: Widget, metadata: {{name: w}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: a, namespace: shop, ownerReferences: [{{apiVersion: v1, kind: Pod, name: b, controller: true, uid: b}}]}}, spec: {{sparkles: 3, containers: [{{name: c, resources: {{requests: {{memory: '-1'}}}}}}]}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: b, namespace: shop, ownerReferences: [{{apiVersion: v1, kind: Pod, name: a, controller: true, uid: a}}]}}, spec: {{containers: [{{name: c}}]}}}}"
    );
    let answer = ask(&snapshot, "").unwrap();
    for part in [
        "the kind is not read here",
        "spec.sparkles: the kind has no such field",
        "owner references go in a ring: Pod shop/a, Pod shop/b",
        "memory is negative",
    ] {
        let found = answer.findings.iter().any(|one| one.message.contains(part));
        assert!(found, "{part}: {:?}", answer.findings);
    }
    assert!(
        answer
            .findings
            .iter()
            .any(|one| one.level == Level::Warning)
    );
}
