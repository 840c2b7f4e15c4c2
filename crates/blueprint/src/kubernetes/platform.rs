//! What runs in every cluster beside the services: what EKS's add-ons bring, and the controllers' charts.
//!
//! Nobody applies these objects: the add-ons and the charts make their own. They are here because of what they take of the
//! nodes, so they hold what a scheduler looks at: replicas, requests, tolerations, affinities, spread, priority, budgets.
//!
//! The requests, with their sources as of August 2026:
//!
//! - aws-node, 25m and 25m for the network policy agent: `amazon-vpc-cni-k8s` b521883, `config/master/aws-k8s-cni.yaml`
//! - kube-proxy, 100m and no memory: the EKS manifests that `eksctl` 99984ad keeps in `pkg/addons/default/testdata`
//! - eks-pod-identity-agent, nothing: its chart at d4dc0f3, `hack/testdata/expected_…_default_helm_template.yaml`
//! - CoreDNS, 100m and 70Mi, two replicas: `eksctl` 99984ad, `pkg/addons/default/assets/coredns-1.36.json`
//! - the EBS CSI driver, 10m and 40Mi a container, two controllers: `aws-ebs-csi-driver` 429e202, `charts/…/values.yaml` and
//!   `templates/{controller,_node.tpl}`; the snapshotter is counted, since EKS has the add-on bring it
//! - metrics-server, 100m and 200Mi: its chart's `values.yaml`; two replicas are the EKS add-on's
//! - CloudWatch observability: 250m and 128Mi the agent, 50m and 25Mi Fluent Bit, 100m and 64Mi the operator:
//!   `aws-observability/helm-charts` 71a298f, `charts/amazon-cloudwatch-observability/values.yaml`. Its exporters for NVIDIA and
//!   Neuron run on accelerated instances alone, and are left out
//! - Karpenter, 500m (its guide has 1 vCPU, for which a second t3.medium has no room where the add-ons' pods have spread
//!   unevenly) and 1Gi, two replicas: `karpenter-provider-aws` 1d92708, its getting started guide and chart
//! - the AWS Load Balancer Controller, 100m and 128Mi, two replicas: its chart at 225f445, as its comments suggest; it has none
//!   by default
//! - the External Secrets Operator, 10m and 32Mi each for controller, webhook and certificates: its chart, as its comments
//!   suggest; it has none by default
//!
//! The add-ons' `tolerations` are those that `addons.rs` configures.

use objects::k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, Deployment, DeploymentSpec};
use objects::k8s_openapi::api::core::v1::{
    Affinity, Container, NodeSelectorRequirement, PodSpec, PodTemplateSpec,
};
use objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::snapshot::Object;
use spec::Platform;

use super::nodes::SYSTEM;
use super::pods::{
    Critical, Labels, ZONE, apart, container, disruption_budget, expression, labels, metadata,
    on_nodes, rather_apart, selector, spread, tolerates, tolerates_all,
};
use super::storage::namespace;
use crate::iam::ServiceAccount;
use crate::system_nodes::TAINT;

const KUBE_SYSTEM: &str = "kube-system";

/// The daemon sets, deployments and budgets of the platform's add-ons and controllers.
pub fn platform_objects(platform: &Platform) -> Vec<Object> {
    let spec = &platform.spec;
    let mut objects = daemons();
    objects.extend(coredns());
    objects.extend(ebs_csi_controller());
    objects.extend(metrics_server());
    if spec.addons.cloudwatch_observability {
        objects.extend(cloudwatch());
    }
    if spec.karpenter.enabled {
        objects.extend(karpenter(platform));
    }
    if spec.load_balancer_controller.enabled {
        objects.extend(load_balancer_controller());
    }
    if spec.external_secrets.enabled {
        objects.extend(external_secrets());
    }
    objects
}

/// A workload of somebody else's.
struct Part {
    name: &'static str,
    namespace: &'static str,
    labels: Labels,
    pod: PodSpec,
}

impl Part {
    fn new(
        name: &'static str,
        namespace: &'static str,
        label: (&str, &str),
        containers: Vec<Container>,
    ) -> Self {
        Self {
            name,
            namespace,
            labels: labels([label]),
            pod: PodSpec {
                containers,
                ..PodSpec::default()
            },
        }
    }

    fn critical(mut self, critical: Critical) -> Self {
        critical.apply(&mut self.pod);
        self
    }

    /// On the system nodes, and nowhere else.
    fn on_system_nodes(mut self) -> Self {
        self.pod.node_selector = Some(labels([SYSTEM]));
        self.pod.tolerations = Some(vec![tolerates(TAINT)]);
        self
    }

