//! Services of type LoadBalancer get a load balancer of AWS's.
//!
//! As the cloud controller manager's service controller (`staging/src/k8s.io/cloud-provider/controllers/service`), which on EKS looks
//! after services without a class, and as the AWS Load Balancer Controller, which looks after its own class if it runs.

use serde_json::json;

use k8s_openapi::api::core::v1::Service;

use crate::cloud::CloudAction;
use crate::document::Named;
use crate::{Action, Change, Context, Controller, EventKind, Key, Kind, Object, Outcome, View};

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
/// The class of the AWS Load Balancer Controller.
const AWS_CLASS: &str = "service.k8s.aws/nlb";
/// The class that EKS Auto Mode looks after itself.
const AUTO_CLASS: &str = "eks.amazonaws.com/nlb";

/// Makes and deletes load balancers. A key is a Service.
#[derive(Debug, Default)]
pub struct LoadBalancers;

fn is_load_balancer(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer")
}

fn class(service: &Service) -> Option<&str> {
    service.spec.as_ref()?.load_balancer_class.as_deref()
}

/// Whether somebody looks after services of this class.
fn is_served(view: &View, class: Option<&str>) -> bool {
    match class {
        None | Some(AUTO_CLASS) => true,
        Some(AWS_CLASS) => view.deployments.iter().any(|(_, deployment)| {
            deployment.label("app.kubernetes.io/name") == Some("aws-load-balancer-controller")
                && deployment
                    .status
                    .as_ref()
                    .and_then(|status| status.available_replicas)
                    .is_some_and(|count| count > 0)
        }),
        Some(_) => false,
    }
}

/// Whether it has addresses inside of the VPC only. The service controller's load balancers face the internet unless told otherwise,
/// the AWS Load Balancer Controller's do not.
fn is_internal(service: &Service) -> bool {
    match service.annotation("service.beta.kubernetes.io/aws-load-balancer-scheme") {
        Some(scheme) => scheme == "internal",
        None => match service.annotation("service.beta.kubernetes.io/aws-load-balancer-internal") {
            Some(text) => !text.is_empty() && text != "false",
            None => class(service).is_some(),
        },
    }
}

fn host_name(service: &Service) -> Option<&str> {
    let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
    balancer.ingress.as_ref()?.first()?.hostname.as_deref()
}

