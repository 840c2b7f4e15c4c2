//! Karpenter's requirements: sets of values a label may have, open or closed, with bounds.
//!
//! The algebra is that of `pkg/scheduling/requirement.go` and `requirements.go` at 2266468, value for value; only the
//! representation is ours (sorted numbers instead of hash sets of texts).

use std::fmt;

use crate::names::{Key, Labels, Names, Value};

pub use objects::karpenter::Operator;

/// What a label's value may be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label.
    pub key: Key,
    /// Whether everything but `values` is meant.
    pub complement: bool,
    /// The values, sorted.
    pub values: Vec<Value>,
    /// The least whole number.
    pub gte: Option<i64>,
    /// The greatest whole number.
    pub lte: Option<i64>,
    /// The fewest distinct values that must stay possible among instance types.
    pub min_values: Option<u32>,
}

/// Which labels a side may leave undefined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undefined {
    /// None: a label that is asked for must be there.
    Denied,
    /// The well-known ones, which an instance type may still bring (`AllowUndefinedWellKnownLabels`).
    WellKnown,
}

/// Why two sets of requirements don't go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conflict {
    /// The label is asked for and nothing says what its values are.
    Unknown(Key),
    /// The values don't overlap.
    Disjoint(Key),
}

impl Requirement {
    /// A requirement as it is written. `Gt` and `Lt` become `Gte` and `Lte` (`requirement.go:46`).
    #[must_use]
    pub fn new(
        names: &Names,
        key: Key,
        operator: Operator,
        values: &[Value],
        min_values: Option<u32>,
    ) -> Self {
        let mut requirement = Self {
            key,
            complement: !matches!(operator, Operator::In | Operator::DoesNotExist),
            values: Vec::new(),
            gte: None,
            lte: None,
            min_values,
        };
        // Go's Atoi gives 0 with an error for what is no number; the API server refuses such pools beforehand.
        let number = || {
            values
                .first()
                .and_then(|value| names.number(*value))
                .unwrap_or(0)
        };
        match operator {
            Operator::In | Operator::NotIn => {
                requirement.values = values.to_vec();
                requirement.values.sort_unstable();
                requirement.values.dedup();
            }
            Operator::Exists | Operator::DoesNotExist => {}
            Operator::Gt => match number().checked_add(1) {
                Some(bound) => requirement.gte = Some(bound),
                None => {
                    requirement.complement = false;
                    requirement.min_values = None;
                }
            },
            Operator::Lt => requirement.lte = Some(number().saturating_sub(1)),
            Operator::Gte => requirement.gte = Some(number()),
            Operator::Lte => requirement.lte = Some(number()),
        }
        requirement
    }

    /// `key In [value]`.
    #[must_use]
    pub fn is(key: Key, value: Value) -> Self {
        Self::one_of(key, vec![value])
    }

    /// `key In values`.
    #[must_use]
    pub fn one_of(key: Key, mut values: Vec<Value>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self {
            key,
            complement: false,
            values,
            gte: None,
            lte: None,
            min_values: None,
        }
    }

    /// `key Exists`.
    #[must_use]
    pub fn exists(key: Key) -> Self {
        Self {
            complement: true,
            ..Self::one_of(key, Vec::new())
        }
    }

    /// What it amounts to: `In`, `NotIn`, `Exists` or `DoesNotExist` (`requirement.go:291`).
    #[must_use]
    pub fn operator(&self) -> Operator {
        match (self.complement, self.values.is_empty()) {
            (true, false) => Operator::NotIn,
            (true, true) => Operator::Exists,
            (false, false) => Operator::In,
            (false, true) => Operator::DoesNotExist,
        }
    }

    /// Whether a node without the label satisfies it.
    #[must_use]
    pub fn allows_absence(&self) -> bool {
        matches!(self.operator(), Operator::NotIn | Operator::DoesNotExist)
    }

    /// The only value, if there is but one.
    #[must_use]
    pub fn single(&self) -> Option<Value> {
        match (self.complement, &self.values[..]) {
            (false, [value]) => Some(*value),
            _ => None,
        }
    }

    /// Whether it allows a value (`requirement.go:271`).
    #[must_use]
    pub fn has(&self, names: &Names, value: Value) -> bool {
        self.values.binary_search(&value).is_ok() != self.complement
            && within(names, value, self.gte, self.lte)
    }

