//! Runs over a small cloud: what is begun when, what an error stops, and that a run which dies at any call is carried on
//! without doing anything twice.
#![allow(clippy::unwrap_used)]

mod cloud;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::ids::{Address, EnvironmentName, LeaseOwner, PlatformName, Region, RunId};
use cloud::{Cloud, Fate};
use graph::{
    Graph, GraphBuilder, Inputs, Resource, Scope, SecretReference, State, Value, plan,
    plan_destroy, value,
};
use journal::{FolderStore, Store};
use seaworthy_engine::{
    Engine, EngineError, Notice, Outcome, Pace, Recorder, Report, RunKind, Settings, Stop, What,
    read_live,
};
use tokio::sync::watch;

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn scope() -> Scope {
    Scope {
        platform: PlatformName::new("shop").unwrap(),
        environment: EnvironmentName::new("dev").unwrap(),
        region: Region::new("eu-central-1").unwrap(),
    }
}

fn resource(at: &str, type_name: &str, properties: Value) -> Resource {
    let Value::Object(mut properties) = properties else {
        panic!("properties are an object")
    };
    properties.insert(
        "Tags".to_owned(),
        value!([{ "Key": "seaworthy:address", "Value": at }]),
    );
    Resource::new(address(at), type_name.parse().unwrap(), properties)
}

/// A VPC, subnets in it, a named queue, a secret and a broker that takes it.
fn platform(vpc_cidr: &str, subnets: u8) -> Graph {
    let mut builder = GraphBuilder::new(scope());
    let vpc = builder.add(resource(
        "network/vpc",
        "AWS::EC2::VPC",
        value!({ "CidrBlock": vpc_cidr }),
    ));
    for number in 0..subnets {
        let properties = value!({
            "VpcId": Value::attribute(&vpc, "VpcId"),
            "CidrBlock": format!("10.0.{number}.0/24"),
        });
        builder.add(resource(
            &format!("network/subnet/{number}"),
            "AWS::EC2::Subnet",
            properties,
        ));
    }
    builder.add(resource(
        "karpenter/queue",
        "AWS::SQS::Queue",
        value!({ "QueueName": "jobs" }),
    ));
    let secret = builder.add(resource(
        "rabbitmq/password",
        "AWS::SecretsManager::Secret",
        value!({ "Name": "mq" }),
    ));
    let password = Value::Secret(SecretReference { secret, key: None });
    let broker = value!({ "BrokerName": "shop-dev", "Users": [{ "Username": "shop", "Password": password }] });
    builder.add(resource("rabbitmq/broker", "AWS::AmazonMQ::Broker", broker));
    builder.build().unwrap()
}

fn settings() -> Settings {
    Settings {
        pace: Pace::new(f64::INFINITY),
        ..Settings::default()
    }
}

fn owner() -> LeaseOwner {
    LeaseOwner::new("a test").unwrap()
}

struct Fixture {
    folder: tempfile::TempDir,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            notices: Arc::default(),
        }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(FolderStore::new(self.folder.path()))
    }

    async fn engine(&self, cloud: &Cloud) -> Engine {
        let recorder = Recorder::open(self.store(), &owner()).await.unwrap();
        let notices = self.notices.clone();
        let observer = Arc::new(move |notice| notices.lock().unwrap().push(notice));
        Engine::new(
            scope(),
            Arc::new(cloud.clone()),
            Arc::new(recorder),
            settings(),
            observer,
        )
    }

    async fn deploy(&self, cloud: &Cloud, graph: &Graph) -> Result<Report, EngineError> {
        let engine = self.engine(cloud).await;
        let (_stop, stopped) = watch::channel(Stop::No);
        let report = deploy(&engine, graph, stopped).await;
        self.store().unlock().await.unwrap();
        report
    }

    async fn destroy(&self, cloud: &Cloud) -> Result<Report, EngineError> {
        let engine = self.engine(cloud).await;
        let (_stop, stopped) = watch::channel(Stop::No);
        engine.settle(stopped.clone()).await?;
        let plan = plan_destroy(&scope(), "abc", &engine.recorder().state());
        let report = engine
            .apply(run_id(), RunKind::Destroy, &plan, &BTreeMap::new(), stopped)
            .await;
        self.store().unlock().await.unwrap();
        report
    }
}

