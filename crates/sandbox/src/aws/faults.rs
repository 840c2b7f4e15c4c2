//! Faults on order: errors at a rate, an error at the n-th call, the end of the process at the n-th call. Seeded, so that
//! a run that makes the same calls meets the same faults.

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::HandlerErrorCode;
use crate::Error;

/// All faults of a sandbox, as they stand in a faults file (JSON).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// What the rates are drawn with.
    pub seed: u64,
    /// How long a new role is unknown to the services that assume it, in modelled seconds, in place of the settings'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_propagation_seconds: Option<f64>,
    /// The first rule that matches a call decides.
    pub rules: Vec<FaultRule>,
}

/// One fault and when it happens.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultRule {
    /// The error's code: one of `HandlerErrorCode` fails the operation that the call begins (a progress event FAILED), any
    /// other fails the call itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its message, in place of one that says that the fault was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The process ends at the call instead: before anything was done, or when all is done but not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// Only for these operations (`CreateResource`, `GetCallerIdentity`); none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// Only for these resource types; none means all, calls without a type included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// The share of matching calls that it happens to, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The one matching call that it happens to, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Whether a create that fails leaves its resource behind. By default after `NotStabilized` and `ServiceTimeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remnant: Option<bool>,
}

/// When in a call the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// Nothing was done.
    Before,
    /// All was done; the answer is never sent.
    After,
}

impl Faults {
    /// Reads and checks a faults file.
    ///
    /// # Errors
    /// When it cannot be read, or a rule makes no sense.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file("cannot read", path))?;
        let wrong = |reason: String| Error::Faults {
            path: path.to_owned(),
            reason,
        };
        let faults: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        faults.check().map_err(wrong)?;
        Ok(faults)
    }

    /// Whether every rule makes sense.
    ///
    /// # Errors
    /// What is wrong with the first one that does not.
    pub fn check(&self) -> Result<(), String> {
        if self
            .iam_propagation_seconds
            .is_some_and(|seconds| !(0.0..=86_400.0).contains(&seconds))
        {
            return Err("`iam_propagation_seconds` is not between 0 and 86400".to_owned());
        }
        let checked = self
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| (index, rule.check()));
        checked.into_iter().try_for_each(|(index, checked)| {
            checked.map_err(|reason| format!("rule {}: {reason}", index + 1))
        })
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.iam_propagation_seconds.is_none()
    }
}

impl FaultRule {
    fn check(&self) -> Result<(), String> {
        match (&self.error, self.stop) {
            (Some(code), None) if !code.is_empty() => {}
            (None, Some(_)) => {}
            _ => return Err("it needs either `error` or `stop`".to_owned()),
        }
        match (self.rate, self.nth) {
            (Some(rate), None) if !(0.0..=1.0).contains(&rate) => {
                Err(format!("its rate {rate} is not between 0 and 1"))
            }
            (None, Some(0)) => Err("`nth` counts from 1".to_owned()),
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err("it needs either `rate` or `nth`".to_owned()),
        }
    }

    /// The handler's code, where the rule fails the operation and not the call.
    fn handler_code(&self) -> Option<HandlerErrorCode> {
        serde_json::from_value(self.error.as_deref()?.into()).ok()
    }

    fn matches(&self, operation: &str, type_name: Option<&str>) -> bool {
        (self.operations.is_empty() || self.operations.iter().any(|wanted| wanted == operation))
            && (self.types.is_empty()
                || type_name.is_some_and(|name| self.types.iter().any(|wanted| wanted == name)))
    }
}

/// The short form of the command line: `ERROR=RATE` (`ThrottlingException=20%`, `NotStabilized=0.01`), or
/// `ERROR@N[/OPERATION][/TYPE]` (`ServiceInternalErrorException@3/CreateResource`, `stop@40`,
/// `stop-after@2/CreateResource/AWS::EKS::Cluster`).
impl FromStr for FaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rule = Self::default();
        let what = if let Some((what, rate)) = text.split_once('=') {
            let (number, unit) = rate
                .strip_suffix('%')
                .map_or((rate, 1.0), |percent| (percent, 100.0));
            let number: f64 = number
                .trim()
                .parse()
                .map_err(|_| format!("`{rate}` is no rate such as 0.2 or 20%"))?;
            rule.rate = Some(number / unit);
            what
        } else if let Some((what, place)) = text.split_once('@') {
            let mut parts = place.split('/');
            let nth = parts.next().unwrap_or_default();
            rule.nth = Some(
                nth.parse()
                    .map_err(|_| format!("`{nth}` is not the number of a call"))?,
            );
            for part in parts {
                if part.contains("::") {
                    &mut rule.types
                } else {
                    &mut rule.operations
                }
                .push(part.to_owned());
            }
            what
        } else {
            return Err(format!(
                "`{text}` is no fault: expected ERROR=RATE or ERROR@N[/OPERATION][/TYPE]"
            ));
        };
        match what {
            "stop" | "stop-before" => rule.stop = Some(Stop::Before),
            "stop-after" => rule.stop = Some(Stop::After),
            code => rule.error = Some(code.to_owned()),
        }
        rule.check().map(|()| rule)
    }
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallFault {
    /// It is answered with this error.
    Error { code: String, message: String },
    /// The process ends.
    Stop(Stop),
}

/// What happens to the operation that a call begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandlerFault {
    pub(crate) code: HandlerErrorCode,
    pub(crate) message: String,
    pub(crate) remnant: bool,
}

/// The faults with what has happened so far.
#[derive(Debug)]
pub(crate) struct Injector {
    faults: Faults,
    matched: Vec<u64>,
    random: u64,
}

