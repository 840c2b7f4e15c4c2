//! Numbers that may be given as a percentage (`GetScaledValueFromIntOrPercent`, apimachinery/pkg/util/intstr/intstr.go).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Which way a percentage that gives no whole number goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rounding {
    Up,
    Down,
}

/// The number itself, or so many percent of `total`; nothing for text that is no percentage.
pub(crate) fn of_total(value: &IntOrString, total: i32, rounding: Rounding) -> Option<i32> {
    match value {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let hundredths = percent.checked_mul(i64::from(total))?;
            let whole = match rounding {
                Rounding::Down => hundredths.div_euclid(100),
                Rounding::Up => -(-hundredths).div_euclid(100),
            };
            i32::try_from(whole).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_told() {
        let quarter = IntOrString::String("25%".to_owned());
        assert_eq!(of_total(&quarter, 10, Rounding::Up), Some(3));
        assert_eq!(of_total(&quarter, 10, Rounding::Down), Some(2));
        assert_eq!(of_total(&quarter, 8, Rounding::Up), Some(2));
        assert_eq!(of_total(&IntOrString::Int(7), 10, Rounding::Up), Some(7));
        let broken = IntOrString::String("7".to_owned());
        assert_eq!(of_total(&broken, 10, Rounding::Up), None);
    }
}
