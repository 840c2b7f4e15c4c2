//! A platform's folder: `platform.yaml`, `environments/<env>.yaml`, and `.seaworthy/` with what is ours.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use catalog::Date;
use catalog::ids::EnvironmentName;
use spec::{Diagnostic, Loaded, Source};

use crate::error::Error;

/// The name of the scope that environments share.
pub const SHARED: &str = "shared";

/// A platform's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformFolder {
    root: PathBuf,
}

impl PlatformFolder {
    /// The folder that `start` is in or below.
    ///
    /// # Errors
    ///
    /// When neither it nor a folder above it has a `platform.yaml`.
    pub fn find(start: &Path) -> Result<Self, Error> {
        let start = start
            .canonicalize()
            .map_err(|source| Error::read(start, source))?;
        let root = start
            .ancestors()
            .find(|folder| folder.join("platform.yaml").is_file());
        match root {
            Some(root) => Ok(Self {
                root: root.to_owned(),
            }),
            None => Err(Error::NoPlatform { folder: start }),
        }
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where state and schemas are.
    pub fn own(&self) -> PathBuf {
        self.root.join(".seaworthy")
    }

    /// The environments that have an overlay, by name.
    ///
    /// # Errors
    ///
    /// When the folder of overlays can't be read.
    pub fn environments(&self) -> Result<Vec<EnvironmentName>, Error> {
        let folder = self.root.join("environments");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::read(&folder, source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| Error::read(&folder, source))?;
            if entry.path().is_dir() {
                continue;
            }
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".yaml"));
            names.extend(stem.and_then(|stem| EnvironmentName::new(stem).ok()));
        }
        names.sort();
        Ok(names)
    }

    /// Reads and validates the spec of one environment. `shared` is read from `platform.yaml` alone.
    ///
    /// # Errors
    ///
    /// When a file can't be read, there is no such environment, or the spec is wrong: then with all that is wrong.
    pub fn load(
        &self,
        environment: &EnvironmentName,
        variables: &BTreeMap<String, String>,
        today: Date,
    ) -> Result<Loaded, Error> {
        let shared = environment.as_str() == SHARED;
        let environments = self.environments()?;
        if !shared && !environments.contains(environment) {
            return Err(Error::NoEnvironment {
                environment: environment.clone(),
                known: environments,
                folder: self.root.join("environments"),
            });
        }
        let platform = self.source(Path::new("platform.yaml"))?;
        let overlay = match shared {
            true => None,
            false => Some(self.source(&overlay_path(environment))?),
        };
        let mut others = Vec::new();
        for other in environments.iter().filter(|other| *other != environment) {
            others.push((other.clone(), self.source(&overlay_path(other))?));
        }
        let sources = spec::Sources {
            platform,
            overlay,
            environment: environment.clone(),
            others,
        };
        spec::load(&sources, variables, today).map_err(Error::Spec)
    }

    fn source(&self, name: &Path) -> Result<std::sync::Arc<Source>, Error> {
        let path = self.root.join(name);
        let bytes = fs::read(&path).map_err(|source| Error::read(&path, source))?;
        let shown = name.display().to_string();
        let text =
            spec::decode(&shown, bytes).map_err(|wrong: Diagnostic| Error::Spec(vec![wrong]))?;
        Ok(Source::new(shown, text))
    }
}

fn overlay_path(environment: &EnvironmentName) -> PathBuf {
    Path::new("environments").join(format!("{environment}.yaml"))
}
