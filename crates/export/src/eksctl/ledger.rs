//! What becomes of each resource: nothing of the graph is lost without a word.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;
use graph::{Graph, Lifecycle, Resource, Value};

/// What becomes of a resource in eksctl's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The file says it.
    Expressed {
        /// By which field.
        field: &'static str,
        /// What of it the file has no words for: paths of its properties, `retain`.
        lost: Vec<String>,
    },
    /// eksctl makes one of its own for a field, its own way.
    Implied {
        /// For which field.
        field: &'static str,
    },
    /// The file refers to it; it must be there before.
    Referenced {
        /// By which field.
        field: &'static str,
    },
    /// eksctl has no words for it.
    LeftOut,
}

/// The fates of a graph's resources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    fates: Vec<(Address, Fate)>,
}

impl Ledger {
    /// All entries; after an export each resource of the graph has exactly one.
    pub fn entries(&self) -> &[(Address, Fate)] {
        &self.fates
    }

    /// What becomes of a resource.
    pub fn fate(&self, address: &Address) -> Option<&Fate> {
        self.fates
            .iter()
            .find(|(entry, _)| entry == address)
            .map(|(_, fate)| fate)
    }

    pub(super) fn enter(&mut self, address: &Address, fate: Fate) {
        self.fates.push((address.clone(), fate));
    }

    /// A resource that the file says, after all that can be said of it was read.
    pub(super) fn expressed(&mut self, field: &'static str, reader: Reader<'_>) {
        let address = reader.resource.address.clone();
        let lost = reader.unread();
        self.enter(&address, Fate::Expressed { field, lost });
    }

    /// All that has no entry yet is left out; then all are in the order of their addresses.
    pub(super) fn close(&mut self, graph: &Graph) {
        let known: BTreeSet<Address> = self
            .fates
            .iter()
            .map(|(address, _)| address.clone())
            .collect();
        let rest = graph
            .resources()
            .filter(|resource| !known.contains(&resource.address))
            .map(|resource| (resource.address.clone(), Fate::LeftOut));
        self.fates.extend(rest);
        self.fates.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
}

/// Reads a resource and remembers what was read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) resource: &'a Resource,
    read: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(resource: &'a Resource) -> Self {
        Self {
            resource,
            read: BTreeSet::new(),
        }
    }

    /// A property, by the names on the way to it, separated by dots.
    pub(super) fn get(&mut self, path: &str) -> Option<&'a Value> {
        let mut names = path.split('.');
        let first = self.resource.properties.get(names.next()?)?;
        let value = names.try_fold(first, |value, name| property(value, name))?;
        self.read.insert(path.to_owned());
        Some(value)
    }

    /// A text that is written out.
    pub(super) fn string(&mut self, path: &str) -> Option<&'a str> {
        self.read_as(path, literal)
    }

    pub(super) fn bool(&mut self, path: &str) -> Option<bool> {
        self.read_as(path, |value| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        })
    }

    pub(super) fn number(&mut self, path: &str) -> Option<u64> {
        self.read_as(path, |value| match value {
            Value::Number(number) => number.as_u64(),
            _ => None,
        })
    }

    /// Marks a property as read if it is what eksctl does anyway; otherwise it is lost, and says so.
    pub(super) fn agrees(&mut self, path: &str, with: &Value) {
        let same = self.get(path).is_some_and(|value| value == with);
        if !same {
            self.read.remove(path);
        }
    }

    /// What was read could not be said after all.
    pub(super) fn forget(&mut self, path: &str) {
        self.read.remove(path);
    }

    /// A property that is not of the kind that is asked for counts as not read.
    fn read_as<T>(&mut self, path: &str, as_kind: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let read = self.get(path).and_then(as_kind);
        if read.is_none() {
            self.read.remove(path);
        }
        read
    }

    /// What was not read. Tags are the file's as a whole, `metadata.tags`.
    fn unread(&self) -> Vec<String> {
        let mut unread = Vec::new();
        for (name, value) in &self.resource.properties {
            if name != "Tags" {
                self.walk(name.clone(), value, &mut unread);
            }
        }
        if self.resource.lifecycle == Lifecycle::Retain {
            unread.push("retain".to_owned());
        }
        unread
    }

    fn walk(&self, path: String, value: &Value, unread: &mut Vec<String>) {
        if self.read.contains(&path) {
            return;
        }
        let inside = format!("{path}.");
        let value = match value {
            Value::Array(items) if items.len() == 1 => &items[0],
            value => value,
        };
        match value {
            Value::Object(properties) if self.read.iter().any(|read| read.starts_with(&inside)) => {
                for (name, value) in properties {
                    self.walk(format!("{inside}{name}"), value, unread);
                }
            }
            _ => unread.push(path),
        }
    }
}

