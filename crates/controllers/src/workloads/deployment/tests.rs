use std::cell::RefCell;
use std::rc::Rc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::Deployments;
use crate::Controller;
use crate::testing::Cluster;
use crate::workloads::ReplicaSets;
use crate::workloads::pods::{is_active, is_ready};

fn controllers() -> Vec<Box<dyn Controller>> {
    vec![Box::new(Deployments), Box::new(ReplicaSets::default())]
}

fn deployment(replicas: i32, strategy: Json) -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "annotations": {"team": "red",
            "kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "spec": {"replicas": replicas, "strategy": strategy, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
        }},
    })
}

fn rolling(surge: i32, unavailable: i32) -> Json {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

fn running(replicas: i32, strategy: Json) -> Cluster {
    let mut cluster = Cluster::new(controllers());
    cluster.create(deployment(replicas, strategy));
    cluster.settle_with_kubelet();
    cluster
}

fn set_image(cluster: &mut Cluster, image: &str) {
    let patch =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    cluster.patch::<Deployment>("default", "web", &patch);
}

fn patch(cluster: &mut Cluster, patch: Json) {
    cluster.patch::<Deployment>("default", "web", &patch);
}

fn get(cluster: &Cluster) -> Deployment {
    cluster.get("default", "web")
}

fn condition(cluster: &Cluster, kind: &str) -> Option<DeploymentCondition> {
    super::progress::condition(&get(cluster).status.unwrap(), kind).cloned()
}

fn reason(cluster: &Cluster, kind: &str) -> String {
    condition(cluster, kind)
        .and_then(|found| found.reason)
        .unwrap_or_default()
}

/// Image, revision, wanted replicas of each set, by revision.
fn sets(cluster: &Cluster) -> Vec<(String, i64, i32)> {
    let mut sets: Vec<_> = cluster
        .list::<ReplicaSet>("default")
        .into_iter()
        .map(|set| {
            let spec = set.spec.unwrap();
            let image = spec.template.unwrap().spec.unwrap().containers[0]
                .image
                .clone();
            let revision = set.metadata.annotations.unwrap()[super::REVISION]
                .parse()
                .unwrap();
            (image.unwrap(), revision, spec.replicas.unwrap())
        })
        .collect();
    sets.sort_by_key(|(_, revision, _)| *revision);
    sets
}

/// What `kubectl rollout status` (kubectl/pkg/polymorphichelpers/rollout_status.go) and helm's kstatus wait for.
#[track_caller]
fn assert_rolled_out(cluster: &Cluster, replicas: i32) {
    let deployment = get(cluster);
    let status = deployment.status.unwrap();
    let counted = (replicas != 0).then_some(replicas);
    assert_eq!(status.observed_generation, deployment.metadata.generation);
    assert_eq!(status.replicas, counted);
    assert_eq!(status.updated_replicas, counted);
    assert_eq!(status.ready_replicas, counted);
    assert_eq!(status.available_replicas, counted);
    assert_eq!(status.unavailable_replicas, None);
    assert_eq!(reason(cluster, "Progressing"), "NewReplicaSetAvailable");
    assert_eq!(reason(cluster, "Available"), "MinimumReplicasAvailable");
}

/// deployment/sync.go `getNewReplicaSet`.
#[test]
fn the_first_rollout_makes_one_set() {
    let cluster = running(3, rolling(1, 1));
    assert_rolled_out(&cluster, 3);
    assert_eq!(sets(&cluster), [("nginx:1".to_owned(), 1, 3)]);
    let set = &cluster.list::<ReplicaSet>("default")[0];
    let annotations = set.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations[super::DESIRED_REPLICAS], "3");
    assert_eq!(annotations[super::MAX_REPLICAS], "4");
    assert_eq!(annotations["team"], "red");
    assert!(!annotations.contains_key("kubectl.kubernetes.io/last-applied-configuration"));
    let hash = &set.metadata.labels.as_ref().unwrap()[super::TEMPLATE_HASH];
    assert_eq!(
        set.metadata.name.as_deref(),
        Some(format!("web-{hash}").as_str())
    );
    let selector = set
        .spec
        .as_ref()
        .unwrap()
        .selector
        .match_labels
        .as_ref()
        .unwrap();
    assert_eq!(&selector[super::TEMPLATE_HASH], hash);
    for pod in cluster.list::<Pod>("default") {
        assert_eq!(&pod.metadata.labels.unwrap()[super::TEMPLATE_HASH], hash);
    }
    assert_eq!(
        get(&cluster).metadata.annotations.unwrap()[super::REVISION],
        "1"
    );
    assert_eq!(
        cluster.told("Deployment/web", "ScalingReplicaSet"),
        [format!("Scaled up replica set web-{hash} from 0 to 3")]
    );
}

