//! Cloud Control over the wire, as the real SDK sees it.

#![allow(clippy::unwrap_used)]

mod support;

use aws_sdk_cloudcontrol::primitives::DateTime;
use aws_sdk_cloudcontrol::types::{HandlerErrorCode, Operation, OperationStatus};
use seaworthy_sandbox::{Faults, TimeScale, process};
use serde_json::{Value, json};
use support::{Sandbox, begin, code, create, read, status};

const VPC: &str = "AWS::EC2::VPC";
const QUEUE: &str = "AWS::SQS::Queue";
const LOG_GROUP: &str = "AWS::Logs::LogGroup";

fn faults(rules: &Value) -> Faults {
    serde_json::from_value(json!({ "seed": 1, "rules": rules })).unwrap()
}

fn log_group(name: &str) -> Value {
    json!({ "LogGroupName": name, "RetentionInDays": 7 })
}

#[tokio::test]
async fn a_resource_is_created_read_patched_listed_and_deleted() {
    let sandbox = Sandbox::instant();
    let client = sandbox.client();
    let tags = json!([{ "Key": "Name", "Value": "one" }]);
    let id = create(
        &client,
        VPC,
        &json!({ "CidrBlock": "10.0.0.0/16", "Tags": tags }),
    )
    .await;
    let properties = read(&client, VPC, &id).await.unwrap();
    assert_eq!(properties["VpcId"], id.as_str());
    assert_eq!(properties["Tags"], tags);

    let patch =
        json!([{ "op": "replace", "path": "/Tags", "value": [{ "Key": "Name", "Value": "two" }] }]);
    let update = client
        .update_resource()
        .type_name(VPC)
        .identifier(&id)
        .patch_document(patch.to_string());
    let event = update.send().await.unwrap().progress_event.unwrap();
    assert_eq!(
        (event.operation, event.operation_status),
        (Some(Operation::Update), Some(OperationStatus::Success))
    );
    assert_eq!(
        read(&client, VPC, &id).await.unwrap()["Tags"][0]["Value"],
        "two"
    );

    let listed = client.list_resources().type_name(VPC).send().await.unwrap();
    assert_eq!(
        listed.resource_descriptions()[0].identifier(),
        Some(id.as_str())
    );
    client
        .delete_resource()
        .type_name(VPC)
        .identifier(&id)
        .send()
        .await
        .unwrap();
    assert_eq!(read(&client, VPC, &id).await, None);
    let again = client
        .delete_resource()
        .type_name(VPC)
        .identifier(&id)
        .send()
        .await
        .unwrap()
        .progress_event
        .unwrap();
    assert_eq!(
        (again.operation_status, again.error_code),
        (
            Some(OperationStatus::Failed),
            Some(HandlerErrorCode::NotFound)
        )
    );
}

#[tokio::test]
async fn an_operation_takes_its_modelled_time_and_says_when_to_ask_again() {
    let sandbox = Sandbox::start();
    let client = sandbox.client();
    let event = begin(&client, VPC, &json!({ "CidrBlock": "10.0.0.0/16" })).await;
    assert_eq!(event.operation_status, Some(OperationStatus::InProgress));
    assert_eq!(event.identifier, None, "EC2 has not chosen one yet");
    let now = DateTime::from(std::time::SystemTime::now());
    let retry = event.retry_after.unwrap().as_secs_f64() - now.as_secs_f64();
    assert!((0.0..=16.0).contains(&retry), "{retry}");
    sandbox.pass(1);
    let id = status(&client, &event)
        .await
        .identifier
        .expect("the first callback tells the identifier");
    assert_eq!(read(&client, VPC, &id).await, None, "it is being created");
    let delete = client
        .delete_resource()
        .type_name(VPC)
        .identifier(&id)
        .send()
        .await;
    assert_eq!(code(delete).0, "ConcurrentOperationException");
    sandbox.pass(300);
    let event = status(&client, &event).await;
    assert_eq!(event.operation_status, Some(OperationStatus::Success));
    assert!(read(&client, VPC, &id).await.is_some());
}

