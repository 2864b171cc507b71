//! Folds for cross-validation.

use std::collections::HashMap;

use wgrad_core::{Result, Seed, SplitMix64};

use super::rule::SplitRule;
use crate::error::{FoldUnit, SplitError};
use crate::streams::FOLDS;

/// Division of rows into folds, each of which is held out once, as in scikit-learn's `KFold`, `StratifiedKFold`
/// and `GroupKFold`.
///
/// ```
/// use wgrad_data::KFold;
/// // list(sklearn.model_selection.KFold(2).split(range(5)))
/// let folds = KFold::new(2).split(&[0, 1, 0, 1, 0], None)?;
/// assert_eq!(folds, [(vec![3, 4], vec![0, 1, 2]), (vec![0, 1, 2], vec![3, 4])]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct KFold {
    rule: SplitRule,
    folds: u32,
    seed: Option<Seed>,
}

impl KFold {
    /// Divides consecutive rows into folds, as `KFold` does. The first folds have one row more if the rows cannot
    /// be divided evenly.
    pub fn new(folds: u32) -> Self {
        Self { rule: SplitRule::Random, folds, seed: None }
    }

    /// Divides the rows of each class over the folds as evenly as possible, as `StratifiedKFold` does.
    pub fn stratified(folds: u32) -> Self {
        Self { rule: SplitRule::Stratified, folds, seed: None }
    }

    /// Keeps rows with the same value in `column` in the same fold, as `GroupKFold` does. Groups are assigned in
    /// order of decreasing size, each to the fold with the fewest rows. The column is not a feature.
    pub fn by_group(column: impl Into<String>, folds: u32) -> Self {
        Self { rule: SplitRule::Group(column.into()), folds, seed: None }
    }

    /// Assigns rows to folds in random order instead of the order of the data. With `KFold::by_group`, only the
    /// order of groups of the same size becomes random.
    pub fn shuffle(self, seed: Seed) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Returns the number of folds.
    pub fn count(&self) -> u32 {
        self.folds
    }

    /// Returns the column with the groups, if there is one.
    pub fn column(&self) -> Option<&str> {
        match &self.rule {
            SplitRule::Group(column) => Some(column),
            _ => None,
        }
    }

    /// Returns the training rows and the held-out rows of each fold, both in the order of the data. `y` contains
    /// the class of each row, and `groups` the group of each row, which only [`Self::by_group`] needs.
    ///
    /// # Errors
    /// When there are fewer than two folds, or fewer rows or groups than folds; with [`Self::stratified`], when
    /// every class has fewer rows than there are folds; with [`Self::by_group`], when there is not exactly one
    /// group per row.
    pub fn split(&self, y: &[u32], groups: Option<&[u32]>) -> Result<Vec<(Vec<u32>, Vec<u32>)>> {
        let of = self.folds(y, groups)?;
        let rows = |fold: u32| (0..u32::MAX).take(y.len()).partition(|&row: &u32| of[row as usize] != fold);
        Ok((0..self.folds).map(rows).collect())
    }

    /// Returns the fold in which each row is held out.
    pub(crate) fn folds(&self, y: &[u32], groups: Option<&[u32]>) -> Result<Vec<u32>> {
        let k = self.folds as usize;
        let few = |available, unit| Err(SplitError::TooManyFolds { available, unit, folds: k }.into());
        if k < 2 {
            return Err(SplitError::FoldCount { folds: k }.into());
        }
        if y.len() < k {
            return few(y.len(), FoldUnit::Row);
        }
        let mut random = self.seed.map(|seed| SplitMix64::new(seed, FOLDS));
        match (&self.rule, groups) {
            (SplitRule::Stratified, _) => {
                let counts = class_counts(y);
                let most = counts.iter().copied().max().unwrap_or_default();
                if most < k { few(most, FoldUnit::RowOfMostFrequentClass) } else { Ok(stratified(y, k, random)) }
            }
            (SplitRule::Group(_), Some(groups)) if groups.len() == y.len() => {
                let mut sizes: HashMap<u32, usize> = HashMap::new();
                for group in groups {
                    *sizes.entry(*group).or_default() += 1;
                }
                if sizes.len() < k { few(sizes.len(), FoldUnit::Group) } else { Ok(grouped(groups, sizes, k, random)) }
            }
            (SplitRule::Group(column), _) => Err(SplitError::NoGroups { column: column.clone() }.into()),
            _ => {
                let mut rows: Vec<u32> = (0..u32::MAX).take(y.len()).collect();
                if let Some(random) = &mut random {
                    random.shuffle(&mut rows);
                }
                let (size, more) = (y.len() / k, y.len() % k);
                let mut folds = vec![0; y.len()];
                let mut rest = &rows[..];
                for (fold, at) in (0..self.folds).zip(0..) {
                    let (held_out, others) = rest.split_at(size + usize::from(at < more));
                    for &row in held_out {
                        folds[row as usize] = fold;
                    }
                    rest = others;
                }
                Ok(folds)
            }
        }
    }
}

/// Returns the number of rows of each class.
fn class_counts(y: &[u32]) -> Vec<usize> {
    let mut counts = vec![0; y.iter().max().map_or(0, |&last| last as usize + 1)];
    for &class in y {
        counts[class as usize] += 1;
    }
    counts
}

