//! What a pod asks of a node. Pods that ask for the same share one [`PodShape`].

use crate::names::{Key, Labels, Names, Value};
use crate::requirement::{Operator, Requirement, Requirements};
use crate::resources::Resources;

/// Which shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShapeId(pub u32);

/// Everything about a pod that decides where it may run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodShape {
    /// Its namespace.
    pub namespace: Value,
    /// Its labels, which others' selectors look at.
    pub labels: Labels,
    /// What it requests; `pods` is 1 (`pkg/utils/resources/resources.go` `RequestsForPods`).
    pub requests: Resources,
    /// What kube-scheduler's scores count for it: CPU and memory with 100m and 200Mi where a container requests none.
    pub scored: (i64, i64),
    /// `nodeSelector`.
    pub node_selector: Vec<(Key, Value)>,
    /// `nodeAffinity`, required: any of them must hold. None means no such affinity.
    pub required_terms: Vec<NodeTerm>,
    /// Whether there is a required node affinity at all: one without terms matches no node.
    pub has_required_affinity: bool,
    /// `nodeAffinity`, preferred, with weights.
    pub preferred_terms: Vec<(i32, NodeTerm)>,
    /// `tolerations`.
    pub tolerations: Vec<Toleration>,
    /// `topologySpreadConstraints`.
    pub spread: Vec<Spread>,
    /// `podAffinity`.
    pub affinity: Terms,
    /// `podAntiAffinity`.
    pub anti_affinity: Terms,
    /// Host ports.
    pub ports: Vec<HostPort>,
    /// Claims of volumes, as `namespace/name`.
    pub claims: Vec<Value>,
    /// Its priority.
    pub priority: i32,
    /// Whether it may take the place of others (`preemptionPolicy` isn't `Never`).
    pub preempts: bool,
    /// `spec.nodeName` as a wish of a daemon pod is in `required_terms`; this is for pods with dynamic resource claims.
    pub resource_claims: bool,
}

impl PodShape {
    /// A pod that asks for nothing but resources.
    #[must_use]
    pub fn plain(namespace: Value, labels: Labels, requests: Resources) -> Self {
        let cpu = requests[crate::resources::Resource::CPU];
        let memory = requests[crate::resources::Resource::MEMORY];
        Self {
            namespace,
            labels,
            requests,
            scored: (
                if cpu == 0 { 100 } else { cpu },
                if memory == 0 { 200 << 20 } else { memory },
            ),
            node_selector: Vec::new(),
            required_terms: Vec::new(),
            has_required_affinity: false,
            preferred_terms: Vec::new(),
            tolerations: Vec::new(),
            spread: Vec::new(),
            affinity: Terms::default(),
            anti_affinity: Terms::default(),
            ports: Vec::new(),
            claims: Vec::new(),
            priority: 0,
            preempts: true,
            resource_claims: false,
        }
    }
}

/// A node selector term: all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NodeTerm {
    /// `matchExpressions`, as they are written.
    pub expressions: Vec<Expression>,
    /// `matchFields` on `metadata.name`: the operator is `In` (true) or `NotIn`.
    pub names: Vec<(bool, Vec<Value>)>,
}

/// A label selector requirement on a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expression {
    /// The label.
    pub key: Key,
    /// How it relates to the values.
    pub operator: Operator,
    /// The values.
    pub values: Vec<Value>,
}

impl NodeTerm {
    /// What Karpenter reads of it: the expressions alone (`requirements.go:102`).
    #[must_use]
    pub fn requirements(&self, names: &Names) -> Requirements {
        Requirements::new(
            names,
            self.expressions.iter().map(|expression| {
                Requirement::new(
                    names,
                    expression.key,
                    expression.operator,
                    &expression.values,
                    None,
                )
            }),
        )
    }

