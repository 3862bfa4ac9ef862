//! Amounts in wei: read from what go-livepeer writes (`eth.FormatUnits`), added without loss, kept in a state. Knows
//! nothing of payments.
//!
//! Readable are `<digits> WEI`, and `<digits> ETH` or `<digits>.<digits> ETH` with at most eighteen decimals; 1 ETH is
//! 10¹⁸ wei. Nothing else is: no sign, no exponent, no other unit or case, and no amount of 2¹²⁸ wei or more.

use std::fmt;
use tidemark_metric::{Malformed, Reader, State};

/// Decimals of an ether.
const DECIMALS: usize = 18;

/// An amount in wei.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wei(u128);

impl Wei {
    /// Reads an amount with its unit; `None` if it is not readable.
    ///
    /// ```
    /// # use payments::wei::Wei;
    /// let written = |amount: &str| Wei::parse(amount).map(|wei| wei.to_string());
    /// assert_eq!(written("2402400000000000 WEI").as_deref(), Some("2402400000000000"));
    /// assert_eq!(written("0.0024024 ETH").as_deref(), Some("2402400000000000"));
    /// assert_eq!(written("2.4e15 WEI"), None);
    /// ```
    #[must_use]
    pub fn parse(amount: &str) -> Option<Self> {
        let (number, unit) = amount.split_once(' ')?;
        match unit {
            "WEI" => digits(number).map(Self),
            "ETH" => {
                let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
                let missing = DECIMALS.checked_sub(decimals.len())?;
                let part = digits(decimals)?.checked_mul(10_u128.pow(missing as u32))?;
                digits(whole)?.checked_mul(10_u128.pow(DECIMALS as u32))?.checked_add(part).map(Self)
            }
            _ => None,
        }
    }

    /// The sum; `None` if it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The product; `None` if it does not fit.
    #[must_use]
    pub fn times(self, factor: u64) -> Option<Self> {
        self.0.checked_mul(factor.into()).map(Self)
    }
}

/// A decimal number of digits alone.
fn digits(text: &str) -> Option<u128> {
    // `parse` would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Wei {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Sixteen bytes, little-endian.
impl State for Wei {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.0.to_le_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let bytes = reader.take(size_of::<u128>())?;
        bytes.try_into().map(|bytes| Self(u128::from_le_bytes(bytes))).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gateways_write_is_read_to_the_wei() {
        let readable = [
            ("0 WEI", "0"),
            ("2402400000000000 WEI", "2402400000000000"),
            ("9999999999999999 WEI", "9999999999999999"),
            ("0.01 ETH", "10000000000000000"),
            ("0.010000000000000001 ETH", "10000000000000001"),
            ("1 ETH", "1000000000000000000"),
            ("0 ETH", "0"),
            ("18.446744073709551616 ETH", "18446744073709551616"),
            ("120000000.000000000000000001 ETH", "120000000000000000000000001"),
            ("00012 WEI", "12"),
            ("340282366920938463463374607431768211455 WEI", "340282366920938463463374607431768211455"),
            ("340282366920938463463.374607431768211455 ETH", "340282366920938463463374607431768211455"),
        ];
        for (amount, wei) in readable {
            assert_eq!(Wei::parse(amount).map(|wei| wei.to_string()).as_deref(), Some(wei), "{amount}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let unreadable = [
            "",
            " ",
            "WEI",
            " WEI",
            "12",
            "12WEI",
            "12  WEI",
            "12 WEI ",
            " 12 WEI",
            "12 wei",
            "12 GWEI",
            "12 LPT",
            "+12 WEI",
            "-12 WEI",
            "1.5 WEI",
            "1e18 WEI",
            "1_000 WEI",
            "1,000 WEI",
            "0x10 WEI",
            "١٢ WEI",
            "12 WEI WEI",
            " ETH",
            ". ETH",
            ".5 ETH",
            "5. ETH",
            "-0.5 ETH",
            "0.-5 ETH",
            "0.5.5 ETH",
            "1e1 ETH",
            "NaN ETH",
            "0.0000000000000000001 ETH",
            "0.0000000000000000000 ETH",
            "340282366920938463463374607431768211456 WEI",
            "340282366920938463463.374607431768211456 ETH",
            "999999999999999999999999999999999999999999 WEI",
            "999999999999999999999999 ETH",
        ];
        for amount in unreadable {
            assert_eq!(Wei::parse(amount), None, "{amount}");
        }
    }

    #[test]
    fn arithmetic_ends_where_the_bits_do() {
        let greatest = Wei(u128::MAX);
        assert_eq!(greatest.plus(Wei(0)), Some(greatest));
        assert_eq!(greatest.plus(Wei(1)), None);
        assert_eq!(Wei(1 << 64).times(1 << 63), Some(Wei(1 << 127)));
        assert_eq!(Wei(1 << 65).times(1 << 63), None);
    }

    #[test]
    fn the_encoding_keeps_every_bit() {
        let wei = Wei(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        let mut bytes = Vec::new();
        wei.encode(&mut bytes);
        assert_eq!((bytes.len(), bytes[0], bytes[15]), (16, 0x10, 0x01));
        assert_eq!(Wei::from_bytes(&bytes), Ok(wei));
        assert_eq!(Wei::from_bytes(&bytes[1..]), Err(Malformed));
    }
}
