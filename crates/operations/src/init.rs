//! A new platform's folder, from a preset.

use std::fs;
use std::path::{Path, PathBuf};

use catalog::ids::PlatformName;
use spec::Preset;

use crate::error::Error;

/// Writes a preset into a folder, which must not hold a platform.
///
/// # Errors
///
/// When one of the files is there already: nothing is written then; or when a file can't be written.
pub fn init(folder: &Path, preset: Preset, name: &PlatformName) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<(PathBuf, String)> = spec::preset(preset, name)
        .into_iter()
        .map(|(path, text)| (PathBuf::from(path), text))
        .collect();
    files.extend(schemas());
    files.push((
        PathBuf::from(".gitignore"),
        "# State can hold names and ids of an account.\n.seaworthy/state/\n".to_owned(),
    ));
    for (path, _) in &files {
        let path = folder.join(path);
        if path.exists() && !path.ends_with(".gitignore") {
            return Err(Error::Exists { path });
        }
    }
    let mut written = Vec::new();
    for (path, text) in files {
        let whole = folder.join(&path);
        if whole.exists() {
            continue;
        }
        write(&whole, &text)?;
        written.push(path);
    }
    Ok(written)
}

/// Renews the schemas that editors read, in a platform's folder.
///
/// # Errors
///
/// When they can't be written.
pub fn write_schemas(folder: &Path) -> Result<(), Error> {
    schemas()
        .into_iter()
        .try_for_each(|(path, text)| write(&folder.join(path), &text))
}

fn schemas() -> [(PathBuf, String); 2] {
    let text = |schema: &serde_json::Value| format!("{schema:#}\n");
    [
        (
            PathBuf::from(".seaworthy/platform.schema.json"),
            text(&spec::json_schema()),
        ),
        (
            PathBuf::from(".seaworthy/environment.schema.json"),
            text(&spec::overlay_schema()),
        ),
    ]
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| Error::write(parent, source))?;
    }
    fs::write(path, text).map_err(|source| Error::write(path, source))
}
