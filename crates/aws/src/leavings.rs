//! What a cluster leaves in AWS when it is gone: instances that Karpenter had launched, load balancers of Services that
//! nobody has deleted, network interfaces of the VPC CNI, security groups. They hold the subnets and the VPC, so they go
//! before anybody says that the cluster is deleted. Where they hold the cluster's own security group EKS can't delete the
//! cluster either; then they go first. Nothing goes before EKS has tried: a protected cluster keeps what it has.
//!
//! They are known by the tags that their makers give them (VPC CNI, "ENI tagging"; AWS Load Balancer Controller, "Resource
//! tags"; the AWS cloud provider and Karpenter, `kubernetes.io/cluster/<name>: owned`). Volumes are left alone: whether one is
//! to be kept is known in the cluster only.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalog::TypeName;
use catalog::ids::{ClientToken, Identifier, RequestToken};
use engine::Pace;
use engine::provider::{ErrorClass, Progress, ProviderError, Status};
use roxmltree::{Document, Node};
use serde_json::json;

use crate::arn::{self, ByArn};
use crate::cloud_control::CloudControl;
use crate::endpoint::Service;
use crate::session::Session;
use crate::signed::AnyNamespace;

/// The type that leaves things.
pub(crate) const CLUSTER: TypeName = TypeName::new("AWS::EKS::Cluster");
/// Types that are deleted by Cloud Control, the first ones first: a group is free when what is in it is gone.
const BY_CLOUD_CONTROL: [&str; 4] = [
    "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::EC2::LaunchTemplate",
    "AWS::EC2::SecurityGroup",
];
/// How long it may take, in modelled time. An interface is let go of some minutes after its instance.
const WITHIN: Duration = Duration::from_secs(20 * 60);
/// On the wall nothing is given up sooner than this.
const AT_LEAST: Duration = Duration::from_secs(60);
const TOKEN: &str = "left-by-cluster";
const EC2_VERSION: &str = "2016-11-15";

/// Whose leavings an operation is about, and since when (in seconds of the Unix clock).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leavings {
    cluster: Identifier,
    when: When,
    since: u64,
}

/// When leavings are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The cluster is still there: they hold it.
    Before,
    /// The cluster is gone.
    After,
}

/// Whether a cluster could not be deleted because its security group is in use.
pub(crate) fn is_held(status: &Status) -> bool {
    matches!(status, Status::Failed(error) if error.message.contains("has a dependent object"))
}

/// A thing that is left, and why it still is.
#[derive(Debug)]
struct Left {
    name: String,
    error: Option<ProviderError>,
}

impl Leavings {
    /// Of a cluster, from now on.
    pub(crate) fn of(cluster: &Identifier, when: When) -> Self {
        Self {
            cluster: cluster.clone(),
            when,
            since: now(),
        }
    }

    /// From an operation's token; none when it is another operation's.
    pub(crate) fn from_token(token: &RequestToken) -> Option<Self> {
        let mut parts = token.as_str().splitn(4, '|');
        let when = match (parts.next()?, parts.next()?) {
            (TOKEN, "before") => When::Before,
            (TOKEN, "after") => When::After,
            _ => return None,
        };
        let (since, cluster) = (parts.next()?, parts.next()?);
        Some(Self {
            when,
            since: since.parse().ok()?,
            cluster: Identifier::new(cluster).ok()?,
        })
    }

    fn token(&self) -> Option<RequestToken> {
        let when = match self.when {
            When::Before => "before",
            When::After => "after",
        };
        RequestToken::new(format!("{TOKEN}|{when}|{}|{}", self.since, self.cluster)).ok()
    }

    /// The cluster, if it is to be deleted when they are gone.
    pub(crate) fn holds(&self) -> Option<&Identifier> {
        (self.when == When::Before).then_some(&self.cluster)
    }

