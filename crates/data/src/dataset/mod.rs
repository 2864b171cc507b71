//! Datasets: the features and the class of each row, ready for training.

mod storage;

use std::sync::Arc;

use wgrad_core::{Array, Result, Seed, SplitMix64};

use crate::batches::repeat;
use crate::error::{BatchError, DatasetError};
use crate::prepare::Preprocess;
use crate::split;
use crate::streams::BALANCE;

pub(crate) use storage::Features;

/// Features and class of each row, ready for training.
///
/// If there are two classes, class 1 is the positive one. The features are in memory, or on disk if the table was
/// read with [`Table::scan_csv`](crate::Table::scan_csv).
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    x: Features,
    y: Vec<u32>,
    classes: Arc<[String]>,
    preprocess: Arc<Preprocess>,
    dropped: usize,
}

impl Dataset {
    /// Creates a dataset from the features `x`, in row-major order, and the class `y` of each row. The values are
    /// not standardised.
    ///
    /// ```
    /// use wgrad_data::Dataset;
    /// let data = Dataset::new(["a", "b"], vec![0.5, 1.0, -0.5, 2.0], vec![1, 0], ["no", "yes"])?;
    /// assert_eq!((data.rows(), data.features(), data.positive()), (2, 2, Some("yes")));
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the length of `x` is not rows × features, there are no rows, a value is not finite, or a class has no
    /// name.
    pub fn new<F: Into<String>, C: Into<String>>(
        features: impl IntoIterator<Item = F>,
        x: Vec<f32>,
        y: Vec<u32>,
        classes: impl IntoIterator<Item = C>,
    ) -> Result<Self> {
        let preprocess = Preprocess::identity(features.into_iter().map(Into::into).collect());
        let classes: Arc<[String]> = classes.into_iter().map(Into::into).collect();
        let width = preprocess.columns().len();
        if y.is_empty() || width == 0 {
            return Err(DatasetError::Empty.into());
        }
        if y.len().checked_mul(width) != Some(x.len()) || u32::try_from(y.len()).is_err() {
            return Err(DatasetError::Size { values: x.len(), rows: y.len(), features: width }.into());
        }
        if let Some(at) = x.iter().position(|value| !value.is_finite()) {
            let feature = preprocess.columns()[at % width].clone();
            return Err(DatasetError::Feature { row: at / width, feature, value: x[at] }.into());
        }
        if let Some(row) = y.iter().position(|&class| class as usize >= classes.len()) {
            return Err(DatasetError::Class { row, class: y[row], classes: classes.len() }.into());
        }
        let x = Features::in_memory(Array::new([y.len(), width], x)?);
        Ok(Self::from_parts(x, y, classes, Arc::new(preprocess)))
    }

    /// Creates a dataset from values that the caller has checked.
    pub(crate) fn from_parts(x: Features, y: Vec<u32>, classes: Arc<[String]>, preprocess: Arc<Preprocess>) -> Self {
        Self { x, y, classes, preprocess, dropped: 0 }
    }

    /// Sets the number of rows that were left out of the dataset.
    pub(crate) fn with_dropped(self, dropped: usize) -> Self {
        Self { dropped, ..self }
    }

    /// Returns the dataset with the features `x` instead of its own. Their shape must be the same, and the caller
    /// must have checked that they are finite.
    pub(crate) fn with_x(&self, x: Array) -> Result<Self> {
        if x.shape().dims() != [self.rows(), self.features()] {
            return Err(DatasetError::FeatureShape { shape: x.shape().clone(), rows: self.rows() }.into());
        }
        Ok(Self { x: Features::in_memory(x), ..self.clone() })
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.y.len()
    }

    /// Returns the number of features per row.
    pub fn features(&self) -> usize {
        self.preprocess.features().len()
    }

    /// Returns the names of the features; see [`Preprocess::features`].
    pub fn feature_names(&self) -> &[String] {
        self.preprocess.features()
    }

    /// Returns whether the features are on disk; if so, [`Self::gather`] reads them.
    pub fn is_on_disk(&self) -> bool {
        matches!(self.x, Features::Disk { .. })
    }

    /// Returns the features in memory, in row-major order; an empty slice if the features are on disk.
    pub fn x(&self) -> &[f32] {
        match &self.x {
            Features::Memory(x) => x.as_slice().unwrap_or_default(),
            Features::Disk { .. } => &[],
        }
    }

    /// Returns the features of the given rows, one row after the other, from memory or disk.
    ///
    /// # Errors
    /// When a row does not exist, or the temporary file with the features cannot be read.
    pub fn gather(&self, rows: &[u32]) -> Result<Vec<f32>> {
        self.check(rows)?;
        let mut values = Vec::with_capacity(rows.len() * self.features());
        self.x.gather(rows, self.features(), &mut values)?;
        Ok(values)
    }

