//! How long AWS takes: typical times of each operation on each type, through Cloud Control, in modelled seconds.
//!
//! They order a deployment (the longest remaining path first), tell the user how much is left, and pace the embedded AWS. None of
//! them is a promise: EKS clusters take from 7 to 13 minutes.
//!
//! Where a figure is measured, the row says where; the rest are estimates ([`is_estimate`]). "Logs" are `terraform apply` and
//! `destroy` logs in public repositories, 2022 to 2026, the middle of what several of them show. Terraform calls the services
//! directly, and Cloud Control adds some 10 seconds to a short operation (carina pull request 1364, 2026-03-30: VPC
//! 16.1 s instead of 1.1 s, security group 26.5 s instead of 1.9 s, bucket 16.0 s instead of 2.0 s to create; 5.7 s, 10.8 s and 6.1 s to
//! delete), which is added here where only a log was to be had.

use serde_json::Value;

use crate::schema::Operation;
use crate::type_name::{Realm, TypeName};

/// Seconds to read one resource (carina, as above: 0.6 to 0.9 s).
const READ: f64 = 0.7;
/// Seconds to list a type's resources. An estimate.
const LIST: f64 = 1.0;

/// Seconds to upgrade a cluster by one Kubernetes version; other updates take what [`typical`] says. An estimate: users
/// report 8 to 12 minutes.
pub const EKS_VERSION_UPGRADE: f64 = 600.0;

struct Row {
    type_name: &'static str,
    create: f64,
    update: f64,
    delete: f64,
    estimate: bool,
}

/// Create or delete was measured; update is an estimate everywhere but where a comment says otherwise.
const fn measured(type_name: &'static str, create: f64, update: f64, delete: f64) -> Row {
    Row {
        type_name,
        create,
        update,
        delete,
        estimate: false,
    }
}

const fn estimated(type_name: &'static str, create: f64, update: f64, delete: f64) -> Row {
    Row {
        type_name,
        create,
        update,
        delete,
        estimate: true,
    }
}

/// Of a type that the table does not have.
const OTHER: Row = estimated("", 15.0, 10.0, 10.0);