    fn template(&self) -> PodTemplateSpec {
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(self.labels.clone()),
                ..ObjectMeta::default()
            }),
            spec: Some(self.pod.clone()),
        }
    }

    fn metadata(&self) -> ObjectMeta {
        metadata(self.name, Some(self.namespace), self.labels.clone())
    }

    fn daemon_set(&self) -> Object {
        Object::DaemonSet(Box::new(DaemonSet {
            metadata: self.metadata(),
            spec: Some(DaemonSetSpec {
                selector: selector(&self.labels),
                template: self.template(),
                ..DaemonSetSpec::default()
            }),
            status: None,
        }))
    }

    fn deployment(&self, replicas: i32) -> Object {
        Object::Deployment(Box::new(Deployment {
            metadata: self.metadata(),
            spec: Some(DeploymentSpec {
                replicas: Some(replicas),
                selector: selector(&self.labels),
                template: self.template(),
                ..DeploymentSpec::default()
            }),
            status: None,
        }))
    }

    /// Two replicas, one of which may be missing.
    fn pair(&self) -> [Object; 2] {
        self.budgeted(2)
    }

    /// So many replicas, one of which may be missing.
    fn budgeted(&self, replicas: i32) -> [Object; 2] {
        let budget = disruption_budget(self.metadata(), &self.labels, Some(1), None);
        [self.deployment(replicas), budget]
    }
}

/// Not on what EKS runs without nodes of ours.
fn on_ec2() -> NodeSelectorRequirement {
    expression(
        "eks.amazonaws.com/compute-type",
        "NotIn",
        &["fargate", "hybrid", "auto"],
    )
}

fn on_linux() -> Vec<NodeSelectorRequirement> {
    vec![
        expression("kubernetes.io/os", "In", &["linux"]),
        expression("kubernetes.io/arch", "In", &["amd64", "arm64"]),
    ]
}

/// A daemon of every node.
fn daemon(
    name: &'static str,
    namespace: &'static str,
    label: (&str, &str),
    containers: Vec<Container>,
) -> Part {
    let mut part = Part::new(name, namespace, label, containers).critical(Critical::Node);
    let mut expressions = on_linux();
    expressions.push(on_ec2());
    part.pod.affinity = Some(Affinity {
        node_affinity: Some(on_nodes(expressions)),
        ..Affinity::default()
    });
    part.pod.tolerations = Some(vec![tolerates_all()]);
    part
}

fn daemons() -> Vec<Object> {
    let mut aws_node = daemon(
        "aws-node",
        KUBE_SYSTEM,
        ("k8s-app", "aws-node"),
        vec![
            container("aws-node", "25m", ""),
            container("aws-eks-nodeagent", "25m", ""),
        ],
    );
    let mut kube_proxy = daemon(
        "kube-proxy",
        KUBE_SYSTEM,
        ("k8s-app", "kube-proxy"),
        vec![container("kube-proxy", "100m", "")],
    );
    let mut agent = daemon(
        "eks-pod-identity-agent",
        KUBE_SYSTEM,
        ("app.kubernetes.io/name", "eks-pod-identity-agent"),
        vec![container("eks-pod-identity-agent", "", "")],
    );
    for part in [&mut aws_node, &mut kube_proxy, &mut agent] {
        part.pod.host_network = Some(true);
    }
    let ebs_csi_node = daemon(
        "ebs-csi-node",
        KUBE_SYSTEM,
        ("app", "ebs-csi-node"),
        ["ebs-plugin", "node-driver-registrar", "liveness-probe"]
            .map(|name| container(name, "10m", "40Mi"))
            .to_vec(),
    );
    [aws_node, kube_proxy, agent, ebs_csi_node]
        .iter()
        .map(Part::daemon_set)
        .collect()
}

fn coredns() -> [Object; 2] {
    let mut part = Part::new(
        "coredns",
        KUBE_SYSTEM,
        ("k8s-app", "kube-dns"),
        vec![container("coredns", "100m", "70Mi")],
    )
    .critical(Critical::Cluster);
    part.pod.affinity = Some(Affinity {
        node_affinity: Some(on_nodes(on_linux())),
        pod_anti_affinity: Some(rather_apart(&part.labels)),
        ..Affinity::default()
    });
    part.pod.topology_spread_constraints = Some(vec![spread(ZONE, "ScheduleAnyway", &part.labels)]);
    part.pod.tolerations = Some(vec![tolerates(TAINT)]);
    part.pair()
}

fn ebs_csi_controller() -> [Object; 2] {
    let containers = [
        "ebs-plugin",
        "csi-provisioner",
        "csi-attacher",
        "csi-snapshotter",
        "csi-resizer",
        "liveness-probe",
    ];
    let mut part = Part::new(
        "ebs-csi-controller",
        KUBE_SYSTEM,
        ("app", "ebs-csi-controller"),
        containers
            .map(|name| container(name, "10m", "40Mi"))
            .to_vec(),
    )
    .critical(Critical::Cluster);
    part.pod.affinity = Some(Affinity {
        pod_anti_affinity: Some(rather_apart(&part.labels)),
        ..Affinity::default()
    });
    let mut gone = tolerates_all();
    gone.effect = Some("NoExecute".to_owned());
    gone.toleration_seconds = Some(300);
    part.pod.tolerations = Some(vec![tolerates(TAINT), gone]);
    part.pair()
}