/// deployment/rolling.go.
#[test]
fn a_new_image_rolls_and_the_old_set_stays_for_undo() {
    let mut cluster = running(4, rolling(1, 1));
    set_image(&mut cluster, "nginx:2");
    cluster.settle();
    // 4 wanted, one more and one less allowed: the new set begins with what there is room for.
    assert_eq!(
        sets(&cluster),
        [("nginx:1".to_owned(), 1, 3), ("nginx:2".to_owned(), 2, 2)]
    );
    assert_eq!(reason(&cluster, "Progressing"), "ReplicaSetUpdated");
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 4);
    assert_eq!(
        sets(&cluster),
        [("nginx:1".to_owned(), 1, 0), ("nginx:2".to_owned(), 2, 4)]
    );
    assert_eq!(
        get(&cluster).metadata.annotations.unwrap()[super::REVISION],
        "2"
    );
}

/// deployment_util.go `SetNewReplicaSetAnnotations`: what `kubectl rollout undo` does, and `kubectl rollout history` shows.
#[test]
fn undo_takes_the_old_set_up_again_as_a_new_revision() {
    let mut cluster = running(2, rolling(1, 1));
    for image in ["nginx:2", "nginx:1", "nginx:2"] {
        set_image(&mut cluster, image);
        cluster.settle_with_kubelet();
    }
    assert_eq!(
        sets(&cluster),
        [("nginx:1".to_owned(), 3, 0), ("nginx:2".to_owned(), 4, 2)]
    );
    let histories: Vec<_> = cluster
        .list::<ReplicaSet>("default")
        .into_iter()
        .map(|set| set.metadata.annotations.unwrap()[super::REVISION_HISTORY].clone())
        .collect();
    assert!(histories.contains(&"1".to_owned()) && histories.contains(&"2".to_owned()));
    assert_rolled_out(&cluster, 2);
}

/// `kubectl rollout restart` writes an annotation of the template.
#[test]
fn restart_replaces_all_pods() {
    let mut cluster = running(3, rolling(1, 0));
    let before: Vec<_> = cluster
        .list::<Pod>("default")
        .into_iter()
        .map(|pod| pod.metadata.uid)
        .collect();
    patch(
        &mut cluster,
        json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-05T00:00:00Z"}}}}}),
    );
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 3);
    assert!(
        cluster
            .list::<Pod>("default")
            .iter()
            .all(|pod| !before.contains(&pod.metadata.uid))
    );
}

#[test]
fn scaling_keeps_the_revision() {
    let mut cluster = running(2, rolling(1, 1));
    for replicas in [5, 1, 0, 3] {
        patch(&mut cluster, json!({"spec": {"replicas": replicas}}));
        cluster.settle_with_kubelet();
        assert_rolled_out(&cluster, replicas);
        assert_eq!(sets(&cluster), [("nginx:1".to_owned(), 1, replicas)]);
    }
}

/// deployment_util.go `GetReplicaSetProportion`; the worked example of the documentation: 10 replicas, surge 3, unavailable 2,
/// a bad image, then 15 replicas.
#[test]
fn scaling_in_the_middle_of_a_rollout_is_proportional() {
    let mut cluster = running(10, rolling(3, 2));
    set_image(&mut cluster, "nginx:bad");
    cluster.settle();
    assert_eq!(
        sets(&cluster),
        [("nginx:1".to_owned(), 1, 8), ("nginx:bad".to_owned(), 2, 5)]
    );
    patch(&mut cluster, json!({"spec": {"replicas": 15}}));
    cluster.settle();
    assert_eq!(
        sets(&cluster),
        [
            ("nginx:1".to_owned(), 1, 11),
            ("nginx:bad".to_owned(), 2, 7)
        ]
    );
}

/// deployment/recreate.go: no old pod is left when the first new one comes.
#[test]
fn recreate_waits_for_the_last_old_pod() {
    let mut cluster = running(3, json!({"type": "Recreate"}));
    set_image(&mut cluster, "nginx:2");
    cluster.settle();
    let terminating = cluster.list::<Pod>("default");
    assert_eq!(terminating.len(), 3);
    assert!(
        terminating
            .iter()
            .all(|pod| pod.metadata.deletion_timestamp.is_some())
    );
    let last = terminating[2].metadata.name.clone();
    cluster.finish_terminating(|pod| pod.metadata.name != last);
    cluster.settle();
    assert_eq!(cluster.list::<Pod>("default").len(), 1);
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 3);
    assert_eq!(
        sets(&cluster),
        [("nginx:1".to_owned(), 1, 0), ("nginx:2".to_owned(), 2, 3)]
    );
}

