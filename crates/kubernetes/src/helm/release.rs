//! Releases as Helm keeps them: a Secret for each revision, of the type `helm.sh/release.v1`.
//!
//! Source of the form: Helm's `pkg/storage/driver/{secrets,util}.go`: `data.release` is Base64 of Base64 of gzip of JSON; the
//! labels `owner`, `name`, `version` and `status` are its own, others are the user's. Helm 3 and 4 have the same.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::in_cluster::owner_labels;
use flate2::read::GzDecoder;
use graph::{Scope, is_secret};
use serde_json::{Map, Value as Json, json};

use crate::name::Place;

/// A Secret takes a mebibyte at most; what is in it is text, that much smaller when packed. More than this is no release.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Stands for a value that we have not set: it may be a secret.
const NOT_OURS: &str = "(set by somebody else)";
/// What the description of a revision begins with that we have made; our address follows.
const DESCRIPTION: &str = "seaworthy: ";

/// A revision of a release.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Revision {
    pub(crate) number: u64,
    /// `deployed`, `failed`, `superseded`, `pending-install`, …
    pub(crate) status: String,
    pub(crate) labels: Map<String, Json>,
    packed: String,
}

/// What is in a revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contents {
    chart: String,
    version: String,
    values: Json,
    description: String,
}

/// The description of a revision that we make.
pub(crate) fn description(address: &str) -> String {
    format!("{DESCRIPTION}{address}")
}

/// The revisions among a release's Secrets, the newest first.
pub(crate) fn revisions(secrets: &[Json]) -> Vec<Revision> {
    let mut revisions: Vec<Revision> = secrets.iter().filter_map(Revision::of).collect();
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    revisions
}

