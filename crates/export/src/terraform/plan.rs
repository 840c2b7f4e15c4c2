//! A module's resources for all environments at once: which there are, where, under which label, and what of their
//! properties differs.

use std::collections::{BTreeMap, BTreeSet};

use catalog::TypeName;
use catalog::ids::Address;
use graph::{Attribute, Lifecycle, Reference, Resource as Declared, Value};

use super::naming;
use super::schema::Shape;
use super::term::{Facts, Item, Term, Test, read};
use super::unify::{Decides, Environments, Flag, Place, Unifier, Use};
use crate::module::Module;
use crate::{Error, Format, Scoped, modules, needs};

/// Scopes that have one set of modules: the environments, or the shared scope alone.
pub(super) struct Family<'a> {
    /// The scopes.
    pub(super) scopes: Vec<Scoped<'a>>,
    /// What each gives to its texts.
    pub(super) facts: Vec<Facts>,
    /// The module of each resource, by scope.
    pub(super) modules: Vec<BTreeMap<Address, Module>>,
    /// What each module puts out, by name.
    pub(super) outputs: BTreeMap<Module, BTreeMap<String, Reference>>,
    /// The modules that each module needs, by scope.
    pub(super) needs: Vec<BTreeMap<Module, BTreeSet<Module>>>,
}

impl<'a> Family<'a> {
    /// Cuts the scopes into modules.
    pub(super) fn new(scopes: &[Scoped<'a>]) -> Result<Self, Vec<Error>> {
        let modules: Vec<_> = scopes.iter().map(|scope| modules(scope.graph)).collect();
        let mut needed = Vec::new();
        let mut errors = Vec::new();
        for (scope, modules) in scopes.iter().zip(&modules) {
            match needs(scope.graph, modules) {
                Ok(needs) => needed.push(needs),
                Err(more) => errors.extend(more),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            scopes: scopes.to_vec(),
            facts: scopes.iter().map(Facts::of).collect(),
            modules,
            outputs: BTreeMap::new(),
            needs: needed,
        })
    }

    /// The modules that any of the scopes has something in.
    pub(super) fn used(&self) -> BTreeSet<Module> {
        self.modules
            .iter()
            .flat_map(|modules| modules.values().copied())
            .collect()
    }

    /// The references to each resource, from anywhere in the scopes.
    pub(super) fn references(&self) -> BTreeMap<Address, BTreeSet<Attribute>> {
        let mut found: BTreeMap<Address, BTreeSet<Attribute>> = BTreeMap::new();
        for resource in self.scopes.iter().flat_map(|scope| scope.graph.resources()) {
            for value in resource.properties.values() {
                value.walk(&mut |value| {
                    if let Value::Attribute(Reference { to, attribute }) = value {
                        found
                            .entry(to.clone())
                            .or_default()
                            .insert(attribute.clone());
                    }
                });
            }
        }
        found
    }
}

/// How a resource comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Made, changed and deleted.
    Managed,
    /// Never deleted.
    Retained,
    /// Made where it is not there already.
    Ensured,
    /// Somebody else's.
    Existing,
}

/// What Terraform manages it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// `awscc`.
    Awscc,
    /// A resource of `aws`, written by a table.
    Native,
    /// A CloudFormation stack of its own.
    Stack,
}

/// A resource for all the environments that have it.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub(super) address: Address,
    pub(super) type_name: TypeName,
    pub(super) kind: Kind,
    pub(super) by: By,
    /// Whether a secret is in it.
    pub(super) secret: bool,
    /// Its label.
    pub(super) label: String,
    /// The environments that have it.
    pub(super) on: Environments,
    /// The flag by which it exists; always without.
    pub(super) flag: Option<usize>,
    pub(super) properties: BTreeMap<String, Item>,
    pub(super) depends_on: BTreeSet<Address>,
    /// The identifier, by environment, of what exists.
    pub(super) identifiers: BTreeMap<usize, String>,
}

