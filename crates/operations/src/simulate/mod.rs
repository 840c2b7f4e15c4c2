//! What Karpenter and kube-scheduler would do, from a snapshot of a cluster or from an environment that is not built yet.

#[cfg(test)]
mod tests;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use autoscale::answer::{Answer, Finding, Level};
use autoscale::ec2_types;
use autoscale::instance_csv;
use autoscale::simulation::{
    Delays, Interruption, Question, Removal, Switches, UnknownTarget, set_unreported_budgets,
    simulate,
};
use autoscale::version::KarpenterVersion;
use autoscale::world::Builder;
use catalog::ids::Region;
use catalog::instance_types::{SPOT_RATIO, SpotRatio};
use jiff::Timestamp;
use objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::snapshot::{self, Object, Report};

use crate::Wanted;
use crate::error::Error;

pub use blueprint::kubernetes::Replicas;

/// Where the cluster comes from.
#[derive(Debug, Clone, Copy)]
pub enum Cluster<'a> {
    /// Texts of a snapshot, with what they are called.
    Snapshot(&'a [(PathBuf, String)]),
    /// An environment of the spec, before it is built.
    Environment(&'a Wanted, Replicas),
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Simulation<'a> {
    /// The cluster.
    pub cluster: Cluster<'a>,
    /// Objects that are added, or that take the place of those of the same kind and name.
    pub apply: &'a [(PathBuf, String)],
    /// A table of instance types, which then holds for every node class.
    pub instance_types: Option<&'a (PathBuf, String)>,
    /// Where instance types are that were fetched from AWS; without it those in the binary serve.
    pub data_folder: Option<&'a Path>,
    /// Spot prices as a share of the on-demand price, where the catalogue has none.
    pub spot_ratio: Option<SpotRatio>,
    /// What is taken away.
    pub removes: Vec<Removal>,
    /// What AWS says.
    pub interrupts: Vec<Interruption>,
    /// How much time is played.
    pub span: Option<Duration>,
    /// When it begins; by default the newest time in the snapshot.
    pub at: Option<Timestamp>,
    /// Decides what rules leave open.
    pub seed: u64,
    /// Karpenter's settings.
    pub switches: Switches,
    /// Which Karpenter.
    pub version: KarpenterVersion,
    /// The node of which everything is told.
    pub explain: Option<String>,
    /// How long things take.
    pub delays: Delays,
}

/// When a cluster is taken to be that says nothing of time.
const NO_TIME: Timestamp = Timestamp::UNIX_EPOCH;

impl Simulation<'_> {
    /// Answers.
    ///
    /// # Errors
    ///
    /// When a text is no snapshot or no table, when there is no node pool, or when what is to be removed or interrupted isn't
    /// there: with file, place and reason.
    pub fn run(&self) -> Result<Answer, Error> {
        let mut input = Input::default();
        let mut builder = Builder::new(self.version);
        for (path, text) in self.apply {
            let applied = &mut input.applied;
            let mut order = Vec::new();
            let summary = snapshot::read(text, &mut |located| {
                let key = key(&located.object);
                order.push(key.clone());
                applied.insert(key, located.object);
            });
            input.order.extend(order);
            input.reports(path, summary)?;
        }
        match self.cluster {
            Cluster::Snapshot(texts) => {
                for (path, text) in texts {
                    let summary = snapshot::read(text, &mut |located| {
                        input_object(&mut input, &mut builder, located.object);
                    });
                    input.reports(path, summary)?;
                }
            }
            Cluster::Environment(wanted, replicas) => {
                let objects = blueprint::kubernetes::cluster(&wanted.platform, replicas)
                    .map_err(Error::Kubernetes)?;
                for object in objects {
                    let key = key(&object);
                    if !input.applied.contains_key(&key) {
                        input.order.push(key.clone());
                        input.applied.insert(key, object);
                    }
                }
                input.region = Some(wanted.platform.region.clone());
            }
        }
        let at = self.at.or(input.newest).unwrap_or(NO_TIME);
        if self.at.is_none()
            && input.newest.is_none()
            && !matches!(self.cluster, Cluster::Environment(..))
        {
            input.note(
                "Simulation",
                format!("nothing in the snapshot has a time: it is taken to be {at} (--at TIME says otherwise)"),
            );
        }
        input.apply(&mut builder, at)?;
        input.owner_cycles();
        if input.pools == 0 {
            return Err(Error::NoNodePools);
        }
        let (world, estimated) = self.world(builder, &mut input)?;
        let question = Question {
            span: self.span,
            at,
            seed: self.seed,
            switches: self.switches,
            removes: self.removes.clone(),
            interrupts: self.interrupts.clone(),
            explain: self.explain.clone(),
            delays: self.delays,
            spot_is_estimated: estimated,
            findings: input.findings,
        };
        simulate(world, &question).map_err(|UnknownTarget(what)| Error::NotInSnapshot(what))
    }

    /// The world, and whether its Spot prices are estimates.
    fn world(
        &self,
        builder: Builder,
        input: &mut Input,
    ) -> Result<(autoscale::world::World, bool), Error> {
        let mut wrong = None;
        let mut from_catalogue = false;
        let memory = std::mem::take(&mut input.memory);
        let mut zones: Vec<String> = input.zones.iter().cloned().collect();
        let region = input.region(&mut zones);
        let catalogue = match (self.data_folder, self.instance_types) {
            (Some(folder), None) => Some(crate::instance_types::load(folder, &region)?),
            _ => None,
        };
        let table = catalogue
            .as_ref()
            .map_or(catalog::instance_types::table(), |known| &*known.table);
        let offerings = catalogue
            .as_ref()
            .and_then(|known| known.offerings.as_ref());
        let place = ec2_types::Place {
            table,
            offerings,
            region: region.clone(),
            zones,
            memory,
            spot_ratio: self.spot_ratio.unwrap_or(SPOT_RATIO),
        };
        let (mut world, found) = builder.finish(&mut |world, class| match self.instance_types {
            Some((path, text)) => match instance_csv::parse(text, &mut world.names) {
                Ok(types) => Some(types),
                Err(errors) => {
                    wrong = Some((path.clone(), errors));
                    None
                }
            },
            None if class.kind == "EC2NodeClass" => {
                from_catalogue = true;
                Some(ec2_types::of_class(world, class.object, &place))
            }
            None => None,
        });
        if let Some((path, errors)) = wrong {
            return Err(Error::InstanceTable {
                path,
                reasons: errors.iter().map(ToString::to_string).collect(),
            });
        }
        let estimated = from_catalogue && offerings.is_none();
        if estimated {
            let ratio = place.spot_ratio.get();
            input.note(
                "Prices",
                format!(
                    "Spot prices are estimates: {ratio} of the on-demand price (--spot-ratio, or --instance-types with your own)"
                ),
            );
            if region != *table.region() {
                input.note(
                    "Prices",
                    format!(
                        "on-demand prices are those of {} ({}): the table has none of {region}",
                        table.region(),
                        table.date()
                    ),
                );
            }
            input.note(
                "Prices",
                "every instance type is taken to be offered in every zone of its node class"
                    .to_owned(),
            );
        }
        for finding in found {
            let level = match finding.kind {
                autoscale::world::FindingKind::Duplicate
                | autoscale::world::FindingKind::LeftOut(_) => Level::Note,
                _ => Level::Warning,
            };
            input.findings.push(Finding {
                level,
                about: finding.object.replacen(' ', "/", 1),
                message: finding.kind.to_string(),
            });
        }
        set_unreported_budgets(&mut world, &input.unreported);
        Ok((world, estimated))
    }
}

