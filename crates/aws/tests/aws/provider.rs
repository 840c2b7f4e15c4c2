//! The provider against the embedded AWS, through the SDK and HTTP.

use crate::embedded::{Embedded, create, scope, settle, token};
use aws::{AwsProvider, CallerIdentity, tags};
use catalog::TypeName;
use catalog::compare::differences;
use catalog::ids::{Address, Identifier};
use engine::provider::{ErrorClass, Payload, Provider, Status};
use serde_json::{Value, json};

const VPC: TypeName = TypeName::new("AWS::EC2::VPC");
const SUBNET: TypeName = TypeName::new("AWS::EC2::Subnet");
const EIP: TypeName = TypeName::new("AWS::EC2::EIP");
const ROLE: TypeName = TypeName::new("AWS::IAM::Role");
const ROUTE_TABLE: TypeName = TypeName::new("AWS::EC2::RouteTable");
const ASSOCIATION: TypeName = TypeName::new("AWS::EC2::SubnetRouteTableAssociation");
const SECRET: TypeName = TypeName::new("AWS::SecretsManager::Secret");
const CERTIFICATE: TypeName = TypeName::new("AWS::CertificateManager::Certificate");
const ZONE: TypeName = TypeName::new("AWS::Route53::HostedZone");
const RECORD: TypeName = TypeName::new("AWS::Route53::RecordSet");
const BUDGET: TypeName = TypeName::new("AWS::Budgets::Budget");
const SPOT: TypeName = TypeName::new("AWS::IAM::ServiceLinkedRole");

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

/// A document with the owner tags of an address.
fn owned(type_name: &TypeName, at: &str, mut document: Value) -> Value {
    let schema = catalog::schema(type_name).unwrap();
    schema
        .tagging()
        .write(&mut document, &tags::owner(&scope(), &address(at)));
    document
}

async fn update(
    provider: &AwsProvider,
    type_name: &TypeName,
    identifier: &Identifier,
    desired: &Value,
    previous: &Value,
) -> Status {
    let progress = provider
        .begin_update(
            type_name,
            identifier,
            &Payload::new(desired.clone()),
            previous,
            &token(),
        )
        .await
        .unwrap();
    settle(provider, type_name, progress).await.unwrap();
    Status::Success
}

async fn delete(provider: &AwsProvider, type_name: &TypeName, identifier: &Identifier) {
    let progress = provider
        .begin_delete(type_name, identifier, &token())
        .await
        .unwrap();
    settle(provider, type_name, progress).await.unwrap();
    assert_eq!(provider.read(type_name, identifier).await.unwrap(), None);
}

#[tokio::test]
async fn a_resource_lives_from_create_to_delete_and_nothing_happens_twice() {
    let embedded = Embedded::instant();
    let provider = embedded.provider().await;
    let schema = catalog::schema(&VPC).unwrap();
    let desired = owned(
        &VPC,
        "network/vpc",
        json!({"CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": false, "InstanceTenancy": null}),
    );
    let token = token();
    let payload = Payload::new(desired.clone());
    let first = provider.begin_create(&VPC, &payload, &token).await.unwrap();
    let again = provider.begin_create(&VPC, &payload, &token).await.unwrap();
    assert!(first.operation.is_some());
    assert_eq!(first.operation, again.operation);
    let other = Payload::new(json!({"CidrBlock": "10.1.0.0/16"}));
    let conflict = provider
        .begin_create(&VPC, &other, &token)
        .await
        .unwrap_err();
    assert_eq!(
        conflict.class,
        ErrorClass::TokenConflict(first.operation.clone()),
        "{conflict}"
    );
    let vpc = settle(&provider, &VPC, first).await.unwrap().unwrap();

    let live = provider.read(&VPC, &vpc).await.unwrap().unwrap();
    assert_eq!(differences(schema, &desired, &live), []);

    // A change, a drift behind our back, and the way back.
    let mut changed = desired.clone();
    changed["EnableDnsHostnames"] = json!(true);
    update(&provider, &VPC, &vpc, &changed, &desired).await;
    let drifted = owned(
        &VPC,
        "network/vpc",
        json!({"CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": false}),
    );
    update(&provider, &VPC, &vpc, &drifted, &json!({})).await;
    let live = provider.read(&VPC, &vpc).await.unwrap().unwrap();
    assert_eq!(differences(schema, &changed, &live).len(), 1);
    update(&provider, &VPC, &vpc, &changed, &changed).await;
    let live = provider.read(&VPC, &vpc).await.unwrap().unwrap();
    assert_eq!(differences(schema, &changed, &live), []);
    // Nothing to change is done at once, without an operation.
    let progress = provider
        .begin_update(
            &VPC,
            &vpc,
            &Payload::new(changed.clone()),
            &changed,
            &self::token(),
        )
        .await
        .unwrap();
    assert_eq!(
        (progress.operation, progress.status),
        (None, Status::Success)
    );

    delete(&provider, &VPC, &vpc).await;
    let gone = provider
        .begin_delete(&VPC, &vpc, &self::token())
        .await
        .unwrap();
    assert_eq!(settle(&provider, &VPC, gone).await.map(drop), Ok(()));
    let error = provider
        .begin_update(&VPC, &vpc, &payload, &json!({}), &self::token())
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::NotFound);
}

