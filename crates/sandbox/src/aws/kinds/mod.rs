//! What each resource type does when it is created, updated, deleted, read and listed: pure rules over the world.
//!
//! A rule is stricter than AWS: what AWS takes now and regrets later (a cluster whose log group nobody owns, an add-on that
//! stays degraded until there are nodes) fails at once, in AWS's own words where it has some; what it has no words for says
//! so in brackets. Types without a rule of their own follow their schema (`generic`).
//!
//! Keys of a model that begin with `__` are private: what a service knows and no read tells, or whose part a resource is
//! (`__OwnedBy`).

mod acm;
mod amazonmq;
mod backup;
mod cidr;
mod document;
mod dynamodb;
mod ec2_gateways;
pub(crate) mod ec2_instances;
mod ec2_network;
mod ec2_routes;
mod ec2_security;
mod ec2_template;
mod ecr;
mod eks_access;
mod eks_addon;
mod eks_cluster;
mod eks_nodegroup;
mod elasticache;
mod failure;
mod generic;
mod iam_attachments;
mod iam_role;
mod kms;
mod messaging;
mod observability;
mod policy;
mod reference;
mod route53;
mod rules;
mod s3;
mod secretsmanager;
mod usage;
mod wafv2;

#[cfg(test)]
mod service_tests;
#[cfg(test)]
mod tests;

use catalog::TypeName;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::HandlerErrorCode;
use super::ids::Ids;
use super::world::{Entry, World};
use crate::Settings;

pub(in crate::aws) use ec2_network::free_addresses;
pub(crate) use reference::zone_id;

/// What a rule sees.
pub struct Context<'a> {
    /// Every resource there is.
    pub world: &'a World,
    /// Modelled seconds since the world began.
    pub now: f64,
    /// The wall time in seconds since 1970: the date on which versions are or are no longer to be had.
    pub epoch_seconds: f64,
    /// Who asks.
    pub caller_arn: &'a str,
    /// Quotas, delays, names.
    pub settings: &'a Settings,
    /// Where the clusters' API servers are.
    pub endpoints: &'a dyn ClusterEndpoints,
}

/// Where an EKS cluster's API server is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEndpoint {
    /// `https://…`
    pub url: String,
    /// The certificate of the authority that its certificate is from, in PEM.
    pub certificate_authority: String,
}

/// Gives new clusters their places.
pub trait ClusterEndpoints: Send + Sync {
    /// The place of the cluster with this id (32 hexadecimal digits): the same one however often it is asked for.
    ///
    /// # Errors
    /// In words for the cluster's owner, when it can't have one.
    fn assign(&self, id: &str) -> Result<ClusterEndpoint, String>;
}

/// What a handler does, and how long it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Cloud Control's identifier of the resource.
    pub identifier: String,
    /// The full model that the resource has once the handler is done.
    pub model: Value,
    /// What happens to other resources: of a create and an update when the operation begins, of a delete when it ends.
    pub effects: Vec<Effect>,
    /// Modelled seconds until the handler is done.
    pub duration: f64,
    /// What the operation waits for besides.
    pub waits_for: Option<Wait>,
}

/// What an operation waits for from outside the handler.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Wait {
    /// DNS records (name, value) that a certificate's validation looks for. The operation ends when each is in a hosted
    /// zone of the world, or after `duration` where the sandbox plays the external DNS provider.
    DnsRecords(Vec<(String, String)>),
}

/// A change of a resource other than the one operated on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Effect {
    /// Put it in, or in place of the one there.
    Put(Entry),
    /// Take it out.
    Remove {
        /// The type of what is taken out.
        type_name: TypeName,
        /// Its identifier.
        identifier: String,
    },
}

/// Why a handler fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The code of the progress event.
    pub code: HandlerErrorCode,
    /// AWS's own words.
    pub message: String,
    /// What a failed create leaves behind.
    pub remnant: Option<Outcome>,
}

fn unmodelled(type_name: &TypeName) -> Failure {
    Failure {
        code: HandlerErrorCode::InternalFailure,
        message: format!("the sandbox has no rule for {type_name}"),
        remnant: None,
    }
}