    /// Deletes what is left and can be deleted now. It is done when nothing is.
    pub(crate) async fn remove(
        &self,
        session: &Session,
        cloud_control: &CloudControl,
        pace: Pace,
    ) -> Result<Progress, ProviderError> {
        let mut left = instances(session, &self.cluster).await?;
        left.extend(tagged_with(session, cloud_control, &self.cluster, self.when).await?);
        let mut progress = Progress {
            operation: self.token(),
            identifier: Some(self.cluster.clone()),
            status: Status::InProgress,
            retry_after: None,
            note: None,
        };
        if left.is_empty() {
            progress.status = Status::Success;
            return Ok(progress);
        }
        let passed = Duration::from_secs(now().saturating_sub(self.since));
        let modelled = pace.modelled(passed);
        let over = passed >= AT_LEAST && modelled.is_none_or(|modelled| modelled >= WITHIN);
        let denied = left
            .iter()
            .filter_map(|one| one.error.as_ref())
            .find(|error| error.class == ErrorClass::Denied);
        if let Some(error) = denied {
            progress.status = Status::Failed(error.clone());
        } else if over {
            progress.status = Status::Failed(ProviderError {
                class: ErrorClass::Terminal,
                code: "LeftByCluster".to_owned(),
                message: match self.when {
                    When::Before => format!(
                        "what holds the cluster {} could not be deleted: {}",
                        self.cluster,
                        words(&left, true)
                    ),
                    When::After => format!(
                        "the cluster {} is gone, and what it has left could not be deleted: {}",
                        self.cluster,
                        words(&left, true)
                    ),
                },
            });
        } else {
            let what = match self.when {
                When::Before => "what holds the cluster goes first",
                When::After => "the cluster is gone; what it has left goes",
            };
            progress.note = Some(format!("{what}: {}", words(&left, false)));
        }
        Ok(progress)
    }
}

fn words(left: &[Left], why: bool) -> String {
    const SHOWN: usize = 5;
    let mut words: Vec<String> = left
        .iter()
        .take(SHOWN)
        .map(|one| match &one.error {
            Some(error) if why => format!("{} ({error})", one.name),
            _ => one.name.clone(),
        })
        .collect();
    if left.len() > SHOWN {
        words.push(format!("{} more", left.len() - SHOWN));
    }
    words.join(", ")
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs())
}

/// Terminates the cluster's instances; those that are not terminated yet are left.
async fn instances(session: &Session, cluster: &Identifier) -> Result<Vec<Left>, ProviderError> {
    let tag = format!("tag:kubernetes.io/cluster/{cluster}");
    let answer = session
        .query(
            Service::Ec2,
            &[
                ("Action", "DescribeInstances"),
                ("Version", EC2_VERSION),
                ("Filter.1.Name", &tag),
                ("Filter.1.Value.1", "owned"),
                ("Filter.2.Name", "instance-state-name"),
                ("Filter.2.Value.1", "pending"),
                ("Filter.2.Value.2", "running"),
                ("Filter.2.Value.3", "stopping"),
                ("Filter.2.Value.4", "stopped"),
                ("Filter.2.Value.5", "shutting-down"),
            ],
        )
        .await?;
    let found = described(&answer)?;
    let living: Vec<&String> = found
        .iter()
        .filter(|(_, state)| state != "shutting-down")
        .map(|(id, _)| id)
        .collect();
    let mut error = None;
    if !living.is_empty() {
        let names: Vec<String> = (1..=living.len())
            .map(|number| format!("InstanceId.{number}"))
            .collect();
        let mut parameters = vec![("Action", "TerminateInstances"), ("Version", EC2_VERSION)];
        let ids = names.iter().zip(&living);
        parameters.extend(ids.map(|(name, id)| (name.as_str(), id.as_str())));
        let called = session.query(Service::Ec2, &parameters).await;
        error = called.err().map(ProviderError::from);
    }
    Ok(found
        .into_iter()
        .map(|(name, _)| Left {
            name,
            error: error.clone(),
        })
        .collect())
}

/// The instances of an answer, with their states.
fn described(answer: &str) -> Result<Vec<(String, String)>, ProviderError> {
    let document = Document::parse(answer).map_err(|error| ProviderError {
        class: ErrorClass::Retryable,
        code: "MalformedResponse".to_owned(),
        message: format!("EC2's list of instances is no XML: {error}"),
    })?;
    let state = |instance: &Node<'_, '_>| {
        instance
            .children()
            .find(|node| node.has_tag_name_in_any_namespace("instanceState"))
            .and_then(|state| state.child_text("name"))
    };
    Ok(document
        .descendants()
        .filter(|node| node.has_tag_name_in_any_namespace("item"))
        .filter_map(|item| Some((item.child_text("instanceId")?, state(&item)?)))
        .collect())
}

