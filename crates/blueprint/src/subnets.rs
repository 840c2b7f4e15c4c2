//! How a VPC's range is cut up.
//!
//! The range is eight blocks. The first seven are for private subnets, one an availability zone: pods take their
//! addresses from them, and prefix delegation takes those sixteen at a time. The eighth holds the public subnets, which
//! need few addresses: load balancers and NAT gateways. A /16 makes /19 and /22, a /21 makes /24 and /27 (the smallest
//! that an Application Load Balancer accepts).

use ipnet::Ipv4Net;

/// The longest prefix, which is the smallest range, that can be cut up.
const SMALLEST: u8 = 21;
/// The shortest prefix that a VPC takes.
const LARGEST: u8 = 16;
/// Private blocks in a range.
const PRIVATE: usize = 7;

/// The subnets of one availability zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) private: Ipv4Net,
    pub(crate) public: Ipv4Net,
}

/// Cuts `vpc` up for `zones` availability zones; `None` if it is too small or too large, or the zones are too many.
pub(crate) fn cut(vpc: Ipv4Net, zones: usize) -> Option<Vec<Zone>> {
    if !(LARGEST..=SMALLEST).contains(&vpc.prefix_len()) || zones > PRIVATE {
        return None;
    }
    let blocks: Vec<Ipv4Net> = vpc.trunc().subnets(vpc.prefix_len() + 3).ok()?.collect();
    let (last, private) = blocks.split_last()?;
    let public = last.subnets(last.prefix_len() + 3).ok()?;
    Some(
        private
            .iter()
            .zip(public)
            .take(zones)
            .map(|(private, public)| Zone {
                private: *private,
                public,
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn a_16_makes_19s_and_22s() {
        let zones = cut(net("10.1.0.0/16"), 3).unwrap();
        let expected = [
            ("10.1.0.0/19", "10.1.224.0/22"),
            ("10.1.32.0/19", "10.1.228.0/22"),
            ("10.1.64.0/19", "10.1.232.0/22"),
        ];
        assert_eq!(
            zones,
            expected.map(|(private, public)| Zone {
                private: net(private),
                public: net(public)
            })
        );
    }

    #[test]
    fn all_subnets_are_inside_and_apart_for_every_size() {
        for prefix in LARGEST..=SMALLEST {
            let vpc = Ipv4Net::new("172.16.0.0".parse().unwrap(), prefix).unwrap();
            for count in 1..=PRIVATE {
                let zones = cut(vpc, count).unwrap();
                let all: Vec<_> = zones
                    .iter()
                    .flat_map(|zone| [zone.private, zone.public])
                    .collect();
                assert_eq!(all.len(), 2 * count);
                for (place, one) in all.iter().enumerate() {
                    assert!(
                        vpc.contains(one) && one.prefix_len() <= 27,
                        "{one} of {vpc}"
                    );
                    assert!(
                        all[place + 1..]
                            .iter()
                            .all(|other| !one.contains(other) && !other.contains(one))
                    );
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_cut_is_refused() {
        assert_eq!(cut(net("10.0.0.0/22"), 3), None);
        assert_eq!(cut(net("10.0.0.0/8"), 3), None);
        assert_eq!(cut(net("10.0.0.0/16"), 8), None);
    }
}
