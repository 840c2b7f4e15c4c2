//! One text for all environments: what they have in common stays, what differs becomes a variable, a flag, or a choice
//! between the two by a flag.
//!
//! The values of one property in several environments are laid over each other. Objects are joined key by key, lists
//! item by item, texts are first tried without what only the scope gives them. What still differs is a variable when
//! its values can be given from outside, and a choice when they refer to resources of the same module.

use std::collections::{BTreeMap, BTreeSet};

use catalog::ids::Address;

use super::schema::Shape;
use super::term::{Facts, Item, Part, Tags, Term, Test, Text, join, literal};

/// Environments, by their positions.
pub(super) type Environments = BTreeSet<usize>;

/// A variable that is true in some environments.
#[derive(Debug, Clone)]
pub(super) struct Flag {
    /// Where it is true.
    pub(super) on: Environments,
    /// What it decides.
    pub(super) decides: Decides,
}

/// What a flag decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decides {
    /// Whether these resources exist.
    Existence {
        /// The resources.
        of: BTreeSet<Address>,
        /// Its name without `create_`.
        name: String,
    },
    /// Which of two values a property has.
    Property {
        /// The resource.
        of: Address,
        /// The property's path.
        path: Vec<String>,
    },
}

/// A variable whose values are properties'.
#[derive(Debug, Clone)]
pub(super) struct Use<'a> {
    /// The values, by environment: nothing in them refers to a resource of the module.
    pub(super) values: BTreeMap<usize, Term>,
    /// The resources and properties that it stands for.
    pub(super) places: Vec<(Address, Vec<String>)>,
    /// Where the first of them is in its schema.
    pub(super) shape: Shape<'a>,
    /// Whether it is a list of other modules' outputs.
    pub(super) outputs: bool,
}

/// Where values come from.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) address: Address,
    pub(super) path: Vec<String>,
    pub(super) shape: Shape<'a>,
}

impl Place<'_> {
    fn below(&self, segment: &str, item: bool) -> Self {
        let mut path = self.path.clone();
        path.push(segment.to_owned());
        let shape = if item {
            self.shape.item()
        } else {
            self.shape.property(segment)
        };
        Self {
            address: self.address.clone(),
            path,
            shape,
        }
    }
}

/// Lays values of several environments over each other.
pub(super) struct Unifier<'a> {
    /// What each environment gives to its texts.
    pub(super) facts: &'a [Facts],
    /// The addresses of the module's resources.
    pub(super) local: BTreeSet<Address>,
    /// The flags so far.
    pub(super) flags: Vec<Flag>,
    /// The variables so far.
    pub(super) uses: Vec<Use<'static>>,
}

type Values = BTreeMap<usize, Term>;

impl<'a> Unifier<'a> {
    /// One value for all the environments that have one.
    ///
    /// # Errors
    ///
    /// Values of different kinds that no expression can have both of.
    pub(super) fn unify(
        &mut self,
        place: &Place<'static>,
        values: &Values,
    ) -> Result<Term, String> {
        if values.values().all(|term| self.is_outputs(term)) {
            return Ok(self.variable(place, values.clone(), true));
        }
        if let Some(objects) = all(values, |term| match term {
            Term::Object(entries) => Some(entries),
            _ => None,
        }) {
            return self.objects(place, &objects);
        }
        if let Some(inner) = all(values, |term| match term {
            Term::Json(inner) => Some(inner.as_ref().clone()),
            _ => None,
        }) {
            let inside = Place {
                shape: Shape::Free,
                ..place.clone()
            };
            return Ok(Term::Json(Box::new(self.unify(&inside, &inner)?)));
        }
        if let Some(tags) = all(values, |term| match term {
            Term::Tags(tags) => Some(tags.clone()),
            _ => None,
        }) {
            return self.tags(place, &tags);
        }
        if let Some(lists) = all(values, |term| match term {
            Term::List(items) => Some(
                items
                    .iter()
                    .map(|item| item.term.clone())
                    .collect::<Vec<_>>(),
            ),
            _ => None,
        }) {
            return self.lists(place, values, &lists);
        }
        // In a policy one value and a list of one are the same to IAM.
        let in_policy = place.path.iter().any(|segment| segment == "Statement");
        if in_policy && values.values().any(|term| matches!(term, Term::List(_))) {
            let values = values
                .iter()
                .map(|(index, term)| match term {
                    Term::Text(_) => (*index, Term::List(vec![term.clone().into()])),
                    other => (*index, other.clone()),
                })
                .collect();
            return if all(&values, |term| matches!(term, Term::List(_)).then_some(())).is_some() {
                self.unify(place, &values)
            } else {
                self.choice(place, &values)
            };
        }
        self.leaves(place, values)
    }

