//! The services over a world that is put together by hand.

use std::sync::Arc;
use std::time::Duration;

use catalog::TypeName;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::events::{self, InstanceEvent};
use super::{acm, budgets, ec2, route53, secretsmanager, servicequotas, tagging};
use crate::Settings;
use crate::aws::account::{Account, AccountOptions};
use crate::aws::error::HandlerErrorCode;
use crate::aws::faults::Faults;
use crate::aws::kinds::Wait;
use crate::aws::operation::{Ending, Fate, Operation, OperationKind, Reason, Status, Waiting};
use crate::aws::state::Mutation;
use crate::aws::wire::{Reply, Request, ServiceError};
use crate::aws::world::{Entry, Phase};
use crate::clock::{ManualClock, TimeScale};

struct World {
    account: Account,
    clock: Arc<ManualClock>,
    _dir: TempDir,
}

fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let settings = Settings {
        quotas: [("L-F678F1CE".to_owned(), 9.0)].into(),
        ..Settings::default()
    };
    let options = AccountOptions {
        endpoints: Arc::new(crate::kubernetes::endpoints::Unserved),
        account: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        settings,
        time_scale: TimeScale::Times(1.0),
        seed: Some(1),
        faults: Faults::default(),
        wall: clock.clone(),
        on_stop: Box::new(|| ()),
    };
    World {
        account: Account::open(dir.path(), options).unwrap(),
        clock,
        _dir: dir,
    }
}

impl World {
    fn put(&self, type_name: &'static str, identifier: &str, model: Value) {
        let put = self.account.session(|session| {
            session.put(TypeName::new(type_name), identifier.to_owned(), model);
            Ok(())
        });
        put.unwrap();
    }
}

/// A certificate whose creation waits for its record, for 1,000 modelled seconds at most.
fn waiting_certificate(world: &World) {
    let arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1";
    let type_name = TypeName::new("AWS::CertificateManager::Certificate");
    let records = vec![(
        "_a.example.com".to_owned(),
        "_b.acm-validations.aws.".to_owned(),
    )];
    let otherwise = Reason {
        code: HandlerErrorCode::NotStabilized,
        message: "too late".to_owned(),
    };
    let fate = Fate::Stays {
        phase: Phase::Ready,
        model: None,
    };
    let entry = Entry {
        type_name: type_name.clone(),
        identifier: arn.to_owned(),
        model: json!({ "DomainName": "example.com" }),
        created_at: 0.0,
        phase: Phase::Creating,
        ready_at: 1000.0,
    };
    let operation = Operation {
        request_token: "request".to_owned(),
        client_token: None,
        fingerprint: String::new(),
        kind: OperationKind::Create,
        type_name,
        identifier: Some(arn.to_owned()),
        identifier_from: 0.0,
        began_at: 0.0,
        ends_at: 1000.0,
        waits_for: Some(Waiting {
            what: Wait::DnsRecords(records),
            otherwise: Some(otherwise),
        }),
        status: Status::InProgress(Box::new(Ending {
            failure: None,
            fate,
            effects: Vec::new(),
        })),
        since: 0.0,
    };
    let begun = world.account.session(|session| {
        session.change(Mutation::Put(entry));
        session.change(Mutation::Operation(operation));
        Ok(())
    });
    begun.unwrap();
}

/// The status of the certificate and of the request that makes it.
fn certificate(world: &World) -> (String, &'static str) {
    let arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1";
    let described = call(
        world,
        acm::handle,
        "DescribeCertificate",
        json!({ "CertificateArn": arn }),
    );
    let request = world
        .account
        .session(|session| Ok(session.state.operation("request").unwrap().status.as_str()));
    (
        described["Certificate"]["Status"]
            .as_str()
            .unwrap()
            .to_owned(),
        request.unwrap(),
    )
}

