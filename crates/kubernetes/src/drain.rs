//! Nodes on their way out, and the pods that keep them: who they are, why they stay, and their end when the grace is over.
//!
//! Karpenter evicts a node's pods, and an eviction respects disruption budgets; a pod that says `karpenter.sh/do-not-disrupt`
//! it leaves alone. A destroy waits for them for as long as it is told to. Then the pods are deleted, which no budget can
//! prevent, with the grace that they have themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use catalog::TypeName;
use engine::provider::ProviderError;
use serde_json::Value as Json;

use crate::classify::Purpose;
use crate::connection::Cluster;
use crate::name::Place;

/// How many pods are named.
const SHOWN: usize = 3;
const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";

/// What is left of nodes that go.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// How many nodes are left.
    pub(crate) nodes: usize,
    /// The pods on them.
    pub(crate) pods: Vec<Remaining>,
}

/// A pod that a node waits for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remaining {
    namespace: String,
    name: String,
    uid: String,
    /// Whether it is on its way out.
    going: bool,
    /// Why it stays, if it is known.
    why: Option<String>,
}

/// Whether a type's deletion drains nodes.
pub(crate) fn drains(type_name: &TypeName) -> bool {
    type_name.service() == "karpenter.sh/v1"
        && ["NodePool", "NodeClaim"].contains(&type_name.resource())
}

fn kind(api_version: &str, kind: &str) -> Option<TypeName> {
    TypeName::kubernetes(api_version, kind).ok()
}

/// Looks at the nodes of a pool, or of one claim.
pub(crate) async fn look(
    cluster: &Cluster,
    type_name: &TypeName,
    name: &str,
) -> Result<Drain, ProviderError> {
    let claims = match type_name.resource() {
        "NodePool" => {
            list(
                cluster,
                "karpenter.sh/v1",
                "NodeClaim",
                &format!("karpenter.sh/nodepool={name}"),
            )
            .await?
        }
        _ => list(cluster, "karpenter.sh/v1", "NodeClaim", "")
            .await?
            .into_iter()
            .filter(|claim| claim["metadata"]["name"] == name)
            .collect(),
    };
    if claims.is_empty() {
        return Ok(Drain::default());
    }
    let nodes: BTreeSet<&str> = claims
        .iter()
        .filter_map(|claim| claim["status"]["nodeName"].as_str())
        .collect();
    let pods = list(cluster, "v1", "Pod", "").await?;
    let budgets = list(cluster, "policy/v1", "PodDisruptionBudget", "").await?;
    Ok(Drain {
        nodes: claims.len(),
        pods: pods
            .iter()
            .filter(|pod| {
                let node = pod["spec"]["nodeName"].as_str();
                node.is_some_and(|node| nodes.contains(node)) && keeps_a_node(pod)
            })
            .map(|pod| remaining(pod, &budgets))
            .collect(),
    })
}

async fn list(
    cluster: &Cluster,
    api_version: &str,
    name: &str,
    labels: &str,
) -> Result<Vec<Json>, ProviderError> {
    let Some(type_name) = kind(api_version, name) else {
        return Ok(Vec::new());
    };
    match cluster.kind(&type_name, Purpose::Look).await {
        Ok(kind) => cluster.list(&kind, None, labels).await,
        Err(absent) if absent.code == "NoMatch" => Ok(Vec::new()),
        Err(failed) => Err(failed),
    }
}

/// Whether a node is not empty as long as the pod is there: a daemon and a mirror of the kubelet's own stay to the end.
fn keeps_a_node(pod: &Json) -> bool {
    let ended = ["Succeeded", "Failed"];
    let owners = pod["metadata"]["ownerReferences"].as_array();
    let of_the_node = owners
        .into_iter()
        .flatten()
        .any(|owner| owner["kind"] == "DaemonSet" || owner["kind"] == "Node");
    !of_the_node && !ended.contains(&pod["status"]["phase"].as_str().unwrap_or_default())
}

fn remaining(pod: &Json, budgets: &[Json]) -> Remaining {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let metadata = &pod["metadata"];
    let is_protected = metadata["annotations"][DO_NOT_DISRUPT] == "true";
    let budget = || {
        budgets
            .iter()
            .find(|budget| {
                budget["metadata"]["namespace"] == metadata["namespace"]
                    && budget["status"]["disruptionsAllowed"].as_i64() == Some(0)
                    && selects(&budget["spec"]["selector"], &metadata["labels"])
            })
            .map(|budget| {
                format!(
                    "the disruption budget {}",
                    text(&budget["metadata"]["name"])
                )
            })
    };
    Remaining {
        namespace: text(&metadata["namespace"]),
        name: text(&metadata["name"]),
        uid: text(&metadata["uid"]),
        going: metadata["deletionTimestamp"].is_string(),
        why: if is_protected {
            Some(DO_NOT_DISRUPT.to_owned())
        } else {
            budget()
        },
    }
}