/// deployment/progress.go `syncRolloutStatus`, deployment_util.go `DeploymentTimedOut`.
#[test]
fn without_progress_the_deadline_is_told_of() {
    let mut cluster = running(3, rolling(1, 0));
    set_image(&mut cluster, "nginx:bad");
    cluster.run_for(599);
    assert_eq!(reason(&cluster, "Progressing"), "ReplicaSetUpdated");
    cluster.run_for(5);
    let stuck = condition(&cluster, "Progressing").unwrap();
    assert_eq!(
        (stuck.status.as_str(), stuck.reason.as_deref()),
        ("False", Some("ProgressDeadlineExceeded"))
    );
    let name = cluster
        .list::<ReplicaSet>("default")
        .into_iter()
        .find(|set| set.metadata.annotations.as_ref().unwrap()[super::REVISION] == "2")
        .and_then(|set| set.metadata.name)
        .unwrap();
    assert_eq!(
        stuck.message.unwrap(),
        format!("ReplicaSet \"{name}\" has timed out progressing.")
    );
    assert_eq!(reason(&cluster, "Available"), "MinimumReplicasAvailable");
    // At last it goes on.
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 3);
}

/// deployment/sync.go `checkPausedConditions`: a paused Deployment scales and does not roll.
#[test]
fn a_pause_holds_the_rollout_and_not_the_scale() {
    let mut cluster = running(2, rolling(1, 0));
    patch(&mut cluster, json!({"spec": {"paused": true}}));
    set_image(&mut cluster, "nginx:2");
    cluster.settle_with_kubelet();
    assert_eq!(sets(&cluster), [("nginx:1".to_owned(), 1, 2)]);
    assert_eq!(reason(&cluster, "Progressing"), "DeploymentPaused");
    patch(&mut cluster, json!({"spec": {"replicas": 4}}));
    cluster.settle_with_kubelet();
    assert_eq!(sets(&cluster), [("nginx:1".to_owned(), 1, 4)]);
    patch(&mut cluster, json!({"spec": {"paused": false}}));
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 4);
    assert_eq!(sets(&cluster)[1], ("nginx:2".to_owned(), 2, 4));
}

/// deployment/sync.go `cleanupDeployment`.
#[test]
fn history_is_as_long_as_it_may_be() {
    let mut cluster = running(1, rolling(1, 0));
    patch(&mut cluster, json!({"spec": {"revisionHistoryLimit": 2}}));
    for image in ["a", "b", "c", "d"] {
        set_image(&mut cluster, image);
        cluster.settle_with_kubelet();
    }
    let revisions: Vec<i64> = sets(&cluster)
        .into_iter()
        .map(|(_, revision, _)| revision)
        .collect();
    assert_eq!(revisions, [3, 4, 5]);
}

/// deployment/sync.go `getNewReplicaSet`: a name that is another's raises `collisionCount`.
#[test]
fn a_name_that_is_taken_gives_another_hash() {
    let first = running(1, rolling(1, 0));
    let name = first.list::<ReplicaSet>("default")[0]
        .metadata
        .name
        .clone()
        .unwrap();
    let mut cluster = Cluster::new(controllers());
    cluster.create(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "other"}}, "template": {"metadata": {"labels": {"app": "other"}}}}}));
    cluster.create(deployment(1, rolling(1, 0)));
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 1);
    assert_eq!(get(&cluster).status.unwrap().collision_count, Some(1));
    assert_eq!(cluster.list::<ReplicaSet>("default").len(), 2);
}

/// deployment/progress.go `getReplicaFailures`.
#[test]
fn a_quota_is_the_deployments_failure_too() {
    let mut cluster = Cluster::new(controllers());
    cluster.pod_quota = Some(1);
    cluster.create(deployment(3, rolling(1, 0)));
    cluster.run_for(3);
    assert_eq!(reason(&cluster, "ReplicaFailure"), "FailedCreate");
    cluster.pod_quota = None;
    cluster.run_with_kubelet_for(60);
    assert_rolled_out(&cluster, 3);
    assert_eq!(condition(&cluster, "ReplicaFailure"), None);
}

/// `kubectl delete --cascade=orphan`, then the same Deployment again.
#[test]
fn an_orphaned_set_is_adopted_again() {
    let mut cluster = running(2, rolling(1, 1));
    cluster.orphan::<Deployment>("default", "web");
    cluster.settle_with_kubelet();
    assert_eq!(cluster.list::<Pod>("default").len(), 2);
    cluster.create(deployment(2, rolling(1, 1)));
    cluster.settle_with_kubelet();
    assert_eq!(sets(&cluster), [("nginx:1".to_owned(), 1, 2)]);
    assert_rolled_out(&cluster, 2);
}