const ROWS: [Row; 67] = [
    // A single instance; a cluster is in `of_resource`. aws-controllers-k8s/community pull request 703 (2021): "more than 5
    // minutes on average"; AWS's console says 10 to 15; Terraform waits 30. Update: a reboot of the node.
    estimated("AWS::AmazonMQ::Broker", 660.0, 420.0, 240.0),
    estimated("AWS::AmazonMQ::Configuration", 12.0, 10.0, 8.0),
    estimated("AWS::Backup::BackupPlan", 12.0, 10.0, 8.0),
    estimated("AWS::Backup::BackupSelection", 12.0, 0.0, 8.0),
    estimated("AWS::Backup::BackupVault", 12.0, 10.0, 8.0),
    estimated("AWS::Budgets::Budget", 3.0, 3.0, 2.0),
    // Once the validation record is there; before, it waits for the user. ACM user guide: usually within minutes.
    estimated("AWS::CertificateManager::Certificate", 120.0, 10.0, 8.0),
    estimated("AWS::CloudTrail::Trail", 15.0, 12.0, 8.0),
    estimated("AWS::CloudWatch::Alarm", 10.0, 8.0, 6.0),
    // Logs: 7 to 18 s, and 10 s for Cloud Control.
    measured("AWS::DynamoDB::Table", 20.0, 20.0, 15.0),
    // Logs: 1 to 6 s, and 10 s for Cloud Control; delete 1 to 9 s.
    measured("AWS::EC2::EIP", 14.0, 8.0, 10.0),
    estimated("AWS::EC2::FlowLog", 14.0, 8.0, 8.0),
    estimated("AWS::EC2::InternetGateway", 12.0, 8.0, 8.0),
    // Logs: 6 s with a default version.
    measured("AWS::EC2::LaunchTemplate", 12.0, 12.0, 8.0),
    // Logs: 85, 88, 94, 105, 107, 114, 124, 125 s to create; 37, 50, 52, 56, 60, 65, 72, 79, 80, 94 s to delete.
    measured("AWS::EC2::NatGateway", 105.0, 20.0, 62.0),
    // Logs: 1 s, and 10 s for Cloud Control.
    measured("AWS::EC2::Route", 11.0, 8.0, 8.0),
    estimated("AWS::EC2::RouteTable", 12.0, 8.0, 8.0),
    // carina, as above.
    measured("AWS::EC2::SecurityGroup", 26.5, 12.0, 10.8),
    estimated("AWS::EC2::SecurityGroupEgress", 10.0, 8.0, 8.0),
    estimated("AWS::EC2::SecurityGroupIngress", 10.0, 8.0, 8.0),
    // Logs: 1 s, and 10 to 11 s with a public address on launch.
    measured("AWS::EC2::Subnet", 12.0, 10.0, 8.0),
    measured("AWS::EC2::SubnetRouteTableAssociation", 11.0, 0.0, 8.0),
    // carina, as above.
    measured("AWS::EC2::VPC", 16.1, 10.0, 5.7),
    estimated("AWS::EC2::VPCCidrBlock", 15.0, 0.0, 12.0),
    // A gateway endpoint; an interface is in `of_resource`. Logs: 6 to 7 s, and some for Cloud Control.
    measured("AWS::EC2::VPCEndpoint", 13.0, 12.0, 12.0),
    estimated("AWS::EC2::VPCGatewayAttachment", 12.0, 8.0, 10.0),
    estimated("AWS::ECR::Repository", 10.0, 8.0, 8.0),
    // Logs: 1 s, and some for Cloud Control.
    measured("AWS::EKS::AccessEntry", 8.0, 6.0, 5.0),
    // Those that wait for pods; see `of_resource` for the others. Logs: coredns 14 to 56 s, metrics-server 45 s, EBS CSI 45 s;
    // delete 9 s.
    measured("AWS::EKS::Addon", 45.0, 45.0, 12.0),
    estimated("AWS::EKS::Capability", 180.0, 60.0, 120.0),
    // Logs: 447, 501, 513, 552, 583, 606, 608 s to create; 69, 84, 146, 150, 151, 204, 209, 228, 330, 372, 522 s to delete.
    // The update is one of the configuration ("several minutes", EKS user guide).
    measured("AWS::EKS::Cluster", 540.0, 300.0, 210.0),
    // Logs: 88, 89, 108, 108, 119, 129, 130, 179, 201 s to create; 252, 252, 379, 381, 501 s to delete.
    measured("AWS::EKS::Nodegroup", 135.0, 300.0, 300.0),
    estimated("AWS::EKS::PodIdentityAssociation", 8.0, 6.0, 5.0),
    estimated("AWS::ElastiCache::ParameterGroup", 12.0, 10.0, 8.0),
    // Two nodes or more; one is in `of_resource`. Logs: 358, 419, 547, 555 s to create. Delete is an estimate.
    measured("AWS::ElastiCache::ReplicationGroup", 550.0, 400.0, 300.0),
    estimated("AWS::ElastiCache::ServerlessCache", 120.0, 60.0, 90.0),
    estimated("AWS::ElastiCache::SubnetGroup", 12.0, 10.0, 8.0),
    estimated("AWS::ElasticLoadBalancingV2::Listener", 12.0, 10.0, 8.0),
    estimated(
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        165.0,
        20.0,
        20.0,
    ),
    // Delete: a log, 10 s.
    estimated("AWS::ElasticLoadBalancingV2::TargetGroup", 12.0, 10.0, 10.0),
    estimated("AWS::Events::Rule", 14.0, 12.0, 10.0),
    // CloudFormation waits 2 minutes for the profile to be known everywhere (AWS staff, quoted in hashicorp/terraform issue 15341).
    measured("AWS::IAM::InstanceProfile", 120.0, 15.0, 10.0),
    estimated("AWS::IAM::ManagedPolicy", 15.0, 15.0, 10.0),
    // Logs: 1 s, and 10 s for Cloud Control.
    measured("AWS::IAM::OIDCProvider", 11.0, 10.0, 8.0),
    // A CloudFormation event log, 20 s (unbounce/iidy issue 145); by the API 1 to 7 s.
    measured("AWS::IAM::Role", 18.0, 15.0, 10.0),
    estimated("AWS::IAM::RolePolicy", 12.0, 10.0, 8.0),
    estimated("AWS::IAM::ServiceLinkedRole", 15.0, 10.0, 15.0),
    estimated("AWS::KMS::Alias", 10.0, 8.0, 6.0),
    // Logs: 12 and 29 s. Deleting it only schedules the deletion.
    measured("AWS::KMS::Key", 20.0, 15.0, 8.0),
    estimated("AWS::Logs::LogGroup", 10.0, 8.0, 6.0),
    estimated("AWS::RDS::DBCluster", 240.0, 180.0, 180.0),
    estimated("AWS::Route53::HealthCheck", 10.0, 8.0, 6.0),
    estimated("AWS::Route53::HostedZone", 45.0, 15.0, 15.0),
    // ChangeResourceRecordSets until GetChange says INSYNC: "generally within 60 seconds" (Route 53 developer guide).
    estimated("AWS::Route53::RecordSet", 45.0, 45.0, 45.0),
    // carina, as above. Emptying it is not in the time to delete it.
    measured("AWS::S3::Bucket", 16.0, 15.0, 6.1),
    // A log: 16 s with a new bucket.
    measured("AWS::S3::BucketPolicy", 16.0, 12.0, 8.0),
    estimated("AWS::SNS::Subscription", 10.0, 8.0, 8.0),
    estimated("AWS::SNS::Topic", 12.0, 10.0, 8.0),
    estimated("AWS::SNS::TopicInlinePolicy", 10.0, 8.0, 8.0),
    // Logs: 25 and 26 s, waiting for the attributes; and some for Cloud Control.
    measured("AWS::SQS::Queue", 40.0, 40.0, 15.0),
    estimated("AWS::SQS::QueueInlinePolicy", 15.0, 12.0, 10.0),
    estimated("AWS::SQS::QueuePolicy", 15.0, 12.0, 10.0),
    estimated("AWS::SSM::Parameter", 8.0, 8.0, 6.0),
    estimated("AWS::SecretsManager::Secret", 10.0, 8.0, 8.0),
    estimated("AWS::WAFv2::LoggingConfiguration", 10.0, 8.0, 8.0),
    // A log: 2 s, and 10 s for Cloud Control.
    measured("AWS::WAFv2::WebACL", 12.0, 12.0, 10.0),
    estimated("AWS::WAFv2::WebACLAssociation", 20.0, 20.0, 12.0),
];

