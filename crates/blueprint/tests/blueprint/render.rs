//! Payloads as AWS would get them: references replaced by what AWS might answer.

use catalog::ids::Address;

use graph::{
    Attribute, Graph, Lookup, Parameter, Reference, Resource, SecretReference, Value, resolve,
};
use serde_json::{Value as Json, json};

pub(crate) const ACCOUNT: &str = "111122223333";

/// The issuer of the cluster's tokens.
pub(crate) const ISSUER: &str =
    "oidc.eks.eu-central-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF";

struct World<'a>(&'a Graph);

impl Lookup for World<'_> {
    fn attribute(&self, reference: &Reference) -> Option<Json> {
        let target = self.0.get(&reference.to)?;
        let property = match &reference.attribute {
            Attribute::Property(path) => path.property()?,
            // A cluster's identifier is its name.
            Attribute::Identifier if target.type_name.resource() == "Cluster" => "Name",
            Attribute::Identifier => panic!("{reference} should name a property"),
        };
        if let Some(value) = target.properties.get(property) {
            return Some(resolve(value, self));
        }
        let name = reference.to.as_str().replace('/', "-");
        let id = id(reference.to.as_str());
        let partition = catalog::regions::partition(self.0.scope().region.as_str());
        let region = self.0.scope().region.as_str();
        let role_name = target
            .properties
            .get("RoleName")
            .map(|value| resolve(value, self));
        let answer = match (target.type_name.resource(), property) {
            ("VPC", "VpcId") => format!("vpc-{id}"),
            ("Subnet", "SubnetId") => format!("subnet-{id}"),
            ("SecurityGroup", "GroupId") => format!("sg-{id}"),
            ("Role", "Arn") => format!(
                "arn:{partition}:iam::{ACCOUNT}:role/{}",
                role_name.unwrap().as_str().unwrap()
            ),
            ("Key", "Arn") => format!(
                "arn:{partition}:kms:{region}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"
            ),
            ("Key", "KeyId") => "01234567-89ab-cdef-0123-456789abcdef".to_owned(),
            ("Cluster", "OpenIdConnectIssuerUrl") => format!("https://{ISSUER}"),
            ("Cluster", "Arn") => {
                format!("arn:{partition}:eks:{region}:{ACCOUNT}:cluster/shop-prod")
            }
            ("Cluster", "ClusterSecurityGroupId") => format!("sg-{id}"),
            ("Queue", "QueueUrl") => format!("https://sqs.{region}.amazonaws.com/{ACCOUNT}/{name}"),
            ("Queue", "Arn") => format!("arn:{partition}:sqs:{region}:{ACCOUNT}:{name}"),
            ("Bucket", "Arn") => format!("arn:{partition}:s3:::{name}"),
            ("LogGroup", "Arn") => {
                format!("arn:{partition}:logs:{region}:{ACCOUNT}:log-group:/{name}")
            }
            ("OIDCProvider", "Arn") => {
                format!("arn:{partition}:iam::{ACCOUNT}:oidc-provider/{ISSUER}")
            }
            ("RouteTable", "RouteTableId") => format!("rtb-{id}"),
            ("InternetGateway", "InternetGatewayId") => format!("igw-{id}"),
            ("NatGateway", "NatGatewayId") => format!("nat-{id}"),
            ("EIP", "AllocationId") => format!("eipalloc-{id}"),
            ("LaunchTemplate", "LaunchTemplateId") => format!("lt-{id}"),
            ("LaunchTemplate", "LatestVersionNumber") => "1".to_owned(),
            ("HostedZone", "Id") => "Z0123456789ABCDEFGHIJ".to_owned(),
            ("BackupPlan", "BackupPlanId") => "01234567-89ab-cdef-0123-456789abcdef".to_owned(),
            (resource, property) => panic!("no answer for {resource}.{property}"),
        };
        Some(answer.into())
    }

    fn parameter(&self, parameter: Parameter) -> Option<String> {
        Some(match parameter {
            Parameter::AccountId => ACCOUNT.to_owned(),
            Parameter::Deployer => format!("arn:aws:iam::{ACCOUNT}:role/deployer"),
        })
    }

    fn is_new_secret(&self, _: &SecretReference) -> bool {
        false
    }
}

/// Seventeen hexadecimal digits, others for another address (FNV-1a).
fn id(address: &str) -> String {
    let hash = address
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:017x}")
}

/// A resource's payload.
pub(crate) fn payload(graph: &Graph, resource: &Resource) -> Json {
    let properties = Value::Object(resource.properties.clone());
    let mut document = resolve(&properties, &World(graph));
    put_secrets(&mut document);
    document
}

/// What a generated secret might be.
fn put_secrets(document: &mut Json) {
    if graph::as_secret(document).is_some() {
        *document = json!("0123456789abcdefABCDEF0123456789");
        return;
    }
    match document {
        Json::Object(object) => object.values_mut().for_each(put_secrets),
        Json::Array(items) => items.iter_mut().for_each(put_secrets),
        _ => {}
    }
}

pub(crate) fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

/// The graph of the platform's environment; its errors fail the test.
pub(crate) fn environment(name: &str, platform: &spec::Platform) -> Graph {
    blueprint::environment(platform).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"))
}
