//! The zones that have a type, and what it costs on the spot market there.

use std::collections::{BTreeMap, BTreeSet};

use catalog::instance_types::HourlyPrice;
use jiff::{Timestamp, Unit};

use super::FetchError;
use super::calls::{Action, Caller};
use super::described::text;

/// Zones by type.
pub(super) type Zones = BTreeMap<String, BTreeSet<String>>;
/// Spot prices by type and zone.
pub(super) type SpotPrices = BTreeMap<String, BTreeMap<String, HourlyPrice>>;

/// Asks EC2 which zones have which types.
pub(super) async fn zones(caller: &Caller<'_>) -> Result<Zones, FetchError> {
    let action = Action::DescribeInstanceTypeOfferings;
    let parameters = [
        ("LocationType", "availability-zone"),
        // The most that it takes (EC2 API reference).
        ("MaxResults", "1000"),
    ];
    let mut zones = Zones::new();
    caller
        .ec2(action, &parameters, "instanceTypeOfferingSet", |item| {
            let name = text(item, &["instanceType"]).ok_or("an item has no instanceType")?;
            let zone = text(item, &["location"]).ok_or("an item has no location")?;
            zones
                .entry(name.to_owned())
                .or_default()
                .insert(zone.to_owned());
            Ok(())
        })
        .await?;
    if zones.is_empty() {
        return Err(FetchError::Nothing {
            action,
            region: caller.region().clone(),
        });
    }
    Ok(zones)
}

/// Asks EC2 for the Spot prices of Linux as they are now. A region without any is possible: a new one, or one where the
/// spot market is closed to the account.
pub(super) async fn spot_prices(caller: &Caller<'_>) -> Result<SpotPrices, FetchError> {
    // From now on: EC2 adds the last change before, and that is the price now (EC2 API reference, DescribeSpotPriceHistory).
    let now = Timestamp::now().round(Unit::Second);
    let now = now.unwrap_or_else(|_| Timestamp::now()).to_string();
    let parameters = [
        ("StartTime", now.as_str()),
        // Accounts from the days before VPCs see two names of the same product.
        ("ProductDescription.1", "Linux/UNIX"),
        ("ProductDescription.2", "Linux/UNIX (Amazon VPC)"),
        ("MaxResults", "1000"),
    ];
    let mut newest: BTreeMap<(String, String), (Timestamp, HourlyPrice)> = BTreeMap::new();
    let action = Action::DescribeSpotPriceHistory;
    caller
        .ec2(action, &parameters, "spotPriceHistorySet", |item| {
            let field = |name: &'static str| {
                text(item, &[name]).ok_or_else(|| format!("an item has no {name}"))
            };
            let price = HourlyPrice::rounded(field("spotPrice")?);
            let price = price.map_err(|error| error.to_string())?;
            let at = field("timestamp")?;
            let at: Timestamp = at.parse().map_err(|_| format!("`{at}` is not a time"))?;
            let place = (
                field("instanceType")?.to_owned(),
                field("availabilityZone")?.to_owned(),
            );
            let entry = newest.entry(place).or_insert((at, price));
            if entry.0 < at {
                *entry = (at, price);
            }
            Ok(())
        })
        .await?;
    let mut prices = SpotPrices::new();
    for ((name, zone), (_, price)) in newest {
        prices.entry(name).or_default().insert(zone, price);
    }
    Ok(prices)
}
