//! A table whose target is named, and the choices on the way to a dataset.

use std::sync::Arc;

use wgrad_core::{Array, Result, Seed};

use crate::dataset::{Dataset, Features};
use crate::error::TableError;
use crate::prepare::{self, Encoding, Learning, Missing, Preprocess, features, labels};
use crate::scratch::Scratch;
use crate::split::{self, KFold, Split};
use crate::table::Table;

impl Table {
    /// Names the column to predict; every other column is a feature.
    ///
    /// # Errors
    /// When there is no such column: the message lists those that there are.
    pub fn target(self, name: &str) -> Result<Labelled> {
        self.require(name)?;
        Ok(Labelled::new(self, name))
    }
}

/// A table with a target column, from [`Table::target`]: choose how to treat it, then [`split`](Self::split) it.
///
/// All columns but the target are features: numbers, true and false, or text, which names categories
/// ([`Categories`](crate::Categories)); dates are refused. Choices are checked when the data is made.
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
    encoding: Encoding,
}

impl Labelled {
    fn new(table: Table, target: &str) -> Self {
        let target = target.to_string();
        let (missing, encoding) = (Missing::default(), Encoding::default());
        Self { table, target, drop: vec![], missing, positive: None, standardize: true, encoding }
    }

    /// Columns that are not features, such as identifiers.
    pub fn drop_columns<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.drop.extend(names.into_iter().map(Into::into));
        self
    }

    /// What to do about missing cells; by default they are refused.
    pub fn missing(self, missing: Missing) -> Self {
        Self { missing, ..self }
    }

    /// Which of two classes is the positive one, number 1. By default it is the second in sorted order, which is right
    /// for 0/1, false/true, no/yes, benign/malignant and B/M.
    pub fn positive(self, class: impl Into<String>) -> Self {
        Self { positive: Some(class.into()), ..self }
    }

    /// Whether features are standardised to mean 0 and standard deviation 1 on the training rows; by default they are.
    pub fn standardize(self, standardize: bool) -> Self {
        Self { standardize, ..self }
    }

    /// The most categories that a column of text may have, the unseen one not counted; 100 if not set. One-hot, each of
    /// them is a feature.
    pub fn max_categories(mut self, limit: usize) -> Self {
        self.encoding.limit = limit;
        self
    }

    /// The fewest training rows that a category needs to be one; rows of rarer ones teach the unseen category. 2 if not
    /// set, as nothing can be learned from a single row; scikit-learn's `OneHotEncoder(min_frequency=…)`.
    pub fn min_frequency(mut self, rows: usize) -> Self {
        self.encoding.min_frequency = rows;
        self
    }

    /// Columns of text that become one feature each, the number of the category, for an
    /// `Embedding`; [`Preprocess::categories`] says how many numbers there are.
    pub fn embed<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.encoding.embed.extend(names.into_iter().map(Into::into));
        self
    }

    /// The table itself.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The name of the target column.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// A training set with `train_fraction` of the rows, and a test set with the others.
    ///
    /// Each class is split by itself: of its `n` rows `n * train_fraction`, rounded to the nearest, train, but at least
    /// one row of a class is on each side if the class has two. Which rows, depends on the seed only (`SplitMix64`,
    /// Fisher–Yates). Means, deviations and fill values are learned from the training rows alone.
    ///
    /// # Errors
    /// When `train_fraction` is not between 0 and 1, or the rows cannot be used as they are: the message names the
    /// place and the remedy.
    pub fn split(&self, train_fraction: f64, seed: Seed) -> Result<(Dataset, Dataset)> {
        let usable = self.usable(None)?;
        let (train, test) = split::stratified(&usable.labels.y, train_fraction, seed)?;
        let mut parts = self.parts(usable, &[&train, &test])?.into_iter();
        match (parts.next(), parts.next()) {
            (Some(train), Some(test)) => Ok((train, test)),
            _ => unreachable!("two parts"),
        }
    }

    /// Training, validation and test rows, divided as `split` says: by class, by chance, by group or by time. Means,
    /// deviations, fill values and categories are learned from the training rows alone.
    ///
    /// # Errors
    /// When the shares leave no rows to train on, a part would be empty, the column of the split is not there or has a gap,
    /// or the rows cannot be used as they are: the message names the place and the remedy.
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

    /// The folds of a cross-validation: each gives a training set and the rows held out, which are other ones each time.
    /// What is learned about the columns is learned from the training rows of each fold.
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
    /// When there are fewer rows or groups than folds, or the rows cannot be used as they are. Making a fold can fail, too.
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

    /// Datasets of these usable rows; the first one teaches.
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

    /// All rows as one training set.
    ///
    /// # Errors
    /// When the rows cannot be used as they are: the message names the place and the remedy.
    pub fn dataset(&self) -> Result<Dataset> {
        let Usable { features, rows, labels } = self.usable(None)?;
        let preprocess = self.learn(features, &rows)?;
        let dropped = self.table.rows() - rows.len();
        Ok(build(&self.table, &rows, labels.y, labels.classes.into(), Arc::new(preprocess))?.with_dropped(dropped))
    }

    /// All rows, treated as the training set of a model was: to evaluate it on another file.
    ///
    /// Columns beyond the features are ignored. Missing features are filled if the model learned what with, else
    /// treated as [`Labelled::missing`] says. [`Labelled::positive`] and [`Labelled::standardize`] have no effect here.
    ///
    /// # Errors
    /// When a feature column is missing, a label is none of the classes, or the rows cannot be used as they are.
    pub fn dataset_with(&self, preprocess: &Preprocess, classes: &[String]) -> Result<Dataset> {
        let features = preprocess.columns();
        features::columns(&self.table, features)?;
        // Without anything to fill in, FillMean must not turn into dropping rows: `build` says so.
        let filled = preprocess.fill().is_some() || self.missing == Missing::FillMean;
        let rows = self.missing.rows(&self.table, features, &self.target, filled)?;
        let y = labels::number(&self.table, &self.target, &rows, classes)?;
        let dropped = self.table.rows() - rows.len();
        Ok(build(&self.table, &rows, y, classes.into(), Arc::new(preprocess.clone()))?.with_dropped(dropped))
    }

    /// Checks the choices and the cells; the column that divides the rows is no feature.
    fn usable(&self, divides: Option<&str>) -> Result<Usable> {
        for name in self.drop.iter().chain(&self.encoding.embed) {
            self.table.require(name)?;
        }
        if self.drop.contains(&self.target) {
            return Err(self.table.error(TableError::TargetDropped { target: self.target.clone() }));
        }
        if let Some(name) = divides {
            self.table.require(name)?;
            if name == self.target {
                return Err(self.table.error(TableError::TargetSplits { target: self.target.clone() }));
            }
        }
        let unused =
            |name: &&String| **name == self.target || divides == Some(name.as_str()) || self.drop.contains(name);
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

    fn learn(&self, features: Vec<String>, rows: &[u32]) -> Result<Preprocess> {
        let fill = self.missing == Missing::FillMean;
        prepare::learn(
            &self.table,
            features,
            rows,
            Learning { fill, standardize: self.standardize, encoding: &self.encoding },
        )
    }
}

/// What is left of a table once the choices are made.
#[derive(Clone)]
struct Usable {
    features: Vec<String>,
    rows: Vec<u32>,
    labels: labels::Labels,
}

/// Makes a dataset of some rows, on disk if the table is.
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

#[cfg(test)]
mod tests;
