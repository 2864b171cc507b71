//! Fixes that error messages propose, as values.

use std::fmt;

/// Change to a program that removes the cause of an error. `Display` writes the code to use, such as a method
/// call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataFix {
    /// Call [`Labelled::drop_columns`](crate::Labelled::drop_columns) with these columns. Without columns,
    /// `Display` writes only the name of the method.
    DropColumns(Vec<String>),
    /// Use [`Missing::DropRows`](crate::Missing::DropRows).
    DropRows,
    /// Use [`Missing::FillMean`](crate::Missing::FillMean).
    FillMean,
    /// Call [`Labelled::min_frequency`](crate::Labelled::min_frequency) with a number that the user chooses.
    MinFrequency,
    /// Call [`Labelled::max_categories`](crate::Labelled::max_categories) with this limit.
    MaxCategories(usize),
    /// Call [`Split::by_time`](crate::Split::by_time) with this column.
    SplitByTime(String),
    /// Call [`Table::read`](crate::Table::read), which also reads files other than CSV.
    TableRead,
    /// Build the crate with the feature `arrow`.
    EnableArrow,
    /// Create the parameters with [`Params::torch_seed`](wgrad_core::Params::torch_seed).
    TorchSeed,
    /// Call [`Batches::shuffle_as_torch_generator`](crate::Batches::shuffle_as_torch_generator).
    TorchGenerator,
    /// Use [`Sampler::weighted`](crate::Sampler::weighted), which samples with replacement.
    SampleWithReplacement,
}

impl fmt::Display for DataFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropColumns(names) if names.is_empty() => f.write_str(".drop_columns"),
            Self::DropColumns(names) => {
                let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
                write!(f, ".drop_columns([{}])", quoted.join(", "))
            }
            Self::DropRows => f.write_str("Missing::DropRows"),
            Self::FillMean => f.write_str("Missing::FillMean"),
            Self::MinFrequency => f.write_str(".min_frequency(N)"),
            Self::MaxCategories(n) => write!(f, ".max_categories({n})"),
            Self::SplitByTime(column) => write!(f, "Split::by_time(\"{column}\")"),
            Self::TableRead => f.write_str("Table::read"),
            Self::EnableArrow => f.write_str("Build wgrad with its feature `arrow`"),
            Self::TorchSeed => f.write_str("Params::torch_seed(seed)"),
            Self::TorchGenerator => f.write_str("shuffle_as_torch_generator(seed)"),
            Self::SampleWithReplacement => f.write_str("Sampler::weighted"),
        }
    }
}
