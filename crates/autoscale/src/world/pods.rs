//! Pods and pod templates.

use std::collections::BTreeMap;

use objects::GoDuration;
use objects::Quantity;
use objects::k8s_openapi::api::core::v1 as core;
use objects::k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::build::{labels, name, namespace};
use super::{Builder, DoNotDisrupt, FindingKind, OwnerKind, Phase, Pod};
use crate::names::{Labels, Names, Value};
use crate::requirement::Operator;
use crate::resources::{Resource, Resources};
use crate::shape::{
    AffinityTerm, Effect, Expression, HostPort, Namespaces, NodeTerm, PodShape, Selector, ShapeId,
    Spread, Taint, Terms, Toleration,
};

/// A pod as an object describes it.
pub(super) struct Read {
    /// The pod, without its node.
    pub pod: Pod,
    /// The name of its node.
    pub node: Option<Value>,
    /// The name of its priority class, where its priority is not known.
    pub class: Option<String>,
}

impl Builder {
    pub(super) fn pod(&mut self, pod: &core::Pod) {
        if let Some(read) = self.read_pod(pod) {
            self.enter(read.pod, read.node, read.class);
        }
    }

    pub(super) fn read_pod(&mut self, pod: &core::Pod) -> Option<Read> {
        let metadata = &pod.metadata;
        let spec = pod.spec.as_ref()?;
        let object = format!("Pod {}/{}", namespace(metadata), name(metadata));
        let shape = self.shape(metadata, metadata, spec, &object);
        let status = pod.status.as_ref();
        let annotation = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(key));
        let phase = match status.and_then(|status| status.phase.as_deref()) {
            None | Some("Pending") => Phase::Pending,
            Some("Succeeded" | "Failed") => Phase::Terminal,
            Some(_) => Phase::Running,
        };
        let (owner, owner_name) = owner(&mut self.world.names, metadata);
        let unschedulable = status
            .and_then(|status| status.conditions.as_ref())
            .into_iter()
            .flatten()
            .any(|condition| {
                condition.type_ == "PodScheduled"
                    && condition.reason.as_deref() == Some("Unschedulable")
            });
        let node = spec.node_name.as_deref().filter(|name| !name.is_empty());
        let node = node.map(|name| self.world.names.value(name));
        let entry = Pod {
            name: name(metadata).into(),
            uid: metadata
                .uid
                .clone()
                .unwrap_or_else(|| object.clone())
                .into(),
            shape,
            node: None,
            owner,
            owner_name,
            phase,
            unschedulable,
            unready: status
                .and_then(|status| status.conditions.as_ref())
                .into_iter()
                .flatten()
                .any(|condition| condition.type_ == "Ready" && condition.status == "False"),
            preempting: status
                .and_then(|status| status.nominated_node_name.as_deref())
                .is_some_and(|name| !name.is_empty()),
            created: metadata.creation_timestamp.as_ref().map(|time| time.0),
            started: status
                .and_then(|status| status.start_time.as_ref())
                .map(|time| time.0),
            deleting: metadata.deletion_timestamp.as_ref().map(|time| time.0),
            deletion_cost: annotation("controller.kubernetes.io/pod-deletion-cost")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
            do_not_disrupt: annotation("karpenter.sh/do-not-disrupt")
                .and_then(|text| do_not_disrupt(text)),
            grace_seconds: spec
                .termination_grace_period_seconds
                .and_then(|seconds| u32::try_from(seconds).ok())
                .unwrap_or(30),
            removed: false,
        };
        // A pod that was admitted has its priority; only one from a file has to look its class up.
        let class = match spec.priority {
            Some(_) => None,
            None => Some(spec.priority_class_name.clone().unwrap_or_default()),
        };
        Some(Read {
            pod: entry,
            node,
            class,
        })
    }

    /// The shape of the pods of a template.
    pub(super) fn template(
        &mut self,
        owner: &ObjectMeta,
        template: &core::PodTemplateSpec,
        object: &str,
    ) -> ShapeId {
        let empty = ObjectMeta::default();
        let metadata = template.metadata.as_ref().unwrap_or(&empty);
        let spec = template.spec.clone().unwrap_or_default();
        self.shape(owner, metadata, &spec, object)
    }

    fn shape(
        &mut self,
        owner: &ObjectMeta,
        metadata: &ObjectMeta,
        spec: &core::PodSpec,
        object: &str,
    ) -> ShapeId {
        let (requests, scored) = self.requests(spec, object);
        let names = &mut self.world.names;
        let own_namespace = names.value(&namespace(owner));
        let own_labels = labels(names, metadata.labels.as_ref());
        let mut shape = PodShape::plain(own_namespace, own_labels, requests);
        shape.scored = scored;
        shape.node_selector = spec
            .node_selector
            .iter()
            .flatten()
            .map(|(key, value)| (names.key(key), names.value(value)))
            .collect();
        let affinity = spec.affinity.as_ref();
        if let Some(node) = affinity.and_then(|affinity| affinity.node_affinity.as_ref()) {
            if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
                shape.has_required_affinity = true;
                shape.required_terms = required
                    .node_selector_terms
                    .iter()
                    .map(|term| node_term(names, term))
                    .collect();
            }
            shape.preferred_terms = node
                .preferred_during_scheduling_ignored_during_execution
                .iter()
                .flatten()
                .map(|preferred| (preferred.weight, node_term(names, &preferred.preference)))
                .collect();
        }
        if let Some(pods) = affinity.and_then(|affinity| affinity.pod_affinity.as_ref()) {
            shape.affinity = terms(
                names,
                own_namespace,
                &shape.labels,
                pods.required_during_scheduling_ignored_during_execution
                    .as_ref(),
                pods.preferred_during_scheduling_ignored_during_execution
                    .as_ref(),
            );
        }
        if let Some(pods) = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref()) {
            shape.anti_affinity = terms(
                names,
                own_namespace,
                &shape.labels,
                pods.required_during_scheduling_ignored_during_execution
                    .as_ref(),
                pods.preferred_during_scheduling_ignored_during_execution
                    .as_ref(),
            );
        }
        shape.tolerations = spec
            .tolerations
            .iter()
            .flatten()
            .map(|toleration| self::toleration(names, toleration))
            .collect();
        shape.spread = spec
            .topology_spread_constraints
            .iter()
            .flatten()
            .map(|constraint| spread(names, &shape.labels, constraint))
            .collect();
        let containers = spec.containers.iter();
        for port in containers.flat_map(|container| container.ports.iter().flatten()) {
            if let Some(number) = port.host_port.and_then(|port| u16::try_from(port).ok())
                && number != 0
            {
                let ip: Option<std::net::IpAddr> =
                    port.host_ip.as_ref().and_then(|ip| ip.parse().ok());
                shape.ports.push(HostPort {
                    ip: ip.filter(|ip| !ip.is_unspecified()),
                    port: number,
                    protocol: names.value(port.protocol.as_deref().unwrap_or("TCP")),
                });
            }
        }
        let owner_name = name(owner);
        for volume in spec.volumes.iter().flatten() {
            let claim = match (&volume.persistent_volume_claim, &volume.ephemeral) {
                (Some(claim), _) => claim.claim_name.clone(),
                (None, Some(_)) => format!("{owner_name}-{}", volume.name),
                (None, None) => continue,
            };
            shape
                .claims
                .push(names.value(&format!("{}/{claim}", namespace(owner))));
        }
        shape.priority = spec.priority.unwrap_or(0);
        shape.preempts = spec.preemption_policy.as_deref() != Some("Never");
        shape.resource_claims = spec
            .resource_claims
            .as_ref()
            .is_some_and(|claims| !claims.is_empty());
        if shape.resource_claims {
            self.find(
                object,
                FindingKind::LeftOut("dynamic resource allocation (resourceClaims)"),
            );
        }
        self.world.intern_shape(shape)
    }

    /// What a pod requests (`component-helpers/resource` `PodRequests`), and what the scores of kube-scheduler count.
    fn requests(&mut self, spec: &core::PodSpec, object: &str) -> (Resources, (i64, i64)) {
        let mut total = Resources::ZERO;
        let mut scored = (0_i64, 0_i64);
        let of = |builder: &mut Self, container: &core::Container| {
            let requests = container.resources.as_ref().and_then(|resources| {
                // A limit without a request is a request, as the API server defaults it.
                let mut all = resources.requests.clone().unwrap_or_default();
                for (name, limit) in resources.limits.iter().flatten() {
                    all.entry(name.clone()).or_insert_with(|| limit.clone());
                }
                (!all.is_empty()).then_some(all)
            });
            builder.amounts(requests.as_ref(), object, true)
        };
        for container in &spec.containers {
            let amounts = of(self, container);
            total += amounts;
            let (cpu, memory) = (amounts[Resource::CPU], amounts[Resource::MEMORY]);
            scored.0 += if cpu == 0 { 100 } else { cpu };
            scored.1 += if memory == 0 { 200 << 20 } else { memory };
        }
        let mut sidecars = Resources::ZERO;
        let mut initial = Resources::ZERO;
        for container in spec.init_containers.iter().flatten() {
            let amounts = of(self, container);
            if container.restart_policy.as_deref() == Some("Always") {
                total += amounts;
                sidecars += amounts;
                initial = initial.max(&sidecars);
            } else {
                initial = initial.max(&(amounts + sidecars));
            }
        }
        total = total.max(&initial);
        if let Some(pod_level) = spec
            .resources
            .as_ref()
            .and_then(|resources| resources.requests.as_ref())
        {
            let amounts = self.amounts(Some(pod_level), object, true);
            for (resource, amount) in amounts.iter().filter(|(_, amount)| *amount > 0) {
                total[resource] = amount;
            }
        }
        total += self.amounts(spec.overhead.as_ref(), object, true);
        total[Resource::PODS] = 1;
        scored.0 = scored.0.max(total[Resource::CPU]);
        scored.1 = scored.1.max(total[Resource::MEMORY]);
        (total, scored)
    }

    /// Amounts by name; `intern` gives new names a slot, otherwise they are read past.
    pub(super) fn amounts(
        &mut self,
        list: Option<&BTreeMap<String, Text>>,
        object: &str,
        intern: bool,
    ) -> Resources {
        let mut amounts = Resources::ZERO;
        for (name, text) in list.into_iter().flatten() {
            let quantity: Quantity = match text.0.parse() {
                Ok(quantity) => quantity,
                Err(error) => {
                    self.find(object, FindingKind::Quantity(format!("{name}: {error}")));
                    continue;
                }
            };
            if quantity.is_negative() {
                self.find(object, FindingKind::Negative(name.clone()));
                continue;
            }
            let resource = if intern {
                self.world.resources.intern(name)
            } else {
                self.world.resources.find(name)
            };
            match resource {
                Some(Resource::CPU) => amounts[Resource::CPU] = quantity.milli(),
                Some(resource) => amounts[resource] = quantity.units(),
                None if intern => self.find(object, FindingKind::TooManyResources(name.clone())),
                None => {}
            }
        }
        amounts
    }
}

