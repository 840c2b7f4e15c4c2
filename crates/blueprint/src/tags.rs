//! Tags: who owns what. They are how a resource is found again when nothing else is left of a run.

use std::collections::BTreeMap;

use catalog::TagShape;
use catalog::ids::EnvironmentName;
pub use graph::owner_tags::{ADDRESS, ENVIRONMENT, PLATFORM};
use graph::{Value, value};
use spec::Platform;

use crate::draft::Draft;

/// On volumes that AWS Backup must save: the environment's name in AWS.
pub const BACKUP: &str = "seaworthy:backup";

/// The owner tags of the resource at an address, and the spec's own.
pub(crate) fn owner(
    platform: &Platform,
    environment: &EnvironmentName,
    address: &str,
) -> BTreeMap<String, String> {
    let mut tags = platform.spec.aws.tags.clone();
    tags.extend(
        [
            (PLATFORM, platform.platform.as_str()),
            (ENVIRONMENT, environment.as_str()),
            (ADDRESS, address),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    tags
}

/// Writes a draft's tags into its properties, in the form that its type takes them; nothing where it takes none.
pub(crate) fn apply(platform: &Platform, environment: &EnvironmentName, draft: &mut Draft) {
    let Some(schema) = catalog::schema(&draft.type_name) else {
        return;
    };
    let tagging = schema.tagging();
    let Some(property) = tagging.property.as_ref().and_then(|path| path.property()) else {
        return;
    };
    let mut tags = owner(platform, environment, draft.address.as_str());
    // The EC2 console shows the tag `Name` where other services have names.
    if schema.type_name().service() == "EC2" {
        tags.insert(
            "Name".to_owned(),
            display_name(platform, environment, draft.address.as_str()),
        );
    }
    tags.extend(std::mem::take(&mut draft.tags));
    let value = match tagging.shape {
        TagShape::List => list(&tags),
        TagShape::Map => map(&tags),
        TagShape::Specifications(resource_type) => {
            value!([{ "ResourceType": resource_type, "Tags": list(&tags) }])
        }
    };
    draft.properties.insert(property.to_owned(), value);
}

/// `[{"Key": …, "Value": …}]`, sorted by key.
pub(crate) fn list(tags: &BTreeMap<String, String>) -> Value {
    tags.iter()
        .map(|(key, text)| value!({ "Key": key.as_str(), "Value": text.as_str() }))
        .collect::<Vec<_>>()
        .into()
}

/// `{key: value}`.
pub(crate) fn map(tags: &BTreeMap<String, String>) -> Value {
    Value::object(
        tags.iter()
            .map(|(key, text)| (key.clone(), text.as_str().into())),
    )
}

/// `shop-prod-subnet-private-a` for `network/subnet/private-a`: the component `network` says nothing in EC2's lists.
fn display_name(platform: &Platform, environment: &EnvironmentName, address: &str) -> String {
    let place = address
        .strip_prefix("network/")
        .unwrap_or(address)
        .replace('/', "-");
    format!("{}-{environment}-{place}", platform.platform)
}
