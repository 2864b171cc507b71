//! Splits into training, validation and test rows.

mod divide;
mod folds;
mod keys;
mod rule;

use wgrad_core::{Result, Seed, SplitMix64};

use crate::error::{SplitError, SplitPart};
use crate::streams::VALIDATION;
use crate::table::Table;
use divide::{Sides, by_class, by_group, by_time, left_count};
use rule::SplitRule;

pub(crate) use divide::stratified;
pub use folds::KFold;
pub(crate) use keys::groups;
use keys::{Keys, times};

/// Split into training, validation and test rows, for [`Labelled::split_by`](crate::Labelled::split_by).
///
/// Fractions refer to the number of all rows. The selection depends only on the seed, and the test rows are the
/// same with and without validation rows.
///
/// ```
/// use wgrad_data::{Seed, Split, Table};
/// # let file = "patient,radius,sick\na,1,0\na,2,0\nb,3,1\nb,4,1\nc,5,0\nd,6,1\ne,7,0\ne,8,1\n";
/// let table = Table::parse("visits.csv", file.as_bytes())?.target("sick")?;
/// // Rows of one patient are alike: they must not be on both sides. The column is not a feature.
/// let parts = table.split_by(&Split::by_group("patient", 0.25).validation(0.25).seed(Seed(7)))?;
/// assert_eq!(parts.train.feature_names(), ["radius"]);
/// assert_eq!(parts.train.rows() + parts.validation.map_or(0, |rows| rows.rows()) + parts.test.rows(), 8);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Split {
    rule: SplitRule,
    test: f64,
    validation: f64,
    seed: Seed,
}

/// Rows in each part of a split, in the order of the data.
#[derive(Debug, PartialEq)]
pub(crate) struct SplitRows {
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
    pub test: Vec<u32>,
}

impl Split {
    fn new(rule: SplitRule, test: f64) -> Self {
        Self { rule, test, validation: 0.0, seed: Seed::default() }
    }

    /// Splits each class in the same proportion: of the `n` rows of a class, `n * test`, rounded to the nearest
    /// integer, are test rows. If the class has two or more rows, at least one is a test row, and at least one is
    /// not.
    pub fn stratified(test: f64) -> Self {
        Self::new(SplitRule::Stratified, test)
    }

    /// Splits at random: `n * test` of the `n` rows, rounded to the nearest integer, are test rows.
    pub fn random(test: f64) -> Self {
        Self::new(SplitRule::Random, test)
    }

    /// Splits by group: rows with the same value in `column` stay together. Groups are assigned in random order
    /// until each part has about its fraction of the rows, and at least one group. The column is not a feature.
    pub fn by_group(column: impl Into<String>, test: f64) -> Self {
        Self::new(SplitRule::Group(column.into()), test)
    }

    /// Splits by time, from a column of numbers, or of dates with the year first: the oldest rows are training
    /// rows, the next ones validation rows, and the newest ones test rows. Rows with equal times keep their order.
    /// The column is not a feature; the seed has no effect.
    pub fn by_time(column: impl Into<String>, test: f64) -> Self {
        Self::new(SplitRule::Time(column.into()), test)
    }

    /// Sets the fraction of validation rows. Default: 0.
    pub fn validation(self, validation: f64) -> Self {
        Self { validation, ..self }
    }

    /// Sets the seed. Default: 0.
    pub fn seed(self, seed: Seed) -> Self {
        Self { seed, ..self }
    }

    /// Returns the column by which rows are split, if there is one.
    pub fn column(&self) -> Option<&str> {
        match &self.rule {
            SplitRule::Group(column) | SplitRule::Time(column) => Some(column),
            SplitRule::Random | SplitRule::Stratified => None,
        }
    }

    /// Returns the groups or times of the given rows.
    pub(crate) fn keys(&self, table: &Table, rows: &[u32]) -> Result<Keys> {
        match &self.rule {
            SplitRule::Random | SplitRule::Stratified => Ok(Keys::None),
            SplitRule::Group(column) => Ok(Keys::Groups(groups(table, column, rows)?)),
            SplitRule::Time(column) => Ok(Keys::Times(times(table, column, rows)?)),
        }
    }

