//! The instance types of a region, kept in the user's folder for data: renewed from AWS, and read back.
//!
//! Two files a region, in `catalog/`: `instance-types-<region>.csv` and `offerings-<region>.csv`. Both are written beside
//! their places first and then renamed, so that a reader finds the old one or the new one whole. Without them the table in
//! the binary serves every region.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aws::instance_types::{Fetched, fetch};
use catalog::Date;
use catalog::ids::Region;
use catalog::instance_types::{Offerings, Table, TableError};

use crate::error::Error;
use crate::target::{Target, TargetKind};

/// Where instance types are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The table in the binary: its on-demand prices are those of its own region, whichever was asked for.
    Embedded,
    /// A file that was fetched from AWS.
    Refreshed(PathBuf),
}

/// The instance types of a region, as far as they are known here.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The types.
    pub table: Cow<'static, Table>,
    /// Their zones and prices; none with the table in the binary.
    pub offerings: Option<Offerings>,
    /// Where both are from.
    pub source: Source,
    /// The day of the prices.
    pub date: Date,
}

/// What was fetched, and the files that hold it now.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// What AWS said.
    pub fetched: Fetched,
    /// The files with their sizes in bytes, the types first.
    pub files: [(PathBuf, usize); 2],
}

/// The files of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Files {
    types: PathBuf,
    offerings: PathBuf,
}

impl Files {
    fn of(data_folder: &Path, region: &Region) -> Self {
        let folder = data_folder.join("catalog");
        Self {
            types: folder.join(format!("instance-types-{region}.csv")),
            offerings: folder.join(format!("offerings-{region}.csv")),
        }
    }
}

/// Whether instance types can be fetched from this kind of target at all.
///
/// # Errors
///
/// The sandbox plays no market of machines, and an account is not asked unless that was said.
pub fn check_target(kind: TargetKind) -> Result<(), Error> {
    match kind {
        TargetKind::Aws => Ok(()),
        TargetKind::Sandbox => Err(Error::Refused(
            "only AWS itself knows its instance types and prices, and the target is the sandbox: give `--target aws` \
             to ask with your credentials (four read-only calls; nothing is changed there)"
                .to_owned(),
        )),
    }
}

/// Asks AWS for a region's instance types, and writes them into the folder for data.
///
/// # Errors
///
/// When the target is not AWS, AWS can't be asked or refuses, or the files can't be written. What was there stays then.
pub async fn refresh(
    target: &Target,
    region: &Region,
    data_folder: &Path,
    today: Date,
) -> Result<Refreshed, Error> {
    check_target(target.kind)?;
    let session = target.session(region).await?;
    let fetched = fetch(&session, today, target.pace)
        .await
        .map_err(|error| Error::InstanceTypes(Box::new(error)))?;
    let files = write(data_folder, &fetched)?;
    Ok(Refreshed { fetched, files })
}

fn write(data_folder: &Path, fetched: &Fetched) -> Result<[(PathBuf, usize); 2], Error> {
    let files = Files::of(data_folder, fetched.table.region());
    let (types, offerings) = (fetched.table.to_string(), fetched.offerings.to_string());
    // Both are on the disk before the first is moved to its place.
    let staged_types = Staged::write(&files.types, &types)?;
    let staged_offerings = Staged::write(&files.offerings, &offerings)?;
    staged_offerings.put()?;
    staged_types.put()?;
    Ok([
        (files.types, types.len()),
        (files.offerings, offerings.len()),
    ])
}

/// A file beside its place; gone when it is not put there.
struct Staged<'a> {
    place: &'a Path,
    beside: PathBuf,
}

impl<'a> Staged<'a> {
    fn write(place: &'a Path, text: &str) -> Result<Self, Error> {
        let failed = |source: io::Error| Error::write(place, source);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        // Two at once do not write into the same file.
        let beside = place.with_extension(format!("csv.{}.new", uuid::Uuid::new_v4().simple()));
        let staged = Self { place, beside };
        let mut file = fs::File::create_new(&staged.beside).map_err(failed)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        Ok(staged)
    }

