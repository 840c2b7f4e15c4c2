//! What validation makes of a spec.

use serde::Serialize;

use crate::model::Spec;

/// A spec that was validated, for one environment: what the blueprint takes. Only [`crate::load`] makes one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Platform {
    /// The platform's name.
    pub platform: catalog::ids::PlatformName,
    /// The environment.
    pub environment: catalog::ids::EnvironmentName,
    /// The region.
    pub region: catalog::ids::Region,
    /// The availability zones, in order; two or more.
    pub availability_zones: Vec<String>,
    /// Whether destroying it needs its name typed.
    pub protected: bool,
    /// The spec itself, overlays and overrides applied, defaults filled in.
    pub spec: Spec,
    /// SHA-256, in hex, of the canonical JSON of what is deployed of the spec: all but `nodePools`, `nodeClass` and `services`.
    pub hash: String,
}

impl Platform {
    /// The environment's name in AWS: `<platform>-<env>`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.platform, self.environment)
    }
}
