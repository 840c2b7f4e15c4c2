//! Addresses of pods.
//!
//! The VPC CNI gives pods addresses of their node's subnet. What a subnet spans is not part of the model of AWS here, so a pod gets
//! an address near its node's: of the same /20, when that is full of the same /18, the same /16, and then of 100.64.0.0/10, as with
//! custom networking.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::draw::number;
use crate::{Key, View};

/// How far apart draws are: the golden ratio of 64 bits.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which addresses are taken.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    by_pod: HashMap<Key, (String, Ipv4Addr)>,
    taken: HashMap<Ipv4Addr, Key>,
    nodes: std::collections::HashSet<Ipv4Addr>,
}

impl Addresses {
    /// The addresses of machines, which no pod gets.
    pub(super) fn set_nodes(&mut self, view: &View) {
        let instances = view.cloud.instances.values();
        self.nodes = instances
            .filter_map(|instance| instance.private_ip.parse().ok())
            .collect();
    }

    /// A pod of this uid has an address.
    pub(super) fn known(&mut self, pod: &Key, uid: &str, ip: Ipv4Addr) {
        if self.by_pod.get(pod).is_some_and(|(known, _)| known == uid) {
            return;
        }
        self.release(pod);
        self.by_pod.insert(pod.clone(), (uid.to_owned(), ip));
        self.taken.insert(ip, pod.clone());
    }

    pub(super) fn release(&mut self, pod: &Key) {
        if let Some((_, ip)) = self.by_pod.remove(pod)
            && self.taken.get(&ip) == Some(pod)
        {
            self.taken.remove(&ip);
        }
    }

    /// The address of a pod, a new one if it has none.
    pub(super) fn assign(&mut self, pod: &Key, uid: &str, node: Ipv4Addr) -> Ipv4Addr {
        if let Some((known, ip)) = self.by_pod.get(pod)
            && known == uid
        {
            return *ip;
        }
        let node = u32::from(node);
        let blocks = [(node, 20), (node, 18), (node, 16), (0x6440_0000, 10)];
        let ip = blocks
            .into_iter()
            .find_map(|(base, bits)| self.free(base, bits, uid))
            // Four million pods are not there; two with the same address would be no harm.
            .unwrap_or(Ipv4Addr::new(100, 64, 0, 1));
        self.known(pod, uid, ip);
        ip
    }

    /// A free address of a block. Like a VPC's subnets, the first four and the last one of it are nobody's.
    fn free(&self, base: u32, bits: u32, uid: &str) -> Option<Ipv4Addr> {
        let size = 1_u32 << (32 - bits);
        let first = base & !(size - 1);
        let usable = size - 5;
        // Drawn again and again rather than searched for: a block that is nearly full is given up.
        (0..64_u64)
            .map(|turn| {
                let drawn = number(&["address", uid]).wrapping_add(turn.wrapping_mul(STRIDE));
                let place = u32::try_from((drawn >> 8) % u64::from(usable)).unwrap_or(0);
                Ipv4Addr::from(first + 4 + place)
            })
            .find(|ip| !self.taken.contains_key(ip) && !self.nodes.contains(ip))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pod_has_its_own_near_its_node() {
        let mut addresses = Addresses::default();
        let node = Ipv4Addr::new(10, 0, 18, 7);
        let mut all = BTreeSet::new();
        for number in 0..6000 {
            let pod = Key::new("shop", &number.to_string());
            let ip = addresses.assign(&pod, &format!("uid-{number}"), node);
            assert!(all.insert(ip), "{ip} twice");
            assert_eq!(ip.octets()[..2], [10, 0]);
        }
        let inside = all
            .iter()
            .filter(|ip| (16..32).contains(&ip.octets()[2]))
            .count();
        assert!(inside > 3000, "most of the node's own /20: {inside}");
        let pod = Key::new("shop", "1");
        let mine = addresses.assign(&pod, "uid-1", node);
        assert_eq!(addresses.assign(&pod, "uid-1", node), mine);
        addresses.release(&pod);
        assert_eq!(addresses.assign(&pod, "uid-1", node), mine, "free again");
    }
}