/// A property of an object, or of the only object of a list.
pub(super) fn property<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(properties) => properties.get(name),
        Value::Array(items) => match items.as_slice() {
            [only] => property(only, name),
            _ => None,
        },
        _ => None,
    }
}

/// A text that is written out.
pub(super) fn literal(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// A list's items; none for what is no list.
pub(super) fn items(value: Option<&Value>) -> &[Value] {
    match value {
        Some(Value::Array(items)) => items,
        _ => &[],
    }
}

/// The texts of a list.
pub(super) fn strings(value: Option<&Value>) -> Vec<String> {
    items(value)
        .iter()
        .filter_map(literal)
        .map(str::to_owned)
        .collect()
}

/// A resource's tags, without those of the platform that makes it: what eksctl makes is eksctl's.
pub(super) fn tags(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs: Vec<(&str, &Value)> = match value {
        Some(Value::Object(tags)) => tags
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect(),
        list => items(list)
            .iter()
            .filter_map(|tag| Some((literal(property(tag, "Key")?)?, property(tag, "Value")?)))
            .collect(),
    };
    pairs
        .into_iter()
        .filter(|(key, _)| !is_owner(key))
        .filter_map(|(key, value)| Some((key.to_owned(), literal(value)?.to_owned())))
        .collect()
}

/// Whether a tag says that the platform's own tool made what carries it.
pub(super) fn is_owner(key: &str) -> bool {
    use graph::owner_tags::{ADDRESS, ENVIRONMENT, PLATFORM};
    [PLATFORM, ENVIRONMENT, ADDRESS].contains(&key)
}

#[cfg(test)]
mod tests {
    use catalog::TypeName;
    use graph::value;

    use super::*;

    fn resource() -> Resource {
        let Value::Object(properties) = value!({
            "Name": "x",
            "Flag": true,
            "Tags": [{ "Key": "a", "Value": "b" }],
            "Inside": { "Read": 1, "Unread": 2, "Deep": { "Unread": 3 } },
            "Whole": { "Unread": 4 },
            "Only": [{ "Value": { "Read": "y", "Unread": "z" } }],
        }) else {
            unreachable!("an object")
        };
        Resource::new(
            Address::new("a/b").unwrap(),
            TypeName::new("AWS::EKS::Cluster"),
            properties,
        )
    }

    #[test]
    fn what_was_not_read_is_lost_with_words() {
        let resource = resource();
        let mut reader = Reader::new(&resource);
        assert_eq!(reader.string("Name"), Some("x"));
        assert_eq!(reader.number("Inside.Read"), Some(1));
        assert_eq!(reader.string("Flag"), None, "it is no text");
        assert_eq!(reader.string("Only.Value.Read"), Some("y"));
        reader.agrees("Flag", &Value::Bool(false));
        let mut ledger = Ledger::default();
        ledger.expressed("field", reader);
        let lost = [
            "Flag",
            "Inside.Deep",
            "Inside.Unread",
            "Only.Value.Unread",
            "Whole",
        ]
        .map(str::to_owned);
        assert_eq!(
            ledger.fate(&resource.address),
            Some(&Fate::Expressed {
                field: "field",
                lost: lost.to_vec()
            })
        );
    }
}
