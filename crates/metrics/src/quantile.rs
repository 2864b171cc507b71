//! Quantiles of sorted numbers.

/// Returns the quantile `q` of sorted numbers with linear interpolation, which is NumPy's default.
///
/// # Panics
/// When there are no numbers.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let below = sorted[at.floor() as usize];
    let above = sorted[at.ceil() as usize];
    below + (above - below) * at.fract()
}
