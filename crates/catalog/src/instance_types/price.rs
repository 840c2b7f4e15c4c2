//! Prices by the hour, in whole millionths of a US dollar: sums and comparisons are exact.

use std::fmt;
use std::str::FromStr;

use crate::ids::Region;

/// US dollars an hour, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HourlyPrice(u64);

impl HourlyPrice {
    /// A price of so many millionths of a US dollar an hour.
    #[must_use]
    pub const fn from_micro_usd(micro_usd: u64) -> Self {
        Self(micro_usd)
    }

    /// Millionths of a US dollar an hour.
    #[must_use]
    pub const fn micro_usd(self) -> u64 {
        self.0
    }

    /// US dollars an hour, to show.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Reads a price with as many decimals as it may have (AWS's price list gives ten), and rounds it to millionths.
    ///
    /// # Errors
    /// When the text is no decimal number, or one that is too large.
    pub fn rounded(text: &str) -> Result<Self, InvalidPrice> {
        let Some((whole, decimals)) = text.split_once('.').filter(|(_, of)| of.len() > 6) else {
            return text.parse();
        };
        let invalid = || InvalidPrice(text.to_owned());
        if !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let (kept, cut) = decimals.split_at(6);
        let down: Self = format!("{whole}.{kept}").parse().map_err(|_| invalid())?;
        let up = u64::from(cut.starts_with(['5', '6', '7', '8', '9']));
        down.0.checked_add(up).map(Self).ok_or_else(invalid)
    }

    /// What the type may cost on the spot market. An estimate, and to be called one wherever it is shown: see [`SPOT_RATIO`].
    #[must_use]
    pub const fn spot_estimate(self, ratio: SpotRatio) -> Self {
        let scaled = self.0 as u128 * ratio.millionths as u128 + 500_000;
        // The ratio is at most 1, so this is at most the price itself.
        Self((scaled / 1_000_000) as u64)
    }
}

/// US dollars with as many decimals as it takes: `0.096`, `55.04`.
impl fmt::Display for HourlyPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0 % 1_000_000);
        let decimals = decimals.trim_end_matches('0');
        let dot = if decimals.is_empty() { "" } else { "." };
        f.pad(&format!("{}{dot}{decimals}", self.0 / 1_000_000))
    }
}

/// The text is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a price: expected US dollars an hour with at most six decimals, such as 0.096"
)]
pub struct InvalidPrice(pub String);

impl FromStr for HourlyPrice {
    type Err = InvalidPrice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let micro_usd = || {
            if !digits(whole) || !digits(decimals) || decimals.len() > 6 {
                return None;
            }
            let whole = whole.parse::<u64>().ok()?.checked_mul(1_000_000)?;
            whole.checked_add(format!("{decimals:0<6}").parse().ok()?)
        };
        micro_usd()
            .map(Self)
            .ok_or_else(|| InvalidPrice(text.to_owned()))
    }
}

/// An on-demand price, and whether it is the region's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Price<'table> {
    /// The price in the region that was asked for.
    Known(HourlyPrice),
    /// The table has prices of another region only. Other regions differ, mostly upwards, and not all types by the same
    /// factor: this stands in for the price, and has to be shown as what it is.
    Elsewhere {
        /// The region that has this price.
        region: &'table Region,
        /// The price there.
        price: HourlyPrice,
    },
}

impl Price<'_> {
    /// The number, wherever it holds.
    #[must_use]
    pub const fn per_hour(self) -> HourlyPrice {
        match self {
            Self::Known(price) | Self::Elsewhere { price, .. } => price,
        }
    }
}

/// A spot price over the on-demand price: more than 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpotRatio {
    millionths: u32,
}

/// The ratio that is taken where the user brings no spot prices and no ratio: 0.4.
///
/// **An assumption, not a fact.** Spot prices change by type, zone and day, and only AWS's API has them. AWS promises "up to 90 %"
/// off, and a spot price is never above on demand; 60 % off lies between, and is on the careful side of the 60 to 90 % that is
/// commonly reported. One ratio for all types keeps their order by price: with it, the cheapest on demand is also
/// the cheapest on the spot market, which the real market does not promise.
pub const SPOT_RATIO: SpotRatio = SpotRatio {
    millionths: 400_000,
};

/// The number is no ratio of a spot price.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "{0} is not a ratio of spot to on-demand prices: expected more than 0 and at most 1, such as 0.4"
)]
pub struct InvalidSpotRatio(pub f64);

impl SpotRatio {
    /// A ratio; finer than a millionth it is rounded.
    ///
    /// # Errors
    /// When it rounds to 0 or less, is more than 1, or no number.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn new(ratio: f64) -> Result<Self, InvalidSpotRatio> {
        let millionths = (ratio * 1e6).round();
        if ratio <= 1.0 && millionths >= 1.0 {
            Ok(Self {
                millionths: millionths as u32,
            })
        } else {
            Err(InvalidSpotRatio(ratio))
        }
    }

    /// The ratio, to show.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prices_read_and_write() {
        for (text, micro_usd) in [
            ("0.0255", 25_500),
            ("55.04", 55_040_000),
            ("4", 4_000_000),
            ("0", 0),
        ] {
            let price: HourlyPrice = text.parse().unwrap();
            assert_eq!(
                (price.micro_usd(), price.to_string()),
                (micro_usd, text.to_owned())
            );
        }
        for bad in [
            "",
            ".5",
            "1.",
            "-1",
            "+1",
            "1e3",
            "0.0000001",
            "1.2.3",
            "NaN",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<HourlyPrice>().is_err(), "{bad}");
        }
    }

    #[test]
    fn prices_with_more_decimals_are_rounded() {
        let micro_usd = |text: &str| HourlyPrice::rounded(text).map(HourlyPrice::micro_usd);
        for (text, expected) in [
            ("0.0960000000", 96_000),
            ("0.0000004999", 0),
            ("0.0000005", 1),
            ("1.9999995000", 2_000_000),
            ("0.096", 96_000),
            ("4", 4_000_000),
        ] {
            assert_eq!(micro_usd(text), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "0.0000000x",
            "0.00000é1",
            "-0.0000001",
            ".0000001",
            "1.2.3456789",
        ] {
            assert!(micro_usd(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spot_is_a_share_of_on_demand() {
        let price = HourlyPrice::from_micro_usd(96_000);
        assert_eq!(price.spot_estimate(SPOT_RATIO).micro_usd(), 38_400);
        assert_eq!(price.spot_estimate(SpotRatio::new(1.0).unwrap()), price);
        assert_eq!(SpotRatio::new(0.4), Ok(SPOT_RATIO));
        for bad in [0.0, -0.4, 1.000_1, 1e-9, f64::NAN, f64::INFINITY] {
            assert!(SpotRatio::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_price_reads_back(micro_usd in any::<u64>()) {
            let price = HourlyPrice::from_micro_usd(micro_usd);
            prop_assert_eq!(price.to_string().parse::<HourlyPrice>(), Ok(price));
        }

        #[test]
        fn spot_is_never_above_on_demand(micro_usd in any::<u64>(), ratio in 0.000_001..=1.0) {
            let price = HourlyPrice::from_micro_usd(micro_usd);
            prop_assert!(price.spot_estimate(SpotRatio::new(ratio).unwrap()) <= price);
        }
    }
}
