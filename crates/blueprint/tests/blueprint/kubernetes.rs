//! The Kubernetes objects: what they promise to the scheduler, to Karpenter and to the graph.

use std::collections::{BTreeMap, BTreeSet};

use blueprint::kubernetes::{self, Replicas, cluster, objects, platform_objects, system_nodes};
use catalog::instance_types::{self, InstanceType, PodLimits};
use graph::Attribute;
use objects::Quantity;
use objects::ec2nodeclass::Ec2NodeClass;
use objects::k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use objects::karpenter::{NodePool, NodeSelectorRequirement, Operator};
use objects::snapshot::{self, Object};
use serde_json::{Value as Json, json};
use spec::Platform;

use crate::fixtures::{all, nothing, platform, presets};
use crate::render::{address, environment};

fn to_json(object: &Object) -> Json {
    match object {
        Object::Node(it) => serde_json::to_value(it),
        Object::Namespace(it) => serde_json::to_value(it),
        Object::StorageClass(it) => serde_json::to_value(it),
        Object::DaemonSet(it) => serde_json::to_value(it),
        Object::Deployment(it) => serde_json::to_value(it),
        Object::StatefulSet(it) => serde_json::to_value(it),
        Object::PodDisruptionBudget(it) => serde_json::to_value(it),
        Object::PriorityClass(it) => serde_json::to_value(it),
        Object::NodePool(it) => serde_json::to_value(it),
        Object::Ec2NodeClass(it) => serde_json::to_value(it),
        other => panic!("nothing of the kind {} is rendered", other.kind()),
    }
    .unwrap()
}

