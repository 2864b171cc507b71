//! Errors that concern tables and their columns.

use wgrad_core::text::{count, did_you_mean, list};

use super::{DataFix, RowLocation, Say};

/// Problem with a table, for [`DataError::Table`](super::DataError::Table).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// There are more rows than a `u32` can count.
    TooManyRows,
    /// A column has no name.
    UnnamedColumn {
        /// The index of the column, counted from 0; messages count from 1.
        column: usize,
    },
    /// Several columns have the same name.
    DuplicateColumns {
        /// The names.
        names: Vec<String>,
    },
    /// A requested column does not exist.
    NoColumn {
        /// The requested name.
        name: String,
        /// The columns of the table.
        columns: Vec<String>,
    },
    /// The table lacks columns that are features of the model.
    MissingFeatures {
        /// The columns that are missing.
        missing: Vec<String>,
        /// Columns of the table that are not features of the model.
        unused: Vec<String>,
        /// All columns of the table.
        columns: Vec<String>,
    },
    /// The target is one of the columns to drop.
    TargetDropped {
        /// The target.
        target: String,
    },
    /// The target is also the column by which rows are to be split.
    TargetSplits {
        /// The target.
        target: String,
    },
    /// No column is left as a feature.
    NoFeatures {
        /// The columns of the table.
        columns: Vec<String>,
        /// The target.
        target: String,
    },
    /// A column contains text, but contained numbers when the model was trained.
    NotNumeric {
        /// The column.
        column: String,
        /// The first text in the column.
        text: String,
        /// The location of that text.
        row: RowLocation,
    },
    /// Some feature columns contain dates.
    Dates {
        /// The columns.
        columns: Vec<String>,
        /// The first date of the first column.
        text: String,
        /// The location of that date.
        row: RowLocation,
    },
    /// A feature has no value in the training rows, so there is no mean to fill its missing cells with.
    NoMean {
        /// The column.
        column: String,
    },
    /// A column that is to be embedded contains numbers.
    NoCategories {
        /// The column.
        column: String,
    },
    /// A text column looks like an identifier.
    Identifier {
        /// The column.
        column: String,
        /// The number of distinct texts.
        distinct: usize,
        /// The number of training rows.
        rows: usize,
        /// The minimum number of rows per category.
        min_frequency: usize,
    },
    /// A column has more categories than allowed.
    TooManyCategories {
        /// The column.
        column: String,
        /// The number of categories.
        categories: usize,
        /// The limit.
        limit: usize,
    },
    /// Cells are missing, and their treatment has not been chosen.
    MissingCells {
        /// The columns with missing cells.
        gaps: Vec<ColumnGaps>,
        /// The location of the first row with a missing cell.
        first: RowLocation,
        /// The number of rows with missing cells.
        incomplete: usize,
        /// The number of all rows.
        rows: usize,
    },
    /// Every row has a missing cell.
    NoCompleteRow {
        /// The columns with missing cells.
        gaps: Vec<ColumnGaps>,
        /// The target.
        target: String,
    },
    /// All labels are equal.
    OneClass {
        /// The target.
        target: String,
        /// The only class.
        class: String,
    },
    /// The labels look like a quantity.
    Quantity {
        /// The target.
        target: String,
        /// The number of distinct fractional values.
        distinct: usize,
    },
    /// The labels look like an identifier or a quantity.
    ManyClasses {
        /// The target.
        target: String,
        /// The number of distinct values.
        distinct: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A positive class was chosen, but there are not exactly two classes.
    PositiveOfMany {
        /// The positive class that was chosen.
        positive: String,
        /// The number of classes.
        classes: usize,
    },
    /// The positive class that was chosen is not one of the classes.
    UnknownPositive {
        /// The positive class that was chosen.
        positive: String,
        /// The names of the classes.
        classes: Vec<String>,
    },
}

/// Number of missing cells in one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnGaps {
    /// The column.
    pub column: String,
    /// The number of missing cells.
    pub missing: usize,
}

