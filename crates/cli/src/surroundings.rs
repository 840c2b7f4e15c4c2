//! What the process is given from outside, read once: folder, variables, date, target. Nothing below this crate reads
//! the environment for itself.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use catalog::Date;
use catalog::ids::{AccountId, EnvironmentName, Region};
use engine::Pace;
use operations::{HelmSettings, PlatformFolder, Registry, Target, TargetKind, Wanted};
use sandbox::process;
use sandbox::{StartOptions, TimeScale};
use seaworthy_cli::args::{GlobalArgs, TargetName};

use crate::ended::Failure;

/// What the process is given from outside.
pub(crate) struct Surroundings {
    pub(crate) global: GlobalArgs,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) today: Date,
}

impl Surroundings {
    pub(crate) fn read(global: GlobalArgs) -> Result<Self, Failure> {
        // A variable that is not UTF-8 is none of ours.
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let today = match variables.get("SEAWORTHY_TODAY") {
            Some(text) => text.parse().map_err(|_| {
                Failure::Wrong(format!(
                    "SEAWORTHY_TODAY is `{text}`: a date such as 2026-11-21 is wanted"
                ))
            })?,
            None => today()?,
        };
        Ok(Self {
            global,
            variables,
            today,
        })
    }

    /// The platform's folder.
    pub(crate) fn folder(&self) -> Result<PlatformFolder, Failure> {
        let start = self
            .global
            .directory
            .clone()
            .unwrap_or_else(|| PathBuf::from("."));
        Ok(PlatformFolder::find(&start)?)
    }

    /// An environment as it is wanted.
    pub(crate) fn wanted(
        &self,
        folder: &PlatformFolder,
        environment: &EnvironmentName,
    ) -> Result<Wanted, Failure> {
        Ok(Wanted::load(
            folder,
            environment,
            &self.variables,
            self.today,
        )?)
    }

    /// The region of the platform that we are in, or of the AWS variables.
    pub(crate) fn region(&self) -> Result<Region, Failure> {
        let folder = self.folder().ok();
        let environment = folder
            .as_ref()
            .and_then(|folder| folder.environments().ok()?.into_iter().next());
        if let (Some(folder), Some(environment)) = (folder, environment) {
            return Ok(self.wanted(&folder, &environment)?.platform.region);
        }
        let named = ["AWS_REGION", "AWS_DEFAULT_REGION"]
            .iter()
            .find_map(|name| self.variables.get(*name));
        let named = named
            .ok_or_else(|| Failure::Wrong("which region? give one with --region".to_owned()))?;
        Region::new(named).map_err(|error| Failure::Wrong(error.to_string()))
    }

    /// Where the sandbox's world is.
    pub(crate) fn sandbox_folder(&self) -> PathBuf {
        self.data_folder().join("sandbox")
    }

    /// What is ours on this machine: `SEAWORTHY_HOME`, or the user's folder for data.
    pub(crate) fn data_folder(&self) -> PathBuf {
        let of = |name: &str| {
            self.variables
                .get(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        of("SEAWORTHY_HOME")
            .or_else(|| of("XDG_DATA_HOME").map(|data| data.join("seaworthy")))
            .or_else(|| of("HOME").map(|home| home.join(".local/share/seaworthy")))
            .unwrap_or_else(|| std::env::temp_dir().join("seaworthy"))
    }

    /// The target as far as it is known without starting anything.
    pub(crate) fn target_as_it_is(&self) -> Result<Target, Failure> {
        match self.global.target {
            TargetName::Aws => Ok(self.aws()),
            TargetName::Sandbox => {
                let folder = self.sandbox_folder();
                match process::status(&folder)? {
                    Some(status) => self.sandbox_target(&folder, &status),
                    None => Ok(self.no_sandbox()),
                }
            }
        }
    }

    /// The target, ready to be talked to: a sandbox that does not run is started. A new world plays the spec's region.
    pub(crate) fn target(&self, region: &Region) -> Result<Target, Failure> {
        match self.global.target {
            TargetName::Aws => Ok(self.aws()),
            TargetName::Sandbox => {
                let folder = self.sandbox_folder();
                let options = StartOptions {
                    region: Some(region.to_string()),
                    ..StartOptions::default()
                };
                let endpoint = process::start(&folder, &options)?;
                self.sandbox_target(&folder, &endpoint.status)
            }
        }
    }

    fn aws(&self) -> Target {
        Target {
            kind: TargetKind::Aws,
            endpoint: None,
            credentials: None,
            profile: self.global.profile.clone(),
            account: None,
            region: None,
            pace: Pace::REAL,
            helm: self.helm(),
            force_conflicts: false,
            drain_timeout: operations::DRAIN_TIMEOUT,
        }
    }

    fn no_sandbox(&self) -> Target {
        Target {
            kind: TargetKind::Sandbox,
            profile: None,
            ..self.aws()
        }
    }

    fn sandbox_target(&self, folder: &Path, status: &sandbox::Status) -> Result<Target, Failure> {
        let credentials = sandbox::Credentials::load(folder)?;
        let overview = &status.overview;
        Ok(Target {
            endpoint: Some(format!("http://127.0.0.1:{}", status.port)),
            credentials: Some((credentials.access_key_id, credentials.secret_access_key)),
            account: AccountId::new(&overview.account).ok(),
            region: Region::new(&overview.region).ok(),
            pace: pace(overview.time_scale),
            helm: HelmSettings {
                registry: Some(Registry {
                    host: format!("127.0.0.1:{}", status.port),
                    plain_http: true,
                }),
                ..self.helm()
            },
            ..self.no_sandbox()
        })
    }

    /// Where Helm is, and where its files go.
    pub(crate) fn helm(&self) -> HelmSettings {
        let of = |name: &str| {
            self.variables
                .get(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let given = of("SEAWORTHY_HELM");
        let search_path = self.variables.get("PATH").map(OsStr::new);
        // Beside a program that was built here, and where the user keeps what is ours.
        let built = std::env::current_exe()
            .ok()
            .and_then(|program| Some(program.parent()?.parent()?.join("tools")));
        let folders: Vec<PathBuf> = built
            .into_iter()
            .chain([self.data_folder().join("tools")])
            .collect();
        HelmSettings {
            program: HelmSettings::find(given.as_deref(), search_path, &folders),
            scratch: self.data_folder().join("scratch"),
            charts: of("SEAWORTHY_CHARTS"),
            registry: None,
        }
    }
}

fn today() -> Result<Date, Failure> {
    let now = jiff::Zoned::now().date();
    now.to_string()
        .parse()
        .map_err(|_| Failure::Wrong(format!("this machine's clock says {now}")))
}

fn pace(scale: TimeScale) -> Pace {
    Pace::new(match scale {
        TimeScale::Times(scale) => scale,
        TimeScale::Max => f64::INFINITY,
    })
}
