//! Services: their addresses and node ports.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use apimachinery::Status;
use apimachinery::status::Cause;
use serde_json::{Value as Json, json};

use super::Attempt;
use crate::registry::document::{list, map, number, part, text};
use crate::store::{CLUSTER_IPS, NODE_PORTS};

const PORTS: RangeInclusive<i64> = 30000..=32767;

/// The range of Services' addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registry) struct ServiceCidr {
    first: u32,
    bits: u32,
}

impl ServiceCidr {
    /// Of `10.100.0.0/16`.
    pub(in crate::registry) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| (8..=28).contains(bits))?;
        let mask = u32::MAX << (32 - bits);
        Some(Self {
            first: u32::from(address) & mask,
            bits,
        })
    }

    fn size(self) -> u32 {
        1 << (32 - self.bits)
    }

    /// The address of the Service `kubernetes`.
    pub(in crate::registry) fn own(self) -> Ipv4Addr {
        (self.first + 1).into()
    }

    /// Whether a Service can have it: neither the network's own nor the broadcast address.
    fn contains(self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address).checked_sub(self.first);
        offset.is_some_and(|offset| offset > 0 && offset < self.size() - 1)
    }

    /// A free address, beginning at a place that `seed` gives. The first ones of the range are for those who ask for them by
    /// number (`min(max(16, size / 16), 256)` of them), until there are no others.
    fn free(self, taken: &BTreeSet<String>, seed: u64) -> Option<Ipv4Addr> {
        let kept = (self.size() / 16).clamp(16, 256).min(self.size() / 2);
        let is_free = |offset: &u32| {
            let address = Ipv4Addr::from(self.first + offset);
            self.contains(address) && !taken.contains(&address.to_string())
        };
        let upper = self.size() - kept;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the remainder is below a u32"
        )]
        let start = (seed % u64::from(upper)) as u32;
        (0..upper)
            .map(|step| kept + (start + step) % upper)
            .find(is_free)
            .or_else(|| (1..kept).find(is_free))
            .map(|offset| (self.first + offset).into())
    }
}

pub(super) fn admit(attempt: &mut Attempt<'_, '_>, service: &mut Json) -> Result<(), Status> {
    if let Some(old) = attempt.old {
        drop_dependent(old, service);
        carry_over(old, service);
    }
    let external = text(service, "/spec/type") == "ExternalName";
    if external {
        let spec = part(service, "spec");
        for name in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ] {
            spec.remove(name);
        }
        return Ok(());
    }
    address(attempt, service)?;
    node_ports(attempt, service)
}

/// A Service that becomes one of another type loses what only the old type can have, unless the client changed it
/// (`dropTypeDependentFields`). Node ports go where they are given out.
fn drop_dependent(old: &Json, new: &mut Json) {
    let is_external = |service: &Json| {
        matches!(text(service, "/spec/type"), "NodePort" | "LoadBalancer")
            || !list(service, "/spec/externalIPs").is_empty()
    };
    let is_balanced = |service: &Json| text(service, "/spec/type") == "LoadBalancer";
    let mut dropped: Vec<&str> = Vec::new();
    if is_external(old) && !is_external(new) {
        dropped.push("externalTrafficPolicy");
    }
    if is_balanced(old) && !is_balanced(new) {
        dropped.extend([
            "allocateLoadBalancerNodePorts",
            "loadBalancerClass",
            "healthCheckNodePort",
        ]);
    }
    for name in dropped {
        if old["spec"].get(name) == new["spec"].get(name) {
            part(new, "spec").remove(name);
        }
    }
}