impl TableError {
    #[allow(clippy::too_many_lines, reason = "an arm per variant")]
    pub(super) fn message(&self, say: Say<'_>) -> String {
        let drop = |column: &String| say(&DataFix::DropColumns(vec![column.clone()]));
        match self {
            Self::TooManyRows => {
                "there are more than 4294967294 rows, which is more than a row number can count.".into()
            }
            Self::UnnamedColumn { column } => format!(
                "column {} has no name. Name it in the first line or remove it (pandas writes its index like this: save with \
                 `index=False`).",
                column + 1
            ),
            Self::DuplicateColumns { names } => {
                format!("more than one column is called {}. Give each column a name of its own.", list(names))
            }
            Self::NoColumn { name, columns } => {
                let numbers = columns.iter().filter(|name| name.parse::<f64>().is_ok()).count();
                let header = if numbers * 2 > columns.len() {
                    " The first line must hold the names of the columns; this one seems to be data."
                } else {
                    ""
                };
                format!(
                    "there is no column `{name}`.{} The columns are {}.{header}",
                    did_you_mean(name, columns),
                    list(columns)
                )
            }
            Self::MissingFeatures { missing, unused, columns } => format!(
                "{} missing: {}.{} The file has {}.",
                if missing.len() == 1 { "a column is".to_string() } else { format!("{} columns are", missing.len()) },
                list(missing),
                missing.first().map(|name| did_you_mean(name, unused)).unwrap_or_default(),
                list(columns)
            ),
            Self::TargetDropped { target } => format!("`{target}` is the target, so it cannot be dropped."),
            Self::TargetSplits { target } => format!("`{target}` is the target, so rows cannot be split by it."),
            Self::NoFeatures { columns, target } => format!(
                "no column is left to learn from: the columns are {}, and `{target}` is the target.",
                list(columns)
            ),
            Self::NotNumeric { column, text, row } => format!(
                "column `{column}` is text (`{text}` on {row}), but the model was trained on numbers there. Correct \
                 the column."
            ),
            Self::Dates { columns, text, row } => dates(columns, text, *row, say),
            Self::NoMean { column } => format!(
                "column `{column}` has no value in the training rows, so there is no mean to fill in. Drop it with {}.",
                drop(column)
            ),
            Self::NoCategories { column } => format!(
                "column `{column}` holds numbers, so it has no categories to embed. Write them as text, such as `c1`, \
                 `c2`."
            ),
            Self::Identifier { column, distinct, rows, min_frequency } => format!(
                "column `{column}` is text with {} in {}, most of which have fewer than {}, as an identifier has. Drop \
                 the column with {}, or write what its texts have in common.",
                count(*distinct, "distinct value"),
                count(*rows, "training row"),
                count(*min_frequency, "row"),
                drop(column)
            ),
            Self::TooManyCategories { column, categories, limit } => format!(
                "column `{column}` is text with {categories} categories, and one-hot they would be as many features; \
                 the limit is {limit}. Drop the column with {}, put rare ones together with {}, or raise the limit \
                 with {}.",
                drop(column),
                say(&DataFix::MinFrequency),
                say(&DataFix::MaxCategories(*categories))
            ),
            Self::MissingCells { gaps, first, incomplete, rows } => {
                let cells: usize = gaps.iter().map(|gap| gap.missing).sum();
                format!(
                    "{} missing ({}), the first one on {first}. Choose what to do about it: {} leaves out {incomplete} \
                     of the {rows} rows; {} fills in the column's mean, and leaves out rows without a label.",
                    if cells == 1 { "1 cell is".to_string() } else { format!("{cells} cells are") },
                    by_column(gaps),
                    say(&DataFix::DropRows),
                    say(&DataFix::FillMean)
                )
            }
            Self::NoCompleteRow { gaps, target } => {
                let most = gaps.iter().max_by_key(|gap| gap.missing).map(|gap| &gap.column);
                let remedy = match most {
                    Some(column) if column == target => "Give the rows a label.".to_string(),
                    most => format!(
                        "Drop columns that are often empty with {} (most often: {}), or fill them with {}.",
                        say(&DataFix::DropColumns(vec![])),
                        list(most),
                        say(&DataFix::FillMean)
                    ),
                };
                format!("no row is complete; missing are {}. {remedy}", by_column(gaps))
            }
            Self::OneClass { target, class } => format!(
                "every label in column `{target}` is `{class}`. At least two classes are needed to learn to tell them \
                 apart."
            ),
            Self::Quantity { target, distinct } => format!(
                "column `{target}` has {distinct} distinct fractional values, which looks like a quantity \
                 (regression), but labels must be classes. Choose another target, or put the values into classes first."
            ),
            Self::ManyClasses { target, distinct, rows } => format!(
                "column `{target}` has {distinct} distinct values in {rows} rows, which looks like an identifier or a \
                 quantity, but labels must be classes. Choose another target."
            ),
            Self::PositiveOfMany { positive, classes } => {
                format!("`{positive}` cannot be the positive class: there are {classes} classes, not 2.")
            }
            Self::UnknownPositive { positive, classes } => format!(
                "`{positive}` cannot be the positive class: the classes are {}.{}",
                list(classes),
                did_you_mean(positive, classes)
            ),
        }
    }
}

fn dates(columns: &[String], text: &str, row: RowLocation, say: Say<'_>) -> String {
    let (what, them) = match columns.len() {
        1 => ("a column holds dates, which are".to_string(), "it"),
        n => (format!("{n} columns hold dates, which are"), "them"),
    };
    let first = columns.first().cloned().unwrap_or_default();
    format!(
        "{what} neither numbers nor categories: {} (`{text}` on {row}). Drop {them} with {}, or write {them} as \
         numbers: the days since an event for what grows, the month, weekday or hour for what comes again. To split by \
         `{first}`, oldest rows first, use {}, which drops it too.",
        list(columns),
        say(&DataFix::DropColumns(columns.to_vec())),
        say(&DataFix::SplitByTime(first.clone())),
    )
}

/// Lists the number of missing cells in each of the first ten columns, and the number of further columns.
fn by_column(gaps: &[ColumnGaps]) -> String {
    let counts = gaps.iter().take(10).map(|ColumnGaps { column, missing }| format!("{missing} in `{column}`"));
    let more = gaps.len().saturating_sub(10);
    let rest = if more == 0 { String::new() } else { format!(", and {}", count(more, "more column")) };
    format!("{}{rest}", counts.collect::<Vec<_>>().join(", "))
}