fn metrics_server() -> [Object; 2] {
    let mut part = Part::new(
        "metrics-server",
        KUBE_SYSTEM,
        ("app.kubernetes.io/name", "metrics-server"),
        vec![container("metrics-server", "100m", "200Mi")],
    )
    .critical(Critical::Cluster);
    part.pod.tolerations = Some(vec![tolerates(TAINT)]);
    part.pair()
}

fn cloudwatch() -> Vec<Object> {
    let namespace_name = ServiceAccount::CLOUDWATCH_AGENT.namespace;
    let mut agent = daemon(
        "cloudwatch-agent",
        namespace_name,
        ("app.kubernetes.io/name", "cloudwatch-agent"),
        vec![container("cloudwatch-agent", "250m", "128Mi")],
    );
    let mut fluent_bit = daemon(
        "fluent-bit",
        namespace_name,
        ("k8s-app", "fluent-bit"),
        vec![container("fluent-bit", "50m", "25Mi")],
    );
    for part in [&mut agent, &mut fluent_bit] {
        part.pod.host_network = Some(true);
    }
    let mut operator = Part::new(
        "amazon-cloudwatch-observability-controller-manager",
        namespace_name,
        ("app.kubernetes.io/name", "amazon-cloudwatch-observability"),
        vec![container("manager", "100m", "64Mi")],
    );
    operator.pod.tolerations = Some(vec![tolerates_all()]);
    vec![
        namespace(namespace_name),
        agent.daemon_set(),
        fluent_bit.daemon_set(),
        operator.deployment(1),
    ]
}

/// What Karpenter's own pods are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KarpenterPods {
    /// How many there are.
    pub(crate) replicas: i32,
    /// The CPU of each.
    pub(crate) cpu: &'static str,
    /// The memory of each.
    pub(crate) memory: &'static str,
    /// The label of the nodes that they run on.
    pub(crate) node: (&'static str, &'static str),
}

/// Two of them, or one where one node is all that there is: they never share a node.
pub(crate) fn karpenter_pods(platform: &Platform) -> KarpenterPods {
    KarpenterPods {
        replicas: if platform.spec.system_nodes.desired > 1 {
            2
        } else {
            1
        },
        cpu: "500m",
        memory: "1Gi",
        node: SYSTEM,
    }
}

/// Its chart keeps it off the nodes that it makes, and its replicas apart, in zones as in nodes.
fn karpenter(platform: &Platform) -> [Object; 2] {
    let account = ServiceAccount::KARPENTER;
    let pods = karpenter_pods(platform);
    let mut part = Part::new(
        account.name,
        account.namespace,
        ("app.kubernetes.io/name", "karpenter"),
        vec![container("controller", pods.cpu, pods.memory)],
    )
    .critical(Critical::Cluster)
    .on_system_nodes();
    let not_its_own = expression("karpenter.sh/nodepool", "DoesNotExist", &[]);
    part.pod.affinity = Some(Affinity {
        node_affinity: Some(on_nodes(vec![not_its_own])),
        pod_anti_affinity: Some(apart(&part.labels)),
        ..Affinity::default()
    });
    part.pod.topology_spread_constraints = Some(vec![spread(ZONE, "DoNotSchedule", &part.labels)]);
    part.budgeted(pods.replicas)
}

fn load_balancer_controller() -> [Object; 2] {
    let account = ServiceAccount::LOAD_BALANCER_CONTROLLER;
    let mut part = Part::new(
        account.name,
        account.namespace,
        ("app.kubernetes.io/name", "aws-load-balancer-controller"),
        vec![container("controller", "100m", "128Mi")],
    )
    .critical(Critical::Cluster)
    .on_system_nodes();
    part.pod.affinity = Some(Affinity {
        pod_anti_affinity: Some(rather_apart(&part.labels)),
        ..Affinity::default()
    });
    part.pair()
}

fn external_secrets() -> Vec<Object> {
    [
        "external-secrets",
        "external-secrets-webhook",
        "external-secrets-cert-controller",
    ]
    .into_iter()
    .map(|name| {
        Part::new(
            name,
            ServiceAccount::EXTERNAL_SECRETS.namespace,
            ("app.kubernetes.io/name", name),
            vec![container("controller", "10m", "32Mi")],
        )
        .on_system_nodes()
        .deployment(1)
    })
    .collect()
}
