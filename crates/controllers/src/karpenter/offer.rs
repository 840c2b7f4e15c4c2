//! What EC2 is asked for: the offerings of a claim in Karpenter's order (`pkg/providers/instance`), and what the instance that comes
//! of it is expected to be (`pkg/cloudprovider` `instanceToNodeClaim`).

use std::collections::{BTreeMap, BTreeSet};

use autoscale::ec2_types;
use autoscale::instances::{CapacityType, TypeSet};
use autoscale::karpenter::launch::{self, LaunchError};
use autoscale::names::Key as Label;
use autoscale::requirement::{Requirement, Requirements};
use autoscale::resources::{Amount, Resource, Resources};
use autoscale::version::KarpenterVersion;
use autoscale::world::World;
use catalog::instance_types;
use objects::Quantity;
use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::NodeClaim;
use serde_json::json;

use super::memory::Offering;
use super::picture::{capacity_type, place};
use super::{POOL, images};
use crate::View;
use crate::cloud::{Instance, Launch};
use crate::document::Named;

/// How many answers are kept of a class.
const MOST: usize = 1000;

/// Why nothing can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unlaunchable {
    #[error("creating instance, insufficient capacity, {0}")]
    Capacity(#[from] LaunchError),
    #[error("getting launch template configs, no amis exist given constraints")]
    NoImage,
}

/// What an instance has that its claim says.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    pub labels: BTreeMap<String, String>,
    pub capacity: BTreeMap<String, String>,
    pub allocatable: BTreeMap<String, String>,
}

/// The types of node classes, made once.
#[derive(Debug, Default)]
pub(super) struct Offers {
    classes: BTreeMap<String, Class>,
}

#[derive(Debug)]
struct Class {
    /// The class as it was.
    version: String,
    world: World,
    types: TypeSet,
    unavailable: BTreeSet<Offering>,
    /// What was found for claims that ask for the same.
    known: BTreeMap<String, Result<Vec<launch::Launch>, LaunchError>>,
}

impl Class {
    fn new(class: &Ec2NodeClass, view: &View, version: String) -> Option<Self> {
        let mut world = World::new(KarpenterVersion::NEWEST);
        for (name, _) in instance_types::all()
            .iter()
            .flat_map(catalog::instance_types::InstanceType::extended_resources)
        {
            world.resources.intern(name);
        }
        let types = ec2_types::of_class(&mut world, Some(class), &place(view)?);
        Some(Self {
            version,
            types: TypeSet::new(types),
            world,
            unavailable: BTreeSet::new(),
            known: BTreeMap::new(),
        })
    }

    fn set_unavailable(&mut self, wanted: &BTreeSet<Offering>) {
        if self.unavailable == *wanted {
            return;
        }
        let names = &self.world.names;
        for (offering, available) in self
            .unavailable
            .difference(wanted)
            .map(|offering| (offering, true))
            .chain(wanted.difference(&self.unavailable).map(|one| (one, false)))
        {
            let (kind, zone, spot) = offering;
            if let (Some(kind), Some(zone)) = (names.find_value(kind), names.find_value(zone)) {
                self.types
                    .set_available(kind, zone, capacity_type(*spot), available);
            }
        }
        self.unavailable.clone_from(wanted);
        self.known.clear();
    }

    fn requirements(&mut self, claim: &NodeClaim) -> Requirements {
        let names = &mut self.world.names;
        let mut all = Requirements::default();
        for one in &claim.spec.requirements {
            let key = names.key(&one.key);
            let values: Vec<_> = one.values.iter().map(|text| names.value(text)).collect();
            let made = Requirement::new(names, key, one.operator, &values, one.min_values);
            all.add(names, made);
        }
        all
    }

    fn requests(&self, claim: &NodeClaim) -> Resources {
        let mut all = Resources::ZERO;
        for (name, text) in &claim.spec.resources.requests {
            let amount: Quantity = text.0.parse().unwrap_or_default();
            match self.world.resources.find(name) {
                Some(Resource::CPU) => all[Resource::CPU] = amount.milli(),
                Some(resource) => all[resource] = amount.units(),
                None => {}
            }
        }
        all
    }

    fn offerings(&mut self, claim: &NodeClaim) -> Result<Vec<launch::Launch>, LaunchError> {
        let asked = json!([claim.spec.requirements, claim.spec.resources]).to_string();
        if let Some(known) = self.known.get(&asked) {
            return known.clone();
        }
        let requirements = self.requirements(claim);
        let requests = self.requests(claim);
        let types = &self.types;
        let names = &self.world.names;
        let mut bits = autoscale::bits::Bits::empty(types.len());
        let wanted = requirements.get(Label::INSTANCE_TYPE);
        for index in 0..types.len() {
            let name = types.get(index).name;
            if wanted.is_none_or(|wanted| wanted.has(names, name)) {
                bits.insert(index);
            }
        }
        let order = types.by_price(&bits, &requirements, names);
        let found = launch::offerings(types, order, &requirements, &requests, names);
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(asked, found.clone());
        found
    }
}

impl Offers {
    fn class(&mut self, class: &Ec2NodeClass, view: &View) -> Option<&mut Class> {
        let version = format!(
            "{} {:?}",
            class.uid(),
            class.metadata.resource_version.as_deref()
        );
        let name = class.name();
        if self
            .classes
            .get(name)
            .is_none_or(|known| known.version != version)
        {
            let made = Class::new(class, view, version)?;
            self.classes.insert(name.to_owned(), made);
        }
        self.classes.get_mut(name)
    }

