//! Errors of batches and samplers.

use wgrad_core::text::count;

use super::{DataFix, Say};

/// Problem with [`Batches`](crate::Batches), a [`Sampler`](crate::Sampler) or their settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BatchError {
    /// There are no rows, or the batch size is 0.
    Empty {
        /// The number of rows.
        rows: usize,
        /// The number of rows per batch.
        size: usize,
    },
    /// There are more rows than a `u32` can count.
    TooManyRows {
        /// The number of rows.
        rows: usize,
    },
    /// There are too few rows for a full batch, and only full batches are kept.
    NoFullBatch {
        /// The number of rows.
        rows: usize,
        /// The number of rows per batch.
        size: usize,
    },
    /// PyTorch's row order was requested with parameters that have no PyTorch generator.
    NoTorchGenerator,
    /// The sampler is for a different number of rows than the data has.
    SamplerRows {
        /// The number of rows that the sampler is for.
        sampler: usize,
        /// The number of rows of the data.
        data: usize,
    },
    /// The sampler has no rows to draw from.
    NoRows,
    /// A weight is negative or not finite.
    Weight {
        /// The index of the row.
        row: usize,
        /// The weight.
        weight: f64,
    },
    /// The sum of the weights is infinite.
    WeightSum,
    /// The number of rows to draw is 0, or no weight is above 0.
    NothingToDraw {
        /// The number of rows to draw.
        samples: usize,
        /// The number of rows with a weight above 0.
        weighted: usize,
    },
    /// More rows are to be drawn without replacement than have a weight above 0.
    TooManyDraws {
        /// The number of rows to draw.
        samples: usize,
        /// The number of rows with a weight above 0.
        weighted: usize,
    },
}

impl BatchError {
    pub(super) fn message(&self, say: Say<'_>) -> String {
        match self {
            Self::Empty { rows, size } => {
                format!("{} cannot be divided into batches of {size}: both must be at least 1", count(*rows, "row"))
            }
            Self::TooManyRows { rows } => {
                format!("{rows} rows are too many: row numbers are 32-bit, so 4294967295 at most")
            }
            Self::NoFullBatch { rows, size } => format!(
                "{} do not fill a batch of {size}, so no batch is left once the last one is dropped: make the batches \
                 smaller or keep the last one",
                count(*rows, "row")
            ),
            Self::NoTorchGenerator => format!(
                "rows in PyTorch's order need PyTorch's generator, and these parameters were not seeded with it\n  \
                 fixes:\n    1. make them with {}\n    2. or give the loader a generator of its own: {}",
                say(&DataFix::TorchSeed),
                say(&DataFix::TorchGenerator)
            ),
            Self::SamplerRows { sampler, data } => {
                format!("the sampler is for {}, but the data has {}", count(*sampler, "row"), count(*data, "row"))
            }
            Self::NoRows => "there are no rows to draw from".into(),
            Self::Weight { row, weight } => {
                format!("the weight of row {row} is {weight}: weights must be finite and not negative")
            }
            Self::WeightSum => "the weights of the rows add up to infinity: make them smaller".into(),
            Self::NothingToDraw { samples, weighted } => format!(
                "nothing can be drawn: {} to draw, {} with a weight above 0",
                count(*samples, "row"),
                count(*weighted, "row")
            ),
            Self::TooManyDraws { samples, weighted } => format!(
                "{samples} rows cannot be drawn once each: only {weighted} have a weight above 0. Draw fewer, or use \
                 {}, which can draw a row again",
                say(&DataFix::SampleWithReplacement)
            ),
        }
    }
}
