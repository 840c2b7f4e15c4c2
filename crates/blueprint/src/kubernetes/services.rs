//! What teams run: a Deployment a service, or a StatefulSet where it keeps data, and its disruption budget.

use objects::k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, StatefulSet, StatefulSetSpec,
};
use objects::k8s_openapi::api::core::v1::{
    Container, ContainerPort, PersistentVolumeClaim, PersistentVolumeClaimSpec, PodSpec,
    PodTemplateSpec, ResourceRequirements, Toleration, TopologySpreadConstraint, VolumeMount,
    VolumeResourceRequirements,
};
use objects::k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use objects::snapshot::Object;
use spec::Platform;
use spec::model::services::{Service, SpreadRule, Volume};

use super::pods::{self, HOSTNAME, Labels, ZONE, amounts, labels, metadata, selector};
use super::storage::{STORAGE_CLASS, priority_class};
use super::{Error, Replicas, node_pools};

/// The label of everything that is ours to apply.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "seaworthy");

/// The name of a service's volume.
const VOLUME: &str = "data";

pub(super) fn render(
    platform: &Platform,
    replicas: Replicas,
    errors: &mut Vec<Error>,
) -> Vec<Object> {
    let mut objects = Vec::new();
    for (name, service) in &platform.spec.services {
        if service.enabled {
            let labels = labels([("app.kubernetes.io/name", name)]);
            objects.push(workload(platform, name, service, replicas, &labels, errors));
            objects.push(budget(name, service, &labels));
        }
    }
    objects
}

/// The labels of an object: those that select its pods, and whose it is.
fn labelled(platform: &Platform, labels: &Labels) -> Labels {
    let mut all = labels.clone();
    all.insert(
        "app.kubernetes.io/part-of".to_owned(),
        platform.platform.to_string(),
    );
    all.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    all
}

fn workload(
    platform: &Platform,
    name: &str,
    service: &Service,
    replicas: Replicas,
    labels: &Labels,
    errors: &mut Vec<Error>,
) -> Object {
    let metadata = metadata(name, Some(&service.namespace), labelled(platform, labels));
    let count = match replicas {
        Replicas::Min => service.replicas.min,
        Replicas::Max => service.replicas.most(),
    };
    let count = Some(i32::try_from(count).unwrap_or(i32::MAX));
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labelled(platform, labels)),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(platform, name, service, labels, errors)),
    };
    match &service.volume {
        None => Object::Deployment(Box::new(Deployment {
            metadata,
            spec: Some(DeploymentSpec {
                replicas: count,
                selector: selector(labels),
                template,
                ..DeploymentSpec::default()
            }),
            status: None,
        })),
        Some(volume) => Object::StatefulSet(Box::new(StatefulSet {
            metadata,
            spec: Some(StatefulSetSpec {
                replicas: count,
                service_name: Some(name.to_owned()),
                selector: selector(labels),
                template,
                volume_claim_templates: Some(vec![claim(volume)]),
                ..StatefulSetSpec::default()
            }),
            status: None,
        })),
    }
}

