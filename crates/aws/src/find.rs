//! Finding what a lost call may have made, and everything that is ours.
//!
//! A candidate is taken only if it can be read, its create-only properties are those that are wanted (a predecessor that is
//! being replaced carries the same tags), and, where its type has tags, they say that it is ours: nobody else's resource is
//! ever adopted. Candidates come, in this order:
//!
//! 1. by the identifier, where the desired properties tell it whole (a role's name);
//! 2. by the owner tags, from the resource tagging API;
//! 3. from the list of all resources of the type (in its parent, where a list needs one): the tagging API is behind by up
//!    to minutes, lists are not.

use std::collections::BTreeMap;

use catalog::compare::differences;
use catalog::ids::{Address, Identifier};
use catalog::{ResourceSchema, TypeName};
use engine::provider::{ErrorClass, Owned, ProviderError};
use graph::Scope;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::arn::{self, ByArn};
use crate::cloud_control::{CloudControl, Listed};
use crate::endpoint::Service;
use crate::session::Session;
use crate::tags;

/// Reads under way at once.
const CONCURRENCY: usize = 6;

/// Service-linked roles have no list, their name is AWS's, and their identifier is the name (AWS documentation of each
/// service, "Using service-linked roles").
const SERVICE_LINKED_ROLES: [(&str, &str); 7] = [
    ("spot.amazonaws.com", "AWSServiceRoleForEC2Spot"),
    ("eks.amazonaws.com", "AWSServiceRoleForAmazonEKS"),
    (
        "eks-nodegroup.amazonaws.com",
        "AWSServiceRoleForAmazonEKSNodegroup",
    ),
    (
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
    ),
    ("elasticache.amazonaws.com", "AWSServiceRoleForElastiCache"),
    ("mq.amazonaws.com", "AWSServiceRoleForAmazonMQ"),
    ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling"),
];

/// Whom a search is for.
pub(crate) struct Sought<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) address: &'a Address,
    pub(crate) schema: &'a ResourceSchema,
    pub(crate) desired: &'a Value,
}

impl Sought<'_> {
    fn type_name(&self) -> &TypeName {
        self.schema.type_name()
    }

    /// Whether a live resource is the one. `by_name`: it has the name that we give to it, so that the address tag, which a
    /// later version may spell differently, need not agree.
    fn is(&self, live: &Value, by_name: bool) -> bool {
        let tagging = self.schema.tagging();
        // A launch template's own tags are write-only: its name has to do.
        let readable = tagging
            .property
            .as_ref()
            .is_some_and(|path| !self.schema.is_write_only(path));
        if tagging.taggable && readable {
            let tags = tagging.read(live);
            let ours = if by_name {
                tags::belongs_to(&tags, self.scope)
            } else {
                tags::is_at(&tags, self.scope, self.address)
            };
            if !ours {
                return false;
            }
        }
        differences(self.schema, self.desired, live)
            .iter()
            .all(|difference| {
                !self
                    .schema
                    .create_only()
                    .iter()
                    .any(|path| path.matches_prefix_of(&difference.path))
            })
    }
}

/// The identifier of a resource that is there already; none when it is not.
pub(crate) async fn find(
    session: &Session,
    cloud_control: &CloudControl,
    sought: &Sought<'_>,
) -> Result<Option<Identifier>, ProviderError> {
    if let Some(identifier) = named(sought) {
        return Ok(cloud_control
            .read(sought.type_name(), &identifier)
            .await?
            .filter(|live| sought.is(live, true))
            .map(|_| identifier));
    }
    if sought.schema.tagging().taggable
        && let Some(identifier) = by_tags(session, cloud_control, sought).await?
    {
        return Ok(Some(identifier));
    }
    by_list(cloud_control, sought).await
}

/// The identifier, if the desired properties tell it whole.
fn named(sought: &Sought<'_>) -> Option<Identifier> {
    let text = if *sought.type_name() == "AWS::IAM::ServiceLinkedRole" {
        let service = sought.desired["AWSServiceName"].as_str()?;
        let (_, role) = SERVICE_LINKED_ROLES
            .iter()
            .find(|(name, _)| *name == service)?;
        match sought.desired["CustomSuffix"].as_str() {
            Some(suffix) => format!("{role}_{suffix}"),
            None => (*role).to_owned(),
        }
    } else {
        sought.schema.identifier_of(sought.desired)?
    };
    Identifier::new(text).ok()
}

