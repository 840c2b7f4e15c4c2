//! Everything that can be known of a spec before anything runs.
//!
//! First its form ([`structure`]), then its meaning, one file a subject. All of it runs in one pass and everything found
//! is reported: nobody corrects a spec one error at a time.

mod access;
mod account;
mod cluster;
mod data_services;
mod dns;
mod names;
mod network;
mod node_pools;
mod services;
mod structure;
mod suggest;

use catalog::Date;
use catalog::ids::EnvironmentName;

use crate::diagnostic::Diagnostic;
use crate::model::Spec;
use crate::source::Place;
use crate::tree::Node;
pub(crate) use data_services::complete;
use structure::Form;
pub(crate) use suggest::nearest;

/// Another environment of the platform: what is compared with this one.
pub(crate) struct Other {
    pub(crate) environment: EnvironmentName,
    /// Its merged spec, which may be wrong: it is validated when it is its turn.
    pub(crate) root: Node,
}

/// What validation found.
pub(crate) struct Checked {
    /// The spec, when its form is right or could be mended. It is what was written only if there is no error.
    pub(crate) spec: Option<Spec>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// What the checks of meaning look at, and where they report.
struct Check<'a> {
    spec: &'a Spec,
    form: &'a Form,
    environment: &'a EnvironmentName,
    /// Whether losing it hurts: what is merely cheap is worth a warning then.
    production: bool,
    today: Date,
    others: &'a [Other],
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    /// Reports what is wrong with the value at a path. What was mended has been reported already.
    fn report(&mut self, path: &[&str], diagnostic: Diagnostic) {
        if !self.form.is_broken(path) {
            let place = diagnostic.place.clone().or_else(|| self.place(path));
            self.found.push(diagnostic.at(place));
        }
    }

    fn error(
        &mut self,
        path: &[&str],
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(path, Diagnostic::error(code, message).help(help));
    }

    fn warn(
        &mut self,
        path: &[&str],
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.report(path, Diagnostic::warning(code, message).help(help));
    }

    fn place(&self, path: &[&str]) -> Option<Place> {
        structure::place(&self.form.root, path)
    }

    /// Whether a value is what was written, or its default. Checks that compare with it have nothing to say otherwise.
    fn knows(&self, path: &[&str]) -> bool {
        !self.form.is_broken(path)
    }

    /// Whether somebody wrote the key.
    fn is_written(&self, path: &[&str]) -> bool {
        self.form.root.get(path).is_some()
    }

    /// Warns about keys that somebody wrote and that nothing heeds.
    fn unheeded(&mut self, paths: &[&[&str]], why: &str) {
        for path in paths {
            if self.is_written(path) {
                let message = format!("`{}` has no effect: {why}", structure::dotted(path));
                self.warn(path, "no-effect", message, "remove it");
            }
        }
    }
}

/// Whether an environment is protected unless its spec says otherwise.
pub(crate) fn protected_by_default(environment: &EnvironmentName) -> bool {
    matches!(environment.as_str(), "prod" | "production")
}

/// Validates a merged spec without nulls.
pub(crate) fn validate(
    root: Node,
    environment: &EnvironmentName,
    today: Date,
    others: &[Other],
) -> Checked {
    let mut form = structure::check(root);
    let mut diagnostics = std::mem::take(&mut form.diagnostics);
    let spec = form.spec.take();
    if let Some(spec) = &spec {
        let production = spec.protected == Some(true) || protected_by_default(environment);
        let mut check = Check {
            spec,
            form: &form,
            environment,
            production,
            today,
            others,
            found: Vec::new(),
        };
        names::check(&mut check);
        account::check(&mut check);
        network::check(&mut check);
        cluster::check(&mut check);
        access::check(&mut check);
        data_services::check(&mut check);
        dns::check(&mut check);
        node_pools::check(&mut check);
        services::check(&mut check);
        diagnostics.append(&mut check.found);
    }
    Checked { spec, diagnostics }
}

#[cfg(test)]
mod tests;
