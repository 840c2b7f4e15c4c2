//! Answers to render: a small one, an empty one, one of any size, one whose names are hostile.

use autoscale::answer::*;

const MIB: i64 = 1 << 20;

/// A pod of a deployment: name, milli-CPU, MiB.
pub(super) fn pod(deployment: &str, number: usize, cpu_milli: i64, mib: i64) -> PodPicture {
    PodPicture {
        name: format!("default/{deployment}-{number}"),
        owner: Some(format!("Deployment/{deployment}")),
        daemon: false,
        cpu_milli,
        memory_bytes: mib * MIB,
    }
}

fn daemons(node: &str) -> Vec<PodPicture> {
    let daemon = |name: &str, cpu_milli, mib| PodPicture {
        name: format!("kube-system/{name}-{node}"),
        owner: Some(format!("DaemonSet/{name}")),
        daemon: true,
        cpu_milli,
        memory_bytes: mib * MIB,
    };
    vec![daemon("aws-node", 50, 64), daemon("kube-proxy", 100, 80)]
}

/// A node with its pods and daemons.
pub(super) fn node(name: &str, kind: &str, pods: Vec<PodPicture>) -> NodePicture {
    let (cpu_milli, mib, most, usd) = match kind {
        "m6i.large" => (1930, 6903, 29, 0.0384),
        "m6i.xlarge" => (3920, 14162, 58, 0.0768),
        "c6i.2xlarge" => (7910, 14162, 58, 0.34),
        _ => (15_890, 57_691, 234, 0.768),
    };
    let (zone, capacity_type, pool) = match kind {
        "c6i.2xlarge" => ("eu-central-1b", "on-demand", "compute"),
        _ => ("eu-central-1a", "spot", "general"),
    };
    let mut pods = pods;
    pods.extend(daemons(name));
    let sum = |which: fn(&PodPicture) -> bool| {
        let pods = || pods.iter().filter(|pod| which(pod));
        Amounts {
            cpu_milli: pods().map(|pod| pod.cpu_milli).sum(),
            memory_bytes: pods().map(|pod| pod.memory_bytes).sum(),
            pods: pods().count() as i64,
        }
    };
    NodePicture {
        name: name.to_owned(),
        nodepool: Some(pool.to_owned()),
        instance_type: Some(kind.to_owned()),
        zone: Some(zone.to_owned()),
        capacity_type: Some(capacity_type.to_owned()),
        usd_per_hour: Some(usd),
        phase: Phase::Ready,
        allocatable: Amounts {
            cpu_milli,
            memory_bytes: mib * MIB,
            pods: most,
        },
        requested: sum(|_| true),
        daemons: sum(|pod| pod.daemon),
        pods,
    }
}

