//! EC2NodeClasses: what their selectors find in AWS, and whether nodes can be launched with it (the provider's
//! `pkg/controllers/nodeclass`).

use std::collections::BTreeMap;

use objects::ec2nodeclass::{Ec2NodeClass, Ec2NodeClassStatus, SelectorTerm, Subnet};
use serde_json::{Map, Value as Json, json};

use super::conditions::Conditions;
use super::memory::{Memory, Telling, pause};
use super::{NAME, hash, images};
use crate::document::Named;
use crate::draw::number;
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, View};

const FINALIZER: &str = "karpenter.k8s.aws/termination";
const PARTS: &[&str] = &[
    "AMIsReady",
    "SubnetsReady",
    "SecurityGroupsReady",
    "InstanceProfileReady",
    "ValidationSucceeded",
    "PlacementGroupReady",
];
const AWAITING: &str = "Awaiting AMI, Instance Profile, Security Group, and Subnet resolution";
/// Tags that are Karpenter's own (`pkg/apis/v1/labels.go` `RestrictedTagPatterns`), as beginnings.
const RESTRICTED_TAGS: [&str; 5] = [
    "kubernetes.io/cluster",
    "karpenter.sh/nodepool",
    "karpenter.sh/nodeclaim",
    "karpenter.k8s.aws/ec2nodeclass",
    "eks:eks-cluster-name",
];

/// Keeps the status of node classes. A key is a class's name.
pub(super) struct NodeClasses {
    memory: Memory,
}

impl NodeClasses {
    pub(super) fn new(memory: &Memory) -> Self {
        Self {
            memory: memory.clone(),
        }
    }
}

fn tags_match(wanted: &BTreeMap<String, String>, there: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| {
        there
            .get(key)
            .is_some_and(|other| value == "*" || value.is_empty() || other == value)
    })
}

/// Whether a term selects something of this ID, name and these tags.
fn selects(
    term: &SelectorTerm,
    id: &str,
    name: Option<&str>,
    tags: &BTreeMap<String, String>,
) -> bool {
    if let Some(wanted) = &term.id {
        return wanted == id;
    }
    if let Some(wanted) = &term.name {
        return name == Some(wanted) && tags_match(&term.tags, tags);
    }
    !term.tags.is_empty() && tags_match(&term.tags, tags)
}

fn subnets(class: &Ec2NodeClass, view: &View) -> Vec<Subnet> {
    let terms = &class.spec.subnet_selector_terms;
    let mut all: Vec<Subnet> = view
        .cloud
        .network
        .subnets
        .iter()
        .filter(|subnet| {
            terms
                .iter()
                .any(|term| selects(term, &subnet.id, None, &subnet.tags))
        })
        .map(|subnet| Subnet {
            id: subnet.id.clone(),
            zone: subnet.zone.clone(),
            zone_id: (!subnet.zone_id.is_empty()).then(|| subnet.zone_id.clone()),
        })
        .collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

fn security_groups(class: &Ec2NodeClass, view: &View) -> Vec<SelectorTerm> {
    let terms = &class.spec.security_group_selector_terms;
    let mut all: Vec<SelectorTerm> = view
        .cloud
        .network
        .security_groups
        .iter()
        .filter(|group| {
            terms
                .iter()
                .any(|term| selects(term, &group.id, Some(&group.name), &group.tags))
        })
        .map(|group| SelectorTerm {
            id: Some(group.id.clone()),
            name: Some(group.name.clone()),
            tags: BTreeMap::new(),
        })
        .collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

/// The status of a class as AWS is now.
fn status(class: &Ec2NodeClass, context: Context<'_>, cluster: &str) -> Ec2NodeClassStatus {
    let view = context.view;
    let old = class.status.clone().unwrap_or_default();
    let mut conditions = Conditions::of(
        &old.conditions,
        PARTS,
        class.metadata.generation,
        context.now,
    );
    let mut found = |type_: &str, any: bool, reason: &str, message: &str| {
        if any {
            conditions.yes(type_);
        } else {
            conditions.no(type_, reason, message);
        }
    };
    let amis = images::selected(class);
    found(
        "AMIsReady",
        !amis.is_empty(),
        "AMINotFound",
        "AMISelector did not match any AMIs",
    );
    let group = class.spec.placement_group_selector.as_ref();
    let group = group.and_then(|term| term.name.as_deref().or(term.id.as_deref()));
    found(
        "PlacementGroupReady",
        group.is_none(),
        "PlacementGroupNotFound",
        &format!("Placement group {:?} not found", group.unwrap_or_default()),
    );
    let subnets = subnets(class, view);
    found(
        "SubnetsReady",
        !subnets.is_empty(),
        "SubnetsNotFound",
        "SubnetSelector did not match any Subnets",
    );
    let security_groups = security_groups(class, view);
    found(
        "SecurityGroupsReady",
        !security_groups.is_empty(),
        "SecurityGroupsNotFound",
        "SecurityGroupSelector did not match any SecurityGroups",
    );
    let instance_profile = match (&class.spec.role, &class.spec.instance_profile) {
        (Some(role), _) => {
            let roles = &view.cloud.network.roles;
            // An instance profile of a role that is not there can't be made: the condition stays as it was, as Karpenter leaves
            // it on an error.
            (roles.is_empty() || roles.contains(role)).then(|| {
                let region = &view.cloud.region;
                let drawn = number(&[region, class.name(), class.uid()]);
                format!("{cluster}_{drawn}")
            })
        }
        (None, profile) => profile.clone(),
    };
    if instance_profile.is_some() {
        conditions.yes("InstanceProfileReady");
    }
    let needed = [
        "AMIsReady",
        "InstanceProfileReady",
        "SecurityGroupsReady",
        "SubnetsReady",
    ];
    let invalid: Vec<String> = class
        .spec
        .tags
        .keys()
        .filter(|key| RESTRICTED_TAGS.iter().any(|start| key.starts_with(start)))
        .map(|key| format!("{key:?}"))
        .collect();
    if needed.iter().any(|part| conditions.is_false(part)) {
        conditions.no("ValidationSucceeded", "DependenciesNotReady", AWAITING);
    } else if needed.iter().any(|part| !conditions.is_true(part)) {
        conditions.unknown("ValidationSucceeded", "DependenciesNotReady", AWAITING);
    } else if !invalid.is_empty() {
        let message = format!(
            "tags failed validation requirements (tags={})",
            invalid.join(", ")
        );
        conditions.no("ValidationSucceeded", "TagValidationFailed", &message);
    } else {
        conditions.yes("ValidationSucceeded");
    }
    Ec2NodeClassStatus {
        subnets,
        amis,
        security_groups,
        instance_profile,
        conditions: conditions.finish(),
        capacity_reservations: old.capacity_reservations,
    }
}

/// A status as a merge patch: what is not there any more is taken out.
fn patch(status: &Ec2NodeClassStatus) -> Json {
    let mut fields: Map<String, Json> = [
        "subnets",
        "amis",
        "securityGroups",
        "instanceProfile",
        "conditions",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), Json::Null))
    .collect();
    if let Json::Object(made) = json!(status) {
        fields.extend(made);
    }
    Json::Object(fields)
}