    /// What both allow (`requirement.go:155`).
    #[must_use]
    pub fn intersection(&self, other: &Self, names: &Names) -> Self {
        let gte = self.gte.max(other.gte);
        let lte = least(self.lte, other.lte);
        let min_values = self.min_values.max(other.min_values);
        let mut result = Self {
            key: self.key,
            complement: false,
            values: Vec::new(),
            gte: None,
            lte: None,
            min_values,
        };
        if crossed(gte, lte) {
            return result;
        }
        let kept = |from: &Self, keep: &dyn Fn(Value) -> bool| {
            from.values
                .iter()
                .copied()
                .filter(|value| keep(*value) && within(names, *value, gte, lte))
                .collect()
        };
        let in_values = |of: &Self, value: Value| of.values.binary_search(&value).is_ok();
        match (self.complement, other.complement) {
            (true, true) => {
                result.complement = true;
                result.values = kept(self, &|_| true);
                result.values.extend(
                    other.values.iter().filter(|value| {
                        !in_values(self, **value) && within(names, **value, gte, lte)
                    }),
                );
                result.values.sort_unstable();
                result.gte = gte;
                result.lte = lte;
            }
            (true, false) => result.values = kept(other, &|value| !in_values(self, value)),
            (false, true) => result.values = kept(self, &|value| !in_values(other, value)),
            (false, false) => result.values = kept(self, &|value| in_values(other, value)),
        }
        result
    }

    /// Whether both allow something (`requirement.go:199`).
    #[must_use]
    pub fn overlaps(&self, other: &Self, names: &Names) -> bool {
        let gte = self.gte.max(other.gte);
        let lte = least(self.lte, other.lte);
        if crossed(gte, lte) {
            return false;
        }
        let (values, against) = match (self.complement, other.complement) {
            (true, true) => return true,
            (true, false) => (other, self),
            (false, true) => (self, other),
            (false, false) if self.values.len() <= other.values.len() => (self, other),
            (false, false) => (other, self),
        };
        values.values.iter().any(|value| {
            (against.values.binary_search(value).is_ok() != against.complement)
                && within(names, *value, gte, lte)
        })
    }

    /// The requirement in Karpenter's own words (`requirement.go:309`).
    #[must_use]
    pub fn display<'a>(&'a self, names: &'a Names) -> impl fmt::Display + 'a {
        Shown(self, names)
    }
}

fn least(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn crossed(gte: Option<i64>, lte: Option<i64>) -> bool {
    matches!((gte, lte), (Some(gte), Some(lte)) if gte > lte)
}

/// Values that are no whole numbers are outside of any bounds (`requirement.go:334`).
fn within(names: &Names, value: Value, gte: Option<i64>, lte: Option<i64>) -> bool {
    if gte.is_none() && lte.is_none() {
        return true;
    }
    names.number(value).is_some_and(|number| {
        gte.is_none_or(|gte| number >= gte) && lte.is_none_or(|lte| number <= lte)
    })
}

struct Shown<'a>(&'a Requirement, &'a Names);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(requirement, names) = self;
        write!(
            f,
            "{} {:?}",
            names.key_text(requirement.key),
            requirement.operator()
        )?;
        if !requirement.values.is_empty() {
            let mut texts: Vec<_> = requirement
                .values
                .iter()
                .map(|value| names.value_text(*value))
                .collect();
            texts.sort_unstable();
            let more = texts.len().saturating_sub(5);
            texts.truncate(5);
            write!(f, " [{}", texts.join(" "))?;
            if more > 0 {
                write!(f, " and {more} others")?;
            }
            f.write_str("]")?;
        }
        if let Some(bound) = requirement.gte {
            write!(f, " >={bound}")?;
        }
        if let Some(bound) = requirement.lte {
            write!(f, " <={bound}")?;
        }
        if let Some(least) = requirement.min_values {
            write!(f, " minValues {least}")?;
        }
        Ok(())
    }
}

/// Requirements of several labels, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Requirements(Vec<Requirement>);

impl Requirements {
    /// What all of them allow together.
    pub fn new(names: &Names, requirements: impl IntoIterator<Item = Requirement>) -> Self {
        let mut all = Self::default();
        for requirement in requirements {
            all.add(names, requirement);
        }
        all
    }

