//! Table with a target column, and the options for creating datasets from it.

use std::sync::Arc;

use wgrad_core::{Array, Result, Seed};

use crate::dataset::{Dataset, Features};
use crate::error::TableError;
use crate::prepare::{self, EncodingOptions, LearnOptions, Missing, Preprocess, features, labels};
use crate::scratch::Scratch;
use crate::split::{self, KFold, Split};
use crate::table::Table;

impl Table {
    /// Selects the column to predict; every other column is a feature.
    ///
    /// # Errors
    /// When the column does not exist; the message then lists the columns.
    pub fn target(self, name: &str) -> Result<Labelled> {
        self.require(name)?;
        Ok(Labelled::new(self, name))
    }
}

/// Table with a target column, created with [`Table::target`]. Set its options, then [`split`](Self::split) it.
///
/// All columns except the target are features. They contain numbers, booleans, or text that is treated as
/// categories ([`Categories`](crate::Categories)); dates are rejected. Options are checked when datasets are
/// created.
///
/// ```
/// use wgrad_data::{Missing, Seed, Table};
/// # let file = "id,radius,diagnosis\nx1,1,B\nx2,,B\nx3,3,B\nx4,4,M\nx5,5,M\n";
/// let table = Table::parse("tumours.csv", file.as_bytes())?
///     .target("diagnosis")?
///     .drop_columns(["id"])
///     .missing(Missing::DropRows)
///     .positive("M");
/// let (train, test) = table.split(0.5, Seed(7))?;
/// assert_eq!((train.rows() + test.rows(), train.dropped_rows(), train.positive()), (4, 1, Some("M")));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Labelled {
    table: Table,
    target: String,
    drop: Vec<String>,
    missing: Missing,
    positive: Option<String>,
    standardize: bool,
    encoding: EncodingOptions,
}

impl Labelled {
    fn new(table: Table, target: &str) -> Self {
        let target = target.to_string();
        let (missing, encoding) = (Missing::default(), EncodingOptions::default());
        Self { table, target, drop: vec![], missing, positive: None, standardize: true, encoding }
    }

    /// Leaves out columns that are not features, such as identifiers.
    pub fn drop_columns<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.drop.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets how missing cells are treated. Default: [`Missing::Refuse`].
    pub fn missing(self, missing: Missing) -> Self {
        Self { missing, ..self }
    }

    /// Sets which of two classes is the positive one (class 1). Default: the second class in sorted order, which
    /// is right for 0/1, false/true, no/yes, benign/malignant and B/M.
    pub fn positive(self, class: impl Into<String>) -> Self {
        Self { positive: Some(class.into()), ..self }
    }

    /// Sets whether features are standardised to mean 0 and standard deviation 1 over the training rows. Default:
    /// true.
    pub fn standardize(self, standardize: bool) -> Self {
        Self { standardize, ..self }
    }

    /// Sets the maximum number of categories of a text column, not counting the extra category for unseen texts.
    /// Default: 100. With one-hot encoding, each category is a feature.
    pub fn max_categories(mut self, limit: usize) -> Self {
        self.encoding.limit = limit;
        self
    }

    /// Sets the minimum number of training rows per category; rows of rarer categories are assigned to the extra
    /// category for unseen texts, as with scikit-learn's `OneHotEncoder(min_frequency=…)`. Default: 2, since
    /// nothing can be learned from a single row.
    pub fn min_frequency(mut self, rows: usize) -> Self {
        self.encoding.min_frequency = rows;
        self
    }

