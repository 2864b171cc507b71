//! Proof that a device computes what the reference computes, for wgrad's ops and for one's own.
//!
//! A [`Case`] is one way of calling an op: shapes and values. A [`Harness`] draws its data, runs the reference in `f64`,
//! and compares any device with it: every output, and every gradient under random cotangents, element by element
//! ([`Verdict`]). [`Case::check_gradients`] compares the gradient rules with finite differences. [`assert_parity`] does all
//! of this on everything at hand, as one line of a test. How far apart numbers may be follows from what the ops declare; see
//! [`wgrad_core::bound`].
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
//!         assert_parity(&case);
//!     }
//! }
//! # rms_is_right_everywhere();
//! ```
//!
//! One table has a file per family of ops, and four kinds of cases of each: [`all`] at sizes that the family chooses,
//! [`edges`] on values at the edges of `f32`, [`sizes`] at any one length, [`fuzz`] at random sizes. [`variants`] are the
//! products by each variant of their kernel. A [`Report`] runs any of them ([`quick`], [`full`]) in every [`Setting`] and
//! counts what they come to, kernel by kernel; where something fails it searches for the [`Culprit`]. `wgrad parity` is its
//! command.

mod assert;
mod case;
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
mod verdict;

pub use assert::assert_parity;
pub use case::{Case, Inputs, Values};
pub use cases::{all, edges, fuzz, sizes, variants};
pub use checks::{Check, full, quick};
pub use harness::{Harness, SEED};
pub use kernels::family;
pub use localise::Culprit;
pub use report::{Failure, Outcome, Report, Tally};
pub use setting::Setting;
pub use verdict::{Measured, Part, Verdict, Worst};

#[cfg(test)]
mod lockstep_tests;
#[cfg(test)]
mod tests;