/// A module's plan.
pub(super) struct Plan {
    pub(super) module: Module,
    /// The environments that have anything in it.
    pub(super) on: Environments,
    /// Its resources, by address.
    pub(super) resources: Vec<Resource>,
    pub(super) flags: Vec<Flag>,
    pub(super) uses: Vec<Use<'static>>,
}

impl Plan {
    /// The resources at an address: more than one when it is made in one environment and exists in another.
    pub(super) fn at<'p>(&'p self, address: &'p Address) -> impl Iterator<Item = &'p Resource> {
        self.resources
            .iter()
            .filter(move |resource| resource.address == *address)
    }

    /// The references of its resources to those of other modules, and the environments that have them.
    pub(super) fn imports(&self) -> BTreeMap<Reference, Environments> {
        let local: BTreeSet<&Address> = self
            .resources
            .iter()
            .map(|resource| &resource.address)
            .collect();
        let mut imports: BTreeMap<Reference, Environments> = BTreeMap::new();
        for resource in &self.resources {
            for item in resource.properties.values() {
                for reference in item.term.references() {
                    if !local.contains(&reference.to) {
                        imports
                            .entry(reference.clone())
                            .or_default()
                            .extend(&resource.on);
                    }
                }
            }
        }
        imports
    }
}

fn kind(resource: &Declared) -> Kind {
    match resource.lifecycle {
        Lifecycle::Managed => Kind::Managed,
        Lifecycle::Retain => Kind::Retained,
        Lifecycle::Ensure => Kind::Ensured,
        Lifecycle::Existing(_) => Kind::Existing,
    }
}

/// What is at an address in several environments, when it is one kind of thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    address: Address,
    type_name: TypeName,
    kind: Kind,
}

/// Plans a module.
pub(super) fn plan(family: &Family<'_>, module: Module) -> Result<Plan, Vec<Error>> {
    let mut found: BTreeMap<Key, BTreeMap<usize, &Declared>> = BTreeMap::new();
    for (index, (scope, modules)) in family.scopes.iter().zip(&family.modules).enumerate() {
        for resource in scope.graph.resources() {
            if modules.get(&resource.address) == Some(&module) {
                let key = Key {
                    address: resource.address.clone(),
                    type_name: resource.type_name.clone(),
                    kind: kind(resource),
                };
                found.entry(key).or_default().insert(index, resource);
            }
        }
    }
    let on: Environments = found
        .values()
        .flat_map(|declared| declared.keys().copied())
        .collect();
    let mut unifier = Unifier {
        facts: &family.facts,
        local: found.keys().map(|key| key.address.clone()).collect(),
        flags: Vec::new(),
        uses: Vec::new(),
    };
    let existence = existence(module, &found, &on, &mut unifier.flags);
    let mut errors = Vec::new();
    let mut resources = Vec::new();
    for (key, declared) in &found {
        let Some(schema) = catalog::schema(&key.type_name) else {
            errors.push(inexpressible(
                &key.address,
                format!("{} has no schema", key.type_name),
            ));
            continue;
        };
        let within: Environments = declared.keys().copied().collect();
        let names: BTreeSet<&String> = declared
            .values()
            .flat_map(|resource| resource.properties.keys())
            .collect();
        let mut properties = BTreeMap::new();
        for name in names {
            let shape = Shape::of(schema, name);
            let values: BTreeMap<usize, Term> = declared
                .iter()
                .filter_map(|(index, resource)| {
                    Some((
                        *index,
                        read(
                            resource.properties.get(name)?,
                            &shape,
                            &family.facts[*index],
                        ),
                    ))
                })
                .collect();
            let place = Place {
                address: key.address.clone(),
                path: vec![name.clone()],
                shape,
            };
            let present: Environments = values.keys().copied().collect();
            let unified: Result<Item, String> = (|| {
                let test = (present != within)
                    .then(|| unifier.property_test(&place, &present, &within, &values));
                Ok(Item {
                    test,
                    term: unifier.unify(&place, &values)?,
                })
            })();
            match unified {
                Ok(item) => {
                    properties.insert(name.clone(), item);
                }
                Err(why) => errors.push(inexpressible(&key.address, why)),
            }
        }
        let secret = declared.values().any(|resource| has_secret(resource));
        let by = if secret {
            By::Stack
        } else if naming::is_in_awscc(&key.type_name) {
            By::Awscc
        } else if super::native::is_known(&key.type_name) {
            By::Native
        } else {
            By::Stack
        };
        let twin = key.kind == Kind::Retained
            && found.keys().any(|other| {
                other.address == key.address
                    && other.type_name == key.type_name
                    && other.kind == Kind::Managed
            });
        let label = naming::label(module, &key.address);
        resources.push(Resource {
            address: key.address.clone(),
            type_name: key.type_name.clone(),
            kind: key.kind,
            by,
            secret,
            label: if twin {
                format!("{label}_retained")
            } else {
                label
            },
            on: within,
            flag: existence.get(key).copied(),
            properties,
            depends_on: declared
                .values()
                .flat_map(|resource| resource.depends_on.iter().cloned())
                .collect(),
            identifiers: declared
                .iter()
                .filter_map(|(index, resource)| match &resource.lifecycle {
                    Lifecycle::Existing(identifier) => Some((*index, identifier.to_string())),
                    _ => None,
                })
                .collect(),
        });
    }
    check_labels(&resources, &mut errors);
    check_order(family, module, &resources, &mut errors);
    let (flags, uses) = (unifier.flags, unifier.uses);
    if errors.is_empty() {
        Ok(Plan {
            module,
            on,
            resources,
            flags,
            uses,
        })
    } else {
        Err(errors)
    }
}

