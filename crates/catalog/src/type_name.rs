//! The name of a resource type: of CloudFormation's (`AWS::EC2::VPC`), of a Kubernetes API
//! (`Kubernetes::apps/v1::Deployment`), or [`HELM_RELEASE`].

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `Organization::Service::Resource`, each part of letters and digits, the first letter upper case or not: AWS has both.
/// Of a Kubernetes type the middle part is the object's `apiVersion`, as it stands in the manifest.
///
/// A name that the catalog knows is never allocated, so cloning one is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeName(Cow<'static, str>);

/// The type of a Helm release.
pub const HELM_RELEASE: TypeName = TypeName::new("Helm::Chart::Release");

/// Where the resources of a type live, and so who makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Realm {
    /// In an AWS account. What the catalog has schemas of.
    Aws,
    /// In a cluster: an object of its API.
    Kubernetes,
    /// In a cluster: a release of a chart.
    Helm,
}

impl Realm {
    /// Whether it is inside of a cluster, and ends with it.
    #[must_use]
    pub const fn is_in_cluster(self) -> bool {
        matches!(self, Self::Kubernetes | Self::Helm)
    }
}

impl TypeName {
    /// A name written in the source, usable in a `const`.
    ///
    /// # Panics
    /// If `name` is not of the form `X::Y::Z`; in a `const` that is an error at compile time.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(
            is_valid(name),
            "a resource type name is Organization::Service::Resource"
        );
        Self(Cow::Borrowed(name))
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The type of the Kubernetes objects of an `apiVersion` and a `kind`.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn kubernetes(api_version: &str, kind: &str) -> Result<Self, InvalidTypeName> {
        format!("{KUBERNETES}{api_version}::{kind}").parse()
    }

    /// Where its resources live.
    #[must_use]
    pub fn realm(&self) -> Realm {
        if self.0.starts_with(KUBERNETES) {
            Realm::Kubernetes
        } else if *self == HELM_RELEASE {
            Realm::Helm
        } else {
            Realm::Aws
        }
    }

    /// `EC2` of `AWS::EC2::VPC`; the `apiVersion` of a Kubernetes type.
    #[must_use]
    pub fn service(&self) -> &str {
        self.0.split("::").nth(1).unwrap_or_default()
    }

    /// `VPC` of `AWS::EC2::VPC`.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.0.rsplit("::").next().unwrap_or_default()
    }
}

/// What the name of a Kubernetes type begins with.
const KUBERNETES: &str = "Kubernetes::";

/// Three non-empty parts of ASCII letters and digits, separated by `::`. The `apiVersion` of a Kubernetes type has dots,
/// hyphens and a slash besides.
const fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    let kubernetes = begins_with(bytes, KUBERNETES.as_bytes());
    let (mut at, mut parts, mut length) = (0, 1, 0);
    while at < bytes.len() {
        if bytes[at] == b':' {
            if length == 0 || at + 1 >= bytes.len() || bytes[at + 1] != b':' {
                return false;
            }
            parts += 1;
            length = 0;
            at += 2;
        } else if bytes[at].is_ascii_alphanumeric()
            || (kubernetes && parts == 2 && matches!(bytes[at], b'.' | b'-' | b'/'))
        {
            length += 1;
            at += 1;
        } else {
            return false;
        }
    }
    parts == 3 && length > 0
}

const fn begins_with(bytes: &[u8], start: &[u8]) -> bool {
    let mut at = 0;
    while at < start.len() {
        if at >= bytes.len() || bytes[at] != start[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// The text is no resource type name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a resource type name: expected Organization::Service::Resource, such as AWS::EC2::VPC"
)]
pub struct InvalidTypeName(pub String);

impl FromStr for TypeName {
    type Err = InvalidTypeName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(known) = crate::bundle::known_name(text) {
            return Ok(Self(Cow::Borrowed(known)));
        }
        if is_valid(text) {
            Ok(Self(Cow::Owned(text.to_owned())))
        } else {
            Err(InvalidTypeName(text.to_owned()))
        }
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for TypeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for TypeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for TypeName {
    fn eq(&self, other: &str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<&str> for TypeName {
    fn eq(&self, other: &&str) -> bool {
        self.0 == **other
    }
}

impl Serialize for TypeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TypeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VPC: TypeName = TypeName::new("AWS::EC2::VPC");

    #[test]
    fn parts_and_serde() {
        assert_eq!((VPC.service(), VPC.resource()), ("EC2", "VPC"));
        let json = serde_json::to_string(&VPC).unwrap();
        assert_eq!(json, r#""AWS::EC2::VPC""#);
        assert_eq!(serde_json::from_str::<TypeName>(&json).unwrap(), VPC);
    }

    #[test]
    fn a_type_name_says_where_its_resources_live() {
        let realm = |text: &str| text.parse::<TypeName>().unwrap().realm();
        assert_eq!(realm("AWS::EKS::Cluster"), Realm::Aws);
        assert_eq!(realm("Kubernetes::apps/v1::Deployment"), Realm::Kubernetes);
        assert_eq!(realm("Helm::Chart::Release"), Realm::Helm);
        let node_pool = TypeName::kubernetes("karpenter.sh/v1", "NodePool").unwrap();
        assert_eq!(
            (node_pool.service(), node_pool.resource()),
            ("karpenter.sh/v1", "NodePool")
        );
        assert!(TypeName::kubernetes("v1", "Pod/x").is_err());
    }

    #[test]
    fn only_three_non_empty_parts_are_a_name() {
        for good in [
            "AWS::EC2::VPC",
            "AWS::WAFv2::WebACL",
            "Kubernetes::Core::Pod",
            "a::b::c",
        ] {
            assert_eq!(
                good.parse::<TypeName>()
                    .map(|name| name.to_string())
                    .as_deref(),
                Ok(good)
            );
        }
        for bad in [
            "",
            "AWS::EC2",
            "AWS::EC2::VPC::X",
            "AWS::::VPC",
            "AWS:EC2:VPC",
            "AWS::EC2::V PC",
            "AWS::EC2/v1::VPC",
            "AWS::EC2::",
            "AWS::EC2::VPC:",
        ] {
            assert_eq!(
                bad.parse::<TypeName>(),
                Err(InvalidTypeName(bad.to_owned())),
                "{bad}"
            );
        }
    }
}
