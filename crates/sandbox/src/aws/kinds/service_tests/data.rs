//! What stores data: buckets, tables, repositories, backups.

use serde_json::{Value, json};

use super::{Code, Place, assert_refused};

const BUCKET: &str = "AWS::S3::Bucket";
const BUCKET_POLICY: &str = "AWS::S3::BucketPolicy";

fn bucket_policy(statement: Value) -> Value {
    json!({"Bucket": "shop-logs", "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}})
}

#[test]
fn a_bucket_has_todays_defaults_and_a_name_of_its_own() {
    let mut place = Place::new();
    let bucket = place.made(BUCKET, json!({"BucketName": "shop-logs"}));
    assert_eq!(bucket.model["Arn"], "arn:aws:s3:::shop-logs");
    assert_eq!(
        bucket.model["RegionalDomainName"],
        "shop-logs.s3.eu-central-1.amazonaws.com"
    );
    assert_eq!(
        bucket.model["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"],
        true
    );
    let part = json!({"BucketName": "shop-site", "PublicAccessBlockConfiguration": {"BlockPublicAcls": true}});
    let part = place.made(BUCKET, part);
    assert_eq!(
        part.model["PublicAccessBlockConfiguration"]["BlockPublicPolicy"],
        false
    );
    let rules = |rules: Value| json!({"BucketName": "shop-data", "LifecycleConfiguration": {"Rules": rules}});
    place.refuses(
        BUCKET,
        &[
            (json!({"BucketName": "shop-logs"}), Code::AlreadyExists, "you already own it"),
            (json!({"BucketName": "192.168.0.1"}), Code::InvalidRequest, "192.168.0.1"),
            (rules(json!([{"Status": "Enabled"}])), Code::InvalidRequest, "At least one action"),
            (
                rules(json!([{"Id": "a", "Status": "Enabled", "ExpirationInDays": 1}, {"Id": "a", "Status": "Enabled", "ExpirationInDays": 1}])),
                Code::InvalidRequest,
                "Rule ID must be unique",
            ),
            (
                json!({"BucketName": "shop-data", "LoggingConfiguration": {"DestinationBucketName": "elsewhere"}}),
                Code::InvalidRequest,
                "target bucket for logging",
            ),
        ],
    );
    place.settings.quotas.insert("L-DC2B2D3D".to_owned(), 2.0);
    place.refuses(
        BUCKET,
        &[(
            json!({}),
            Code::ServiceLimitExceeded,
            "more buckets than allowed",
        )],
    );
}

#[test]
fn a_bucket_policy_is_for_its_bucket_and_goes_with_it() {
    let mut place = Place::new();
    let statement = |effect: &str, resource: &str| json!({"Effect": effect, "Principal": "*", "Action": "s3:GetObject", "Resource": resource});
    let denies = bucket_policy(statement("Deny", "arn:aws:s3:::shop-logs/*"));
    place.refuses(
        BUCKET_POLICY,
        &[(
            denies.clone(),
            Code::NotFound,
            "The specified bucket does not exist",
        )],
    );
    place.made(BUCKET, json!({"BucketName": "shop-logs"}));
    place.refuses(
        BUCKET_POLICY,
        &[
            (
                bucket_policy(statement("Deny", "arn:aws:s3:::shop-logs-other/*")),
                Code::InvalidRequest,
                "invalid resource",
            ),
            (
                bucket_policy(statement("Allow", "arn:aws:s3:::shop-logs/*")),
                Code::AccessDenied,
                "BlockPublicPolicy",
            ),
            (
                bucket_policy(json!({"Effect": "Allow"})),
                Code::InvalidRequest,
                "actions",
            ),
        ],
    );
    place.made(BUCKET_POLICY, denies.clone());
    place.refuses(
        BUCKET_POLICY,
        &[(
            denies,
            Code::AlreadyExists,
            "already exists on bucket shop-logs",
        )],
    );
    place.put(
        "AWS::CloudTrail::Trail",
        "audit",
        json!({"S3BucketName": "shop-logs"}),
    );
    assert_refused(
        place.delete(BUCKET, "shop-logs"),
        Code::GeneralServiceException,
        "The bucket you tried to delete is not empty",
    );
    place.world.remove("AWS::CloudTrail::Trail", "audit");
    place.delete(BUCKET, "shop-logs").expect("nothing is in it");
    assert!(place.world.get(BUCKET_POLICY, "shop-logs").is_none());
}

const TABLE: &str = "AWS::DynamoDB::Table";

#[test]
fn a_table_is_of_a_piece_and_protected_on_request() {
    let mut place = Place::new();
    let table = |more: Value| {
        let mut table = json!({
            "TableName": "locks", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        });
        for (key, value) in more.as_object().expect("an object") {
            table[key] = value.clone();
        }
        table
    };
    place.refuses(
        TABLE,
        &[
            (table(json!({"AttributeDefinitions": []})), Code::InvalidRequest, "not defined in AttributeDefinitions"),
            (table(json!({"BillingMode": "PROVISIONED"})), Code::InvalidRequest, "must both be specified"),
            (
                table(json!({"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}})),
                Code::InvalidRequest,
                "PAY_PER_REQUEST",
            ),
            (table(json!({"KeySchema": [{"AttributeName": "id", "KeyType": "RANGE"}]})), Code::InvalidRequest, "not a HASH key"),
        ],
    );
    let made = place.made(TABLE, table(json!({"DeletionProtectionEnabled": true})));
    assert_eq!(
        made.model["Arn"],
        "arn:aws:dynamodb:eu-central-1:123456789012:table/locks"
    );
    assert!(made.model.get("StreamArn").is_none());
    place.refuses(
        TABLE,
        &[(
            table(json!({})),
            Code::AlreadyExists,
            "Table already exists: locks",
        )],
    );
    assert_refused(
        place.delete(TABLE, "locks"),
        Code::InvalidRequest,
        "protected against deletion",
    );
    let changes = json!({"DeletionProtectionEnabled": false, "StreamSpecification": {"StreamViewType": "NEW_IMAGE"}});
    let updated = place
        .update(TABLE, "locks", &changes)
        .expect("both can be changed");
    let stream = updated.model["StreamArn"].as_str().unwrap_or_default();
    assert!(
        stream.starts_with("arn:aws:dynamodb:eu-central-1:123456789012:table/locks/stream/20"),
        "{stream}"
    );
    let key = json!({"KeySchema": [{"AttributeName": "other", "KeyType": "HASH"}]});
    assert_refused(
        place.update(TABLE, "locks", &key),
        Code::NotUpdatable,
        "KeySchema",
    );
    place
        .delete(TABLE, "locks")
        .expect("it is protected no more");
}

const REPOSITORY: &str = "AWS::ECR::Repository";

#[test]
fn a_repository_keeps_its_images_unless_told_otherwise() {
    let mut place = Place::new();
    let lifecycle = |selection: Value| {
        let policy = json!({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]});
        json!({"RepositoryName": "shop/api", "LifecyclePolicy": {"LifecyclePolicyText": policy.to_string()}})
    };
    place.refuses(
        REPOSITORY,
        &[
            (json!({"RepositoryName": "Shop"}), Code::InvalidRequest, "Shop"),
            (lifecycle(json!({"tagStatus": "tagged", "countType": "imageCountMoreThan", "countNumber": 3})), Code::InvalidRequest, "tagPrefixList"),
            (lifecycle(json!({"tagStatus": "any", "countType": "sinceImagePushed", "countNumber": 3})), Code::InvalidRequest, "countUnit"),
        ],
    );
    let good = lifecycle(
        json!({"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}),
    );
    let made = place.made(REPOSITORY, good.clone());
    assert_eq!(
        made.model["RepositoryUri"],
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop/api"
    );
    place.refuses(
        REPOSITORY,
        &[(
            good,
            Code::AlreadyExists,
            "'shop/api' already exists in the registry",
        )],
    );
    place
        .update(REPOSITORY, "shop/api", &json!({"__Images": 2}))
        .expect("anything may change");
    assert_refused(
        place.delete(REPOSITORY, "shop/api"),
        Code::GeneralServiceException,
        "still contains images",
    );
    place
        .update(REPOSITORY, "shop/api", &json!({"EmptyOnDelete": true}))
        .expect("anything may change");
    place.delete(REPOSITORY, "shop/api").expect("it is emptied");
}

const VAULT: &str = "AWS::Backup::BackupVault";
const PLAN: &str = "AWS::Backup::BackupPlan";
const SELECTION: &str = "AWS::Backup::BackupSelection";

fn plan(rule: &Value) -> Value {
    let mut whole = json!({"RuleName": "daily", "TargetBackupVault": "shop", "ScheduleExpression": "cron(0 3 * * ? *)"});
    for (key, value) in rule.as_object().expect("a rule is an object") {
        whole[key] = value.clone();
    }
    json!({"BackupPlan": {"BackupPlanName": "shop", "BackupPlanRule": [whole]}})
}

#[test]
fn a_backup_plan_has_a_vault_a_schedule_and_a_consistent_lifecycle() {
    let mut place = Place::new();
    place.refuses(
        PLAN,
        &[(
            plan(&json!({})),
            Code::InvalidRequest,
            "Backup vault shop does not exist",
        )],
    );
    let vault = place.made(VAULT, json!({"BackupVaultName": "shop"}));
    assert_eq!(
        vault.model["BackupVaultArn"],
        "arn:aws:backup:eu-central-1:123456789012:backup-vault:shop"
    );
    let wrong = [
        (
            json!({"ScheduleExpression": "rate(1 day)"}),
            "Invalid schedule expression",
        ),
        (
            json!({"ScheduleExpression": "cron(0 3 * * * *)"}),
            "Invalid schedule expression",
        ),
        (
            json!({"ScheduleExpression": "cron(0 24 * * ? *)"}),
            "Invalid schedule expression",
        ),
        (
            json!({"Lifecycle": {"DeleteAfterDays": 100, "MoveToColdStorageAfterDays": 30}}),
            "90 days apart",
        ),
        (json!({"StartWindowMinutes": 30}), "StartWindowMinutes"),
        (
            json!({"StartWindowMinutes": 120, "CompletionWindowMinutes": 130}),
            "CompletionWindowMinutes",
        ),
        (
            json!({"EnableContinuousBackup": true, "Lifecycle": {"DeleteAfterDays": 90}}),
            "EnableContinuousBackup",
        ),
    ];
    let cases: Vec<_> = wrong
        .iter()
        .map(|(rule, words)| (plan(rule), Code::InvalidRequest, *words))
        .collect();
    place.refuses(PLAN, &cases);
    let every_twelve_hours = plan(&json!({"ScheduleExpression": "cron(0 0/12 ? * MON-FRI *)"}));
    let made = place.made(PLAN, every_twelve_hours.clone());
    assert_eq!(made.identifier.len(), 36);
    place.refuses(
        PLAN,
        &[(
            every_twelve_hours,
            Code::AlreadyExists,
            "same plan document",
        )],
    );
    let before = made.model["VersionId"].clone();
    let changed = place
        .update(PLAN, &made.identifier, &plan(&json!({})))
        .expect("it is sound");
    assert_ne!(changed.model["VersionId"], before);
    place
        .update(VAULT, "shop", &json!({"__RecoveryPoints": 3}))
        .expect("it is sound");
    assert_refused(
        place.delete(VAULT, "shop"),
        Code::InvalidRequest,
        "contains recovery points",
    );
}

#[test]
fn a_backup_selection_needs_a_role_that_is_known_and_holds_its_plan() {
    let mut place = Place::new();
    place.made(VAULT, json!({"BackupVaultName": "shop"}));
    let plan = place.made(PLAN, plan(&json!({}))).identifier;
    let arn = "arn:aws:iam::123456789012:role/backup";
    let role = |service: &str| {
        let trust = json!({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"});
        json!({"Arn": arn, "RoleName": "backup", "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}})
    };
    let tags = json!([{"ConditionType": "STRINGEQUALS", "ConditionKey": "backup", "ConditionValue": "yes"}]);
    let selection = json!({
        "BackupPlanId": plan, "BackupSelection": {"SelectionName": "volumes", "IamRoleArn": arn, "ListOfTags": tags},
    });
    let refused = [(
        selection.clone(),
        Code::InvalidRequest,
        "cannot be assumed by AWS Backup",
    )];
    place.refuses(SELECTION, &refused);
    place.put("AWS::IAM::Role", "backup", role("ec2.amazonaws.com"));
    place.refuses(SELECTION, &refused);
    // Made so late that AWS Backup does not know it yet.
    place.now += 96.0;
    place.put("AWS::IAM::Role", "backup", role("backup.amazonaws.com"));
    place.now -= 96.0;
    place.refuses(SELECTION, &refused);
    let made = place.made(SELECTION, selection);
    assert!(made.identifier.ends_with(&plan), "{}", made.identifier);
    assert_refused(
        place.delete(PLAN, &plan),
        Code::InvalidRequest,
        "selections must be deleted prior",
    );
    let unknown = json!({"BackupPlanId": "none", "BackupSelection": {"SelectionName": "volumes", "IamRoleArn": arn}});
    place.refuses(
        SELECTION,
        &[(unknown, Code::NotFound, "Cannot find Backup plan")],
    );
}