/// Creates a resource.
///
/// # Errors
/// What the type's real create handler refuses.
pub fn create(
    cx: &Context<'_>,
    type_name: &TypeName,
    desired: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    match rules::of(type_name) {
        Some(rules) => (rules.create)(cx, desired, ids),
        None => generic::create(cx, type_name, desired, ids),
    }
}

/// Updates a resource to the proposed model.
///
/// # Errors
/// What the type's real update handler refuses.
pub fn update(
    cx: &Context<'_>,
    entry: &Entry,
    proposed: &Value,
    ids: &mut Ids,
) -> Result<Outcome, Failure> {
    if let Some(path) = changed_for_ever(entry, proposed) {
        return Err(failure::not_updatable(entry.type_name.as_str(), &path));
    }
    let mut outcome = match rules::of(&entry.type_name) {
        Some(rules) => (rules.update)(cx, entry, proposed, ids),
        None => generic::update(cx, entry, proposed),
    }?;
    // What can't be changed stays as it was made, the parts of it that are never read back with it.
    for path in catalog::schema(&entry.type_name)
        .into_iter()
        .flat_map(|schema| schema.create_only())
        .filter(|path| !path.is_pattern())
    {
        if let Some(value) = path.get(&entry.model) {
            path.insert_into(&mut outcome.model, value.clone());
        }
    }
    // What is private was not in the read that the patch was applied to.
    if let (Some(before), Some(after)) = (entry.model.as_object(), outcome.model.as_object_mut()) {
        for (key, value) in before.iter().filter(|(key, _)| key.starts_with(PRIVATE)) {
            after.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(outcome)
}

/// A create-only property with another value than it has, if there is one. What is never read back can't be compared: it
/// is not in what a patch is applied to.
fn changed_for_ever(entry: &Entry, proposed: &Value) -> Option<String> {
    let schema = catalog::schema(&entry.type_name)?;
    let mut before = entry.model.clone();
    let mut after = proposed.clone();
    for path in schema.write_only() {
        path.remove_from(&mut before);
        path.remove_from(&mut after);
    }
    schema
        .create_only()
        .iter()
        .find(|path| path.get(&before) != path.get(&after))
        .map(|path| path.to_string().replace('.', "/"))
}

/// Deletes a resource.
///
/// # Errors
/// What the type's real delete handler refuses.
pub fn delete(cx: &Context<'_>, entry: &Entry) -> Result<Outcome, Failure> {
    match rules::of(&entry.type_name) {
        Some(rules) => (rules.delete)(cx, entry),
        None => generic::delete(cx, entry),
    }
}

/// How private keys of a model begin.
const PRIVATE: &str = "__";

/// What a read returns: the model without write-only and private properties.
#[must_use]
pub fn visible(entry: &Entry) -> Value {
    let mut model = entry.model.clone();
    if let Some(schema) = catalog::schema(&entry.type_name) {
        for path in schema.write_only() {
            path.remove_from(&mut model);
        }
    }
    if let Some(object) = model.as_object_mut() {
        object.retain(|key, _| !key.starts_with(PRIVATE));
    }
    model
}

/// The resources of a type in the order of their identifiers. What the resource model says and a resource has, too, must be
/// the same: the cluster of an add-on, the scope of a web ACL.
///
/// # Errors
/// Where the parent that the resource model names is not there.
pub fn list<'a>(
    cx: &Context<'a>,
    type_name: &TypeName,
    resource_model: Option<&Value>,
) -> Result<Vec<&'a Entry>, Failure> {
    let empty = serde_json::Map::new();
    let wanted = resource_model.and_then(Value::as_object).unwrap_or(&empty);
    let parent = wanted
        .get("ClusterName")
        .and_then(Value::as_str)
        .filter(|_| type_name.service() == "EKS");
    if let Some(cluster) = parent.filter(|name| cx.world.get("AWS::EKS::Cluster", name).is_none()) {
        return Err(failure::not_found(
            "Eks",
            format!("No cluster found for name: {cluster}."),
        ));
    }
    let fits = |model: &Value| {
        wanted
            .iter()
            .all(|(key, value)| model.get(key).is_none_or(|own| own == value))
    };
    Ok(cx
        .world
        .of_type(type_name)
        .filter(|entry| fits(&entry.model))
        .collect())
}
