//! IPv4 blocks as EC2 takes them.

use ipnet::Ipv4Net;

use super::{Failure, failure};

/// A block in its canonical form.
pub(super) fn parse(text: &str) -> Result<Ipv4Net, Failure> {
    let malformed = || {
        failure::invalid(
            "Ec2",
            format!(
                "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
            ),
        )
    };
    let block: Ipv4Net = text.parse().map_err(|_| malformed())?;
    // EC2 would cut host bits off; whoever writes them means something else.
    if block.trunc() != block {
        return Err(malformed());
    }
    Ok(block)
}

/// A block of a size that a VPC or subnet can have: /16 to /28 (VPC user guide, "VPC CIDR blocks").
pub(super) fn parse_sized(text: &str) -> Result<Ipv4Net, Failure> {
    let block = parse(text)?;
    if (16..=28).contains(&block.prefix_len()) {
        Ok(block)
    } else {
        Err(failure::invalid(
            "Ec2",
            format!("The CIDR '{text}' is invalid."),
        ))
    }
}

/// Whether two blocks share an address.
pub(super) fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}
