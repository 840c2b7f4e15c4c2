//! How fast and how far (`normalizeDesiredReplicas`, `normalizeDesiredReplicasWithBehaviors` and what they call, horizontal.go).

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HPAScalingPolicy, HPAScalingRules};

use super::Sync;

/// No window and no period is longer (apis/autoscaling/validation/validation.go: 3,600 s and 1,800 s).
const LONGEST: SignedDuration = SignedDuration::from_secs(3_600);
/// Without a behaviour a workload grows to at most the double, or to four (`scaleUpLimitFactor`, `scaleUpLimitMinimum`).
const GROWTH: f64 = 2.0;
const SMALL: f64 = 4.0;

/// What was recommended and done before.
#[derive(Debug, Default)]
pub(super) struct Memory {
    recommendations: Vec<(Timestamp, i32)>,
    added: Vec<(Timestamp, i32)>,
    removed: Vec<(Timestamp, i32)>,
}

fn before(now: Timestamp, duration: SignedDuration) -> Timestamp {
    now.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

impl Memory {
    /// The first recommendation is what there is (`recordInitialRecommendation`).
    pub(super) fn begin(&mut self, current: i32, now: Timestamp) {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
    }

    /// Notes that a workload was scaled (`storeScaleEvent`).
    pub(super) fn scaled(&mut self, from: i32, to: i32, now: Timestamp) {
        let list = if to > from {
            &mut self.added
        } else {
            &mut self.removed
        };
        list.retain(|(at, _)| *at >= before(now, LONGEST));
        list.push((now, (to - from).abs()));
    }

    fn recommend(&mut self, replicas: i32, now: Timestamp) {
        self.recommendations
            .retain(|(at, _)| *at >= before(now, LONGEST));
        self.recommendations.push((now, replicas));
    }

    /// How many replicas there were when a period began.
    fn at_start(&self, current: i32, period: i32, now: Timestamp) -> i32 {
        let cutoff = before(now, SignedDuration::from_secs(period.into()));
        let sum = |list: &[(Timestamp, i32)]| -> i32 {
            list.iter()
                .filter(|(at, _)| *at > cutoff)
                .map(|(_, change)| change)
                .sum()
        };
        current - sum(&self.added) + sum(&self.removed)
    }
}

/// What limits a change, and by which reason it is told.
struct Limited {
    replicas: i32,
    reason: &'static str,
    message: &'static str,
}

const WITHIN: (&str, &str) = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const FASTER: (&str, &str) = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const SLOWER: (&str, &str) = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);
const MORE: (&str, &str) = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const FEWER: (&str, &str) = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);

impl Limited {
    fn of(replicas: i32, told: (&'static str, &'static str)) -> Self {
        Self {
            replicas,
            reason: told.0,
            message: told.1,
        }
    }
}

/// The rules of one direction, complete (apis/autoscaling/v2/defaults.go).
struct Rules {
    window: i32,
    select: Select,
    policies: Vec<HPAScalingPolicy>,
}

#[derive(Clone, Copy, PartialEq)]
enum Select {
    Most,
    Least,
    Disabled,
}

impl Rules {
    fn of(rules: Option<&HPAScalingRules>, window: i32, policies: Vec<HPAScalingPolicy>) -> Self {
        let select = match rules.and_then(|rules| rules.select_policy.as_deref()) {
            Some("Min") => Select::Least,
            Some("Disabled") => Select::Disabled,
            _ => Select::Most,
        };
        Self {
            window: rules
                .and_then(|rules| rules.stabilization_window_seconds)
                .unwrap_or(window),
            select,
            policies: rules
                .and_then(|rules| rules.policies.clone())
                .unwrap_or(policies),
        }
    }

    fn up(rules: Option<&HPAScalingRules>) -> Self {
        Self::of(rules, 0, vec![policy("Pods", 4), policy("Percent", 100)])
    }

    fn down(rules: Option<&HPAScalingRules>, window: SignedDuration) -> Self {
        let window = i32::try_from(window.as_secs()).unwrap_or(i32::MAX);
        Self::of(rules, window, vec![policy("Percent", 100)])
    }

    /// `calculateScaleUpLimitWithScalingRules`. Percentages are rounded up: else one pod would never become two.
    fn most(&self, current: i32, memory: &Memory, now: Timestamp) -> i32 {
        let limits = self.policies.iter().map(|policy| {
            let start = memory.at_start(current, policy.period_seconds, now);
            if policy.type_ == "Pods" {
                start.saturating_add(policy.value)
            } else {
                let grown = f64::from(start) * (1.0 + f64::from(policy.value) / 100.0);
                grown.ceil().min(f64::from(i32::MAX)) as i32
            }
        });
        match self.select {
            Select::Disabled => current,
            Select::Least => limits.min().unwrap_or(i32::MAX),
            Select::Most => limits.max().unwrap_or(i32::MIN),
        }
    }

