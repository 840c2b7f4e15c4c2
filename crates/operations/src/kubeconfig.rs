//! kubeconfig files: the entry of an environment's cluster, on its own or among others.
//!
//! Guarantees: what others have in the file stays as it means (comments and order of keys are not kept); the file is whole
//! at any time; nobody but its owner can read it. No token is in it: it names the command that makes one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubernetes::ClusterAccess;
use serde_json::{Map, Value as Json, json};

use crate::error::Error;
use crate::scope::Wanted;
use crate::target::Target;

/// The command that prints a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenCommand {
    /// This program.
    pub program: PathBuf,
    /// What it is to be called with.
    pub arguments: Vec<String>,
    /// Variables that it needs.
    pub variables: Vec<(String, String)>,
}

/// The name of an environment's entries: the same environment in the sandbox and in AWS are two clusters.
pub fn entry_name(wanted: &Wanted, target: &Target) -> String {
    format!("{}@{}", wanted.scope().name(), target.kind.name())
}

/// A kubeconfig with one cluster, one user and one context of the name.
pub fn document(name: &str, access: &ClusterAccess, command: &TokenCommand) -> Json {
    let mut cluster = json!({ "server": access.endpoint });
    if let Some(pem) = &access.certificate_authority {
        cluster["certificate-authority-data"] = STANDARD.encode(pem).into();
    }
    let variables: Vec<Json> = command
        .variables
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command.program,
        "args": command.arguments,
        "interactiveMode": "Never",
        "provideClusterInfo": false,
    });
    if !variables.is_empty() {
        exec["env"] = variables.into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [{ "name": name, "cluster": cluster }],
        "users": [{ "name": name, "user": { "exec": exec } }],
        "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
        "current-context": name,
    })
}

/// A kubeconfig as text.
///
/// # Errors
///
/// When it can't be written as YAML.
pub fn text(document: &Json) -> Result<String, Error> {
    // A folded text would have blanks where it was broken, and certificates are long.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(document, options)
        .map_err(|error| Error::Refused(format!("the kubeconfig can't be written: {error}")))
}

