//! Typed values as text for people and as JSON for programs.
//!
//! Promises: the same value gives the same text; foreign text is fit to be shown; JSON keys are those that `docs/`
//! documents. Every function takes the writer.

pub mod checks;
pub mod dot;
pub mod drift;
pub mod plan;
pub mod report;
pub mod simulation;
pub mod state;
pub mod status;
mod values;

use crate::args::TargetName;

/// How the reader's next command begins: which environment, where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hints<'a> {
    /// The environment, or `shared`.
    pub environment: &'a str,
    /// Where it goes.
    pub target: TargetName,
}

impl Hints<'_> {
    /// A command as it would be typed: `seaworthy status -e prod`.
    pub fn command(&self, verb: &str) -> String {
        let command = match (self.environment, verb) {
            ("shared", "deploy") => "seaworthy bootstrap".to_owned(),
            ("shared", "destroy") => "seaworthy bootstrap --destroy".to_owned(),
            (environment, verb) => format!("seaworthy {verb} -e {environment}"),
        };
        match self.target {
            TargetName::Sandbox => command,
            TargetName::Aws => format!("{command} --target aws"),
        }
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    //! Small values to render.

    use std::collections::BTreeSet;

    use catalog::TypeName;
    use catalog::ids::{Address, Serial};
    use graph::{Action, Change, FORMAT, Lifecycle, Plan, Scope, Summary};

    pub fn address(text: &str) -> Address {
        Address::new(text).unwrap()
    }

    pub fn type_name(text: &str) -> TypeName {
        text.parse().unwrap()
    }

    pub fn scope() -> Scope {
        Scope {
            platform: "shop".parse().unwrap(),
            environment: "prod".parse().unwrap(),
            region: "eu-central-1".parse().unwrap(),
        }
    }

    pub fn change(at: &str, of: &str, action: Action, reason: &str) -> Change {
        Change {
            address: address(at),
            type_name: type_name(of),
            action,
            reason: reason.to_owned(),
            identifier: None,
            properties: Vec::new(),
            replacement: None,
            needs: BTreeSet::new(),
            lifecycle: Lifecycle::Managed,
            desired: None,
        }
    }

    pub fn plan(changes: Vec<Change>) -> Plan {
        Plan {
            format: FORMAT,
            scope: scope(),
            destroy: false,
            spec_hash: "abc".to_owned(),
            state_serial: Serial(12),
            refreshed: false,
            summary: Summary::of(&changes),
            changes,
        }
    }

    pub fn text(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}