/// Deletes what carries the cluster's tags.
async fn tagged_with(
    session: &Session,
    cloud_control: &CloudControl,
    cluster: &Identifier,
    when: When,
) -> Result<Vec<Left>, ProviderError> {
    let owned = format!("kubernetes.io/cluster/{cluster}");
    let tags: [(&str, &str); 4] = [
        (&owned, "owned"),
        ("elbv2.k8s.aws/cluster", cluster.as_str()),
        ("cluster.k8s.amazonaws.com/name", cluster.as_str()),
        ("eks:eks-cluster-name", cluster.as_str()),
    ];
    let mut arns = BTreeSet::new();
    for (key, value) in tags {
        let mut input =
            json!({"TagFilters": [{"Key": key, "Values": [value]}], "ResourcesPerPage": 100});
        loop {
            let answer = session
                .json(Service::ResourceTagging, "GetResources", &input)
                .await?;
            let entries = answer["ResourceTagMappingList"].as_array();
            let found = entries.into_iter().flatten();
            arns.extend(found.filter_map(|entry| Some(entry["ResourceARN"].as_str()?.to_owned())));
            match answer["PaginationToken"].as_str() {
                Some(token) if !token.is_empty() => input["PaginationToken"] = token.into(),
                _ => break,
            }
        }
    }
    let mut left = Vec::new();
    for arn in &arns {
        if let Some(interface) = arn.split_once(":network-interface/").map(|(_, id)| id) {
            left.extend(interface_gone(session, interface).await);
        }
    }
    // One of the groups is the cluster's own, as long as it is there.
    let groups_too = |name: &&str| when == When::After || *name != "AWS::EC2::SecurityGroup";
    for type_name in BY_CLOUD_CONTROL.into_iter().filter(groups_too) {
        let Ok(type_name) = type_name.parse::<TypeName>() else {
            continue;
        };
        for arn in &arns {
            if let Some(ByArn::Identifier(identifier)) = arn::identifier(&type_name, arn)
                && let Ok(identifier) = Identifier::new(identifier)
            {
                left.extend(gone(cloud_control, &type_name, &identifier).await?);
            }
        }
    }
    Ok(left)
}

/// Deletes a network interface; none when it is gone. One that is in use is not let go of by its instance yet.
async fn interface_gone(session: &Session, interface: &str) -> Option<Left> {
    let parameters = [
        ("Action", "DeleteNetworkInterface"),
        ("Version", EC2_VERSION),
        ("NetworkInterfaceId", interface),
    ];
    let error = session
        .query(Service::Ec2, &parameters)
        .await
        .map_err(ProviderError::from)
        .err();
    if error
        .as_ref()
        .is_none_or(|error| error.code == "InvalidNetworkInterfaceID.NotFound")
    {
        return None;
    }
    Some(Left {
        name: interface.to_owned(),
        error,
    })
}

/// Asks Cloud Control to delete a resource; none when it is gone.
async fn gone(
    cloud_control: &CloudControl,
    type_name: &TypeName,
    identifier: &Identifier,
) -> Result<Option<Left>, ProviderError> {
    // The tags are known for longer than what carries them.
    if cloud_control.read(type_name, identifier).await?.is_none() {
        return Ok(None);
    }
    let Ok(token) = ClientToken::new(uuid::Uuid::new_v4().to_string()) else {
        return Ok(None);
    };
    let error = match cloud_control.delete(type_name, identifier, &token).await {
        Ok(progress) => match progress.status {
            Status::Failed(error) => Some(error),
            Status::InProgress | Status::Success => None,
        },
        Err(error) => Some(error),
    };
    Ok(Some(Left {
        name: identifier.to_string(),
        error,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_on_leavings_is_known_by_its_token() {
        let cluster = Identifier::new("shop-dev").unwrap();
        for when in [When::Before, When::After] {
            let leavings = Leavings::of(&cluster, when);
            let token = leavings.token().unwrap();
            assert_eq!(Leavings::from_token(&token), Some(leavings));
        }
        let another = RequestToken::new("5d1f3a6e-9c6b-4a52-9d0d-2f8a7f0b7f7e").unwrap();
        assert_eq!(Leavings::from_token(&another), None);
    }

    #[test]
    fn instances_are_read_with_their_states_and_nothing_inside_them_is_one() {
        let answer = r#"<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet><item>
            <reservationId>r-1</reservationId><instancesSet><item><instanceId>i-1</instanceId>
            <instanceState><code>16</code><name>running</name></instanceState>
            <networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId></item></networkInterfaceSet></item>
            <item><instanceId>i-2</instanceId><instanceState><code>32</code><name>shutting-down</name></instanceState></item>
            </instancesSet></item></reservationSet></DescribeInstancesResponse>"#;
        let found = described(answer).unwrap();
        let pair = |id: &str, state: &str| (id.to_owned(), state.to_owned());
        assert_eq!(
            found,
            [pair("i-1", "running"), pair("i-2", "shutting-down")]
        );
        assert!(described("no").is_err());
    }

    #[test]
    fn of_many_leavings_a_few_are_named() {
        let left: Vec<Left> = (0..7)
            .map(|number| Left {
                name: format!("eni-{number}"),
                error: None,
            })
            .collect();
        assert_eq!(
            words(&left, false),
            "eni-0, eni-1, eni-2, eni-3, eni-4, 2 more"
        );
    }
}