#[test]
fn two_thousand_replicas_roll_in_few_rounds() {
    let mut cluster = running(2000, json!({}));
    assert_rolled_out(&cluster, 2000);
    set_image(&mut cluster, "nginx:2");
    cluster.settle_with_kubelet();
    assert_rolled_out(&cluster, 2000);
    assert!(cluster.reconciled < 200, "{}", cluster.reconciled);
}

#[derive(Debug, Clone)]
enum Step {
    Image(u8),
    /// Pods whose name has this remainder become ready, or are gone if they are terminating.
    Kubelet(u8),
    Gone,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (1u8..4).prop_map(Step::Image),
        5 => (0u8..3).prop_map(Step::Kubelet),
        1 => Just(Step::Gone),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..25)
}

fn remainder(pod: &Pod) -> u8 {
    pod.metadata
        .name
        .as_deref()
        .unwrap_or_default()
        .bytes()
        .fold(0, |sum: u8, byte| sum.wrapping_add(byte))
        % 3
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// However templates change, pods become ready and writes are seen late: the sets together never want more than
    /// `maxSurge` above the replicas, and never fewer pods than `maxUnavailable` below are ready.
    #[test]
    fn a_rollout_keeps_its_limits(
        replicas in 1i32..9,
        surge in 0i32..4,
        unavailable in 0i32..4,
        late in proptest::option::of(any::<u64>()),
        steps in steps(),
    ) {
        prop_assume!(surge + unavailable > 0);
        let mut cluster = running(replicas, rolling(surge, unavailable));
        cluster.late = late;
        let worst = Rc::new(RefCell::new((0, i32::MAX)));
        let seen = worst.clone();
        cluster.watch = Some(Box::new(move |cluster| {
            let wanted: i32 = cluster.list::<ReplicaSet>("default").iter().map(super::replicas_of).sum();
            let ready = cluster.list::<Pod>("default").iter().filter(|pod| is_active(pod) && is_ready(pod)).count();
            let mut worst = seen.borrow_mut();
            worst.0 = worst.0.max(wanted);
            worst.1 = worst.1.min(i32::try_from(ready).unwrap());
        }));
        for step in steps {
            match step {
                Step::Image(number) => set_image(&mut cluster, &format!("nginx:{number}")),
                Step::Kubelet(which) => { cluster.make_ready(|pod| remainder(pod) == which); }
                Step::Gone => { cluster.finish_terminating(|_| true); }
                Step::Restart => cluster.restart(controllers()),
            }
            cluster.settle();
        }
        let (most, least) = *worst.borrow();
        prop_assert!(most <= replicas + surge, "{most} wanted");
        prop_assert!(least >= replicas - unavailable, "{least} ready");
        cluster.watch = None;
        cluster.settle_with_kubelet();
        assert_rolled_out(&cluster, replicas);
        prop_assert_eq!(cluster.list::<Pod>("default").len(), usize::try_from(replicas).unwrap());
    }

    /// Two Deployments with the same labels never take each other's sets, nor the pods of these.
    #[test]
    fn adoption_never_steals(late in proptest::option::of(any::<u64>()), first in 1i32..4, second in 1i32..4) {
        let mut cluster = Cluster::new(controllers());
        cluster.late = late;
        cluster.create(deployment(first, rolling(1, 1)));
        let mut other = deployment(second, rolling(1, 1));
        other["metadata"]["name"] = json!("web2");
        other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other");
        cluster.create(other);
        let owners: Rc<RefCell<std::collections::BTreeMap<String, String>>> = Rc::default();
        cluster.watch = Some(Box::new(move |cluster| {
            let mut known = owners.borrow_mut();
            let sets = cluster.list::<ReplicaSet>("default").into_iter().map(|set| set.metadata);
            let pods = cluster.list::<Pod>("default").into_iter().map(|pod| pod.metadata);
            for metadata in sets.chain(pods) {
                let owner = metadata.owner_references.unwrap()[0].uid.clone();
                let before = known.entry(metadata.uid.unwrap()).or_insert_with(|| owner.clone());
                assert_eq!(before, &owner);
            }
        }));
        cluster.settle_with_kubelet();
        let total = usize::try_from(first + second).unwrap();
        prop_assert_eq!(cluster.list::<Pod>("default").len(), total);
        prop_assert_eq!(cluster.list::<ReplicaSet>("default").len(), 2);
    }
}
