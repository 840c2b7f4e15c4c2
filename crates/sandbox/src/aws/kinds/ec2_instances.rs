//! EC2 instances: those of a managed node group, and those that a cluster's Karpenter launches. No call of Cloud Control makes
//! them; they stand in the world all the same, so that what they use can't be deleted.
//!
//! Private keys of the model: `__Cluster` and, of whoever launched it, `__NodeGroup` or `__NodeClaim`; `__Spot`; `__RunningAt`.
//! One that shuts down has `__ShutsDownAt` and, as everything that goes by itself, `__DeletionDate`.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use catalog::TypeName;
use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::document::{items, number, text, text_or, texts};
use super::ec2_network::side_entry;
use super::{Context, Effect};
use crate::aws::ids::Ids;
use crate::aws::world::Entry;

pub(crate) const INSTANCE: TypeName = TypeName::new("AWS::EC2::Instance");

/// What an instance is to be.
pub(crate) struct Wanted<'a> {
    pub(crate) cluster: &'a str,
    /// `__NodeGroup` or `__NodeClaim`, and its name.
    pub(crate) origin: (&'static str, &'a str),
    pub(crate) instance_type: &'a str,
    pub(crate) image: &'a str,
    pub(crate) subnet: &'a str,
    pub(crate) security_groups: Vec<&'a str>,
    pub(crate) spot: bool,
    pub(crate) tags: Vec<(String, String)>,
}

/// A new instance; none when its subnet is not there or has no address left. `taken` are addresses that are given away already
/// and not in the world yet.
pub(crate) fn launched(
    cx: &Context<'_>,
    wanted: &Wanted<'_>,
    taken: &mut BTreeSet<Ipv4Addr>,
    ids: &mut Ids,
) -> Option<Entry> {
    let subnet = cx.live("AWS::EC2::Subnet", wanted.subnet)?;
    let address = free_address(cx, subnet, taken, ids)?;
    let id = ids.hex17("i");
    let region = cx.world.region();
    let host = address.to_string().replace('.', "-");
    let domain = if region == "us-east-1" {
        "ec2.internal".to_owned()
    } else {
        format!("{region}.compute.internal")
    };
    let mut model = json!({
        "InstanceId": id,
        "InstanceType": wanted.instance_type,
        "ImageId": wanted.image,
        "SubnetId": wanted.subnet,
        "VpcId": text_or(&subnet.model, "VpcId", ""),
        "AvailabilityZone": text_or(&subnet.model, "AvailabilityZone", ""),
        "SecurityGroupIds": wanted.security_groups,
        "PrivateIp": address.to_string(),
        "PrivateDnsName": format!("ip-{host}.{domain}"),
        "Tags": wanted.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect::<Vec<_>>(),
        "__Cluster": wanted.cluster,
        "__Spot": wanted.spot,
        "__RunningAt": cx.now + cx.settings.instance_start_seconds,
    });
    model[wanted.origin.0] = wanted.origin.1.into();
    Some(side_entry(cx, INSTANCE, &id, model))
}

/// An address that nothing has: EC2 keeps the first four and the last of each block.
fn free_address(
    cx: &Context<'_>,
    subnet: &Entry,
    taken: &mut BTreeSet<Ipv4Addr>,
    ids: &mut Ids,
) -> Option<Ipv4Addr> {
    let block: Ipv4Net = text(&subnet.model, "CidrBlock")?.parse().ok()?;
    let size = 1_u64 << (32 - u32::from(block.prefix_len()));
    let used: BTreeSet<Ipv4Addr> = cx
        .world
        .of_type(&INSTANCE)
        .filter_map(|entry| text(&entry.model, "PrivateIp")?.parse().ok())
        .collect();
    let room = size.checked_sub(5).filter(|room| *room > 0)?;
    let first = u32::from(block.network()) + 4;
    let start = ids.below(room);
    let address = (0..room)
        .map(|step| (start + step) % room)
        .filter_map(|offset| u32::try_from(offset).ok())
        .map(|offset| Ipv4Addr::from(first + offset))
        .find(|address| !used.contains(address) && !taken.contains(address))?;
    taken.insert(address);
    Some(address)
}

/// An instance that is told to shut down.
pub(crate) fn terminated(cx: &Context<'_>, entry: &Entry) -> Entry {
    interrupted(cx, entry, 0.0)
}

/// An instance that shuts down in `notice` seconds, or earlier if that was said before.
pub(crate) fn interrupted(cx: &Context<'_>, entry: &Entry, notice: f64) -> Entry {
    let mut entry = entry.clone();
    let at = cx.now + notice;
    if shuts_down_at(&entry).is_none_or(|before| before > at) {
        entry.model["__ShutsDownAt"] = at.into();
        entry.model["__DeletionDate"] = (at + cx.settings.instance_stop_seconds).into();
    }
    entry
}