    /// What `CreateFleet` is asked for.
    ///
    /// # Errors
    /// Nothing that the claim allows is to be had.
    pub(super) fn launch(
        &mut self,
        claim: &NodeClaim,
        class: &Ec2NodeClass,
        view: &View,
        unavailable: &BTreeSet<Offering>,
        cluster: &str,
    ) -> Result<Launch, Unlaunchable> {
        let none = LaunchError::InsufficientCapacity;
        let status = class.status.as_ref().ok_or(Unlaunchable::NoImage)?;
        let known = self.class(class, view).ok_or(none)?;
        known.set_unavailable(unavailable);
        let found = known.offerings(claim)?;
        let first = found.first().ok_or(none)?;
        let spot = first.capacity_type == CapacityType::Spot;
        let names = &known.world.names;
        let text = |value| names.value_text(value).into_owned();
        let image_of = |kind: &str| {
            let labels = instance_types::by_name(kind).map(|of| of.labels())?;
            let label = |key: &str| {
                let found = labels.iter().find(|(other, _)| *other == key);
                found.map(|(_, value)| &**value)
            };
            let image = status.amis.iter().find(|image| images::suits(image, label));
            image.map(|image| image.id.clone())
        };
        // One call has one image here; what another architecture would cost more comes into play once these are gone.
        let image = found
            .iter()
            .find_map(|offering| image_of(&text(offering.instance_type)))
            .ok_or(Unlaunchable::NoImage)?;
        let offerings: Vec<(String, String, String)> = found
            .iter()
            .filter_map(|offering| {
                let (kind, zone) = (text(offering.instance_type), text(offering.zone));
                let subnet = status.subnets.iter().find(|subnet| subnet.zone == zone)?;
                (image_of(&kind).as_ref() == Some(&image)).then(|| (kind, zone, subnet.id.clone()))
            })
            .collect();
        if offerings.is_empty() {
            return Err(none.into());
        }
        let mut tags = class.spec.tags.clone();
        tags.extend(
            [
                (format!("kubernetes.io/cluster/{cluster}"), "owned"),
                (POOL.to_owned(), claim.label(POOL).unwrap_or_default()),
                ("eks:eks-cluster-name".to_owned(), cluster),
                ("karpenter.k8s.aws/ec2nodeclass".to_owned(), class.name()),
                ("karpenter.sh/nodeclaim".to_owned(), claim.name()),
            ]
            .map(|(key, value)| (key, value.to_owned())),
        );
        Ok(Launch {
            node_claim: claim.name().to_owned(),
            node_class: class.name().to_owned(),
            spot,
            offerings,
            image,
            security_groups: status
                .security_groups
                .iter()
                .filter_map(|group| group.id.clone())
                .collect(),
            role: class
                .spec
                .role
                .clone()
                .or_else(|| status.instance_profile.clone())
                .unwrap_or_default(),
            tags,
        })
    }

    /// What an instance's claim says of it.
    pub(super) fn expected(
        &mut self,
        instance: &Instance,
        class: &Ec2NodeClass,
        view: &View,
    ) -> Expected {
        let mut expected = Expected::default();
        if let Some(known) = self.class(class, view)
            && let Some(index) = known
                .world
                .names
                .find_value(&instance.instance_type)
                .and_then(|name| known.types.find(name))
        {
            let kind = known.types.get(index);
            let names = &known.world.names;
            for requirement in kind.requirements.iter() {
                if let Some(value) = requirement.single() {
                    expected.labels.insert(
                        names.key_text(requirement.key).to_owned(),
                        names.value_text(value).into_owned(),
                    );
                }
            }
            let written = |amounts: Resources| -> BTreeMap<String, String> {
                amounts
                    .iter()
                    .filter(|(_, amount)| *amount > 0)
                    .map(|(resource, amount)| {
                        let name = known.world.resources.name(resource).to_owned();
                        (name, Amount(resource, amount).to_string())
                    })
                    // EFAs are there only where a class asks for their interfaces.
                    .filter(|(name, _)| name != "vpc.amazonaws.com/efa")
                    .collect()
            };
            expected.capacity = written(kind.capacity);
            expected.allocatable = written(kind.allocatable());
        }
        let bought = if instance.spot { "spot" } else { "on-demand" };
        let mut label = |key: &str, value: &str| {
            expected.labels.insert(key.to_owned(), value.to_owned());
        };
        label("topology.kubernetes.io/zone", &instance.zone);
        label("karpenter.sh/capacity-type", bought);
        label("karpenter.k8s.aws/instance-tenancy", "default");
        let subnets = class.status.iter().flat_map(|status| &status.subnets);
        let zone_id = subnets
            .filter(|subnet| subnet.zone == instance.zone)
            .find_map(|subnet| subnet.zone_id.as_deref());
        if let Some(id) = zone_id {
            label("topology.k8s.aws/zone-id", id);
        }
        expected
    }

    /// Whether a class has a type at all.
    pub(super) fn has(&mut self, kind: &str, class: &Ec2NodeClass, view: &View) -> bool {
        self.class(class, view).is_none_or(|known| {
            known
                .world
                .names
                .find_value(kind)
                .is_some_and(|name| known.types.find(name).is_some())
        })
    }
}
