//! Types without a rule of their own: what their schema says, and AWS's usual forms.
//!
//! Identifiers are made, names are unique, whatever an id of EC2 or an ARN in the model names has to be there, and nothing is
//! deleted that another resource names. A read-only property whose value cannot be known is left out.

use catalog::{PropertyPath, TypeName};
use serde_json::Value;

use super::document::{put, text};
use super::reference::{created, deleted, updated};
use super::usage::user_of;
use super::{Context, Failure, Outcome, failure};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

pub(super) fn create(
    cx: &Context<'_>,
    type_name: &TypeName,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    let Some(schema) = catalog::schema(type_name) else {
        return Err(super::unmodelled(type_name));
    };
    let service = service_of(type_name);
    check_references(cx, type_name.service(), desired)?;
    let mut model = desired.clone();
    let name = name_of(type_name, schema.name_property(), &mut model, ids);
    for path in schema.primary_identifier() {
        if path.get(&model).is_some() {
            continue;
        }
        let value = match path.last() {
            Some(last) if is_arn(last) => cx.arn(&service, &arn_resource(type_name, &name, ids)),
            Some("Id") | None => ids.uuid(),
            Some(last) if last.ends_with("Id") => ids.uuid(),
            Some(_) => name.clone(),
        };
        path.insert_into(&mut model, Value::from(value));
    }
    let own_arn = [
        "Arn".to_owned(),
        "ARN".to_owned(),
        format!("{}Arn", type_name.resource()),
    ];
    for path in schema.read_only() {
        let is_own = path.segments().len() == 1
            && path
                .last()
                .is_some_and(|last| own_arn.iter().any(|arn| arn == last));
        if is_own && path.get(&model).is_none() {
            let arn = cx.arn(&service, &arn_resource(type_name, &name, ids));
            path.insert_into(&mut model, Value::from(arn));
        }
    }
    created(cx, type_name, model)
}

fn is_arn(property: &str) -> bool {
    property.ends_with("Arn") || property.ends_with("ARN")
}

/// The service's name in ARNs.
fn service_of(type_name: &TypeName) -> String {
    match type_name.service() {
        "ElasticLoadBalancingV2" => "elasticloadbalancing".to_owned(),
        "CertificateManager" => "acm".to_owned(),
        other => other.to_lowercase(),
    }
}

/// What an ARN of the type says after the account.
fn arn_resource(type_name: &TypeName, name: &str, ids: &mut Ids) -> String {
    match type_name.as_str() {
        "AWS::ElasticLoadBalancingV2::LoadBalancer" => {
            format!("loadbalancer/app/{name}/{}", ids.hex(16))
        }
        "AWS::ElasticLoadBalancingV2::TargetGroup" => format!("targetgroup/{name}/{}", ids.hex(16)),
        "AWS::ElasticLoadBalancingV2::Listener" => {
            format!("listener/app/{name}/{}/{}", ids.hex(16), ids.hex(16))
        }
        "AWS::CloudFormation::Stack" => format!("stack/{name}/{}", ids.uuid()),
        "AWS::RDS::DBCluster" => format!("cluster:{name}"),
        _ => format!("{}/{name}", type_name.resource().to_lowercase()),
    }
}

/// The name that the user chose, or one that is made up and set where the type has a name.
fn name_of(
    type_name: &TypeName,
    property: Option<&PropertyPath>,
    model: &mut Value,
    ids: &mut Ids,
) -> String {
    let chosen = property
        .and_then(|path| path.get(model))
        .and_then(Value::as_str);
    if let Some(name) = chosen {
        return name.to_owned();
    }
    let name = format!(
        "{}-{}",
        type_name.resource().to_lowercase(),
        ids.lower_alnum(12)
    );
    if let Some(path) = property {
        path.insert_into(model, Value::from(name.as_str()));
    }
    name
}

/// Types by the prefixes of EC2's ids.
const BY_PREFIX: [(&str, &str); 3] = [
    ("subnet-", "AWS::EC2::Subnet"),
    ("sg-", "AWS::EC2::SecurityGroup"),
    ("vpc-", "AWS::EC2::VPC"),
];

fn check_references(cx: &Context<'_>, service: &str, value: &Value) -> Result<(), Failure> {
    match value {
        Value::String(id) => match BY_PREFIX
            .iter()
            .find(|(prefix, _)| id.starts_with(prefix) && id.len() == prefix.len() + 17)
        {
            Some((_, type_name)) if cx.live(type_name, id).is_none() => Err(failure::invalid(
                service,
                format!(
                    "The {} '{id}' does not exist",
                    type_name.rsplit("::").next().unwrap_or_default()
                ),
            )),
            _ => Ok(()),
        },
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_references(cx, service, item)),
        Value::Object(object) => object
            .iter()
            .filter(|(key, _)| *key != "Tags")
            .try_for_each(|(_, item)| check_references(cx, service, item)),
        _ => Ok(()),
    }
}

pub(super) fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
) -> Result<Outcome, Failure> {
    check_references(cx, entry.type_name.service(), proposed)?;
    let mut model = proposed.clone();
    if let Some(arn) = text(&entry.model, "Arn") {
        put(&mut model, "Arn", arn);
    }
    Ok(updated(cx, entry, model))
}

pub(super) fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    let own: Vec<&str> = ["Arn", "ARN", "Id"]
        .into_iter()
        .filter_map(|property| text(&entry.model, property))
        .collect();
    // Short ids and names may stand anywhere by chance.
    let unlike_others = |id: &&str| id.starts_with("arn:") || id.len() >= 20;
    let user = own
        .into_iter()
        .chain(std::iter::once(entry.identifier.as_str()))
        .filter(unlike_others)
        .find_map(|id| user_of(cx, entry, id));
    match user {
        Some(user) => Err(failure::invalid(
            entry.type_name.service(),
            format!(
                "{} is in use by {} {}",
                entry.identifier, user.type_name, user.identifier
            ),
        )),
        None => Ok(deleted(cx, entry)),
    }
}