#[tokio::test]
async fn what_runs_is_over_once_nothing_takes_time_any_more() {
    let sandbox = Sandbox::start();
    let client = sandbox.client();
    let event = begin(&client, VPC, &json!({ "CidrBlock": "10.0.0.0/16" })).await;
    process::set_time_scale(sandbox.server().dir(), TimeScale::Max).unwrap();
    let event = status(&client, &event).await;
    assert_eq!(event.operation_status, Some(OperationStatus::Success));
    let overview = process::status(sandbox.server().dir())
        .unwrap()
        .unwrap()
        .overview;
    assert_eq!(
        (overview.resources[VPC], overview.open_operations.len()),
        (1, 0)
    );
}

#[tokio::test]
async fn reads_do_not_find_a_resource_for_a_moment_after_its_creation() {
    let sandbox = Sandbox::start();
    let client = sandbox.client();
    let event = begin(&client, LOG_GROUP, &log_group("/late")).await;
    let mut waited = 0;
    while status(&client, &event).await.operation_status != Some(OperationStatus::Success) {
        sandbox.pass(1);
        waited += 1;
        assert!(waited < 300);
    }
    assert_eq!(read(&client, LOG_GROUP, "/late").await, None);
    sandbox.pass(3);
    assert!(read(&client, LOG_GROUP, "/late").await.is_some());
}

#[tokio::test]
async fn a_token_replays_its_operation_and_fits_no_other() {
    let mut sandbox = Sandbox::start();
    let client = sandbox.client();
    let call = |client: &aws_sdk_cloudcontrol::Client, name: &str| {
        client
            .create_resource()
            .type_name(LOG_GROUP)
            .client_token("token-1")
            .desired_state(log_group(name).to_string())
    };
    let first = call(&client, "one")
        .send()
        .await
        .unwrap()
        .progress_event
        .unwrap();
    let replayed = call(&client, "one")
        .send()
        .await
        .unwrap()
        .progress_event
        .unwrap();
    assert_eq!(first.request_token, replayed.request_token);
    let (error, message) = code(call(&client, "other").send().await);
    assert_eq!(error, "ClientTokenConflictException");
    assert!(
        message.contains(&format!(
            "already associated with an existing operation with RequestToken {}",
            first.request_token().unwrap()
        )),
        "{message}"
    );
    // The operation goes on without its client, and the token still stands for it after the server was killed.
    sandbox.restart(Faults::default());
    sandbox.pass(3600);
    let client = sandbox.client();
    let replayed = call(&client, "one")
        .send()
        .await
        .unwrap()
        .progress_event
        .unwrap();
    assert_eq!(
        (replayed.request_token, replayed.operation_status),
        (first.request_token, Some(OperationStatus::Success))
    );
    sandbox.pass(36 * 3600);
    let anew = call(&client, "one")
        .send()
        .await
        .unwrap()
        .progress_event
        .unwrap();
    sandbox.pass(300);
    assert_eq!(
        status(&client, &anew).await.error_code,
        Some(HandlerErrorCode::AlreadyExists),
        "a token is forgotten after 36 hours"
    );
}