/// An error of this format.
pub(super) fn inexpressible(address: &Address, why: impl Into<String>) -> Error {
    Error::Inexpressible {
        address: address.clone(),
        format: Format::Terraform,
        why: why.into(),
    }
}

fn has_secret(resource: &Declared) -> bool {
    let mut secret = false;
    for value in resource.properties.values() {
        value.walk(&mut |value| secret |= matches!(value, Value::Secret(_)));
    }
    secret
}

impl<'a> Unifier<'a> {
    /// The flag by which a property is set at all.
    fn property_test(
        &mut self,
        place: &Place<'static>,
        on: &Environments,
        within: &Environments,
        values: &BTreeMap<usize, Term>,
    ) -> Test {
        let hints = values
            .values()
            .flat_map(|term| {
                term.references()
                    .into_iter()
                    .map(|reference| reference.to.clone())
            })
            .collect();
        self.test(place, on, within, &hints)
    }
}

/// The flags by which resources exist that not all environments have. A component that comes and goes as a whole has one;
/// otherwise resources that need each other have one together.
fn existence(
    module: Module,
    found: &BTreeMap<Key, BTreeMap<usize, &Declared>>,
    on: &Environments,
    flags: &mut Vec<Flag>,
) -> BTreeMap<Key, usize> {
    let mut by_key = BTreeMap::new();
    let mut components: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for key in found.keys() {
        match key.kind {
            Kind::Existing => {}
            // Whether it is there already is another question in each account.
            Kind::Ensured => {
                flags.push(Flag {
                    on: found[key].keys().copied().collect(),
                    decides: Decides::Existence {
                        of: BTreeSet::from([key.address.clone()]),
                        name: naming::label(module, &key.address),
                    },
                });
                by_key.insert(key.clone(), flags.len() - 1);
            }
            Kind::Managed | Kind::Retained => {
                let component = key.address.as_str().split('/').next().unwrap_or_default();
                components.entry(component).or_default().push(key);
            }
        }
    }
    let presence = |key: &Key| -> Environments { found[key].keys().copied().collect() };
    for (component, keys) in components {
        let sets: BTreeSet<Environments> = keys.iter().map(|key| presence(key)).collect();
        let whole = sets.len() == 1;
        for set in sets.into_iter().filter(|set| set != on) {
            let mut left: Vec<&Key> = keys
                .iter()
                .copied()
                .filter(|key| presence(key) == set)
                .collect();
            while !left.is_empty() {
                let group = if whole {
                    std::mem::take(&mut left)
                } else {
                    connected(&mut left, found)
                };
                let name = if whole {
                    naming::identifier(component)
                } else {
                    naming::label(module, &last(&group, found).address)
                };
                flags.push(Flag {
                    on: set.clone(),
                    decides: Decides::Existence {
                        of: group.iter().map(|key| key.address.clone()).collect(),
                        name,
                    },
                });
                by_key.extend(group.into_iter().map(|key| (key.clone(), flags.len() - 1)));
            }
        }
    }
    by_key
}

