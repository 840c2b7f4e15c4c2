//! The hashes by which Karpenter tells that a template or a node class has changed.
//!
//! The same fields count as in `pkg/apis/v1/nodepool.go` `Hash` and the provider's `ec2nodeclass.go` `Hash`; the number itself is
//! another: Karpenter's comes from how Go lays its values out in memory.

use objects::ec2nodeclass::Ec2NodeClass;
use objects::karpenter::NodePool;
use serde_json::{Value as Json, json};

use crate::draw::number;

/// `karpenter.sh/nodepool-hash`.
pub(super) const POOL_HASH: &str = "karpenter.sh/nodepool-hash";
/// `karpenter.sh/nodepool-hash-version` and its value.
pub(super) const POOL_VERSION: (&str, &str) = ("karpenter.sh/nodepool-hash-version", "v3");
/// `karpenter.k8s.aws/ec2nodeclass-hash`.
pub(super) const CLASS_HASH: &str = "karpenter.k8s.aws/ec2nodeclass-hash";
/// `karpenter.k8s.aws/ec2nodeclass-hash-version` and its value.
pub(super) const CLASS_VERSION: (&str, &str) =
    ("karpenter.k8s.aws/ec2nodeclass-hash-version", "v6");

/// Lists are sets, and what is empty is as good as absent.
fn canonical(json: &Json) -> Option<Json> {
    match json {
        Json::Null => None,
        Json::Bool(false) => None,
        Json::String(text) if text.is_empty() => None,
        Json::Number(number) if number.as_f64() == Some(0.0) => None,
        Json::Array(all) => {
            let mut all: Vec<Json> = all.iter().filter_map(canonical).collect();
            all.sort_by_cached_key(Json::to_string);
            (!all.is_empty()).then(|| json!(all))
        }
        Json::Object(fields) => {
            let fields: serde_json::Map<String, Json> = fields
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), canonical(value)?)))
                .collect();
            (!fields.is_empty()).then(|| json!(fields))
        }
        other => Some(other.clone()),
    }
}

fn hash(json: &Json) -> String {
    let text = canonical(json).map(|json| json.to_string());
    number(&[&text.unwrap_or_default()]).to_string()
}

/// The hash of a pool's template: everything but its requirements.
pub(super) fn of_pool(pool: &NodePool) -> String {
    let mut json = json!(pool.spec.template);
    json["spec"]["requirements"] = Json::Null;
    hash(&json)
}

/// The hash of a node class: everything but what is found in AWS by its selectors, which is compared by itself.
pub(super) fn of_class(class: &Ec2NodeClass) -> String {
    let mut json = json!(class.spec);
    for field in [
        "subnetSelectorTerms",
        "securityGroupSelectorTerms",
        "capacityReservationSelectorTerms",
        "ipPrefixCount",
        "amiSelectorTerms",
        "amiFamily",
    ] {
        json[field] = Json::Null;
    }
    json["family"] = json!(super::images::Family::of(class).map(super::images::Family::name));
    hash(&json)
}
