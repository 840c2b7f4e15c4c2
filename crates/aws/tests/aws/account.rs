//! Preflight and `verify-aws` against the embedded AWS.

use std::collections::{BTreeMap, BTreeSet};

use crate::embedded::{Embedded, create};
use aws::preflight::{Check, Finding, Level, PreflightRequest, preflight};
use aws::verify::{Limits, verify, verify_within};
use catalog::TypeName;
use catalog::ids::{AccountId, Region};
use engine::Pace;
use serde_json::json;

const VPC: TypeName = TypeName::new("AWS::EC2::VPC");

fn of(findings: &[Finding], check: Check) -> Vec<&Finding> {
    findings
        .iter()
        .filter(|finding| finding.check == check)
        .collect()
}

#[tokio::test]
async fn preflight_names_what_will_go_wrong() {
    let embedded = Embedded::instant();
    let provider = embedded.provider().await;
    for net in 0..4 {
        create(
            &provider,
            &VPC,
            &json!({"CidrBlock": format!("10.{net}.0.0/16")}),
        )
        .await
        .unwrap();
    }
    let region = Region::new(crate::embedded::REGION).unwrap();
    let none = BTreeSet::new();
    let (one, two) = (BTreeMap::from([(VPC, 1)]), BTreeMap::from([(VPC, 2)]));
    let request = PreflightRequest {
        account: None,
        region: &region,
        creates: &one,
        cluster_zones: &none,
        existing_subnets: &none,
    };
    let findings = preflight(provider.session(), &request).await;
    assert!(
        findings.iter().all(|finding| finding.level == Level::Ok),
        "{findings:?}"
    );

    let other = AccountId::new("999999999999").unwrap();
    let request = PreflightRequest {
        account: Some(&other),
        creates: &two,
        ..request
    };
    let findings = preflight(provider.session(), &request).await;
    let quota = of(&findings, Check::Quota);
    assert_eq!((quota.len(), quota[0].level), (1, Level::Error));
    assert!(
        quota[0]
            .message
            .contains("is 5: 4 are there, 2 are to be made"),
        "{quota:?}"
    );
    assert!(
        quota[0]
            .advice
            .as_ref()
            .unwrap()
            .contains("--quota-code L-F678F1CE --desired-value 6")
    );
    assert_eq!(of(&findings, Check::Account)[0].level, Level::Error);

    let elsewhere = Region::new("us-west-2").unwrap();
    let request = PreflightRequest {
        region: &elsewhere,
        ..request
    };
    let findings = preflight(provider.session(), &request).await;
    assert_eq!(of(&findings, Check::Region)[0].level, Level::Error);

    let wrong = embedded
        .session_as("AKIAWRONG", "wrong-secret-wrong-secret")
        .await;
    let findings = preflight(&wrong, &request).await;
    assert_eq!((findings.len(), findings[0].level), (1, Level::Error));
}

