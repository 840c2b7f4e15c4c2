//! EC2's instance types as an account sees them in one region: what each has, in which zones it is, what it costs.
//!
//! Nothing is changed anywhere: four read-only calls, page by page. EC2's answers win over the table in the binary, but
//! for two facts that EC2 does not tell: a type's branch interfaces, and the network bandwidth that Karpenter puts on its
//! nodes, which it has from AWS's documentation. They are the table's; [`Fetched::newer`] lists the types that it does not
//! have, whose branch interfaces are taken as none (as Karpenter does) and whose bandwidth is read from EC2's words.

mod calls;
mod described;
mod offered;
mod price_list;

use std::collections::BTreeMap;

use catalog::Date;
use catalog::instance_types::{
    CapacityType, HourlyPrice, InstanceTypeName, Offering, Offerings, Table, TableError,
};
use engine::Pace;
use engine::provider::ProviderError;

use crate::session::Session;
use calls::Caller;
use described::Described;
use price_list::Prices;

pub use calls::Action;
pub use described::LeftOut;

/// What AWS says of one region's instance types.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The types, with the region's on-demand prices.
    pub table: Table,
    /// Their zones, with on-demand and Spot prices.
    pub offerings: Offerings,
    /// The types that EC2 has and the table can't hold, in the order of their names.
    pub left_out: Vec<LeftOut>,
    /// The types that the table in the binary does not have, in the order of their names.
    pub newer: Vec<InstanceTypeName>,
    /// Why there are no on-demand prices at all, where AWS lists none in US dollars.
    pub unlisted: Option<&'static str>,
    /// Calls that were answered.
    pub calls: usize,
}

/// Why instance types could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Permissions are missing. All that are are named.
    #[error("these credentials may not call {}", listed(actions))]
    NotAllowed {
        /// What is not allowed.
        actions: Vec<Action>,
        /// What AWS says of the first.
        #[source]
        source: ProviderError,
    },
    /// A call failed.
    #[error("{action} failed")]
    Call {
        /// Which.
        action: Action,
        /// Why.
        #[source]
        source: ProviderError,
    },
    /// An answer is not what the API says.
    #[error("the answer to {action} can't be read, in page {page}: {reason}")]
    Malformed {
        /// Which call's.
        action: Action,
        /// Which page, from 1.
        page: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer has pages without end.
    #[error("{action} goes on after {pages} pages")]
    Endless {
        /// Which call.
        action: Action,
        /// How many pages were read.
        pages: usize,
    },
    /// An answer is empty.
    #[error("{action} has nothing for {region}")]
    Nothing {
        /// Which call.
        action: Action,
        /// The region.
        region: catalog::ids::Region,
    },
    /// What was fetched makes no table.
    #[error("what AWS answered makes no table")]
    Table(#[source] TableError),
}

fn listed(actions: &[Action]) -> String {
    let names: Vec<&str> = actions.iter().map(|action| action.permission()).collect();
    names.join(", ")
}

/// Asks AWS for the session's region. `date` is today; `pace` is how fast waits between attempts go.
///
/// # Errors
///
/// When a call fails for good, a permission is missing, or an answer can't be read. Nothing partial is returned.
pub async fn fetch(session: &Session, date: Date, pace: Pace) -> Result<Fetched, FetchError> {
    let caller = Caller::new(session, pace);
    let (types, zones, spot, prices) = tokio::join!(
        described::all(&caller),
        offered::zones(&caller),
        offered::spot_prices(&caller),
        price_list::on_demand(&caller),
    );
    let mut failed = Vec::new();
    let (types, zones, spot, prices) = (
        keep(types, &mut failed),
        keep(zones, &mut failed),
        keep(spot, &mut failed),
        keep(prices, &mut failed),
    );
    let (Some(types), Some(zones), Some(spot), Some(prices)) = (types, zones, spot, prices) else {
        return Err(worst(failed));
    };
    let (prices, unlisted) = match prices {
        Prices::Listed(prices) => (prices, None),
        Prices::Unlisted(why) => (BTreeMap::new(), Some(why)),
    };
    let region = session.region();
    let (mut described, left_out) = (types.described, types.left_out);
    let mut offerings = Vec::new();
    for one in &mut described {
        one.of.on_demand = prices.get(one.of.name()).copied();
        offer(one, &zones, &spot, &mut offerings);
    }
    let newer = described
        .iter()
        .filter(|one| one.is_newer)
        .map(|one| one.of.name.clone())
        .collect();
    let table: Vec<_> = described.into_iter().map(|one| one.of).collect();
    let known = catalog::instance_types::table().date();
    let source = format!(
        "EC2 DescribeInstanceTypes and the AWS Price List; branch interfaces and network bandwidth as of {known}"
    );
    let offered =
        "EC2 DescribeInstanceTypeOfferings and DescribeSpotPriceHistory, and the AWS Price List";
    Ok(Fetched {
        table: Table::new(&source, date, region, &table).map_err(FetchError::Table)?,
        offerings: Offerings::new(offered, date, region, &offerings).map_err(FetchError::Table)?,
        left_out,
        newer,
        unlisted,
        calls: caller.calls(),
    })
}

/// A type in each of its zones: on demand if EC2 sells it so, and on the spot market where it has a price.
fn offer(
    one: &Described,
    zones: &offered::Zones,
    spot: &offered::SpotPrices,
    offerings: &mut Vec<Offering>,
) {
    let name = one.of.name();
    for zone in zones.get(name).into_iter().flatten() {
        let offering = |capacity_type, price: Option<HourlyPrice>| Offering {
            instance_type: one.of.name.clone(),
            zone: zone.as_str().into(),
            capacity_type,
            price,
        };
        if one.on_demand {
            offerings.push(offering(CapacityType::OnDemand, one.of.on_demand));
        }
        let price = spot.get(name).and_then(|prices| prices.get(zone.as_str()));
        if one.spot && price.is_some() {
            offerings.push(offering(CapacityType::Spot, price.copied()));
        }
    }
}

fn keep<T>(result: Result<T, FetchError>, failed: &mut Vec<FetchError>) -> Option<T> {
    result.map_err(|error| failed.push(error)).ok()
}

/// Missing permissions, all together; without any, the first of the other errors.
fn worst(mut failed: Vec<FetchError>) -> FetchError {
    let mut missing = Vec::new();
    let mut first = None;
    for error in &failed {
        if let FetchError::NotAllowed { actions, source } = error {
            missing.extend(actions.iter().copied());
            first.get_or_insert_with(|| source.clone());
        }
    }
    match first {
        Some(source) => FetchError::NotAllowed {
            actions: missing,
            source,
        },
        None => failed.swap_remove(0),
    }
}
