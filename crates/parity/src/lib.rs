//! Proof that a device computes what the reference computes, for wgrad's ops and for one's own.
//!
//! A [`Case`] is one way of calling an op: shapes, values, and what its error may be. A [`Mill`] draws its data, runs the
//! reference in `f64`, and holds any device to it: every output, and every gradient under random cotangents, element by
//! element ([`Verdict`]). [`Case::check_gradients`] holds the gradient rules to finite differences. [`assert_parity`] does all of this on everything
//! at hand, as one line of a test. How far apart numbers may be is derived in [`wgrad_core::bound`].
//!
//! ```
//! use wgrad_parity::{Case, Values, assert_parity};
//!
//! // #[test]
//! fn rms_is_right_everywhere() {
//!     for rows in [1, 63, 64, 65, 257] {
//!         let case = Case::new(format!("rms of {rows} rows"), &[(&[rows, 40], Values::Normal)], |x| {
//!             (x[0].square().mean(&[1]) + 1e-6).sqrt()
//!         });
//!         assert_parity(&case.terms(40).ulp(8.0));
//!     }
//! }
//! # rms_is_right_everywhere();
//! ```
//!
//! [`all`] is the table of wgrad's own cases, [`variants`] those of products by each variant of their kernel, [`sizes`]
//! those of every family of kernels at one length, [`edges`] those of values at the edges of `f32`, [`fuzz`] random ones.
//! The *doctor* runs any of them ([`quick`], [`full`]) on every [`Setting`] and counts what they come to, kernel by kernel
//! ([`Examination`]); `wgrad parity` is its command.

mod assert;
mod blame;
mod case;
mod cases;
mod checks;
mod doctor;
mod edges;
mod fuzz;
mod gradients;
mod kernels;
mod mill;
mod run;
mod setting;
mod sizes;
mod verdict;

pub use assert::assert_parity;
pub use blame::Blame;
pub use case::{Case, Inputs, Values};
pub use cases::{all, variants};
pub use checks::{Check, full, quick};
pub use doctor::{Examination, Failure, Outcome, Tally};
pub use edges::edges;
pub use fuzz::fuzz;
pub use kernels::family;
pub use mill::{Mill, SEED};
pub use setting::Setting;
pub use sizes::sizes;
pub use verdict::{Measured, Part, Verdict, Worst};

#[cfg(test)]
mod lockstep_tests;
#[cfg(test)]
mod tests;