    /// Encodes the given text columns as one feature each, the category number, for an `Embedding` layer with
    /// [`Categories::size`](crate::Categories::size) rows; see [`Preprocess::categories`].
    pub fn embed<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.encoding.embed.extend(names.into_iter().map(Into::into));
        self
    }

    /// Returns the table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the name of the target column.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Splits the rows into a training set with the fraction `train_fraction` of them and a test set with the
    /// rest.
    ///
    /// The split is stratified: of the `n` rows of a class, `n * train_fraction`, rounded to the nearest integer,
    /// are training rows, but both sets get at least one row if the class has two or more. The selection depends
    /// only on the seed (a Fisher–Yates shuffle with `SplitMix64`). Means, standard deviations and fill values are
    /// learned from the training rows alone.
    ///
    /// # Errors
    /// When `train_fraction` is not between 0 and 1, or some rows cannot be used as they are; the message then
    /// names the location and a fix.
    pub fn split(&self, train_fraction: f64, seed: Seed) -> Result<(Dataset, Dataset)> {
        let usable = self.usable(None)?;
        let (train, test) = split::stratified(&usable.labels.y, train_fraction, seed)?;
        let mut parts = self.parts(usable, &[&train, &test])?.into_iter();
        match (parts.next(), parts.next()) {
            (Some(train), Some(test)) => Ok((train, test)),
            _ => unreachable!("two parts"),
        }
    }

    /// Splits the rows into training, validation and test rows, with the method that `split` sets. Means, standard
    /// deviations, fill values and categories are learned from the training rows alone.
    ///
    /// # Errors
    /// When the fractions leave no rows for training, a part would be empty, the column of the split does not
    /// exist or has a missing cell, or some rows cannot be used as they are; the message then names the location
    /// and a fix.
    pub fn split_by(&self, split: &Split) -> Result<Parts> {
        let usable = self.usable(split.column())?;
        let keys = split.keys(&self.table, &usable.rows)?;
        let rows = split.rows(&usable.labels.y, &keys)?;
        let validates = !rows.validation.is_empty();
        let sides = [&rows.train[..], &rows.test, &rows.validation];
        let mut parts = self.parts(usable, &sides[..2 + usize::from(validates)])?.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(train), Some(test), validation) => Ok(Parts { train, validation, test }),
            _ => unreachable!("two parts or three"),
        }
    }

    /// Returns the folds of a cross-validation. Each fold has a training set and a held-out set, and each row is
    /// held out once. The preprocessing is learned separately from the training rows of each fold.
    ///
    /// ```
    /// use wgrad_data::{KFold, Seed, Table};
    /// # let file = "a,y\n1,0\n2,0\n3,1\n4,1\n5,0\n6,1\n";
    /// let table = Table::parse("t.csv", file.as_bytes())?.target("y")?;
    /// for fold in table.folds(&KFold::stratified(3).shuffle(Seed(7)))? {
    ///     let (train, held_out) = fold?;
    ///     assert_eq!((train.class_counts(), held_out.class_counts()), (vec![2, 2], vec![1, 1]));
    /// }
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there are fewer rows or groups than folds, or some rows cannot be used as they are. An item of the
    /// iterator can also be an error.
    pub fn folds(&self, folds: &KFold) -> Result<impl Iterator<Item = Result<(Dataset, Dataset)>>> {
        let usable = self.usable(folds.column())?;
        let groups = folds.column().map(|column| split::groups(&self.table, column, &usable.rows)).transpose()?;
        let held_out = folds.folds(&usable.labels.y, groups.as_deref())?;
        let rows = u32::try_from(usable.rows.len()).unwrap_or(u32::MAX);
        Ok((0..folds.count()).map(move |fold| {
            let (test, train): (Vec<u32>, Vec<u32>) = (0..rows).partition(|&row| held_out[row as usize] == fold);
            let mut parts = self.parts(usable.clone(), &[&train, &test])?.into_iter();
            match (parts.next(), parts.next()) {
                (Some(train), Some(test)) => Ok((train, test)),
                _ => unreachable!("two parts"),
            }
        }))
    }

    /// Creates a dataset from each set of usable rows; the preprocessing is learned from the first set.
    fn parts(&self, usable: Usable, sides: &[&[u32]]) -> Result<Vec<Dataset>> {
        let Usable { features, rows, labels } = usable;
        let pick = |side: &[u32]| side.iter().map(|&at| rows[at as usize]).collect::<Vec<_>>();
        let preprocess = Arc::new(self.learn(features, &pick(sides[0]))?);
        let classes: Arc<[String]> = labels.classes.into();
        let dropped = self.table.rows() - rows.len();
        let dataset = |side: &&[u32]| {
            let y = side.iter().map(|&at| labels.y[at as usize]).collect();
            let part = build(&self.table, &pick(side), y, Arc::clone(&classes), Arc::clone(&preprocess))?;
            Ok(part.with_dropped(dropped))
        };
        sides.iter().map(dataset).collect()
    }

    /// Creates one training set from all rows.
    ///
    /// # Errors
    /// When some rows cannot be used as they are; the message then names the location and a fix.
    pub fn dataset(&self) -> Result<Dataset> {
        let Usable { features, rows, labels } = self.usable(None)?;
        let preprocess = self.learn(features, &rows)?;
        let dropped = self.table.rows() - rows.len();
        Ok(build(&self.table, &rows, labels.y, labels.classes.into(), Arc::new(preprocess))?.with_dropped(dropped))
    }

    /// Creates a dataset from all rows with the preprocessing and the classes of a model, to evaluate the model on
    /// another file.
    ///
    /// Columns that are not features are ignored. Missing features are filled if the preprocessing has fill
    /// values; otherwise [`Labelled::missing`] sets how they are treated. [`Labelled::positive`] and
    /// [`Labelled::standardize`] have no effect.
    ///
    /// # Errors
    /// When a feature column is missing, a label is not one of the classes, or some rows cannot be used as they
    /// are.
    pub fn dataset_with(&self, preprocess: &Preprocess, classes: &[String]) -> Result<Dataset> {
        let features = preprocess.columns();
        features::columns(&self.table, features)?;
        // `FillMean` keeps rows with missing cells even if the preprocessing has no fill values: an error for
        // these rows is better than leaving them out silently.
        let filled = preprocess.fill().is_some() || self.missing == Missing::FillMean;
        let rows = self.missing.rows(&self.table, features, &self.target, filled)?;
        let y = labels::number(&self.table, &self.target, &rows, classes)?;
        let dropped = self.table.rows() - rows.len();
        Ok(build(&self.table, &rows, y, classes.into(), Arc::new(preprocess.clone()))?.with_dropped(dropped))
    }

    /// Checks the options and the cells. The column by which rows are split is not a feature.
    fn usable(&self, split_column: Option<&str>) -> Result<Usable> {
        for name in self.drop.iter().chain(&self.encoding.embed) {
            self.table.require(name)?;
        }
        if self.drop.contains(&self.target) {
            return Err(self.table.error(TableError::TargetDropped { target: self.target.clone() }));
        }
        if let Some(name) = split_column {
            self.table.require(name)?;
            if name == self.target {
                return Err(self.table.error(TableError::TargetSplits { target: self.target.clone() }));
            }
        }
        let unused =
            |name: &&String| **name == self.target || split_column == Some(name.as_str()) || self.drop.contains(name);
        let features: Vec<String> = self.table.names.iter().filter(|name| !unused(name)).cloned().collect();
        if features.is_empty() {
            let (columns, target) = (self.table.names.clone(), self.target.clone());
            return Err(self.table.error(TableError::NoFeatures { columns, target }));
        }
        features::learnable(&self.table, &features)?;
        let rows = self.missing.rows(&self.table, &features, &self.target, self.missing == Missing::FillMean)?;
        let mut labels = labels::find(&self.table, &self.target, &rows)?;
        if let Some(positive) = &self.positive {
            labels = labels.with_positive(&self.table, positive)?;
        }
        Ok(Usable { features, rows, labels })
    }

    /// Learns the preprocessing from the given rows.
    fn learn(&self, features: Vec<String>, rows: &[u32]) -> Result<Preprocess> {
        let fill = self.missing == Missing::FillMean;
        prepare::learn(
            &self.table,
            features,
            rows,
            LearnOptions { fill, standardize: self.standardize, encoding: &self.encoding },
        )
    }
}