    fn put(self) -> Result<(), Error> {
        fs::rename(&self.beside, self.place).map_err(|source| Error::write(self.place, source))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing; otherwise an error is on its way already.
        let _ = fs::remove_file(&self.beside);
    }
}

/// The instance types of a region: those that were fetched, or the table in the binary.
///
/// # Errors
///
/// When a file is there and can't be read, is damaged, or is not of this region or of the other's day: a wrong table is
/// not passed over in silence.
pub fn load(data_folder: &Path, region: &Region) -> Result<Catalogue, Error> {
    let files = Files::of(data_folder, region);
    let Some(text) = read(&files.types)? else {
        let table = catalog::instance_types::table();
        return Ok(Catalogue {
            table: Cow::Borrowed(table),
            offerings: None,
            source: Source::Embedded,
            date: table.date(),
        });
    };
    let damaged = |path: &Path, error: TableError| wrong(path, error.to_string());
    let table = Table::parse(&text).map_err(|error| damaged(&files.types, error))?;
    if table.region() != region {
        let reason = format!("it is of {}, not of {region}", table.region());
        return Err(wrong(&files.types, reason));
    }
    let offerings = match read(&files.offerings)? {
        None => None,
        Some(text) => {
            Some(Offerings::parse(&text).map_err(|error| damaged(&files.offerings, error))?)
        }
    };
    if let Some(offerings) = &offerings {
        let (of, day) = (offerings.region(), offerings.date());
        if of != region || day != table.date() {
            let reason = format!(
                "it is of {of} on {day}, the instance types are of {region} on {}",
                table.date()
            );
            return Err(wrong(&files.offerings, reason));
        }
    }
    Ok(Catalogue {
        date: table.date(),
        table: Cow::Owned(table),
        offerings,
        source: Source::Refreshed(files.types),
    })
}

