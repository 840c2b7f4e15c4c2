//! Names in templates: letters and digits only, and no two things of one name.

use std::collections::BTreeMap;

use catalog::PropertyPath;
use catalog::ids::Address;

use crate::Error;

/// A resource's logical id: its address in Pascal case (`NetworkSubnetPrivateA` of `network/subnet/private-a`).
pub(super) fn logical_id(address: &Address) -> String {
    pascal(address.as_str())
}

/// What an attribute is called in parameters and outputs: the logical id, then the attribute.
pub(super) fn attribute_name(address: &Address, path: &PropertyPath) -> String {
    let attribute: String = path.segments().iter().map(|part| pascal(part)).collect();
    logical_id(address) + &attribute
}

/// The words of a text, each with a capital, nothing between them.
pub(super) fn pascal(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

/// Who has which name, in one name space.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The name's owner: of which resource it is, and what of it.
    taken: BTreeMap<String, (Address, String)>,
    /// Two owners for one name.
    pub(super) errors: Vec<Error>,
}

impl Names {
    /// Notes that `what` of a resource (nothing for the resource itself) is called `name`.
    pub(super) fn take(&mut self, name: &str, address: &Address, what: &str) {
        let (first, of_it) = self
            .taken
            .entry(name.to_owned())
            .or_insert_with(|| (address.clone(), what.to_owned()));
        if (&*first, of_it.as_str()) != (address, what) {
            self.errors.push(Error::Name {
                first: first.clone(),
                second: address.clone(),
                name: name.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::new(text).unwrap()
    }

    #[test]
    fn addresses_become_names() {
        for (text, name) in [
            ("network/subnet/private-a", "NetworkSubnetPrivateA"),
            ("addons/vpc-cni", "AddonsVpcCni"),
            ("secrets/dev/my_app.db", "SecretsDevMyAppDb"),
            (
                "cluster/access-entry/111122223333-role-ops",
                "ClusterAccessEntry111122223333RoleOps",
            ),
        ] {
            assert_eq!(logical_id(&address(text)), name);
        }
        let path = PropertyPath::from_segments(["PrimaryEndPoint", "Address"]);
        assert_eq!(
            attribute_name(&address("redis/replication-group"), &path),
            "RedisReplicationGroupPrimaryEndPointAddress"
        );
    }

    #[test]
    fn a_name_that_is_taken_twice_is_refused() {
        let mut names = Names::default();
        names.take("SecretsAB", &address("secrets/a-b"), "");
        names.take("SecretsAB", &address("secrets/a-b"), "");
        assert!(names.errors.is_empty());
        names.take("SecretsAB", &address("secrets/a/b"), "");
        assert_eq!(
            names.errors,
            [Error::Name {
                first: address("secrets/a-b"),
                second: address("secrets/a/b"),
                name: "SecretsAB".to_owned(),
            }]
        );
    }
}
