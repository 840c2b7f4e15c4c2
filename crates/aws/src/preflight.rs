//! What can be known to go wrong before anything is made: credentials, account, region, types, quotas, zones, addresses.
//!
//! Each check stands for itself. One that can't be made (the permission is missing, the service does not answer) is a
//! warning that says so, and the others go on; only without credentials there is nothing to go on with.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::ids::{AccountId, Region};
use catalog::quotas::{self, Quota, Scope as Counted};
use catalog::{Operation, Provisioning, TypeName, regions};
use engine::provider::{ErrorClass, ProviderError};
use roxmltree::Document;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use crate::classify::credentials_hint;
use crate::cloud_control::CloudControl;
use crate::endpoint::Service;
use crate::identity::CallerIdentity;
use crate::session::Session;
use crate::signed::AnyNamespace;

/// Questions under way at once. CloudFormation throttles DescribeType at a few requests a second.
const CONCURRENCY: usize = 4;
/// How often a throttled question is asked, and the first wait between.
const ATTEMPTS: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(400);
/// Quotas above this are not counted up to: listing that many resources takes longer than it is worth.
const LARGEST_COUNTED: f64 = 500.0;
/// EKS recommends at least this many free addresses in a cluster's subnet ("Amazon EKS VPC and subnet requirements").
const FREE_ADDRESSES: u64 = 16;

/// What is going to be done.
#[derive(Debug, Clone)]
pub struct PreflightRequest<'a> {
    /// The account that the spec names, if it does.
    pub account: Option<&'a AccountId>,
    /// The region that the spec names.
    pub region: &'a Region,
    /// The types of all resources, and how many of each are going to be created.
    pub creates: &'a BTreeMap<TypeName, usize>,
    /// The names of the Availability Zones that an EKS cluster gets subnets in.
    pub cluster_zones: &'a BTreeSet<String>,
    /// Subnets that are there already and that the platform is going to use.
    pub existing_subnets: &'a BTreeSet<String>,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Check {
    /// The credentials.
    Identity,
    /// The account.
    Account,
    /// The region.
    Region,
    /// Whether Cloud Control takes a type.
    TypeSupport,
    /// Whether there is room for what is going to be created.
    Quota,
    /// Whether EKS serves the zones.
    Zones,
    /// Whether there are addresses left in subnets that are there already.
    FreeAddresses,
    /// Whether what is somebody else's is there, and as the spec says.
    Existing,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It may go wrong, or it could not be found out.
    Warning,
    /// It is going to go wrong.
    Error,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it is about.
    pub check: Check,
    /// How bad it is.
    pub level: Level,
    /// What is so.
    pub message: String,
    /// What to do about it; none where nothing is to be done.
    pub advice: Option<String>,
}

impl Finding {
    fn ok(check: Check, message: String) -> Self {
        Self {
            check,
            level: Level::Ok,
            message,
            advice: None,
        }
    }

    fn warning(check: Check, message: String, advice: String) -> Self {
        Self {
            check,
            level: Level::Warning,
            message,
            advice: Some(advice),
        }
    }

    fn error(check: Check, message: String, advice: String) -> Self {
        Self {
            check,
            level: Level::Error,
            message,
            advice: Some(advice),
        }
    }

    /// A check that could not be made.
    fn skipped(check: Check, what: &str, error: &ProviderError) -> Self {
        let advice = match error.class {
            ErrorClass::Denied => {
                "allow it to the deployer (`seaworthy iam-policy` prints what is needed), or go on without".to_owned()
            }
            _ => "go on without, or try again".to_owned(),
        };
        Self::warning(
            check,
            format!("{what} could not be checked: {error}"),
            advice,
        )
    }
}

/// Makes all checks. The findings are in the order of [`Check`], the worst first within each.
pub async fn preflight(session: &Session, request: &PreflightRequest<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !identity(session, request, &mut findings).await {
        return findings;
    }
    region(session, request, &mut findings);
    let (types, quotas, zones, addresses) = tokio::join!(
        types(session, request),
        quotas(session, request),
        zones(session, request),
        addresses(session, request),
    );
    findings.extend(types);
    findings.extend(quotas);
    findings.extend(zones);
    findings.extend(addresses);
    findings.sort_by(|one, other| {
        (one.check, std::cmp::Reverse(one.level), &one.message).cmp(&(
            other.check,
            std::cmp::Reverse(other.level),
            &other.message,
        ))
    });
    findings
}