fn owner(names: &mut Names, metadata: &ObjectMeta) -> (OwnerKind, Value) {
    let mut found = (OwnerKind::None, Value::EMPTY);
    for owner in metadata.owner_references.iter().flatten() {
        let kind = match (owner.api_version.as_str(), owner.kind.as_str()) {
            ("apps/v1", "DaemonSet") => OwnerKind::DaemonSet,
            ("apps/v1", "StatefulSet") => OwnerKind::StatefulSet,
            ("apps/v1", "ReplicaSet") | ("v1", "ReplicationController") => OwnerKind::ReplicaSet,
            ("v1", "Node") => OwnerKind::Node,
            _ => OwnerKind::Other,
        };
        if found.0 == OwnerKind::None || kind != OwnerKind::Other {
            found = (kind, names.value(&owner.name));
        }
    }
    found
}

fn do_not_disrupt(text: &str) -> Option<DoNotDisrupt> {
    if text == "true" {
        return Some(DoNotDisrupt::Always);
    }
    let duration: GoDuration = text.parse().ok()?;
    (!duration.0.is_zero()).then_some(DoNotDisrupt::For(duration.0))
}

fn node_term(names: &mut Names, term: &core::NodeSelectorTerm) -> NodeTerm {
    let expressions = term
        .match_expressions
        .iter()
        .flatten()
        .filter_map(|expression| {
            Some(Expression {
                key: names.key(&expression.key),
                operator: operator(&expression.operator)?,
                values: values(names, expression.values.as_ref()),
            })
        })
        .collect();
    let fields = term
        .match_fields
        .iter()
        .flatten()
        .filter(|field| field.key == "metadata.name")
        .map(|field| (field.operator == "In", values(names, field.values.as_ref())))
        .collect();
    NodeTerm {
        expressions,
        names: fields,
    }
}