/// Whether a label selector selects labels. An empty one selects all, none selects nothing.
fn selects(selector: &Json, labels: &Json) -> bool {
    if !selector.is_object() {
        return false;
    }
    let matched = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .all(|(name, value)| labels[name] == *value);
    let expressions = selector["matchExpressions"].as_array();
    matched
        && expressions.into_iter().flatten().all(|expression| {
            let value = &labels[expression["key"].as_str().unwrap_or_default()];
            let among = expression["values"]
                .as_array()
                .is_some_and(|values| values.contains(value));
            match expression["operator"].as_str() {
                Some("In") => among,
                Some("NotIn") => !among,
                Some("Exists") => value.is_string(),
                Some("DoesNotExist") => value.is_null(),
                _ => false,
            }
        })
}

impl Drain {
    /// What is waited for, in words. `left` is what is left of the grace, in modelled time; none when it is over.
    pub(crate) fn note(&self, left: Option<Duration>) -> Option<String> {
        if self.nodes == 0 {
            return None;
        }
        let nodes = match self.nodes {
            1 => "1 node is".to_owned(),
            many => format!("{many} nodes are"),
        };
        let held: Vec<&Remaining> = self.pods.iter().filter(|pod| !pod.going).collect();
        if held.is_empty() {
            return Some(format!("{nodes} being drained"));
        }
        let named: Vec<String> = held.iter().take(SHOWN).map(|pod| pod.words()).collect();
        let more = match held.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let until = match left {
            Some(left) => format!("{} more minutes are given", left.as_secs().div_ceil(60)),
            None => "the grace is over: they are deleted".to_owned(),
        };
        let pods = named.join(", ");
        Some(format!(
            "{nodes} being drained; held by {pods}{more}; {until}"
        ))
    }

    /// Deletes the pods that are not on their way out yet.
    pub(crate) async fn override_what_holds(
        &self,
        cluster: &Cluster,
        of: &Place,
    ) -> Result<(), ProviderError> {
        let Some(type_name) = kind("v1", "Pod") else {
            return Ok(());
        };
        let kind = cluster.kind(&type_name, Purpose::Change).await?;
        for pod in self.pods.iter().filter(|pod| !pod.going) {
            let place = Place {
                cluster: of.cluster.clone(),
                namespace: Some(pod.namespace.clone()),
                name: pod.name.clone(),
            };
            match cluster.delete(&kind, &place, &pod.uid, false).await {
                Ok(_) => {}
                // Another one has the name by now.
                Err(conflict) if conflict.code == "Conflict" => {}
                Err(failed) => return Err(failed),
            }
        }
        Ok(())
    }
}

impl Remaining {
    fn words(&self) -> String {
        match &self.why {
            Some(why) => format!("{}/{} ({why})", self.namespace, self.name),
            None => format!("{}/{}", self.namespace, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, more: Json) -> Json {
        let mut pod = json!({
            "metadata": {"namespace": "shop", "name": name, "uid": name, "labels": {"app": name}},
        });
        for (key, value) in more.as_object().unwrap() {
            pod["metadata"][key] = value.clone();
        }
        pod
    }

    #[test]
    fn a_pod_says_why_it_stays() {
        let budget = json!({
            "metadata": {"namespace": "shop", "name": "db"}, "status": {"disruptionsAllowed": 0},
            "spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["db"]}]}},
        });
        let budgets = [budget];
        let why = |pod: Json| remaining(&pod, &budgets).why;
        assert_eq!(
            why(pod("db", json!({}))).as_deref(),
            Some("the disruption budget db")
        );
        assert_eq!(why(pod("web", json!({}))), None);
        let protected = json!({"annotations": {DO_NOT_DISRUPT: "true"}});
        assert_eq!(why(pod("web", protected)).as_deref(), Some(DO_NOT_DISRUPT));
        let elsewhere = json!({"namespace": "other"});
        assert_eq!(why(pod("db", elsewhere)), None);
    }

    #[test]
    fn daemons_and_what_has_ended_keep_no_node() {
        assert!(keeps_a_node(&pod("web", json!({}))));
        let daemon = json!({"ownerReferences": [{"kind": "DaemonSet"}]});
        assert!(!keeps_a_node(&pod("agent", daemon)));
        let mut done = pod("job", json!({}));
        done["status"] = json!({"phase": "Succeeded"});
        assert!(!keeps_a_node(&done));
    }

    #[test]
    fn what_holds_the_nodes_is_named_with_what_is_left_of_the_grace() {
        let held = |name: &str, going: bool, why: Option<&str>| Remaining {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: String::new(),
            going,
            why: why.map(str::to_owned),
        };
        let drain = Drain {
            nodes: 2,
            pods: vec![held("db-0", false, Some("x")), held("web", true, None)],
        };
        assert_eq!(
            drain.note(Some(Duration::from_secs(61))).as_deref(),
            Some("2 nodes are being drained; held by shop/db-0 (x); 2 more minutes are given")
        );
        assert_eq!(
            drain.note(None).as_deref(),
            Some(
                "2 nodes are being drained; held by shop/db-0 (x); the grace is over: they are deleted"
            )
        );
        let going = Drain {
            nodes: 1,
            pods: vec![held("web", true, None)],
        };
        assert_eq!(going.note(None).as_deref(), Some("1 node is being drained"));
        assert_eq!(Drain::default().note(None), None);
    }
}