    /// Numbers, truths and texts.
    fn leaves(&mut self, place: &Place<'static>, values: &Values) -> Result<Term, String> {
        if let Some(same) = self.same(values) {
            return Ok(same);
        }
        let kinds: BTreeSet<_> = values.values().map(kind).collect();
        if kinds.len() == 1 && values.values().all(|term| self.is_given(term)) {
            return Ok(self.variable(place, values.clone(), false));
        }
        if let Some(texts) = all(values, |term| match term {
            Term::Text(text) => Some(text.clone()),
            _ => None,
        }) && let Some(text) = self.literals(place, &texts)
        {
            return Ok(Term::Text(text));
        }
        self.choice(place, values)
    }

    /// The value that all have, if need be without what only the scope gives.
    fn same(&self, values: &Values) -> Option<Term> {
        let mut each = values.values();
        let first = each.next()?;
        if each.all(|term| term == first) {
            return Some(first.clone());
        }
        let texts = all(values, |term| match term {
            Term::Text(text) => Some(text.clone()),
            _ => None,
        })?;
        for (environment, partition) in [(true, false), (false, true), (true, true)] {
            let cut: BTreeSet<Text> = texts
                .iter()
                .map(|(index, text)| self.facts[*index].cut_more(text, environment, partition))
                .collect();
            if cut.len() == 1 {
                return cut.into_iter().next().map(Term::Text);
            }
        }
        None
    }

    /// Texts that differ in their literals only: a variable for each that does.
    fn literals(&mut self, place: &Place<'static>, texts: &BTreeMap<usize, Text>) -> Option<Text> {
        let first = texts.values().next()?;
        let alike = texts.values().all(|text| {
            text.len() == first.len()
                && text.iter().zip(first).all(|(one, other)| {
                    one == other || matches!((one, other), (Part::Literal(_), Part::Literal(_)))
                })
        });
        if !alike {
            return None;
        }
        Some(
            (0..first.len())
                .map(|at| {
                    let values: Values = texts
                        .iter()
                        .map(|(index, text)| (*index, Term::Text(vec![text[at].clone()])))
                        .collect();
                    if values
                        .values()
                        .all(|value| *value == Term::Text(vec![first[at].clone()]))
                    {
                        return first[at].clone();
                    }
                    match self.variable(place, values, false) {
                        Term::Variable(variable) => Part::Variable(variable),
                        _ => first[at].clone(),
                    }
                })
                .collect(),
        )
    }

    fn objects(
        &mut self,
        place: &Place<'static>,
        objects: &BTreeMap<usize, &BTreeMap<Text, Item>>,
    ) -> Result<Term, String> {
        let keys: BTreeSet<&Text> = objects
            .values()
            .flat_map(|entries| entries.keys())
            .collect();
        let mut out = BTreeMap::new();
        let within: Environments = objects.keys().copied().collect();
        for key in keys {
            let values: Values = objects
                .iter()
                .filter_map(|(index, entries)| Some((*index, entries.get(key)?.term.clone())))
                .collect();
            let below = place.below(&plain(key), false);
            out.insert(key.clone(), self.item(&below, &values, &within)?);
        }
        Ok(Term::Object(out))
    }

    fn tags(
        &mut self,
        place: &Place<'static>,
        all: &BTreeMap<usize, Tags>,
    ) -> Result<Term, String> {
        let keys: BTreeSet<&String> = all.values().flat_map(|tags| tags.tags.keys()).collect();
        let within: Environments = all.keys().copied().collect();
        let mut out = BTreeMap::new();
        for key in keys {
            let values: Values = all
                .iter()
                .filter_map(|(index, tags)| Some((*index, tags.tags.get(key)?.term.clone())))
                .collect();
            let below = Place {
                shape: Shape::Free,
                ..place.below(key, false)
            };
            out.insert(key.clone(), self.item(&below, &values, &within)?);
        }
        let list = all.values().next().is_some_and(|tags| tags.list);
        Ok(Term::Tags(Tags { list, tags: out }))
    }