fn wrong(path: &Path, reason: String) -> Error {
    Error::Catalogue {
        path: path.to_owned(),
        reason,
    }
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::read(path, source)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use catalog::instance_types::{CapacityType, Offering, all};

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    fn fetched(name: &str, day: u8) -> Fetched {
        let (date, region) = (Date::new(2026, 11, day), region(name));
        let offering = Offering {
            instance_type: all()[0].name.clone(),
            zone: format!("{name}a").into(),
            capacity_type: CapacityType::Spot,
            price: Some("0.01".parse().unwrap()),
        };
        Fetched {
            table: Table::new("a test", date, &region, &all()[..3]).unwrap(),
            offerings: Offerings::new("a test", date, &region, &[offering]).unwrap(),
            left_out: Vec::new(),
            newer: Vec::new(),
            unlisted: None,
            calls: 4,
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder.join("catalog")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn without_files_the_table_in_the_binary_serves() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = load(&folder.path().join("none"), &region("eu-west-1")).unwrap();
        assert_eq!(catalogue.source, Source::Embedded);
        assert_eq!(catalogue.table.types().len(), all().len());
        assert!(catalogue.offerings.is_none());
        assert_eq!(catalogue.date, catalog::instance_types::table().date());
    }

    #[test]
    fn what_is_written_is_what_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let first = fetched("eu-west-1", 20);
        write(folder.path(), &first).unwrap();
        let second = fetched("eu-west-1", 21);
        let files = write(folder.path(), &second).unwrap();
        let catalogue = load(folder.path(), &region("eu-west-1")).unwrap();
        assert_eq!(*catalogue.table, second.table);
        assert_eq!(catalogue.offerings, Some(second.offerings));
        assert_eq!(catalogue.date, Date::new(2026, 11, 21));
        assert_eq!(catalogue.source, Source::Refreshed(files[0].0.clone()));
        assert_eq!(
            names(folder.path()),
            ["instance-types-eu-west-1.csv", "offerings-eu-west-1.csv"]
        );
        for (path, bytes) in &files {
            assert_eq!(fs::metadata(path).unwrap().len(), *bytes as u64);
        }
        // Other regions have files of their own.
        let other = load(folder.path(), &region("us-east-1")).unwrap();
        assert_eq!(other.source, Source::Embedded);
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let first = fetched("eu-west-1", 20);
        write(folder.path(), &first).unwrap();
        // A folder where the offerings' file should be: nothing can be renamed over it.
        let place = folder.path().join("catalog/offerings-eu-west-1.csv");
        fs::remove_file(&place).unwrap();
        fs::create_dir_all(place.join("full")).unwrap();
        assert!(write(folder.path(), &fetched("eu-west-1", 21)).is_err());
        fs::remove_dir_all(&place).unwrap();
        let catalogue = load(folder.path(), &region("eu-west-1")).unwrap();
        assert_eq!(
            (catalogue.date, catalogue.offerings),
            (Date::new(2026, 11, 20), None)
        );
        assert_eq!(names(folder.path()), ["instance-types-eu-west-1.csv"]);
        assert!(write(Path::new("/proc/self/none"), &first).is_err());
    }

    #[test]
    fn files_that_are_wrong_are_errors_that_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let [(types, _), (offerings, _)] = write(folder.path(), &fetched("eu-west-1", 21)).unwrap();
        let (good_types, good_offerings) = (
            fs::read_to_string(&types).unwrap(),
            fs::read_to_string(&offerings).unwrap(),
        );
        for (path, from, to, expected) in [
            (&types, ",arm64,", ",arm65,", "line 5: arch is `arm65`"),
            (
                &types,
                "region: eu-west-1",
                "region: eu-west-2",
                "it is of eu-west-2, not of eu-west-1",
            ),
            (
                &offerings,
                "11-21",
                "11-20",
                "it is of eu-west-1 on 2026-11-20, the instance types are of eu-west-1 on 2026-11-21",
            ),
            (
                &offerings,
                "region: eu-west-1",
                "region: eu-west-2",
                "it is of eu-west-2",
            ),
            (
                &offerings,
                ",spot,",
                ",sport,",
                "line 5: capacity_type is `sport`",
            ),
        ] {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.contains(from), "{from}");
            fs::write(path, text.replacen(from, to, 1)).unwrap();
            let error = load(folder.path(), &region("eu-west-1")).unwrap_err();
            let words = error.to_string();
            assert!(
                words.contains(expected) && words.contains(&*path.to_string_lossy()),
                "{words}"
            );
            assert!(
                error.help().unwrap().contains("catalog refresh"),
                "{error:?}"
            );
            fs::write(&types, &good_types).unwrap();
            fs::write(&offerings, &good_offerings).unwrap();
        }
    }

    #[test]
    fn the_policy_in_the_docs_is_what_is_called() {
        let docs = include_str!("../../../docs/instance-types.md");
        let policy = docs.split("```json").nth(1).unwrap();
        let policy = policy.split("```").next().unwrap();
        let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
        let needed = aws::instance_types::Action::ALL.map(|action| action.permission());
        assert_eq!(policy["Statement"][0]["Action"], serde_json::json!(needed));
    }

    #[tokio::test]
    async fn the_sandbox_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target {
            kind: TargetKind::Sandbox,
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            credentials: None,
            profile: None,
            account: None,
            region: None,
            pace: engine::Pace::REAL,
            helm: crate::HelmSettings::default(),
            force_conflicts: false,
            drain_timeout: crate::DRAIN_TIMEOUT,
        };
        let today = Date::new(2026, 11, 21);
        let error = refresh(&target, &region("eu-west-1"), folder.path(), today)
            .await
            .unwrap_err();
        assert!(
            error.is_refusal() && error.to_string().contains("--target aws"),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
