//! Numbers of the random streams, one per use.

/// Selection of the validation rows.
pub(crate) const VALIDATION: u64 = u64::MAX;
/// Assignment of rows to folds.
pub(crate) const FOLDS: u64 = u64::MAX - 1;
/// Oversampling and undersampling.
pub(crate) const BALANCE: u64 = u64::MAX - 2;

/// Augmentation of the first row's image; the streams of the other rows count down from here.
pub(crate) const AUGMENT: u64 = u64::MAX - 3;
