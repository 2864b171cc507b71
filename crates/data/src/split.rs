//! Which rows train, which ones validate and which ones test.

use std::collections::HashMap;

use wgrad_core::{Error, Result};

use super::column::{Cells, MISSING};
use super::streams::VALIDATION;
use super::{Dataset, Seed, Table, date};
use wgrad_core::SplitMix64;

/// How rows are divided into training, validation and test rows, for
/// [`Labelled::split_by`](super::Labelled::split_by).
///
/// The shares are of all rows. Which rows, depends on the seed only, and the test rows are the same whether or not there
/// are validation rows.
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
pub struct Split {
    pub(super) by: By,
    test: f64,
    validation: f64,
    seed: Seed,
}

/// What decides where a row goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum By {
    Chance,
    Class,
    Group(String),
    Time(String),
}

/// The parts of a table. What the features are standardised with was learned from the training rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// To train on.
    pub train: Dataset,
    /// To choose on: when to stop, a threshold; if a share was asked for.
    pub validation: Option<Dataset>,
    /// To say how good the model is, and for nothing else.
    pub test: Dataset,
}

/// Rows of the parts, each in the order of the rows.
#[derive(Debug, PartialEq)]
pub(super) struct Rows {
    pub train: Vec<u32>,
    pub validation: Vec<u32>,
    pub test: Vec<u32>,
}

impl Split {
    fn new(by: By, test: f64) -> Self {
        Self { by, test, validation: 0.0, seed: Seed::default() }
    }

    /// Each class by itself, so that all parts have it in the same proportion, to a row: of its `n` rows `n * test`,
    /// rounded to the nearest, test, but at least one row of a class is on each side if it has two.
    #[must_use]
    pub fn stratified(test: f64) -> Self {
        Self::new(By::Class, test)
    }

    /// Any row anywhere with the same probability: `n * test` of the `n` rows, rounded to the nearest, test.
    #[must_use]
    pub fn random(test: f64) -> Self {
        Self::new(By::Chance, test)
    }

    /// Rows with the same value in a column stay together. Groups are dealt in random order until the parts have about
    /// their shares of the rows; each part has at least one group. The column is not a feature.
    #[must_use]
    pub fn by_group(column: impl Into<String>, test: f64) -> Self {
        Self::new(By::Group(column.into()), test)
    }

    /// By a column of numbers, or of dates with the year first: the oldest rows train, the next ones validate, the newest
    /// ones test. Rows of the same time keep their order. The column is not a feature; the seed has no effect.
    #[must_use]
    pub fn by_time(column: impl Into<String>, test: f64) -> Self {
        Self::new(By::Time(column.into()), test)
    }

    /// The share of the rows to validate on, 0 if not set.
    #[must_use]
    pub fn validation(self, validation: f64) -> Self {
        Self { validation, ..self }
    }

    /// The seed, 0 if not set.
    #[must_use]
    pub fn seed(self, seed: Seed) -> Self {
        Self { seed, ..self }
    }

    /// The column that says where rows go, if one does.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        match &self.by {
            By::Group(column) | By::Time(column) => Some(column),
            By::Chance | By::Class => None,
        }
    }

    /// Divides the numbers from 0 on of rows with these classes and these keys: groups or times.
    pub(super) fn rows(&self, y: &[u32], keys: &Keys) -> Result<Rows> {
        let Self { test, validation, seed, .. } = *self;
        for (what, share, least) in [("test", test, f64::MIN_POSITIVE), ("validate", validation, 0.0)] {
            if !(share >= least && share < 1.0) {
                return Err(Error::Config(format!(
                    "the share of rows to {what} on must lie between 0 and 1; it is {share}"
                )));
            }
        }
        if test + validation >= 1.0 {
            return Err(Error::Config(format!(
                "the shares of rows to test on, {test}, and to validate on, {validation}, leave none to train on"
            )));
        }
        // Of the rows that are no test rows.
        let keep = 1.0 - validation / (1.0 - test);
        let (train, test) = self.two(y, keys, None, 1.0 - test, (seed, 0))?;
        if validation == 0.0 {
            return Ok(Rows { train, validation: vec![], test });
        }
        let (train, validation) = self.two(y, keys, Some(&train), keep, (seed, VALIDATION))?;
        Ok(Rows { train, validation, test })
    }

    /// Divides all rows, or some.
    fn two(
        &self,
        y: &[u32],
        keys: &Keys,
        of: Option<&[u32]>,
        fraction: f64,
        (seed, stream): (Seed, u64),
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        let rows: Vec<u32> = of.map_or_else(|| (0..u32::MAX).take(y.len()).collect(), <[u32]>::to_vec);
        let mut random = SplitMix64::new(seed, stream);
        let mut sides = match (&self.by, keys) {
            (By::Group(column), Keys::Groups(groups)) => by_group(rows, groups, column, fraction, &mut random)?,
            (By::Time(_), Keys::Times(times)) => by_time(rows, times, fraction),
            (By::Class, _) => by_class(&rows, y, fraction, &mut random),
            _ => {
                let mut rows = rows;
                random.shuffle(&mut rows);
                let test = rows.split_off(share(rows.len(), fraction));
                (rows, test)
            }
        };
        if sides.0.is_empty() || sides.1.is_empty() {
            return Err(Error::Data("there are too few rows to split: a part would be empty. Add rows.".into()));
        }
        sides.0.sort_unstable();
        sides.1.sort_unstable();
        Ok(sides)
    }
}

