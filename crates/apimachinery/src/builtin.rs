//! The resources that a Kubernetes 1.33 API server has by itself: names, verbs, subresources and types, as its discovery
//! documents list them (`api/discovery` of kubernetes/kubernetes), with the resources of metrics-server.

use std::sync::Arc;

use crate::definitions;
use crate::resource::{GroupVersionKind, Resource, Subresource, Verb};
use crate::schema::Type;

use Scope::{Cluster, Namespaced};
use Sub::{Other, Scale, Status};

/// A group with its versions, in the order in which discovery lists them: the preferred one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Empty for the core.
    pub name: &'static str,
    pub versions: &'static [&'static str],
}

/// All built-in groups, in discovery's order: by the priorities that the API server's aggregator gives them.
pub const GROUPS: &[Group] = &[
    group("", &["v1"]),
    group("apiregistration.k8s.io", &["v1"]),
    group("apps", &["v1"]),
    group("events.k8s.io", &["v1"]),
    group("authentication.k8s.io", &["v1"]),
    group("authorization.k8s.io", &["v1"]),
    group("autoscaling", &["v2", "v1"]),
    group("batch", &["v1"]),
    group("certificates.k8s.io", &["v1"]),
    group("networking.k8s.io", &["v1"]),
    group("policy", &["v1"]),
    group("rbac.authorization.k8s.io", &["v1"]),
    group("storage.k8s.io", &["v1"]),
    group("admissionregistration.k8s.io", &["v1"]),
    group("apiextensions.k8s.io", &["v1"]),
    group("scheduling.k8s.io", &["v1"]),
    group("coordination.k8s.io", &["v1"]),
    group("node.k8s.io", &["v1"]),
    group("discovery.k8s.io", &["v1"]),
    group("flowcontrol.apiserver.k8s.io", &["v1"]),
    group("metrics.k8s.io", &["v1beta1"]),
];

const fn group(name: &'static str, versions: &'static [&'static str]) -> Group {
    Group { name, versions }
}

/// All built-in resources, by group in the order of [`GROUPS`], then by plural name.
#[must_use]
pub fn resources() -> Vec<Resource> {
    let mut all = Vec::new();
    for group in GROUPS {
        for version in group.versions {
            for row in ROWS {
                if row.group == group.name && row.version == *version {
                    all.push(row.resource());
                }
            }
        }
    }
    all
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Cluster,
    Namespaced,
}

#[derive(Clone, Copy)]
enum Sub {
    Status,
    Scale,
    /// Name, API version and kind of its bodies (the parent's own if the kind is empty), verbs.
    Other(
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static [Verb],
    ),
}

struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    categories: &'static [&'static str],
    scope: Scope,
    verbs: &'static [Verb],
    subs: &'static [Sub],
}

const ALL: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];
const NO_COLLECTION: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];
const CREATE: &[Verb] = &[Verb::Create];
const READ: &[Verb] = &[Verb::Get, Verb::List];
const CHANGE: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];
const CONNECT: &[Verb] = &[Verb::Create, Verb::Get];
const PROXY: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::Get,
    Verb::Patch,
    Verb::Update,
];

const EVERYWHERE: &[&str] = &["all"];
const EXTENSIONS: &[&str] = &["api-extensions"];

impl Row {
    fn resource(&self) -> Resource {
        let kind = GroupVersionKind::new(self.group, self.version, self.kind);
        let subresources = self.subs.iter().map(|sub| match sub {
            Status => Subresource {
                name: "status".into(),
                kind: kind.clone(),
                verbs: CHANGE.to_vec(),
            },
            Scale => Subresource {
                name: "scale".into(),
                kind: GroupVersionKind::new("autoscaling", "v1", "Scale"),
                verbs: CHANGE.to_vec(),
            },
            Other(name, group, version, body, verbs) => Subresource {
                name: (*name).into(),
                kind: if body.is_empty() {
                    kind.clone()
                } else {
                    GroupVersionKind::new(group, version, body)
                },
                verbs: verbs.to_vec(),
            },
        });
        let texts =
            |words: &[&str]| -> Vec<Arc<str>> { words.iter().map(|word| (*word).into()).collect() };
        Resource {
            plural: self.plural.into(),
            singular: self.kind.to_lowercase().into(),
            short_names: texts(self.short),
            categories: texts(self.categories),
            namespaced: self.scope == Namespaced,
            verbs: self.verbs.to_vec(),
            subresources: subresources.collect(),
            schema: definitions::of_kind(&kind).unwrap_or_else(Type::any),
            custom: false,
            printer_columns: Vec::new(),
            kind,
        }
    }