impl Revision {
    fn of(secret: &Json) -> Option<Self> {
        let labels = secret["metadata"]["labels"].as_object()?;
        let label = |name: &str| labels.get(name).and_then(Json::as_str);
        if label("owner") != Some("helm") {
            return None;
        }
        Some(Self {
            number: label("version")?.parse().ok()?,
            status: label("status")?.to_owned(),
            labels: labels.clone(),
            packed: secret["data"]["release"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        })
    }

    /// Whether it is the scope's.
    pub(crate) fn belongs_to(&self, scope: &Scope) -> bool {
        let label = |name: &str| self.labels.get(name).and_then(Json::as_str);
        label(owner_labels::PLATFORM) == Some(scope.platform.as_str())
            && label(owner_labels::ENVIRONMENT) == Some(scope.environment.as_str())
    }

    /// Whether Helm was stopped in the middle of it.
    pub(crate) fn is_pending(&self) -> bool {
        self.status.starts_with("pending-") || self.status == "uninstalling"
    }

    /// What is in it; none when it is no release.
    pub(crate) fn contents(&self) -> Option<Contents> {
        let packed = STANDARD.decode(STANDARD.decode(&self.packed).ok()?).ok()?;
        let mut text = String::new();
        GzDecoder::new(&packed[..])
            .take(LARGEST)
            .read_to_string(&mut text)
            .ok()?;
        let release: Json = serde_json::from_str(&text).ok()?;
        let metadata = &release["chart"]["metadata"];
        let owned = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        Some(Contents {
            chart: owned(&metadata["name"]),
            version: owned(&metadata["version"]),
            values: release["config"].clone(),
            description: owned(&release["info"]["description"]),
        })
    }

    /// The release in the shape of what we have applied.
    pub(crate) fn model(&self, place: &Place, contents: &Contents, applied: &Json) -> Json {
        let label = |name: &str| self.labels.get(name).cloned().unwrap_or_default();
        let address = contents.description.strip_prefix(DESCRIPTION);
        let mut model = json!({
            "Cluster": place.cluster,
            "Namespace": place.namespace,
            "Name": place.name,
            "Version": version(&applied["Version"], &contents.version),
            "Status": self.status,
            "Values": values(&applied["Values"], &contents.values),
            "Owner": {
                owner_labels::PLATFORM: label(owner_labels::PLATFORM),
                owner_labels::ENVIRONMENT: label(owner_labels::ENVIRONMENT),
                owner_labels::ADDRESS: address,
            },
            "Revision": self.number,
        });
        // A chart in a file or a folder may be called as it likes.
        let chart = applied["Chart"].as_str().unwrap_or_default();
        let named = chart.starts_with("oci://") || applied["Repository"].is_string();
        if named && chart.rsplit('/').next() != Some(&contents.chart) {
            model["Chart"] = contents.chart.as_str().into();
        }
        model
    }
}

/// A chart's version, in the applied spelling: some are tagged with a `v` that the chart itself does not have.
fn version(applied: &Json, chart: &str) -> Json {
    let plain = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
    match applied.as_str() {
        Some(text) if plain(text) == plain(chart) => applied.clone(),
        _ => chart.into(),
    }
}

/// Values in the shape of those that we have applied: no secret among them, and none of those that somebody else has set.
fn values(applied: &Json, live: &Json) -> Json {
    if is_secret(applied) {
        return if live.is_null() {
            Json::Null
        } else {
            applied.clone()
        };
    }
    match (applied, live) {
        (Json::Object(wanted), Json::Object(present)) => {
            let mut model = Map::new();
            for (name, wanted) in wanted {
                if let Some(present) = present.get(name) {
                    model.insert(name.clone(), values(wanted, present));
                }
            }
            let others = present.keys().filter(|name| !wanted.contains_key(*name));
            model.extend(others.map(|name| (name.clone(), NOT_OURS.into())));
            model.into()
        }
        (Json::Null, Json::Object(present)) => {
            let others = present.keys().map(|name| (name.clone(), NOT_OURS.into()));
            Json::Object(others.collect())
        }
        (Json::Array(wanted), Json::Array(present)) if wanted.len() == present.len() => wanted
            .iter()
            .zip(present)
            .map(|(wanted, present)| values(wanted, present))
            .collect(),
        (Json::Number(one), Json::Number(other)) if one.as_f64() == other.as_f64() => {
            applied.clone()
        }
        (Json::Array(_) | Json::Object(_), _) | (_, Json::Array(_) | Json::Object(_)) => {
            NOT_OURS.into()
        }
        _ => live.clone(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    /// A Secret as Helm writes it.
    pub(crate) fn secret(number: u64, status: &str, values: Json) -> Json {
        let release = json!({
            "name": "web", "version": number, "config": values,
            "info": {"status": status, "description": "seaworthy: services/web"},
            "chart": {"metadata": {"name": "web", "version": "1.2.3"}},
        });
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(release.to_string().as_bytes()).unwrap();
        let packed = STANDARD.encode(STANDARD.encode(encoder.finish().unwrap()));
        json!({
            "type": "helm.sh/release.v1",
            "metadata": {
                "name": format!("sh.helm.release.v1.web.v{number}"), "namespace": "shop",
                "labels": {
                    "owner": "helm", "name": "web", "version": number.to_string(), "status": status,
                    "seaworthy.dev/platform": "shop", "seaworthy.dev/environment": "dev",
                },
            },
            "data": {"release": packed},
        })
    }

    #[test]
    fn the_newest_revision_is_told_with_our_values_and_none_of_others() {
        let reference = json!({"$secret": {"secret": "redis/secret"}});
        let applied = json!({
            "Chart": "oci://example.com/charts/web", "Version": "v1.2.3",
            "Values": {"replicas": 2, "password": reference, "gone": true, "list": [1, 2]},
        });
        let live =
            json!({"replicas": 3.0, "password": "hunter2", "token": "s3cret", "list": [1, 2]});
        let secrets = [
            secret(1, "superseded", json!({})),
            secret(2, "deployed", live),
        ];
        let revisions = revisions(&secrets);
        let newest = &revisions[0];
        assert_eq!((newest.number, newest.status.as_str()), (2, "deployed"));
        let place: Place = "shop-dev|shop|web".parse().unwrap();
        let contents = newest.contents().unwrap();
        let model = newest.model(&place, &contents, &applied);
        assert_eq!(
            model["Values"],
            json!({"replicas": 3.0, "password": reference, "token": NOT_OURS, "list": [1, 2]})
        );
        assert_eq!(model["Version"], "v1.2.3");
        assert_eq!(model["Owner"]["seaworthy.dev/address"], "services/web");
        assert_eq!(model.get("Chart"), None);
        for hidden in ["hunter2", "s3cret"] {
            assert!(!model.to_string().contains(hidden));
        }
    }

    #[test]
    fn what_is_no_release_is_none() {
        let broken = |packed: &str| {
            let mut secret = secret(1, "deployed", json!({}));
            secret["data"]["release"] = packed.into();
            revisions(&[secret])[0].contents()
        };
        assert_eq!(broken(""), None);
        assert_eq!(broken("bm90aGluZw=="), None);
        assert!(revisions(&[json!({"metadata": {"labels": {"owner": "me"}}})]).is_empty());
    }
}