async fn identity(
    session: &Session,
    request: &PreflightRequest<'_>,
    findings: &mut Vec<Finding>,
) -> bool {
    let identity = match patiently(|| CallerIdentity::fetch(session)).await {
        Ok(identity) => identity,
        Err(error) => {
            let hint = credentials_hint(&error.code)
                .unwrap_or("check the credentials, the endpoint and the network");
            findings.push(Finding::error(
                Check::Identity,
                error.to_string(),
                hint.to_owned(),
            ));
            return false;
        }
    };
    findings.push(Finding::ok(
        Check::Identity,
        format!("the caller is {}", identity.arn),
    ));
    if identity.arn.ends_with(":root") {
        findings.push(Finding::warning(
            Check::Identity,
            "the caller is the account's root user".to_owned(),
            "use a role of its own for deployments (`seaworthy iam-policy` prints its policy)"
                .to_owned(),
        ));
    }
    match request.account {
        Some(wanted) if *wanted != identity.account => findings.push(Finding::error(
            Check::Account,
            format!(
                "the spec names the account {wanted}, the credentials belong to {}",
                identity.account
            ),
            format!("use credentials of {wanted}, or change `account` in the spec"),
        )),
        _ => findings.push(Finding::ok(
            Check::Account,
            format!("the account is {}", identity.account),
        )),
    }
    true
}

fn region(session: &Session, request: &PreflightRequest<'_>, findings: &mut Vec<Finding>) {
    let wanted = request.region;
    findings.push(if session.region() != wanted {
        Finding::error(
            Check::Region,
            format!(
                "the spec names the region {wanted}, the session is of {}",
                session.region()
            ),
            "open a session of the spec's region".to_owned(),
        )
    } else if regions::is_known(wanted.as_str()) {
        Finding::ok(Check::Region, format!("the region is {wanted}"))
    } else {
        Finding::warning(
            Check::Region,
            format!("the region {wanted} is not one that the catalog knows"),
            "check its name; a region that is newer than this version works if its services do"
                .to_owned(),
        )
    });
}

/// Runs a question for each item, some at once, and collects the answers.
async fn ask<T, F>(items: impl IntoIterator<Item = T>, question: impl Fn(T) -> F) -> Vec<Finding>
where
    F: Future<Output = Option<Finding>> + Send + 'static,
{
    let mut items = items.into_iter();
    let mut running = JoinSet::new();
    let mut findings = Vec::new();
    loop {
        while running.len() < CONCURRENCY
            && let Some(item) = items.next()
        {
            running.spawn(question(item));
        }
        match running.join_next().await {
            Some(answer) => findings.extend(answer.ok().flatten()),
            None => return findings,
        }
    }
}

/// Asks again when too much was asked at once.
async fn patiently<T, E, F>(mut call: impl FnMut() -> F) -> Result<T, ProviderError>
where
    E: Into<ProviderError>,
    F: Future<Output = Result<T, E>>,
{
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        match call().await.map_err(E::into) {
            Err(error) if error.class.is_retryable() => tokio::time::sleep(wait).await,
            result => return result,
        }
        wait *= 2;
    }
    call().await.map_err(E::into)
}

async fn types(session: &Session, request: &PreflightRequest<'_>) -> Vec<Finding> {
    let through_cloud_control = request.creates.keys().filter(|type_name| {
        catalog::schema(type_name)
            .is_some_and(|schema| schema.provisioning() != Provisioning::NonProvisionable)
    });
    let mut findings = ask(through_cloud_control.cloned(), |type_name| {
        let session = session.clone();
        async move { type_support(&session, &type_name).await }
    })
    .await;
    if findings.is_empty() {
        findings.push(Finding::ok(
            Check::TypeSupport,
            "Cloud Control takes every type".to_owned(),
        ));
    }
    findings
}