    /// Splits the rows from 0 to `y.len() - 1`, which have the classes `y` and the given groups or times.
    pub(crate) fn rows(&self, y: &[u32], keys: &Keys) -> Result<SplitRows> {
        let Self { test, validation, seed, .. } = *self;
        let fractions = [(SplitPart::Test, test, f64::MIN_POSITIVE), (SplitPart::Validation, validation, 0.0)];
        for (part, fraction, least) in fractions {
            if !(fraction >= least && fraction < 1.0) {
                return Err(SplitError::Fraction { part, fraction }.into());
            }
        }
        if test + validation >= 1.0 {
            return Err(SplitError::NoTrainingRows { test, validation }.into());
        }
        // Fraction of training rows among the rows that are not test rows.
        let keep = 1.0 - validation / (1.0 - test);
        let all = (0..u32::MAX).take(y.len()).collect();
        let Sides { left, right: test } = self.two(all, y, keys, 1.0 - test, SplitMix64::new(seed, 0))?;
        if validation == 0.0 {
            return Ok(SplitRows { train: left, validation: vec![], test });
        }
        let Sides { left: train, right: validation } =
            self.two(left, y, keys, keep, SplitMix64::new(seed, VALIDATION))?;
        Ok(SplitRows { train, validation, test })
    }