/// Whatever happened before a sudden end is in the past afterwards.
#[test]
fn time_goes_on_from_a_later_moment_after_a_kill_and_from_the_same_after_an_end() {
    let mut sandbox = Sandbox::start();
    let kept = |sandbox: &Sandbox| -> f64 {
        let text = std::fs::read_to_string(sandbox.options.dir.join("clock")).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    sandbox.pass(500);
    let patience = std::time::Instant::now();
    while kept(&sandbox) <= 500.0 {
        assert!(patience.elapsed().as_secs() < 30, "{}", kept(&sandbox));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    sandbox.restart(Faults::default());
    let begun = kept(&sandbox);
    assert!(begun > 502.0, "{begun}");
    sandbox.end();
    let ended = kept(&sandbox);
    assert!(ended < begun && ended > 500.0, "{ended}");
}

#[tokio::test]
async fn a_killed_server_loses_neither_resources_nor_what_runs() {
    let mut sandbox = Sandbox::start();
    let client = sandbox.client();
    let done = begin(&client, LOG_GROUP, &log_group("/done")).await;
    sandbox.pass(600);
    assert_eq!(
        status(&client, &done).await.operation_status,
        Some(OperationStatus::Success)
    );
    let running = begin(&client, VPC, &json!({ "CidrBlock": "10.0.0.0/16" })).await;
    sandbox.restart(Faults::default());
    let client = sandbox.client();
    assert!(read(&client, LOG_GROUP, "/done").await.is_some());
    assert_eq!(
        status(&client, &running).await.operation_status,
        Some(OperationStatus::InProgress)
    );
    sandbox.pass(600);
    let event = status(&client, &running).await;
    assert_eq!(event.operation_status, Some(OperationStatus::Success));
    sandbox.pass(7 * 86_400 + 1);
    let gone = client
        .get_resource_request_status()
        .request_token(event.request_token().unwrap())
        .send()
        .await;
    assert_eq!(
        code(gone).0,
        "RequestTokenNotFoundException",
        "requests expire after 7 days"
    );
    assert!(
        read(&client, VPC, &event.identifier.unwrap())
            .await
            .is_some()
    );
}

#[tokio::test]
async fn what_the_schema_refuses_never_reaches_a_handler() {
    let sandbox = Sandbox::instant();
    let client = sandbox.client();
    let refused = async |type_name: &str, desired: Value| {
        code(
            client
                .create_resource()
                .type_name(type_name)
                .desired_state(desired.to_string())
                .send()
                .await,
        )
    };
    for (desired, names) in [
        (
            json!({ "CidrBlock": "10.0.0.0/16", "EnableDnsHostname": true }),
            "EnableDnsHostname",
        ),
        (
            json!({ "CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": "true" }),
            "EnableDnsHostnames",
        ),
        (
            json!({ "CidrBlock": "10.0.0.0/16", "VpcId": "vpc-1" }),
            "VpcId",
        ),
        (json!({ "CidrBlock": null }), "CidrBlock"),
    ] {
        let (error, message) = refused(VPC, desired).await;
        assert_eq!(error, "ValidationException");
        assert!(
            message.starts_with("Model validation failed (#") && message.contains(names),
            "{message}"
        );
    }
    for name in [
        "AWS::Route53::RecordSet",
        "AWS::Budgets::Budget",
        "AWS::SQS::QueuePolicy",
    ] {
        assert_eq!(
            refused(name, json!({})).await.0,
            "UnsupportedActionException"
        );
    }
    assert_eq!(
        refused("AWS::EC2::Vpc", json!({})).await.0,
        "TypeNotFoundException"
    );
    assert_eq!(refused("vpc", json!({})).await.0, "ValidationException");
    let huge = json!({ "CidrBlock": "x".repeat(262_144) });
    assert!(
        refused(VPC, huge)
            .await
            .1
            .contains("less than or equal to 262144")
    );
}

#[tokio::test]
async fn patches_touch_neither_read_only_nor_create_only_properties_and_lose_what_they_do_not_add()
{
    let sandbox = Sandbox::instant();
    let client = sandbox.client();
    let id = create(&client, VPC, &json!({ "CidrBlock": "10.0.0.0/16" })).await;
    let update = async |type_name: &str, id: &str, patch: Value| {
        client
            .update_resource()
            .type_name(type_name)
            .identifier(id)
            .patch_document(patch.to_string())
            .send()
            .await
    };
    let (error, message) = code(
        update(
            VPC,
            &id,
            json!([{ "op": "add", "path": "/VpcId", "value": id }]),
        )
        .await,
    );
    assert_eq!(
        (error.as_str(), message.as_str()),
        (
            "ValidationException",
            "Invalid patch update: readOnlyProperties [/properties/VpcId] cannot be updated"
        )
    );
    let same = json!([{ "op": "replace", "path": "/CidrBlock", "value": "10.0.0.0/16" }]);
    let (error, message) = code(update(VPC, &id, same).await);
    assert_eq!(
        (error.as_str(), message.as_str()),
        (
            "NotUpdatableException",
            "Invalid patch update: createOnlyProperties [/properties/CidrBlock] cannot be updated"
        )
    );
    let failed_test = json!([{ "op": "test", "path": "/CidrBlock", "value": "10.9.0.0/16" }, { "op": "remove", "path": "/Tags" }]);
    assert_eq!(
        code(update(VPC, &id, failed_test).await).0,
        "InvalidRequestException"
    );
    assert_eq!(
        code(
            update(
                VPC,
                "vpc-none",
                json!([{ "op": "add", "path": "/Tags", "value": [] }])
            )
            .await
        )
        .0,
        "ResourceNotFoundException"
    );

    // A launch template's data is write-only and required: a patch that leaves it out is refused.
    let template = json!({ "LaunchTemplateName": "nodes", "LaunchTemplateData": { "InstanceType": "t3.medium" } });
    let id = create(&client, "AWS::EC2::LaunchTemplate", &template).await;
    assert_eq!(
        read(&client, "AWS::EC2::LaunchTemplate", &id)
            .await
            .unwrap()
            .get("LaunchTemplateData"),
        None
    );
    let version = json!([{ "op": "add", "path": "/VersionDescription", "value": "second" }]);
    let (error, message) = code(update("AWS::EC2::LaunchTemplate", &id, version).await);
    assert!(
        error == "ValidationException" && message.contains("LaunchTemplateData"),
        "{message}"
    );
}

#[tokio::test]
async fn lists_come_in_pages_and_some_need_a_parent() {
    let sandbox = Sandbox::instant();
    let client = sandbox.client();
    for number in 0..7 {
        create(&client, LOG_GROUP, &log_group(&format!("/group/{number}"))).await;
    }
    let mut found = Vec::new();
    let mut pages = client
        .list_resources()
        .type_name(LOG_GROUP)
        .max_results(3)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        found.extend(
            page.unwrap()
                .resource_descriptions()
                .iter()
                .map(|one| one.identifier().unwrap().to_owned()),
        );
    }
    assert_eq!(
        found,
        (0..7)
            .map(|number| format!("/group/{number}"))
            .collect::<Vec<_>>()
    );
    let (error, message) = code(
        client
            .list_resources()
            .type_name("AWS::EKS::Addon")
            .send()
            .await,
    );
    assert!(
        error == "InvalidRequestException" && message.contains("ClusterName"),
        "{message}"
    );
    assert_eq!(
        code(
            client
                .list_resources()
                .type_name("AWS::IAM::RolePolicy")
                .send()
                .await
        )
        .0,
        "UnsupportedActionException"
    );
    let requests = client
        .list_resource_requests()
        .max_results(5)
        .send()
        .await
        .unwrap();
    assert_eq!(requests.resource_request_status_summaries().len(), 5);
    assert!(requests.next_token.is_some());
}

#[tokio::test]
async fn a_cancelled_request_leaves_its_resource_as_a_remnant() {
    let sandbox = Sandbox::start();
    let client = sandbox.client();
    let event = begin(&client, VPC, &json!({ "CidrBlock": "10.0.0.0/16" })).await;
    sandbox.pass(1);
    let cancel = || {
        client
            .cancel_resource_request()
            .request_token(event.request_token().unwrap())
    };
    let cancelled = cancel().send().await.unwrap().progress_event.unwrap();
    assert_eq!(
        cancelled.operation_status,
        Some(OperationStatus::CancelComplete)
    );
    assert_eq!(code(cancel().send().await).0, "ValidationException");
    sandbox.pass(600);
    let id = cancelled.identifier.unwrap();
    assert!(read(&client, VPC, &id).await.is_some());
    let deleted = client
        .delete_resource()
        .type_name(VPC)
        .identifier(&id)
        .send()
        .await
        .unwrap()
        .progress_event
        .unwrap();
    sandbox.pass(600);
    assert_eq!(
        status(&client, &deleted).await.operation_status,
        Some(OperationStatus::Success)
    );
}

#[tokio::test]
async fn requests_beyond_the_rate_are_throttled_until_time_has_passed() {
    let sandbox = Sandbox::start();
    let client = sandbox.client();
    let mut throttled = None;
    for call in 0..100 {
        if let Err(error) = client
            .get_resource()
            .type_name(VPC)
            .identifier("vpc-none")
            .send()
            .await
            && code(Err::<(), _>(error)).0 == "ThrottlingException"
        {
            throttled = Some(call);
            break;
        }
    }
    assert_eq!(throttled, Some(60), "the burst");
    sandbox.pass(1);
    assert_eq!(
        code(
            client
                .get_resource()
                .type_name(VPC)
                .identifier("vpc-none")
                .send()
                .await
        )
        .0,
        "ResourceNotFoundException"
    );
}

#[tokio::test]
async fn ordered_faults_happen_to_calls_and_to_operations() {
    let rules = json!([
        { "error": "ServiceInternalErrorException", "nth": 2, "operations": ["ListResources"] },
        { "error": "NotStabilized", "nth": 1, "types": [VPC] },
        { "error": "GeneralServiceException", "nth": 1, "types": [QUEUE], "message": "in its own words" },
    ]);
    let sandbox = Sandbox::with(TimeScale::Max, faults(&rules), |_| ());
    let client = sandbox.client();
    let list = || client.list_resources().type_name(VPC);
    assert!(list().send().await.is_ok());
    let error = list().send().await.unwrap_err();
    assert_eq!(
        error
            .raw_response()
            .map(|response| response.status().as_u16()),
        Some(500)
    );
    assert_eq!(code(Err::<(), _>(error)).0, "ServiceInternalErrorException");
    assert!(list().send().await.is_ok());
    // NotStabilized leaves what it made; other codes do not.
    let event = begin(&client, VPC, &json!({ "CidrBlock": "10.0.0.0/16" })).await;
    assert_eq!(
        (event.operation_status.clone(), event.error_code.clone()),
        (
            Some(OperationStatus::Failed),
            Some(HandlerErrorCode::NotStabilized)
        )
    );
    assert!(
        read(&client, VPC, event.identifier().unwrap())
            .await
            .is_some()
    );
    let event = begin(&client, QUEUE, &json!({ "QueueName": "q" })).await;
    assert_eq!(event.status_message(), Some("in its own words"));
    assert!(
        client
            .list_resources()
            .type_name(QUEUE)
            .send()
            .await
            .unwrap()
            .resource_descriptions()
            .is_empty()
    );
    create(&client, QUEUE, &json!({ "QueueName": "q" })).await;
}

/// What a VPC and a cluster bring along (security groups, a route table, an access entry) comes and goes with them.
#[tokio::test]
async fn a_create_that_an_ordered_fault_fails_leaves_nothing_beside_its_remnant() {
    const CLUSTER: &str = "AWS::EKS::Cluster";
    let rules: Vec<Value> = [VPC, CLUSTER]
        .into_iter()
        .flat_map(|name| {
            let rule = |error: &str, nth: u32| json!({ "error": error, "nth": nth, "operations": ["CreateResource"], "types": [name] });
            [rule("InternalFailure", 1), rule("NotStabilized", 2)]
        })
        .collect();
    let sandbox = Sandbox::with(TimeScale::Max, faults(&json!(rules)), |_| ());
    let client = sandbox.client();
    let resources = async || {
        let dir = sandbox.options.dir.clone();
        let status = tokio::task::spawn_blocking(move || process::status(&dir)).await;
        status.unwrap().unwrap().unwrap().overview.resources
    };
    let fails_and_leaves_nothing = async |type_name: &str, desired: &Value, beside: usize| {
        let before = resources().await;
        let failed = begin(&client, type_name, desired).await;
        assert_eq!(failed.error_code, Some(HandlerErrorCode::InternalFailure));
        assert_eq!(resources().await, before, "{type_name}");
        let failed = begin(&client, type_name, desired).await;
        assert_eq!(failed.error_code, Some(HandlerErrorCode::NotStabilized));
        let with_remnant = resources().await.values().sum::<usize>();
        assert_eq!(with_remnant, before.values().sum::<usize>() + 1 + beside);
        let deleted = client
            .delete_resource()
            .type_name(type_name)
            .identifier(failed.identifier().unwrap());
        let event = deleted.send().await.unwrap().progress_event.unwrap();
        assert_eq!(
            event.operation_status,
            Some(OperationStatus::Success),
            "{event:?}"
        );
        assert_eq!(resources().await, before, "{type_name}");
    };
    let block =
        json!({ "CidrBlock": "10.0.0.0/16", "EnableDnsSupport": true, "EnableDnsHostnames": true });
    fails_and_leaves_nothing(VPC, &block, 2).await;
    let vpc = create(&client, VPC, &block).await;
    let mut subnets = Vec::new();
    for (zone, block) in [("a", "10.0.0.0/24"), ("b", "10.0.1.0/24")] {
        let desired = json!({ "VpcId": vpc, "CidrBlock": block, "AvailabilityZone": format!("us-east-1{zone}") });
        subnets.push(create(&client, "AWS::EC2::Subnet", &desired).await);
    }
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "Service": "eks.amazonaws.com" },
        "Action": ["sts:AssumeRole", "sts:TagSession"] }] });
    let role = json!({ "RoleName": "cluster", "AssumeRolePolicyDocument": trust,
        "ManagedPolicyArns": ["arn:aws:iam::aws:policy/AmazonEKSClusterPolicy"] });
    create(&client, "AWS::IAM::Role", &role).await;
    let cluster = json!({
        "Name": "one", "RoleArn": "arn:aws:iam::123456789012:role/cluster",
        "ResourcesVpcConfig": { "SubnetIds": subnets },
        "AccessConfig": { "AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": true },
    });
    fails_and_leaves_nothing(CLUSTER, &cluster, 2).await;
    create(&client, CLUSTER, &cluster).await;
}

