//! Parsing of cells that contain numbers.

/// Powers of ten that `f64` represents exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// Parses a plain decimal such as `-12.5` faster than [`str::parse`]; returns `None` for any other text.
///
/// The digits form an integer of at most 53 bits, which is divided by an exact power of ten. Only the division
/// rounds, so the result is the nearest `f64`, the same number as from [`str::parse`] (Clinger, 1990).
#[inline]
pub(crate) fn plain(cell: &[u8]) -> Option<f64> {
    let (negative, digits) = match cell {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // At most 18 digits and a decimal point; 19 digits still fit in a `u64` and are rejected below.
    if digits.len() > 19 {
        return None;
    }
    let (mut integer, mut count, mut after) = (0_u64, 0, None);
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            integer = integer * 10 + u64::from(digit);
            count += 1;
        } else if byte == b'.' && after.is_none() {
            after = Some(count);
        } else {
            return None;
        }
    }
    if count == 0 || count > 18 || integer > 1 << 53 {
        return None;
    }
    let value = integer as f64 / POWERS[count - after.unwrap_or(count)];
    Some(if negative { -value } else { value })
}

/// Returns whether a cell marks a missing value.
pub(crate) fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "NaN" | "nan" | "NA" | "N/A" | "null" | "NULL")
}

/// Parses the number in a cell without surrounding blanks: NaN if the cell is missing, `None` if it contains text.
pub(crate) fn number(cell: &str) -> Option<f64> {
    if is_missing(cell) { Some(f64::NAN) } else { cell.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;
    use wgrad_core::SplitMix64;

    #[test]
    fn plain_decimals_have_the_bits_of_the_standard_parser() {
        let mut random = SplitMix64::new(Seed(5), 0);
        let mut seen = 0;
        for _ in 0..100_000 {
            let digits = random.below(20);
            let mut cell: String = (0..digits).map(|_| char::from(b'0' + random.below(10) as u8)).collect();
            cell.insert(random.below(digits + 1) as usize, '.');
            for cell in [cell.clone(), format!("-{cell}"), cell.replace('.', "")] {
                if let Some(value) = plain(cell.as_bytes()) {
                    assert_eq!(cell.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()), "{cell}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 100_000, "{seen}");
    }

    #[test]
    fn other_texts_leave_the_fast_path() {
        for cell in ["", "-", ".", "-.", "1e5", "+1", " 1", "1.2.3", "1,5", "0x1", "inf", "12345678901234567890"] {
            assert_eq!(plain(cell.as_bytes()), None, "{cell}");
        }
        for (cell, value) in [("5.", 5.0), (".5", 0.5), ("007", 7.0), ("9007199254740992", 9_007_199_254_740_992.0)] {
            assert_eq!(plain(cell.as_bytes()), Some(value), "{cell}");
        }
        assert_eq!(plain(b"-0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
    }
}
