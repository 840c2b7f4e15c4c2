//! The chart repository: stand-ins for the charts that a platform is made of, under their upstream names and versions.
//!
//! A stand-in has upstream's keys in its `values.schema.json`, so that a wrong value fails here as it would there, and brings
//! the objects that matter to a cluster: custom resource definitions, workloads with their real requests, budgets. It is served
//! as upstream serves it: as OCI artifacts (`/v2/…`, the distribution API, read only) and as a classic repository
//! (`/charts/index.yaml`).

mod archive;
mod registry;

use std::sync::OnceLock;

use include_dir::{Dir, include_dir};
use serde_json::Value as Json;

pub(crate) use registry::{answer, digest, is_ours};

/// The sources of the charts: one folder each.
static SOURCES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/charts");

/// A packaged chart.
pub(crate) struct Chart {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Where upstream has it in its registry (`karpenter/karpenter`).
    pub(crate) repository: String,
    /// `Chart.yaml` as JSON: the artifact's configuration.
    pub(crate) metadata: Vec<u8>,
    /// The `.tgz`.
    pub(crate) archive: Vec<u8>,
}

/// The annotation of a `Chart.yaml` that says where upstream has the chart.
const REPOSITORY: &str = "seaworthy.dev/repository";

/// All charts.
pub(crate) fn charts() -> &'static [Chart] {
    static CHARTS: OnceLock<Vec<Chart>> = OnceLock::new();
    CHARTS.get_or_init(|| SOURCES.dirs().filter_map(chart).collect())
}

fn chart(folder: &Dir<'_>) -> Option<Chart> {
    let text = folder
        .get_file(folder.path().join("Chart.yaml"))?
        .contents_utf8()?;
    let metadata: Json = serde_saphyr::from_str(text).ok()?;
    let own = |name: &str| metadata[name].as_str().map(str::to_owned);
    let name = own("name")?;
    Some(Chart {
        version: own("version")?,
        repository: metadata["annotations"][REPOSITORY].as_str()?.to_owned(),
        archive: archive::pack(folder, &name),
        metadata: metadata.to_string().into_bytes(),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_is_a_chart() {
        assert_eq!(charts().len(), SOURCES.dirs().count());
        for chart in charts() {
            assert_eq!(
                archive::pack(SOURCES.get_dir(&chart.name).unwrap(), &chart.name),
                chart.archive
            );
            let schema = format!("{}/values.schema.json", chart.name);
            let schema: Json =
                serde_json::from_slice(SOURCES.get_file(schema).unwrap().contents()).unwrap();
            assert_eq!(schema["additionalProperties"], false, "{}", chart.name);
        }
    }
}