pub(super) fn operator(text: &str) -> Option<Operator> {
    Some(match text {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::Gt,
        "Lt" => Operator::Lt,
        "Gte" => Operator::Gte,
        "Lte" => Operator::Lte,
        _ => return None,
    })
}

fn values(names: &mut Names, texts: Option<&Vec<String>>) -> Vec<Value> {
    texts
        .into_iter()
        .flatten()
        .map(|text| names.value(text))
        .collect()
}

pub(super) fn selector(names: &mut Names, selector: Option<&LabelSelector>) -> Selector {
    let Some(selector) = selector else {
        return Selector::Nothing;
    };
    let mut all: Vec<Expression> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| Expression {
            key: names.exact_key(key),
            operator: Operator::In,
            values: vec![names.value(value)],
        })
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let Some(operator) = operator(&expression.operator) else {
            return Selector::Nothing;
        };
        all.push(Expression {
            key: names.exact_key(&expression.key),
            operator,
            values: values(names, expression.values.as_ref()),
        });
    }
    Selector::All(all)
}

/// Adds what `matchLabelKeys` says: the pod's own values of those labels.
fn with_label_keys(
    names: &mut Names,
    selector: Selector,
    labels: &Labels,
    keys: Option<&Vec<String>>,
    operator: Operator,
) -> Selector {
    let Selector::All(mut all) = selector else {
        return selector;
    };
    for key in keys.into_iter().flatten() {
        let key = names.exact_key(key);
        if let Some(value) = labels.get(key) {
            let expression = Expression {
                key,
                operator,
                values: vec![value],
            };
            if !all.contains(&expression) {
                all.push(expression);
            }
        }
    }
    Selector::All(all)
}