#[tokio::test]
async fn a_stop_before_a_call_loses_it_and_one_after_keeps_it_unanswered() {
    for (stop, there) in [("before", false), ("after", true)] {
        let rules = json!([{ "stop": stop, "nth": 2, "operations": ["CreateResource"] }]);
        let mut sandbox = Sandbox::with(TimeScale::Max, faults(&rules), |_| ());
        let client = sandbox.client();
        create(&client, LOG_GROUP, &log_group("/first")).await;
        let second = client
            .create_resource()
            .type_name(LOG_GROUP)
            .desired_state(log_group("/second").to_string())
            .send()
            .await;
        assert!(
            second.unwrap_err().as_service_error().is_none(),
            "there is no answer"
        );
        sandbox.ended();
        sandbox.restart(Faults::default());
        let client = sandbox.client();
        assert!(read(&client, LOG_GROUP, "/first").await.is_some());
        assert_eq!(
            read(&client, LOG_GROUP, "/second").await.is_some(),
            there,
            "{stop}"
        );
    }
}

#[tokio::test]
async fn only_requests_signed_with_the_sandboxs_key_for_its_region_are_answered() {
    let sandbox = Sandbox::instant();
    let good = sandbox.server().credentials().clone();
    let ask = async |key: &str, secret: &str, region: &str| {
        code(
            sandbox
                .client_with(key, secret, region)
                .list_resources()
                .type_name(QUEUE)
                .send()
                .await,
        )
    };
    let (error, message) = ask(&good.access_key_id, "wrong", "us-east-1").await;
    assert_eq!(error, "InvalidSignatureException");
    assert!(message.contains("does not match"), "{message}");
    assert_eq!(
        ask("AKIAOTHER", &good.secret_access_key, "us-east-1")
            .await
            .0,
        "UnrecognizedClientException"
    );
    let (error, message) = ask(&good.access_key_id, &good.secret_access_key, "eu-west-3").await;
    assert_eq!(error, "InvalidSignatureException");
    assert!(
        message.contains("'us-east-1'") && message.contains("'eu-west-3'"),
        "{message}"
    );
}
