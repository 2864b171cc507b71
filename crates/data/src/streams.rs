//! Stream numbers for the random generator. Each use of randomness draws from its own stream, so that one use does
//! not change the numbers that another one draws.

/// Stream for the selection of validation rows.
pub(crate) const VALIDATION: u64 = u64::MAX;
/// Stream for the assignment of rows to folds.
pub(crate) const FOLDS: u64 = u64::MAX - 1;
/// Stream for oversampling and undersampling.
pub(crate) const BALANCE: u64 = u64::MAX - 2;

/// Stream for the augmentation of the first row's image; the streams of the other rows count down from this
/// number.
pub(crate) const AUGMENT: u64 = u64::MAX - 3;
