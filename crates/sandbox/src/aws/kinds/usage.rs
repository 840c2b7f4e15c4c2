//! Who uses a resource: what stands against its deletion.

use serde_json::Value;

use super::{Context, Failure, failure};
use crate::aws::world::Entry;

/// The first other resource, in whatever phase, in which AWS's id of a resource stands as a value. Ids (`subnet-0…`) are
/// unlike anything else, so that is a reference. A resource that is
/// being deleted still counts: its network interfaces are there until the end.
pub(super) fn user_of<'a>(cx: &Context<'a>, entry: &Entry, id: &str) -> Option<&'a Entry> {
    cx.world.entries().find(|other| {
        (other.type_name != entry.type_name || other.identifier != entry.identifier)
            && mentions(&other.model, id)
    })
}

/// As [`user_of`], without the resources that `apart` names.
pub(super) fn user_apart_from<'a>(
    cx: &Context<'a>,
    entry: &Entry,
    id: &str,
    apart: impl Fn(&Entry) -> bool,
) -> Option<&'a Entry> {
    cx.world.entries().find(|other| {
        (other.type_name != entry.type_name || other.identifier != entry.identifier)
            && !apart(other)
            && mentions(&other.model, id)
    })
}

/// Where a name is no reference: tags, and documents that say what may be done with what, whether it is there or not.
const NO_REFERENCES: [&str; 7] = [
    "AssumeRolePolicyDocument",
    "KeyPolicy",
    "Policies",
    "Policy",
    "PolicyDocument",
    "RepositoryPolicyText",
    "Tags",
];

/// Whether a text stands as a whole value somewhere in a model.
pub(super) fn mentions(value: &Value, id: &str) -> bool {
    match value {
        Value::String(text) => text == id,
        Value::Array(items) => items.iter().any(|item| mentions(item, id)),
        Value::Object(object) => object
            .iter()
            .any(|(key, item)| !NO_REFERENCES.contains(&key.as_str()) && mentions(item, id)),
        _ => false,
    }
}

/// EC2's words for a resource that others depend on; what depends is said besides, which AWS leaves to be found out.
pub(super) fn dependency_violation(kind: &str, id: &str, user: &Entry) -> Failure {
    failure::invalid(
        "Ec2",
        format!(
            "The {kind} '{id}' has dependencies and cannot be deleted. [{} {}]",
            user.type_name, user.identifier
        ),
    )
}

/// The subnet, if it can be referenced.
pub(super) fn subnet<'a>(cx: &Context<'a>, service: &str, id: &str) -> Result<&'a Entry, Failure> {
    cx.live("AWS::EC2::Subnet", id)
        .ok_or_else(|| failure::invalid(service, format!("The subnet ID '{id}' does not exist")))
}

/// The VPC, if it can be referenced.
pub(super) fn vpc<'a>(cx: &Context<'a>, service: &str, id: &str) -> Result<&'a Entry, Failure> {
    cx.live("AWS::EC2::VPC", id)
        .ok_or_else(|| failure::invalid(service, format!("The vpc ID '{id}' does not exist")))
}

/// The security group, if it can be referenced.
pub(super) fn security_group<'a>(
    cx: &Context<'a>,
    service: &str,
    id: &str,
) -> Result<&'a Entry, Failure> {
    cx.live("AWS::EC2::SecurityGroup", id).ok_or_else(|| {
        failure::invalid(service, format!("The security group '{id}' does not exist"))
    })
}

/// The subnets of a request, all there and of one VPC, with the VPC's id.
pub(super) fn subnets_of_one_vpc<'a>(
    cx: &Context<'a>,
    service: &str,
    ids: &[&str],
) -> Result<(Vec<&'a Entry>, &'a str), Failure> {
    let mut subnets = Vec::with_capacity(ids.len());
    for id in ids {
        subnets.push(subnet(cx, service, id)?);
    }
    let mut vpcs = subnets
        .iter()
        .filter_map(|subnet| super::document::text(&subnet.model, "VpcId"));
    let Some(vpc) = vpcs.next() else {
        return Err(failure::invalid(
            service,
            "At least one subnet is required.",
        ));
    };
    if vpcs.any(|other| other != vpc) {
        return Err(failure::invalid(
            service,
            format!("The subnets {ids:?} are not all in the same VPC."),
        ));
    }
    Ok((subnets, vpc))
}

/// The security groups of a request, all there and of this VPC.
pub(super) fn security_groups_in(
    cx: &Context<'_>,
    service: &str,
    ids: &[&str],
    vpc: &str,
) -> Result<(), Failure> {
    for id in ids {
        let group = security_group(cx, service, id)?;
        if super::document::text(&group.model, "VpcId") != Some(vpc) {
            return Err(failure::invalid(
                service,
                format!(
                    "Security group {id} and the subnets belong to different networks ({vpc})."
                ),
            ));
        }
    }
    Ok(())
}

/// The Availability Zones of subnets, each once.
pub(super) fn zones_of<'a>(subnets: &[&'a Entry]) -> std::collections::BTreeSet<&'a str> {
    subnets
        .iter()
        .filter_map(|subnet| super::document::text(&subnet.model, "AvailabilityZone"))
        .collect()
}
