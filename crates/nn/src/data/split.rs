//! Which rows train and which rows test.

use wgrad_core::{Error, Result};

use super::Seed;
use super::shuffle::SplitMix64;

/// Splits each class by itself, so that both sides have it in the same proportion.
///
/// Of the `n` rows of a class, `n * fraction` rounded to the nearest train, but at least one row is on each side if
/// there are two; a single row trains. The rows of each class are shuffled, class by class, with one generator; both
/// sides are returned in the order of the rows.
pub(super) fn stratified(y: &[u32], fraction: f64, seed: Seed) -> Result<(Vec<u32>, Vec<u32>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::Config(format!(
            "the fraction of rows to train on must lie between 0 and 1; it is {fraction}"
        )));
    }
    let classes = y.iter().max().map_or(0, |&last| last as usize + 1);
    let mut by_class = vec![vec![]; classes];
    for (&class, row) in y.iter().zip(0..) {
        by_class[class as usize].push(row);
    }
    let mut random = SplitMix64::new(seed, 0);
    let (mut train, mut test) = (vec![], vec![]);
    for mut rows in by_class {
        random.shuffle(&mut rows);
        let (left, right) = rows.split_at(share(rows.len(), fraction));
        train.extend_from_slice(left);
        test.extend_from_slice(right);
    }
    if test.is_empty() {
        return Err(Error::Data(
            "there are too few rows to split: no class has two, one to train and one to test. Add rows.".into(),
        ));
    }
    train.sort_unstable();
    test.sort_unstable();
    Ok((train, test))
}

/// How many of `n` rows train.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "row numbers fit 32 bits, and the fraction is between 0 and 1"
)]
fn share(n: usize, fraction: f64) -> usize {
    if n < 2 { n } else { ((n as f64 * fraction).round() as usize).clamp(1, n - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(y: &[u32], rows: &[u32], classes: usize) -> Vec<usize> {
        (0..classes).map(|class| rows.iter().filter(|&&row| y[row as usize] as usize == class).count()).collect()
    }

    #[test]
    fn both_sides_have_each_class_in_the_same_proportion() {
        let y: Vec<u32> = (0..569).map(|i| u32::from(i % 8 < 3)).collect();
        let (train, test) = stratified(&y, 0.8, Seed(7)).unwrap();
        assert_eq!((counts(&y, &train, 2), counts(&y, &test, 2)), (vec![284, 171], vec![71, 43]));
        let mut all = [train.clone(), test].concat();
        assert!(train.is_sorted());
        all.sort_unstable();
        assert_eq!(all, (0..569).collect::<Vec<_>>());
    }

    #[test]
    fn a_class_of_two_rows_is_on_both_sides_and_one_of_one_row_trains() {
        let y = [0, 0, 0, 0, 0, 0, 1, 1, 2];
        for fraction in [0.01, 0.5, 0.99] {
            let (train, test) = stratified(&y, fraction, Seed(1)).unwrap();
            let (train, test) = (counts(&y, &train, 3), counts(&y, &test, 3));
            assert!(train[0] >= 1 && test[0] >= 1);
            assert_eq!((&train[1..], &test[1..]), (&[1, 1][..], &[1, 0][..]));
        }
    }

    #[test]
    fn the_split_of_a_seed_is_the_same_forever() {
        let (train, _) = stratified(&[0, 1, 0, 1, 1, 0, 0, 1, 0, 0], 0.6, Seed(7)).unwrap();
        assert_eq!(train, [0, 1, 2, 3, 6, 9]);
    }

    #[test]
    fn the_seed_decides() {
        let y = [0; 40];
        assert_eq!(stratified(&y, 0.5, Seed(1)).unwrap(), stratified(&y, 0.5, Seed(1)).unwrap());
        assert_ne!(stratified(&y, 0.5, Seed(1)).unwrap(), stratified(&y, 0.5, Seed(2)).unwrap());
    }

    #[test]
    fn a_fraction_that_leaves_a_side_empty_is_an_error() {
        for fraction in [0.0, 1.0, -0.1, 80.0, f64::NAN] {
            assert_eq!(
                stratified(&[0, 1], fraction, Seed(1)).unwrap_err().to_string(),
                format!("the fraction of rows to train on must lie between 0 and 1; it is {fraction}")
            );
        }
    }

    #[test]
    fn rows_that_cannot_be_split_are_an_error() {
        for y in [&[0, 1, 2][..], &[]] {
            assert_eq!(
                stratified(y, 0.5, Seed(1)).unwrap_err().to_string(),
                "there are too few rows to split: no class has two, one to train and one to test. Add rows."
            );
        }
    }
}
