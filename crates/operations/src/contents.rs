//! What others have made in a cluster that is to be destroyed, as a part of the plan: load balancers first, then what has
//! pods, then claims and volumes, then nodes, and all of it before anything that it runs on or that takes it away.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::{Address, Identifier};
use catalog::{Realm, TypeName};
use engine::patiently;
use graph::{Action, Change, Lifecycle, Plan, State, Summary};
use kubernetes::{Content, Contents, Part, drained};

use crate::error::Error;
use crate::target::{Connection, Target};

const CLUSTER: TypeName = TypeName::new("AWS::EKS::Cluster");
const ACCESS_ENTRY: TypeName = TypeName::new("AWS::EKS::AccessEntry");
/// The first part of the address of what others have made: no resource of ours has it.
const PLACE: &str = "contents";
/// What AWS does not delete as long as a load balancer uses it.
const OF_AN_ENTRANCE: [&str; 9] = [
    "AWS::CertificateManager::Certificate",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::Route",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::Subnet",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::WAFv2::WebACL",
    "AWS::WAFv2::IPSet",
];

/// What is known of what others have made in the cluster of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// There is no cluster that is ours to empty.
    None,
    /// It was not asked.
    NotAsked,
    /// The cluster is gone, and so is what was in it.
    Gone,
    /// It was asked: so many things are in the plan.
    Listed(usize),
    /// It is not to be asked: what is in it goes with it.
    Abandoned,
}

/// Whether a change is of something that others have made in the cluster.
pub fn is_made_by_others(change: &Change) -> bool {
    is_address_of_others(&change.address)
}

/// Whether an address is of something that others have made in the cluster.
pub fn is_address_of_others(address: &Address) -> bool {
    address.as_str().split('/').next() == Some(PLACE)
}

/// The cluster of a state, if it is ours and we can have got into it: with an access entry.
pub(crate) fn cluster(state: &State) -> Option<(&Address, &Identifier)> {
    let has_entry = state
        .resources
        .values()
        .any(|known| known.type_name == ACCESS_ENTRY);
    let (address, cluster) = state
        .resources
        .iter()
        .find(|(_, known)| known.type_name == CLUSTER && known.lifecycle == Lifecycle::Managed)?;
    has_entry.then_some((address, &cluster.identifier))
}

/// Asks the cluster what others have made in it, and puts that into a plan to destroy.
pub(crate) async fn list(
    connection: &Connection,
    target: &Target,
    state: &State,
    plan: &mut Plan,
) -> Result<Inside, Error> {
    let Some((address, name)) = cluster(state) else {
        return Ok(Inside::None);
    };
    let releases = releases(state);
    let ask = || connection.in_cluster.contents(name.as_str(), &releases);
    let contents =
        patiently(target.pace, ask)
            .await
            .map_err(|source| Error::ClusterOutOfReach {
                cluster: name.to_string(),
                environment: plan.scope.environment.clone(),
                source,
            })?;
    let Some(contents) = contents else {
        return Ok(Inside::Gone);
    };
    let listed = contents.found.len();
    add(plan, state, address, &contents);
    Ok(Inside::Listed(listed))
}

/// Leaves alone what is in the cluster: it goes with it.
pub(crate) fn abandon(state: &State, plan: &mut Plan) -> Inside {
    let Some((cluster, _)) = cluster(state) else {
        return Inside::None;
    };
    let order = Order::new(state, cluster);
    for change in &mut plan.changes {
        // Its load balancers go with it, and not before.
        if change.address == *cluster {
            change.needs.extend(order.of_entrances.iter().cloned());
        }
        if change.type_name.realm() != Realm::Aws && change.action == Action::Delete {
            change.action = Action::Forget;
            change.reason = "the cluster is not asked: it goes with it".to_owned();
        }
    }
    plan.summary = Summary::of(&plan.changes);
    Inside::Abandoned
}

/// The releases of a state, by namespace and name.
fn releases(state: &State) -> BTreeSet<(String, String)> {
    let releases = state
        .resources
        .values()
        .filter(|known| known.type_name.realm() == Realm::Helm);
    releases
        .filter_map(|known| {
            // `cluster|namespace|name`
            let (place, name) = known.identifier.as_str().rsplit_once('|')?;
            let (_, namespace) = place.rsplit_once('|')?;
            Some((namespace.to_owned(), name.to_owned()))
        })
        .collect()
}