/// Features, rows and labels of a table that can be used with the chosen options.
#[derive(Clone)]
struct Usable {
    features: Vec<String>,
    rows: Vec<u32>,
    labels: labels::Labels,
}

/// Creates a dataset from the given rows; it is on disk if the table is on disk.
fn build(
    table: &Table,
    rows: &[u32],
    y: Vec<u32>,
    classes: Arc<[String]>,
    preprocess: Arc<Preprocess>,
) -> Result<Dataset> {
    let width = preprocess.features().len();
    let x = if table.spilled {
        let scratch = Scratch::new()?;
        let mut written = 0;
        prepare::transform(&preprocess, table, rows, |values| {
            scratch.write(written, values)?;
            written += values.len() as u64;
            Ok(())
        })?;
        Features::on_disk(scratch)
    } else {
        let mut x = Vec::with_capacity(rows.len() * width);
        prepare::transform(&preprocess, table, rows, |values| {
            x.extend_from_slice(values);
            Ok(())
        })?;
        Features::in_memory(Array::new([rows.len(), width], x)?)
    };
    Ok(Dataset::from_parts(x, y, classes, preprocess))
}

/// Datasets into which a table was split. Their preprocessing was learned from the training rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// Training rows.
    pub train: Dataset,
    /// Validation rows, for early stopping and the choice of a threshold; `None` if the validation fraction is 0.
    pub validation: Option<Dataset>,
    /// Test rows, only for the final evaluation.
    pub test: Dataset,
}

#[cfg(test)]
mod tests;
