//! Amounts of CPU and memory as Kubernetes writes them, so far as a spec needs them.
//!
//! The text stays as it was written; the number is there to be compared. Kubernetes' quantities know more forms
//! (`1e3`, `0.5E`): nobody asks for them here, and fewer forms make clearer mistakes.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An amount of CPU: vCPUs, or thousandths of one with `m`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct CpuAmount(
    #[schemars(regex(pattern = r"^([0-9]{1,7}(\.[0-9]{1,3})?|[0-9]{1,10}m)$"))]
    #[schemars(extend("patternErrorMessage" = "vCPUs or thousandths of one, in quotes, as \"2\" or 250m"))]
    String,
);

/// An amount of memory or storage, in bytes or with a suffix: `512Mi`, `16Gi`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct MemoryAmount(
    #[schemars(regex(pattern = r"^[0-9]{1,7}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)$"))]
    #[schemars(extend("patternErrorMessage" = "a number with Mi or Gi, as 512Mi"))]
    String,
);

impl CpuAmount {
    /// An amount, as it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Thousandths of a vCPU; `None` for a text that is no amount.
    pub fn milli(&self) -> Option<u64> {
        match self.0.strip_suffix('m') {
            Some(milli) => milli.parse().ok(),
            None => thousandths(&self.0),
        }
    }
}

impl MemoryAmount {
    /// An amount, as it is written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Thousandths of a byte, so that `0.5Ki` and `1.001k` are exact; `None` for a text that is no amount.
    pub fn milli_bytes(&self) -> Option<u64> {
        let end = self.0.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, suffix) = self.0.split_at(end);
        let factor: u64 = match suffix {
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            _ => return None,
        };
        thousandths(number)?.checked_mul(factor)
    }
}

impl fmt::Display for CpuAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for MemoryAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A decimal number with three digits after its point at most, times a thousand.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(1000)?
        .checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_compare_by_what_they_are() {
        let cpu = |text| CpuAmount::new(text).milli();
        assert_eq!(cpu("2"), Some(2000));
        assert_eq!(cpu("0.25"), cpu("250m"));
        assert_eq!(cpu("1.005"), Some(1005));
        assert_eq!(cpu("x"), None);
        assert_eq!(cpu(""), None);
        let memory = |text| MemoryAmount::new(text).milli_bytes();
        assert_eq!(memory("1Gi"), memory("1024Mi"));
        assert!(memory("1G") < memory("1Gi"));
        assert_eq!(memory("0.5Ki"), Some(512_000));
        assert_eq!(memory("9999999.999Ti"), None, "too much for a number");
        assert_eq!(memory("12"), None);
        assert_eq!(memory("12Xi"), None);
    }
}