    /// Whether a node matches, as kube-scheduler reads it (`component-helpers/scheduling/corev1/nodeaffinity`): an empty term
    /// matches nothing, and a label that isn't there satisfies `NotIn` and `DoesNotExist` only.
    #[must_use]
    pub fn matches(&self, labels: &Labels, node_name: Value, names: &Names) -> bool {
        if self.expressions.is_empty() && self.names.is_empty() {
            return false;
        }
        let fields = self
            .names
            .iter()
            .all(|(within, values)| values.contains(&node_name) == *within);
        fields
            && self.expressions.iter().all(|expression| {
                let value = labels.get(expression.key);
                match (expression.operator, value) {
                    (Operator::In, Some(value)) => expression.values.contains(&value),
                    (Operator::NotIn, Some(value)) => !expression.values.contains(&value),
                    (Operator::NotIn | Operator::DoesNotExist, None)
                    | (Operator::Exists, Some(_)) => true,
                    (Operator::Gt | Operator::Lt | Operator::Gte | Operator::Lte, Some(value)) => {
                        let wanted = expression
                            .values
                            .first()
                            .and_then(|value| names.number(*value));
                        match (names.number(value), wanted) {
                            (Some(there), Some(wanted)) => match expression.operator {
                                Operator::Gt => there > wanted,
                                Operator::Lt => there < wanted,
                                Operator::Gte => there >= wanted,
                                _ => there <= wanted,
                            },
                            _ => false,
                        }
                    }
                    (_, None) | (Operator::DoesNotExist, Some(_)) => false,
                }
            })
    }
}

/// What a taint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Pods that don't tolerate it are not put there.
    NoSchedule,
    /// Pods that don't tolerate it are rather put elsewhere.
    PreferNoSchedule,
    /// Pods that don't tolerate it have to go.
    NoExecute,
}

/// A taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Taint {
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Value,
    /// What it does.
    pub effect: Effect,
}

/// A toleration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// The key; none tolerates every key (with `Exists`).
    pub key: Option<Key>,
    /// The value that must be equal; none is `Exists`.
    pub value: Option<Value>,
    /// The effect; none is all of them.
    pub effect: Option<Effect>,
}

impl Toleration {
    /// Whether it tolerates a taint (`k8s.io/component-helpers` `ToleratesTaint`).
    #[must_use]
    pub fn tolerates(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && self.key.is_none_or(|key| key == taint.key)
            && self.value.is_none_or(|value| value == taint.value)
    }
}

/// The first taint that nothing tolerates. Karpenter takes `PreferNoSchedule` for a taint like any other (`taints.go:75`).
#[must_use]
pub fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration]) -> Option<&'a Taint> {
    taints.iter().find(|taint| {
        !tolerations
            .iter()
            .any(|toleration| toleration.tolerates(taint))
    })
}

/// A label selector over pods.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// No selector at all: selects nothing.
    Nothing,
    /// All of these must hold; none selects everything.
    All(Vec<Expression>),
}

impl Selector {
    /// Whether it selects labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::Nothing => false,
            Self::All(expressions) => expressions.iter().all(|expression| {
                match (expression.operator, labels.get(expression.key)) {
                    (Operator::In, Some(value)) => expression.values.contains(&value),
                    (Operator::NotIn, Some(value)) => !expression.values.contains(&value),
                    (Operator::Exists, Some(_))
                    | (Operator::NotIn | Operator::DoesNotExist, None) => true,
                    _ => false,
                }
            }),
        }
    }
}

/// Which namespaces a term of pod affinity looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespaces {
    /// By name; the pod's own where neither names nor a selector are given.
    pub names: Vec<Value>,
    /// By their labels.
    pub selector: Option<Selector>,
}

/// A term of pod affinity or anti-affinity.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AffinityTerm {
    /// Which pods.
    pub selector: Selector,
    /// In which namespaces.
    pub namespaces: Namespaces,
    /// Same or other value of which node label.
    pub topology_key: Key,
}

/// Required and preferred terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Terms {
    /// All must hold.
    pub required: Vec<AffinityTerm>,
    /// With weights from 1 to 100.
    pub preferred: Vec<(i32, AffinityTerm)>,
}

impl Terms {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.required.is_empty() && self.preferred.is_empty()
    }
}

/// A topology spread constraint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Spread {
    /// How far domains may differ.
    pub max_skew: u32,
    /// Which node label makes a domain.
    pub topology_key: Key,
    /// `DoNotSchedule`; otherwise `ScheduleAnyway`.
    pub required: bool,
    /// Which pods are counted; `matchLabelKeys` are in it already.
    pub selector: Selector,
    /// The fewest domains for the least count to count.
    pub min_domains: Option<u32>,
    /// `nodeAffinityPolicy: Honor` (the default).
    pub honor_affinity: bool,
    /// `nodeTaintsPolicy: Honor` (the default is `Ignore`).
    pub honor_taints: bool,
}

/// A port of the node that a pod takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The address; none is all of them.
    pub ip: Option<std::net::IpAddr>,
    /// The port.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Value,
}

impl HostPort {
    /// Whether two can't be on one node (`hostportusage.go:52`).
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip.is_none() || other.ip.is_none() || self.ip == other.ip)
    }
}