impl Controller for NodeClasses {
    fn name(&self) -> &'static str {
        NAME
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let all = || view.ec2_node_classes.iter().map(|(key, _)| key.clone());
        if self.memory.note(change) {
            return all().collect();
        }
        match change.kind {
            Some(Kind::Ec2NodeClass) => vec![change.key.clone()],
            Some(Kind::Cloud) => all().collect(),
            Some(Kind::NodeClaim) if change.after.is_none() => match &change.before {
                Some(Object::NodeClaim(claim)) => {
                    vec![Key::cluster(&claim.spec.node_class_ref.name)]
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let (Some(class), Some(settings)) = (
            context.view.ec2_node_classes.get(key),
            self.memory.settings(context.view),
        ) else {
            return Outcome::settled();
        };
        if class.is_deleting() {
            return self.finalize(class, context);
        }
        let hash = hash::of_class(class);
        let hashed = class.annotation(hash::CLASS_HASH) == Some(&hash)
            && class.annotation(hash::CLASS_VERSION.0) == Some(hash::CLASS_VERSION.1);
        if !hashed || !class.has_finalizer(FINALIZER) {
            let mut finalizers = class.metadata.finalizers.clone().unwrap_or_default();
            if !class.has_finalizer(FINALIZER) {
                finalizers.push(FINALIZER.to_owned());
            }
            return Outcome::of(vec![class.patch_as_seen(json!({"metadata": {
                "finalizers": finalizers,
                "annotations": {
                    (hash::CLASS_HASH): hash,
                    (hash::CLASS_VERSION.0): hash::CLASS_VERSION.1,
                },
            }}))]);
        }
        let made = status(class, context, &settings.cluster);
        if class.status.as_ref() == Some(&made) {
            return Outcome::settled();
        }
        Outcome::of(vec![status_as_seen(&**class, patch(&made))])
    }
}

/// A merge patch of a status that is refused once the object has changed.
pub(super) fn status_as_seen<T: Named>(object: &T, status: Json) -> Action {
    Action::Patch {
        of: object.reference(),
        subresource: Some("status"),
        patch: json!({
            "metadata": {
                "uid": object.uid(),
                "resourceVersion": object.metadata().resource_version,
            },
            "status": status,
        }),
    }
}

impl NodeClasses {
    /// A class goes once no claim uses it.
    fn finalize(&self, class: &Ec2NodeClass, context: Context<'_>) -> Outcome {
        if !class.has_finalizer(FINALIZER) {
            return Outcome::settled();
        }
        let mut names: Vec<&str> = context
            .view
            .node_claims
            .iter()
            .filter(|(_, claim)| claim.spec.node_class_ref.name == class.name())
            .map(|(key, _)| &*key.name)
            .collect();
        if names.is_empty() {
            return Outcome::of(vec![class.without_finalizer(FINALIZER)]);
        }
        let more = names.len().saturating_sub(5);
        names.truncate(5);
        let mut list = names.join(", ");
        if more > 0 {
            list.push_str(&format!(" and {more} other(s)"));
        }
        let event = self.memory.lock().tell(
            context.now,
            Telling {
                about: class.subject(),
                kind: EventKind::Normal,
                reason: "WaitingOnNodeClaimTermination",
                message: format!("Waiting on NodeClaim termination for {list}"),
                same: &[class.uid()],
                seconds: 120,
            },
        );
        Outcome::of(event.into_iter().collect()).again_at(context.now + pause(context.pace, 600.0))
    }
}
