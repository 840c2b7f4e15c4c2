//! Resource Groups Tagging API: which resources carry which tags.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::account::{Account, Session};
use super::super::kinds::ec2_instances::INSTANCE;
use super::super::wire::{Input, ServiceError};
use super::super::world::{Entry, Phase, World};
use super::{ec2_instances, page, required_text};

pub(crate) const OPERATIONS: &[&str] = &["GetResources", "GetTagKeys", "GetTagValues"];

const INVALID: &str = "InvalidParameterException";

/// Types whose resources the API does not return although they take tags: IAM's roles (user guide of the API, "Services that
/// support the Resource Groups Tagging API", names other resources of IAM but neither roles nor users).
const NOT_RETURNED: [&str; 1] = ["AWS::IAM::Role"];

/// The ARN's part before the identifier, for the types that have no ARN among their properties: service, whether the ARN
/// names the region and the account, and the resource's kind with its separator (Service Authorization Reference, "Resource
/// types defined by …").
const ARN_FORMS: [(&str, &str, bool, bool, &str); 19] = [
    ("AWS::EC2::Instance", "ec2", true, true, "instance/"),
    ("AWS::EC2::Volume", "ec2", true, true, "volume/"),
    ("AWS::EC2::VPC", "ec2", true, true, "vpc/"),
    ("AWS::EC2::Subnet", "ec2", true, true, "subnet/"),
    ("AWS::EC2::RouteTable", "ec2", true, true, "route-table/"),
    (
        "AWS::EC2::InternetGateway",
        "ec2",
        true,
        true,
        "internet-gateway/",
    ),
    ("AWS::EC2::NatGateway", "ec2", true, true, "natgateway/"),
    ("AWS::EC2::EIP", "ec2", true, true, "elastic-ip/"),
    (
        "AWS::EC2::SecurityGroup",
        "ec2",
        true,
        true,
        "security-group/",
    ),
    ("AWS::EC2::VPCEndpoint", "ec2", true, true, "vpc-endpoint/"),
    ("AWS::EC2::FlowLog", "ec2", true, true, "vpc-flow-log/"),
    (
        "AWS::EC2::LaunchTemplate",
        "ec2",
        true,
        true,
        "launch-template/",
    ),
    (
        "AWS::ElastiCache::ReplicationGroup",
        "elasticache",
        true,
        true,
        "replicationgroup:",
    ),
    (
        "AWS::ElastiCache::SubnetGroup",
        "elasticache",
        true,
        true,
        "subnetgroup:",
    ),
    (
        "AWS::ElastiCache::ParameterGroup",
        "elasticache",
        true,
        true,
        "parametergroup:",
    ),
    (
        "AWS::Route53::HostedZone",
        "route53",
        false,
        false,
        "hostedzone/",
    ),
    (
        "AWS::Route53::HealthCheck",
        "route53",
        false,
        false,
        "healthcheck/",
    ),
    ("AWS::Budgets::Budget", "budgets", false, true, "budget/"),
    ("AWS::S3::Bucket", "s3", false, false, ""),
];

/// A resource's ARN; `None` for types that have none.
pub(crate) fn arn_of(world: &World, entry: &Entry) -> Option<String> {
    let form = ARN_FORMS
        .iter()
        .find(|(name, ..)| *name == entry.type_name.as_str());
    if let Some((_, service, in_region, in_account, kind)) = form {
        // An elastic IP's identifier has the address before the allocation.
        let id = entry.identifier.rsplit('|').next().unwrap_or_default();
        let region = if *in_region { world.region() } else { "" };
        let account = if *in_account { world.account() } else { "" };
        return Some(format!(
            "arn:{}:{service}:{region}:{account}:{kind}{id}",
            world.partition()
        ));
    }
    if entry.identifier.starts_with("arn:") {
        return Some(entry.identifier.clone());
    }
    let properties = entry.model.as_object()?;
    let schema = catalog::schema(&entry.type_name)?;
    let own = schema
        .read_only()
        .iter()
        .filter_map(|path| match path.segments() {
            [name] if name.to_ascii_lowercase().ends_with("arn") => {
                properties.get(&**name)?.as_str()
            }
            _ => None,
        });
    // `Arn` before `EncryptionConfigKeyArn`: the resource's own is the shortest name.
    own.filter(|arn| arn.starts_with("arn:"))
        .min_by_key(|arn| arn.contains(":key/"))
        .map(str::to_owned)
}