/// When an instance shuts down, in modelled seconds since the world began, if that is decided.
pub(crate) fn shuts_down_at(entry: &Entry) -> Option<f64> {
    entry.model.get("__ShutsDownAt").and_then(Value::as_f64)
}

/// The instances of a node group that are not shutting down, the oldest first.
pub(super) fn of_group<'a>(cx: &Context<'a>, group: &str) -> Vec<&'a Entry> {
    let mut instances: Vec<_> = cx
        .world
        .of_type(&INSTANCE)
        .filter(|entry| text(&entry.model, "__NodeGroup") == Some(group))
        .filter(|entry| entry.pending_deletion().is_none())
        .collect();
    instances.sort_by(|one, other| one.created_at.total_cmp(&other.created_at));
    instances
}

/// What takes the place of a node group's instance that goes: its Auto Scaling group keeps the size.
pub(crate) fn replaced(
    cx: &Context<'_>,
    group: &Value,
    id: &str,
    gone: &str,
    ids: &mut Ids,
) -> Vec<Effect> {
    let mut there = of_group(cx, id);
    there.retain(|entry| entry.identifier != gone);
    filled(cx, group, id, there.len(), ids)
}

/// What brings a node group's instances to what its model wants. `replace`: all that are there are of an old kind.
pub(super) fn scaled(
    cx: &Context<'_>,
    group: &Value,
    id: &str,
    replace: bool,
    ids: &mut Ids,
) -> Vec<Effect> {
    let wanted = wanted(group);
    let there = of_group(cx, id);
    let kept = if replace { 0 } else { there.len().min(wanted) };
    let ended = there[kept..]
        .iter()
        .map(|entry| Effect::Put(terminated(cx, entry)));
    let mut effects: Vec<Effect> = ended.collect();
    effects.extend(filled(cx, group, id, kept, ids));
    effects
}

/// How many instances a node group wants.
fn wanted(group: &Value) -> usize {
    number(group, "ScalingConfig/DesiredSize")
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(0)
}

/// The instances that a node group lacks that has so many.
fn filled(cx: &Context<'_>, group: &Value, id: &str, kept: usize, ids: &mut Ids) -> Vec<Effect> {
    let mut effects = Vec::new();
    let cluster = text_or(group, "ClusterName", "");
    let subnets = texts(group, "Subnets");
    let own_group = cx
        .world
        .get("AWS::EKS::Cluster", cluster)
        .and_then(|cluster| text(&cluster.model, "ClusterSecurityGroupId"));
    let template = super::ec2_template::data_of_group(cx, group);
    let instance_type = texts(group, "InstanceTypes")
        .first()
        .copied()
        .or_else(|| text(template?, "InstanceType"))
        .unwrap_or("t3.medium");
    let mut security_groups =
        template.map_or_else(Vec::new, |data| texts(data, "SecurityGroupIds"));
    if security_groups.is_empty() {
        security_groups.extend(own_group);
    }
    let name = text_or(group, "NodegroupName", "");
    let mut tags = vec![
        ("eks:cluster-name".to_owned(), cluster.to_owned()),
        ("eks:nodegroup-name".to_owned(), name.to_owned()),
        (
            format!("kubernetes.io/cluster/{cluster}"),
            "owned".to_owned(),
        ),
    ];
    // A launch template tags what is launched by it.
    for tag in template
        .map_or(&[][..], |data| items(data, "TagSpecifications"))
        .iter()
        .filter(|one| text(one, "ResourceType") == Some("instance"))
        .flat_map(|one| items(one, "Tags"))
    {
        if let (Some(key), Some(value)) = (text(tag, "Key"), text(tag, "Value")) {
            tags.push((key.to_owned(), value.to_owned()));
        }
    }
    let mut taken = BTreeSet::new();
    let spot = text(group, "CapacityType") == Some("SPOT");
    for number in kept..wanted(group) {
        let Some(subnet) = subnets.get(number % subnets.len().max(1)) else {
            break;
        };
        let wanted = Wanted {
            cluster,
            origin: ("__NodeGroup", id),
            instance_type,
            image: text_or(group, "ReleaseVersion", "ami-eks-managed"),
            subnet,
            security_groups: security_groups.clone(),
            spot,
            tags: tags.clone(),
        };
        effects.extend(launched(cx, &wanted, &mut taken, ids).map(Effect::Put));
    }
    effects
}
