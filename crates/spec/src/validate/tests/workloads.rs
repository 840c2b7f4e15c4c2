//! Node pools and services.

use super::{found, said};

/// What is said of a node pool `p`, or of a service `s`, beside that it is not deployed yet.
fn of_workload(environment: &str, text: &str) -> Vec<String> {
    let mut lines = said(&found(environment, text, None));
    if !lines.iter().any(|line| line.starts_with('E')) || lines.len() > 1 {
        lines.retain(|line| !line.starts_with("W not-deployed-yet"));
    }
    lines
}

#[test]
fn node_pools() {
    for (pool, expected) in [
        ("", ""),
        ("instanceFamilies: [m5, t2]", "E not-nitro @ t2"),
        ("instanceFamilies: [m5.large]", "E wrong-form @ m5.large"),
        ("instanceFamilies: [m7g]", "E no-instance-type @ p"),
        ("instanceFamilies: [m7g], architectures: [arm64]", ""),
        (
            "instanceCpu: {min: 8, max: 4}",
            "E no-instance-type @ instanceCpu",
        ),
        ("capacityTypes: []", "E too-few @ capacityTypes"),
        ("capacityTypes: [ondemand]", "E unknown-value @ ondemand"),
        ("weight: 101", "E out-of-range @ 101"),
        ("limits: {cpu: 20}", "E wrong-type @ 20"),
        ("limits: {cpu: '20', memory: 80Gi}", ""),
        ("limits: {memory: 80 GB}", "E wrong-form @ 80 GB"),
        ("expireAfter: 30d", "E wrong-form @ 30d"),
        ("expireAfter: Never", ""),
        (
            "disruption: {consolidationPolicy: WhenUnderutilized}",
            "E when-underutilized @ WhenUnderutilized",
        ),
        (
            "disruption: {budgets: [{nodes: '0', schedule: 0 9 * * mon-fri}]}",
            "E budget-schedule @ 0 9 * * mon-fri",
        ),
        (
            "disruption: {budgets: [{nodes: '0', schedule: 0 9 * * mon-fri, duration: 8h}]}",
            "",
        ),
        (
            "disruption: {budgets: [{nodes: '101%'}]}",
            "E wrong-form @ '101%'",
        ),
        (
            "requirements: [{key: karpenter.sh/nodepool, operator: Exists}]",
            "E requirement-key @ karpenter.sh/nodepool",
        ),
        (
            "requirements: [{key: topology.kubernetes.io/zone, operator: In}]",
            "E requirement-values @ In",
        ),
        (
            "requirements: [{key: karpenter.k8s.aws/instance-gpu-count, operator: Gt, values: [many]}]",
            "E requirement-values @ Gt",
        ),
        (
            "requirements: [{key: a, operator: In, values: [x], minValues: 2}]",
            "E requirement-values @ In",
        ),
        ("labels: {karpenter.sh/nodepool: x}", "E label @ x"),
        ("labels: {team: a b}", "E label @ a b"),
        ("name: '{cluster}-pool'", ""),
        ("name: '{stage}-pool'", "E node-pool-name @ '{stage}-pool'"),
        ("taints: [{key: a}]", "E missing-key @ {"),
        (
            "taints: [{key: a, effect: Never}]",
            "E unknown-value @ Never",
        ),
    ] {
        let text = format!("nodePools: {{p: {{{pool}}}}}");
        let expected: Vec<&str> = Some(expected)
            .filter(|it| !it.is_empty())
            .into_iter()
            .collect();
        assert_eq!(of_workload("dev", &text), expected, "{text}");
    }
    for (text, expected) in [
        ("nodePools: {Upper: {}}", "E node-pool-name @ Upper"),
        ("nodePools: {a: {}, b: {name: a}}", "E node-pool-twice @ a"),
        (
            "nodePools: {a: {enabled: false}}",
            "W no-node-pool @ nodePools",
        ),
        ("nodePools: {}", "W no-node-pool @ nodePools"),
        (
            "karpenter: {enabled: false}\nnodePools: {a: {}}",
            "W no-effect @ nodePools",
        ),
        (
            "nodeClass: {amiAlias: al2@latest}",
            "E wrong-form @ al2@latest",
        ),
        ("nodeClass: {name: Nodes}", "E node-class-name @ Nodes"),
    ] {
        assert_eq!(of_workload("dev", text), [expected], "{text}");
    }
}