    /// Returns the size of all features in bytes.
    pub fn feature_bytes(&self) -> u64 {
        self.rows() as u64 * self.features() as u64 * size_of::<f32>() as u64
    }

    /// Returns the class of each row.
    pub fn y(&self) -> &[u32] {
        &self.y
    }

    /// Returns the features in memory as `f32[rows, features]`; an array without rows if the features are on disk.
    pub fn x_array(&self) -> Array {
        Array::clone(&self.x_shared())
    }

    /// Returns the same array as [`Self::x_array`] without copying it; the trainer uses this.
    #[doc(hidden)]
    pub fn x_shared(&self) -> Arc<Array> {
        match &self.x {
            Features::Memory(x) => Arc::clone(x),
            Features::Disk { .. } => Arc::new(Array::full([0, self.features()], 0.0_f32)),
        }
    }

    /// Returns the classes as `u32[rows]`.
    pub fn y_array(&self) -> Array {
        Array::vector(self.y.clone())
    }

    /// Returns the names of the classes, indexed by class number.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns the name of the positive class; `None` unless there are exactly two classes.
    pub fn positive(&self) -> Option<&str> {
        match &self.classes[..] {
            [_, positive] => Some(positive),
            _ => None,
        }
    }

    /// Returns the preprocessing that was learned from the training rows.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Returns the number of rows in the file that were left out because of missing cells, before any split.
    pub fn dropped_rows(&self) -> usize {
        self.dropped
    }

