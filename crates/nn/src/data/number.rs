//! Cells that are numbers.

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The number that a plain decimal such as `-12.5` stands for, or none where that takes more care.
///
/// Digits that make an integer of at most 53 bits, divided by a power of ten that a double holds exactly: one rounding,
/// so the result is the nearest double, the same bits that [`str::parse`] gives (Clinger, 1990). The digits are read all
/// at once, as the bytes of a word.
#[inline]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "53 bits; halves of a word")]
pub(super) fn plain(cell: &[u8]) -> Option<f64> {
    let (negative, digits) = match cell {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mut bytes = [b'0'; 16];
    bytes[16_usize.checked_sub(digits.len())?..].copy_from_slice(digits);
    // The first digit is in the lowest byte.
    let mut word = u128::from_le_bytes(bytes);
    let mut after = 0;
    // The lowest byte that is no digit, by a bit that all digits have.
    let first = !word & each(0x10);
    if first != 0 {
        let below = ((first & first.wrapping_neg()) - 1) >> 4;
        let upto = below << 8 | 0xff;
        if (word ^ each(b'.')) & (upto ^ below) != 0 || digits.len() == 1 {
            return None;
        }
        // What is before the point moves into its place.
        word = word & !upto | (word & below) << 8 | u128::from(b'0');
        after = 15 - first.trailing_zeros() as usize / 8;
    } else if digits.is_empty() {
        return None;
    }
    // The digits are 0x30 to 0x39.
    if word & each(0xf0) != each(0x30) || (word + each(6)) & each(0xf0) != each(0x30) {
        return None;
    }
    let integer = eight(word as u64) * 100_000_000 + eight((word >> 64) as u64);
    if integer > 1 << 53 {
        return None;
    }
    let value = integer as f64 / POWERS[after];
    Some(if negative { -value } else { value })
}

/// A word of equal bytes.
const fn each(byte: u8) -> u128 {
    u128::from_le_bytes([byte; 16])
}

/// The number of eight digits, the first in the lowest byte: pairs, then fours, then all.
fn eight(word: u64) -> u64 {
    let pairs = (word & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(10 << 8 | 1) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(100 << 16 | 1) >> 16;
    (fours & 0x0000_ffff_0000_ffff).wrapping_mul(10_000 << 32 | 1) >> 32
}

/// Whether a cell says that there is no value.
pub(super) fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "NaN" | "nan" | "NA" | "N/A" | "null" | "NULL")
}

/// The number in a cell without surrounding blanks; NaN where it is missing, none where it is text.
pub(super) fn number(cell: &str) -> Option<f64> {
    if is_missing(cell) { Some(f64::NAN) } else { cell.parse().ok() }
}

#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
mod tests {
    use super::*;
    use crate::data::Seed;
    use crate::data::shuffle::SplitMix64;

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
    fn what_is_no_plain_decimal_is_left_to_others() {
        for cell in [
            "",
            "-",
            ".",
            "-.",
            "..",
            "1..",
            "1.:",
            "1/2",
            "1e5",
            "+1",
            " 1",
            "1.2.3",
            "1,5",
            "0x1",
            "inf",
            "12345678901234567",
            "9999999999999999",
            "é1",
        ] {
            assert_eq!(plain(cell.as_bytes()), None, "{cell}");
        }
        for (cell, value) in [("5.", 5.0), (".5", 0.5), ("007", 7.0), ("9007199254740992", 9_007_199_254_740_992.0)] {
            assert_eq!(plain(cell.as_bytes()), Some(value), "{cell}");
        }
        assert_eq!(plain(b"-0").map(f64::to_bits), Some((-0.0_f64).to_bits()));
    }
}