fn run_id() -> RunId {
    RunId::new("run-1").unwrap()
}

fn planned(graph: &Graph, state: &State) -> graph::Plan {
    plan(Inputs {
        graph,
        spec_hash: "abc",
        state,
        parameters: &BTreeMap::new(),
        live: None,
    })
}

async fn deploy(
    engine: &Engine,
    graph: &Graph,
    stop: watch::Receiver<Stop>,
) -> Result<Report, EngineError> {
    engine.settle(stop.clone()).await?;
    let plan = planned(graph, &engine.recorder().state());
    engine
        .apply(run_id(), RunKind::Deploy, &plan, &BTreeMap::new(), stop)
        .await
}

#[tokio::test]
async fn everything_is_made_once_and_a_second_deploy_has_nothing_to_do() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 6);
    let report = fixture.deploy(&cloud, &graph).await.unwrap();
    assert_eq!(
        (report.outcome, report.done),
        (Outcome::Completed, graph.len())
    );
    assert_eq!(cloud.contents().len(), graph.len());
    assert!(
        cloud.highest_at_once() >= 6,
        "subnets are made side by side: {}",
        cloud.highest_at_once()
    );
    let calls = cloud.calls();
    let second = fixture.deploy(&cloud, &graph).await.unwrap();
    assert_eq!((second.done, cloud.calls()), (0, calls));
    let journal = std::fs::read_to_string(fixture.folder.path().join("journal.jsonl")).unwrap();
    assert!(
        !journal.contains("hunter2"),
        "the secret is in the call alone"
    );
    assert!(
        cloud
            .contents()
            .iter()
            .any(|(_, model)| model["Users"][0]["Password"] == "hunter2-hunter2")
    );
}

#[tokio::test]
async fn a_terminal_error_stops_only_what_depends_on_it() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 3);
    let broken = cloud.with(|_, what, type_name| match (what, type_name.as_str()) {
        ("create", "AWS::EC2::VPC") => Fate::Refused("InvalidRequest"),
        _ => Fate::Works,
    });
    let report = fixture.deploy(&broken, &graph).await.unwrap();
    assert_eq!(
        (report.outcome, report.done, report.skipped.len()),
        (Outcome::Failed, 3, 3)
    );
    assert_eq!(report.failed[0].address, address("network/vpc"));
    assert_eq!(
        report.failed[0].error.to_string(),
        "InvalidRequest: as the test wants it"
    );
    let report = fixture.deploy(&cloud, &graph).await.unwrap();
    assert_eq!((report.outcome, report.done), (Outcome::Completed, 4));
}

#[tokio::test]
async fn what_a_failed_create_leaves_is_replaced() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 1);
    let broken = cloud.with(|_, what, type_name| match (what, type_name.as_str()) {
        ("create", "AWS::SQS::Queue") => Fate::Fails("GeneralServiceException"),
        _ => Fate::Works,
    });
    let report = fixture.deploy(&broken, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    let report = fixture.deploy(&cloud, &graph).await.unwrap();
    assert_eq!(
        (report.outcome, report.done),
        (Outcome::Completed, 2),
        "deleted, and made anew"
    );
    assert_eq!(cloud.contents().len(), graph.len());
}

#[tokio::test]
async fn transient_errors_are_tried_again_and_leave_nothing_behind() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 8);
    let shaky = cloud.with(|call, what, _| match (call % 10, what) {
        (1 | 6, _) => Fate::Refused("ThrottlingException"),
        (3, "create" | "update" | "delete") => Fate::Refused("CannotBeAssumed"),
        (5, "create") => Fate::Fails("ServiceInternalError"),
        (8, "poll" | "read") => Fate::Refused("ServiceInternalError"),
        _ => Fate::Works,
    });
    let report = fixture.deploy(&shaky, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    let steady = Cloud::new();
    Fixture::new().deploy(&steady, &graph).await.unwrap();
    assert_eq!(cloud.contents(), steady.contents());
    assert!(
        fixture
            .notices
            .lock()
            .unwrap()
            .iter()
            .any(|notice| matches!(notice.what, What::Retrying { .. }))
    );
}