#[test]
fn a_certificate_is_issued_once_its_record_is_in_a_zone_and_never_without() {
    let world = world();
    zone(&world);
    waiting_certificate(&world);
    assert_eq!(
        certificate(&world),
        ("PENDING_VALIDATION".to_owned(), "IN_PROGRESS")
    );
    change(
        &world,
        "UPSERT",
        "_a.example.com",
        "CNAME",
        "_wrong.acm-validations.aws",
    )
    .unwrap();
    assert_eq!(
        certificate(&world),
        ("PENDING_VALIDATION".to_owned(), "IN_PROGRESS")
    );
    change(
        &world,
        "UPSERT",
        "_A.example.com",
        "CNAME",
        "_b.acm-validations.aws",
    )
    .unwrap();
    assert_eq!(certificate(&world), ("ISSUED".to_owned(), "SUCCESS"));

    let world = self::world();
    waiting_certificate(&world);
    world.clock.advance(Duration::from_secs(1001));
    assert_eq!(
        certificate(&world),
        ("VALIDATION_TIMED_OUT".to_owned(), "FAILED")
    );
}

type JsonService = fn(&Account, &str, &Value) -> Option<Result<Value, ServiceError>>;

fn call(world: &World, service: JsonService, operation: &str, input: Value) -> Value {
    service(&world.account, operation, &input).unwrap().unwrap()
}

fn refused(world: &World, service: JsonService, operation: &str, input: Value) -> String {
    service(&world.account, operation, &input)
        .unwrap()
        .unwrap_err()
        .code
        .into_owned()
}

fn zone(world: &World) {
    let servers = json!(["ns-1.awsdns-01.com", "ns-2.awsdns-02.net"]);
    world.put(
        "AWS::Route53::HostedZone",
        "Z1",
        json!({ "Id": "Z1", "Name": "example.com", "NameServers": servers }),
    );
}

fn route53(
    world: &World,
    method: Method,
    path: &str,
    query: &str,
    body: &str,
) -> Result<String, ServiceError> {
    let body = body.as_bytes().to_vec();
    let request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: HeaderMap::new(),
        body,
    };
    let operation = route53::operation(&request).unwrap();
    let Reply { body, .. } = route53::handle(&world.account, operation, &request, "id").unwrap()?;
    Ok(String::from_utf8(body).unwrap())
}

fn change(
    world: &World,
    action: &str,
    name: &str,
    kind: &str,
    value: &str,
) -> Result<String, String> {
    let body = format!(
        "<ChangeResourceRecordSetsRequest xmlns=\"{}\"><ChangeBatch><Changes><Change><Action>{action}</Action><ResourceRecordSet>\
         <Name>{name}</Name><Type>{kind}</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>{value}</Value></ResourceRecord>\
         </ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
        route53::NAMESPACE
    );
    let changed = route53(
        world,
        Method::POST,
        "/2013-04-01/hostedzone/Z1/rrset/",
        "",
        &body,
    );
    changed.map_err(|error| format!("{}: {}", error.code, error.message))
}

