//! What a deploy puts into the cluster: the very objects that [`crate::kubernetes`] renders, as resources of the graph, and
//! Karpenter's release.
//!
//! The order is for both ways. Namespaces and the storage class come after the add-ons, and the node pools after Karpenter,
//! so that on the way back what is in them goes while its controllers still run: pods and volumes while there are nodes and
//! the EBS CSI driver, nodes while there is Karpenter.

use catalog::charts::{Chart, KARPENTER};
use catalog::ids::Address;
use graph::{Reference, Release, Resource, Value, value};
use objects::snapshot::Object;
use serde_json::Value as Json;

use crate::Error;
use crate::cluster::Cluster;
use crate::draft::{Draft, Drawing, Made};
use crate::iam::ServiceAccount;
use crate::karpenter::Karpenter;
use crate::kubernetes::{self, karpenter_pods};
use crate::naming::slug;
use crate::system_nodes::TAINT;

/// Draws it. `addons` are those that are there once the nodes are, `nodes` the node group.
pub(crate) fn draw(
    drawing: &mut Drawing<'_>,
    cluster: &Cluster,
    nodes: &Made,
    addons: &[Made],
    karpenter: Option<&Karpenter>,
) {
    let platform = drawing.platform;
    for object in kubernetes::foundation(platform) {
        let after = match object {
            // Nothing needs it, and it needs the API server alone.
            Object::PriorityClass(_) => std::slice::from_ref(&cluster.deployer),
            _ => addons,
        };
        add(drawing, cluster, &object, after);
    }
    let Some(karpenter) = karpenter else {
        return;
    };
    let release = release(drawing, cluster, nodes, addons, karpenter);
    let (class, pools) = match kubernetes::karpenter_objects(platform) {
        Ok(objects) => objects,
        Err(errors) => {
            errors
                .into_iter()
                .for_each(|why| drawing.refuse(Error::Kubernetes(why)));
            return;
        }
    };
    // A node can join once its role has an entry, and is made with the profile.
    let mut after = vec![release];
    after.extend(karpenter.for_nodes.iter().cloned());
    let class = add(drawing, cluster, &class, &after);
    for pool in pools {
        add(drawing, cluster, &pool, class.as_slice());
    }
}

/// Karpenter's own release. What it takes of the nodes is what the simulator counts.
fn release(
    drawing: &mut Drawing<'_>,
    cluster: &Cluster,
    nodes: &Made,
    addons: &[Made],
    karpenter: &Karpenter,
) -> Made {
    let account = ServiceAccount::KARPENTER;
    let pods = karpenter_pods(drawing.platform);
    let size = || value!({ "cpu": pods.cpu, "memory": pods.memory });
    let service_account = match cluster.identity.annotations(&karpenter.role) {
        Some(annotations) => value!({ "name": account.name, "annotations": annotations }),
        None => value!({ "name": account.name }),
    };
    let mut settings = value!({ "clusterName": cluster.made.get("Name") });
    if let (Value::Object(settings), Some(queue)) = (&mut settings, &karpenter.queue) {
        settings.insert("interruptionQueue".to_owned(), queue.get("QueueName"));
    }
    let (label, of_system) = pods.node;
    let node_selector = Value::object([
        ("kubernetes.io/os", Value::from("linux")),
        (label, of_system.into()),
    ]);
    let values = value!({
        "replicas": pods.replicas,
        "serviceAccount": service_account,
        "settings": settings,
        "controller": { "resources": { "requests": size(), "limits": size() } },
        "nodeSelector": node_selector,
        "tolerations": [{ "key": TAINT, "operator": "Exists" }],
    });
    let draft = release_of(
        cluster,
        "karpenter/release",
        KARPENTER,
        account.namespace,
        values,
    );
    drawing.add(
        draft
            .after([nodes])
            .after(addons)
            .after(&karpenter.association)
            .after(&karpenter.events),
    )
}

fn release_of(
    cluster: &Cluster,
    address: &str,
    chart: Chart,
    namespace: &str,
    values: Value,
) -> Draft {
    let release = Release {
        cluster: cluster.made.id(),
        namespace: namespace.into(),
        name: chart.name.to_owned(),
        chart: chart.reference.to_owned(),
        repository: None,
        version: chart.version.to_owned(),
        values,
        create_namespace: false,
        timeout_seconds: None,
    };
    Draft::within(address, |address| Ok(release.resource(address)))
}

/// Adds an object. An object that can't be declared is refused, and nothing can come after it.
fn add(
    drawing: &mut Drawing<'_>,
    cluster: &Cluster,
    object: &Object,
    after: &[Made],
) -> Option<Made> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    let address = format!("{}/{}", place(object), slug(name));
    let manifest = match object.manifest() {
        Ok(manifest) => referring(manifest),
        Err(why) => {
            drawing.refuse(Error::Object {
                kind: object.kind(),
                name: name.to_owned(),
                why: why.to_string(),
            });
            return None;
        }
    };
    let cluster = cluster.made.id();
    let draft = Draft::within(&address, |address| {
        Resource::kubernetes(address, cluster, manifest)
    });
    Some(drawing.add(draft.after(after)))
}

/// The first part of an object's address.
fn place(object: &Object) -> String {
    let kind = match object {
        Object::Ec2NodeClass(_) => return "karpenter/node-class".to_owned(),
        Object::NodePool(_) => return "karpenter/node-pool".to_owned(),
        other => other.kind(),
    };
    // `StorageClass` is `storage-class`.
    let mut place = String::from("kubernetes/");
    for (index, letter) in kind.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            place.push('-');
        }
        place.push(letter.to_ascii_lowercase());
    }
    place
}

/// A manifest in which what is known only after the deploy is referred to.
fn referring(manifest: Json) -> Value {
    match manifest {
        Json::String(text) => match reference(&text) {
            Some(reference) => Value::Attribute(reference),
            None => Value::String(text),
        },
        Json::Array(items) => Value::array(items.into_iter().map(referring)),
        Json::Object(fields) => Value::object(
            fields
                .into_iter()
                .map(|(name, value)| (name, referring(value))),
        ),
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => Value::Number(number),
        // There is none: what is not set is not in a manifest.
        Json::Null => Value::object::<String>([]),
    }
}

fn reference(text: &str) -> Option<Reference> {
    kubernetes::AFTER_DEPLOY.into_iter().find_map(|place| {
        let (address, property) = place;
        let reference = Value::attribute(&Address::new(address).ok()?, property);
        match reference {
            Value::Attribute(reference) if reference.to_string() == text => Some(reference),
            _ => None,
        }
    })
}
