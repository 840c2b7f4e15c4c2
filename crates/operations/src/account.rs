//! What is asked of the account itself: whether a deploy can work, what the deployer must be allowed, and whether AWS
//! behaves as the sandbox does.

use std::collections::{BTreeMap, BTreeSet};

use aws::iam_policy::{PolicyRequest, deployer_policies};
use aws::preflight::{Check, Finding, Level, PreflightRequest, preflight};
use aws::verify::{VerifyReport, verify};
use catalog::ids::Region;
use catalog::{Realm, TypeName};
use engine::patiently;
use graph::{Action, Lifecycle, Plan, Value};

use crate::error::Error;
use crate::scope::Wanted;
use crate::target::{Connection, StateLocation, Target};

/// Asks the account whether a plan can work: identity, region, types, quotas, zones, free addresses.
pub async fn check_account(connection: &Connection, wanted: &Wanted, plan: &Plan) -> Vec<Finding> {
    let mut creates: BTreeMap<TypeName, usize> = BTreeMap::new();
    let ours = plan
        .changes
        .iter()
        .filter(|change| change.type_name.realm() == Realm::Aws)
        .filter(|change| !matches!(change.lifecycle, Lifecycle::Existing(_)));
    for change in ours.filter(|change| change.desired.is_some()) {
        let made = matches!(change.action, Action::Create | Action::Replace);
        *creates.entry(change.type_name.clone()).or_default() += usize::from(made);
    }
    let existing = wanted.platform.spec.network.existing.as_ref();
    let existing_subnets: BTreeSet<String> = existing
        .map(|network| {
            network
                .private_subnet_ids
                .iter()
                .chain(&network.public_subnet_ids)
                .cloned()
                .collect()
        })
        .unwrap_or_default();
    let makes_cluster = creates
        .get("AWS::EKS::Cluster")
        .is_some_and(|count| *count > 0);
    let zones = wanted
        .platform
        .availability_zones
        .iter()
        .filter(|_| makes_cluster && existing.is_none());
    let account = wanted.account();
    let request = PreflightRequest {
        account: account.as_ref(),
        region: &wanted.platform.region,
        creates: &creates,
        cluster_zones: &zones.cloned().collect(),
        existing_subnets: &existing_subnets,
    };
    let mut findings = preflight(&connection.session, &request).await;
    findings.extend(existing_resources(connection, plan).await);
    findings
}

/// Looks at what is somebody else's before anything is made that depends on it.
async fn existing_resources(connection: &Connection, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    for change in plan
        .changes
        .iter()
        .filter(|change| change.action == Action::Read)
        .filter(|change| change.type_name.realm() == Realm::Aws)
    {
        let Lifecycle::Existing(identifier) = &change.lifecycle else {
            continue;
        };
        let read = || connection.provider.read(&change.type_name, identifier);
        let message = match patiently(connection.pace, read).await {
            Ok(Some(model)) => {
                let known =
                    change
                        .desired
                        .iter()
                        .flatten()
                        .filter_map(|(name, value)| match value {
                            Value::String(text) => Some((name.clone(), text.as_str().into())),
                            _ => None,
                        });
                let known = serde_json::Value::Object(known.collect());
                let schema = catalog::schema(&change.type_name);
                let differences =
                    schema.map(|schema| catalog::compare::differences(schema, &known, &model));
                match differences.and_then(|differences| differences.into_iter().next()) {
                    Some(wrong) => format!(
                        "its {} is {}, but the spec says {}",
                        wrong.path, wrong.actual, wrong.expected
                    ),
                    None => continue,
                }
            }
            Ok(None) => "it is not in this account and region".to_owned(),
            Err(error) => error.to_string(),
        };
        findings.push(Finding {
            check: Check::Existing,
            level: Level::Error,
            message: format!("{} ({identifier}): {message}", change.address),
            advice: Some("correct its id, or what the spec says of it".to_owned()),
        });
    }
    findings
}

/// The least that a deployer of an environment must be allowed, as IAM policy documents that each fit a managed policy.
///
/// # Errors
///
/// When the state's place is not a valid one.
pub fn policies(location: &StateLocation<'_>) -> Result<Vec<serde_json::Value>, Error> {
    let wanted = location.wanted;
    let types: BTreeSet<TypeName> = wanted
        .graph
        .resources()
        .map(|resource| resource.type_name.clone())
        // What is in a cluster is allowed there, by an access entry.
        .filter(|type_name| type_name.realm() == Realm::Aws)
        .collect();
    let account = wanted.account().or_else(|| location.target.account.clone());
    let state = account.as_ref().and_then(|account| location.s3(account));
    // Only secrets of the environment's own name are passed on to what needs them.
    let secret_prefixes = [
        format!("{}/", wanted.scope().name()),
        format!("{}-", wanted.scope().name()),
    ];
    let request = PolicyRequest {
        scope: wanted.scope(),
        account: account.as_ref(),
        types: &types,
        secret_prefixes: &secret_prefixes,
        state: state.as_ref(),
    };
    Ok(deployer_policies(&request))
}

/// Makes, changes and deletes a small throwaway set, and reports every difference from what the sandbox does.
///
/// # Errors
///
/// When there are no credentials, or they are refused.
pub async fn verify_account(
    target: &Target,
    region: &Region,
    cancel: impl Future<Output = ()>,
    observe: impl Fn(&str) + Send + Sync,
) -> Result<VerifyReport, Error> {
    let session = target.session(region).await?;
    let refused = |source| Error::Aws {
        doing: "could not find out whose credentials these are".to_owned(),
        source,
    };
    aws::CallerIdentity::fetch(&session)
        .await
        .map_err(refused)?;
    Ok(verify(
        &aws::AwsProvider::new(session),
        target.pace,
        cancel,
        observe,
    )
    .await)
}