/// An update that leaves out what the server has given keeps it (`patchAllocatedValues`).
fn carry_over(old: &Json, new: &mut Json) {
    if text(old, "/spec/type") == "ExternalName" || text(new, "/spec/type") == "ExternalName" {
        return;
    }
    if text(new, "/spec/clusterIP").is_empty() && list(new, "/spec/clusterIPs").is_empty() {
        for name in ["clusterIP", "clusterIPs"] {
            if let Some(value) = old["spec"].get(name) {
                part(new, "spec").insert(name.to_owned(), value.clone());
            }
        }
    }
    for name in ["ipFamilies", "ipFamilyPolicy"] {
        if new["spec"].get(name).is_none()
            && let Some(value) = old["spec"].get(name)
        {
            part(new, "spec").insert(name.to_owned(), value.clone());
        }
    }
    if !wants_node_ports(old) || !wants_node_ports(new) {
        return;
    }
    let before = list(old, "/spec/ports").to_vec();
    let mut used: BTreeSet<i64> = list(new, "/spec/ports")
        .iter()
        .filter_map(|port| number(port, "/nodePort"))
        .collect();
    for port in new["spec"]["ports"].as_array_mut().into_iter().flatten() {
        if number(port, "/nodePort").unwrap_or_default() != 0 {
            continue;
        }
        let same = before.iter().find(|one| {
            one["port"] == port["port"]
                && text(one, "/protocol") == text(port, "/protocol")
                && number(one, "/nodePort").is_some_and(|port| !used.contains(&port))
        });
        if let Some(node_port) = same.and_then(|same| number(same, "/nodePort")) {
            used.insert(node_port);
            map(port).insert("nodePort".to_owned(), node_port.into());
        }
    }
    if number(new, "/spec/healthCheckNodePort").is_none()
        && wants_health_port(new)
        && let Some(port) = number(old, "/spec/healthCheckNodePort")
    {
        part(new, "spec").insert("healthCheckNodePort".to_owned(), port.into());
    }
}

