//! A synthetic graph, deployed and destroyed as fast as it goes: planned, journalled to disk with its syncs, through the AWS
//! SDK over HTTP into a sandbox in a process of its own, whose operations take no time.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use catalog::TypeName;
use catalog::ids::{Address, LeaseOwner, Region, RunId};
use engine::{Engine, Outcome, Pace, Recorder, Report, RunKind, Settings, Stop};
use graph::{Graph, GraphBuilder, Inputs, Parameter, Plan, Resource, Scope, Value, value};
use journal::FolderStore;
use serde_json::json;
use tokio::sync::watch;

const REGION: &str = "us-east-1";

/// Deploys and destroys `resources` resources; the world and the journal are in `dir`.
pub(crate) async fn measure(
    resources: usize,
    dir: &Path,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let world = dir.join("sandbox");
    let options = sandbox::StartOptions {
        port: Some(0),
        time_scale: Some(sandbox::TimeScale::Max),
        region: Some(REGION.to_owned()),
        seed: Some(1),
        ..sandbox::StartOptions::default()
    };
    let endpoint = sandbox::process::start(&world, &options)?;
    let measured = deploy_and_destroy(resources, dir, &endpoint, &world).await;
    sandbox::process::stop(&world)?;
    measured
}

async fn deploy_and_destroy(
    resources: usize,
    dir: &Path,
    endpoint: &sandbox::Endpoint,
    world: &Path,
) -> Result<serde_json::Value, Box<dyn Error>> {
    let empty = count(world)?;
    let graph = synthetic(resources)?;
    let variables = endpoint.environment()?;
    let session = aws::Session::new(aws::SessionOptions {
        endpoint: Some(endpoint.url()),
        region: Region::new(REGION)?,
        credentials: Some(aws::StaticCredentials {
            access_key_id: variables["AWS_ACCESS_KEY_ID"].clone(),
            secret_access_key: variables["AWS_SECRET_ACCESS_KEY"].clone(),
            session_token: None,
        }),
        profile: None,
    })
    .await?;
    let identity = aws::CallerIdentity::fetch(&session).await?;
    let parameters = BTreeMap::from([(Parameter::AccountId, identity.account.to_string())]);
    let store = Arc::new(FolderStore::new(dir.join("journal")));
    let recorder = Recorder::open(store, &LeaseOwner::new("seaworthy-bench")?).await?;
    let settings = Settings {
        pace: Pace::new(f64::INFINITY),
        ..Settings::default()
    };
    let provider = Arc::new(aws::AwsProvider::new(session));
    let engine = Engine::new(
        graph.scope().clone(),
        provider,
        Arc::new(recorder),
        settings,
        Arc::new(|_| {}),
    );

    let begun = Instant::now();
    let state = engine.recorder().state();
    let plan = graph::plan(Inputs {
        graph: &graph,
        spec_hash: "bench",
        state: &state,
        parameters: &parameters,
        live: None,
    });
    let planned = begun.elapsed();
    let deployed = apply(&engine, RunKind::Deploy, &plan, &parameters, resources).await?;

    if count(world)? < resources {
        return Err(format!(
            "only {} of {resources} resources are in the sandbox",
            count(world)?
        )
        .into());
    }

    let state = engine.recorder().state();
    let again = graph::plan(Inputs {
        graph: &graph,
        spec_hash: "bench",
        state: &state,
        parameters: &parameters,
        live: None,
    });
    if !again.is_empty() {
        return Err(format!("planned again, {:?} was left to do", again.summary).into());
    }
    let plan = graph::plan_destroy(graph.scope(), "bench", &state);
    let destroyed = apply(&engine, RunKind::Destroy, &plan, &parameters, resources).await?;
    engine.recorder().close(None).await?;
    if count(world)? > empty {
        return Err(format!("{} resources are left over", count(world)? - empty).into());
    }
    let rate = |report: &Report| resources as f64 / report.wall_seconds;
    Ok(json!({
        "resources": resources,
        "planSeconds": planned.as_secs_f64(),
        "deploySeconds": deployed.wall_seconds,
        "deployPerSecond": rate(&deployed),
        "destroySeconds": destroyed.wall_seconds,
        "destroyPerSecond": rate(&destroyed),
    }))
}

/// How many resources the sandbox has, by its own word.
fn count(world: &Path) -> Result<usize, Box<dyn Error>> {
    let status = sandbox::process::status(world)?.ok_or("the sandbox has ended")?;
    Ok(status.overview.resources.values().sum())
}

async fn apply(
    engine: &Engine,
    kind: RunKind,
    plan: &Plan,
    parameters: &BTreeMap<Parameter, String>,
    resources: usize,
) -> Result<Report, Box<dyn Error>> {
    // Kept to the end: without it the run can't be stopped, which is all the same here.
    let (_sender, stop) = watch::channel(Stop::No);
    let report = engine
        .apply(RunId::new(kind.name())?, kind, plan, parameters, stop)
        .await?;
    if report.outcome != Outcome::Completed || report.done != resources {
        let failed = report.failed.first();
        return Err(format!(
            "{} of {resources} steps were done; first failure: {failed:?}",
            report.done
        )
        .into());
    }
    Ok(report)
}

