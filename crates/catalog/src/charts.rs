//! The Helm charts that a deploy installs: where they are, and the version that was read and tried.
//!
//! A version is written down here and nowhere else, so that a deploy makes the same release today and in a year; a newer one
//! is a change of this table, with its date.

use crate::date::Date;
use crate::versions::KubernetesVersion;

/// A chart at a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chart {
    /// Its name, and that of its release.
    pub name: &'static str,
    /// Where it is: `oci://host/path`.
    pub reference: &'static str,
    /// Its version, in full.
    pub version: &'static str,
    /// The oldest and the newest Kubernetes that it runs on.
    pub runs_on: [KubernetesVersion; 2],
    /// When this line was written.
    pub as_of: Date,
}

/// Karpenter. Its chart and its program have one version. It runs on what `pkg/providers/version/version.go` of
/// `karpenter-provider-aws` v1.14.1 says; where its chart is, is in its getting started guide.
pub const KARPENTER: Chart = Chart {
    name: "karpenter",
    reference: "oci://public.ecr.aws/karpenter/karpenter",
    version: "1.14.1",
    runs_on: [KubernetesVersion::new(1, 26), KubernetesVersion::new(1, 36)],
    as_of: Date::new(2026, 11, 21),
};

/// All of them, by name.
pub const ALL: [Chart; 1] = [KARPENTER];

impl Chart {
    /// Whether it runs on a version of Kubernetes, as far as is known.
    #[must_use]
    pub fn runs_on(&self, kubernetes: KubernetesVersion) -> bool {
        (self.runs_on[0]..=self.runs_on[1]).contains(&kubernetes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::{KubernetesVersion, RELEASES};

    #[test]
    fn every_chart_runs_on_every_known_kubernetes() {
        for chart in ALL {
            for release in RELEASES {
                assert!(
                    chart.runs_on(release.version),
                    "{} {}",
                    chart.name,
                    release.version
                );
            }
            assert!(!chart.runs_on(KubernetesVersion::new(1, 25)));
            assert!(chart.reference.starts_with("oci://") && chart.reference.ends_with(chart.name));
        }
    }
}