/// Of an object in a cluster that is there as soon as it is written. An estimate.
const OBJECT: Row = estimated("", 1.0, 1.0, 2.0);
/// Of an object in a cluster that is ready when its pods are: images are pulled, probes answer. An estimate.
const WORKLOAD: Row = estimated("", 40.0, 40.0, 35.0);
/// Of a release, which is ready when its workloads are. An estimate.
const RELEASE: Row = estimated("", 60.0, 60.0, 30.0);
/// The kinds that have pods, or are emptied before they go.
const WORKLOADS: [&str; 6] = [
    "DaemonSet",
    "Deployment",
    "Job",
    "Namespace",
    "Pod",
    "StatefulSet",
];

fn row(type_name: &TypeName) -> &'static Row {
    match type_name.realm() {
        Realm::Helm => return &RELEASE,
        Realm::Kubernetes if WORKLOADS.contains(&type_name.resource()) => return &WORKLOAD,
        Realm::Kubernetes => return &OBJECT,
        Realm::Aws => {}
    }
    ROWS.iter()
        .find(|row| *type_name == row.type_name)
        .unwrap_or(&OTHER)
}

/// Typical modelled seconds of an operation on a resource of the type. 0 for an update that the type does not have.
#[must_use]
pub fn typical(type_name: &TypeName, operation: Operation) -> f64 {
    let row = row(type_name);
    match operation {
        Operation::Create => row.create,
        Operation::Update => row.update,
        Operation::Delete => row.delete,
        Operation::Read => READ,
        Operation::List => LIST,
    }
}