#[test]
fn services() {
    let hosts = "dns: {domain: example.com, hostnames: {web: app}}\nnodePools: {general: {}, off: {enabled: false}}\n";
    for (service, expected) in [
        ("", ""),
        ("port: 80, host: web", ""),
        ("port: 80, host: wbe", "E unknown-host @ wbe"),
        ("host: web", "E host-without-port @ web"),
        ("port: 70000", "E out-of-range @ 70000"),
        ("nodePool: general", ""),
        ("nodePool: genral", "E unknown-node-pool @ genral"),
        ("nodePool: off", "E unknown-node-pool @ off"),
        ("replicas: {min: 3, max: 2}", "E replica-range @ replicas"),
        ("replicas: {min: 2, max: 4}", "W no-effect @ 4"),
        ("scaling: {cpu: 70}", "W no-effect @ scaling"),
        ("replicas: {max: 4}, scaling: {cpu: 70}", ""),
        ("replicas: {min: 1}", "W one-replica @ replicas"),
        (
            "replicas: {min: 1}, volume: {sizeGib: 5, mountPath: /data}",
            "W one-zone-volume @ volume",
        ),
        (
            "volume: {sizeGib: 5, mountPath: data}",
            "E wrong-form @ data",
        ),
        (
            "resources: {requests: {memory: 1Gi}, limits: {memory: 1G}}",
            "E limit-below-request @ 1G",
        ),
        ("resources: {limits: {cpu: '0.25'}}", ""),
        ("resources: {requests: {cpu: 1.5}}", "E wrong-type @ 1.5"),
        (
            "resources: {requests: {cpu: 1 vCPU}}",
            "E wrong-form @ 1 vCPU",
        ),
        (
            "podDisruptionBudget: {maxUnavailable: 0}",
            "W disruption-budget-allows-none @ podDisruptionBudget",
        ),
        (
            "podDisruptionBudget: {minAvailable: 2}",
            "W disruption-budget-allows-none @ podDisruptionBudget",
        ),
        ("podDisruptionBudget: {minAvailable: 1}", ""),
        (
            "podDisruptionBudget: {minAvailable: 1, maxUnavailable: 1}",
            "E disruption-budget @ podDisruptionBudget",
        ),
        ("priorityClass: urgent", "E unknown-value @ urgent"),
        ("spread: {zones: Evenly}", "E unknown-value @ Evenly"),
        ("tolerations: [{key: a, effects: [NoSchedule]}]", ""),
        ("imgae: x", "E unknown-key @ imgae"),
    ] {
        let text = format!("{hosts}services: {{s: {{image: a:1, {service}}}}}");
        let expected: Vec<&str> = Some(expected)
            .filter(|it| !it.is_empty())
            .into_iter()
            .collect();
        assert_eq!(of_workload("prod", &text), expected, "{text}");
    }
    for (text, expected) in [
        ("services: {s: {port: 80}}", "E missing-key @ s"),
        ("services: {Web: {image: a}}", "E service-name @ Web"),
        ("services: [web]", "E wrong-type @ services"),
        (
            "karpenter: {enabled: false}\nservices: {s: {image: a, nodePool: general}}",
            "E unknown-node-pool @ general",
        ),
    ] {
        assert_eq!(of_workload("dev", text), [expected], "{text}");
    }
}

#[test]
fn what_is_simulated_alone_is_said_once() {
    let warned = |text: &str| {
        found("dev", text, None)
            .into_iter()
            .filter(|found| found.code == "not-deployed-yet")
            .map(|found| (found.place.unwrap().text().to_owned(), found.message))
            .collect::<Vec<_>>()
    };
    assert_eq!(warned(""), []);
    assert_eq!(
        warned("services: {s: {image: a}}\nnodePools: {general: {}}\n"),
        [(
            "services".to_owned(),
            "`services` are simulated (`seaworthy simulate`), not deployed yet".to_owned()
        )]
    );
    assert_eq!(
        warned("nodePools: {a: {weight: 3}}\nnodeClass: {maxPods: 58}\n"),
        []
    );
}