#[tokio::test]
async fn what_a_lost_call_has_made_is_found_and_nobody_elses_is() {
    let embedded = Embedded::instant();
    let provider = embedded.provider().await;
    let desired = |at: &str, cidr: &str| owned(&VPC, at, json!({"CidrBlock": cidr}));
    let theirs =
        json!({"CidrBlock": "10.0.0.0/16", "Tags": [{"Key": tags::PLATFORM, "Value": "other"}]});
    create(&provider, &VPC, &theirs).await.unwrap();
    let at = address("network/vpc");
    let wanted = desired("network/vpc", "10.0.0.0/16");
    let find = |wanted: Value| {
        let (provider, at) = (&provider, &at);
        async move { provider.find(&scope(), at, &VPC, &wanted).await.unwrap() }
    };
    assert_eq!(find(wanted.clone()).await, None);
    let vpc = create(&provider, &VPC, &wanted).await.unwrap();
    assert_eq!(find(wanted).await, Some(vpc.clone()));
    // Its replacement has the same address, but is another one.
    assert_eq!(find(desired("network/vpc", "10.9.0.0/16")).await, None);

    // A compound identifier of which the ARN tells one part.
    let address_of_nat = owned(&EIP, "network/nat/eip-a", json!({"Domain": "vpc"}));
    let eip = create(&provider, &EIP, &address_of_nat).await.unwrap();
    assert!(eip.as_str().contains('|'));
    let found = provider
        .find(
            &scope(),
            &address("network/nat/eip-a"),
            &EIP,
            &address_of_nat,
        )
        .await
        .unwrap();
    assert_eq!(found, Some(eip.clone()));

    // What takes no tags is found in the list, by what it joins.
    let zone = format!("{}a", crate::embedded::REGION);
    let subnet_properties =
        json!({"VpcId": vpc, "CidrBlock": "10.0.0.0/24", "AvailabilityZone": zone});
    let subnet = create(&provider, &SUBNET, &subnet_properties)
        .await
        .unwrap();
    let table = create(&provider, &ROUTE_TABLE, &json!({"VpcId": vpc}))
        .await
        .unwrap();
    let joined = json!({"SubnetId": subnet, "RouteTableId": table});
    let place = address("network/association/a");
    assert_eq!(
        provider
            .find(&scope(), &place, &ASSOCIATION, &joined)
            .await
            .unwrap(),
        None
    );
    let association = create(&provider, &ASSOCIATION, &joined).await.unwrap();
    assert_eq!(
        provider
            .find(&scope(), &place, &ASSOCIATION, &joined)
            .await
            .unwrap(),
        Some(association)
    );

    // A role is found by its name, if its tags say that it is ours.
    let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let role = |name: &str| json!({"RoleName": name, "AssumeRolePolicyDocument": trust});
    let ours = owned(&ROLE, "karpenter/node-role", role("shop-dev-node"));
    create(&provider, &ROLE, &ours).await.unwrap();
    create(&provider, &ROLE, &role("shop-dev-other"))
        .await
        .unwrap();
    let node = address("karpenter/node-role");
    assert_eq!(
        provider.find(&scope(), &node, &ROLE, &ours).await.unwrap(),
        Identifier::new("shop-dev-node").ok()
    );
    let stranger = owned(&ROLE, "karpenter/node-role", role("shop-dev-other"));
    assert_eq!(
        provider
            .find(&scope(), &node, &ROLE, &stranger)
            .await
            .unwrap(),
        None
    );
    let error = create(&provider, &ROLE, &stranger).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::AlreadyExists, "{error}");

    // The sweep sees what is ours, the role included, and nothing else.
    let all = provider.owned(&scope()).await.unwrap();
    let addresses: Vec<&str> = all
        .iter()
        .filter_map(|owned| owned.address.as_ref().map(Address::as_str))
        .collect();
    assert_eq!(addresses.len(), 3, "{all:?}");
    for expected in ["network/vpc", "network/nat/eip-a", "karpenter/node-role"] {
        assert!(addresses.contains(&expected), "{all:?}");
    }
    delete(&provider, &EIP, &eip).await;
    assert_eq!(provider.owned(&scope()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_secret_is_read_and_never_repeated() {
    let embedded = Embedded::instant();
    let provider = embedded.provider().await;
    let desired = json!({
        "Name": "shop-dev/rabbitmq",
        "GenerateSecretString": {"SecretStringTemplate": "{\"username\":\"shop\"}", "GenerateStringKey": "password", "ExcludePunctuation": true},
    });
    let secret = create(&provider, &SECRET, &desired).await.unwrap();
    let model = provider.read(&SECRET, &secret).await.unwrap().unwrap();
    assert!(
        model.get("GenerateSecretString").is_none() && model.get("SecretString").is_none(),
        "{model}"
    );
    let whole = provider.secret(&secret, None).await.unwrap();
    let password = provider.secret(&secret, Some("password")).await.unwrap();
    assert!(whole.expose().contains(password.expose()));
    let missing = provider.secret(&secret, Some("none")).await.unwrap_err();
    assert_eq!(missing.class, ErrorClass::Terminal);

    // An update that does not change how it is generated leaves it alone.
    let mut described = desired.clone();
    described["Description"] = json!("the queue's password");
    update(&provider, &SECRET, &secret, &described, &desired).await;
    assert_eq!(
        provider
            .secret(&secret, Some("password"))
            .await
            .unwrap()
            .expose(),
        password.expose()
    );

    // AWS repeats what it was sent in its messages; we do not.
    let echo = json!({"CidrBlock": password.expose()});
    let error = create(&provider, &VPC, &echo).await.unwrap_err();
    assert!(!format!("{error} {error:?} {provider:?}").contains(password.expose()));
}

#[tokio::test]
async fn records_and_budgets_go_by_their_own_apis() {
    let embedded = Embedded::instant();
    let provider = embedded.provider().await;
    let zone = create(&provider, &ZONE, &json!({"Name": "example.com"}))
        .await
        .unwrap();
    let desired = json!({"HostedZoneId": zone, "Name": "*.Example.com.", "Type": "A", "TTL": "60", "ResourceRecords": ["10.0.0.1"]});
    let place = address("dns/record/any");
    let find = |wanted: Value| {
        let (provider, place) = (&provider, &place);
        async move {
            provider
                .find(&scope(), place, &RECORD, &wanted)
                .await
                .unwrap()
        }
    };
    assert_eq!(find(desired.clone()).await, None);
    let record = create(&provider, &RECORD, &desired).await.unwrap();
    assert_eq!(record.as_str(), format!("*.example.com|{zone}|A"));
    assert_eq!(find(desired.clone()).await, Some(record.clone()));
    let mut changed = desired.clone();
    changed["ResourceRecords"] = json!(["10.0.0.1", "10.0.0.2"]);
    // Somebody else's record of the same name would look like this: it is neither taken over nor overwritten.
    assert_eq!(find(changed.clone()).await, None);
    let error = create(&provider, &RECORD, &changed).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::AlreadyExists, "{error}");
    update(&provider, &RECORD, &record, &changed, &desired).await;
    let live = provider.read(&RECORD, &record).await.unwrap().unwrap();
    assert_eq!(
        differences(catalog::schema(&RECORD).unwrap(), &changed, &live),
        []
    );
    delete(&provider, &RECORD, &record).await;
    let again = provider
        .begin_delete(&RECORD, &record, &token())
        .await
        .unwrap();
    assert_eq!(again.status, Status::Success);

    let notification = |percent: u32| {
        json!({
            "Notification": {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": percent, "ThresholdType": "PERCENTAGE"},
            "Subscribers": [{"SubscriptionType": "EMAIL", "Address": "ops@example.com"}],
        })
    };
    let budget = |amount: u32, percent: u32| {
        owned(
            &BUDGET,
            "budget/budget",
            json!({
                "Budget": {"BudgetName": "shop-dev-monthly", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": {"Amount": amount, "Unit": "USD"}},
                "NotificationsWithSubscribers": [notification(percent)],
            }),
        )
    };
    let schema = catalog::schema(&BUDGET).unwrap();
    let desired = budget(100, 80);
    let identifier = create(&provider, &BUDGET, &desired).await.unwrap();
    let live = provider.read(&BUDGET, &identifier).await.unwrap().unwrap();
    assert_eq!(differences(schema, &desired, &live), []);
    let place = address("budget/budget");
    assert_eq!(
        provider
            .find(&scope(), &place, &BUDGET, &desired)
            .await
            .unwrap(),
        Some(identifier.clone())
    );
    let error = create(&provider, &BUDGET, &desired).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::AlreadyExists, "{error}");
    let changed = budget(250, 90);
    update(&provider, &BUDGET, &identifier, &changed, &desired).await;
    let live = provider.read(&BUDGET, &identifier).await.unwrap().unwrap();
    assert_eq!(differences(schema, &changed, &live), []);
    delete(&provider, &BUDGET, &identifier).await;
}

#[tokio::test]
async fn a_service_linked_role_that_is_there_is_found() {
    let embedded = Embedded::instant();
    let provider = embedded.provider().await;
    let desired = json!({"AWSServiceName": "spot.amazonaws.com"});
    let role = create(&provider, &SPOT, &desired).await.unwrap();
    let error = create(&provider, &SPOT, &desired).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::AlreadyExists, "{error}");
    let found = provider
        .find(
            &scope(),
            &address("shared/spot-service-linked-role"),
            &SPOT,
            &desired,
        )
        .await
        .unwrap();
    assert_eq!(found, Some(role));
}

#[tokio::test]
async fn a_certificate_that_waits_says_which_records_it_waits_for() {
    let embedded = Embedded::with(sandbox::TimeScale::Times(1.0), sandbox::Faults::default());
    let provider = embedded.provider().await;
    let desired = json!({"DomainName": "shop.example.com", "ValidationMethod": "DNS"});
    let mut progress = provider
        .begin_create(&CERTIFICATE, &Payload::new(desired), &token())
        .await
        .unwrap();
    for _ in 0..50 {
        if progress.note.is_some() {
            break;
        }
        assert_eq!(progress.status, Status::InProgress);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        progress = provider
            .poll(&CERTIFICATE, &progress.operation.unwrap())
            .await
            .unwrap();
    }
    let note = progress.note.unwrap();
    assert!(
        note.contains("CNAME") && note.contains(".shop.example.com."),
        "{note}"
    );
}

#[tokio::test]
async fn wrong_credentials_are_said_to_be_wrong() {
    let embedded = Embedded::instant();
    let session = embedded
        .session_as(
            &embedded.server.credentials().access_key_id,
            "not-the-secret-of-this-server-at-all",
        )
        .await;
    let error = CallerIdentity::fetch(&session).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Denied, "{error}");
    assert!(aws::classify::credentials_hint(&error.code).is_some());
    let provider = AwsProvider::new(session);
    let error = provider.owned(&scope()).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Denied, "{error}");
    assert!(!format!("{error:?}").contains("not-the-secret"));

    let right = embedded.provider().await;
    let identity = CallerIdentity::fetch(right.session()).await.unwrap();
    assert!(identity.arn.contains(identity.account.as_str()));
    assert!(right.deployer().await.unwrap().starts_with("arn:aws:iam::"));

    embedded.server.kill();
    let error = right
        .read(&VPC, &Identifier::new("vpc-1").unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable, "{error}");
}

#[tokio::test]
async fn errors_on_the_wire_have_the_class_that_the_engine_goes_by() {
    for (fault, class) in [
        (
            "ThrottlingException@1/CreateResource",
            ErrorClass::Throttled,
        ),
        (
            "ServiceInternalErrorException@1/CreateResource",
            ErrorClass::Retryable,
        ),
        (
            "ConcurrentOperationException@1/CreateResource",
            ErrorClass::Retryable,
        ),
        (
            "ServiceLimitExceeded@1/CreateResource",
            ErrorClass::Terminal,
        ),
    ] {
        let faults = sandbox::Faults {
            rules: vec![fault.parse().unwrap()],
            ..Default::default()
        };
        let embedded = Embedded::with(sandbox::TimeScale::Max, faults);
        let provider = embedded.provider().await;
        let desired = json!({"CidrBlock": "10.0.0.0/16"});
        let error = create(&provider, &VPC, &desired).await.unwrap_err();
        assert_eq!(error.class, class, "{fault}: {error}");
        create(&provider, &VPC, &desired).await.unwrap();
    }
}
