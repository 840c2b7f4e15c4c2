//! From a property document to what is applied.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::TypeName;
use catalog::in_cluster;
use engine::provider::{ErrorClass, ProviderError};
use serde_json::{Map, Value as Json};

use crate::classify::error;
use crate::name::Place;

/// A Kubernetes object as it is wanted.
pub(crate) struct Wanted {
    pub(crate) place: Place,
    pub(crate) manifest: Json,
    /// Whether an object that is nobody's is taken over.
    pub(crate) adopt: bool,
    /// Whether fields of others are.
    pub(crate) force: bool,
}

impl Wanted {
    /// Reads a property document, secrets in their places.
    pub(crate) fn of(type_name: &TypeName, document: &Json) -> Result<Self, ProviderError> {
        let unusable = || {
            error(
                ErrorClass::Terminal,
                "InvalidManifest",
                format!("a {type_name} has a `Cluster` and a `Manifest` with a name"),
            )
        };
        let place = in_cluster::identifier(type_name, document)
            .ok_or_else(unusable)?
            .parse()?;
        let mut manifest = document[in_cluster::MANIFEST].clone();
        let fields = manifest.as_object_mut().ok_or_else(unusable)?;
        if type_name.as_str() == "Kubernetes::v1::Secret" {
            encode(fields);
        }
        let is_set = |name: &str| document[name].as_bool().unwrap_or(false);
        Ok(Self {
            place,
            manifest,
            adopt: is_set(in_cluster::ADOPT),
            force: is_set(in_cluster::FORCE),
        })
    }
}

/// Writes a Secret's values where the API server keeps them. It would move them there itself, but the field that it then
/// knows as ours would be `stringData`, and a key that we give up would stay.
fn encode(secret: &mut Map<String, Json>) {
    let Some(Json::Object(values)) = secret.remove("stringData") else {
        return;
    };
    let encoded = values.into_iter().map(|(key, value)| {
        let text = match value {
            Json::String(text) => text,
            other => other.to_string(),
        };
        (key, Json::from(STANDARD.encode(text)))
    });
    let data = secret
        .entry("data")
        .or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(data) = data {
        data.extend(encoded);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secrets_values_are_written_where_they_are_kept() {
        let type_name = TypeName::kubernetes("v1", "Secret").unwrap();
        let document = json!({
            "Cluster": "c", "Adopt": true,
            "Manifest": {"metadata": {"name": "s", "namespace": "n"}, "stringData": {"password": "hunter2"}},
        });
        let wanted = Wanted::of(&type_name, &document).unwrap();
        assert_eq!(wanted.manifest["data"]["password"], "aHVudGVyMg==");
        assert!(wanted.manifest.get("stringData").is_none());
        assert_eq!(wanted.place.to_string(), "c|n|s");
        assert!(wanted.adopt && !wanted.force);
        assert!(Wanted::of(&type_name, &json!({"Cluster": "c"})).is_err());
    }
}