/// Creates of the queue fail and leave it behind, `failures` times; deletions are refused with a code while `refusing` is set.
fn leaving(cloud: &Cloud, failures: usize, code: &'static str, refusals: usize) -> Cloud {
    let (failed, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let within = |count: &AtomicUsize, most: usize| count.fetch_add(1, Ordering::SeqCst) < most;
    cloud.with(move |_, what, type_name| match (what, type_name.as_str()) {
        ("create", "AWS::SQS::Queue") if within(&failed, failures) => {
            Fate::Fails("ServiceInternalError")
        }
        ("delete", "AWS::SQS::Queue") if within(&refused, refusals) => Fate::Refused(code),
        _ => Fate::Works,
    })
}

#[tokio::test]
async fn what_a_failed_attempt_left_goes_although_its_deletion_is_refused_for_a_while() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 1);
    let shaky = leaving(&cloud, 2, "CannotBeAssumed", 3);
    let report = fixture.deploy(&shaky, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    assert_eq!(cloud.contents().len(), graph.len());
}

/// It is found by its tags, and those are not everywhere at once.
#[tokio::test]
async fn what_a_failed_attempt_left_is_not_taken_for_whole_although_it_is_seen_late() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let mut builder = GraphBuilder::new(scope());
    let group = value!({ "LogGroupName": "shop", "RetentionInDays": 7 });
    builder.add(resource("cluster/log-group", "AWS::Logs::LogGroup", group));
    let graph = builder.build().unwrap();
    let (failed, asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let within = |count: &AtomicUsize, most: usize| count.fetch_add(1, Ordering::SeqCst) < most;
    let late = cloud.with(move |_, what, _| match what {
        "create" if within(&failed, 1) => Fate::Fails("ServiceInternalError"),
        "find" if within(&asked, 2) => Fate::Unseen,
        _ => Fate::Works,
    });
    let report = fixture.deploy(&late, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    assert_eq!(cloud.deletions(), ["shop"], "and made anew");
    assert_eq!(cloud.contents().len(), 1);
}

#[tokio::test]
async fn nothing_is_made_beside_what_can_not_be_deleted() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 1);
    let stuck = leaving(&cloud, 1, "InvalidRequest", usize::MAX);
    let report = fixture.deploy(&stuck, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    let told = report.failed[0].error.to_string();
    assert!(told.contains("could not be deleted"), "{told}");
    assert_eq!(
        cloud.contents().len(),
        graph.len(),
        "one queue, and no second one"
    );
    let report = fixture.deploy(&cloud, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    assert_eq!(cloud.contents().len(), graph.len());
}

#[tokio::test]
async fn a_replacement_moves_the_dependants_over_before_the_old_one_goes() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    fixture
        .deploy(&cloud, &platform("10.0.0.0/16", 2))
        .await
        .unwrap();
    let wanted = platform("10.1.0.0/16", 2);
    let report = fixture.deploy(&cloud, &wanted).await.unwrap();
    assert_eq!(
        (report.outcome, report.done),
        (Outcome::Completed, 6),
        "three made, three deleted"
    );
    let deletions = cloud.deletions();
    assert!(
        deletions[2].starts_with("VpcId"),
        "the VPC goes last: {deletions:?}"
    );
    assert_eq!(cloud.contents().len(), wanted.len());
}