    /// A value that only some of the environments may have.
    fn item(
        &mut self,
        place: &Place<'static>,
        values: &Values,
        within: &Environments,
    ) -> Result<Item, String> {
        let on: Environments = values.keys().copied().collect();
        let test = (on != *within).then(|| {
            let hints = values
                .values()
                .flat_map(|term| {
                    term.references()
                        .into_iter()
                        .map(|reference| reference.to.clone())
                })
                .collect();
            self.test(place, &on, within, &hints)
        });
        Ok(Item {
            test,
            term: self.unify(place, values)?,
        })
    }

    fn lists(
        &mut self,
        place: &Place<'static>,
        values: &Values,
        lists: &BTreeMap<usize, Vec<Term>>,
    ) -> Result<Term, String> {
        let within: Environments = lists.keys().copied().collect();
        let mut rows = align(lists);
        let together = rows.iter().all(|row| row.len() == within.len());
        let scalars = lists
            .values()
            .flatten()
            .all(|term| kind(term) != Kind::Structure);
        if scalars && !(together && rows.iter().all(|row| self.same(row).is_some())) {
            // A list of plain values is one variable, unless only what the scope gives differs.
            let length = lists.values().next().map_or(0, Vec::len);
            let by_position: Vec<Values> = (0..length)
                .map(|at| {
                    lists
                        .iter()
                        .filter_map(|(index, list)| Some((*index, list.get(at)?.clone())))
                        .collect()
                })
                .collect();
            let same_length = lists.values().all(|list| list.len() == length);
            if same_length && by_position.iter().all(|row| self.same(row).is_some()) {
                rows = by_position;
            } else if values.values().all(|term| self.is_given(term)) {
                return Ok(self.variable(place, values.clone(), false));
            } else if let Some(each) = self.each(place, lists) {
                return Ok(each);
            }
        }
        let mut items = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let name = row
                .values()
                .find_map(identity)
                .unwrap_or_else(|| at.to_string());
            items.push(self.item(&place.below(&name, true), row, &within)?);
        }
        Ok(Term::List(items))
    }

    /// Lists of texts that are alike but for one word: a variable of the words, and the text for each of them.
    fn each(&mut self, place: &Place<'static>, lists: &BTreeMap<usize, Vec<Term>>) -> Option<Term> {
        let texts: Vec<&Text> = lists
            .values()
            .flatten()
            .map(|term| match term {
                Term::Text(text) => Some(text),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let first = *texts.first()?;
        let differs = |at: usize| texts.iter().any(|text| text.get(at) != first.get(at));
        let mut differing = (0..first.len()).filter(|at| differs(*at));
        let (at, None) = (differing.next()?, differing.next()) else {
            return None;
        };
        let words: Vec<&str> = texts
            .iter()
            .filter(|text| text.len() == first.len())
            .map(|text| match &text[at] {
                Part::Literal(word) => Some(word.as_str()),
                _ => None,
            })
            .collect::<Option<_>>()?;
        if words.len() != texts.len() {
            return None;
        }
        let (before, after) = around(&words);
        let cut = |word: &str| word[before..word.len() - after].to_owned();
        let values = lists
            .iter()
            .map(|(index, list)| {
                let words = list.iter().filter_map(|term| match term {
                    Term::Text(text) => match &text[at] {
                        Part::Literal(word) => Some(Term::Text(literal(cut(word))).into()),
                        _ => None,
                    },
                    _ => None,
                });
                (*index, Term::List(words.collect()))
            })
            .collect();
        let below = Place {
            shape: Shape::Free,
            ..place.clone()
        };
        let Term::Variable(variable) = self.variable(&below, values, false) else {
            return None;
        };
        let (word, mut text) = (words[0], first.clone());
        let each = [
            Part::Literal(word[..before].to_owned()),
            Part::Item,
            Part::Literal(word[word.len() - after..].to_owned()),
        ];
        text.splice(at..=at, each);
        Some(Term::Each(variable, join(text)))
    }

    /// One of several values, by flags.
    fn choice(&mut self, place: &Place<'static>, values: &Values) -> Result<Term, String> {
        if values.values().any(|term| kind(term) == Kind::Structure) {
            return Err(format!(
                "`{}` is a list in one environment and not in another",
                place.path.join(".")
            ));
        }
        let Some(term) = values.values().next() else {
            return Err("a property without a value".to_owned());
        };
        let (these, others): (Values, Values) = values
            .iter()
            .map(|(index, value)| (*index, value.clone()))
            .partition(|(_, value)| value == term);
        if others.is_empty() {
            return Ok(term.clone());
        }
        let hints = these
            .values()
            .chain(others.values())
            .flat_map(|term| {
                term.references()
                    .into_iter()
                    .map(|reference| reference.to.clone())
            })
            .collect();
        let on = these.keys().copied().collect();
        let test = self.test(place, &on, &values.keys().copied().collect(), &hints);
        let otherwise = self.choice(place, &others)?;
        Ok(Term::If(test, Box::new(term.clone()), Box::new(otherwise)))
    }

    /// A flag that is true in `on` and false in the rest of `within`, or the contrary: that by which one of the resources
    /// in question exists, one that decides the same about the same resource already, or a new one.
    pub(super) fn test(
        &mut self,
        place: &Place<'static>,
        on: &Environments,
        within: &Environments,
        hints: &BTreeSet<Address>,
    ) -> Test {
        let fits = |flag: &Flag| -> Option<bool> {
            let seen: Environments = flag.on.intersection(within).copied().collect();
            if seen == *on {
                Some(false)
            } else if seen.len() + on.len() == within.len() && seen.is_disjoint(on) {
                Some(true)
            } else {
                None
            }
        };
        for (index, flag) in self.flags.iter().enumerate() {
            let related = match &flag.decides {
                Decides::Existence { of, .. } => !of.is_disjoint(hints),
                Decides::Property { of, .. } => *of == place.address,
            };
            if related && let Some(not) = fits(flag) {
                return Test { flag: index, not };
            }
        }
        self.flags.push(Flag {
            on: on.clone(),
            decides: Decides::Property {
                of: place.address.clone(),
                path: place.path.clone(),
            },
        });
        Test {
            flag: self.flags.len() - 1,
            not: false,
        }
    }

    /// A variable of these values: one that has them already for the same property, or a new one.
    fn variable(&mut self, place: &Place<'static>, values: Values, outputs: bool) -> Term {
        let values: Values = values
            .into_iter()
            .map(|(index, term)| (index, self.filled(index, &term)))
            .collect();
        let same = |use_: &Use<'_>| {
            use_.values == values
                && use_.outputs == outputs
                && (outputs || use_.places[0].1.last() == place.path.last())
        };
        let index = match self.uses.iter().position(same) {
            Some(index) => index,
            None => {
                self.uses.push(Use {
                    values,
                    places: Vec::new(),
                    shape: place.shape.clone(),
                    outputs,
                });
                self.uses.len() - 1
            }
        };
        self.uses[index]
            .places
            .push((place.address.clone(), place.path.clone()));
        Term::Variable(index)
    }

    /// A value as it is given from outside: with what the scope gives put back.
    fn filled(&self, index: usize, term: &Term) -> Term {
        match term {
            Term::Text(text) => Term::Text(self.facts[index].fill(text)),
            Term::List(items) => Term::List(
                items
                    .iter()
                    .map(|item| self.filled(index, &item.term).into())
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    /// Whether a value can be given from outside: it knows nothing of the account or of the module's own resources.
    fn is_given(&self, term: &Term) -> bool {
        let mut given = true;
        term.parts(&mut |part| {
            given &= match part {
                Part::Attribute(reference) => !self.local.contains(&reference.to),
                Part::Account | Part::Deployer | Part::Split { .. } | Part::Variable(_) => false,
                _ => true,
            }
        });
        given
    }

    /// Whether it is a list of other modules' outputs.
    fn is_outputs(&self, term: &Term) -> bool {
        matches!(term, Term::List(items) if !items.is_empty() && items.iter().all(|item| {
            matches!(&item.term, Term::Text(text) if matches!(text.as_slice(),
                [Part::Attribute(reference)] if !self.local.contains(&reference.to)))
        }))
    }
}

/// All values as one kind, if they all are.
fn all<'t, T>(
    values: &'t Values,
    pick: impl Fn(&'t Term) -> Option<T>,
) -> Option<BTreeMap<usize, T>> {
    values
        .iter()
        .map(|(index, term)| Some((*index, pick(term)?)))
        .collect()
}

/// How much texts have in common before and after what differs, up to whole words.
fn around(words: &[&str]) -> (usize, usize) {
    let first = words[0];
    let shortest = words
        .iter()
        .map(|word| word.len())
        .min()
        .unwrap_or_default();
    let is_end = |at: usize| {
        first.is_char_boundary(at)
            && first[..at]
                .chars()
                .next_back()
                .is_some_and(|last| !last.is_alphanumeric())
    };
    let before = (0..=shortest)
        .rev()
        .find(|at| is_end(*at) && words.iter().all(|word| word.starts_with(&first[..*at])))
        .unwrap_or_default();
    let is_start = |after: usize| {
        first.is_char_boundary(first.len() - after)
            && first[first.len() - after..]
                .chars()
                .next()
                .is_some_and(|next| !next.is_alphanumeric())
    };
    let after = (0..=shortest - before)
        .rev()
        .find(|after| {
            is_start(*after)
                && words
                    .iter()
                    .all(|word| word.ends_with(&first[first.len() - *after..]))
        })
        .unwrap_or_default();
    (before, after)
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Bool,
    Number,
    Text,
    Structure,
}

fn kind(term: &Term) -> Kind {
    match term {
        Term::Bool(_) => Kind::Bool,
        Term::Number(_) => Kind::Number,
        // JSON is a text to the provider.
        Term::Text(_) | Term::Json(_) => Kind::Text,
        _ => Kind::Structure,
    }
}

/// A key as it is written in a path.
fn plain(text: &Text) -> String {
    join(text.iter().cloned())
        .iter()
        .filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

/// By what an item of a list is known.
const IDENTITIES: [&str; 9] = [
    "Sid",
    "Key",
    "key",
    "Id",
    "Name",
    "RuleName",
    "PolicyName",
    "ResourceType",
    "DeviceName",
];

fn identity(term: &Term) -> Option<String> {
    let Term::Object(entries) = term else {
        return None;
    };
    IDENTITIES.iter().find_map(|name| {
        let key = vec![Part::Literal((*name).to_owned())];
        match &entries.get(&key)?.term {
            Term::Text(text) => match text.as_slice() {
                [Part::Literal(text)] => Some(text.clone()),
                _ => None,
            },
            _ => None,
        }
    })
}

/// Whether two items of lists are the same thing, though perhaps not equal.
fn alike(one: &Term, other: &Term) -> bool {
    one == other
        || matches!((one, other), (Term::Object(_), Term::Object(_)))
            && identity(one) == identity(other)
}

/// Lists as rows: each row has one item of some or all of them, and each list is its items in the order of the rows.
fn align(lists: &BTreeMap<usize, Vec<Term>>) -> Vec<Values> {
    let mut rows: Vec<Values> = Vec::new();
    for (index, list) in lists {
        let same = |row: &Values, item: &Term| row.values().any(|term| alike(term, item));
        // The longest common subsequence's length, from each pair of positions on.
        let mut longest = vec![vec![0_usize; list.len() + 1]; rows.len() + 1];
        for at in (0..rows.len()).rev() {
            for of in (0..list.len()).rev() {
                longest[at][of] = if same(&rows[at], &list[of]) {
                    longest[at + 1][of + 1] + 1
                } else {
                    longest[at + 1][of].max(longest[at][of + 1])
                };
            }
        }
        let mut merged = Vec::new();
        let (mut at, mut of) = (0, 0);
        while at < rows.len() || of < list.len() {
            if at < rows.len() && of < list.len() && same(&rows[at], &list[of]) {
                let mut row = std::mem::take(&mut rows[at]);
                row.insert(*index, list[of].clone());
                merged.push(row);
                at += 1;
                of += 1;
            } else if of == list.len()
                || at < rows.len() && longest[at + 1][of] >= longest[at][of + 1]
            {
                merged.push(std::mem::take(&mut rows[at]));
                at += 1;
            } else {
                merged.push(BTreeMap::from([(*index, list[of].clone())]));
                of += 1;
            }
        }
        rows = merged;
    }
    rows
}