/// A decision that does nothing yet.
pub(super) fn decision(at: &str, kind: Kind, method: Method, reason: &str) -> Decision {
    Decision {
        at: format!("2026-11-21T{at}Z"),
        kind,
        method,
        reason: reason.to_owned(),
        nodepool: Some("general".to_owned()),
        nodes: Vec::new(),
        instance_types: Vec::new(),
        chosen: None,
        zone: None,
        capacity_type: None,
        usd_per_hour: None,
        pods: Vec::new(),
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// …with what its pictures cost.
pub(super) fn finished(mut answer: Answer) -> Answer {
    let sum = |picture: &Picture| -> f64 {
        let nodes = picture.nodes.iter();
        nodes.filter_map(|node| node.usd_per_hour).sum()
    };
    let (before, after) = (sum(&answer.before), sum(&answer.after));
    answer.cost = Cost {
        before_usd_per_hour: before,
        after_usd_per_hour: after,
        before_usd_per_month: before * 730.0,
        after_usd_per_month: after * 730.0,
        ..answer.cost
    };
    answer
}

/// No node, no pod, no decision.
pub(super) fn empty() -> Answer {
    Answer {
        at: "2026-11-21T06:11:07Z".to_owned(),
        until: "2026-11-21T06:41:07Z".to_owned(),
        karpenter_version: "1.8.1".to_owned(),
        seed: 7,
        decisions: Vec::new(),
        cost: Cost {
            before_usd_per_hour: 0.0,
            after_usd_per_hour: 0.0,
            before_usd_per_month: 0.0,
            after_usd_per_month: 0.0,
            nodes_without_price: 0,
            spot_is_estimated: false,
        },
        unschedulable: Vec::new(),
        findings: Vec::new(),
        before: Picture::default(),
        after: Picture::default(),
    }
}

/// Two nodes are consolidated into one, one is launched, one is empty, two stay, two pods wait.
pub(super) fn answer() -> Answer {
    let domain = ".eu-central-1.compute.internal";
    let ip = |short: &str| format!("ip-{short}{domain}");
    let web = |numbers: std::ops::Range<usize>| numbers.map(|n| pod("web", n, 250, 512)).collect();
    let database = {
        let mut node = node(
            &ip("10-1-2-20"),
            "m6i.xlarge",
            vec![pod("postgres", 0, 2000, 8192), pod("web", 9, 250, 512)],
        );
        node.capacity_type = Some("on-demand".to_owned());
        node.usd_per_hour = Some(0.23);
        node
    };
    let system = {
        let mut node = node(
            &ip("10-1-1-4"),
            "m6i.large",
            vec![pod("coredns", 0, 100, 70)],
        );
        node.nodepool = None;
        node.capacity_type = Some("on-demand".to_owned());
        node.usd_per_hour = None;
        node
    };
    let encode = |n| pod("encode", n, 3500, 4096);
    let mut launching = node("compute-1", "c6i.2xlarge", vec![encode(0), encode(1)]);
    launching.phase = Phase::Launching;
    let mut together: Vec<PodPicture> = (0..2).map(|n| pod("web", n, 250, 512)).collect();
    together.extend((0..2).map(|n| pod("api", n, 400, 900)));
    let train = |n| PodPicture {
        owner: Some("Job/train".to_owned()),
        ..pod("train", n, 64_000, 400_000)
    };
    finished(Answer {
        decisions: vec![
            Decision {
                nodepool: Some("compute".to_owned()),
                nodes: owned(&["compute-1"]),
                instance_types: owned(&["c6i.2xlarge", "c7i.2xlarge", "c6a.2xlarge", "m6i.2xlarge", "m7i.2xlarge", "c6i.4xlarge"]),
                chosen: Some("c6i.2xlarge".to_owned()),
                zone: Some("eu-central-1b".to_owned()),
                capacity_type: Some("on-demand".to_owned()),
                usd_per_hour: Some(0.34),
                pods: owned(&["default/encode-0", "default/encode-1"]),
                ..decision("06:11:17", Kind::Launch, Method::Provisioning, "found provisionable pod(s): 2 pods fit on no node, and pool compute takes them")
            },
            Decision {
                nodes: vec![ip("10-1-3-9")],
                usd_per_hour: Some(0.0384),
                ..decision("06:11:37", Kind::Delete, Method::Emptiness, "Empty: no pod but daemons' since 06:02:10, and consolidateAfter is 0s")
            },
            Decision {
                nodes: vec![ip("10-1-3-7"), ip("10-1-3-8")],
                instance_types: owned(&["m6i.large"]),
                chosen: Some("m6i.large".to_owned()),
                zone: Some("eu-central-1a".to_owned()),
                capacity_type: Some("spot".to_owned()),
                usd_per_hour: Some(0.0384),
                pods: owned(&["default/web-0", "default/web-1", "default/api-0", "default/api-1"]),
                ..decision("06:13:52", Kind::Replace, Method::MultiNodeConsolidation, "Underutilized: the pods of both fit on one m6i.large, which costs less than the two together ($0.0384 < $0.1152)")
            },
            Decision {
                nodes: vec![ip("10-1-2-20")],
                ..decision("06:13:52", Kind::None, Method::SingleNodeConsolidation, "pdb default/postgres prevents pod evictions: it allows 0 disruptions")
            },
        ],
        cost: Cost { nodes_without_price: 1, spot_is_estimated: true, ..empty().cost },
        unschedulable: [0, 1]
            .map(|n| Unschedulable {
                pod: train(n).name,
                reason: "no node has room; pool general: no instance type satisfies cpu 64 with the limit of 32 CPUs; pool compute: did not tolerate taint workload=compute:NoSchedule".to_owned(),
            })
            .to_vec(),
        findings: vec![
            Finding {
                level: Level::Note,
                about: "Node/ip-10-1-1-4.eu-central-1.compute.internal".to_owned(),
                message: "its price is not known; it counts as nothing".to_owned(),
            },
            Finding {
                level: Level::Warning,
                about: "NodePool/general".to_owned(),
                message: "it can never consolidate the node of default/postgres-0: the PDB default/postgres allows no disruption".to_owned(),
            },
        ],
        before: Picture {
            nodes: vec![
                node(&ip("10-1-3-7"), "m6i.large", { let mut pods: Vec<_> = web(0..2); pods.push(pod("api", 0, 400, 900)); pods }),
                node(&ip("10-1-3-8"), "m6i.xlarge", vec![pod("api", 1, 400, 900)]),
                node(&ip("10-1-3-9"), "m6i.large", Vec::new()),
                database.clone(),
                system.clone(),
            ],
            pending: vec![encode(0), encode(1), train(0), train(1)],
        },
        after: Picture {
            nodes: vec![
                launching,
                node("general-1", "m6i.large", together),
                database,
                system,
            ],
            pending: vec![train(0), train(1)],
        },
        ..empty()
    })
}

/// A cluster of so many nodes; a fifth of them goes, a twentieth is new.
pub(super) fn large(size: usize) -> Answer {
    let kinds = ["m6i.large", "m6i.xlarge", "c6i.2xlarge", "m6i.4xlarge"];
    let apps = [
        "web", "api", "search", "cart", "billing", "mail", "auth", "media", "reports", "events",
        "cache", "etl",
    ];
    let at = |index: usize, extra: usize| {
        let kind = kinds[index * 7 / 3 % kinds.len()];
        let room = match kind {
            "m6i.large" => 3,
            "m6i.xlarge" => 8,
            "c6i.2xlarge" => 14,
            _ => 30,
        };
        let used = (room * (3 + index % 7) / 10 + extra).min(room).max(1);
        let pods = (0..used).map(|n| {
            let which = (index * 5 + n / 3) % apps.len();
            let size = 1 + (which as i64) % 3;
            pod(apps[which], index * 100 + n, 170 * size, 420 * size)
        });
        let mut node = node(
            &format!(
                "ip-10-1-{}-{}.eu-central-1.compute.internal",
                index / 250,
                index % 250
            ),
            kind,
            pods.collect(),
        );
        node.zone = Some(["eu-central-1a", "eu-central-1b", "eu-central-1c"][index % 3].to_owned());
        node
    };
    let goes = |index: usize| index % 5 == 2;
    let mut decisions = Vec::new();
    let mut after = Vec::new();
    for index in 0..size {
        let time = format!("06:{:02}:{:02}", 11 + index * 18 / size.max(1), index % 60);
        if goes(index) {
            let node = at(index, 0);
            decisions.push(Decision {
                usd_per_hour: node.usd_per_hour,
                nodepool: node.nodepool,
                nodes: vec![node.name],
                pods: node
                    .pods
                    .iter()
                    .filter(|pod| !pod.daemon)
                    .map(|pod| pod.name.clone())
                    .collect(),
                ..decision(
                    &time,
                    Kind::Delete,
                    Method::MultiNodeConsolidation,
                    "Underutilized: its pods fit on nodes that stay",
                )
            });
        } else {
            let node = at(index, usize::from(index % 2 == 0) * 2);
            decisions.push(Decision {
                nodes: vec![node.name.clone()],
                nodepool: node.nodepool.clone(),
                ..decision(
                    &time,
                    Kind::None,
                    Method::SingleNodeConsolidation,
                    match index % 4 {
                        0 => "Can't replace with a cheaper node",
                        1 => "pdb default/web prevents pod evictions: it allows 0 disruptions",
                        2 => {
                            "Not all pods would schedule: default/search-1 must be in eu-central-1c"
                        }
                        _ => "the budget of pool general allows no more disruptions until 18:00",
                    },
                )
            });
            after.push(node);
        }
    }
    for index in 0..size / 20 {
        let mut node = at(size + index, 1);
        node.phase = Phase::Launching;
        decisions.push(Decision {
            nodepool: node.nodepool.clone(),
            nodes: vec![node.name.clone()],
            instance_types: owned(&kinds),
            chosen: node.instance_type.clone(),
            zone: node.zone.clone(),
            capacity_type: node.capacity_type.clone(),
            usd_per_hour: node.usd_per_hour,
            pods: node
                .pods
                .iter()
                .filter(|pod| !pod.daemon)
                .map(|pod| pod.name.clone())
                .collect(),
            ..decision(
                "06:30:00",
                Kind::Launch,
                Method::Provisioning,
                &format!(
                    "found provisionable pod(s): {} pods fit on no node",
                    node.pods.len()
                ),
            )
        });
        after.push(node);
    }
    let waiting = |n: usize| pod("train", n, 64_000, 400_000);
    let pending: Vec<_> = (0..size / 4).map(waiting).collect();
    finished(Answer {
        decisions,
        unschedulable: pending
            .iter()
            .map(|pod| Unschedulable {
                pod: pod.name.clone(),
                reason: "no pool has an instance type with 64 CPUs".to_owned(),
            })
            .collect(),
        findings: (0..size)
            .map(|index| Finding {
                level: if index % 2 == 0 {
                    Level::Note
                } else {
                    Level::Warning
                },
                about: format!("Pod/default/web-{index}"),
                message: format!("its PDB number {} allows no disruption", index % 50),
            })
            .collect(),
        before: Picture {
            nodes: (0..size).map(|index| at(index, 0)).collect(),
            pending: pending.clone(),
        },
        after: Picture {
            nodes: after,
            pending,
        },
        ..empty()
    })
}

/// Every text is this one.
pub(super) fn hostile(evil: &str) -> Answer {
    let mut answer = answer();
    let set = |text: &mut String| evil.clone_into(text);
    let may_be = |text: &mut Option<String>| *text = Some(evil.to_owned());
    for text in [
        &mut answer.at,
        &mut answer.until,
        &mut answer.karpenter_version,
    ] {
        set(text);
    }
    for decision in &mut answer.decisions {
        set(&mut decision.at);
        set(&mut decision.reason);
        for text in [
            &mut decision.nodepool,
            &mut decision.chosen,
            &mut decision.zone,
            &mut decision.capacity_type,
        ] {
            may_be(text);
        }
        for texts in [
            &mut decision.nodes,
            &mut decision.instance_types,
            &mut decision.pods,
        ] {
            texts.push(evil.to_owned());
        }
    }
    for one in &mut answer.unschedulable {
        set(&mut one.pod);
        set(&mut one.reason);
    }
    for one in &mut answer.findings {
        set(&mut one.about);
        set(&mut one.message);
    }
    for picture in [&mut answer.before, &mut answer.after] {
        for node in &mut picture.nodes {
            set(&mut node.name);
            for text in [
                &mut node.nodepool,
                &mut node.instance_type,
                &mut node.zone,
                &mut node.capacity_type,
            ] {
                may_be(text);
            }
            for pod in &mut node.pods {
                set(&mut pod.name);
                may_be(&mut pod.owner);
            }
        }
        for pod in &mut picture.pending {
            set(&mut pod.name);
            may_be(&mut pod.owner);
        }
    }
    answer
}