#[tokio::test]
async fn what_somebody_deleted_is_made_again_and_leaves_no_ghost() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 2);
    fixture.deploy(&cloud, &graph).await.unwrap();
    cloud.empty();
    let engine = fixture.engine(&cloud).await;
    let state = engine.recorder().state();
    let live = read_live(Arc::new(cloud.clone()), &state, settings())
        .await
        .unwrap();
    let parameters = BTreeMap::new();
    let inputs = Inputs {
        graph: &graph,
        spec_hash: "abc",
        state: &state,
        parameters: &parameters,
        live: Some(&live),
    };
    let (_stop, stopped) = watch::channel(Stop::No);
    let report = engine
        .apply(
            run_id(),
            RunKind::Deploy,
            &plan(inputs),
            &parameters,
            stopped,
        )
        .await
        .unwrap();
    assert_eq!(
        (report.outcome, report.done),
        (Outcome::Completed, graph.len())
    );
    let resources = engine.recorder().state().resources;
    assert!(
        resources.values().all(|known| known.deposed.is_empty()),
        "the old ones are nobody's"
    );
    drop(engine);
    fixture.store().unlock().await.unwrap();
    fixture.destroy(&cloud).await.unwrap();
    assert!(cloud.contents().is_empty());
}

#[tokio::test]
async fn a_destroy_takes_along_what_an_interrupted_replacement_has_left() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    fixture
        .deploy(&cloud, &platform("10.0.0.0/16", 0))
        .await
        .unwrap();
    // The replacement is made; the old one can't be deleted.
    let stubborn = cloud.with(|_, what, _| match what {
        "delete" => Fate::Refused("InvalidRequest"),
        _ => Fate::Works,
    });
    let report = fixture
        .deploy(&stubborn, &platform("10.1.0.0/16", 0))
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(cloud.contents().len(), platform("10.1.0.0/16", 0).len() + 1);
    let report = fixture
        .destroy(&cloud.with(|_, _, _| Fate::Works))
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    assert!(cloud.contents().is_empty(), "{:?}", cloud.contents());
    let engine = fixture.engine(&cloud).await;
    assert!(engine.recorder().state().resources.is_empty());
}

#[tokio::test]
async fn a_question_that_is_refused_says_nothing_of_the_operation() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 1);
    // The credentials expire once the VPC is under way; AWS goes on with it.
    let expired = cloud.with(|call, what, _| match what {
        "poll" | "read" if call > 3 => Fate::Refused("ExpiredToken"),
        _ => Fate::Works,
    });
    let report = fixture.deploy(&expired, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    let engine = fixture.engine(&cloud).await;
    let (open, known) = engine
        .recorder()
        .with(|ledger| (ledger.pending.len(), ledger.state.resources.len()));
    assert!(open > 0 && known == 0, "{open} open, {known} known");
    drop(engine);
    fixture.store().unlock().await.unwrap();
    let report = fixture
        .deploy(&cloud.with(|_, _, _| Fate::Works), &graph)
        .await
        .unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    assert_eq!(cloud.contents().len(), graph.len(), "nothing is made twice");
}

#[tokio::test]
async fn somebody_else_s_resource_of_our_name_is_not_taken_for_a_remnant() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let mut theirs = resource(
        "their/group",
        "AWS::Logs::LogGroup",
        value!({ "LogGroupName": "shared" }),
    );
    theirs.properties.remove("Tags");
    let mut builder = GraphBuilder::new(scope());
    builder.add(theirs);
    fixture
        .deploy(&cloud, &builder.build().unwrap())
        .await
        .unwrap();
    let mut builder = GraphBuilder::new(scope());
    let group = value!({ "LogGroupName": "shared", "RetentionInDays": 7 });
    builder.add(resource("cluster/log-group", "AWS::Logs::LogGroup", group));
    let ours = builder.build().unwrap();
    // AWS names the group in a failure that does not say that it is there already.
    let other = Fixture::new();
    let vague = cloud.with(|_, what, _| match what {
        "create" => Fate::FailsNaming("ServiceInternalError"),
        _ => Fate::Works,
    });
    let report = other.deploy(&vague, &ours).await.unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(
        cloud.deletions().is_empty() && cloud.contents().len() == 1,
        "it is still there"
    );
}

#[tokio::test]
async fn destroying_leaves_nothing_and_deletes_dependants_first() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    fixture
        .deploy(&cloud, &platform("10.0.0.0/16", 3))
        .await
        .unwrap();
    let report = fixture.destroy(&cloud).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    assert!(cloud.contents().is_empty());
    let deletions = cloud.deletions();
    let place = |what: &str| {
        deletions
            .iter()
            .position(|id| id.starts_with(what))
            .unwrap()
    };
    assert!(
        place("VpcId")
            > deletions
                .iter()
                .rposition(|id| id.starts_with("SubnetId"))
                .unwrap()
    );
}