/// What a column says about where rows go.
pub(super) enum Keys {
    None,
    /// The number of each row's group.
    Groups(Vec<u32>),
    Times(Vec<f64>),
}

impl Keys {
    /// Reads the column of a split.
    pub(super) fn of(by: &By, table: &Table, rows: &[u32]) -> Result<Self> {
        match by {
            By::Chance | By::Class => Ok(Self::None),
            By::Group(column) => Ok(Self::Groups(groups(table, column, rows)?)),
            By::Time(column) => Ok(Self::Times(times(table, column, rows)?)),
        }
    }
}

fn missing(table: &Table, row: u32, column: &str) -> Error {
    let place = table.place(row as usize, column);
    Error::Data(format!("{place}: the cell is missing, so there is no telling where the row belongs. Complete it."))
}

/// The number of the group of each of the rows.
pub(super) fn groups(table: &Table, column: &str, rows: &[u32]) -> Result<Vec<u32>> {
    let cells = &table.columns[table.require(column)?];
    if let Cells::Text { codes, .. } = &cells.cells {
        let code = |&row: &u32| Some(codes[row as usize]).filter(|code| *code != MISSING).ok_or(row);
        return rows.iter().map(|row| code(row).map_err(|row| missing(table, row, column))).collect();
    }
    let values = cells.numbers()?.unwrap_or_default();
    let mut numbers = HashMap::new();
    let mut number = |&row: &u32| {
        let value = values[row as usize] + 0.0;
        if value.is_nan() {
            return Err(missing(table, row, column));
        }
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        Ok(*numbers.entry(value.to_bits()).or_insert(next))
    };
    rows.iter().map(&mut number).collect()
}

/// When each of the rows was.
fn times(table: &Table, column: &str, rows: &[u32]) -> Result<Vec<f64>> {
    let cells = &table.columns[table.require(column)?];
    let Cells::Text { codes, levels } = &cells.cells else {
        let values = cells.numbers()?.unwrap_or_default();
        let time = |&row: &u32| Some(values[row as usize]).filter(|time| !time.is_nan()).ok_or(row);
        return rows.iter().map(|row| time(row).map_err(|row| missing(table, row, column))).collect();
    };
    let seconds: Vec<Option<f64>> = levels.iter().map(date::seconds).collect();
    let time = |&row: &u32| {
        let code = codes[row as usize];
        if code == MISSING {
            return Err(missing(table, row, column));
        }
        seconds[code as usize].ok_or_else(|| {
            Error::Data(format!(
                "{}: `{}` is no time: a number is needed, or a date with the year first, such as 2024-01-31 or \
                 2024-01-31T10:30:00",
                table.place(row as usize, column),
                levels.get(code as usize)
            ))
        })
    };
    rows.iter().map(time).collect()
}