fn add(plan: &mut Plan, state: &State, cluster: &Address, contents: &Contents) {
    for change in &mut plan.changes {
        // Our own pools say what becomes of their nodes, too.
        if change.type_name.resource() == "NodePool"
            && change.type_name.realm() == Realm::Kubernetes
            && let Some(name) = change.identifier.as_ref()
            && let Some(pool) = name.as_str().rsplit('|').next()
            && let Some(nodes) = contents.nodes.get(pool)
        {
            change.reason = drained(*nodes);
        }
    }
    let mut order = Order::new(state, cluster);
    let addresses: Vec<Address> = contents
        .found
        .iter()
        .map(|content| order.address(content))
        .collect();
    let parts = Parts::of(&contents.found, &addresses);
    let mut changes: Vec<Change> = contents
        .found
        .iter()
        .zip(&addresses)
        .map(|(content, address)| Change {
            address: address.clone(),
            type_name: content.type_name.clone(),
            action: Action::Delete,
            reason: content.about.clone(),
            identifier: Some(content.identifier.clone()),
            properties: Vec::new(),
            replacement: None,
            needs: order.outlive(content, &parts),
            lifecycle: Lifecycle::Managed,
            desired: None,
        })
        .collect();
    changes.append(&mut plan.changes);
    plan.changes = changes;
    plan.summary = Summary::of(&plan.changes);
}

/// What has to outlive what is in the cluster.
struct Order {
    /// What it runs on and is taken away by. Only what nothing else of it needs: the rest goes after that.
    all: BTreeSet<Address>,
    /// What its load balancers use.
    of_entrances: BTreeSet<Address>,
    taken: BTreeSet<Address>,
}

impl Order {
    fn new(state: &State, cluster: &Address) -> Self {
        let mut all: BTreeSet<&Address> = BTreeSet::from([cluster]);
        let within = state
            .resources
            .iter()
            .filter(|(_, known)| known.type_name.realm() != Realm::Aws);
        all.extend(within.map(|(address, _)| address));
        // Whatever is made for the cluster may be what a controller works with: nodes, add-ons, identities.
        loop {
            let before = all.len();
            for (address, known) in &state.resources {
                if known.needs.iter().any(|need| all.contains(need)) {
                    all.insert(address);
                }
            }
            if all.len() == before {
                break;
            }
        }
        let needed: BTreeSet<&Address> = all
            .iter()
            .filter_map(|address| state.resources.get(*address))
            .flat_map(|known| &known.needs)
            .collect();
        let used: BTreeMap<&Address, &BTreeSet<Address>> = state
            .resources
            .iter()
            .filter(|(address, known)| {
                OF_AN_ENTRANCE.contains(&known.type_name.as_str()) && !all.contains(address)
            })
            .map(|(address, known)| (address, &known.needs))
            .collect();
        let by_others: BTreeSet<&Address> = used.values().copied().flatten().collect();
        let used = used.into_keys().filter(|one| !by_others.contains(one));
        Self {
            all: all.difference(&needed).map(|one| (*one).clone()).collect(),
            of_entrances: used.cloned().collect(),
            taken: BTreeSet::new(),
        }
    }

    /// `contents/stateful-set/shop/db`, with a number where that is taken.
    fn address(&mut self, content: &Content) -> Address {
        let kind = kebab(content.type_name.resource());
        let namespace = content.namespace.iter().map(|name| slug(name));
        let parts: Vec<String> = [PLACE.to_owned(), kind]
            .into_iter()
            .chain(namespace)
            .chain([slug(&content.name)])
            .collect();
        let mut text = parts.join("/");
        text.truncate(180);
        let text = text.trim_end_matches('/').to_owned();
        let mut number = 1;
        let mut candidate = text.clone();
        loop {
            if let Ok(address) = Address::new(&candidate)
                && self.taken.insert(address.clone())
            {
                return address;
            }
            number += 1;
            candidate = format!("{text}-{number}");
        }
    }

    fn outlive(&self, content: &Content, parts: &Parts) -> BTreeSet<Address> {
        let mut needs = self.all.clone();
        match content.part {
            Part::Entrance => {
                needs.extend(self.of_entrances.iter().cloned());
                needs.extend(parts.workloads.iter().cloned());
            }
            Part::Workload => {
                let namespace = content.namespace.as_deref().unwrap_or_default();
                let claims = parts.claims.get(namespace);
                needs.extend(claims.into_iter().flatten().cloned());
                needs.extend(parts.nodes.iter().cloned());
            }
            Part::Claim => {
                let place = content.namespace.clone().zip(Some(content.name.clone()));
                let volume = place.and_then(|place| parts.volumes.get(&place));
                needs.extend(volume.cloned());
                needs.extend(parts.nodes.iter().cloned());
            }
            Part::Volume => needs.extend(parts.nodes.iter().cloned()),
            Part::Nodes => needs.extend(parts.classes.iter().cloned()),
            Part::NodeClass => {}
        }
        needs
    }
}