async fn by_tags(
    session: &Session,
    cloud_control: &CloudControl,
    sought: &Sought<'_>,
) -> Result<Option<Identifier>, ProviderError> {
    let type_name = sought.type_name();
    let mut listed: Option<Vec<Listed>> = None;
    for (arn, _) in tagged(session, sought.scope, Some(sought.address)).await? {
        let identifier = match arn::identifier(type_name, &arn) {
            Some(ByArn::Identifier(identifier)) => Identifier::new(identifier).ok(),
            Some(ByArn::EndsWith(end)) => {
                if listed.is_none() {
                    listed = Some(cloud_control.list(type_name, None).await?);
                }
                listed
                    .iter()
                    .flatten()
                    .map(|entry| &entry.identifier)
                    .find(|identifier| identifier.as_str().ends_with(&end))
                    .cloned()
            }
            Some(ByArn::Unknown) | None => None,
        };
        let Some(identifier) = identifier else {
            continue;
        };
        // The tagging API remembers what is gone for a while, so it has the last word in nothing.
        if let Some(live) = cloud_control.read(type_name, &identifier).await?
            && sought.is(&live, false)
        {
            return Ok(Some(identifier));
        }
    }
    Ok(None)
}

async fn by_list(
    cloud_control: &CloudControl,
    sought: &Sought<'_>,
) -> Result<Option<Identifier>, ProviderError> {
    if sought.schema.operation(catalog::Operation::List).is_none() {
        return Ok(None);
    }
    let mut parent = Map::new();
    for name in sought.schema.list_requires() {
        match sought.desired.get(name) {
            Some(value) => parent.insert(name.clone(), value.clone()),
            // The parent is not known, so nothing can have been made in it.
            None => return Ok(None),
        };
    }
    let parent = (!parent.is_empty()).then_some(Value::Object(parent));
    let mut listed = match cloud_control
        .list(sought.type_name(), parent.as_ref())
        .await
    {
        Ok(listed) => listed,
        // The parent is gone.
        Err(error) if error.class == ErrorClass::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    narrow(sought, &mut listed);
    let mut candidates = listed.into_iter().map(|entry| entry.identifier);
    let mut reads = JoinSet::new();
    let mut found: Vec<Identifier> = Vec::new();
    loop {
        while reads.len() < CONCURRENCY
            && let Some(identifier) = candidates.next()
        {
            let cloud_control = cloud_control.clone();
            let type_name = sought.type_name().clone();
            reads.spawn(async move {
                let live = cloud_control.read(&type_name, &identifier).await;
                (identifier, live)
            });
        }
        let Some(read) = reads.join_next().await else {
            break;
        };
        // A read that panicked or was cancelled tells nothing.
        let Ok((identifier, live)) = read else {
            continue;
        };
        if live?.is_some_and(|live| sought.is(&live, false) && is_meant(sought, &live)) {
            found.push(identifier);
        }
    }
    found.sort_unstable();
    if found.len() > 1 {
        tracing::warn!(address = %sought.address, count = found.len(), "several resources fit; the first is taken");
    }
    Ok(found.into_iter().next())
}

/// Leaves out what can't be it by what the list itself says.
fn narrow(sought: &Sought<'_>, listed: &mut Vec<Listed>) {
    let name = sought
        .schema
        .name_property()
        .and_then(|path| path.get(sought.desired))
        .and_then(Value::as_str);
    if let Some(name) = name {
        let has_name = |entry: &Listed| {
            entry
                .identifier
                .as_str()
                .split(['|', '/', ':'])
                .any(|part| part == name)
        };
        // Where the identifier is made up by AWS, no identifier has the name.
        if listed.iter().any(has_name) {
            listed.retain(has_name);
        }
    }
    let tagging = sought.schema.tagging();
    listed.retain(|entry| {
        let tags = tagging.read(&entry.properties);
        tags.is_empty() || tags::is_at(&tags, sought.scope, sought.address)
    });
}

/// Without tags to go by, what is declared must say enough: every create-only or identifying property that is declared is
/// the live one, and there is one.
fn is_meant(sought: &Sought<'_>, live: &Value) -> bool {
    if sought.schema.tagging().taggable {
        return true;
    }
    let declared = sought
        .schema
        .create_only()
        .iter()
        .chain(sought.schema.primary_identifier())
        .chain(sought.schema.name_property())
        .filter(|path| {
            path.get(sought.desired)
                .is_some_and(|value| !value.is_null())
        })
        .filter(|path| !sought.schema.is_write_only(path));
    let mut any = false;
    for path in declared {
        any = true;
        if path.get(live).is_none() && !path.is_pattern() {
            return false;
        }
    }
    any
}

/// Everything that carries the scope's owner tags and is really there.
pub(crate) async fn owned(
    session: &Session,
    cloud_control: &CloudControl,
    scope: &Scope,
) -> Result<Vec<Owned>, ProviderError> {
    let mut reads = JoinSet::new();
    let mut found: Vec<Owned> = Vec::new();
    for (arn, address) in tagged(session, scope, None).await? {
        let owned = Owned { arn, address };
        let type_name = arn::type_of(&owned.arn);
        let identifier = type_name
            .as_ref()
            .and_then(|type_name| arn::identifier(type_name, &owned.arn));
        match (type_name, identifier) {
            // EC2 keeps deleted resources in the tagging API for about an hour.
            (Some(type_name), Some(ByArn::Identifier(identifier))) => {
                let (Ok(identifier), cloud_control) =
                    (Identifier::new(identifier), cloud_control.clone())
                else {
                    continue;
                };
                if reads.len() >= CONCURRENCY
                    && let Some(Ok(read)) = reads.join_next().await
                {
                    found.extend(confirmed(read));
                }
                reads.spawn(async move {
                    let live = cloud_control.read(&type_name, &identifier).await;
                    (owned, live)
                });
            }
            _ => found.push(owned),
        }
    }
    while let Some(read) = reads.join_next().await {
        found.extend(read.ok().and_then(confirmed));
    }
    found.extend(roles(cloud_control, scope).await?);
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// A type that can't be read is taken for there: a sweep may say too much, never too little.
fn confirmed((owned, live): (Owned, Result<Option<Value>, ProviderError>)) -> Option<Owned> {
    match live {
        Ok(None) => None,
        Ok(Some(_)) | Err(_) => Some(owned),
    }
}

/// The tagging API does not return IAM roles ("Services that support the Resource Groups Tagging API": of IAM, neither roles
/// nor users). Ours are known by their names' beginning and by their tags.
async fn roles(cloud_control: &CloudControl, scope: &Scope) -> Result<Vec<Owned>, ProviderError> {
    const ROLE: TypeName = TypeName::new("AWS::IAM::Role");
    let Some(schema) = catalog::schema(&ROLE) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}-", scope.name());
    let mut found = Vec::new();
    for entry in cloud_control.list(&ROLE, None).await? {
        if !entry.identifier.as_str().starts_with(&prefix) {
            continue;
        }
        let Some(live) = cloud_control.read(&ROLE, &entry.identifier).await? else {
            continue;
        };
        let tags = schema.tagging().read(&live);
        if let (true, Some(arn)) = (tags::belongs_to(&tags, scope), live["Arn"].as_str()) {
            found.push(Owned {
                arn: arn.to_owned(),
                address: tags
                    .get(tags::ADDRESS)
                    .and_then(|address| Address::new(address).ok()),
            });
        }
    }
    Ok(found)
}

/// ARNs and addresses of everything that the tagging API knows to carry the owner tags.
async fn tagged(
    session: &Session,
    scope: &Scope,
    address: Option<&Address>,
) -> Result<BTreeMap<String, Option<Address>>, ProviderError> {
    let mut filters = vec![
        json!({"Key": tags::PLATFORM, "Values": [scope.platform]}),
        json!({"Key": tags::ENVIRONMENT, "Values": [scope.environment]}),
    ];
    if let Some(address) = address {
        filters.push(json!({"Key": tags::ADDRESS, "Values": [address]}));
    }
    let mut found = BTreeMap::new();
    // What is not in a region (hosted zones, OIDC providers) is answered for by the partition's first region alone.
    let mut services = vec![Service::ResourceTagging];
    let home = Service::ResourceTaggingGlobal.signing_region(session.region().as_str());
    if session.endpoint().is_none() && home != session.region().as_str() {
        services.push(Service::ResourceTaggingGlobal);
    }
    for service in services {
        let mut input = json!({"TagFilters": filters, "ResourcesPerPage": 100});
        loop {
            let answer = session.json(service, "GetResources", &input).await?;
            for entry in answer["ResourceTagMappingList"]
                .as_array()
                .into_iter()
                .flatten()
            {
                let Some(arn) = entry["ResourceARN"].as_str() else {
                    continue;
                };
                let address = entry["Tags"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find(|tag| tag["Key"] == tags::ADDRESS)
                    .and_then(|tag| Address::new(tag["Value"].as_str()?).ok());
                found.insert(arn.to_owned(), address);
            }
            match answer["PaginationToken"]
                .as_str()
                .filter(|token| !token.is_empty())
            {
                Some(token) => input["PaginationToken"] = token.into(),
                None => break,
            }
        }
    }
    Ok(found)
}