    /// Returns the number of rows of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for &class in &self.y {
            counts[class as usize] += 1;
        }
        counts
    }

    /// Returns the number of negative rows per positive row, which is the `pos_weight` that balances two classes.
    ///
    /// It is infinite if no row is positive, and NaN unless there are exactly two classes; losses reject both
    /// values.
    pub fn pos_weight(&self) -> f32 {
        match self.class_counts()[..] {
            [negatives, positives] => (negatives as f64 / positives as f64) as f32,
            _ => f32::NAN,
        }
    }

    /// Returns the class weights that balance the classes, as scikit-learn's `balanced` does: for `C` classes,
    /// `rows / (C * rows of the class)`, and 0 for a class without rows.
    pub fn class_weights(&self) -> Vec<f32> {
        let total = self.rows() as f64 / self.classes.len() as f64;
        self.class_counts().iter().map(|&n| if n == 0 { 0.0 } else { (total / n as f64) as f32 }).collect()
    }

    /// Returns a dataset of the given rows in the given order.
    ///
    /// # Errors
    /// When a row does not exist, or the temporary file with the features cannot be read.
    pub fn subset(&self, rows: &[u32]) -> Result<Self> {
        self.check(rows)?;
        let x = self.x.subset(rows, self.features())?;
        let y = rows.iter().map(|&row| self.y[row as usize]).collect();
        let (classes, preprocess) = (Arc::clone(&self.classes), Arc::clone(&self.preprocess));
        Ok(Self { x, y, classes, preprocess, dropped: self.dropped })
    }

    /// Checks that all the given rows exist.
    fn check(&self, rows: &[u32]) -> Result<()> {
        match rows.iter().find(|&&row| row as usize >= self.rows()) {
            Some(&row) => Err(DatasetError::NoRow { row, rows: self.rows() }.into()),
            None => Ok(()),
        }
    }

    /// Repeats rows until each class has as many rows as the most frequent class.
    ///
    /// All rows are kept. Within a class, the numbers of copies of two rows differ by at most one; the rows with
    /// one more copy are chosen at random. Use this for training rows only, since metrics of repeated rows are
    /// meaningless. In a trainer, [`Sampler::balanced`](crate::Sampler::balanced) balances classes without copying
    /// rows, and draws different rows in each epoch.
    ///
    /// # Errors
    /// When the result has more rows than a `u32` can count, or the temporary file with the features cannot be
    /// read.
    pub fn oversample(&self, seed: Seed) -> Result<Self> {
        self.resample(seed, |counts| counts.iter().copied().max())
    }

    /// Selects random rows, without repetition, so that each class has as many rows as the rarest class that
    /// occurs.
    ///
    /// # Errors
    /// When the temporary file with the features cannot be read.
    pub fn undersample(&self, seed: Seed) -> Result<Self> {
        self.resample(seed, |counts| counts.iter().copied().filter(|n| *n > 0).min())
    }

    /// Draws the same number of rows from each class; `target` computes this number from the row counts of the
    /// classes.
    fn resample(&self, seed: Seed, target: impl Fn(&[usize]) -> Option<usize>) -> Result<Self> {
        let target = target(&self.class_counts()).unwrap_or_default();
        let mut random = SplitMix64::new(seed, BALANCE);
        let mut order = vec![];
        for class in (0..u32::MAX).take(self.classes.len()) {
            let rows: Vec<u32> = self.y.iter().zip(0..).filter(|(y, _)| **y == class).map(|(_, row)| row).collect();
            if !rows.is_empty() {
                repeat(&rows, target, &mut random, &mut order);
            }
        }
        if u32::try_from(order.len()).is_err() {
            return Err(BatchError::TooManyRows { rows: order.len() }.into());
        }
        order.sort_unstable();
        self.subset(&order)
    }

    /// Splits the rows into two datasets as [`Labelled::split`](crate::Labelled::split) does, for instance into
    /// training and validation rows.
    ///
    /// The features are not standardised again: their means and standard deviations were computed before this
    /// split. To separate training and test rows before anything is learned from them, split the table.
    ///
    /// # Errors
    /// When `train_fraction` is not between 0 and 1, or every class has only one row.
    pub fn split(&self, train_fraction: f64, seed: Seed) -> Result<(Self, Self)> {
        let (train, test) = split::stratified(&self.y, train_fraction, seed)?;
        Ok((self.subset(&train)?, self.subset(&test)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(y: &[u32], classes: &[&str]) -> Dataset {
        let x = (0..y.len() * 2).map(|i| i as f32).collect();
        Dataset::new(["a", "b"], x, y.to_vec(), classes.iter().copied()).unwrap()
    }

    #[test]
    fn weights_balance_the_classes() {
        let two = dataset(&[0, 0, 0, 1], &["no", "yes"]);
        assert_eq!((two.class_counts(), two.pos_weight()), (vec![3, 1], 3.0));
        // The expected weights are from scikit-learn:
        // sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1], y=[0, 0, 0, 1])
        assert_eq!(two.class_weights(), [0.666_666_7, 2.0]);
    }

    #[test]
    fn undefined_weights_are_nan_or_infinite() {
        assert!(dataset(&[0, 1, 2], &["a", "b", "c"]).pos_weight().is_nan());
        assert!(dataset(&[0, 0], &["no", "yes"]).pos_weight().is_infinite());
        assert_eq!(dataset(&[0, 0], &["no", "yes"]).class_weights(), [0.5, 0.0]);
    }

    #[test]
    fn arrays_have_a_row_per_label() {
        let data = dataset(&[0, 1, 1], &["no", "yes"]);
        assert_eq!(data.x_array(), Array::new([3, 2], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap());
        assert_eq!(data.y_array(), Array::vector(vec![0u32, 1, 1]));
    }

    #[test]
    fn a_subset_has_the_rows_asked_for() {
        let data = dataset(&[0, 1, 1], &["no", "yes"]);
        let subset = data.subset(&[2, 0, 2]).unwrap();
        assert_eq!((subset.x(), subset.y()), (&[4.0, 5.0, 0.0, 1.0, 4.0, 5.0][..], &[1, 0, 1][..]));
        assert_eq!(data.subset(&[3]).unwrap_err().to_string(), "there is no row 3: the dataset has 3 rows");
    }

    #[test]
    fn a_dataset_splits_again_without_a_row_lost() {
        let data = dataset(&[0, 0, 1, 1, 0, 0, 1, 1], &["no", "yes"]);
        let (train, valid) = data.split(0.5, Seed(3)).unwrap();
        assert_eq!((train.class_counts(), valid.class_counts()), (vec![2, 2], vec![2, 2]));
        let mut x = [train.x(), valid.x()].concat();
        x.sort_unstable_by(f32::total_cmp);
        assert_eq!(x, data.x());
        assert_eq!(train.preprocess(), data.preprocess());
    }

    #[test]
    fn parts_that_do_not_fit_are_errors() {
        let message =
            |x: &[f32], y: &[u32]| Dataset::new(["a"], x.to_vec(), y.to_vec(), ["no", "yes"]).unwrap_err().to_string();
        assert_eq!(message(&[], &[]), "a dataset needs at least one row and one feature");
        assert_eq!(message(&[1.0], &[0, 1]), "1 value cannot be 2 rows with 1 feature each");
        assert_eq!(message(&[1.0, f32::NAN], &[0, 1]), "row 1, feature `a`: NaN is not finite");
        assert_eq!(message(&[1.0, 2.0], &[0, 2]), "row 1 is of class 2, but there are 2 classes, numbered from 0");
    }
}
