//! Parsers of option values that several commands share.

/// Returns a parser of finite numbers that accepts those for which `fits` is true. Its error quotes `range`, a
/// description of the accepted numbers.
pub fn number(fits: fn(f64) -> bool, range: &'static str) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |word| match word.parse::<f64>() {
        Ok(x) if x.is_finite() && fits(x) => Ok(x),
        _ => Err(format!("a number {range} is needed")),
    }
}

/// Returns a parser of whole numbers that are at least `least`. Its error quotes `range`, a description of the
/// accepted numbers.
pub fn whole(least: usize, range: &'static str) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |word| match word.parse() {
        Ok(n) if n >= least => Ok(n),
        _ => Err(format!("a whole number is needed, {range}")),
    }
}