fn terms(
    names: &mut Names,
    namespace: Value,
    labels: &Labels,
    required: Option<&Vec<core::PodAffinityTerm>>,
    preferred: Option<&Vec<core::WeightedPodAffinityTerm>>,
) -> Terms {
    let mut one = |term: &core::PodAffinityTerm| {
        let base = selector(names, term.label_selector.as_ref());
        let base = with_label_keys(
            names,
            base,
            labels,
            term.match_label_keys.as_ref(),
            Operator::In,
        );
        let base = with_label_keys(
            names,
            base,
            labels,
            term.mismatch_label_keys.as_ref(),
            Operator::NotIn,
        );
        let listed = values(names, term.namespaces.as_ref());
        let by_labels = term
            .namespace_selector
            .as_ref()
            .map(|of_namespaces| selector(names, Some(of_namespaces)));
        AffinityTerm {
            selector: base,
            namespaces: Namespaces {
                names: if listed.is_empty() && by_labels.is_none() {
                    vec![namespace]
                } else {
                    listed
                },
                selector: by_labels,
            },
            topology_key: names.key(&term.topology_key),
        }
    };
    Terms {
        required: required.into_iter().flatten().map(&mut one).collect(),
        preferred: preferred
            .into_iter()
            .flatten()
            .map(|weighted| (weighted.weight, one(&weighted.pod_affinity_term)))
            .collect(),
    }
}

fn toleration(names: &mut Names, toleration: &core::Toleration) -> Toleration {
    let key = toleration.key.as_deref().filter(|key| !key.is_empty());
    let exists = toleration.operator.as_deref() == Some("Exists");
    Toleration {
        key: key.map(|key| names.exact_key(key)),
        value: (!exists).then(|| names.value(toleration.value.as_deref().unwrap_or_default())),
        effect: toleration.effect.as_deref().and_then(effect),
    }
}

pub(super) fn effect(text: &str) -> Option<Effect> {
    Some(match text {
        "NoSchedule" => Effect::NoSchedule,
        "PreferNoSchedule" => Effect::PreferNoSchedule,
        "NoExecute" => Effect::NoExecute,
        _ => return None,
    })
}

pub(super) fn taints(names: &mut Names, taints: &[core::Taint]) -> Vec<Taint> {
    taints
        .iter()
        .filter_map(|taint| {
            Some(Taint {
                key: names.exact_key(&taint.key),
                value: names.value(taint.value.as_deref().unwrap_or_default()),
                effect: effect(&taint.effect)?,
            })
        })
        .collect()
}

fn spread(
    names: &mut Names,
    labels: &Labels,
    constraint: &core::TopologySpreadConstraint,
) -> Spread {
    let base = selector(names, constraint.label_selector.as_ref());
    Spread {
        max_skew: u32::try_from(constraint.max_skew).unwrap_or(1),
        topology_key: names.key(&constraint.topology_key),
        required: constraint.when_unsatisfiable != "ScheduleAnyway",
        selector: with_label_keys(
            names,
            base,
            labels,
            constraint.match_label_keys.as_ref(),
            Operator::In,
        ),
        min_domains: constraint
            .min_domains
            .and_then(|domains| u32::try_from(domains).ok()),
        honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
        honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
    }
}