/// Typical modelled seconds of an operation on a resource with these desired properties, where they make a difference:
/// the size of a broker or cache, the kind of an endpoint, whether an add-on waits for pods.
#[must_use]
pub fn of_resource(type_name: &TypeName, operation: Operation, properties: &Value) -> f64 {
    let usual = typical(type_name, operation);
    let text = |name: &str| {
        properties
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match (type_name.as_str(), operation) {
        // Three nodes after each other. An estimate.
        ("AWS::AmazonMQ::Broker", Operation::Create | Operation::Update)
            if text("DeploymentMode").eq_ignore_ascii_case("CLUSTER_MULTI_AZ") =>
        {
            usual + 240.0
        }
        // No replica to fill. An estimate.
        ("AWS::ElastiCache::ReplicationGroup", Operation::Create)
            if properties.get("NumCacheClusters").and_then(Value::as_u64) == Some(1) =>
        {
            360.0
        }
        // A network interface in each subnet. An estimate; Terraform users see 1 to 3 minutes.
        ("AWS::EC2::VPCEndpoint", Operation::Create | Operation::Delete)
            if text("VpcEndpointType").eq_ignore_ascii_case("Interface") =>
        {
            90.0
        }
        // Nothing to wait for. Logs: vpc-cni 24 to 35 s, kube-proxy 4 to 25 s, pod identity agent 24 s.
        ("AWS::EKS::Addon", Operation::Create | Operation::Update)
            if crate::addons::addon(text("AddonName")).is_some_and(|addon| !addon.needs_nodes) =>
        {
            30.0
        }
        _ => usual,
    }
}

/// Whether the times of the type are estimates, not measurements.
#[must_use]
pub fn is_estimate(type_name: &TypeName) -> bool {
    row(type_name).estimate
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_type_has_times_and_every_row_a_type() {
        assert!(ROWS.is_sorted_by_key(|row| row.type_name));
        let rows: Vec<&str> = ROWS.iter().map(|row| row.type_name).collect();
        let types: Vec<String> = crate::type_names().map(|name| name.to_string()).collect();
        assert_eq!(rows, types);
        for schema in crate::schemas() {
            for operation in Operation::ALL {
                let seconds = typical(schema.type_name(), operation);
                let timeout = schema
                    .operation(operation)
                    .map_or(120, |handler| handler.timeout_minutes);
                let has = operation != Operation::Update || schema.operation(operation).is_some();
                assert_eq!(seconds > 0.0, has, "{schema:?} {operation}");
                assert!(
                    seconds < f64::from(timeout) * 60.0,
                    "{schema:?} {operation}"
                );
            }
        }
    }

    #[test]
    fn properties_that_make_a_difference() {
        let broker = TypeName::new("AWS::AmazonMQ::Broker");
        let mode =
            |mode: &str| of_resource(&broker, Operation::Create, &json!({"DeploymentMode": mode}));
        assert!((mode("CLUSTER_MULTI_AZ") - mode("SINGLE_INSTANCE") - 240.0).abs() < f64::EPSILON);
        let addon = |name: &str| {
            of_resource(
                &TypeName::new("AWS::EKS::Addon"),
                Operation::Create,
                &json!({"AddonName": name}),
            )
        };
        assert!(addon("vpc-cni") < addon("coredns"));
        let unheard = TypeName::new("AWS::EC2::Unheard");
        assert!(is_estimate(&unheard) && typical(&unheard, Operation::Create) > 0.0);
    }
}
