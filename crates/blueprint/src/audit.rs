//! CloudTrail: who did what in the account, in a bucket that outlives the environment.

use graph::{Value, value};

use crate::draft::{Draft, Drawing, account};
use crate::policy::Statement;
use crate::{buckets, types};

pub(crate) fn draw(drawing: &mut Drawing<'_>) {
    let audit = &drawing.spec().audit;
    if !audit.cloud_trail {
        return;
    }
    let trail_name = drawing.name("audit");
    let trail = drawing.regional_arn("cloudtrail", format!("trail/{trail_name}"));
    let expiry = value!({
        "Id": "expiry",
        "Status": "Enabled",
        "ExpirationInDays": audit.retention_days,
        "NoncurrentVersionExpiration": { "NoncurrentDays": 30 },
    });
    let name = drawing.global_name("audit");
    // https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
    let (bucket, policy) = buckets::draw(drawing, "audit/bucket", name, vec![expiry], |bucket| {
        let files = Value::join([bucket.arn(), "/AWSLogs/".into(), account(), "/*".into()]);
        vec![
            Statement::allow("CloudTrailLooks", &["s3:GetBucketAcl"])
                .by_service("cloudtrail.amazonaws.com")
                .on([bucket.arn()])
                .when("StringEquals", "aws:SourceArn", trail.clone()),
            Statement::allow("CloudTrailWrites", &["s3:PutObject"])
                .by_service("cloudtrail.amazonaws.com")
                .on([files])
                .when("StringEquals", "aws:SourceArn", trail)
                .when("StringEquals", "s3:x-amz-acl", "bucket-owner-full-control"),
        ]
    });
    drawing.add(
        Draft::new(
            "audit/trail",
            types::TRAIL,
            value!({
                "TrailName": trail_name,
                "S3BucketName": bucket.get("BucketName"),
                "IsLogging": true,
                // IAM and other services without a region are recorded in one region only; a trail of one region may
                // not be in it.
                "IsMultiRegionTrail": true,
                "IncludeGlobalServiceEvents": true,
                "EnableLogFileValidation": true,
            }),
        )
        .after([&policy]),
    );
}