async fn type_support(session: &Session, type_name: &TypeName) -> Option<Finding> {
    let parameters = [
        ("Action", "DescribeType"),
        ("Version", "2010-05-15"),
        ("Type", "RESOURCE"),
        ("TypeName", type_name.as_str()),
    ];
    let answer = match patiently(|| session.query(Service::CloudFormation, &parameters)).await {
        Ok(answer) => answer,
        Err(error) if error.code.starts_with("TypeNotFound") => {
            return Some(Finding::error(
                Check::TypeSupport,
                format!("{type_name} does not exist in {}", session.region()),
                "choose another region, or leave out what needs it".to_owned(),
            ));
        }
        Err(error) => {
            return Some(Finding::skipped(
                Check::TypeSupport,
                &format!("whether Cloud Control takes {type_name}"),
                &error,
            ));
        }
    };
    let provisioning = Document::parse(&answer).ok().and_then(|document| {
        document
            .descendants()
            .find_map(|node| node.child_text("ProvisioningType"))
    });
    let expected = catalog::schema(type_name).map(catalog::ResourceSchema::provisioning);
    match (provisioning.as_deref(), expected) {
        (Some("NON_PROVISIONABLE"), _) => Some(Finding::error(
            Check::TypeSupport,
            format!(
                "Cloud Control does not take {type_name} in {}",
                session.region()
            ),
            "leave out what needs it, and tell us: the catalog says otherwise".to_owned(),
        )),
        (Some("IMMUTABLE"), Some(Provisioning::FullyMutable)) => Some(Finding::warning(
            Check::TypeSupport,
            format!(
                "{type_name} can't be changed in place in {}",
                session.region()
            ),
            "a change of it fails; destroy and deploy it anew instead".to_owned(),
        )),
        _ => None,
    }
}

async fn quotas(session: &Session, request: &PreflightRequest<'_>) -> Vec<Finding> {
    let relevant: Vec<(&'static Quota, TypeName, usize)> = request
        .creates
        .iter()
        .filter(|(_, planned)| **planned > 0)
        .flat_map(|(type_name, planned)| {
            quotas::counting(type_name)
                .filter(|quota| !matches!(quota.scope, Counted::Parent(_)))
                .map(|quota| (quota, type_name.clone(), *planned))
        })
        .collect();
    let mut findings = ask(relevant, |(counted, type_name, planned)| {
        let session = session.clone();
        async move { quota(&session, counted, &type_name, planned).await }
    })
    .await;
    if findings.is_empty() {
        findings.push(Finding::ok(
            Check::Quota,
            "the quotas have room for what is planned".to_owned(),
        ));
    }
    findings
}

async fn quota(
    session: &Session,
    quota: &'static Quota,
    type_name: &TypeName,
    planned: usize,
) -> Option<Finding> {
    let what = format!("the quota \"{}\"", quota.name);
    let input = json!({"ServiceCode": quota.service, "QuotaCode": quota.code});
    let limit = match patiently(|| session.json(Service::Quotas, "GetServiceQuota", &input)).await {
        Ok(answer) => answer["Quota"]["Value"].as_f64().unwrap_or(quota.default),
        // Service Quotas knows only what was ever changed or used, for some services.
        Err(error) if error.code == "NoSuchResourceException" => quota.default,
        Err(error) => return Some(Finding::skipped(Check::Quota, &what, &error)),
    };
    let planned_count = planned as f64;
    if limit > LARGEST_COUNTED && planned_count <= LARGEST_COUNTED / 10.0 {
        return None;
    }
    let schema = catalog::schema(type_name)?;
    if schema.operation(Operation::List).is_none() || !schema.list_requires().is_empty() {
        return None;
    }
    let present = match CloudControl::new(session).list(type_name, None).await {
        Ok(listed) => listed.len(),
        Err(error) => return Some(Finding::skipped(Check::Quota, &what, &error)),
    };
    if present as f64 + planned_count <= limit {
        return None;
    }
    let message =
        format!("{what} is {limit}: {present} are there, {planned} are to be made ({type_name})");
    let advice = format!(
        "ask for more (`aws service-quotas request-service-quota-increase --region {} --service-code {} --quota-code {} \
         --desired-value {}`), or remove what is not needed",
        session.region(),
        quota.service,
        quota.code,
        present + planned
    );
    // Where several quotas count the type, each counts some of them only (gateway and interface endpoints).
    let exact = quotas::counting(type_name)
        .filter(|other| !matches!(other.scope, Counted::Parent(_)))
        .count()
        == 1
        && quotas::counting(type_name).count() == 1;
    Some(if exact {
        Finding::error(Check::Quota, message, advice)
    } else {
        Finding::warning(Check::Quota, message, advice)
    })
}

/// EC2's Query API: the only way to zone ids and to free addresses.
async fn describe(
    session: &Session,
    action: &str,
    list: &str,
    names: &BTreeSet<String>,
) -> Result<String, ProviderError> {
    let numbered: Vec<(String, &str)> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (format!("{list}.{}", at + 1), name.as_str()))
        .collect();
    let mut parameters = vec![("Action", action), ("Version", "2016-11-15")];
    parameters.extend(numbered.iter().map(|(name, value)| (name.as_str(), *value)));
    patiently(|| session.query(Service::Ec2, &parameters)).await
}

