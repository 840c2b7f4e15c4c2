//! The documents of the throwaway set.

use catalog::TypeName;
use catalog::ids::{Address, Identifier};
use catalog::regions;
use graph::Scope;
use serde_json::{Value, json};

use crate::tags;

const VPC: TypeName = TypeName::new("AWS::EC2::VPC");
const SUBNET: TypeName = TypeName::new("AWS::EC2::Subnet");
const ROLE: TypeName = TypeName::new("AWS::IAM::Role");
const QUEUE: TypeName = TypeName::new("AWS::SQS::Queue");
const QUEUE_POLICY: TypeName = TypeName::new("AWS::SQS::QueueInlinePolicy");
const SECRET: TypeName = TypeName::new("AWS::SecretsManager::Secret");

/// The VPC's addresses, and others that no VPC is made with.
const CIDR: &str = "10.255.240.0/24";
pub(super) const OTHER_CIDR: &str = "10.255.241.0/24";

/// The address of one of the set.
pub(super) fn address(name: &str) -> Address {
    Address::new(format!("verify/{name}")).unwrap_or_else(|_| unreachable!("an address"))
}

/// What is made, with names and tags of one run.
pub(super) struct Throwaway<'a> {
    scope: &'a Scope,
    account: &'a str,
    name: String,
}

impl<'a> Throwaway<'a> {
    pub(super) fn new(scope: &'a Scope, account: &'a str) -> Self {
        Self {
            scope,
            account,
            name: scope.name(),
        }
    }

    fn owned(&self, type_name: TypeName, name: &str, mut document: Value) -> (TypeName, Value) {
        if let Some(schema) = catalog::schema(&type_name) {
            schema
                .tagging()
                .write(&mut document, &tags::owner(self.scope, &address(name)));
        }
        (type_name, document)
    }

    pub(super) fn vpc(&self, host_names: bool) -> (TypeName, Value) {
        let document =
            json!({"CidrBlock": CIDR, "EnableDnsSupport": true, "EnableDnsHostnames": host_names});
        self.owned(VPC, "vpc", document)
    }

    pub(super) fn subnet(&self, vpc: &Identifier) -> (TypeName, Value) {
        self.owned(
            SUBNET,
            "subnet",
            json!({"VpcId": vpc, "CidrBlock": "10.255.240.0/26"}),
        )
    }

    /// A role that nothing can use: its trust is in the account itself, and it is allowed nothing.
    pub(super) fn role(&self) -> (TypeName, Value) {
        let partition = regions::partition(self.scope.region.as_str());
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"AWS": format!("arn:{partition}:iam::{}:root", self.account)},
                "Action": "sts:AssumeRole",
            }],
        });
        self.owned(
            ROLE,
            "role",
            json!({"RoleName": format!("{}-role", self.name), "AssumeRolePolicyDocument": trust}),
        )
    }

    pub(super) fn queue(&self) -> (TypeName, Value) {
        self.owned(
            QUEUE,
            "queue",
            json!({"QueueName": format!("{}-queue", self.name), "MessageRetentionPeriod": 300}),
        )
    }

    pub(super) fn queue_policy(&self, queue: &Identifier, arn: &str) -> (TypeName, Value) {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "Events",
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }],
        });
        (
            QUEUE_POLICY,
            json!({"Queue": queue, "PolicyDocument": policy}),
        )
    }

    pub(super) fn secret(&self, description: &str) -> (TypeName, Value) {
        self.owned(
            SECRET,
            "secret",
            json!({
                "Name": format!("{}/secret", self.name),
                "Description": description,
                "GenerateSecretString": {"PasswordLength": 24, "ExcludePunctuation": true},
            }),
        )
    }
}
