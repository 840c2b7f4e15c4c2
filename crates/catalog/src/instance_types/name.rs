//! Names of instance types.

use std::fmt;
use std::str::FromStr;

/// The name of an EC2 instance type (`m5.large`): a family, a dot and a size, of lower-case letters, digits and dashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceTypeName {
    text: Box<str>,
    /// Where the dot is.
    dot: usize,
}

/// The text is no name of an instance type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an instance type's name: expected one such as m5.large")]
pub struct InvalidInstanceTypeName(pub String);

impl InstanceTypeName {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the dot (`c6gd`, `u-6tb1`).
    #[must_use]
    pub fn family(&self) -> &str {
        &self.text[..self.dot]
    }

    /// The part after the dot (`2xlarge`, `metal-48xl`).
    #[must_use]
    pub fn size(&self) -> &str {
        &self.text[self.dot + 1..]
    }
}

impl FromStr for InstanceTypeName {
    type Err = InvalidInstanceTypeName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = |part: &str| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !part.is_empty() && part.bytes().all(plain)
        };
        match text.split_once('.') {
            Some((family, size)) if part(family) && part(size) => Ok(Self {
                text: text.into(),
                dot: family.len(),
            }),
            _ => Err(InvalidInstanceTypeName(text.to_owned())),
        }
    }
}

impl fmt::Display for InstanceTypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for InstanceTypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_family_and_a_size() {
        let name: InstanceTypeName = "u7i-12tb.224xlarge".parse().unwrap();
        assert_eq!((name.family(), name.size()), ("u7i-12tb", "224xlarge"));
        for bad in [
            "",
            "m5",
            ".large",
            "m5.",
            "m5.a.b",
            "M5.large",
            "m5.large,x",
            "m5 .large",
        ] {
            assert!(bad.parse::<InstanceTypeName>().is_err(), "{bad}");
        }
    }
}