/// The addresses of each part.
#[derive(Default)]
struct Parts {
    workloads: BTreeSet<Address>,
    claims: BTreeMap<String, BTreeSet<Address>>,
    volumes: BTreeMap<(String, String), Address>,
    nodes: BTreeSet<Address>,
    classes: BTreeSet<Address>,
}

impl Parts {
    fn of(found: &[Content], addresses: &[Address]) -> Self {
        let mut parts = Self::default();
        for (content, address) in found.iter().zip(addresses) {
            let address = address.clone();
            match content.part {
                Part::Entrance => {}
                Part::Workload => {
                    parts.workloads.insert(address);
                }
                Part::Claim => {
                    let namespace = content.namespace.clone().unwrap_or_default();
                    parts.claims.entry(namespace).or_default().insert(address);
                }
                Part::Volume => {
                    if let Some(claim) = content.claim.clone() {
                        parts.volumes.insert(claim, address);
                    }
                }
                Part::Nodes => {
                    parts.nodes.insert(address);
                }
                Part::NodeClass => {
                    parts.classes.insert(address);
                }
            }
        }
        parts
    }
}

/// `StatefulSet` is `stateful-set`, `EC2NodeClass` is `ec2-node-class`.
fn kebab(kind: &str) -> String {
    let mut text = String::new();
    let mut before = None;
    for letter in kind.chars() {
        if letter.is_ascii_uppercase()
            && before.is_some_and(|before: char| !before.is_ascii_uppercase())
        {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
        before = Some(letter);
    }
    text
}

/// A name as a part of an address. The API server takes lower-case letters, digits, `-` and `.`; of a few types more.
fn slug(name: &str) -> String {
    let fits = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_.".contains(letter)
    };
    let text: String = name
        .chars()
        .map(|letter| letter.to_ascii_lowercase())
        .map(|letter| if fits(letter) { letter } else { '-' })
        .collect();
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use graph::{ResourceState, Scope};
    use serde_json::Value as Json;

    fn address(text: &str) -> Address {
        Address::new(text).unwrap()
    }

    fn known(type_name: &str, identifier: &str, needs: &[&str]) -> ResourceState {
        ResourceState {
            type_name: type_name.parse().unwrap(),
            identifier: identifier.parse().unwrap(),
            properties: Json::Null,
            attributes: Json::Null,
            needs: needs.iter().map(|need| address(need)).collect(),
            lifecycle: Lifecycle::Managed,
            tainted: false,
            deposed: Vec::new(),
        }
    }

    fn state() -> State {
        let pool = TypeName::kubernetes("karpenter.sh/v1", "NodePool").unwrap();
        let resources = [
            ("vpc", known("AWS::EC2::VPC", "vpc-1", &[])),
            ("subnet", known("AWS::EC2::Subnet", "subnet-1", &["vpc"])),
            ("public", known("AWS::EC2::Subnet", "subnet-2", &["vpc"])),
            (
                "certificate",
                known("AWS::CertificateManager::Certificate", "c", &[]),
            ),
            (
                "cluster",
                known("AWS::EKS::Cluster", "shop-dev", &["subnet"]),
            ),
            ("entry", known("AWS::EKS::AccessEntry", "e", &["cluster"])),
            ("nodes", known("AWS::EKS::Nodegroup", "n", &["entry"])),
            (
                "release",
                known(
                    "Helm::Chart::Release",
                    "shop-dev|kube-system|karpenter",
                    &["nodes"],
                ),
            ),
            (
                "pool",
                known(pool.as_str(), "shop-dev||general", &["release"]),
            ),
            (
                "redis-group",
                known("AWS::EC2::SecurityGroup", "sg-1", &["cluster", "vpc"]),
            ),
            ("queue", known("AWS::SQS::Queue", "q", &[])),
        ];
        let mut state = State::default();
        for (name, resource) in resources {
            state.resources.insert(address(name), resource);
        }
        state
    }

    fn content(part: Part, kind: (&str, &str), namespace: &str, name: &str) -> Content {
        Content {
            part,
            type_name: TypeName::kubernetes(kind.0, kind.1).unwrap(),
            namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
            name: name.to_owned(),
            identifier: Identifier::new(format!("shop-dev|{namespace}|{name}")).unwrap(),
            about: "its pods go with it".to_owned(),
            claim: (part == Part::Volume).then(|| ("app".to_owned(), "data".to_owned())),
        }
    }

    fn contents() -> Contents {
        Contents {
            found: vec![
                content(Part::Entrance, ("v1", "Service"), "app", "web"),
                content(Part::Workload, ("apps/v1", "Deployment"), "app", "web"),
                content(Part::Workload, ("apps/v1", "Deployment"), "other", "web"),
                content(Part::Claim, ("v1", "PersistentVolumeClaim"), "app", "data"),
                content(Part::Volume, ("v1", "PersistentVolume"), "", "pvc-1"),
                content(Part::Nodes, ("karpenter.sh/v1", "NodePool"), "", "theirs"),
            ],
            nodes: BTreeMap::from([("general".to_owned(), 3)]),
        }
    }

    fn planned(state: &State) -> Plan {
        let scope = Scope {
            platform: "shop".parse().unwrap(),
            environment: "dev".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        };
        graph::plan_destroy(&scope, "", state)
    }

    fn needs(plan: &Plan, name: &str) -> Vec<String> {
        let change = plan.changes.iter().find(|one| one.address == address(name));
        let needs = change.unwrap().needs.iter().map(ToString::to_string);
        needs.collect()
    }

    #[test]
    fn load_balancers_go_first_then_pods_claims_volumes_and_nodes() {
        let state = state();
        let mut plan = planned(&state);
        let before = plan.summary.delete;
        add(&mut plan, &state, &address("cluster"), &contents());
        assert_eq!(plan.summary.delete, before + 6);
        assert_eq!(
            needs(&plan, "contents/service/app/web"),
            [
                "certificate",
                "contents/deployment/app/web",
                "contents/deployment/other/web",
                "pool",
                "public",
                "redis-group",
                "subnet",
            ]
        );
        assert_eq!(
            needs(&plan, "contents/deployment/app/web"),
            [
                "contents/node-pool/theirs",
                "contents/persistent-volume-claim/app/data",
                "pool",
                "redis-group",
            ]
        );
        assert_eq!(
            needs(&plan, "contents/persistent-volume-claim/app/data"),
            [
                "contents/node-pool/theirs",
                "contents/persistent-volume/pvc-1",
                "pool",
                "redis-group",
            ]
        );
        // Whatever goes at once is what nothing in the cluster needs.
        assert_eq!(
            needs(&plan, "contents/node-pool/theirs"),
            ["pool", "redis-group"]
        );
        let reason = |name: &str| {
            let change = plan.changes.iter().find(|one| one.address == address(name));
            change.unwrap().reason.clone()
        };
        assert_eq!(reason("pool"), "its 3 nodes are drained first");
        assert!(
            plan.changes
                .iter()
                .filter(|one| is_made_by_others(one))
                .count()
                == 6
        );
        let steps = engine::Steps::of(&plan, &state);
        assert!(steps.is_ok(), "{steps:?}");
    }

    #[test]
    fn a_cluster_that_is_not_asked_is_left_with_what_is_in_it() {
        let state = state();
        let mut plan = planned(&state);
        assert_eq!(abandon(&state, &mut plan), Inside::Abandoned);
        let action = |name: &str| {
            let change = plan.changes.iter().find(|one| one.address == address(name));
            change.unwrap().action
        };
        assert_eq!(action("pool"), Action::Forget);
        assert_eq!(action("release"), Action::Forget);
        assert_eq!(action("nodes"), Action::Delete);
        // The load balancers that go with the cluster are in its network.
        assert_eq!(needs(&plan, "cluster"), ["certificate", "public", "subnet"]);
        assert!(engine::Steps::of(&plan, &state).is_ok());
    }

    #[test]
    fn only_a_cluster_of_ours_that_we_could_get_into_is_emptied() {
        let mut ours = state();
        assert!(cluster(&ours).is_some());
        ours.resources.remove(&address("entry"));
        assert!(cluster(&ours).is_none());
        let mut theirs = state();
        let existing = Lifecycle::Existing("shop-dev".parse().unwrap());
        theirs
            .resources
            .get_mut(&address("cluster"))
            .unwrap()
            .lifecycle = existing;
        assert!(cluster(&theirs).is_none());
        let releases = releases(&state());
        let karpenter = ("kube-system".to_owned(), "karpenter".to_owned());
        assert_eq!(releases, BTreeSet::from([karpenter]));
    }

    #[test]
    fn addresses_are_unlike_each_other_whatever_the_names() {
        let state = state();
        let mut order = Order::new(&state, &address("cluster"));
        let role = content(Part::Workload, ("v1", "Pod"), "app", "system:a");
        let first = order.address(&role);
        assert_eq!(first, address("contents/pod/app/system-a"));
        let other = content(Part::Workload, ("v1", "Pod"), "app", "system-a");
        assert_eq!(
            order.address(&other),
            address("contents/pod/app/system-a-2")
        );
        let long = "x".repeat(250);
        let long = content(Part::Workload, ("v1", "Pod"), "app", &long);
        assert!(order.address(&long) != order.address(&long));
        assert_eq!(kebab("EC2NodeClass"), "ec2-node-class");
        assert_eq!(kebab("PersistentVolumeClaim"), "persistent-volume-claim");
    }
}