#[tokio::test]
async fn zones_and_free_addresses_are_what_ec2_says() {
    let embedded = Embedded::in_region(
        "us-east-1",
        sandbox::TimeScale::Max,
        sandbox::Faults::default(),
    );
    let provider = embedded.provider().await;
    let block = json!({"CidrBlock": "10.0.0.0/16"});
    let vpc = create(&provider, &VPC, &block).await.unwrap();
    let subnet = TypeName::new("AWS::EC2::Subnet");
    let mut subnets = BTreeSet::new();
    for block in ["10.0.0.0/24", "10.0.1.0/28"] {
        let desired = json!({"VpcId": vpc, "CidrBlock": block});
        let made = create(&provider, &subnet, &desired).await.unwrap();
        subnets.insert(made.to_string());
    }
    let region = Region::new("us-east-1").unwrap();
    let zones = |letters: &str| -> BTreeSet<String> {
        let names = letters.chars().map(|letter| format!("us-east-1{letter}"));
        names.collect()
    };
    let (served, other, nothing) = (zones("abc"), zones("ae"), BTreeMap::new());
    let request = PreflightRequest {
        account: None,
        region: &region,
        creates: &nothing,
        cluster_zones: &served,
        existing_subnets: &subnets,
    };
    let findings = preflight(provider.session(), &request).await;
    assert!(of(&findings, Check::Zones).is_empty(), "{findings:?}");
    let addresses: Vec<(Level, &str)> = of(&findings, Check::FreeAddresses)
        .iter()
        .map(|finding| {
            (
                finding.level,
                finding.message.rsplit("has ").next().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        addresses,
        [
            (Level::Warning, "11 free addresses"),
            (Level::Ok, "251 free addresses")
        ]
    );

    let gone = BTreeSet::from(["subnet-0123456789abcdef0".to_owned()]);
    let request = PreflightRequest {
        cluster_zones: &other,
        existing_subnets: &gone,
        ..request
    };
    let findings = preflight(provider.session(), &request).await;
    let zones = of(&findings, Check::Zones);
    assert_eq!((zones.len(), zones[0].level), (1, Level::Error));
    assert!(zones[0].message.contains("use1-az3, which is us-east-1e"));
    let addresses = of(&findings, Check::FreeAddresses);
    assert!(
        addresses[0].message.contains("InvalidSubnetID.NotFound"),
        "{addresses:?}"
    );
}

#[tokio::test]
async fn the_embedded_aws_is_as_expected_and_nothing_is_left_of_the_verification() {
    let embedded = Embedded::instant();
    let provider = embedded.provider().await;
    let report = verify(
        &provider,
        Pace::new(f64::INFINITY),
        std::future::pending(),
        |_| {},
    )
    .await;
    assert!(report.is_clean(), "{report:#?}");
    assert_eq!(embedded.resources().await, 0);
    assert!(report.steps.len() > 15, "{report:#?}");
    let names: BTreeSet<&str> = report.steps.iter().map(|step| step.name.as_str()).collect();
    for expected in [
        "change behind our back",
        "delete AWS::EC2::VPC",
        "update a secret",
    ] {
        assert!(names.contains(expected), "{names:?}");
    }
}

#[tokio::test]
async fn an_interrupted_verification_leaves_nothing_either() {
    let embedded = Embedded::with(sandbox::TimeScale::Times(200.0), sandbox::Faults::default());
    let provider = embedded.provider().await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let report = verify(
        &provider,
        Pace::new(200.0),
        async {
            let _ = told.await;
        },
        |step| {
            if step == "create a queue"
                && let Some(tell) = tell.lock().unwrap().take()
            {
                let _ = tell.send(());
            }
        },
    )
    .await;
    assert!(
        report.interrupted && report.left_behind.is_empty(),
        "{report:#?}"
    );
    assert_eq!(embedded.resources().await, 0);
}

#[tokio::test]
async fn a_verification_ends_where_nothing_else_does() {
    // An operation takes hours there.
    let embedded = Embedded::with(sandbox::TimeScale::Times(0.001), sandbox::Faults::default());
    let provider = embedded.provider().await;
    let milliseconds = std::time::Duration::from_millis;
    let limits = Limits {
        operation: milliseconds(200),
        index: milliseconds(200),
        everything: milliseconds(5_000),
        clean_up: milliseconds(500),
    };
    let pace = Pace::new(f64::INFINITY);
    let report = verify_within(&provider, pace, limits, std::future::pending(), |_| {}).await;
    let differences = |step: &str| -> Vec<&str> {
        let of_step = report.differences.iter().filter(|one| one.step == step);
        of_step.map(|one| one.found.as_str()).collect()
    };
    for step in [
        "create",
        "create by name",
        "create a queue",
        "create a secret",
    ] {
        let found = differences(step);
        assert!(
            found.len() == 1 && found[0].contains("does not end"),
            "{step}: {report:#?}"
        );
    }
    let skipped = |what: &str| {
        let mut steps = report.steps.iter();
        steps.any(|step| step.name == what && step.observed.starts_with("skipped: "))
    };
    assert!(skipped("a subnet, changes, drift and tags"), "{report:#?}");
    assert!(!report.left_behind.is_empty() && !report.interrupted);

    let limits = Limits {
        everything: milliseconds(100),
        ..limits
    };
    let report = verify_within(&provider, pace, limits, std::future::pending(), |_| {}).await;
    assert_eq!(
        (report.differences[0].step.as_str(), report.interrupted),
        ("create", false),
        "{report:#?}"
    );
}

#[tokio::test]
async fn what_a_failed_create_left_is_deleted_and_the_failure_is_reported() {
    let faults = sandbox::Faults {
        rules: vec![
            "NotStabilized@1/CreateResource/AWS::SQS::Queue"
                .parse()
                .unwrap(),
        ],
        ..Default::default()
    };
    let embedded = Embedded::with(sandbox::TimeScale::Max, faults);
    let provider = embedded.provider().await;
    let pace = Pace::new(f64::INFINITY);
    let report = verify(&provider, pace, std::future::pending(), |_| {}).await;
    assert_eq!(report.differences.len(), 1, "{report:#?}");
    assert!(
        report.differences[0].step == "create a queue"
            && report.differences[0].found.contains("NotStabilized")
    );
    assert_eq!(report.left_behind, [""; 0]);
    assert_eq!(embedded.resources().await, 0);
}
