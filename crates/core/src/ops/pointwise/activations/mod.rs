//! Activation functions, with one file per family.
//!
//! Values and gradients are accurate relative to their size, even where they approach 0: `1 + tanh(u)` is computed
//! as `2·sigmoid(2u)` and `1 + erf(u)` as `erfc(-u)`. Gradients of saturating functions are computed from the
//! input, because `1 - y` loses digits where the output `y` is near 1.

pub(crate) mod elu;
pub(crate) mod gelu;
pub(crate) mod glu;
pub(crate) mod relu;
pub(crate) mod shrink;
pub(crate) mod sigmoid;
pub(crate) mod silu;
pub(crate) mod softplus;
pub(crate) mod tanh;

use crate::InvalidArgument;

/// Returns an error if `value`, the option named `option`, is infinite or NaN.
pub(super) fn finite(option: &str, value: f64) -> Option<InvalidArgument> {
    (!value.is_finite()).then(|| InvalidArgument::new(format!("{option} must be a number, not {value}")))
}
