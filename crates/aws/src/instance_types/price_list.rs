//! On-demand prices, from the AWS Price List Query API.

use std::collections::BTreeMap;

use catalog::instance_types::HourlyPrice;
use catalog::regions;
use serde::Deserialize;
use serde_json::{Value, json};

use super::FetchError;
use super::calls::{Action, Caller};
use crate::endpoint::Service;

/// What a price is of: Linux without anything on it, in use, by the hour (karpenter-provider-aws 1.14,
/// `pkg/providers/pricing/pricing.go`, `fetchOnDemandPricing`).
const ALL: [(&str, &str); 4] = [
    ("operatingSystem", "Linux"),
    ("preInstalledSw", "NA"),
    ("capacitystatus", "Used"),
    ("marketoption", "OnDemand"),
];
/// An instance on a machine that others share.
const SHARED: [(&str, &str); 2] = [("tenancy", "Shared"), ("productFamily", "Compute Instance")];
/// A whole machine is nobody else's, and listed so.
const BARE_METAL: [(&str, &str); 2] = [
    ("tenancy", "Dedicated"),
    ("productFamily", "Compute Instance (bare metal)"),
];

/// The region's on-demand prices.
pub(super) enum Prices {
    /// By type.
    Listed(BTreeMap<String, HourlyPrice>),
    /// There is no list in US dollars, for this reason.
    Unlisted(&'static str),
}

/// An entry of the list, as far as it is read.
#[derive(Deserialize)]
struct Entry {
    product: Product,
    #[serde(default)]
    terms: Terms,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    #[serde(default)]
    product_family: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Terms {
    #[serde(default, rename = "OnDemand")]
    on_demand: BTreeMap<String, Term>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    #[serde(default)]
    price_dimensions: BTreeMap<String, Dimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dimension {
    #[serde(default)]
    price_per_unit: BTreeMap<String, String>,
}

/// Asks the price list for all types of the region.
pub(super) async fn on_demand(caller: &Caller<'_>) -> Result<Prices, FetchError> {
    let region = caller.region();
    match regions::partition(region.as_str()) {
        "aws" => {}
        "aws-cn" => {
            return Ok(Prices::Unlisted(
                "AWS lists prices in China in CNY, not in USD",
            ));
        }
        _ => {
            return Ok(Prices::Unlisted(
                "AWS has no price list for the credentials of GovCloud",
            ));
        }
    }
    let (shared, bare_metal) = tokio::join!(listed(caller, &SHARED), listed(caller, &BARE_METAL));
    let mut prices = shared?;
    prices.extend(bare_metal?);
    if prices.is_empty() {
        return Err(FetchError::Nothing {
            action: Action::GetProducts,
            region: region.clone(),
        });
    }
    Ok(Prices::Listed(prices))
}

async fn listed(
    caller: &Caller<'_>,
    of: &[(&str, &str)],
) -> Result<BTreeMap<String, HourlyPrice>, FetchError> {
    let mut wanted: Vec<(&str, &str)> = [ALL.as_slice(), of].concat();
    wanted.push(("regionCode", caller.region().as_str()));
    let filters: Vec<Value> = wanted
        .iter()
        .map(|(field, value)| json!({"Type": "TERM_MATCH", "Field": field, "Value": value}))
        .collect();
    let input = json!({
        "ServiceCode": "AmazonEC2",
        "FormatVersion": "aws_v1",
        "Filters": filters,
        // The most that it takes (Price List API reference).
        "MaxResults": 100,
    });
    let mut prices = BTreeMap::new();
    caller
        .json(Service::Pricing, Action::GetProducts, input, |page| {
            let entries = page["PriceList"].as_array().ok_or("it has no PriceList")?;
            for entry in entries {
                // Each entry is a document of its own, in a string.
                let text = entry.as_str().ok_or("an entry of PriceList is no text")?;
                let entry: Entry = serde_json::from_str(text).map_err(|error| error.to_string())?;
                read(&entry, &wanted, &mut prices)?;
            }
            Ok(())
        })
        .await?;
    Ok(prices)
}

/// Takes an entry's price, if it is one of those that were asked for. Of several of one type the highest counts.
fn read(
    entry: &Entry,
    wanted: &[(&str, &str)],
    prices: &mut BTreeMap<String, HourlyPrice>,
) -> Result<(), String> {
    let product = &entry.product;
    let other = wanted.iter().any(|(field, value)| {
        let said = match *field {
            "productFamily" => product.product_family.as_ref(),
            field => product.attributes.get(field),
        };
        said.is_some_and(|said| said != value)
    });
    let Some(name) = product.attributes.get("instanceType").filter(|_| !other) else {
        return Ok(());
    };
    let dimensions = entry
        .terms
        .on_demand
        .values()
        .flat_map(|term| term.price_dimensions.values());
    for text in dimensions.filter_map(|dimension| dimension.price_per_unit.get("USD")) {
        let price =
            HourlyPrice::rounded(text).map_err(|error| format!("the price of {name}: {error}"))?;
        // Reserved capacity that is in use is listed at nothing.
        if price > HourlyPrice::default() {
            let highest = prices.entry(name.clone()).or_insert(price);
            *highest = price.max(*highest);
        }
    }
    Ok(())
}
