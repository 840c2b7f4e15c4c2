//! S3 buckets: private, encrypted, versioned, by TLS only. Every bucket here outlives what uses it: what is in it is data.

use graph::{Value, value};

use crate::draft::{Draft, Drawing, Made};
use crate::policy::{self, Statement};
use crate::types;

/// A bucket at `address` with its policy beside it: `statements`, and nothing without TLS. `rules` are lifecycle rules
/// beyond the one that cleans up uploads nobody finished.
pub(crate) fn draw(
    drawing: &mut Drawing<'_>,
    address: &str,
    name: Value,
    rules: Vec<Value>,
    statements: impl FnOnce(&Made) -> Vec<Statement>,
) -> (Made, Made) {
    let mut lifecycle = vec![value!({
        "Id": "abandoned-uploads",
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 7 },
    })];
    lifecycle.extend(rules);
    let bucket = drawing.add(
        Draft::new(
            address,
            types::BUCKET,
            value!({
                "BucketName": name,
                "BucketEncryption": {
                    "ServerSideEncryptionConfiguration": [{
                        "ServerSideEncryptionByDefault": { "SSEAlgorithm": "AES256" },
                    }],
                },
                "VersioningConfiguration": { "Status": "Enabled" },
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": true,
                    "BlockPublicPolicy": true,
                    "IgnorePublicAcls": true,
                    "RestrictPublicBuckets": true,
                },
                "OwnershipControls": { "Rules": [{ "ObjectOwnership": "BucketOwnerEnforced" }] },
                "LifecycleConfiguration": { "Rules": lifecycle },
            }),
        )
        .retain(),
    );
    let mut statements = statements(&bucket);
    statements.push(
        Statement::deny_everybody("NothingWithoutTls", &["s3:*"])
            .on([bucket.arn(), Value::join([bucket.arn(), "/*".into()])])
            .when("Bool", "aws:SecureTransport", "false"),
    );
    let policy = drawing.add(
        Draft::new(
            format!("{address}-policy"),
            types::BUCKET_POLICY,
            value!({ "Bucket": bucket.get("BucketName"), "PolicyDocument": policy::document(statements) }),
        )
        .retain(),
    );
    (bucket, policy)
}
