//! What becomes of a resource when its stack is deleted, or when it is replaced.

use catalog::TypeName;
use graph::Lifecycle;

/// A resource's `DeletionPolicy` and `UpdateReplacePolicy`; none where CloudFormation's default, to delete, says all.
pub(crate) struct Policies {
    pub(crate) deletion: &'static str,
    pub(crate) replacement: &'static str,
}

/// Kept when its stack is deleted, and not when the stack was never made
/// (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html).
const RETAIN: &str = "RetainExceptOnCreate";

/// Types whose resources hold what cannot be made again, beside those that can be saved in a snapshot.
const DATA: [&str; 9] = [
    "AWS::AmazonMQ::Broker",
    "AWS::Backup::BackupVault",
    "AWS::DynamoDB::Table",
    "AWS::ECR::Repository",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::Route53::HostedZone",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
];

/// The policies of a resource.
///
/// What the graph retains, and what it makes without owning it, is retained. Of data that the graph manages the deletion
/// is somebody's decision, and means what `seaworthy destroy` means; a replacement is the side effect of an edit, and
/// loses nothing. What a failed deploy has only just made goes with its rollback: kept, it would stand in the way of the
/// next attempt by its name.
pub(crate) fn policies(type_name: &TypeName, lifecycle: &Lifecycle) -> Option<Policies> {
    let (deletion, replacement) = match (lifecycle, type_name.as_str()) {
        (Lifecycle::Retain | Lifecycle::Ensure, _) => (RETAIN, "Retain"),
        // https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html names the types
        // that take `Snapshot`.
        (_, "AWS::ElastiCache::ReplicationGroup") => ("Snapshot", "Snapshot"),
        (_, data) if DATA.contains(&data) => ("Delete", "Retain"),
        // Nobody misses the events of yesterday; said so that nobody has to wonder.
        (_, "AWS::SQS::Queue") => ("Delete", "Delete"),
        _ => return None,
    };
    Some(Policies {
        deletion,
        replacement,
    })
}
