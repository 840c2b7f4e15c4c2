//! The conditions of Karpenter's objects, in the manner of `awslabs/operatorpkg`: parts that make up `Ready`, and others.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use objects::karpenter::LooseCondition;

/// The conditions of an object while they are worked on.
#[derive(Debug, Clone)]
pub(super) struct Conditions {
    all: Vec<LooseCondition>,
    parts: &'static [&'static str],
    generation: i64,
    now: Timestamp,
}

impl Conditions {
    /// Those of an object; what makes up `Ready` and isn't there yet is unknown.
    pub(super) fn of(
        there: &[LooseCondition],
        parts: &'static [&'static str],
        generation: Option<i64>,
        now: Timestamp,
    ) -> Self {
        let mut conditions = Self {
            all: there.to_vec(),
            parts,
            generation: generation.unwrap_or(1),
            now: Timestamp::from_second(now.as_second()).unwrap_or(now),
        };
        for part in parts {
            if conditions.get(part).is_none() {
                conditions.set(
                    part,
                    "Unknown",
                    "AwaitingReconciliation",
                    "object is awaiting reconciliation",
                );
            }
        }
        conditions
    }

    pub(super) fn get(&self, type_: &str) -> Option<&LooseCondition> {
        self.all.iter().find(|condition| condition.type_ == type_)
    }

    pub(super) fn is_true(&self, type_: &str) -> bool {
        self.get(type_)
            .is_some_and(|condition| condition.status == "True")
    }

    pub(super) fn is_false(&self, type_: &str) -> bool {
        self.get(type_)
            .is_some_and(|condition| condition.status == "False")
    }

    pub(super) fn yes(&mut self, type_: &str) {
        self.set(type_, "True", type_, "");
    }

    pub(super) fn yes_because(&mut self, type_: &str, reason: &str) {
        self.set(type_, "True", reason, reason);
    }

    pub(super) fn no(&mut self, type_: &str, reason: &str, message: &str) {
        self.set(type_, "False", reason, message);
    }

    pub(super) fn unknown(&mut self, type_: &str, reason: &str, message: &str) {
        self.set(type_, "Unknown", reason, message);
    }

    pub(super) fn clear(&mut self, type_: &str) {
        self.all.retain(|condition| condition.type_ != type_);
    }

    fn set(&mut self, type_: &str, status: &str, reason: &str, message: &str) {
        let since = self
            .get(type_)
            .filter(|old| old.status == status)
            .and_then(|old| old.last_transition_time.clone());
        let made = LooseCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_transition_time: since.or(Some(Time(self.now))),
            observed_generation: Some(self.generation),
        };
        match self.all.iter_mut().find(|old| old.type_ == type_) {
            Some(old) => *old = made,
            None => self.all.push(made),
        }
    }

    /// All of them with what `Ready` comes to, the oldest first and `Ready` last.
    pub(super) fn finish(mut self) -> Vec<LooseCondition> {
        let mut lacking: Vec<&LooseCondition> = self
            .parts
            .iter()
            .filter_map(|part| self.get(part))
            .filter(|part| {
                part.status != "True" || part.observed_generation != Some(self.generation)
            })
            .collect();
        lacking.sort_by(|a, b| a.type_.cmp(&b.type_));
        if lacking.is_empty() {
            self.yes("Ready");
        } else {
            let bad = lacking.iter().any(|part| {
                part.status == "False" && part.observed_generation == Some(self.generation)
            });
            let message = lacking
                .iter()
                .map(|part| format!("{}={}", part.type_, part.status))
                .collect::<Vec<_>>()
                .join(", ");
            let (status, reason) = if bad {
                ("False", "UnhealthyDependents")
            } else {
                ("Unknown", "ReconcilingDependents")
            };
            self.set("Ready", status, reason, &message);
        }
        let since =
            |condition: &LooseCondition| condition.last_transition_time.as_ref().map(|time| time.0);
        self.all.sort_by(|a, b| {
            let last = |condition: &LooseCondition| condition.type_ == "Ready";
            last(a).cmp(&last(b)).then_with(|| since(a).cmp(&since(b)))
        });
        self.all
    }
}