#[tokio::test]
async fn ctrl_c_begins_nothing_new_and_the_next_run_does_the_rest() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 3);
    let engine = fixture.engine(&cloud).await;
    let (stop, stopped) = watch::channel(Stop::Drain);
    let report = deploy(&engine, &graph, stopped).await.unwrap();
    assert_eq!(report.outcome, Outcome::Interrupted);
    assert!(
        report.left.contains(&address("network/subnet/0")),
        "{report:?}"
    );
    drop((engine, stop));
    fixture.store().unlock().await.unwrap();
    let report = fixture.deploy(&cloud, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    assert_eq!(cloud.contents().len(), graph.len());
}

#[tokio::test]
async fn a_dead_endpoint_ends_the_run_with_a_clear_error_and_loses_nothing() {
    let (fixture, cloud) = (Fixture::new(), Cloud::new());
    let graph = platform("10.0.0.0/16", 2);
    tokio::time::pause();
    let dead = cloud.with(|call, _, _| {
        if call > 6 {
            Fate::Refused("Unreachable")
        } else {
            Fate::Works
        }
    });
    let error = fixture.deploy(&dead, &graph).await.unwrap_err();
    assert_eq!(error.to_string(), "Unreachable: as the test wants it");
    let report = fixture.deploy(&cloud, &graph).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    assert_eq!(cloud.contents().len(), graph.len());
}

/// Runs `work` in a runtime of its own until it is done or hangs, then drops all of it as a SIGKILL would.
fn killed<F: Future<Output = ()> + Send + 'static>(work: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let _ = tokio::time::timeout(Duration::from_millis(60), work).await;
    });
    runtime.shutdown_background();
}

/// Dies at every call of a deploy and of a destroy, before and after the call has its effect, and carries on.
#[test]
fn a_run_that_dies_at_any_call_is_carried_on_without_doing_anything_twice() {
    let graph = platform("10.0.0.0/16", 2);
    let steady = Cloud::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { Fixture::new().deploy(&steady, &graph).await.unwrap() });
    let expected = steady.contents();
    let calls = steady.calls();
    assert!(calls > 15, "{calls}");
    for death in [Fate::DiesBefore, Fate::DiesAfter] {
        for at in 1..=calls {
            let (fixture, cloud) = (Fixture::new(), Cloud::new());
            let mortal = cloud.with(move |call, _, _| if call == at { death } else { Fate::Works });
            let (store, first) = (fixture.store(), graph.clone());
            killed(async move {
                let recorder = Arc::new(Recorder::open(store, &owner()).await.unwrap());
                let engine = Engine::new(
                    scope(),
                    Arc::new(mortal),
                    recorder,
                    settings(),
                    Arc::new(|_| {}),
                );
                let (_stop, stopped) = watch::channel(Stop::No);
                let _ = deploy(&engine, &first, stopped).await;
            });
            runtime.block_on(async {
                fixture.store().unlock().await.unwrap();
                let survivor = cloud.with(|_, _, _| Fate::Works);
                let report = fixture.deploy(&survivor, &graph).await.unwrap();
                assert_eq!(
                    report.outcome,
                    Outcome::Completed,
                    "{death:?} at {at}: {report:?}"
                );
                assert_eq!(cloud.contents(), expected, "{death:?} at {at}");
                let mortal =
                    cloud.with(move |call, _, _| if call == at { death } else { Fate::Works });
                let _ =
                    tokio::time::timeout(Duration::from_millis(60), fixture.destroy(&mortal)).await;
                fixture.store().unlock().await.unwrap();
                let survivor = cloud.with(|_, _, _| Fate::Works);
                fixture.destroy(&survivor).await.unwrap();
                assert!(cloud.contents().is_empty(), "{death:?} at {at}");
            });
        }
    }
}