    /// `calculateScaleDownLimitWithBehaviors`. Percentages are cut off.
    fn least(&self, current: i32, memory: &Memory, now: Timestamp) -> i32 {
        let limits = self.policies.iter().map(|policy| {
            let start = memory.at_start(current, policy.period_seconds, now);
            if policy.type_ == "Pods" {
                start.saturating_sub(policy.value)
            } else {
                (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32
            }
        });
        match self.select {
            Select::Disabled => current,
            Select::Least => limits.max().unwrap_or(i32::MIN),
            Select::Most => limits.min().unwrap_or(i32::MAX),
        }
    }
}

fn policy(kind: &str, value: i32) -> HPAScalingPolicy {
    HPAScalingPolicy {
        type_: kind.to_owned(),
        value,
        period_seconds: 15,
    }
}

impl Sync<'_> {
    /// What becomes of a recommendation.
    pub(super) fn normalise(&mut self, memory: &mut Memory, current: i32, wanted: i32) -> i32 {
        let (least, most) = (self.spec.min_replicas.unwrap_or(1), self.spec.max_replicas);
        let now = self.context.now;
        let (stable, limited, stabilised) = match self.spec.behavior.clone() {
            None => {
                let stable = self.stabilise(memory, wanted);
                let limited = limit(current, stable, least, most);
                (stable, limited, DOWN_STABILISED)
            }
            Some(behavior) => {
                let up = Rules::up(behavior.scale_up.as_ref());
                let down = Rules::down(
                    behavior.scale_down.as_ref(),
                    self.settings.downscale_stabilization,
                );
                let stable = stabilise_both(memory, current, wanted, &up, &down, now);
                let limited = limit_rate(memory, current, stable, (least, most), &up, &down, now);
                let stabilised = if wanted >= current {
                    UP_STABILISED
                } else {
                    DOWN_STABILISED
                };
                (stable, limited, stabilised)
            }
        };
        let (reason, message) = if stable == wanted {
            ("ReadyForNewScale", "recommended size matches current size")
        } else {
            stabilised
        };
        self.set_condition("AbleToScale", true, reason, message.to_owned());
        self.set_condition(
            "ScalingLimited",
            limited.replicas != stable,
            limited.reason,
            limited.message.to_owned(),
        );
        limited.replicas
    }

    /// `stabilizeRecommendation`: the highest of the window.
    fn stabilise(&self, memory: &mut Memory, wanted: i32) -> i32 {
        let now = self.context.now;
        let cutoff = before(now, self.settings.downscale_stabilization);
        let highest = memory
            .recommendations
            .iter()
            .filter(|(at, _)| *at >= cutoff)
            .map(|(_, replicas)| *replicas)
            .max();
        memory.recommend(wanted, now);
        highest.map_or(wanted, |highest| highest.max(wanted))
    }
}

const UP_STABILISED: (&str, &str) = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const DOWN_STABILISED: (&str, &str) = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);

/// `convertDesiredReplicasWithRules`.
fn limit(current: i32, wanted: i32, least: i32, most: i32) -> Limited {
    let growth = (GROWTH * f64::from(current)).max(SMALL) as i32;
    let (most, told) = if most > growth {
        (growth, FASTER)
    } else {
        (most, MORE)
    };
    if wanted < least {
        Limited::of(least, FEWER)
    } else if wanted > most {
        Limited::of(most, told)
    } else {
        Limited::of(wanted, WITHIN)
    }
}

/// `stabilizeRecommendationWithBehaviors`: no higher than the lowest of the window for growing, no lower than the highest of the
/// window for shrinking.
fn stabilise_both(
    memory: &mut Memory,
    current: i32,
    wanted: i32,
    up: &Rules,
    down: &Rules,
    now: Timestamp,
) -> i32 {
    let since = |window: i32| before(now, SignedDuration::from_secs(window.into()));
    let (up_cutoff, down_cutoff) = (since(up.window), since(down.window));
    let (mut lowest, mut highest) = (wanted, wanted);
    for (at, replicas) in &memory.recommendations {
        if *at > up_cutoff {
            lowest = lowest.min(*replicas);
        }
        if *at > down_cutoff {
            highest = highest.max(*replicas);
        }
    }
    memory.recommend(wanted, now);
    current.max(lowest).min(highest)
}

/// `convertDesiredReplicasWithBehaviorRate`.
fn limit_rate(
    memory: &Memory,
    current: i32,
    wanted: i32,
    (least, most): (i32, i32),
    up: &Rules,
    down: &Rules,
    now: Timestamp,
) -> Limited {
    if wanted > current {
        let rate = up.most(current, memory, now).max(current);
        let (most, told) = if most > rate {
            (rate, FASTER)
        } else {
            (most, MORE)
        };
        if wanted > most {
            return Limited::of(most, told);
        }
    } else if wanted < current {
        let rate = down.least(current, memory, now).min(current);
        let (least, told) = if least < rate {
            (rate, SLOWER)
        } else {
            (least, FEWER)
        };
        if wanted < least {
            return Limited::of(least, told);
        }
    }
    Limited::of(wanted, WITHIN)
}