/// Takes the first of `left` and all that are joined to it by needs.
fn connected<'k>(
    left: &mut Vec<&'k Key>,
    found: &BTreeMap<Key, BTreeMap<usize, &Declared>>,
) -> Vec<&'k Key> {
    let mut group = vec![left.remove(0)];
    let mut at = 0;
    while at < group.len() {
        let key = group[at];
        let (joined, rest) = left
            .iter()
            .partition(|other| is_needed(key, other, found) || is_needed(other, key, found));
        *left = rest;
        let joined: Vec<&Key> = joined;
        group.extend(joined);
        at += 1;
    }
    group
}

fn is_needed(by: &Key, key: &Key, found: &BTreeMap<Key, BTreeMap<usize, &Declared>>) -> bool {
    found[by]
        .values()
        .any(|resource| resource.needs().contains(&key.address))
}

/// What a group is called after: what nothing else of it needs, if there is one such thing, for that is what the group is
/// there for; otherwise what most of it needs.
fn last<'k>(group: &[&'k Key], found: &BTreeMap<Key, BTreeMap<usize, &Declared>>) -> &'k Key {
    let users = |key: &Key| -> usize {
        let mut reached = vec![key];
        let mut at = 0;
        while at < reached.len() {
            let of = reached[at];
            let more = group
                .iter()
                .filter(|other| !reached.contains(other) && is_needed(other, of, found));
            let more: Vec<&Key> = more.copied().collect();
            reached.extend(more);
            at += 1;
        }
        reached.len()
    };
    let mut ends = group.iter().filter(|key| users(key) == 1);
    if let (Some(only), None) = (ends.next(), ends.next()) {
        return only;
    }
    let most = group.iter().map(|key| users(key)).max();
    group
        .iter()
        .find(|key| Some(users(key)) == most)
        .unwrap_or(&group[0])
}

fn check_labels(resources: &[Resource], errors: &mut Vec<Error>) {
    let mut taken: BTreeMap<(&TypeName, bool, &str), &Address> = BTreeMap::new();
    for resource in resources {
        let existing = resource.kind == Kind::Existing;
        let label = (&resource.type_name, existing, resource.label.as_str());
        if let Some(first) = taken.insert(label, &resource.address) {
            errors.push(Error::Name {
                first: first.clone(),
                second: resource.address.clone(),
                name: resource.label.clone(),
            });
        }
    }
}

/// What one environment needs must not be what needs it in another: to Terraform a module has one order.
fn check_order(
    family: &Family<'_>,
    module: Module,
    resources: &[Resource],
    errors: &mut Vec<Error>,
) {
    let mut all: BTreeMap<Address, BTreeSet<Address>> = resources
        .iter()
        .map(|resource| (resource.address.clone(), BTreeSet::new()))
        .collect();
    for (scope, modules) in family.scopes.iter().zip(&family.modules) {
        for resource in scope.graph.resources() {
            if modules.get(&resource.address) == Some(&module) {
                let inside = scope
                    .graph
                    .needs(&resource.address)
                    .filter(|to| modules.get(*to) == Some(&module))
                    .cloned();
                all.entry(resource.address.clone())
                    .or_default()
                    .extend(inside);
            }
        }
    }
    if let Err(path) = graph::order::topological(&all) {
        let path: Vec<&str> = path.iter().map(Address::as_str).collect();
        if let Some(resource) = resources
            .iter()
            .find(|resource| path.contains(&resource.address.as_str()))
        {
            errors.push(inexpressible(
                &resource.address,
                format!(
                    "the environments together need each other in a circle: {}",
                    path.join(" → ")
                ),
            ));
        }
    }
}
