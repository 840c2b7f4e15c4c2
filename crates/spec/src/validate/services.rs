//! What teams run: that the pieces of a service fit each other and the platform.

use super::dns::is_label;
use super::{Check, nearest, node_pools};
use crate::model::services::Service;

pub(super) fn check(check: &mut Check<'_>) {
    let spec = check.spec;
    for (name, service) in &spec.services {
        if !is_label(name) {
            check.error(
                &["services", name],
                "service-name",
                format!("`{name}` is no name of a service"),
                "lower-case letters, digits and hyphens, 63 at most",
            );
        }
        host(check, name, service);
        nodes(check, name, service);
        replicas(check, name, service);
        resources(check, name, service);
        disruption(check, name, service);
    }
    node_pools::not_deployed(check);
}

fn host(check: &mut Check<'_>, name: &str, service: &Service) {
    let Some(host) = &service.host else {
        return;
    };
    let path = ["services", name, "host"];
    let hostnames = &check.spec.dns.hostnames;
    if !hostnames.contains_key(host) && check.knows(&["dns", "hostnames"]) {
        let help = match nearest(host, hostnames.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("add `{host}: {host}` to `dns.hostnames`, for {host}.<domain>"),
        };
        let message = format!("`dns.hostnames` has no `{host}`");
        check.error(&path, "unknown-host", message, help);
    }
    if service.port.is_none() {
        check.error(
            &path,
            "host-without-port",
            format!("`{name}` has a host name and no port to reach it by"),
            "add `port`",
        );
    }
}

fn nodes(check: &mut Check<'_>, name: &str, service: &Service) {
    let Some(pool) = &service.node_pool else {
        return;
    };
    let path = ["services", name, "nodePool"];
    if !check.spec.karpenter.enabled {
        check.error(
            &path,
            "unknown-node-pool",
            "there are no node pools without Karpenter (`karpenter.enabled`)",
            "remove it",
        );
        return;
    }
    match node_pools::find(check, pool) {
        Ok(found) if !found.enabled => check.error(
            &path,
            "unknown-node-pool",
            format!("the node pool `{pool}` is not enabled: the service could run nowhere"),
            format!("write `enabled: true` in `nodePools.{pool}`"),
        ),
        Ok(_) => {}
        Err(meant) if check.knows(&["nodePools", pool]) => {
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "there are {}",
                    check
                        .spec
                        .node_pools
                        .keys()
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            let message = format!("`nodePools` has no `{pool}`");
            check.error(&path, "unknown-node-pool", message, help);
        }
        Err(_) => {}
    }
}

fn replicas(check: &mut Check<'_>, name: &str, service: &Service) {
    let replicas = service.replicas;
    if let Some(max) = replicas.max
        && max < replicas.min
    {
        check.error(
            &["services", name, "replicas"],
            "replica-range",
            format!(
                "`replicas` of `{name}` begins at {} and ends at {max}",
                replicas.min
            ),
            "`min` is the smaller one",
        );
    }
    let scales = service.scaling.cpu.is_some() || service.scaling.memory.is_some();
    if scales && replicas.most() == replicas.min {
        check.warn(
            &["services", name, "scaling"],
            "no-effect",
            format!(
                "`scaling` of `{name}` has no effect: there are always {}",
                replicas.min
            ),
            "add `replicas.max`",
        );
    } else if !scales && replicas.most() > replicas.min {
        check.warn(
            &["services", name, "replicas", "max"],
            "no-effect",
            format!(
                "`{name}` never has more than {} replicas: nothing scales it",
                replicas.min
            ),
            "add `scaling: {cpu: 70}`",
        );
    }
    if check.production && service.enabled && service.volume.is_none() && replicas.min == 1 {
        check.warn(
            &["services", name, "replicas"],
            "one-replica",
            format!("`{name}` may be one replica: it is away whenever its node goes"),
            "write `min: 2`",
        );
    }
}

fn resources(check: &mut Check<'_>, name: &str, service: &Service) {
    let (requests, limits) = (&service.resources.requests, &service.resources.limits);
    let over = |request: Option<u64>, limit: Option<u64>| matches!((request, limit), (Some(request), Some(limit)) if request > limit);
    let pairs = [
        (
            "cpu",
            requests.cpu.as_str(),
            limits.cpu.as_ref().map(|limit| limit.as_str()),
            over(
                requests.cpu.milli(),
                limits.cpu.as_ref().and_then(|limit| limit.milli()),
            ),
        ),
        (
            "memory",
            requests.memory.as_str(),
            limits.memory.as_ref().map(|limit| limit.as_str()),
            over(
                requests.memory.milli_bytes(),
                limits.memory.as_ref().and_then(|limit| limit.milli_bytes()),
            ),
        ),
    ];
    for (key, request, limit, over) in pairs {
        if over {
            check.error(
                &["services", name, "resources", "limits", key],
                "limit-below-request",
                format!(
                    "`{name}` asks for {request} {key} and is limited to {}",
                    limit.unwrap_or_default()
                ),
                "a limit is the request or more",
            );
        }
    }
}

fn disruption(check: &mut Check<'_>, name: &str, service: &Service) {
    let budget = service.pod_disruption_budget;
    let path = ["services", name, "podDisruptionBudget"];
    if budget.max_unavailable.is_some() && budget.min_available.is_some() {
        check.error(
            &path,
            "disruption-budget",
            "a budget has `maxUnavailable` or `minAvailable`, not both",
            "keep `maxUnavailable`: it holds for any number of replicas",
        );
        return;
    }
    let min = service.replicas.min;
    let blocks = budget.max_unavailable == Some(0)
        || budget
            .min_available
            .is_some_and(|least| least > 0 && least >= min);
    if blocks {
        check.warn(
            &path,
            "disruption-budget-allows-none",
            format!("the budget of `{name}` lets no replica go when there are {min}: Karpenter can't consolidate or update its nodes"),
            "write `maxUnavailable: 1`",
        );
    }
    // A volume is in one zone, and its replica with it.
    if check.production && service.enabled && service.volume.is_some() && min < 2 {
        check.warn(
            &["services", name, "volume"],
            "one-zone-volume",
            format!("`{name}` keeps its data on an EBS volume in one availability zone: the zone's loss stops it (\"all stateful services span AZs\" is not met)"),
            "keep it backed up, or move the data to a managed database",
        );
    }
}
