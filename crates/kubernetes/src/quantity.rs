//! When two values of a manifest mean the same: an API server writes quantities in its own form (`1000m` becomes `1`).

use serde_json::Value as Json;

/// Whether two scalars mean the same.
pub(crate) fn same(applied: &Json, live: &Json) -> bool {
    if applied == live {
        return true;
    }
    match (applied, live) {
        (Json::Number(one), Json::Number(other)) => one.as_f64() == other.as_f64(),
        (Json::String(_) | Json::Number(_), Json::String(_) | Json::Number(_)) => {
            match (quantity(applied), quantity(live)) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            }
        }
        _ => false,
    }
}

/// A quantity in billionths, the smallest that Kubernetes tells apart (`resource.Quantity`: `n`).
fn quantity(value: &Json) -> Option<i128> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        _ => return None,
    };
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let billionths: i128 = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => 1_000_000_000,
        "k" => 10_i128.pow(12),
        "M" => 10_i128.pow(15),
        "G" => 10_i128.pow(18),
        "T" => 10_i128.pow(21),
        "P" => 10_i128.pow(24),
        "E" => 10_i128.pow(27),
        "Ki" => 10_i128.pow(9) << 10,
        "Mi" => 10_i128.pow(9) << 20,
        "Gi" => 10_i128.pow(9) << 30,
        "Ti" => 10_i128.pow(9) << 40,
        "Pi" => 10_i128.pow(9) << 50,
        "Ei" => 10_i128.pow(9) << 60,
        _ => return None,
    };
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || whole.len() > 18 || fraction.len() > 9 {
        return None;
    }
    let part = |digits: &str| -> Option<i128> {
        match digits {
            "" => Some(0),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
            _ => None,
        }
    };
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let mantissa = part(whole)?
        .checked_mul(scale)?
        .checked_add(part(fraction)?)?;
    // Kubernetes rounds up what is smaller than a billionth.
    let value = mantissa.checked_mul(billionths)?;
    let rounded = (value + scale - 1) / scale;
    Some(if negative { -rounded } else { rounded })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_are_compared_by_what_they_are() {
        for (one, other) in [
            (json!("1000m"), json!("1")),
            (json!("0.5"), json!("500m")),
            (json!("1024Mi"), json!("1Gi")),
            (json!(2), json!("2")),
            (json!(1.0), json!(1)),
            (json!("1.5Gi"), json!("1536Mi")),
            (json!("100k"), json!("100000")),
        ] {
            assert!(same(&one, &other), "{one} {other}");
        }
        for (one, other) in [
            (json!("1"), json!("2")),
            (json!("1Gi"), json!("1G")),
            (json!("web"), json!("Web")),
            (json!(true), json!("true")),
            (json!("1.2.3"), json!("1.2.30")),
            (json!(""), json!("0")),
            (json!("999999999999999999999999E"), json!("1")),
        ] {
            assert!(!same(&one, &other), "{one} {other}");
        }
    }
}