/// Answers one call.
pub(crate) fn handle(
    account: &Account,
    operation: &str,
    input: &Value,
) -> Option<Result<Value, ServiceError>> {
    Some(match operation {
        "GetResources" => account.session(|session| get_resources(session, input)),
        "GetTagKeys" => account.session(|session| {
            let keys = tagged(session, |_| true)
                .into_values()
                .flat_map(|(_, tags)| tags.into_keys());
            listed("TagKeys", keys.collect(), input)
        }),
        "GetTagValues" => account.session(|session| {
            let key = required_text(input, "Key", INVALID)?;
            let values = tagged(session, |_| true)
                .into_values()
                .filter_map(|(_, mut tags)| tags.remove(key));
            listed("TagValues", values.collect(), input)
        }),
        _ => return None,
    })
}

fn listed(member: &str, texts: BTreeSet<String>, input: &Value) -> Result<Value, ServiceError> {
    let all = texts.into_iter().map(|text| (text.clone(), text)).collect();
    let (texts, next) = page(all, Input(input).text("PaginationToken")?, 500)?;
    Ok(json!({ member: texts, "PaginationToken": next.unwrap_or_default() }))
}

/// Every resource with tags that are `wanted`, by ARN, with its type.
fn tagged(
    session: &Session<'_>,
    wanted: impl Fn(&BTreeMap<String, String>) -> bool,
) -> BTreeMap<String, (String, BTreeMap<String, String>)> {
    let there = session
        .world()
        .entries()
        .filter(|entry| entry.phase != Phase::Creating);
    let returned = there.filter(|entry| !NOT_RETURNED.contains(&entry.type_name.as_str()));
    returned
        .filter_map(|entry| {
            // What shuts down has nothing to be found for any more.
            if entry.type_name == INSTANCE && entry.pending_deletion().is_some() {
                return None;
            }
            let tags = match catalog::schema(&entry.type_name) {
                Some(schema) => schema.tagging().read(&entry.model),
                None => ec2_instances::tags(entry),
            };
            if tags.is_empty() || !wanted(&tags) {
                return None;
            }
            Some((
                arn_of(session.world(), entry)?,
                (entry.type_name.to_string(), tags),
            ))
        })
        .collect()
}

fn get_resources(session: &Session<'_>, input: &Value) -> Result<Value, ServiceError> {
    let invalid = |message: &str| ServiceError::bad_request(INVALID, message);
    let limit = Input(input)
        .number("ResourcesPerPage", 1..=100)?
        .unwrap_or(50);
    let filters = input["TagFilters"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if filters.len() > 50 {
        return Err(invalid("TagFilters can have at most 50 filters"));
    }
    let mut wanted: Vec<(&str, Vec<&str>)> = Vec::new();
    for filter in filters {
        let key = filter["Key"]
            .as_str()
            .ok_or_else(|| invalid("A tag filter has no Key"))?;
        wanted.push((
            key,
            filter["Values"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect(),
        ));
    }
    let texts = |member: &str| -> Vec<&str> {
        input[member]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let (arns, types) = (texts("ResourceARNList"), texts("ResourceTypeFilters"));
    let has_all = |tags: &BTreeMap<String, String>| {
        let has = |(key, values): &(&str, Vec<&str>)| {
            tags.get(*key)
                .is_some_and(|value| values.is_empty() || values.contains(&value.as_str()))
        };
        wanted.iter().all(has)
    };
    let matching = tagged(session, has_all).into_iter().filter(|(arn, _)| {
        (arns.is_empty() || arns.contains(&arn.as_str()))
            && (types.is_empty() || types.iter().any(|wanted| is_of_type(arn, wanted)))
    });
    let all = matching
        .map(|(arn, (_, tags))| {
            let tags: Vec<_> = tags
                .into_iter()
                .map(|(key, value)| json!({ "Key": key, "Value": value }))
                .collect();
            (arn.clone(), json!({ "ResourceARN": arn, "Tags": tags }))
        })
        .collect();
    let (list, next) = page(all, Input(input).text("PaginationToken")?, limit)?;
    Ok(json!({ "ResourceTagMappingList": list, "PaginationToken": next.unwrap_or_default() }))
}

/// Whether an ARN is of `service` or `service:kind`.
fn is_of_type(arn: &str, wanted: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (
        parts.next().unwrap_or_default(),
        parts.nth(2).unwrap_or_default(),
    );
    match wanted.split_once(':') {
        None => service == wanted,
        Some((wanted_service, kind)) => {
            service == wanted_service
                && resource
                    .strip_prefix(kind)
                    .is_some_and(|rest| rest.starts_with(['/', ':']) || rest.is_empty())
        }
    }
}
