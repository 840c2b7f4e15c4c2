//! The files of an export.

use std::collections::BTreeMap;

use catalog::ids::{EnvironmentName, PlatformName};

/// Whose a file is: an export of one environment leaves the files of the others alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// It serves all scopes.
    All,
    /// One scope's: an environment's, or that of what environments share.
    Scope(EnvironmentName),
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Whose it is.
    pub owner: Owner,
    /// What is in it.
    pub text: String,
}

/// The files of an export by their paths: relative, with `/`, without `..`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    files: BTreeMap<String, File>,
}

impl Files {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; one that was there under the path is replaced.
    pub fn add(&mut self, path: impl Into<String>, owner: Owner, text: impl Into<String>) {
        let text = text.into();
        self.files.insert(path.into(), File { owner, text });
    }

    /// Adds a line to the header of the files that have one, where there is something to be said.
    pub fn remark(&mut self, remark: impl Fn(&Owner) -> Option<String>) {
        for file in self.files.values_mut() {
            let header = file.text.starts_with(MADE_BY);
            if let (true, Some(line)) = (header, remark(&file.owner)) {
                let end = file.text.match_indices('\n').nth(1);
                let at = end.map_or(file.text.len(), |(at, _)| at + 1);
                file.text.insert_str(at, &format!("{line}\n"));
            }
        }
    }

    /// The file at a path.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// All files, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }
}

/// What a header begins with.
const MADE_BY: &str = "# Made by `seaworthy ";

/// The comment that every file begins with, for formats whose comments begin with `#`: how it was made, and that edits
/// are lost. No date and no machine: the same spec gives the same file.
pub fn header(platform: &PlatformName, command: &str) -> String {
    format!(
        "{MADE_BY}{command}` (version {}) from the spec of `{platform}`.\n\
         # Edits are lost at the next export: change platform.yaml or environments/, or copy the folder and go on without.\n",
        env!("CARGO_PKG_VERSION"),
    )
}