fn texts(xml: &str, element: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(xml).unwrap();
    let nodes = document
        .descendants()
        .filter(|node| node.tag_name().name() == element);
    nodes
        .map(|node| node.text().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn dns_records_are_changed_exactly_and_are_in_sync_after_a_while() {
    let world = world();
    zone(&world);
    let changed = change(&world, "UPSERT", "www.Example.com", "A", "192.0.2.1").unwrap();
    assert_eq!(texts(&changed, "Status"), ["PENDING"]);
    let id = texts(&changed, "Id").remove(0);
    world.clock.advance(Duration::from_secs(60));
    let path = format!("/2013-04-01{id}");
    assert_eq!(
        texts(
            &route53(&world, Method::GET, &path, "", "").unwrap(),
            "Status"
        ),
        ["INSYNC"]
    );

    change(&world, "UPSERT", "www.example.com.", "A", "192.0.2.2").unwrap();
    for (action, name, kind, value, words) in [
        (
            "CREATE",
            "www.example.com",
            "A",
            "192.0.2.3",
            "it already exists",
        ),
        (
            "DELETE",
            "www.example.com",
            "A",
            "192.0.2.1",
            "do not match the current values",
        ),
        (
            "DELETE",
            "w.example.com",
            "A",
            "192.0.2.1",
            "it was not found",
        ),
        (
            "UPSERT",
            "www.example.com",
            "CNAME",
            "other.org",
            "conflicts with other records",
        ),
        (
            "UPSERT",
            "example.com",
            "CNAME",
            "other.org",
            "not permitted at apex",
        ),
        (
            "UPSERT",
            "notexample.com",
            "A",
            "192.0.2.1",
            "not permitted in zone example.com.",
        ),
        (
            "REPLACE",
            "www.example.com",
            "A",
            "192.0.2.1",
            "none of CREATE, UPSERT, DELETE",
        ),
    ] {
        let error = change(&world, action, name, kind, value).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    change(
        &world,
        "UPSERT",
        "*.a.example.com",
        "TXT",
        "&quot;a &lt; b&quot;",
    )
    .unwrap();
    let list = |query: &str| {
        route53(
            &world,
            Method::GET,
            "/2013-04-01/hostedzone/Z1/rrset",
            query,
            "",
        )
        .unwrap()
    };
    let all = list("");
    assert_eq!(
        texts(&all, "Name"),
        [
            "example.com.",
            "example.com.",
            "\\052.a.example.com.",
            "www.example.com."
        ]
    );
    assert_eq!(texts(&all, "Type"), ["NS", "SOA", "TXT", "A"]);
    assert!(
        texts(&all, "Value").contains(&"\"a < b\"".to_owned()),
        "{all}"
    );
    let page = list("maxitems=3");
    assert_eq!(
        (texts(&page, "IsTruncated"), texts(&page, "NextRecordName")),
        (vec!["true".to_owned()], vec!["www.example.com.".to_owned()])
    );
    assert_eq!(
        texts(&list("name=www.example.com.&type=A"), "Name"),
        ["www.example.com."]
    );
    change(&world, "DELETE", "www.example.com", "A", "192.0.2.2").unwrap();
    assert_eq!(
        texts(&list("name=www.example.com.&type=A"), "Name"),
        Vec::<String>::new()
    );
    let missing = route53(
        &world,
        Method::GET,
        "/2013-04-01/hostedzone/Z2/rrset",
        "",
        "",
    )
    .unwrap_err();
    assert_eq!((missing.status, &*missing.code), (404, "NoSuchHostedZone"));
}

#[test]
fn a_secrets_value_is_told_by_name_and_arn_until_it_is_deleted() {
    let world = world();
    let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/mq-AbCdEf";
    world.put(
        "AWS::SecretsManager::Secret",
        arn,
        json!({ "Id": arn, "Name": "prod/mq", "__SecretString": "s3cret" }),
    );
    let get = |id: &str| {
        call(
            &world,
            secretsmanager::handle,
            "GetSecretValue",
            json!({ "SecretId": id }),
        )
    };
    for id in [arn, "prod/mq", &arn[..arn.len() - 7]] {
        assert_eq!(
            (&get(id)["SecretString"], &get(id)["ARN"]),
            (&json!("s3cret"), &json!(arn))
        );
    }
    let missing = json!({ "SecretId": "prod" });
    assert_eq!(
        refused(&world, secretsmanager::handle, "GetSecretValue", missing),
        "ResourceNotFoundException"
    );
    let input = json!({ "SecretId": "prod/mq" });
    call(
        &world,
        secretsmanager::handle,
        "DeleteSecret",
        input.clone(),
    );
    assert_eq!(
        refused(
            &world,
            secretsmanager::handle,
            "GetSecretValue",
            input.clone()
        ),
        "InvalidRequestException"
    );
    assert!(
        call(
            &world,
            secretsmanager::handle,
            "DescribeSecret",
            input.clone()
        )["DeletedDate"]
            .is_f64()
    );
    call(
        &world,
        secretsmanager::handle,
        "RestoreSecret",
        input.clone(),
    );
    assert_eq!(get("prod/mq")["SecretString"], "s3cret");
    call(
        &world,
        secretsmanager::handle,
        "DeleteSecret",
        input.clone(),
    );
    assert_eq!(
        world.account.overview().unwrap().pending_deletion["AWS::SecretsManager::Secret"],
        1
    );
    world.clock.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(
        refused(
            &world,
            secretsmanager::handle,
            "RestoreSecret",
            input.clone()
        ),
        "ResourceNotFoundException"
    );

    world.put(
        "AWS::SecretsManager::Secret",
        arn,
        json!({ "Id": arn, "Name": "prod/mq", "__SecretString": "s3cret" }),
    );
    let forced = json!({ "SecretId": "prod/mq", "ForceDeleteWithoutRecovery": true });
    call(&world, secretsmanager::handle, "DeleteSecret", forced);
    assert_eq!(
        refused(&world, secretsmanager::handle, "DescribeSecret", input),
        "ResourceNotFoundException"
    );
}

#[test]
fn tagged_resources_are_found_by_tag_type_and_page() {
    let world = world();
    let tags =
        |owner: &str| json!([{ "Key": "owner", "Value": owner }, { "Key": "aws:x", "Value": "y" }]);
    for (number, owner) in ["one", "two", "one"].into_iter().enumerate() {
        world.put(
            "AWS::EC2::VPC",
            &format!("vpc-{number}"),
            json!({ "Tags": tags(owner) }),
        );
    }
    let arn = "arn:aws:iam::123456789012:role/r";
    world.put(
        "AWS::IAM::Role",
        "r",
        json!({ "Arn": arn, "Tags": tags("one") }),
    );
    let arn = "arn:aws:eks:eu-central-1:123456789012:nodegroup/c/n/1";
    world.put(
        "AWS::EKS::Nodegroup",
        "c/n",
        json!({ "Arn": arn, "Tags": { "owner": "one" } }),
    );
    let get = |input: Value| {
        let answer = call(&world, tagging::handle, "GetResources", input);
        let list = answer["ResourceTagMappingList"].as_array().unwrap().iter();
        (
            list.map(|one| one["ResourceARN"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>(),
            answer["PaginationToken"].clone(),
        )
    };
    let filter = json!([{ "Key": "owner", "Values": ["one"] }]);
    let vpc = |number: u8| format!("arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-{number}");
    let (all, token) = get(json!({ "TagFilters": filter }));
    assert_eq!(
        (all, token),
        (vec![vpc(0), vpc(2), arn.to_owned()], json!("")),
        "roles are not returned, as by AWS"
    );
    let (first, token) = get(json!({ "TagFilters": filter, "ResourcesPerPage": 1 }));
    assert_eq!(first, [vpc(0)]);
    let (second, _) =
        get(json!({ "TagFilters": filter, "ResourcesPerPage": 1, "PaginationToken": token }));
    assert_eq!(second, [vpc(2)]);
    assert_eq!(
        get(json!({ "ResourceTypeFilters": ["eks:nodegroup"] })).0,
        [arn]
    );
    assert_eq!(
        get(json!({ "ResourceTypeFilters": ["ec2"] })).0,
        [vpc(0), vpc(1), vpc(2)]
    );
    assert_eq!(
        get(json!({ "TagFilters": [{ "Key": "aws:x" }] })).0,
        Vec::<String>::new()
    );
    let values = call(
        &world,
        tagging::handle,
        "GetTagValues",
        json!({ "Key": "owner" }),
    );
    assert_eq!(values["TagValues"], json!(["one", "two"]));
}

#[test]
fn budgets_keep_their_notifications_apart_from_themselves() {
    let world = world();
    let with = |more: Value| {
        let mut input = json!({ "AccountId": "123456789012", "BudgetName": "b" });
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        input
    };
    let budget = |amount: &str| json!({ "BudgetName": "b", "TimeUnit": "MONTHLY", "BudgetType": "COST", "BudgetLimit": { "Amount": amount, "Unit": "USD" } });
    let call = |operation: &str, more: Value| call(&world, budgets::handle, operation, with(more));
    let refused =
        |operation: &str, more: Value| refused(&world, budgets::handle, operation, with(more));
    let notification = json!({ "NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80.0 });
    let email = json!({ "SubscriptionType": "EMAIL", "Address": "a@example.com" });
    call("CreateBudget", json!({ "Budget": budget("10") }));
    assert_eq!(
        refused("CreateBudget", json!({ "Budget": budget("10") })),
        "DuplicateRecordException"
    );
    assert_eq!(
        refused("UpdateBudget", json!({ "NewBudget": budget("-1") })),
        "InvalidParameterException"
    );
    call(
        "CreateNotification",
        json!({ "Notification": notification, "Subscribers": [email] }),
    );
    let same = json!({ "Notification": { "NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": 80, "ThresholdType": "PERCENTAGE" }, "Subscribers": [email] });
    assert_eq!(
        refused("CreateNotification", same),
        "DuplicateRecordException"
    );
    call("UpdateBudget", json!({ "NewBudget": budget("20") }));
    assert_eq!(
        call("DescribeBudget", json!({}))["Budget"]["BudgetLimit"]["Amount"],
        "20"
    );
    assert_eq!(
        call("DescribeNotificationsForBudget", json!({}))["Notifications"][0]["Threshold"],
        80.0
    );
    let sns =
        json!({ "SubscriptionType": "SNS", "Address": "arn:aws:sns:eu-central-1:123456789012:t" });
    call(
        "CreateSubscriber",
        json!({ "Notification": notification, "Subscriber": sns }),
    );
    let subscribers = call(
        "DescribeSubscribersForNotification",
        json!({ "Notification": notification }),
    );
    assert_eq!(subscribers["Subscribers"], json!([email, sns]));
    let tagged = |more: Value| {
        let mut input = json!({ "ResourceARN": "arn:aws:budgets::123456789012:budget/b" });
        let members = more.as_object().unwrap().clone();
        input.as_object_mut().unwrap().extend(members);
        input
    };
    let tags = |tags: Value| tagged(json!({ "ResourceTags": tags }));
    let (a, b) = (
        json!({ "Key": "a", "Value": "1" }),
        json!({ "Key": "b", "Value": "1" }),
    );
    call("TagResource", tags(json!([a, b])));
    call("TagResource", tags(json!([{ "Key": "b", "Value": "2" }])));
    call(
        "UntagResource",
        tagged(json!({ "ResourceTagKeys": ["a", "c"] })),
    );
    assert_eq!(
        call("ListTagsForResource", tagged(json!({})))["ResourceTags"],
        json!([{ "Key": "b", "Value": "2" }])
    );
    let reserved = tags(json!([{ "Key": "aws:a", "Value": "1" }]));
    assert_eq!(
        refused("TagResource", reserved),
        "InvalidParameterException"
    );
    let nobody =
        json!({ "ResourceARN": "arn:aws:budgets::123456789012:budget/c", "ResourceTags": [a] });
    assert_eq!(refused("TagResource", nobody), "NotFoundException");
    call("DeleteBudget", json!({}));
    assert_eq!(refused("DescribeBudget", json!({})), "NotFoundException");
    let other = json!({ "AccountId": "210987654321", "BudgetName": "b" });
    assert_eq!(
        super::tests::refused(&world, budgets::handle, "DescribeBudget", other),
        "AccessDeniedException"
    );
}

#[test]
fn a_quota_that_was_set_differs_from_its_default() {
    let world = world();
    let input = json!({ "ServiceCode": "vpc", "QuotaCode": "L-F678F1CE" });
    assert_eq!(
        call(
            &world,
            servicequotas::handle,
            "GetServiceQuota",
            input.clone()
        )["Quota"]["Value"],
        9.0
    );
    assert_eq!(
        call(
            &world,
            servicequotas::handle,
            "GetAWSDefaultServiceQuota",
            input
        )["Quota"]["Value"],
        5.0
    );
    let unknown = json!({ "ServiceCode": "vpc", "QuotaCode": "L-0" });
    assert_eq!(
        refused(&world, servicequotas::handle, "GetServiceQuota", unknown),
        "NoSuchResourceException"
    );
}

#[test]
fn a_certificate_tells_the_records_that_it_looks_for() {
    let world = world();
    let arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1";
    let records = json!([{ "DomainName": "*.example.com", "Name": "_a.example.com.", "Value": "_b.acm-validations.aws." }]);
    world.put(
        "AWS::CertificateManager::Certificate",
        arn,
        json!({ "DomainName": "*.example.com", "__ValidationRecords": records }),
    );
    let described = call(
        &world,
        acm::handle,
        "DescribeCertificate",
        json!({ "CertificateArn": arn }),
    );
    let options = &described["Certificate"]["DomainValidationOptions"][0];
    assert_eq!(
        options["ResourceRecord"],
        json!({ "Name": "_a.example.com.", "Type": "CNAME", "Value": "_b.acm-validations.aws." })
    );
    assert_eq!(described["Certificate"]["Status"], "ISSUED");
    let listed = call(
        &world,
        acm::handle,
        "ListCertificates",
        json!({ "CertificateStatuses": ["PENDING_VALIDATION"] }),
    );
    assert_eq!(listed["CertificateSummaryList"], json!([]));
}

fn ec2(world: &World, form: &str) -> Result<String, String> {
    let request = Request {
        method: Method::POST,
        path: "/".to_owned(),
        query: String::new(),
        headers: HeaderMap::new(),
        body: format!("{form}&Version=2016-11-15").into_bytes(),
    };
    let action = request.parameters()["Action"].clone();
    let answered = ec2::handle(&world.account, &action, &request, "id").unwrap();
    answered
        .map(|reply| String::from_utf8(reply.body).unwrap())
        .map_err(|error| error.code.into_owned())
}

#[test]
fn ec2_tells_zones_and_what_is_free_in_subnets() {
    let world = world();
    let zones = ec2(
        &world,
        "Action=DescribeAvailabilityZones&Filter.1.Name=zone-name&Filter.1.Value.1=eu-central-1b&Filter.1.Value.2=eu-central-1c",
    );
    assert_eq!(texts(&zones.unwrap(), "zoneId"), ["euc1-az2", "euc1-az3"]);
    let subnet = |id: &str, block: &str| {
        let model = json!({ "SubnetId": id, "VpcId": "vpc-1", "CidrBlock": block, "AvailabilityZone": "eu-central-1a" });
        world.put("AWS::EC2::Subnet", id, model);
    };
    subnet("subnet-1", "10.0.0.0/24");
    subnet("subnet-2", "10.0.1.0/28");
    world.put(
        "AWS::EC2::NatGateway",
        "nat-1",
        json!({ "NatGatewayId": "nat-1", "SubnetId": "subnet-2" }),
    );
    let free = |form: &str| {
        let answer = ec2(&world, &format!("Action=DescribeSubnets{form}"));
        answer.map(|answer| texts(&answer, "availableIpAddressCount"))
    };
    assert_eq!(free("").unwrap(), ["251", "10"]);
    assert_eq!(free("&SubnetId.1=subnet-2").unwrap(), ["10"]);
    assert_eq!(
        free("&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-2").unwrap(),
        [""; 0]
    );
    for (form, code) in [
        ("&SubnetId.1=subnet-3", "InvalidSubnetID.NotFound"),
        (
            "&Filter.1.Name=colour&Filter.1.Value.1=red",
            "InvalidParameterValue",
        ),
        ("&MaxResults=5", "UnknownParameter"),
    ] {
        assert_eq!(free(form), Err(code.to_owned()), "{form}");
    }
}

/// Instances of Karpenter's and of a node group's, and a queue that is told of spot interruptions alone.
fn with_instances() -> World {
    let world = world();
    let instance = |host: &str, spot, origin: (&str, &str)| {
        let mut model = json!({"PrivateDnsName": format!("{host}.eu-central-1.compute.internal"), "__Cluster": "shop", "__Spot": spot});
        model[origin.0] = origin.1.into();
        model
    };
    for (id, host, spot, origin) in [
        ("i-0a", "ip-10-0-0-10", true, ("__NodeClaim", "general-1")),
        (
            "i-0b",
            "ip-10-0-0-11",
            false,
            ("__NodeGroup", "shop/system"),
        ),
    ] {
        world.put("AWS::EC2::Instance", id, instance(host, spot, origin));
    }
    let subnet = json!({"SubnetId": "subnet-1", "VpcId": "vpc-1", "CidrBlock": "10.0.0.0/24", "AvailabilityZone": "eu-central-1a"});
    world.put("AWS::EC2::Subnet", "subnet-1", subnet);
    let group = json!({"ClusterName": "shop", "NodegroupName": "system", "Subnets": ["subnet-1"], "ScalingConfig": {"DesiredSize": 1}});
    world.put("AWS::EKS::Nodegroup", "shop/system", group);
    let queue = json!({"QueueUrl": "https://q", "QueueName": "shop", "Arn": "arn:aws:sqs:eu-central-1:123456789012:shop"});
    world.put("AWS::SQS::Queue", "https://q", queue);
    let policy = json!({"Queue": "https://q", "PolicyDocument": {"Statement": [
        {"Effect": "Allow", "Action": "sqs:SendMessage", "Principal": {"Service": "events.amazonaws.com"}},
    ]}});
    world.put("AWS::SQS::QueueInlinePolicy", "https://q", policy);
    let rule = json!({
        "State": "ENABLED", "Targets": [{"Id": "q", "Arn": "arn:aws:sqs:eu-central-1:123456789012:shop"}],
        "EventPattern": {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]},
    });
    world.put("AWS::Events::Rule", "r", rule);
    world
}

#[test]
fn a_spot_instance_is_taken_back_after_its_notice() {
    let world = with_instances();
    for name in [
        "i-0a",
        "ip-10-0-0-10",
        "node/ip-10-0-0-10.eu-central-1.compute.internal",
    ] {
        let happened =
            events::happen(&world.account, name, InstanceEvent::SpotInterruption).unwrap();
        assert_eq!(happened.instance, "i-0a");
        assert_eq!(happened.node, "ip-10-0-0-10.eu-central-1.compute.internal");
        assert!(
            happened
                .ends_in_seconds
                .is_some_and(|left| (110.0..=120.0).contains(&left))
        );
        assert_eq!((happened.queues, happened.replacement), (1, None));
    }
    // A recommendation ends nothing, and no rule asks for it.
    let only_said = events::happen(
        &world.account,
        "i-0a",
        InstanceEvent::RebalanceRecommendation,
    );
    let only_said = only_said.unwrap();
    assert_eq!((only_said.ends_in_seconds, only_said.queues), (None, 0));
    world.clock.advance(Duration::from_secs(121));
    let late = events::happen(&world.account, "i-0a", InstanceEvent::Terminated);
    assert_eq!(
        late.unwrap_err().message,
        "ip-10-0-0-10.eu-central-1.compute.internal (i-0a) shuts down already"
    );
}

#[test]
fn a_node_group_keeps_its_size() {
    let world = with_instances();
    let refused = events::happen(&world.account, "i-0b", InstanceEvent::SpotInterruption);
    let why = refused.unwrap_err().message;
    assert!(why.contains("i-0b") && why.contains("on-demand"), "{why}");
    let first = events::happen(&world.account, "i-0b", InstanceEvent::ScheduledChange).unwrap();
    assert_eq!((first.ends_in_seconds, first.replacement), (None, None));
    let ended = events::happen(&world.account, "i-0b", InstanceEvent::Stopping).unwrap();
    assert_eq!(ended.ends_in_seconds, Some(0.0));
    let replacement = ended.replacement.unwrap();
    let running = world.account.session(|session| {
        let all = session.world().of_type("AWS::EC2::Instance");
        let kept = all.filter(|entry| {
            entry.model["__NodeGroup"] == "shop/system" && entry.pending_deletion().is_none()
        });
        Ok(kept
            .map(|entry| entry.identifier.clone())
            .collect::<Vec<_>>())
    });
    assert_eq!(running.unwrap(), [replacement]);
}

#[test]
fn an_instance_that_is_not_there_is_told_with_those_that_are() {
    let near = |name: &str, world: &World| {
        let refused = events::happen(&world.account, name, InstanceEvent::Terminated);
        refused.unwrap_err().message
    };
    let some = with_instances();
    assert_eq!(
        near("ip-10-0-0-1O", &some),
        "there is no instance or node ip-10-0-0-1O: did you mean ip-10-0-0-10.eu-central-1.compute.internal (i-0a)?"
    );
    let all = near("web", &some);
    assert!(all.contains("i-0a") && all.contains("i-0b"), "{all}");
    assert_eq!(
        near("i-1", &world()),
        "there is no instance or node i-1: there are no instances"
    );
}