/// Whole groups in random order, until the second side has its share.
#[allow(clippy::cast_precision_loss, reason = "row numbers fit 32 bits")]
fn by_group(
    rows: Vec<u32>,
    groups: &[u32],
    column: &str,
    fraction: f64,
    random: &mut SplitMix64,
) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut sizes: HashMap<u32, usize> = HashMap::new();
    for &row in &rows {
        *sizes.entry(groups[row as usize]).or_default() += 1;
    }
    let mut order: Vec<(u32, usize)> = sizes.into_iter().collect();
    if order.len() < 2 {
        return Err(Error::Data(format!(
            "column `{column}` has too few groups to split: each part needs one. Add groups, or leave out a part."
        )));
    }
    order.sort_unstable();
    random.shuffle(&mut order);
    let target = rows.len() as f64 * (1.0 - fraction);
    let (mut chosen, mut count) = (std::collections::HashSet::new(), 0);
    for &(group, size) in &order {
        // A group goes where that brings the count closer to the target.
        let closer = count as f64 + size as f64 / 2.0 <= target;
        if closer && chosen.len() + 1 < order.len() {
            chosen.insert(group);
            count += size;
        }
    }
    if chosen.is_empty() {
        chosen.extend(order.iter().min_by_key(|(_, size)| size).map(|(group, _)| *group));
    }
    Ok(rows.into_iter().partition(|&row| !chosen.contains(&groups[row as usize])))
}

/// The oldest rows, and the newest ones.
fn by_time(mut rows: Vec<u32>, times: &[f64], fraction: f64) -> (Vec<u32>, Vec<u32>) {
    rows.sort_by(|&a, &b| times[a as usize].total_cmp(&times[b as usize]));
    let newest = rows.split_off(share(rows.len(), fraction));
    (rows, newest)
}

/// Each class by itself.
fn by_class(rows: &[u32], y: &[u32], fraction: f64, random: &mut SplitMix64) -> (Vec<u32>, Vec<u32>) {
    let classes = y.iter().max().map_or(0, |&last| last as usize + 1);
    let mut by_class = vec![vec![]; classes];
    for &row in rows {
        by_class[y[row as usize] as usize].push(row);
    }
    let (mut train, mut test) = (vec![], vec![]);
    for mut rows in by_class {
        random.shuffle(&mut rows);
        let (left, right) = rows.split_at(share(rows.len(), fraction));
        train.extend_from_slice(left);
        test.extend_from_slice(right);
    }
    (train, test)
}

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
    let rows: Vec<u32> = (0..u32::MAX).take(y.len()).collect();
    let (mut train, mut test) = by_class(&rows, y, fraction, &mut SplitMix64::new(seed, 0));
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
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
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

    fn y(n: u32) -> Vec<u32> {
        (0..n).map(|i| u32::from(i % 10 == 0) + u32::from(i % 7 == 3)).collect()
    }

    fn all(rows: &Rows) -> Vec<u32> {
        let mut all = [&rows.train[..], &rows.validation, &rows.test].concat();
        all.sort_unstable();
        all
    }

    #[test]
    fn three_parts_have_each_class_in_its_proportion_to_a_row() {
        let y = y(997);
        for seed in 0..20 {
            let split = Split::stratified(0.2).validation(0.15).seed(Seed(seed));
            let rows = split.rows(&y, &Keys::None).unwrap();
            assert_eq!(all(&rows), (0..997).collect::<Vec<_>>());
            let of_all = counts(&y, &all(&rows), 3);
            for (part, share) in [(&rows.train, 0.65), (&rows.validation, 0.15), (&rows.test, 0.2)] {
                for (n, of_all) in counts(&y, part, 3).into_iter().zip(&of_all) {
                    assert!((n as f64 - share * *of_all as f64).abs() <= 1.0, "{n} of {of_all}");
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
    fn no_group_is_in_two_parts_and_the_shares_are_close() {
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
    fn shares_that_leave_nothing_are_errors() {
        let message = |split: Split| split.rows(&[0, 1, 0, 1], &Keys::None).unwrap_err().to_string();
        assert_eq!(message(Split::random(0.0)), "the share of rows to test on must lie between 0 and 1; it is 0");
        assert_eq!(
            message(Split::random(0.5).validation(-0.5)),
            "the share of rows to validate on must lie between 0 and 1; it is -0.5"
        );
        assert_eq!(
            message(Split::stratified(0.5).validation(0.5)),
            "the shares of rows to test on, 0.5, and to validate on, 0.5, leave none to train on"
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
            "t.csv, line 3, column `when`: the cell is missing, so there is no telling where the row belongs. Complete it."
        );
        assert!(message("2024-01-01", "1/2/2024").starts_with("t.csv, line 3, column `when`: `1/2/2024` is no time:"));
    }
}