    const fn short(mut self, short: &'static [&'static str]) -> Self {
        self.short = short;
        self
    }

    const fn everywhere(mut self) -> Self {
        self.categories = EVERYWHERE;
        self
    }

    const fn extension(mut self) -> Self {
        self.categories = EXTENSIONS;
        self
    }

    const fn verbs(mut self, verbs: &'static [Verb]) -> Self {
        self.verbs = verbs;
        self
    }

    const fn subs(mut self, subs: &'static [Sub]) -> Self {
        self.subs = subs;
        self
    }
}

const fn row(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    scope: Scope,
) -> Row {
    Row {
        group,
        version,
        kind,
        plural,
        short: &[],
        categories: &[],
        scope,
        verbs: ALL,
        subs: &[],
    }
}

const CORE: &str = "";
const ADMISSION: &str = "admissionregistration.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const STORAGE: &str = "storage.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row(CORE, "v1", "Binding", "bindings", Namespaced).verbs(CREATE),
    row(CORE, "v1", "ComponentStatus", "componentstatuses", Cluster).short(&["cs"]).verbs(READ),
    row(CORE, "v1", "ConfigMap", "configmaps", Namespaced).short(&["cm"]),
    row(CORE, "v1", "Endpoints", "endpoints", Namespaced).short(&["ep"]),
    row(CORE, "v1", "Event", "events", Namespaced).short(&["ev"]),
    row(CORE, "v1", "LimitRange", "limitranges", Namespaced).short(&["limits"]),
    row(CORE, "v1", "Namespace", "namespaces", Cluster).short(&["ns"]).verbs(NO_COLLECTION)
        .subs(&[Other("finalize", "", "", "", &[Verb::Update]), Status]),
    row(CORE, "v1", "Node", "nodes", Cluster).short(&["no"])
        .subs(&[Other("proxy", "", "v1", "NodeProxyOptions", PROXY), Status]),
    row(CORE, "v1", "PersistentVolumeClaim", "persistentvolumeclaims", Namespaced).short(&["pvc"]).subs(&[Status]),
    row(CORE, "v1", "PersistentVolume", "persistentvolumes", Cluster).short(&["pv"]).subs(&[Status]),
    row(CORE, "v1", "Pod", "pods", Namespaced).short(&["po"]).everywhere().subs(&[
        Other("attach", "", "v1", "PodAttachOptions", CONNECT),
        Other("binding", "", "v1", "Binding", CREATE),
        Other("ephemeralcontainers", "", "", "", CHANGE),
        Other("eviction", "policy", "v1", "Eviction", CREATE),
        Other("exec", "", "v1", "PodExecOptions", CONNECT),
        Other("log", "", "", "", &[Verb::Get]),
        Other("portforward", "", "v1", "PodPortForwardOptions", CONNECT),
        Other("proxy", "", "v1", "PodProxyOptions", PROXY),
        Other("resize", "", "", "", CHANGE),
        Status,
    ]),
    row(CORE, "v1", "PodTemplate", "podtemplates", Namespaced),
    row(CORE, "v1", "ReplicationController", "replicationcontrollers", Namespaced).short(&["rc"]).everywhere()
        .subs(&[Scale, Status]),
    row(CORE, "v1", "ResourceQuota", "resourcequotas", Namespaced).short(&["quota"]).subs(&[Status]),
    row(CORE, "v1", "Secret", "secrets", Namespaced),
    row(CORE, "v1", "ServiceAccount", "serviceaccounts", Namespaced).short(&["sa"])
        .subs(&[Other("token", "authentication.k8s.io", "v1", "TokenRequest", CREATE)]),
    row(CORE, "v1", "Service", "services", Namespaced).short(&["svc"]).everywhere()
        .subs(&[Other("proxy", "", "v1", "ServiceProxyOptions", PROXY), Status]),

    row("apiregistration.k8s.io", "v1", "APIService", "apiservices", Cluster).extension().subs(&[Status]),

    row("apps", "v1", "ControllerRevision", "controllerrevisions", Namespaced),
    row("apps", "v1", "DaemonSet", "daemonsets", Namespaced).short(&["ds"]).everywhere().subs(&[Status]),
    row("apps", "v1", "Deployment", "deployments", Namespaced).short(&["deploy"]).everywhere().subs(&[Scale, Status]),
    row("apps", "v1", "ReplicaSet", "replicasets", Namespaced).short(&["rs"]).everywhere().subs(&[Scale, Status]),
    row("apps", "v1", "StatefulSet", "statefulsets", Namespaced).short(&["sts"]).everywhere().subs(&[Scale, Status]),

    row("events.k8s.io", "v1", "Event", "events", Namespaced).short(&["ev"]),

    row("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", Cluster).verbs(CREATE),
    row("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", Cluster).verbs(CREATE),

    row(AUTHORIZATION, "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", Namespaced).verbs(CREATE),
    row(AUTHORIZATION, "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", Cluster).verbs(CREATE),
    row(AUTHORIZATION, "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", Cluster).verbs(CREATE),
    row(AUTHORIZATION, "v1", "SubjectAccessReview", "subjectaccessreviews", Cluster).verbs(CREATE),

    row("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", Namespaced).short(&["hpa"]).everywhere()
        .subs(&[Status]),
    row("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", Namespaced).short(&["hpa"]).everywhere()
        .subs(&[Status]),

    row("batch", "v1", "CronJob", "cronjobs", Namespaced).short(&["cj"]).everywhere().subs(&[Status]),
    row("batch", "v1", "Job", "jobs", Namespaced).everywhere().subs(&[Status]),

    row("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", Cluster).short(&["csr"])
        .subs(&[Other("approval", "", "", "", CHANGE), Status]),

    row(NETWORKING, "v1", "IngressClass", "ingressclasses", Cluster),
    row(NETWORKING, "v1", "Ingress", "ingresses", Namespaced).short(&["ing"]).subs(&[Status]),
    row(NETWORKING, "v1", "IPAddress", "ipaddresses", Cluster).short(&["ip"]),
    row(NETWORKING, "v1", "NetworkPolicy", "networkpolicies", Namespaced).short(&["netpol"]),
    row(NETWORKING, "v1", "ServiceCIDR", "servicecidrs", Cluster).subs(&[Status]),

    row("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", Namespaced).short(&["pdb"]).subs(&[Status]),

    row(RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings", Cluster),
    row(RBAC, "v1", "ClusterRole", "clusterroles", Cluster),
    row(RBAC, "v1", "RoleBinding", "rolebindings", Namespaced),
    row(RBAC, "v1", "Role", "roles", Namespaced),

    row(STORAGE, "v1", "CSIDriver", "csidrivers", Cluster),
    row(STORAGE, "v1", "CSINode", "csinodes", Cluster),
    row(STORAGE, "v1", "CSIStorageCapacity", "csistoragecapacities", Namespaced),
    row(STORAGE, "v1", "StorageClass", "storageclasses", Cluster).short(&["sc"]),
    row(STORAGE, "v1", "VolumeAttachment", "volumeattachments", Cluster).subs(&[Status]),

    row(ADMISSION, "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", Cluster).extension(),
    row(ADMISSION, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", Cluster).extension().subs(&[Status]),
    row(ADMISSION, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", Cluster).extension(),
    row(ADMISSION, "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", Cluster).extension(),

    row("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", Cluster).extension()
        .short(&["crd", "crds"]).subs(&[Status]),

    row("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", Cluster).short(&["pc"]),

    row("coordination.k8s.io", "v1", "Lease", "leases", Namespaced),

    row("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", Cluster),

    row("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", Namespaced),

    row(FLOW, "v1", "FlowSchema", "flowschemas", Cluster).subs(&[Status]),
    row(FLOW, "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", Cluster).subs(&[Status]),

    row("metrics.k8s.io", "v1beta1", "NodeMetrics", "nodes", Cluster).verbs(READ),
    row("metrics.k8s.io", "v1beta1", "PodMetrics", "pods", Namespaced).verbs(READ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Shape;

    #[test]
    fn every_row_has_a_group_and_a_type() {
        let resources = resources();
        assert_eq!(resources.len(), ROWS.len());
        for resource in &resources {
            assert!(
                matches!(resource.schema.node().shape, Shape::Struct { .. }),
                "{resource:?}"
            );
        }
    }

    #[test]
    fn names_lead_to_one_resource() {
        let mut seen = std::collections::BTreeSet::new();
        for resource in resources() {
            assert!(
                seen.insert((resource.kind.api_version(), resource.plural.clone())),
                "{resource:?} twice"
            );
        }
    }

    #[test]
    fn a_deployment_is_as_discovery_tells_it() {
        let all = resources();
        let one = all
            .iter()
            .find(|one| &*one.plural == "deployments")
            .unwrap();
        assert_eq!(
            (&*one.singular, &*one.short_names[0]),
            ("deployment", "deploy")
        );
        let scale = one.subresource("scale").unwrap();
        assert_eq!(scale.kind.api_version(), "autoscaling/v1");
        assert_eq!(one.subresource("status").unwrap().kind, one.kind);
    }
}
