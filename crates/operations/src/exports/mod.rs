//! A platform written out as another tool's files.

mod folder;

use std::collections::BTreeMap;
use std::path::Path;

use catalog::Date;
use catalog::ids::EnvironmentName;
use export::{Format, Scoped, Source};

use crate::error::Error;
use crate::platform_folder::{PlatformFolder, SHARED};
use crate::scope::Wanted;

pub use folder::Exported;

/// Which scopes are exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scopes {
    /// All environments, and what they share.
    All,
    /// One environment, or `shared`.
    One(EnvironmentName),
}

/// How an export is written.
#[derive(Debug, Clone)]
pub struct Export<'a> {
    /// The format.
    pub format: Format,
    /// Which scopes.
    pub scopes: Scopes,
    /// The folder that it is written into; made if it is not there.
    pub into: &'a Path,
    /// Whether files of an earlier export that were edited since are written over. Other people's files never are.
    pub overwrite: bool,
}

impl Export<'_> {
    /// Exports a platform's scopes. Either all files are written, or none is.
    ///
    /// # Errors
    ///
    /// When an environment does not validate (for Terraform all environments have to: its modules serve all of them),
    /// when the format has no words for something, when the folder has files in the way that are somebody else's, or
    /// when it can't be written.
    pub fn run(
        &self,
        platform: &PlatformFolder,
        variables: &BTreeMap<String, String>,
        today: Date,
    ) -> Result<Exported, Error> {
        let load = |name: &EnvironmentName| Wanted::load(platform, name, variables, today);
        let mut every = platform.environments()?;
        // The shared scope is of `platform.yaml` alone: a file of its name makes no environment.
        every.retain(|name| name.as_str() != SHARED);
        let shared = EnvironmentName::new(SHARED)
            .map_err(|error| Error::Refused(format!("`{SHARED}`: {error}")))?;
        let wanted: Vec<EnvironmentName> = match &self.scopes {
            Scopes::All => every.iter().cloned().chain([shared.clone()]).collect(),
            Scopes::One(name) => vec![name.clone()],
        };
        // A name that there is not is said first, whatever else is wrong.
        if let Some(missing) = wanted
            .iter()
            .find(|name| **name != shared && !every.contains(name))
        {
            load(missing)?;
        }
        let serves_all = self.format == Format::Terraform;
        let loaded = every
            .iter()
            .filter(|name| serves_all || wanted.contains(name))
            .map(load)
            .collect::<Result<Vec<_>, _>>()?;
        let shared = load(&shared)?;
        let environments: Vec<Scoped<'_>> = loaded.iter().map(scoped).collect();
        let source = Source {
            environments: &environments,
            shared: scoped(&shared),
            wanted: &wanted,
        };
        let files = export::export(self.format, &source).map_err(Error::Export)?;
        folder::write(self, &shared.platform.platform, &files, &wanted)
    }
}

fn scoped(wanted: &Wanted) -> Scoped<'_> {
    Scoped {
        platform: &wanted.platform,
        graph: &wanted.graph,
    }
}