impl Injector {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            matched: vec![0; faults.rules.len()],
            random: faults.seed,
            faults,
        }
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What happens to this call, which is counted by it.
    pub(crate) fn call(&mut self, operation: &str, type_name: Option<&str>) -> Option<CallFault> {
        let index = self.draw(|rule| rule.handler_code().is_none(), operation, type_name)?;
        let rule = &mut self.faults.rules[index];
        if let Some(stop) = rule.stop {
            // Once: a process that is started again with what is left of the faults must get further.
            self.faults.rules.remove(index);
            self.matched.remove(index);
            return Some(CallFault::Stop(stop));
        }
        let code = rule.error.clone()?;
        let message = rule.message.clone().unwrap_or_else(|| match code.as_str() {
            "ThrottlingException" | "Throttling" => "Rate exceeded".to_owned(),
            _ => format!("{code} (a fault ordered from the sandbox)"),
        });
        Some(CallFault::Error { code, message })
    }

    /// What happens to the operation that this call begins, which is counted by it.
    pub(crate) fn handler(&mut self, operation: &str, type_name: &str) -> Option<HandlerFault> {
        let index = self.draw(
            |rule| rule.handler_code().is_some(),
            operation,
            Some(type_name),
        )?;
        let rule = &self.faults.rules[index];
        let code = rule.handler_code()?;
        let message = rule
            .message
            .clone()
            .unwrap_or_else(|| format!("{code} (a fault ordered from the sandbox)"));
        let stays = matches!(
            code,
            HandlerErrorCode::NotStabilized | HandlerErrorCode::ServiceTimeout
        );
        Some(HandlerFault {
            code,
            message,
            remnant: rule.remnant.unwrap_or(stays),
        })
    }

    fn draw(
        &mut self,
        kind: impl Fn(&FaultRule) -> bool,
        operation: &str,
        type_name: Option<&str>,
    ) -> Option<usize> {
        let mut hit = None;
        for index in 0..self.faults.rules.len() {
            let rule = &self.faults.rules[index];
            if !kind(rule) || !rule.matches(operation, type_name) {
                continue;
            }
            let (rate, nth) = (rule.rate, rule.nth);
            self.matched[index] += 1;
            // Every rule counts and draws, whether or not an earlier one has hit: else one would shift the others.
            let hits = match (rate, nth) {
                (Some(rate), _) => self.random_share() < rate,
                (None, nth) => nth == Some(self.matched[index]),
            };
            if hits && hit.is_none() {
                hit = Some(index);
            }
        }
        hit
    }

    /// The next number of `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), as a
    /// share of 1.
    fn random_share(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // 53 bits are what a float holds.
        #[allow(clippy::cast_precision_loss)]
        let share = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> FaultRule {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_hits_about_that_share_of_calls_and_the_same_ones_every_time() {
        let faults = Faults {
            seed: 7,
            rules: vec![rule("ThrottlingException=20%")],
            ..Faults::default()
        };
        let run = |faults: &Faults| {
            let mut injector = Injector::new(faults.clone());
            (0..5000)
                .map(|_| injector.call("GetResource", None).is_some())
                .collect::<Vec<_>>()
        };
        let hits = run(&faults);
        let share = hits.iter().filter(|hit| **hit).count();
        assert!((900..1100).contains(&share), "{share}");
        assert_eq!(hits, run(&faults));
        assert_ne!(hits, run(&Faults { seed: 8, ..faults }));
    }

    #[test]
    fn the_nth_matching_call_of_a_type_and_no_other_is_hit_and_a_stop_is_used_up() {
        let rules = vec![
            rule("NotStabilized@2/CreateResource/AWS::EC2::VPC"),
            rule("stop-after@3/GetResource"),
        ];
        let mut injector = Injector::new(Faults {
            rules,
            ..Faults::default()
        });
        let mut hit =
            |operation: &str, name: &str| injector.handler(operation, name).map(|fault| fault.code);
        assert_eq!(hit("CreateResource", "AWS::EC2::VPC"), None);
        assert_eq!(hit("CreateResource", "AWS::EC2::Subnet"), None);
        assert_eq!(hit("DeleteResource", "AWS::EC2::VPC"), None);
        assert_eq!(
            hit("CreateResource", "AWS::EC2::VPC"),
            Some(HandlerErrorCode::NotStabilized)
        );
        assert_eq!(hit("CreateResource", "AWS::EC2::VPC"), None);
        let stops: Vec<_> = (0..4).map(|_| injector.call("GetResource", None)).collect();
        assert_eq!(
            stops,
            [None, None, Some(CallFault::Stop(Stop::After)), None]
        );
        assert_eq!(injector.faults().rules.len(), 1);
    }

    #[test]
    fn rules_that_make_no_sense_are_refused_with_the_reason() {
        for wrong in ["", "stop", "X=2", "X=-1%", "X@0", "X@first", "=0.1"] {
            assert!(wrong.parse::<FaultRule>().is_err(), "{wrong:?}");
        }
        let both = FaultRule {
            error: Some("X".to_owned()),
            rate: Some(0.1),
            nth: Some(1),
            ..FaultRule::default()
        };
        let faults = Faults {
            rules: vec![both],
            ..Faults::default()
        };
        assert_eq!(
            faults.check(),
            Err("rule 1: it needs either `rate` or `nth`".to_owned())
        );
        assert!(serde_json::from_str::<Faults>(r#"{"rules":[{"eror":"X"}]}"#).is_err());
    }
}
