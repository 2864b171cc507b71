//! Tests that a device computes the same results as the reference, for wgrad's ops and for your own.
//!
//! A [`Case`] is a call of an op, with input shapes and distributions. A [`Harness`] draws the data, runs the
//! reference in `f64`, and compares the results of any device with it, element by element: every output, and every
//! gradient for random cotangents ([`CaseResult`]). [`Case::check_gradients`] compares the gradient rules with
//! finite differences. [`assert_parity`] does all of this on every device of the machine, with one line in a test.
//! Error bounds are derived from the accuracy that the ops declare; see [`wgrad_core::bound`].
//!
//! ```
//! use wgrad_parity::{Case, Fill, assert_parity};
//!
//! // #[test]
//! fn rms_is_right_everywhere() {
//!     for rows in [1, 63, 64, 65, 257] {
//!         let case = Case::new(format!("rms of {rows} rows"), &[(&[rows, 40], Fill::Normal)], |x| {
//!             (x[0].square().mean(&[1]) + 1e-6).sqrt()
//!         });
//!         assert_parity(&case);
//!     }
//! }
//! # rms_is_right_everywhere();
//! ```
//!
//! The cases of wgrad's ops are organised in families, one per file. A family has four kinds of cases: [`all`]
//! returns those at sizes that suit the ops, [`edges`] those with values at the limits of `f32`, [`sizes`] those
//! at a given length, and [`fuzz`] a random one. [`variants`] returns matrix products for each variant of their
//! kernel. A [`ParityReport`] runs checks, such as those of [`quick`] and [`full`], in every [`DeviceSetting`],
//! and summarises the errors by kernel. For a failure, it searches for the [`Culprit`]. The command `wgrad parity`
//! does this.

mod assert;
mod case;
mod case_result;
mod cases;
mod checks;
mod draw;
mod edge;
mod family;
mod gradients;
mod harness;
mod kernels;
mod localise;
mod report;
mod setting;
mod trace;

pub use assert::assert_parity;
pub use case::{Case, Fill, Inputs};
pub use case_result::{CaseResult, ResultComparison, ResultId, WorstElement};
pub use cases::{all, edges, fuzz, sizes, variants};
pub use checks::{Check, full, quick};
pub use harness::{Harness, SEED};
pub use kernels::family;
pub use localise::Culprit;
pub use report::{Failure, Outcome, ParityReport, Tally};
pub use setting::DeviceSetting;

#[cfg(test)]
mod lockstep_tests;
#[cfg(test)]
mod tests;