    /// Splits rows into two sides, of which the left one gets about this fraction of the rows.
    fn two(&self, rows: Vec<u32>, y: &[u32], keys: &Keys, fraction: f64, mut random: SplitMix64) -> Result<Sides> {
        let mut sides = match (&self.rule, keys) {
            (SplitRule::Group(column), Keys::Groups(groups)) => by_group(rows, groups, column, fraction, &mut random)?,
            (SplitRule::Time(_), Keys::Times(times)) => by_time(rows, times, fraction),
            (SplitRule::Stratified, _) => by_class(&rows, y, fraction, &mut random),
            _ => {
                let mut rows = rows;
                random.shuffle(&mut rows);
                let right = rows.split_off(left_count(rows.len(), fraction));
                Sides { left: rows, right }
            }
        };
        if sides.left.is_empty() || sides.right.is_empty() {
            return Err(SplitError::EmptyPart.into());
        }
        sides.left.sort_unstable();
        sides.right.sort_unstable();
        Ok(sides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parts;

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
    fn a_class_of_two_rows_is_on_both_sides() {
        let y = [0, 0, 0, 0, 0, 0, 1, 1, 2];
        for fraction in [0.01, 0.5, 0.99] {
            let (train, test) = stratified(&y, fraction, Seed(1)).unwrap();
            let (train, test) = (counts(&y, &train, 3), counts(&y, &test, 3));
            assert!(train[0] >= 1 && test[0] >= 1);
            assert_eq!((&train[1..], &test[1..]), (&[1, 1][..], &[1, 0][..]));
        }
    }

    #[test]
    fn the_split_of_a_seed_never_changes() {
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

    fn y(n: u32) -> Vec<u32> {
        (0..n).map(|i| u32::from(i % 10 == 0) + u32::from(i % 7 == 3)).collect()
    }

    fn all(rows: &SplitRows) -> Vec<u32> {
        let mut all = [&rows.train[..], &rows.validation, &rows.test].concat();
        all.sort_unstable();
        all
    }

    #[test]
    fn three_parts_have_each_class_in_its_proportion() {
        let y = y(997);
        for seed in 0..20 {
            let split = Split::stratified(0.2).validation(0.15).seed(Seed(seed));
            let rows = split.rows(&y, &Keys::None).unwrap();
            assert_eq!(all(&rows), (0..997).collect::<Vec<_>>());
            let of_all = counts(&y, &all(&rows), 3);
            for (part, fraction) in [(&rows.train, 0.65), (&rows.validation, 0.15), (&rows.test, 0.2)] {
                for (n, of_all) in counts(&y, part, 3).into_iter().zip(&of_all) {
                    assert!((n as f64 - fraction * *of_all as f64).abs() <= 1.0, "{n} of {of_all}");
                }
            }
            let two = stratified(&y, 0.8, Seed(seed)).unwrap();
            assert_eq!(rows.test, two.1, "the test rows are those of two parts");
        }
    }

    #[test]
    fn a_random_split_has_the_sizes_asked_for() {
        let rows = Split::random(0.2).validation(0.1).seed(Seed(3)).rows(&y(1000), &Keys::None).unwrap();
        assert_eq!((rows.train.len(), rows.validation.len(), rows.test.len()), (700, 100, 200));
        assert_eq!(all(&rows), (0..1000).collect::<Vec<_>>());
        assert!(rows.train.is_sorted() && rows.test.is_sorted());
        let other = Split::random(0.2).validation(0.1).seed(Seed(4)).rows(&y(1000), &Keys::None).unwrap();
        assert_ne!(rows.test, other.test);
    }

    #[test]
    fn no_group_is_in_two_parts() {
        let groups: Vec<u32> = (0..2000).map(|i| i * 7919 % 2000 / 9).collect();
        let keys = Keys::Groups(groups.clone());
        for seed in 0..20 {
            let split = Split::by_group("g", 0.2).validation(0.1).seed(Seed(seed));
            let rows = split.rows(&y(2000), &keys).unwrap();
            assert_eq!(all(&rows), (0..2000).collect::<Vec<_>>());
            let of =
                |rows: &[u32]| rows.iter().map(|&row| groups[row as usize]).collect::<std::collections::HashSet<_>>();
            let (train, validation, test) = (of(&rows.train), of(&rows.validation), of(&rows.test));
            assert!(train.is_disjoint(&validation) && train.is_disjoint(&test) && validation.is_disjoint(&test));
            assert!((391..=409).contains(&rows.test.len()) && (191..=209).contains(&rows.validation.len()), "{seed}");
        }
    }

    #[test]
    fn few_groups_still_fill_each_part() {
        let keys = Keys::Groups(vec![5, 5, 5, 5, 5, 5, 9, 7]);
        let split = Split::by_group("g", 0.1).validation(0.1);
        let rows = split.rows(&[0; 8], &keys).unwrap();
        assert!(!rows.train.is_empty() && !rows.validation.is_empty() && !rows.test.is_empty(), "{rows:?}");
        let error = split.rows(&[0; 3], &Keys::Groups(vec![1, 1, 2])).unwrap_err().to_string();
        assert_eq!(
            error,
            "column `g` has too few groups to split: each part needs one. Add groups, or leave out a part."
        );
    }

    #[test]
    fn the_newest_rows_test_and_the_oldest_train() {
        let keys = Keys::Times(vec![5.0, 1.0, 4.0, 2.0, 3.0, 2.0, 9.0, 8.0, 0.0, 7.0]);
        let rows = Split::by_time("t", 0.2).validation(0.2).rows(&[0; 10], &keys).unwrap();
        assert_eq!((&rows.validation[..], &rows.test[..]), (&[0, 9][..], &[6, 7][..]));
        assert_eq!(rows.train, [1, 2, 3, 4, 5, 8]);
    }

    #[test]
    fn fractions_that_leave_nothing_are_errors() {
        let message = |split: Split| split.rows(&[0, 1, 0, 1], &Keys::None).unwrap_err().to_string();
        assert_eq!(message(Split::random(0.0)), "the fraction of rows to test on must lie between 0 and 1; it is 0");
        assert_eq!(
            message(Split::random(0.5).validation(-0.5)),
            "the fraction of rows to validate on must lie between 0 and 1; it is -0.5"
        );
        assert_eq!(
            message(Split::stratified(0.5).validation(0.5)),
            "the fractions of rows to test on, 0.5, and to validate on, 0.5, leave none to train on"
        );
    }

    fn table(csv: &str, split: &Split) -> Result<Parts> {
        Table::parse("t.csv", csv.as_bytes()).unwrap().target("y").unwrap().split_by(split)
    }

    #[test]
    fn a_table_is_split_by_its_columns_which_are_no_features() {
        let csv = "when,who,a,y\n2024-03-01,p,1,0\n2024-01-01,q,2,1\n2023-12-31,p,3,0\n2024-02-01,q,4,1\n";
        let csv = csv.replace(",p,", ",7,").replace(",q,", ",8,");
        let parts = table(&csv, &Split::by_time("when", 0.25)).unwrap();
        assert_eq!((parts.train.feature_names(), parts.test.y()), (&["who".into(), "a".into()][..], &[0][..]));
        assert!(parts.validation.is_none());
        let group = table(&csv, &Split::by_group("who", 0.5)).unwrap_err().to_string();
        assert!(group.contains("a column holds dates"), "{group}");
        let message = |from: &str, to: &str| {
            table(&csv.replace(from, to), &Split::by_time("when", 0.25)).unwrap_err().to_string()
        };
        assert_eq!(
            message("2024-01-01", ""),
            "t.csv, line 3, column `when`: the cell is missing, so the row cannot be assigned to a part. Complete it."
        );
        assert!(message("2024-01-01", "1/2/2024").starts_with("t.csv, line 3, column `when`: `1/2/2024` is no time:"));
    }
}
