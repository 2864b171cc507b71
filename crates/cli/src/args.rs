//! Parsers of options that several commands have.

/// Returns a parser of numbers within a range.
pub fn number(fits: fn(f64) -> bool, range: &'static str) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |word| match word.parse::<f64>() {
        Ok(x) if x.is_finite() && fits(x) => Ok(x),
        _ => Err(format!("a number {range} is needed")),
    }
}

/// Returns a parser of whole numbers from `least` on.
pub fn whole(least: usize, range: &'static str) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |word| match word.parse() {
        Ok(n) if n >= least => Ok(n),
        _ => Err(format!("a whole number is needed, {range}")),
    }
}
