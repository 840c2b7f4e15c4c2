//! Small worlds by hand.

use std::sync::Arc;

use crate::names::{Key, Labels, Names, Value};
use crate::requirement::Operator;
use crate::resources::Resources;
use crate::scheduler::{Decision, Failure, Options, Outcome, Scheduler};
use crate::shape::{
    AffinityTerm, Effect, Expression, Namespaces, NodeTerm, PodShape, Selector, Spread, Taint,
    Toleration,
};
use crate::world::{Node, NodeId, PodId, Stage, World};

pub(super) const GIB: i64 = 1 << 30;

/// A world in the making.
#[derive(Default)]
pub(super) struct Lab {
    pub world: World,
}

impl Lab {
    /// A node of 4 CPUs, 16 GiB and 110 pods in a zone.
    pub(super) fn node(&mut self, name: &str, zone: &str) -> NodeId {
        self.node_with(name, zone, |_, _| {})
    }

    pub(super) fn node_with(
        &mut self,
        name: &str,
        zone: &str,
        change: impl FnOnce(&mut Node, &mut Names),
    ) -> NodeId {
        let names = &mut self.world.names;
        let name = names.value(name);
        let mut labels = Labels::new([(Key::HOSTNAME, name)]);
        if !zone.is_empty() {
            labels.set(Key::ZONE, names.value(zone));
        }
        let allocatable = Resources::new(4000, 16 * GIB, 110);
        let mut node = Node {
            name,
            pool: None,
            stage: Stage::Initialized,
            labels,
            taints: Vec::new(),
            unschedulable: false,
            ready: true,
            capacity: allocatable,
            allocatable,
            volume_limits: Vec::new(),
            pods: Vec::new(),
            claim: None,
            deleting: false,
            do_not_disrupt: false,
            nominated_until: None,
            created: None,
            removed: false,
        };
        change(&mut node, names);
        self.world.add_node(node)
    }

    /// A pending pod in namespace `default` with label `app`, of 100m and 1 GiB.
    pub(super) fn pod(&mut self, name: &str, app: &str) -> PodId {
        self.pod_with(name, app, |_, _| {})
    }

    pub(super) fn pod_with(
        &mut self,
        name: &str,
        app: &str,
        change: impl FnOnce(&mut PodShape, &mut Names),
    ) -> PodId {
        let names = &mut self.world.names;
        let namespace = names.value("default");
        let labels = Labels::new([(names.key("app"), names.value(app))]);
        let mut shape = PodShape::plain(namespace, labels, Resources::new(100, GIB, 1));
        change(&mut shape, names);
        shape.scored = PodShape::plain(namespace, Labels::default(), shape.requests).scored;
        let shape = self.world.intern_shape(shape);
        self.world.add_pending(name, shape)
    }

    /// A pod like the last but running.
    pub(super) fn running(
        &mut self,
        name: &str,
        app: &str,
        node: NodeId,
        change: impl FnOnce(&mut PodShape, &mut Names),
    ) -> PodId {
        let pod = self.pod_with(name, app, change);
        self.world.bind(pod, node);
        pod
    }

    pub(super) fn scheduler(&self) -> Scheduler {
        Scheduler::new(&self.world, Options::default())
    }

    /// Schedules with a new scheduler.
    pub(super) fn schedule(&self, pods: &[PodId]) -> Vec<Decision> {
        self.scheduler().schedule(&self.world, pods)
    }

    /// Schedules one pod with a new scheduler.
    pub(super) fn one(&self, pod: PodId) -> Outcome {
        self.scheduler().schedule_one(&self.world, pod)
    }

    /// Where a pod goes; it has to go somewhere.
    pub(super) fn place(&self, pod: PodId) -> NodeId {
        match self.one(pod) {
            Outcome::Bound(node) => node,
            other => panic!("{}", text(&self.world, &other)),
        }
    }

    /// Why a pod goes nowhere.
    pub(super) fn failure(&self, pod: PodId) -> Arc<Failure> {
        match self.one(pod) {
            Outcome::Unschedulable(failure) => failure,
            other => panic!("{}", text(&self.world, &other)),
        }
    }

    /// kube-scheduler's message for a pod that goes nowhere.
    pub(super) fn message(&self, pod: PodId) -> String {
        self.failure(pod).message(&self.world)
    }
}

pub(super) fn text(world: &World, outcome: &Outcome) -> String {
    let name = |node: NodeId| world.names.value_text(world.node(node).name).into_owned();
    match outcome {
        Outcome::Bound(node) => format!("to {}", name(*node)),
        Outcome::Nominated {
            node,
            victims,
            failure,
        } => {
            let victims: Vec<String> = victims.iter().map(|pod| world.pod_name(*pod)).collect();
            let victims = victims.join(" ");
            let message = failure.message(world);
            format!("nominated to {} for {victims}: {message}", name(*node))
        }
        Outcome::Unschedulable(failure) => failure.message(world),
    }
}

pub(super) fn is(names: &mut Names, key: &str, operator: Operator, values: &[&str]) -> Expression {
    Expression {
        key: names.key(key),
        operator,
        values: values.iter().map(|text| names.value(text)).collect(),
    }
}

pub(super) fn within(names: &mut Names, key: &str, values: &[&str]) -> NodeTerm {
    NodeTerm {
        expressions: vec![is(names, key, Operator::In, values)],
        names: Vec::new(),
    }
}

pub(super) fn app(names: &mut Names, app: &str) -> Selector {
    Selector::All(vec![is(names, "app", Operator::In, &[app])])
}

pub(super) fn term(names: &mut Names, of: &str, key: Key) -> AffinityTerm {
    AffinityTerm {
        selector: app(names, of),
        namespaces: Namespaces {
            names: vec![names.value("default")],
            selector: None,
        },
        topology_key: key,
    }
}

pub(super) fn spread(names: &mut Names, of: &str, key: Key, required: bool) -> Spread {
    Spread {
        max_skew: 1,
        topology_key: key,
        required,
        selector: app(names, of),
        min_domains: None,
        honor_affinity: true,
        honor_taints: false,
    }
}

pub(super) fn taint(names: &mut Names, key: &str, value: &str, effect: Effect) -> Taint {
    Taint {
        key: names.exact_key(key),
        value: names.value(value),
        effect,
    }
}

pub(super) fn tolerate(names: &mut Names, key: &str, value: Option<&str>) -> Toleration {
    Toleration {
        key: Some(names.exact_key(key)),
        value: value.map(|value| names.value(value)),
        effect: None,
    }
}

pub(super) fn value(lab: &mut Lab, text: &str) -> Value {
    lab.world.names.value(text)
}