/// A VPC with subnets, security groups and their rules; queues with their policies; roles, secrets, log groups. The shares are
/// those of small types in a real platform, and one in two refers to another.
fn synthetic(resources: usize) -> Result<Graph, Box<dyn Error>> {
    if !(100..=2000).contains(&resources) {
        return Err(
            "between 100 and 2000 resources: beyond, the sandbox's quotas are in the way".into(),
        );
    }
    let scope = Scope {
        platform: "bench".parse()?,
        environment: "dev".parse()?,
        region: Region::new(REGION)?,
    };
    let mut graph = GraphBuilder::new(scope);
    let vpc = add(
        &mut graph,
        "vpc",
        "AWS::EC2::VPC",
        value!({ "CidrBlock": "10.0.0.0/16" }),
    )?;
    let mut left = resources - 1;
    let mut number = 0_usize;
    // One round adds ten resources; every second round's subnet keeps to 100 of them.
    while left > 0 {
        for (kind, make) in ROUND {
            if left == 0 {
                break;
            }
            make(&mut graph, &vpc, kind, number)?;
            left -= 1;
        }
        number += 1;
    }
    graph.build().map_err(|errors| format!("{errors:?}").into())
}

type Make = fn(&mut GraphBuilder, &Address, &str, usize) -> Result<(), Box<dyn Error>>;

const ROUND: [(&str, Make); 10] = [
    ("queue-a", queue),
    ("queue-policy-a", queue_policy),
    ("queue-b", queue),
    ("queue-policy-b", queue_policy),
    ("security-group", security_group),
    ("security-group-rule", security_group_rule),
    ("log-group-a", log_group),
    ("log-group-b", log_group),
    ("secret", secret),
    ("role-or-subnet", role_or_subnet),
];

fn queue(
    graph: &mut GraphBuilder,
    _: &Address,
    kind: &str,
    number: usize,
) -> Result<(), Box<dyn Error>> {
    let properties =
        value!({ "QueueName": format!("bench-{kind}-{number}"), "MessageRetentionPeriod": 300 });
    add(
        graph,
        &format!("{kind}/{number}"),
        "AWS::SQS::Queue",
        properties,
    )
    .map(drop)
}

fn queue_policy(
    graph: &mut GraphBuilder,
    _: &Address,
    kind: &str,
    number: usize,
) -> Result<(), Box<dyn Error>> {
    let queue = Address::new(format!("{}/{number}", kind.replace("-policy", "")))?;
    let properties = value!({
        "Queue": Value::attribute(&queue, "QueueUrl"),
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "events.amazonaws.com" },
                "Action": "sqs:SendMessage",
                "Resource": Value::attribute(&queue, "Arn")
            }]
        }
    });
    add(
        graph,
        &format!("{kind}/{number}"),
        "AWS::SQS::QueueInlinePolicy",
        properties,
    )
    .map(drop)
}

fn security_group(
    graph: &mut GraphBuilder,
    vpc: &Address,
    kind: &str,
    number: usize,
) -> Result<(), Box<dyn Error>> {
    let properties = value!({
        "GroupName": format!("bench-{number}"),
        "GroupDescription": "one of many",
        "VpcId": Value::attribute(vpc, "VpcId")
    });
    add(
        graph,
        &format!("{kind}/{number}"),
        "AWS::EC2::SecurityGroup",
        properties,
    )
    .map(drop)
}

fn security_group_rule(
    graph: &mut GraphBuilder,
    _: &Address,
    kind: &str,
    number: usize,
) -> Result<(), Box<dyn Error>> {
    let group = Address::new(format!("security-group/{number}"))?;
    let properties = value!({
        "GroupId": Value::attribute(&group, "GroupId"),
        "IpProtocol": "tcp",
        "FromPort": 6379,
        "ToPort": 6379,
        "CidrIp": "10.0.0.0/16"
    });
    add(
        graph,
        &format!("{kind}/{number}"),
        "AWS::EC2::SecurityGroupIngress",
        properties,
    )
    .map(drop)
}

fn log_group(
    graph: &mut GraphBuilder,
    _: &Address,
    kind: &str,
    number: usize,
) -> Result<(), Box<dyn Error>> {
    let properties =
        value!({ "LogGroupName": format!("/bench/{kind}/{number}"), "RetentionInDays": 7 });
    add(
        graph,
        &format!("{kind}/{number}"),
        "AWS::Logs::LogGroup",
        properties,
    )
    .map(drop)
}

fn secret(
    graph: &mut GraphBuilder,
    _: &Address,
    kind: &str,
    number: usize,
) -> Result<(), Box<dyn Error>> {
    let properties = value!({
        "Name": format!("bench/{number}"),
        "GenerateSecretString": { "PasswordLength": 32, "ExcludePunctuation": true }
    });
    add(
        graph,
        &format!("{kind}/{number}"),
        "AWS::SecretsManager::Secret",
        properties,
    )
    .map(drop)
}

fn role_or_subnet(
    graph: &mut GraphBuilder,
    vpc: &Address,
    _: &str,
    number: usize,
) -> Result<(), Box<dyn Error>> {
    if number.is_multiple_of(2) {
        let properties = value!({
            "CidrBlock": format!("10.0.{}.0/24", number / 2),
            "VpcId": Value::attribute(vpc, "VpcId")
        });
        return add(
            graph,
            &format!("subnet/{number}"),
            "AWS::EC2::Subnet",
            properties,
        )
        .map(drop);
    }
    let properties = value!({
        "RoleName": format!("bench-{number}"),
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": { "Service": "ec2.amazonaws.com" },
                "Action": "sts:AssumeRole"
            }]
        }
    });
    add(
        graph,
        &format!("role/{number}"),
        "AWS::IAM::Role",
        properties,
    )
    .map(drop)
}

fn add(
    graph: &mut GraphBuilder,
    address: &str,
    type_name: &'static str,
    properties: Value,
) -> Result<Address, Box<dyn Error>> {
    let Value::Object(properties) = properties else {
        return Err(format!("the properties of {address} are no object").into());
    };
    Ok(graph.add(Resource::new(
        Address::new(address)?,
        TypeName::new(type_name),
        properties,
    )))
}
