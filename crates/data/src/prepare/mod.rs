//! From the columns of a table to the features and classes of a dataset: what is learned, and how it is applied.

mod apply;
mod categories;
pub(crate) mod features;
pub(crate) mod labels;
mod learn;
mod missing;
mod preprocess;

pub(crate) use apply::transform;
pub use categories::Categories;
pub(crate) use learn::{Encoding, Learning, learn};
pub use missing::Missing;
pub use preprocess::{Preprocess, Span};

#[cfg(test)]
mod categories_tests;
#[cfg(test)]
mod preprocess_tests;