fn claim(volume: &Volume) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: metadata(VOLUME, None, Labels::new()),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: Some(STORAGE_CLASS.to_owned()),
            resources: Some(VolumeResourceRequirements {
                requests: amounts([("storage", &format!("{}Gi", volume.size_gib))]),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

fn pod(
    platform: &Platform,
    name: &str,
    service: &Service,
    labels: &Labels,
    errors: &mut Vec<Error>,
) -> PodSpec {
    let mut tolerations: Vec<Toleration> = service.tolerations.iter().flat_map(tolerated).collect();
    let mut node_selector = None;
    if let Some(key) = &service.node_pool {
        match platform.spec.node_pools.get(key) {
            Some(pool) if pool.enabled && platform.spec.karpenter.enabled => {
                let pool_name = node_pools::name(platform, key, pool);
                node_selector = Some(pods::labels([("karpenter.sh/nodepool", &pool_name)]));
                tolerations.extend(pool.taints.iter().map(|taint| Toleration {
                    key: Some(taint.key.clone()),
                    operator: Some("Equal".to_owned()),
                    value: Some(taint.value.clone()),
                    effect: Some(taint.effect.as_str().to_owned()),
                    toleration_seconds: None,
                }));
            }
            _ => errors.push(Error::UnknownNodePool {
                service: name.to_owned(),
                pool: key.clone(),
            }),
        }
    }
    let spread = [
        (ZONE, service.spread.zones),
        (HOSTNAME, service.spread.hosts),
    ];
    let spread: Vec<TopologySpreadConstraint> = spread
        .into_iter()
        .filter_map(|(key, rule)| {
            let rule = match rule {
                SpreadRule::DoNotSchedule => "DoNotSchedule",
                SpreadRule::ScheduleAnyway => "ScheduleAnyway",
                SpreadRule::Off => return None,
            };
            // Nodes whose taints keep the replicas off, the system nodes first of all, are no place to spread over.
            Some(TopologySpreadConstraint {
                node_taints_policy: Some("Honor".to_owned()),
                ..pods::spread(key, rule, labels)
            })
        })
        .collect();
    PodSpec {
        containers: vec![container(name, service)],
        node_selector,
        tolerations: (!tolerations.is_empty()).then_some(tolerations),
        topology_spread_constraints: (!spread.is_empty()).then_some(spread),
        priority_class_name: priority_class(service.priority_class)
            .map(|(name, _)| name.to_owned()),
        // A service talks to Kubernetes only when somebody lets it.
        automount_service_account_token: Some(false),
        ..PodSpec::default()
    }
}

/// A toleration for each effect; without effects, for all of them.
fn tolerated(toleration: &spec::model::services::Toleration) -> Vec<Toleration> {
    let one = |effect: Option<&str>| Toleration {
        key: Some(toleration.key.clone()),
        operator: Some(
            if toleration.value.is_some() {
                "Equal"
            } else {
                "Exists"
            }
            .to_owned(),
        ),
        value: toleration.value.clone(),
        effect: effect.map(str::to_owned),
        toleration_seconds: None,
    };
    if toleration.effects.is_empty() {
        vec![one(None)]
    } else {
        toleration
            .effects
            .iter()
            .map(|effect| one(Some(effect.as_str())))
            .collect()
    }
}

fn container(name: &str, service: &Service) -> Container {
    let (requests, limits) = (&service.resources.requests, &service.resources.limits);
    Container {
        name: name.to_owned(),
        image: Some(service.image.clone()),
        args: (!service.args.is_empty()).then(|| service.args.clone()),
        ports: service.port.map(|port| {
            vec![ContainerPort {
                container_port: i32::from(port),
                ..ContainerPort::default()
            }]
        }),
        resources: Some(ResourceRequirements {
            requests: amounts([
                ("cpu", requests.cpu.as_str()),
                ("memory", requests.memory.as_str()),
            ]),
            limits: amounts([
                ("cpu", limits.cpu.as_ref().map_or("", |cpu| cpu.as_str())),
                (
                    "memory",
                    limits.memory.as_ref().map_or("", |memory| memory.as_str()),
                ),
            ]),
            ..ResourceRequirements::default()
        }),
        volume_mounts: service.volume.as_ref().map(|volume| {
            vec![VolumeMount {
                name: VOLUME.to_owned(),
                mount_path: volume.mount_path.clone(),
                ..VolumeMount::default()
            }]
        }),
        ..Container::default()
    }
}

fn budget(name: &str, service: &Service, labels: &Labels) -> Object {
    let budget = service.pod_disruption_budget;
    let max_unavailable = match budget.min_available {
        Some(_) => None,
        None => Some(budget.max_unavailable.unwrap_or(1)),
    };
    pods::disruption_budget(
        metadata(name, Some(&service.namespace), pods::labels([MANAGED_BY])),
        labels,
        max_unavailable,
        budget.min_available,
    )
}