async fn zones(session: &Session, request: &PreflightRequest<'_>) -> Vec<Finding> {
    // Where EKS serves every zone there is nothing to ask.
    if request.cluster_zones.is_empty()
        || regions::eks_unsupported_zone_ids(session.region().as_str()).is_empty()
    {
        return Vec::new();
    }
    let answer = describe(
        session,
        "DescribeAvailabilityZones",
        "ZoneName",
        request.cluster_zones,
    )
    .await;
    match answer {
        Ok(answer) => unserved_zones(&answer),
        Err(error) => vec![Finding::skipped(
            Check::Zones,
            "whether EKS serves the Availability Zones",
            &error,
        )],
    }
}

fn unserved_zones(answer: &str) -> Vec<Finding> {
    let Ok(document) = Document::parse(answer) else {
        return Vec::new();
    };
    document
        .descendants()
        .filter_map(|node| Some((node.child_text("zoneName")?, node.child_text("zoneId")?)))
        .filter(|(_, id)| !regions::is_eks_zone_id(id))
        .map(|(name, id)| {
            Finding::error(
                Check::Zones,
                format!("EKS has no clusters in the zone {id}, which is {name} in this account"),
                "name other zones in the spec".to_owned(),
            )
        })
        .collect()
}

async fn addresses(session: &Session, request: &PreflightRequest<'_>) -> Vec<Finding> {
    if request.existing_subnets.is_empty() {
        return Vec::new();
    }
    let answer = describe(
        session,
        "DescribeSubnets",
        "SubnetId",
        request.existing_subnets,
    )
    .await;
    match answer {
        Ok(answer) => free_addresses(&answer),
        Err(error) => vec![Finding::skipped(
            Check::FreeAddresses,
            "how many addresses are free in the given subnets",
            &error,
        )],
    }
}

fn free_addresses(answer: &str) -> Vec<Finding> {
    let Ok(document) = Document::parse(answer) else {
        return Vec::new();
    };
    document
        .descendants()
        .filter(|node| node.has_tag_name_in_any_namespace("item"))
        .filter_map(|node| {
            let subnet = node.child_text("subnetId")?;
            let free: u64 = node.child_text("availableIpAddressCount")?.parse().ok()?;
            let message = format!("the subnet {subnet} has {free} free addresses");
            Some(if free >= FREE_ADDRESSES {
                Finding::ok(Check::FreeAddresses, message)
            } else {
                Finding::warning(
                    Check::FreeAddresses,
                    message,
                    format!(
                        "EKS recommends {FREE_ADDRESSES} or more: free some, or name larger subnets"
                    ),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_without_eks_is_named() {
        let answer = "<DescribeAvailabilityZonesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><availabilityZoneInfo>\
            <item><zoneName>us-east-1a</zoneName><zoneId>use1-az3</zoneId></item><item><zoneName>us-east-1b</zoneName><zoneId>use1-az1</zoneId></item>\
            </availabilityZoneInfo></DescribeAvailabilityZonesResponse>";
        let findings = unserved_zones(answer);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0]
                .message
                .contains("use1-az3, which is us-east-1a")
        );
    }

    #[test]
    fn a_full_subnet_is_named() {
        let answer = "<DescribeSubnetsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><subnetSet>\
            <item><subnetId>subnet-1</subnetId><availableIpAddressCount>4</availableIpAddressCount><tagSet><item><key>a</key></item></tagSet></item>\
            <item><subnetId>subnet-2</subnetId><availableIpAddressCount>251</availableIpAddressCount></item></subnetSet></DescribeSubnetsResponse>";
        let levels: Vec<Level> = free_addresses(answer)
            .iter()
            .map(|finding| finding.level)
            .collect();
        assert_eq!(levels, [Level::Warning, Level::Ok]);
    }
}