impl Controller for LoadBalancers {
    fn name(&self) -> &'static str {
        "service-controller"
    }

    fn concerns(&self, change: &Change, view: &View) -> Vec<Key> {
        let looked_after =
            |service: &Service| is_load_balancer(service) || service.has_finalizer(FINALIZER);
        match (&change.after, change.kind) {
            (Some(Object::Service(service)), _) if looked_after(service) => {
                vec![change.key.clone()]
            }
            // What AWS has, or the controller of a class, came or went.
            (_, Some(Kind::Cloud)) => view
                .services
                .iter()
                .filter(|(_, service)| looked_after(service))
                .map(|(key, _)| key.clone())
                .collect(),
            (Some(Object::Deployment(deployment)), _)
                if deployment.label("app.kubernetes.io/name")
                    == Some("aws-load-balancer-controller") =>
            {
                view.services
                    .iter()
                    .filter(|(_, service)| class(service) == Some(AWS_CLASS))
                    .map(|(key, _)| key.clone())
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&mut self, key: &Key, context: Context<'_>) -> Outcome {
        let view = context.view;
        let Some(service) = view.services.get(key) else {
            return Outcome::settled();
        };
        let there = view.cloud.load_balancers.get(key);
        let held = service.has_finalizer(FINALIZER);
        if is_load_balancer(service) && !service.is_deleting() {
            if !held && !is_served(view, class(service)) {
                return Outcome::settled();
            }
            if !held {
                return Outcome::of(vec![Action::InTurn(vec![
                    service.with_finalizer(FINALIZER),
                    service.tell(
                        EventKind::Normal,
                        "EnsuringLoadBalancer",
                        "Ensuring load balancer",
                    ),
                ])]);
            }
            return Outcome::of(match there {
                None => vec![Action::Cloud(CloudAction::CreateLoadBalancer {
                    service: key.clone(),
                    internal: is_internal(service),
                    ports: service
                        .spec
                        .iter()
                        .flat_map(|spec| spec.ports.iter().flatten())
                        .map(|port| port.port)
                        .collect(),
                })],
                Some(balancer) if host_name(service) != Some(&balancer.dns_name) => {
                    vec![Action::InTurn(vec![
                        service.patch_status(
                            json!({"loadBalancer": {"ingress": [{"hostname": balancer.dns_name}]}}),
                        ),
                        service.tell(
                            EventKind::Normal,
                            "EnsuredLoadBalancer",
                            "Ensured load balancer",
                        ),
                    ])]
                }
                Some(_) => Vec::new(),
            });
        }
        if !held {
            return Outcome::settled();
        }
        if there.is_some() {
            // The address goes first: it tells whether this was said before.
            let mut actions = Vec::new();
            if host_name(service).is_some() {
                actions.push(Action::InTurn(vec![
                    service.patch_status(json!({"loadBalancer": null})),
                    service.tell(
                        EventKind::Normal,
                        "DeletingLoadBalancer",
                        "Deleting load balancer",
                    ),
                ]));
            }
            actions.push(Action::Cloud(CloudAction::DeleteLoadBalancer {
                service: key.clone(),
            }));
            return Outcome::of(actions);
        }
        Outcome::of(vec![Action::InTurn(vec![
            service.without_finalizer(FINALIZER),
            service.tell(
                EventKind::Normal,
                "DeletedLoadBalancer",
                "Deleted load balancer",
            ),
        ])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{Cloud, LoadBalancer};
    use crate::testing::Cluster;

    fn cloud(dns_name: Option<&str>) -> Cloud {
        let mut cloud = Cloud::default();
        if let Some(dns_name) = dns_name {
            let balancer = LoadBalancer {
                arn: "arn".to_owned(),
                dns_name: dns_name.to_owned(),
                active: false,
            };
            cloud
                .load_balancers
                .insert(Key::new("shop", "web"), balancer);
        }
        cloud
    }

    fn service(class: Option<&str>) -> serde_json::Value {
        let mut json = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
        if let Some(class) = class {
            json["spec"]["loadBalancerClass"] = json!(class);
        }
        json
    }

    #[test]
    fn one_is_made_named_and_taken_away() {
        let mut cluster = Cluster::new(vec![Box::new(LoadBalancers)]);
        cluster.create(service(None));
        cluster.settle();
        assert!(
            matches!(&cluster.asked[..], [CloudAction::CreateLoadBalancer { internal: false, ports, .. }] if *ports == [80]),
            "{:?}",
            cluster.asked
        );
        cluster.set_cloud(cloud(Some("web.elb.amazonaws.com")));
        cluster.settle();
        let there = cluster.get::<Service>("shop", "web");
        assert_eq!(host_name(&there), Some("web.elb.amazonaws.com"));
        cluster.delete::<Service>("shop", "web");
        cluster.settle();
        assert!(cluster.get::<Service>("shop", "web").is_deleting());
        assert!(matches!(
            cluster.asked.last(),
            Some(CloudAction::DeleteLoadBalancer { .. })
        ));
        cluster.set_cloud(cloud(None));
        cluster.settle();
        assert!(cluster.find::<Service>("shop", "web").is_none());
        for reason in [
            "EnsuringLoadBalancer",
            "EnsuredLoadBalancer",
            "DeletingLoadBalancer",
            "DeletedLoadBalancer",
        ] {
            let told: Vec<_> = cluster
                .events
                .iter()
                .filter(|told| told.reason == reason)
                .collect();
            assert_eq!(told.len(), 1, "{reason}");
            assert_eq!(told[0].count, 1, "{reason}");
        }
    }

    #[test]
    fn a_class_needs_its_controller() {
        let mut cluster = Cluster::new(vec![Box::new(LoadBalancers)]);
        cluster.create(service(Some(AWS_CLASS)));
        cluster.settle();
        assert!(cluster.asked.is_empty());
        cluster.create(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "lbc", "namespace": "kube-system", "labels": {"app.kubernetes.io/name": "aws-load-balancer-controller"}},
            "spec": {"selector": {}, "template": {}}, "status": {"availableReplicas": 2}}));
        cluster.settle();
        assert!(
            matches!(
                &cluster.asked[..],
                [CloudAction::CreateLoadBalancer { internal: true, .. }]
            ),
            "{:?}",
            cluster.asked
        );
    }

    #[test]
    fn another_type_needs_none_any_more() {
        let mut cluster = Cluster::new(vec![Box::new(LoadBalancers)]);
        cluster.create(service(None));
        cluster.settle();
        cluster.set_cloud(cloud(Some("a")));
        cluster.settle();
        cluster.patch::<Service>("shop", "web", &json!({"spec": {"type": "ClusterIP"}}));
        cluster.settle();
        cluster.set_cloud(cloud(None));
        cluster.settle();
        let there = cluster.get::<Service>("shop", "web");
        assert!(!there.has_finalizer(FINALIZER));
        assert_eq!(host_name(&there), None);
    }
}