    /// Each label must have its value.
    #[must_use]
    pub fn of_labels(labels: &Labels) -> Self {
        Self(
            labels
                .iter()
                .map(|(key, value)| Requirement::is(key, value))
                .collect(),
        )
    }

    /// Whether nothing is required.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The requirement of a label.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&Requirement> {
        self.0
            .binary_search_by_key(&key, |requirement| requirement.key)
            .ok()
            .map(|index| &self.0[index])
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = &Requirement> {
        self.0.iter()
    }

    /// Narrows by one more (`requirements.go:130` `Add`).
    pub fn add(&mut self, names: &Names, requirement: Requirement) {
        match self
            .0
            .binary_search_by_key(&requirement.key, |other| other.key)
        {
            Ok(index) => self.0[index] = requirement.intersection(&self.0[index], names),
            Err(index) => self.0.insert(index, requirement),
        }
    }

    /// Narrows by several more.
    pub fn add_all(&mut self, names: &Names, others: &Self) {
        for requirement in &others.0 {
            self.add(names, requirement.clone());
        }
    }

    /// Replaces what is required of a label.
    pub fn set(&mut self, requirement: Requirement) {
        match self
            .0
            .binary_search_by_key(&requirement.key, |other| other.key)
        {
            Ok(index) => self.0[index] = requirement,
            Err(index) => self.0.insert(index, requirement),
        }
    }

    /// Forgets a label.
    pub fn remove(&mut self, key: Key) {
        self.0.retain(|requirement| requirement.key != key);
    }

    /// Whether any label must stay flexible.
    #[must_use]
    pub fn has_min_values(&self) -> bool {
        self.0
            .iter()
            .any(|requirement| requirement.min_values.is_some())
    }

    /// Whether a node of these requirements can be one of those (`requirements.go:171` `Compatible`).
    ///
    /// # Errors
    ///
    /// The first label that stands in the way.
    pub fn compatible(
        &self,
        others: &Self,
        names: &Names,
        undefined: Undefined,
    ) -> Result<(), Conflict> {
        for other in &others.0 {
            if undefined == Undefined::WellKnown && names.is_well_known(other.key) {
                continue;
            }
            if self.get(other.key).is_none() && !other.allows_absence() {
                return Err(Conflict::Unknown(other.key));
            }
        }
        self.intersects(others, names)
    }