/// Puts a kubeconfig's entries among those of a file, which is made if it is not there, and makes its context the current
/// one.
///
/// # Errors
///
/// When the file can't be read or written, is no kubeconfig, or somebody else is changing it. It is then as it was.
pub fn merge_into(path: &Path, addition: &Json) -> Result<(), Error> {
    // A link stays one: what it leads to is changed.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    make_folder(folder).map_err(|source| Error::write(folder, source))?;
    let _lock = Lock::take(path)?;
    let mut config = match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => json!({}),
        Ok(text) => serde_saphyr::from_str(&text).map_err(|error| Error::Kubeconfig {
            path: path.clone(),
            reason: error.to_string(),
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => json!({}),
        Err(source) => return Err(Error::read(path, source)),
    };
    merge(&mut config, addition).map_err(|reason| Error::Kubeconfig {
        path: path.clone(),
        reason,
    })?;
    let text = text(&config)?;
    replace(folder, path, &text).map_err(|source| Error::write(path, source))
}

/// Puts one kubeconfig's entries among another's; those of the same name give way.
fn merge(config: &mut Json, addition: &Json) -> Result<(), String> {
    if config.is_null() {
        *config = json!({});
    }
    let (Some(config), Some(addition)) = (config.as_object_mut(), addition.as_object()) else {
        return Err("it is no kubeconfig: a map is wanted".to_owned());
    };
    if config.get("kind").is_some_and(|kind| kind != "Config") {
        return Err("it is no kubeconfig: its kind is not Config".to_owned());
    }
    for (name, added) in addition {
        match added {
            Json::Array(added) => put(config, name, added)?,
            // What the file says of these stays: they are the same in every kubeconfig.
            _ if name != "current-context" && config.contains_key(name) => {}
            added => {
                config.insert(name.clone(), added.clone());
            }
        }
    }
    Ok(())
}

fn put(config: &mut Map<String, Json>, list: &str, added: &[Json]) -> Result<(), String> {
    let present = config.entry(list).or_insert(Json::Null);
    if present.is_null() {
        *present = json!([]);
    }
    let present = present
        .as_array_mut()
        .ok_or_else(|| format!("its `{list}` is no list"))?;
    for entry in added {
        match present.iter_mut().find(|one| one["name"] == entry["name"]) {
            Some(same) => *same = entry.clone(),
            None => present.push(entry.clone()),
        }
    }
    Ok(())
}

/// The lock that kubectl takes on a kubeconfig: a file beside it.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let made = OpenOptions::new().write(true).create_new(true).open(&lock);
        match made {
            Ok(_) => Ok(Self(lock)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::Refused(format!(
                    "somebody else is changing {}: if nobody is, remove {}",
                    path.display(),
                    lock.display()
                )))
            }
            Err(source) => Err(Error::write(&lock, source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It is ours: if it can't be removed, the next one says so.
        let _ = fs::remove_file(&self.0);
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes beside the file and renames into its place.
fn replace(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut next = path.as_os_str().to_owned();
    next.push(format!(".{}.next", std::process::id()));
    let next = PathBuf::from(next);
    let written = write_private(&next, text).and_then(|()| fs::rename(&next, path));
    if written.is_err() {
        // What could not be put in its place is of no use.
        let _ = fs::remove_file(&next);
    }
    written?;
    // The name is on the disk when the folder is.
    File::open(folder).and_then(|folder| folder.sync_all())
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addition(endpoint: &str) -> Json {
        let access = ClusterAccess {
            endpoint: endpoint.to_owned(),
            certificate_authority: Some(format!(
                "-----BEGIN CERTIFICATE-----\n{}",
                "MIIB/+".repeat(300)
            )),
            token: None,
        };
        let command = TokenCommand {
            program: PathBuf::from("/usr/bin/seaworthy"),
            arguments: ["token", "-e", "dev"].map(str::to_owned).to_vec(),
            variables: vec![("SEAWORTHY_HOME".to_owned(), "/x".to_owned())],
        };
        document("shop-dev@sandbox", &access, &command)
    }

    #[test]
    fn others_stay_and_ours_is_renewed_and_current() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner/config");
        fs::create_dir(folder.path().join("inner")).unwrap();
        let theirs = "apiVersion: v1\nkind: Config\n# mine\nclusters:\n- name: other\n  cluster: {server: https://other}\n\
                      users:\n- name: other\n  user: {token: '0123'}\ncontexts: null\ncurrent-context: other\nextensions: [1]\n";
        fs::write(&path, theirs).unwrap();
        merge_into(&path, &addition("https://one")).unwrap();
        merge_into(&path, &addition("https://two")).unwrap();
        let read: Json = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(read["current-context"], "shop-dev@sandbox");
        let names = |list: &str| -> Vec<String> {
            let entries = read[list].as_array().unwrap().iter();
            entries
                .map(|one| one["name"].as_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names("clusters"), ["other", "shop-dev@sandbox"]);
        assert_eq!(names("users"), ["other", "shop-dev@sandbox"]);
        assert_eq!(names("contexts"), ["shop-dev@sandbox"]);
        assert_eq!(read["clusters"][1]["cluster"]["server"], "https://two");
        let two = addition("https://two");
        assert_eq!(read["clusters"][1], two["clusters"][0]);
        let text = fs::read_to_string(&path).unwrap();
        let certificate = two["clusters"][0]["cluster"]["certificate-authority-data"].as_str();
        assert!(text.contains(certificate.unwrap()), "on one line: {text}");
        assert_eq!(read["users"][0]["user"]["token"], "0123");
        assert_eq!(read["extensions"], json!([1]));
        assert_eq!(
            read["users"][1]["user"]["exec"]["args"],
            json!(["token", "-e", "dev"])
        );
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "no lock and no half file");
    }

    #[test]
    fn what_is_no_kubeconfig_or_is_being_changed_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        for wrong in ["- a list\n", "kind: Pod\n", "clusters: 1\n", "a: [\n"] {
            fs::write(&path, wrong).unwrap();
            assert!(merge_into(&path, &addition("x")).is_err(), "{wrong}");
            assert_eq!(fs::read_to_string(&path).unwrap(), wrong);
        }
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("config.lock"), "").unwrap();
        let held = merge_into(&path, &addition("x")).unwrap_err();
        assert!(held.to_string().contains("config.lock"), "{held}");
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_for_its_owner_alone_and_a_link_stays_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        fs::write(&real, "").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        merge_into(&link, &addition("x")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(
            fs::read_to_string(&real)
                .unwrap()
                .contains("shop-dev@sandbox")
        );
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
