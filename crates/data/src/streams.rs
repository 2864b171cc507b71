//! Streams of random numbers that belong to single uses.

/// Which validation rows are set aside from the training rows.
pub(crate) const VALIDATION: u64 = u64::MAX;
/// Which rows are in which fold.
pub(crate) const FOLDS: u64 = u64::MAX - 1;
/// Which rows are drawn or left out to balance a dataset.
pub(crate) const BALANCE: u64 = u64::MAX - 2;

/// What happens to the first row's image; the streams of the others count down from here.
pub(crate) const AUGMENT: u64 = u64::MAX - 3;
