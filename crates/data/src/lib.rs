//! Data preparation, from a file to batches. These are the steps in order:
//!
//! 1. [`Table`] reads the file (CSV, Parquet, Arrow) and stores its columns as numbers or text.
//! 2. [`Table::target`] selects the column to predict; [`Labelled`] has the options: columns to drop, the
//!    treatment of missing cells, the positive class.
//! 3. [`Labelled::split`] returns a training and a test [`Dataset`], standardised with the means and standard
//!    deviations of the training rows.
//! 4. [`Preprocess`] contains these statistics: it is saved with the model and applied to the rows to be
//!    predicted.
//! 5. [`Batches`] divides the rows of each epoch into batches.
//!
//! ```
//! use wgrad_data::{Batches, Seed, Table};
//! # let file = "radius,texture,malignant\n1,7,0\n2,5,0\n3,6,0\n4,8,1\n5,1,1\n6,2,1\n";
//! let table = Table::parse("tumours.csv", file.as_bytes())?.target("malignant")?;
//! let (train, test) = table.split(0.7, Seed(7))?;
//! assert_eq!((train.rows(), train.features(), test.rows()), (4, 2, 2));
//! let batches = Batches::new(train.rows(), 3)?.shuffle(Seed(7));
//! for batch in &batches.epoch(0) {
//!     let batch = train.subset(batch)?;
//!     assert_eq!(batch.x_array().shape().dims()[1], 2);
//! }
//! # Ok::<(), wgrad_core::Error>(())
//! ```

pub mod error;

mod cell;
mod table;

mod read;

mod prepare;
mod split;

mod batches;
mod dataset;
mod labelled;

mod files;
mod images;

mod path;
mod scratch;
mod streams;

#[doc(hidden)]
pub use batches::begin;
pub use batches::{Batches, Epoch, Sampler};
pub use dataset::Dataset;
pub use error::{DataError, DataFix};
pub use files::{read_idx, read_npy, read_npz};
pub use images::Augment;
#[cfg(feature = "images")]
pub use images::ImageFolder;
pub use labelled::{Labelled, Parts};
pub use prepare::{Categories, Missing, Preprocess, Span};
pub use split::{KFold, Split};
pub use table::{Column, ColumnKind, Table};
pub use wgrad_core::Seed;
