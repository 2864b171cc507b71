//! Errors of batches and samplers.

use wgrad_core::text::count;

use super::{Fix, Say};

/// Problem of [`Batches`](crate::Batches), a [`Sampler`](crate::Sampler) or their settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum BatchError {
    /// No rows, or batches of no rows.
    Empty {
        /// The number of rows.
        rows: usize,
        /// The number of rows of a batch.
        size: usize,
    },
    /// More rows than a row number can count.
    TooManyRows {
        /// The number of rows.
        rows: usize,
    },
    /// No full batch where only full ones are kept.
    NoFullBatch {
        /// The number of rows.
        rows: usize,
        /// The number of rows of a batch.
        size: usize,
    },
    /// PyTorch's order with parameters that have no PyTorch generator.
    NoTorchGenerator,
    /// A sampler of another number of rows than the data.
    SamplerRows {
        /// The number of rows of the sampler.
        sampler: usize,
        /// The number of rows of the data.
        data: usize,
    },
    /// A sampler of no rows.
    NoRows,
    /// A weight that is negative or not finite.
    Weight {
        /// The row.
        row: usize,
        /// The weight.
        weight: f64,
    },
    /// Weights whose sum is infinite.
    WeightSum,
    /// No row to draw, or no weight above 0.
    NothingToDraw {
        /// The number of rows to draw.
        samples: usize,
        /// The number of rows with a weight above 0.
        weighted: usize,
    },
    /// More draws without replacement than rows with a weight above 0.
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
                format!("{} cannot be dealt into batches of {size}: both must be at least 1", count(*rows, "row"))
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
                "rows in PyTorch's order need PyTorch's generator, and these parameters were not seeded as there\n  \
                 fixes:\n    1. make them with {}\n    2. or give the loader a generator of its own: {}",
                say(&Fix::TorchSeed),
                say(&Fix::TorchGenerator)
            ),
            Self::SamplerRows { sampler, data } => {
                format!("the sampler is of {}, but the data has {}", count(*sampler, "row"), count(*data, "row"))
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
                say(&Fix::SampleWithReplacement)
            ),
        }
    }
}
