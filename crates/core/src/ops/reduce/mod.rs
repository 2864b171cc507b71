//! Ops along axes: sums, maxima and minima, softmax, cumulative sums, sorting.

pub(crate) mod cumulative;
pub(crate) mod extremes;
pub(crate) mod parts;
pub(crate) mod softmax;
pub(crate) mod sort;
pub(crate) mod sum;
