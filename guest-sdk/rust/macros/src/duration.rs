//! Durations as authors write them: `"250ms"`, `"60s"`, `"-10s"`, `"5m"`, `"1h"`, `"7d"`.

use syn::{Error, LitStr};

/// The milliseconds of a duration that may be negative or zero.
pub(crate) fn milliseconds(text: &LitStr) -> syn::Result<i64> {
    let value = text.value();
    let split = value.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(value.len());
    let (number, unit) = value.split_at(split);
    let unit_ms = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let milliseconds = unit_ms.and_then(|unit_ms| number.parse::<i64>().ok()?.checked_mul(unit_ms));
    milliseconds.ok_or_else(|| Error::new(text.span(), "a duration is a number and ms, s, m, h or d, such as \"60s\""))
}

/// The milliseconds of a duration that must be positive.
pub(crate) fn positive(text: &LitStr) -> syn::Result<i64> {
    let value = milliseconds(text)?;
    if value > 0 { Ok(value) } else { Err(Error::new(text.span(), "this duration must be positive")) }
}
