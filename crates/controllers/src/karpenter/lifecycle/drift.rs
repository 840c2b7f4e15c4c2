//! Whether a claim's machine is still what its pool and its class say (`nodeclaim/disruption/drift.go`, the provider's
//! `pkg/cloudprovider/drift.go`).

use std::collections::BTreeSet;

use autoscale::karpenter::disruption::drift;
use autoscale::version::KarpenterVersion;
use autoscale::world::Builder;
use catalog::instance_types;
use jiff::{SignedDuration, Timestamp};
use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::NodeClaim;
use objects::snapshot::Object;

use super::super::offer::Offers;
use super::super::{claims, images};
use crate::View;
use crate::document::Named;

/// How old a claim has to be before a missing instance type counts.
const TYPES_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The first reason that holds.
pub(super) fn reason(
    view: &View,
    claim: &NodeClaim,
    class: &Ec2NodeClass,
    offers: &mut Offers,
    now: Timestamp,
) -> Option<String> {
    let pool = claims::pool(view, claim)?;
    let mut own = claim.clone();
    // Only the hashes and labels of a claim that is on its way say anything.
    if let Some(status) = &mut own.status {
        status.conditions.retain(|one| one.type_ != "Drifted");
    }
    let mut builder = Builder::new(KarpenterVersion::NEWEST);
    builder.add(Object::NodePool(Box::new(pool.clone())));
    builder.add(Object::Ec2NodeClass(Box::new(class.clone())));
    builder.add(Object::NodeClaim(Box::new(own)));
    if let Some(node) = claims::node(view, claim) {
        builder.add(Object::Node(Box::new(node.clone())));
    }
    let (world, _) = builder.finish(&mut |_, _| None);
    let told = world
        .live_nodes()
        .next()
        .and_then(|(id, _)| drift::reason(&world, id, now));
    if let Some(reason) = told {
        return Some(reason.to_string());
    }
    let kind = claim.label("node.kubernetes.io/instance-type");
    let created = claim.metadata.creation_timestamp.as_ref().map(|at| at.0);
    if created.is_some_and(|created| now.duration_since(created) > TYPES_AFTER)
        && !kind.is_some_and(|kind| offers.has(kind, class, view))
    {
        return Some("InstanceTypeNotFound".to_owned());
    }
    by_class(view, claim, class, kind)
}

/// What is compared with what the class has found.
fn by_class(
    view: &View,
    claim: &NodeClaim,
    class: &Ec2NodeClass,
    kind: Option<&str>,
) -> Option<String> {
    let status = class.status.as_ref()?;
    let image = claim.status.as_ref()?.image_id.as_deref()?;
    let labels = instance_types::by_name(kind?)?.labels();
    let label = |key: &str| {
        let found = labels.iter().find(|(other, _)| *other == key);
        found.map(|(_, value)| &**value)
    };
    if !status.amis.is_empty() {
        // The first image that suits is the newest, which a new machine would get.
        let wanted = status.amis.iter().find(|image| images::suits(image, label));
        if wanted.is_none_or(|wanted| wanted.id != image) {
            return Some("AMIDrift".to_owned());
        }
    }
    let instance = claims::instance(view, claim)?;
    let wanted: BTreeSet<&str> = status
        .security_groups
        .iter()
        .filter_map(|group| group.id.as_deref())
        .collect();
    let there: BTreeSet<&str> = instance
        .security_groups
        .iter()
        .map(String::as_str)
        .collect();
    if !wanted.is_empty() && wanted != there {
        return Some("SecurityGroupDrift".to_owned());
    }
    let found = status
        .subnets
        .iter()
        .any(|subnet| subnet.id == instance.subnet);
    (!status.subnets.is_empty() && !found).then(|| "SubnetDrift".to_owned())
}
