//! Specs to start from: one for each of the three architectures that the product unites. They are files for people, with
//! comments; `init` writes them out.

use std::fmt;
use std::str::FromStr;

use catalog::ids::PlatformName;

/// A spec to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// Services infrastructure: Redis, RabbitMQ, a certificate, backups; IRSA.
    Ekb,
    /// A dev and a prod cluster fed from Git, small and cheap; Pod Identity, shared image repositories.
    Gitops,
    /// A bare cluster with Karpenter and CloudWatch observability; IRSA.
    Accelerator,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ekb, Self::Gitops, Self::Accelerator];

    /// Its name, as on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ekb => "ekb",
            Self::Gitops => "gitops",
            Self::Accelerator => "accelerator",
        }
    }

    /// What it is, in a line.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Ekb => "EKS with Redis, RabbitMQ, a wildcard certificate and backups; IRSA",
            Self::Gitops => {
                "small dev and prod clusters fed from Git; Pod Identity, Route 53, shared image repositories"
            }
            Self::Accelerator => {
                "EKS with Karpenter and CloudWatch observability, nothing else; IRSA"
            }
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// There is no such preset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no preset `{0}`; there are ekb, gitops and accelerator")]
pub struct UnknownPreset(pub String);

impl FromStr for Preset {
    type Err = UnknownPreset;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|preset| preset.name() == text)
            .ok_or_else(|| UnknownPreset(text.to_owned()))
    }
}

macro_rules! files {
    ($folder:literal) => {
        [
            (
                "platform.yaml",
                include_str!(concat!("../presets/", $folder, "/platform.yaml")),
            ),
            (
                "environments/dev.yaml",
                include_str!(concat!("../presets/", $folder, "/environments/dev.yaml")),
            ),
            (
                "environments/prod.yaml",
                include_str!(concat!("../presets/", $folder, "/environments/prod.yaml")),
            ),
        ]
    };
}

/// A preset's files for a platform of that name: paths in the platform's folder, and texts.
pub fn preset(kind: Preset, name: &PlatformName) -> Vec<(&'static str, String)> {
    let files = match kind {
        Preset::Ekb => files!("ekb"),
        Preset::Gitops => files!("gitops"),
        Preset::Accelerator => files!("accelerator"),
    };
    // These names alone are something else than text in YAML.
    let quoted = matches!(name.as_str(), "true" | "false" | "null")
        .then(|| format!("platform: \"{name}\"\n"));
    let fill = |text: &str| {
        let text = quoted.as_ref().map_or_else(
            || text.to_owned(),
            |line| text.replace("platform: {{platform}}\n", line),
        );
        text.replace("{{platform}}", name.as_str())
    };
    files
        .into_iter()
        .map(|(path, text)| (path, fill(text)))
        .collect()
}