/// Assigns rows to folds as scikit-learn does. The number of rows that each fold gets of each class is found by
/// sorting the rows by class and dealing them out to the folds in turn, one row at a time. The sizes of two folds
/// therefore differ by at most one row, both in total and per class.
fn stratified(y: &[u32], k: usize, mut random: Option<SplitMix64>) -> Vec<u32> {
    // Classes are numbered in the order of their first occurrence, so that their original numbers do not matter.
    let mut number = HashMap::new();
    let y: Vec<usize> = y
        .iter()
        .map(|class| {
            let next = number.len();
            *number.entry(*class).or_insert(next)
        })
        .collect();
    let mut sorted = y.clone();
    sorted.sort_unstable();
    let mut folds_of_class = vec![vec![]; number.len()];
    for (fold, first) in (0..).zip(0..k) {
        for &class in sorted.iter().skip(first).step_by(k) {
            folds_of_class[class].push(fold);
        }
    }
    for folds in &mut folds_of_class {
        match &mut random {
            Some(random) => random.shuffle(folds),
            None => folds.reverse(),
        }
    }
    y.into_iter().map(|class| folds_of_class[class].pop().unwrap_or_default()).collect()
}

/// Assigns groups in order of decreasing size, each to the fold with the fewest rows.
fn grouped(groups: &[u32], sizes: HashMap<u32, usize>, k: usize, random: Option<SplitMix64>) -> Vec<u32> {
    let mut order: Vec<(u32, usize)> = sizes.into_iter().collect();
    order.sort_unstable();
    match random {
        Some(mut random) => random.shuffle(&mut order),
        None => order.reverse(),
    }
    order.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let (mut rows, mut fold_of) = (vec![0; k], HashMap::new());
    for (group, size) in order {
        let (fold, smallest) =
            (0_u32..).zip(&mut rows).min_by_key(|(_, rows)| **rows).unwrap_or_else(|| unreachable!("k > 1"));
        *smallest += size;
        fold_of.insert(group, fold);
    }
    groups.iter().map(|group| fold_of[group]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const Y: [u32; 12] = [2, 2, 2, 0, 0, 0, 0, 1, 1, 0, 1, 0];

    fn held_out(folds: &KFold, groups: Option<&[u32]>) -> Vec<Vec<u32>> {
        folds.split(&Y, groups).unwrap().into_iter().map(|(_, test)| test).collect()
    }

    #[test]
    fn unshuffled_folds_are_those_of_scikit_learn() {
        // From scikit-learn: [test.tolist() for _, test in KFold(5).split(Y)]
        assert_eq!(
            held_out(&KFold::new(5), None),
            [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7], vec![8, 9], vec![10, 11]]
        );
        // From scikit-learn: [test.tolist() for _, test in StratifiedKFold(3).split(Y, Y)]
        assert_eq!(held_out(&KFold::stratified(3), None), STRATIFIED);
        // From scikit-learn: [test.tolist() for _, test in GroupKFold(3).split(Y, groups=GROUPS)]
        let groups = [0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4];
        assert_eq!(held_out(&KFold::by_group("g", 3), Some(&groups)), GROUPED);
    }
    const STRATIFIED: [&[u32]; 3] = [&[0, 3, 4, 7], &[1, 5, 6, 8], &[2, 9, 10, 11]];
    const GROUPED: [&[u32]; 3] = [&[0, 1, 2, 3, 4], &[5, 6, 7, 10], &[8, 9, 11]];

    #[test]
    fn stratified_folds_hold_out_each_row_once() {
        let y: Vec<u32> = (0..503).map(|i| u32::from(i % 11 == 0) + u32::from(i % 3 == 0)).collect();
        let total = class_counts(&y);
        for seed in 0..20 {
            let split = KFold::stratified(7).shuffle(Seed(seed)).split(&y, None).unwrap();
            let mut all: Vec<u32> = split.iter().flat_map(|(_, test)| test.clone()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..503).collect::<Vec<_>>());
            for (train, test) in &split {
                assert_eq!(train.len() + test.len(), 503);
                assert!((71..=72).contains(&test.len()));
                let classes: Vec<u32> = test.iter().map(|&row| y[row as usize]).collect();
                for (n, total) in class_counts(&classes).into_iter().zip(&total) {
                    assert!(n == total / 7 || n == total / 7 + 1, "{n} of {total}");
                }
            }
        }
    }

    #[test]
    fn no_group_is_in_two_folds() {
        let groups: Vec<u32> = (0..300).map(|i| i * i % 41).collect();
        for folds in [KFold::by_group("g", 4), KFold::by_group("g", 4).shuffle(Seed(1))] {
            let of = folds.folds(&[0; 300], Some(&groups)).unwrap();
            let mut fold_of = HashMap::new();
            assert!(of.iter().zip(&groups).all(|(fold, group)| fold_of.entry(group).or_insert(fold) == &fold));
            let sizes = class_counts(&of);
            assert!(sizes.iter().all(|n| (65..=85).contains(n)), "{sizes:?}");
        }
    }

    #[test]
    fn the_seed_decides_and_a_shuffle_moves_rows() {
        for folds in [KFold::new(3), KFold::stratified(3)] {
            let shuffled = |seed| held_out(&folds.clone().shuffle(Seed(seed)), None);
            assert_eq!(shuffled(1), shuffled(1));
            assert_ne!(shuffled(1), shuffled(2));
            assert_ne!(shuffled(1), held_out(&folds, None));
        }
    }

    #[test]
    fn more_folds_than_rows_are_an_error() {
        let message = |folds: KFold, groups| folds.split(&Y, groups).unwrap_err().to_string();
        assert_eq!(message(KFold::new(1), None), "a cross-validation needs at least 2 folds, not 1");
        assert_eq!(message(KFold::new(13), None), "12 rows cannot be put into 13 folds: make fewer folds");
        assert!(message(KFold::stratified(7), None).starts_with("6 rows of the most frequent class"));
        assert_eq!(
            message(KFold::by_group("g", 3), Some(&[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2])),
            "2 groups cannot be put into 3 folds: make fewer folds"
        );
        assert!(message(KFold::by_group("g", 3), None).contains("each row needs one"));
    }
}