    /// Whether the labels that both name overlap (`requirements.go:246` `Intersects`).
    ///
    /// # Errors
    ///
    /// The first label that doesn't.
    pub fn intersects(&self, others: &Self, names: &Names) -> Result<(), Conflict> {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), others.0.iter().peekable());
        while let (Some(existing), Some(incoming)) = (ours.peek(), theirs.peek()) {
            match existing.key.cmp(&incoming.key) {
                std::cmp::Ordering::Less => {
                    ours.next();
                }
                std::cmp::Ordering::Greater => {
                    theirs.next();
                }
                std::cmp::Ordering::Equal => {
                    let both_absent = incoming.allows_absence() && existing.allows_absence();
                    if !both_absent && !existing.overlaps(incoming, names) {
                        return Err(Conflict::Disjoint(existing.key));
                    }
                    ours.next();
                    theirs.next();
                }
            }
        }
        Ok(())
    }

    /// The requirements in Karpenter's own words: sorted, without the host name (`requirements.go:282`).
    #[must_use]
    pub fn display(&self, names: &Names) -> String {
        let mut texts: Vec<String> = self
            .0
            .iter()
            .filter(|requirement| requirement.key != Key::HOSTNAME)
            .map(|requirement| requirement.display(names).to_string())
            .collect();
        texts.sort_unstable();
        texts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table {
        names: Names,
        key: Key,
    }

    impl Table {
        fn new() -> Self {
            let mut names = Names::default();
            let key = names.key("team");
            Self { names, key }
        }

        fn make(&mut self, operator: Operator, values: &[&str]) -> Requirement {
            let values: Vec<Value> = values.iter().map(|text| self.names.value(text)).collect();
            Requirement::new(&self.names, self.key, operator, &values, None)
        }
    }

    const ALL: [(Operator, &[&str]); 10] = [
        (Operator::In, &["1", "2"]),
        (Operator::In, &["2", "9", "a"]),
        (Operator::NotIn, &["2"]),
        (Operator::NotIn, &["a", "9"]),
        (Operator::Exists, &[]),
        (Operator::DoesNotExist, &[]),
        (Operator::Gt, &["1"]),
        (Operator::Lt, &["9"]),
        (Operator::Gte, &["9"]),
        (Operator::Lte, &["1"]),
    ];

    /// `requirement.go:155`: an intersection has what both have, and `HasIntersection` agrees with it.
    #[test]
    fn an_intersection_has_what_both_have() {
        let mut table = Table::new();
        for (first, values) in ALL {
            for (second, others) in ALL {
                let a = table.make(first, values);
                let b = table.make(second, others);
                let both = a.intersection(&b, &table.names);
                assert_eq!(both, b.intersection(&a, &table.names));
                for text in ["0", "1", "2", "5", "9", "10", "a", "b"] {
                    let value = table.names.value(text);
                    assert_eq!(
                        both.has(&table.names, value),
                        a.has(&table.names, value) && b.has(&table.names, value),
                        "{first:?} {values:?} and {second:?} {others:?} of {text}"
                    );
                }
                let empty = both.operator() == Operator::DoesNotExist;
                assert_eq!(a.overlaps(&b, &table.names), !empty, "{a:?} {b:?}");
            }
        }
    }

    /// `requirement.go:46`: `Gt` and `Lt` are kept as `Gte` and `Lte`; crossed bounds allow nothing (`:162`).
    #[test]
    fn bounds_that_cross_allow_nothing() {
        let mut table = Table::new();
        let above = table.make(Operator::Gt, &["5"]);
        let below = table.make(Operator::Lt, &["6"]);
        assert_eq!((above.gte, below.lte), (Some(6), Some(5)));
        let none = above.intersection(&below, &table.names);
        assert_eq!(none.operator(), Operator::DoesNotExist);
    }

    /// `requirement.go:161`: minValues is the greater of the two.
    #[test]
    fn min_values_is_the_greater() {
        let mut table = Table::new();
        let mut a = table.make(Operator::Exists, &[]);
        a.min_values = Some(3);
        let mut b = table.make(Operator::In, &["1"]);
        b.min_values = Some(5);
        assert_eq!(a.intersection(&b, &table.names).min_values, Some(5));
    }

    /// `requirements.go:171`: custom labels must be defined unless their absence is allowed; well-known ones need not.
    #[test]
    fn undefined_labels_follow_their_operator() {
        let mut table = Table::new();
        let nothing = Requirements::default();
        for (operator, values, fits) in [
            (Operator::In, &["1"][..], false),
            (Operator::Exists, &[], false),
            (Operator::NotIn, &["1"], true),
            (Operator::DoesNotExist, &[], true),
            (Operator::Gt, &["1"], false),
        ] {
            let asked = table.make(operator, values);
            let asked = Requirements::new(&table.names, [asked]);
            let answer = nothing.compatible(&asked, &table.names, Undefined::WellKnown);
            assert_eq!(answer.is_ok(), fits, "{operator:?}");
        }
        let zone = table.names.value("zone-a");
        let asked = Requirements::new(&table.names, [Requirement::is(Key::ZONE, zone)]);
        assert!(
            nothing
                .compatible(&asked, &table.names, Undefined::WellKnown)
                .is_ok()
        );
        assert_eq!(
            nothing.compatible(&asked, &table.names, Undefined::Denied),
            Err(Conflict::Unknown(Key::ZONE))
        );
    }

    /// `requirements.go:252`: two requirements that both allow absence go together though they share no value.
    #[test]
    fn two_absences_go_together() {
        let mut table = Table::new();
        let absent = table.make(Operator::DoesNotExist, &[]);
        let not = table.make(Operator::NotIn, &["1"]);
        let a = Requirements::new(&table.names, [absent]);
        let b = Requirements::new(&table.names, [not]);
        assert!(a.intersects(&b, &table.names).is_ok());
        assert!(b.intersects(&a, &table.names).is_ok());
    }

    /// `requirement.go:309`.
    #[test]
    fn requirements_read_as_karpenter_writes_them() {
        let mut table = Table::new();
        let six = table.make(Operator::In, &["f", "b", "c", "d", "e", "a"]);
        assert_eq!(
            six.display(&table.names).to_string(),
            "team In [a b c d e and 1 others]"
        );
        let bound = table.make(Operator::Gt, &["3"]);
        assert_eq!(bound.display(&table.names).to_string(), "team Exists >=4");
    }
}