fn whole(platform: &Platform) -> Vec<Object> {
    cluster(platform, Replicas::Min).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn preset(name: &str) -> Platform {
    presets()
        .into_iter()
        .find(|(preset, _)| preset == name)
        .unwrap()
        .1
}

fn pools(platform: &Platform) -> BTreeMap<String, NodePool> {
    let pool = |object| match object {
        Object::NodePool(pool) => Some((pool.metadata.name.clone()?, *pool)),
        _ => None,
    };
    whole(platform).into_iter().filter_map(pool).collect()
}

fn node_class(platform: &Platform) -> Option<Ec2NodeClass> {
    whole(platform).into_iter().find_map(|object| match object {
        Object::Ec2NodeClass(class) => Some(*class),
        _ => None,
    })
}

/// A workload's kind and name, how many there are, and its pods.
fn workload(object: &Object) -> Option<(String, Option<i32>, &PodTemplateSpec)> {
    let (replicas, template) = match object {
        Object::Deployment(it) => {
            let spec = it.spec.as_ref()?;
            (spec.replicas, &spec.template)
        }
        Object::StatefulSet(it) => {
            let spec = it.spec.as_ref()?;
            (spec.replicas, &spec.template)
        }
        Object::DaemonSet(it) => (None, &it.spec.as_ref()?.template),
        _ => return None,
    };
    let name = object.metadata().name.clone()?;
    Some((format!("{} {name}", object.kind()), replicas, template))
}

fn requested(pod: &PodSpec, resource: &str) -> i64 {
    pod.containers
        .iter()
        .filter_map(|it| it.resources.as_ref()?.requests.as_ref()?.get(resource))
        .map(|amount| amount.0.parse::<Quantity>().unwrap().milli())
        .sum()
}

#[test]
fn the_same_platform_gives_the_same_objects_and_they_read_back_without_a_finding() {
    for (name, platform) in all() {
        let objects = whole(&platform);
        assert_eq!(objects, whole(&platform), "{name}");
        let list = json!({
            "apiVersion": "v1", "kind": "List",
            "items": objects.iter().map(to_json).collect::<Vec<_>>(),
        });
        let mut read = Vec::new();
        let summary = snapshot::read(&list.to_string(), &mut |found| read.push(found.object));
        assert!(
            summary.errors.is_empty() && summary.findings.is_empty(),
            "{name}: {:?} {:?}",
            summary.errors,
            summary.findings
        );
        assert_eq!(read.len(), objects.len(), "{name}");
        for (read, object) in read.iter().zip(&objects) {
            assert_eq!(to_json(read), to_json(object), "{name}");
        }
    }
}

#[test]
fn names_and_labels_are_ones_that_kubernetes_takes_and_no_object_is_there_twice() {
    let is_name = |text: &str| {
        (1..=63).contains(&text.len())
            && text
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    for (name, platform) in all() {
        let mut seen = BTreeSet::new();
        for object in whole(&platform) {
            let metadata = object.metadata();
            let own = metadata.name.clone().unwrap();
            assert!(is_name(&own), "{name}: {own}");
            for (key, value) in metadata.labels.iter().flatten() {
                assert!(value.len() <= 63, "{name}: {own}: {key}: {value}");
            }
            assert!(
                seen.insert((object.kind(), metadata.namespace.clone(), own.clone())),
                "{name}: {own} twice"
            );
            if let Some((title, _, template)) = workload(&object) {
                let document = to_json(&object);
                let labels = &template.metadata.as_ref().unwrap().labels;
                let selected = document.pointer("/spec/selector/matchLabels").unwrap();
                for (key, value) in selected.as_object().unwrap() {
                    let label = labels.as_ref().unwrap().get(key).map(String::as_str);
                    assert_eq!(
                        label,
                        value.as_str(),
                        "{name}: {title} selects its own pods"
                    );
                }
            }
        }
    }
}

#[test]
fn every_namespace_class_and_pool_that_is_named_is_there() {
    for (name, platform) in all() {
        let objects = whole(&platform);
        let named = |kind: &str| -> BTreeSet<&str> {
            objects
                .iter()
                .filter(|object| object.kind() == kind)
                .filter_map(|object| object.metadata().name.as_deref())
                .collect()
        };
        let (namespaces, pools) = (named("Namespace"), named("NodePool"));
        let (classes, priorities) = (named("StorageClass"), named("PriorityClass"));
        for object in &objects {
            if let Some(namespace) = object.metadata().namespace.as_deref() {
                assert!(
                    ["default", "kube-system"].contains(&namespace)
                        || namespaces.contains(namespace),
                    "{name}: {namespace}"
                );
            }
            if let Object::StatefulSet(it) = object {
                let spec = it.spec.as_ref().unwrap();
                for claim in spec.volume_claim_templates.iter().flatten() {
                    let class = claim.spec.as_ref().unwrap().storage_class_name.as_deref();
                    assert!(classes.contains(class.unwrap()), "{name}: {class:?}");
                }
            }
            let Some((title, _, template)) = workload(object) else {
                continue;
            };
            let pod = template.spec.as_ref().unwrap();
            if let Some(class) = pod.priority_class_name.as_deref() {
                let built_in = class.starts_with("system-") && pod.priority.is_some();
                assert!(
                    built_in || priorities.contains(class),
                    "{name}: {title}: {class}"
                );
            }
            let pool = pod
                .node_selector
                .as_ref()
                .and_then(|selector| selector.get("karpenter.sh/nodepool"));
            if let Some(pool) = pool {
                assert!(pools.contains(pool.as_str()), "{name}: {title}: {pool}");
            }
        }
    }
}

#[test]
fn the_node_class_refers_to_what_the_graph_has() {
    for (name, platform) in all() {
        let Some(class) = node_class(&platform) else {
            assert!(!platform.spec.karpenter.enabled, "{name}");
            continue;
        };
        let graph = environment(&name, &platform);
        let cluster = graph.get(&address("cluster/cluster")).unwrap();
        let reference = graph::Reference {
            to: cluster.address.clone(),
            attribute: Attribute::Property("ClusterSecurityGroupId".parse().unwrap()),
        };
        let readable = catalog::schema(&cluster.type_name).unwrap();
        assert!(
            readable
                .read_only()
                .iter()
                .any(|path| path.to_string() == "ClusterSecurityGroupId")
        );
        let group = &class.spec.security_group_selector_terms;
        assert_eq!(group[0].id, Some(reference.to_string()), "{name}");
        assert_eq!(
            group[0].id.as_deref(),
            Some("${cluster/cluster.ClusterSecurityGroupId}")
        );
        let profile = graph
            .get(&address("karpenter/node-instance-profile"))
            .unwrap();
        assert_eq!(
            profile.properties["InstanceProfileName"],
            class.spec.instance_profile.clone().unwrap().as_str().into(),
            "{name}"
        );
        let subnets = &class.spec.subnet_selector_terms;
        match &platform.spec.network.existing {
            Some(existing) => {
                let ids: Vec<_> = subnets.iter().filter_map(|term| term.id.clone()).collect();
                assert_eq!(ids, existing.private_subnet_ids, "{name}");
            }
            None => {
                let (key, value) = subnets[0].tags.first_key_value().unwrap();
                let tagged = graph
                    .resources()
                    .filter(|it| it.type_name.as_str() == "AWS::EC2::Subnet")
                    .filter(|it| {
                        let tagging = catalog::schema(&it.type_name).unwrap().tagging();
                        tagging.read(&crate::render::payload(&graph, it)).get(key) == Some(value)
                    })
                    .count();
                assert_eq!(
                    tagged,
                    platform.availability_zones.len(),
                    "{name}: private ones"
                );
            }
        }
        let volume = class.spec.block_device_mappings[0].ebs.clone().unwrap();
        assert_eq!(
            (volume.encrypted, volume.volume_type.as_deref()),
            (Some(true), Some("gp3"))
        );
        let metadata = class.spec.metadata_options.unwrap();
        let hops = if platform.spec.addons.cloudwatch_observability {
            2
        } else {
            1
        };
        assert_eq!(metadata.http_tokens.as_deref(), Some("required"));
        assert_eq!(metadata.http_put_response_hop_limit, Some(hops), "{name}");
    }
}

#[test]
fn node_classes_as_the_spec_has_them() {
    let bottlerocket = platform(
        "dev",
        json!({
            "nodeClass": { "amiAlias": "bottlerocket@latest", "diskGib": 80, "hopLimit": 3, "name": "nodes" },
            "lifecycle": { "karpenter/node-instance-profile": { "existing": "theirs" } },
        }),
    );
    let class = node_class(&bottlerocket).unwrap();
    assert_eq!(class.metadata.name.as_deref(), Some("nodes"));
    assert_eq!(class.spec.instance_profile.as_deref(), Some("theirs"));
    let volumes: Vec<_> = class
        .spec
        .block_device_mappings
        .iter()
        .map(|it| {
            let size = it.ebs.as_ref().unwrap().volume_size.as_ref().unwrap();
            (it.device_name.as_deref().unwrap(), size.0.as_str())
        })
        .collect();
    assert_eq!(volumes, [("/dev/xvda", "4Gi"), ("/dev/xvdb", "80Gi")]);
    assert_eq!(
        class
            .spec
            .metadata_options
            .unwrap()
            .http_put_response_hop_limit,
        Some(3)
    );
}

/// Whether an instance type's own labels meet a requirement. Labels of other things (zones, capacity types) are met.
fn meets(labels: &BTreeMap<&str, String>, requirement: &NodeSelectorRequirement) -> bool {
    if !requirement.key.contains("instance-") && requirement.key != "kubernetes.io/arch" {
        return true;
    }
    let label = labels.get(requirement.key.as_str());
    let number = |text: &String| text.parse::<u64>().unwrap();
    match requirement.operator {
        Operator::In => label.is_some_and(|label| requirement.values.contains(label)),
        Operator::NotIn => label.is_none_or(|label| !requirement.values.contains(label)),
        Operator::Gt => label.is_some_and(|label| number(label) > number(&requirement.values[0])),
        Operator::Lt => label.is_some_and(|label| number(label) < number(&requirement.values[0])),
        Operator::Exists => label.is_some(),
        _ => panic!("no preset has {:?}", requirement.operator),
    }
}

fn types(pool: &NodePool) -> Vec<&'static InstanceType> {
    instance_types::all()
        .iter()
        .filter(|it| {
            let labels = it
                .labels()
                .into_iter()
                .map(|(key, value)| (key, value.into_owned()))
                .collect();
            let requirements = &pool.spec.template.spec.requirements;
            requirements.iter().all(|one| meets(&labels, one))
        })
        .collect()
}

#[test]
fn the_presets_pools_are_what_their_documents_say_in_karpenters_words() {
    let ekb = pools(&preset("Ekb, prod"));
    assert_eq!(
        ekb.keys().collect::<Vec<_>>(),
        [
            "compute-intensive",
            "database",
            "general",
            "memory-intensive"
        ],
        "gpu is off"
    );
    let families = |pool: &NodePool| -> BTreeSet<&str> {
        types(pool).into_iter().map(InstanceType::family).collect()
    };
    for (name, pool) in &ekb {
        let found = types(pool);
        assert!(found.len() > 20, "{name}: {} types", found.len());
        for it in found {
            assert!(
                it.supports_prefix_delegation() && !it.is_bare_metal(),
                "{}",
                it.name()
            );
            assert_eq!(it.architecture.as_str(), "amd64", "{}", it.name());
            let generation: u32 = it.generation().unwrap().parse().unwrap();
            assert!(generation >= 5, "{}", it.name());
            match name.as_str() {
                "compute-intensive" => assert!(it.vcpu >= 4 && it.category() == Some("c")),
                "memory-intensive" => {
                    assert!(it.memory_mib >= 16384 && it.category() == Some("r"));
                }
                _ => {}
            }
        }
    }
    let database = &ekb["database"].spec;
    assert_eq!(database.template.spec.taints[0].key, "workload");
    assert_eq!(
        database.template.spec.requirements[0].values,
        ["on-demand"],
        "stateful workloads are on On-Demand"
    );
    assert_eq!(
        database.template.spec.expire_after.unwrap().duration(),
        None,
        "Never"
    );
    let (dev, prod) = (
        pools(&preset("Gitops, dev")),
        pools(&preset("Gitops, prod")),
    );
    assert_eq!(families(&dev["default"]), BTreeSet::from(["t3", "t3a"]));
    assert_eq!(
        families(&prod["default"]),
        BTreeSet::from(["m5", "m6i", "c5"])
    );
    let document = serde_json::to_value(&prod["default"]).unwrap();
    assert_eq!(document.pointer("/spec/limits/cpu"), Some(&json!("20")));
    assert_eq!(
        document.pointer("/spec/disruption/consolidationPolicy"),
        Some(&json!("WhenEmptyOrUnderutilized"))
    );
    let expire = document.pointer("/spec/template/spec/expireAfter").unwrap();
    let expire: objects::GoDuration = expire.as_str().unwrap().parse().unwrap();
    assert_eq!(expire.0.as_secs(), 720 * 3600);
    let accelerator = pools(&preset("Accelerator, dev"));
    let pool = &accelerator["shop-dev-nodepool"];
    assert_eq!(
        pool.spec.template.spec.node_class_ref.name,
        "shop-dev-nodeclass"
    );
    assert_eq!(
        pool.spec.template.spec.requirements[0].values,
        ["spot", "on-demand"]
    );
}

#[test]
fn sizes_that_are_left_out_have_few_addresses_and_all_others_many() {
    let limits = PodLimits {
        prefix_delegation: true,
        ..PodLimits::default()
    };
    for it in instance_types::all() {
        let (pods, size) = (it.max_pods(&limits), it.size());
        if !it.supports_prefix_delegation() || it.pod_enis == 0 {
            continue;
        }
        if ["nano", "micro"].contains(&size) {
            assert!(pods <= 34, "{}: {pods}", it.name());
        } else {
            assert!(pods >= 98, "{}: {pods}", it.name());
        }
    }
}

#[test]
fn bounds_raw_requirements_and_budgets_become_karpenters() {
    let platform = platform(
        "dev",
        json!({ "nodePools": { "p": {
            "instanceCpu": { "min": 2, "max": 16 },
            "requirements": [
                { "key": "karpenter.k8s.aws/instance-size", "operator": "In", "values": ["micro", "large"], "minValues": 2 },
            ],
            "terminationGracePeriod": "1h30m",
            "disruption": { "budgets": [{ "nodes": "0", "schedule": "0 9 * * mon-fri", "duration": "8h", "reasons": ["Drifted"] }] },
        } } }),
    );
    let pool = serde_json::to_value(&pools(&platform)["p"]).unwrap();
    let requirements = pool.pointer("/spec/template/spec/requirements").unwrap();
    let of = |key: &str| -> Vec<&Json> {
        let all = requirements.as_array().unwrap();
        all.iter().filter(|it| it["key"] == key).collect()
    };
    assert_eq!(
        of("karpenter.k8s.aws/instance-cpu"),
        [
            &json!({ "key": "karpenter.k8s.aws/instance-cpu", "operator": "Gt", "values": ["1"] }),
            &json!({ "key": "karpenter.k8s.aws/instance-cpu", "operator": "Lt", "values": ["17"] }),
        ]
    );
    assert_eq!(
        of("karpenter.k8s.aws/instance-size"),
        [
            &json!({ "key": "karpenter.k8s.aws/instance-size", "operator": "In", "values": ["micro", "large"], "minValues": 2 })
        ],
        "one's own takes the place of ours"
    );
    assert_eq!(
        pool.pointer("/spec/disruption/budgets").unwrap(),
        &json!([{ "nodes": "0", "schedule": "0 9 * * mon-fri", "duration": "8h", "reasons": ["Drifted"] }])
    );
}

#[test]
fn without_karpenter_there_are_no_pools() {
    let platform = platform("dev", nothing());
    for object in whole(&platform) {
        let name = object.metadata().name.clone().unwrap();
        assert!(
            !["NodePool", "EC2NodeClass"].contains(&object.kind()),
            "{name}"
        );
        assert_ne!(name, "karpenter");
    }
}

#[test]
fn services_have_as_many_replicas_as_is_asked_for_and_the_platform_always_as_many() {
    let platform = preset("Ekb, prod");
    let count = |replicas| -> Vec<(String, i32)> {
        objects(&platform, replicas)
            .unwrap()
            .iter()
            .filter_map(|object| workload(object).map(|(name, count, _)| (name, count.unwrap())))
            .collect()
    };
    let named = |counts: [i32; 5]| -> Vec<(String, i32)> {
        [
            "Deployment api",
            "Deployment automator",
            "StatefulSet automator-postgresql",
            "Deployment web",
            "Deployment workers",
        ]
        .into_iter()
        .map(str::to_owned)
        .zip(counts)
        .collect()
    };
    assert_eq!(count(Replicas::Min), named([2, 2, 1, 2, 2]));
    assert_eq!(count(Replicas::Max), named([10, 8, 1, 8, 8]));
    let apart = cluster(&platform, Replicas::Max).unwrap();
    let others = platform_objects(&platform);
    assert!(apart.ends_with(&others));
}

#[test]
fn a_service_says_what_it_needs() {
    let platform = platform(
        "prod",
        json!({
            "nodePools": { "db": { "taints": [{ "key": "workload", "value": "db", "effect": "NoSchedule" }] } },
            "services": {
                "db": {
                    "image": "postgres:18", "port": 5432, "namespace": "data", "nodePool": "db", "priorityClass": "high",
                    "volume": { "sizeGib": 20, "mountPath": "/data" },
                    "tolerations": [{ "key": "spot" }],
                    "podDisruptionBudget": { "minAvailable": 1 },
                    "spread": { "zones": "Off" },
                    "resources": { "requests": { "cpu": "1", "memory": "2Gi" }, "limits": { "memory": "4Gi" } },
                },
                "off": { "enabled": false, "image": "x" },
            },
        }),
    );
    let objects = objects(&platform, Replicas::Min).unwrap();
    let find = |kind: &str| {
        let object = objects.iter().find(|object| object.kind() == kind).unwrap();
        to_json(object)
    };
    assert!(
        objects
            .iter()
            .all(|it| it.metadata().name.as_deref() != Some("off"))
    );
    assert_eq!(find("Namespace")["metadata"]["name"], "data");
    assert_eq!(find("PriorityClass")["value"], 100_000);
    let budget = find("PodDisruptionBudget");
    assert_eq!(budget["spec"]["minAvailable"], 1);
    assert!(budget["spec"].get("maxUnavailable").is_none());
    let set = find("StatefulSet");
    let claim = &set["spec"]["volumeClaimTemplates"][0]["spec"];
    assert_eq!(
        (&claim["storageClassName"], &claim["resources"]["requests"]),
        (&json!("gp3"), &json!({ "storage": "20Gi" }))
    );
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(
        pod["nodeSelector"],
        json!({ "karpenter.sh/nodepool": "db" })
    );
    assert_eq!(
        pod["tolerations"],
        json!([
            { "key": "spot", "operator": "Exists" },
            { "key": "workload", "operator": "Equal", "value": "db", "effect": "NoSchedule" },
        ])
    );
    let spread = pod["topologySpreadConstraints"].as_array().unwrap();
    assert_eq!(spread.len(), 1, "over nodes alone");
    assert_eq!(spread[0]["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(
        pod["containers"][0]["resources"],
        json!({ "requests": { "cpu": "1", "memory": "2Gi" }, "limits": { "memory": "4Gi" } })
    );
    let class = find("StorageClass");
    assert_eq!(class["provisioner"], "ebs.csi.aws.com");
    assert_eq!(
        class["parameters"],
        json!({ "type": "gp3", "encrypted": "true" })
    );
    assert_eq!(class["volumeBindingMode"], "WaitForFirstConsumer");
}

#[test]
fn the_system_nodes_hold_what_must_run_on_them() {
    for (name, platform) in presets() {
        let nodes = system_nodes(&platform).unwrap();
        assert_eq!(
            nodes.len() as u32,
            platform.spec.system_nodes.desired,
            "{name}"
        );
        let zones: BTreeSet<_> = nodes
            .iter()
            .map(|node| {
                node.metadata().labels.clone().unwrap()["topology.kubernetes.io/zone"].clone()
            })
            .collect();
        assert_eq!(zones.len(), nodes.len().min(3), "{name}: a zone each");
        let allocatable = |resource: &str| -> i64 {
            nodes
                .iter()
                .map(|node| {
                    let amount = &to_json(node)["status"]["allocatable"][resource];
                    amount
                        .as_str()
                        .unwrap()
                        .parse::<Quantity>()
                        .unwrap()
                        .milli()
                })
                .sum()
        };
        for resource in ["cpu", "memory"] {
            let needed: i64 = platform_objects(&platform)
                .iter()
                .filter_map(workload)
                .map(|(_, replicas, template)| {
                    let count = replicas.map_or(nodes.len() as i64, i64::from);
                    requested(template.spec.as_ref().unwrap(), resource) * count
                })
                .sum();
            assert!(
                needed > 0 && needed <= allocatable(resource),
                "{name}: {resource}: {needed} of {}",
                allocatable(resource)
            );
        }
    }
}

#[test]
fn what_cannot_be_rendered_is_an_error() {
    let errors = |overlay: Json| cluster(&platform("dev", overlay), Replicas::Min).unwrap_err();
    let texts =
        |overlay| -> Vec<String> { errors(overlay).iter().map(ToString::to_string).collect() };
    assert_eq!(
        texts(json!({ "services": { "a": { "image": "x", "nodePool": "none" } } })),
        ["`services.a.nodePool` names `none`, which is no node pool of this environment"]
    );
    assert_eq!(
        errors(json!({ "systemNodes": { "instanceTypes": ["m99.large"] } })),
        [kubernetes::Error::UnknownInstanceType(
            "m99.large".to_owned()
        )]
    );
    let broken = errors(json!({ "nodePools": { "a": {
        "expireAfter": "soon",
        "disruption": { "budgets": [{ "nodes": "1", "schedule": "99 9 * * *", "duration": "1h" }] },
    } } }));
    let paths: Vec<_> = broken
        .iter()
        .map(|error| match error {
            kubernetes::Error::Value { path, .. } => path.as_str(),
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(
        paths,
        [
            "nodePools.a.expireAfter",
            "nodePools.a.disruption.budgets.schedule"
        ]
    );
}

/// What a reader wants to know of an object, in a line.
fn line(object: &Object) -> String {
    let name = object.metadata().name.clone().unwrap();
    let title = match &object.metadata().namespace {
        Some(namespace) => format!("{} {namespace}/{name}", object.kind()),
        None => format!("{} {name}", object.kind()),
    };
    if let Object::NodePool(pool) = object {
        let all: Vec<String> = pool
            .spec
            .template
            .spec
            .requirements
            .iter()
            .map(|it| {
                let key = it.key.rsplit('/').next().unwrap();
                format!("{key} {:?} {}", it.operator, it.values.join(","))
            })
            .collect();
        return format!("{title}: {}", all.join("; "));
    }
    match workload(object) {
        Some((_, replicas, template)) => {
            let pod = template.spec.as_ref().unwrap();
            let count = replicas.map_or("a node".to_owned(), |count| format!("{count} times"));
            let (cpu, memory) = (
                requested(pod, "cpu"),
                requested(pod, "memory") / 1000 / (1 << 20),
            );
            format!("{title}: {count} {cpu}m {memory}Mi")
        }
        None => title,
    }
}

#[test]
fn the_presets_clusters_at_a_glance() {
    let mut text = String::new();
    let mut section = |title: String, objects: Vec<Object>| {
        text.push_str(&format!("{title}\n"));
        for object in objects {
            text.push_str(&format!("  {}\n", line(&object)));
        }
    };
    for (name, platform) in presets() {
        section(name, objects(&platform, Replicas::Min).unwrap());
    }
    // What these have beside differs by what is switched on alone.
    for name in ["Gitops, dev", "Accelerator, dev"] {
        let others = platform_objects(&preset(name));
        section(format!("{name}: add-ons and controllers"), others);
    }
    insta::assert_snapshot!(text);
}