fn wants_node_ports(service: &Json) -> bool {
    match text(service, "/spec/type") {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

fn wants_health_port(service: &Json) -> bool {
    text(service, "/spec/type") == "LoadBalancer"
        && text(service, "/spec/externalTrafficPolicy") == "Local"
}

fn invalid(attempt: &Attempt<'_, '_>, field: &str, message: String) -> Status {
    let cause = Cause {
        reason: "FieldValueInvalid".to_owned(),
        message,
        field: field.to_owned(),
    };
    Status::invalid("", "Service", &attempt.key.name, vec![cause])
}

/// What the other Services have of a kind.
fn taken(attempt: &Attempt<'_, '_>, field: &str) -> BTreeSet<String> {
    attempt
        .list("", "services", None)
        .iter()
        .filter(|service| service.key != *attempt.key)
        .flat_map(|service| {
            let values = service.field(field).split_whitespace();
            values.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn address(attempt: &Attempt<'_, '_>, service: &mut Json) -> Result<(), Status> {
    let mut address = text(service, "/spec/clusterIP").to_owned();
    if address.is_empty() {
        text(service, "/spec/clusterIPs/0").clone_into(&mut address);
    }
    let range = attempt.registry.services;
    let before = attempt.old.map_or("", |old| text(old, "/spec/clusterIP"));
    if address.is_empty() {
        let mut hasher = DefaultHasher::new();
        (&*attempt.key.namespace, &*attempt.key.name).hash(&mut hasher);
        let taken = taken(attempt, CLUSTER_IPS);
        let free = range.free(&taken, hasher.finish()).ok_or_else(|| {
            let why = "failed to allocate a serviceIP: range is full";
            Status::new(apimachinery::status::Reason::InternalError, why)
        })?;
        address = free.to_string();
    } else if address != "None" && address != before {
        let field = "spec.clusterIPs";
        let shown = format!("Invalid value: [{address:?}]: failed to allocate IP {address}: ");
        let parsed: Ipv4Addr = address.parse().map_err(|_| {
            invalid(
                attempt,
                field,
                format!("Invalid value: {address:?}: must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
            )
        })?;
        if !range.contains(parsed) {
            let range = format!("{}/{}", Ipv4Addr::from(range.first), range.bits);
            return Err(invalid(
                attempt,
                field,
                format!(
                    "{shown}the provided IP ({address}) is not in the valid range. The range of valid IPs is {range}"
                ),
            ));
        }
        if taken(attempt, CLUSTER_IPS).contains(&address) {
            return Err(invalid(
                attempt,
                field,
                format!("{shown}provided IP is already allocated"),
            ));
        }
    }
    let spec = part(service, "spec");
    spec.insert("clusterIPs".to_owned(), json!([address]));
    spec.insert("clusterIP".to_owned(), address.into());
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy")
        .or_insert_with(|| "SingleStack".into());
    Ok(())
}

fn node_ports(attempt: &Attempt<'_, '_>, service: &mut Json) -> Result<(), Status> {
    let wanted = wants_node_ports(service);
    let kind = text(service, "/spec/type");
    if !wanted && !matches!(kind, "NodePort" | "LoadBalancer") {
        // What a Service of another type had goes, as far as the client didn't ask for it.
        let before: BTreeSet<i64> = attempt
            .old
            .into_iter()
            .flat_map(|old| list(old, "/spec/ports"))
            .filter_map(|port| number(port, "/nodePort"))
            .collect();
        for port in service["spec"]["ports"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            if number(port, "/nodePort").is_some_and(|port| before.contains(&port) || port == 0) {
                map(port).remove("nodePort");
            }
        }
        part(service, "spec").remove("healthCheckNodePort");
        return Ok(());
    }
    let health = wants_health_port(service);
    let asked: Vec<i64> = list(service, "/spec/ports")
        .iter()
        .filter_map(|port| number(port, "/nodePort"))
        .filter(|port| *port != 0)
        .collect();
    let missing = list(service, "/spec/ports").len() > asked.len() && wanted
        || health && number(service, "/spec/healthCheckNodePort").is_none();
    if asked.is_empty() && !missing {
        return Ok(());
    }
    let mut taken: BTreeSet<i64> = taken(attempt, NODE_PORTS)
        .iter()
        .filter_map(|port| port.parse().ok())
        .collect();
    for (index, port) in list(service, "/spec/ports").iter().enumerate() {
        let Some(port) = number(port, "/nodePort").filter(|port| *port != 0) else {
            continue;
        };
        let field = format!("spec.ports[{index}].nodePort");
        if !PORTS.contains(&port) {
            let why = format!(
                "Invalid value: {port}: provided port is not in the valid range. The range of valid ports is {}-{}",
                PORTS.start(),
                PORTS.end()
            );
            return Err(invalid(attempt, &field, why));
        }
        if taken.contains(&port) {
            let why = format!("Invalid value: {port}: provided port is already allocated");
            return Err(invalid(attempt, &field, why));
        }
    }
    taken.extend(asked);
    let mut hasher = DefaultHasher::new();
    attempt.key.hash(&mut hasher);
    let next = {
        let count = PORTS.end() - PORTS.start() + 1;
        let start = i64::try_from(hasher.finish() % count.unsigned_abs()).unwrap_or_default();
        move |taken: &mut BTreeSet<i64>| -> Result<i64, Status> {
            let port = (0..count)
                .map(|step| PORTS.start() + (start + step) % count)
                .find(|port| !taken.contains(port))
                .ok_or_else(|| {
                    let why = "failed to allocate a nodePort: range is full";
                    Status::new(apimachinery::status::Reason::InternalError, why)
                })?;
            taken.insert(port);
            Ok(port)
        }
    };
    // The same port over several protocols has one node port.
    let mut by_port: Vec<(i64, String, i64)> = Vec::new();
    for port in service["spec"]["ports"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        if !wanted || number(port, "/nodePort").unwrap_or_default() != 0 {
            continue;
        }
        let (own, protocol) = (
            number(port, "/port").unwrap_or_default(),
            text(port, "/protocol").to_owned(),
        );
        let shared = by_port
            .iter()
            .find(|(port, other, _)| *port == own && *other != protocol)
            .map(|(_, _, node_port)| *node_port);
        let node_port = match shared {
            Some(node_port) => node_port,
            None => next(&mut taken)?,
        };
        by_port.push((own, protocol, node_port));
        map(port).insert("nodePort".to_owned(), node_port.into());
    }
    if health && number(service, "/spec/healthCheckNodePort").unwrap_or_default() == 0 {
        let port = next(&mut taken)?;
        part(service, "spec").insert("healthCheckNodePort".to_owned(), port.into());
    } else if !health {
        part(service, "spec").remove("healthCheckNodePort");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_given_out_until_there_are_none() {
        let range = ServiceCidr::parse("10.100.0.0/28").unwrap();
        assert_eq!(range.own(), Ipv4Addr::new(10, 100, 0, 1));
        let mut taken = BTreeSet::new();
        for seed in 0..14 {
            let free = range.free(&taken, seed * 7).unwrap();
            assert!(range.contains(free), "{free}");
            assert!(taken.insert(free.to_string()));
        }
        assert_eq!(range.free(&taken, 1), None);
        assert_eq!(ServiceCidr::parse("10.100.0.0/40"), None);
        assert_eq!(ServiceCidr::parse("x"), None);
    }
}