type Key = (&'static str, String, String);

/// What is gathered while texts are read.
#[derive(Default)]
struct Input {
    applied: BTreeMap<Key, Object>,
    order: Vec<Key>,
    findings: Vec<Finding>,
    newest: Option<Timestamp>,
    zones: BTreeSet<String>,
    region: Option<Region>,
    memory: BTreeMap<String, i64>,
    pools: usize,
    unreported: rustc_hash::FxHashSet<String>,
    /// Who owns whom, for cycles.
    owners: BTreeMap<(String, String, String), (String, String)>,
    replaced: BTreeMap<String, usize>,
}

fn key(object: &Object) -> Key {
    let metadata = object.metadata();
    (
        object.kind(),
        namespace(metadata),
        metadata.name.clone().unwrap_or_default(),
    )
}

/// Whatever says no namespace is in `default`; what has none at all is the same everywhere.
fn namespace(metadata: &ObjectMeta) -> String {
    metadata
        .namespace
        .clone()
        .unwrap_or_else(|| "default".to_owned())
}

/// An object of the snapshot: counted and handed on, unless one that is applied takes its place.
fn input_object(input: &mut Input, builder: &mut Builder, object: Object) {
    if input.applied.contains_key(&key(&object)) || input.is_replaced(&object) {
        return;
    }
    input.look_at(&object);
    builder.add(object);
}

impl Input {
    fn note(&mut self, about: &str, message: String) {
        self.findings.push(Finding {
            level: Level::Note,
            about: about.to_owned(),
            message,
        });
    }

    /// A text's faults: errors end it, unknown kinds and fields are findings.
    fn reports(&mut self, path: &Path, summary: snapshot::Summary) -> Result<(), Error> {
        if !summary.errors.is_empty() {
            return Err(Error::Snapshot {
                path: path.to_owned(),
                reasons: summary.errors.iter().map(ToString::to_string).collect(),
                more: summary.more,
            });
        }
        let mut groups: BTreeMap<String, (usize, &Report)> = BTreeMap::new();
        for finding in &summary.findings {
            let kind = finding
                .object
                .as_ref()
                .map_or("", |object| object.kind.as_str());
            let what = format!("{kind}|{}|{}", finding.path, finding.reason);
            groups.entry(what).or_insert((0, finding)).0 += 1;
        }
        for (count, first) in groups.values() {
            let more = match count {
                1 => String::new(),
                more => format!(" ({} more like it)", more - 1),
            };
            self.findings.push(Finding {
                level: Level::Note,
                about: path.display().to_string(),
                message: format!("{first}{more}"),
            });
        }
        Ok(())
    }

    /// Pods of a workload that is applied anew: its controllers replace them.
    fn is_replaced(&mut self, object: &Object) -> bool {
        let Object::Pod(pod) = object else {
            return false;
        };
        let namespace = namespace(&pod.metadata);
        let mut owners = pod.metadata.owner_references.iter().flatten();
        let found = owners.find_map(|owner| {
            let above = match owner.kind.as_str() {
                "ReplicaSet" => owner
                    .name
                    .rsplit_once('-')
                    .map(|(name, _)| ("Deployment", name.to_owned())),
                "StatefulSet" => Some(("StatefulSet", owner.name.clone())),
                "Job" => Some(("Job", owner.name.clone())),
                _ => None,
            }?;
            let key = (above.0, namespace.clone(), above.1);
            self.applied
                .contains_key(&key)
                .then(|| format!("{}/{}/{}", key.0, key.1, key.2))
        });
        if let Some(name) = found {
            *self.replaced.entry(name).or_default() += 1;
            return true;
        }
        false
    }

    fn look_at(&mut self, object: &Object) {
        let metadata = object.metadata();
        let mut newest = self.newest;
        let mut see = |time: Option<Timestamp>| newest = newest.max(time);
        see(metadata.creation_timestamp.as_ref().map(|time| time.0));
        match object {
            Object::Pod(pod) => {
                let status = pod.status.as_ref();
                see(status
                    .and_then(|status| status.start_time.as_ref())
                    .map(|time| time.0));
                for condition in status
                    .and_then(|status| status.conditions.as_ref())
                    .into_iter()
                    .flatten()
                {
                    see(condition.last_transition_time.as_ref().map(|time| time.0));
                }
            }
            Object::Node(node) => {
                for condition in node
                    .status
                    .as_ref()
                    .and_then(|status| status.conditions.as_ref())
                    .into_iter()
                    .flatten()
                {
                    see(condition.last_transition_time.as_ref().map(|time| time.0));
                    see(condition.last_heartbeat_time.as_ref().map(|time| time.0));
                }
            }
            Object::NodeClaim(claim) => {
                if let Some(status) = &claim.status {
                    see(status.last_pod_event_time.as_ref().map(|time| time.0));
                    for condition in &status.conditions {
                        see(condition.last_transition_time.as_ref().map(|time| time.0));
                    }
                }
            }
            _ => {}
        }
        self.newest = newest;
        match object {
            Object::NodePool(_) => self.pools += 1,
            Object::Node(node) => self.look_at_node(node),
            Object::PodDisruptionBudget(budget) if budget.status.is_none() => {
                let namespace = metadata.namespace.as_deref().unwrap_or("default");
                let name = metadata.name.as_deref().unwrap_or_default();
                self.unreported.insert(format!("{namespace}/{name}"));
            }
            _ => {}
        }
        for owner in metadata.owner_references.iter().flatten() {
            if owner.controller == Some(true) {
                self.owners.insert(
                    (
                        object.kind().to_owned(),
                        metadata.namespace.clone().unwrap_or_default(),
                        metadata.name.clone().unwrap_or_default(),
                    ),
                    (owner.kind.clone(), owner.name.clone()),
                );
            }
        }
    }

    fn look_at_node(&mut self, node: &objects::k8s_openapi::api::core::v1::Node) {
        let label = |key: &str| node.metadata.labels.as_ref()?.get(key).cloned();
        self.zones.extend(label("topology.kubernetes.io/zone"));
        if self.region.is_none() {
            self.region =
                label("topology.kubernetes.io/region").and_then(|region| Region::new(&region).ok());
        }
        let memory = node
            .status
            .as_ref()
            .and_then(|status| status.capacity.as_ref()?.get("memory"))
            .and_then(|text| text.0.parse::<objects::Quantity>().ok())
            .map(|quantity| quantity.units());
        if let (Some(kind), Some(memory)) = (label("node.kubernetes.io/instance-type"), memory) {
            let known = self.memory.entry(kind).or_insert(memory);
            *known = (*known).min(memory);
        }
    }

    /// Hands on what is applied, workloads with their pods.
    fn apply(&mut self, builder: &mut Builder, at: Timestamp) -> Result<(), Error> {
        let mut applied = std::mem::take(&mut self.applied);
        for key in std::mem::take(&mut self.order) {
            let Some(object) = applied.remove(&key) else {
                continue;
            };
            if workloads::replicas(&object) > workloads::MOST_PODS {
                return Err(Error::TooManyReplicas {
                    workload: format!("{}/{}/{}", key.0, key.1, key.2),
                    most: workloads::MOST_PODS,
                });
            }
            for made in workloads::made_of(&object, at) {
                self.look_at_made(&made);
                builder.add(made);
            }
            let newest = self.newest;
            self.look_at(&object);
            self.newest = newest;
            builder.add(object);
        }
        for (name, count) in std::mem::take(&mut self.replaced) {
            self.note(
                &name,
                format!("{count} of its pods in the snapshot are taken to be replaced already: how a rollout goes is not played"),
            );
        }
        Ok(())
    }

    fn look_at_made(&mut self, object: &Object) {
        if let Object::Node(node) = object {
            self.look_at_node(node);
        }
    }

    /// The region: the nodes', that of their zones, or the table's; where no zone is known, the region's first three.
    fn region(&mut self, zones: &mut Vec<String>) -> Region {
        let of_zone = zones.iter().find_map(|zone| {
            let end = zone.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
            Region::new(end).ok()
        });
        let table = catalog::instance_types::table().region().clone();
        let region = self.region.clone().or(of_zone).unwrap_or(table);
        if zones.is_empty() {
            zones.extend(["a", "b", "c"].map(|letter| format!("{region}{letter}")));
            self.note(
                "Zones",
                format!(
                    "no node and no node class says in which zones nodes may be: {} are taken",
                    zones.join(", ")
                ),
            );
        }
        region
    }

    /// Owners that own each other in a ring: nothing makes such pods again.
    fn owner_cycles(&mut self) {
        let mut rings = BTreeSet::new();
        for start in self.owners.keys() {
            let mut seen = BTreeSet::new();
            let mut at = start.clone();
            while let Some((kind, name)) = self.owners.get(&at) {
                if !seen.insert(at.clone()) {
                    if at == *start {
                        rings.insert(seen);
                    }
                    break;
                }
                at = (kind.clone(), at.1.clone(), name.clone());
            }
        }
        for ring in rings {
            let names: Vec<String> = ring
                .iter()
                .take(5)
                .map(|(kind, namespace, name)| format!("{kind} {namespace}/{name}"))
                .collect();
            self.findings.push(Finding {
                level: Level::Warning,
                about: names[0].replacen(' ', "/", 1),
                message: format!("owner references go in a ring: {}", names.join(", ")),
            });
        }
        self.owners.clear();
    }
}
