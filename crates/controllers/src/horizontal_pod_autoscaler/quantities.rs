//! Thousandths as Kubernetes writes quantities (`resource.NewMilliQuantity(…, DecimalSI)`).

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

const SUFFIXES: [&str; 8] = ["m", "", "k", "M", "G", "T", "P", "E"];

/// The canonical text: the greatest suffix without a fraction.
pub(super) fn of_milli(milli: i64) -> Quantity {
    let mut value = milli;
    let mut suffix = 0;
    while value != 0 && value % 1000 == 0 && suffix + 1 < SUFFIXES.len() {
        value /= 1000;
        suffix += 1;
    }
    let suffix = if value == 0 { "" } else { SUFFIXES[suffix] };
    Quantity(format!("{value}{suffix}"))
}

/// The thousandths of a quantity, rounded up as `MilliValue()` does; nothing for a text that is none.
pub(super) fn milli(quantity: &Quantity) -> Option<i64> {
    let quantity: objects::Quantity = quantity.0.parse().ok()?;
    Some(quantity.milli())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_canonical() {
        for (value, text) in [
            (0, "0"),
            (250, "250m"),
            (1500, "1500m"),
            (2000, "2"),
            (52_428_800_000, "52428800"),
            (50_000_000_000, "50M"),
            (-1500, "-1500m"),
        ] {
            assert_eq!(of_milli(value).0, text);
            assert_eq!(milli(&of_milli(value)), Some(value));
        }
        assert_eq!(milli(&Quantity("1Ki".to_owned())), Some(1_024_000));
    }
}
