//! Options of `wgrad train` for the data: which rows and columns to use, and how.

use std::collections::BTreeMap;
use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use wgrad_core::Result;
use wgrad_data::{Missing, Parts, Seed, Split, Table};

use crate::args::{number, whole};

/// Options for the data.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// The fraction of rows in the test set. It has the same fraction of each class, unless rows are split by group
    /// or time.
    #[arg(long, allow_negative_numbers = true, value_name = "FRACTION", default_value_t = 0.2, value_parser = number(|x| x > 0.0 && x < 1.0, "above 0 and below 1"))]
    pub test: f64,
    /// The fraction of rows in the validation set, which gives the validation loss after each epoch, the calibration
    /// and the threshold. [default: 0.2 if --threshold or --calibrate need it, else 0]
    #[arg(long, allow_negative_numbers = true, value_name = "FRACTION", value_parser = number(|x| (0.0..1.0).contains(&x), "at least 0 and below 1"))]
    pub validation: Option<f64>,
    /// Keep rows with the same value in this column in the same set, such as those of one patient; the column is not
    /// a feature.
    #[arg(long, value_name = "COLUMN", conflicts_with = "time")]
    pub group_by: Option<String>,
    /// Train on the oldest rows and test on the newest, by this column of numbers or dates; the column is not a
    /// feature.
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// Columns to leave out of the features, such as identifiers.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub drop: Vec<String>,
    /// The treatment of empty and NaN cells: refuse them, drop their rows, or fill in the column's mean.
    #[arg(long, default_value = "refuse", value_parser = missing())]
    pub missing: Missing,
    /// The positive one of two classes. [default: the second in sorted order]
    #[arg(long, value_name = "LABEL")]
    pub positive: Option<String>,
    /// The most categories that a text column may have; each becomes a feature of 0 and 1, unless the column is
    /// embedded.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 100, value_parser = whole(1, "at least 1"))]
    pub max_categories: usize,
    /// The fewest training rows of a category. Rarer ones count as unseen, like categories that only `wgrad predict`
    /// meets.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 2, value_parser = whole(1, "at least 1"))]
    pub min_frequency: usize,
    /// Text columns that get a trained vector per category instead of a feature of 0 and 1 each; for columns with
    /// many categories.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub embed: Vec<String>,
    /// Keep the rows in temporary files, in the folder that TMPDIR names, instead of in memory. The model is the
    /// same.
    #[arg(long)]
    pub stream: bool,
}

fn missing() -> impl TypedValueParser<Value = Missing> {
    PossibleValuesParser::new(["refuse", "drop", "mean"]).try_map(|word| word.parse::<Missing>())
}

impl DataArgs {
    /// Returns the options that determine the split, by name, except those with their own field in `model.json`.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let all = [("group_by", self.group_by.clone()), ("time", self.time.clone())];
        all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }

    /// Reads the file and splits its rows into training, validation and test sets. `validation` is the fraction of
    /// validation rows. The cells of the file are not kept.
    ///
    /// # Errors
    /// If the file or its rows cannot be used.
    pub fn parts(&self, file: &Path, target: &str, seed: u64, validation: f64) -> Result<Parts> {
        let table = if self.stream { Table::scan(file)? } else { Table::read(file)? };
        let mut labelled = table
            .target(target)?
            .drop_columns(&self.drop)
            .missing(self.missing)
            .embed(&self.embed)
            .max_categories(self.max_categories)
            .min_frequency(self.min_frequency);
        if let Some(positive) = &self.positive {
            labelled = labelled.positive(positive);
        }
        let split = match (&self.group_by, &self.time) {
            (Some(column), _) => Split::by_group(column, self.test),
            (_, Some(column)) => Split::by_time(column, self.test),
            _ => Split::stratified(self.test),
        };
        labelled.split_by(&split.validation(validation).seed(Seed(seed)))
    }
}
