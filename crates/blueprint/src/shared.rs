//! What environments share: image repositories, the state bucket and its lock table, and Spot's service-linked role.
//! All of it is retained when the scope is destroyed, but for the role, which was never ours.

use graph::{Lifecycle, Value, value};
use serde_json::json;

use crate::draft::{Draft, Drawing, account};
use crate::{buckets, types};

/// The lock table's partition key, a string: what holds a lock. Terraform's S3 backend calls it so too.
pub const LOCK_KEY: &str = "LockID";

/// The state bucket's default name: `<platform>-seaworthy-state-<account>`.
fn state_bucket(drawing: &Drawing<'_>) -> Value {
    Value::join([
        format!("{}-seaworthy-state-", drawing.platform.platform).into(),
        account(),
    ])
}

pub(crate) fn draw(drawing: &mut Drawing<'_>) {
    let spec = drawing.spec();
    for repository in &spec.shared.repositories {
        draw_repository(drawing, repository);
    }
    // A name in the spec is that of a bucket, or a table, which somebody else looks after.
    if spec.state.bucket.is_none() {
        let name = state_bucket(drawing);
        buckets::draw(drawing, "shared/state-bucket", name, Vec::new(), |_| {
            Vec::new()
        });
    }
    if spec.state.lock_table.is_none() {
        // No deletion protection: nothing but locks is in it, it is retained by default, and protected it would stop a
        // destroy half-way once somebody says that it is not to be retained.
        drawing.add(
            Draft::new(
                "shared/lock-table",
                types::TABLE,
                value!({
                    "TableName": format!("{}-seaworthy-locks", drawing.platform.platform),
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [{ "AttributeName": LOCK_KEY, "AttributeType": "S" }],
                    "KeySchema": [{ "AttributeName": LOCK_KEY, "KeyType": "HASH" }],
                    "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true },
                }),
            )
            .retain(),
        );
    }
    drawing.add(
        Draft::new(
            "shared/spot-service-linked-role",
            types::SERVICE_LINKED_ROLE,
            value!({ "AWSServiceName": "spot.amazonaws.com" }),
        )
        .lifecycle(Lifecycle::Ensure),
    );
}

fn draw_repository(drawing: &mut Drawing<'_>, name: &str) {
    // Tagged images stay, whatever their age: production may run an old one. What a later push took the tag from, or a
    // build left behind, goes.
    let policy = json!({
        "rules": [{
            "rulePriority": 1,
            "description": "Images without a tag go after two weeks",
            "selection": { "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14 },
            "action": { "type": "expire" },
        }],
    });
    drawing.add(
        Draft::new(
            format!("shared/repository/{name}"),
            types::REPOSITORY,
            value!({
                "RepositoryName": format!("{}/{name}", drawing.platform.platform),
                "ImageTagMutability": "IMMUTABLE",
                "ImageScanningConfiguration": { "ScanOnPush": true },
                "LifecyclePolicy": { "LifecyclePolicyText": policy.to_string() },
            }),
        )
        .retain(),
    );
}
