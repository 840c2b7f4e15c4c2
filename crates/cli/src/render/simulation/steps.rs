//! The decisions in order; where they are many, those that are alike as one step.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use autoscale::answer::{Decision, Kind, Method};

use super::amounts;
use crate::terminal::count;

/// One decision, or several that are alike.
#[derive(Debug, Clone)]
pub(super) struct Step<'a> {
    /// The first of them.
    pub(super) first: &'a Decision,
    /// All of them, in order.
    pub(super) all: Vec<&'a Decision>,
}

/// The decisions as at most `most` steps, and how many decisions are in none of them.
#[derive(Debug, Clone)]
pub(super) struct Steps<'a> {
    /// In the order of their first decisions.
    pub(super) steps: Vec<Step<'a>>,
    /// Decisions that are not shown.
    pub(super) left_out: usize,
}

type Key<'a> = (Kind, Method, Option<&'a str>, [Option<&'a str>; 4]);

/// Three ways of being alike: in everything that is said, but for the reason and the zone, but for the type.
fn key(decision: &Decision, coarseness: u8) -> Key<'_> {
    let unless = |coarser, value| (coarseness < coarser).then_some(value).flatten();
    (
        decision.kind,
        decision.method,
        decision.nodepool.as_deref(),
        [
            unless(1, Some(decision.reason.as_str())),
            unless(1, decision.zone.as_deref()),
            unless(2, decision.chosen.as_deref()),
            unless(2, decision.capacity_type.as_deref()),
        ],
    )
}

/// Folds decisions.
pub(super) fn steps<'a>(decisions: impl Iterator<Item = &'a Decision>, most: usize) -> Steps<'a> {
    let decisions: Vec<&Decision> = decisions.collect();
    if decisions.len() <= most {
        let alone = |first| Step {
            first,
            all: vec![first],
        };
        return Steps {
            steps: decisions.into_iter().map(alone).collect(),
            left_out: 0,
        };
    }
    let mut steps = Vec::new();
    for coarseness in 0..3 {
        steps = alike(&decisions, coarseness);
        if steps.len() <= most {
            break;
        }
    }
    let rest = steps.split_off(most.min(steps.len()));
    Steps {
        steps,
        left_out: rest.iter().map(|step| step.all.len()).sum(),
    }
}

fn alike<'a>(decisions: &[&'a Decision], coarseness: u8) -> Vec<Step<'a>> {
    let mut places: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    let mut steps: Vec<Step<'a>> = Vec::new();
    for decision in decisions {
        let next = steps.len();
        let place = *places.entry(key(decision, coarseness)).or_insert(next);
        match steps.get_mut(place) {
            Some(step) => step.all.push(decision),
            None => steps.push(Step {
                first: decision,
                all: vec![decision],
            }),
        }
    }
    steps
}

/// What is done, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Headline {
    /// `launch`.
    pub(super) verb: &'static str,
    /// `1 node in general: m6i.large, eu-central-1a, spot`.
    pub(super) what: String,
    /// `$0.0384 an hour`.
    pub(super) price: Option<String>,
}

impl<'a> Step<'a> {
    /// What is done.
    pub(super) fn headline(&self) -> Headline {
        let first = self.first;
        let (number, preposition) = match first.kind {
            Kind::Launch => (self.count(), "in"),
            _ => (self.nodes().len(), "of"),
        };
        let pool = first.nodepool.as_deref().map_or_else(String::new, |pool| {
            format!(" {preposition} {}", amounts::name(pool))
        });
        let launched = self.launched().join(", ");
        let launched = match (first.kind, launched.as_str()) {
            (_, "") | (Kind::Delete | Kind::None, _) => String::new(),
            (Kind::Launch, launched) => format!(": {launched}"),
            (Kind::Replace, launched) => format!(" by {launched}"),
        };
        let price = self.usd_per_hour().map(|usd| match first.kind {
            Kind::Delete => format!("{} an hour less", amounts::hourly(usd)),
            _ => format!("{} an hour", amounts::hourly(usd)),
        });
        Headline {
            verb: super::verb(first.kind),
            what: format!("{}{pool}{launched}", count(number, "node")),
            price,
        }
    }

    /// The last of them.
    pub(super) fn last(&self) -> &'a Decision {
        self.all.last().copied().unwrap_or(self.first)
    }

    /// How many decisions it is.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// All nodes that are named.
    pub(super) fn nodes(&self) -> Vec<&'a str> {
        let all = self.all.iter();
        all.flat_map(|one| one.nodes.iter().map(String::as_str))
            .collect()
    }

    /// All pods that are named.
    pub(super) fn pods(&self) -> Vec<&'a str> {
        let all = self.all.iter();
        all.flat_map(|one| one.pods.iter().map(String::as_str))
            .collect()
    }

    /// The reasons, the most frequent first, each with how often it is given.
    pub(super) fn reasons(&self) -> Vec<(&'a str, usize)> {
        self.tally(|one| Some(one.reason.as_str()))
    }

    /// What is launched, as text: `m6i.large`, or `m6i.large (40), c6i.large (12)`.
    pub(super) fn launched(&self) -> Vec<String> {
        let several = |tally: Vec<(&str, usize)>| match tally.as_slice() {
            [] => None,
            [(one, _)] => Some(amounts::name(one)),
            many => {
                let shown: Vec<String> = many
                    .iter()
                    .take(3)
                    .map(|(value, count)| format!("{} ({count})", amounts::name(value)))
                    .collect();
                let more = match many.len().saturating_sub(3) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                Some(format!("{}{more}", shown.join(", ")))
            }
        };
        [
            several(self.tally(|one| one.chosen.as_deref())),
            several(self.tally(|one| one.zone.as_deref())),
            several(self.tally(|one| one.capacity_type.as_deref())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What they cost an hour together; none where no price is known.
    pub(super) fn usd_per_hour(&self) -> Option<f64> {
        let mut prices = self
            .all
            .iter()
            .filter_map(|one| one.usd_per_hour)
            .peekable();
        prices.peek()?;
        Some(prices.sum())
    }

    fn tally(&self, field: impl Fn(&'a Decision) -> Option<&'a str>) -> Vec<(&'a str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for value in self.all.iter().filter_map(|one| field(one)) {
            *counts.entry(value).or_default() += 1;
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| Reverse(*count));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::simulation::fixtures::large;

    #[test]
    fn no_decision_gets_lost() {
        let answer = large(1000);
        for most in [1, 3, 20, 5000] {
            let folded = steps(answer.decisions.iter(), most);
            let shown: usize = folded.steps.iter().map(Step::count).sum();
            assert_eq!(shown + folded.left_out, answer.decisions.len());
            assert!(folded.steps.len() <= most);
        }
        let all = steps(answer.decisions.iter(), usize::MAX);
        assert!(all.steps.iter().all(|step| step.count() == 1));
    }

    #[test]
    fn a_step_says_what_its_decisions_have_in_common() {
        let answer = large(1000);
        let launches = answer
            .decisions
            .iter()
            .filter(|decision| decision.kind == Kind::Launch);
        let launches: Vec<&Decision> = launches.collect();
        let step = Step {
            first: launches[0],
            all: launches.clone(),
        };
        let price: f64 = launches.iter().filter_map(|one| one.usd_per_hour).sum();
        assert_eq!(step.usd_per_hour(), Some(price));
        let counted: usize = step.reasons().iter().map(|(_, count)| count).sum();
        assert_eq!(counted, launches.len());
        assert!(step.launched()[0].contains(" ("));
    }
}
