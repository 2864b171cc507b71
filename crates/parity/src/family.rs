//! Families of test cases. A family contains related ops, with all calls that are tested.

use wgrad_core::Tensor;

use crate::case::{Case, Fill, Inputs};
use crate::draw::Draw;

/// Positive and negative numbers.
pub(crate) const ANY: Fill = Fill::Uniform(-6.0, 6.0);
/// Positive numbers.
pub(crate) const POSITIVE: Fill = Fill::Uniform(0.01, 9.0);

/// A function of one tensor.
pub(crate) type Unary = fn(&Tensor) -> Tensor;

/// A family of test cases for related ops, defined in one file of `cases/`.
///
/// In that file, a function returns a [`Case`] for each call; the family calls it with different sizes and values.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    cases: fn() -> Vec<Case>,
    edges: fn() -> Vec<Case>,
    lengths: fn(usize) -> Vec<Case>,
    random: &'static [fn(&mut Draw) -> Case],
}

impl Family {
    /// Creates a family. `cases` returns its cases, with sizes that suit the ops.
    pub const fn new(cases: fn() -> Vec<Case>) -> Self {
        Self { cases, edges: Vec::new, lengths: |_| vec![], random: &[] }
    }

    /// Adds edge cases.
    pub const fn edges(self, edges: fn() -> Vec<Case>) -> Self {
        Self { edges, ..self }
    }

    /// Adds cases that can have any length. Cases that need a minimum length must come last, and are omitted for
    /// shorter lengths.
    pub const fn lengths(self, lengths: fn(usize) -> Vec<Case>) -> Self {
        Self { lengths, ..self }
    }

    /// Adds functions that return random cases.
    pub const fn random(self, random: &'static [fn(&mut Draw) -> Case]) -> Self {
        Self { random, ..self }
    }

    /// Returns the cases with sizes that the family itself chooses.
    pub fn own(&self) -> Vec<Case> {
        (self.cases)()
    }

    /// Returns the edge cases.
    pub fn at_edges(&self) -> Vec<Case> {
        (self.edges)()
    }

    /// Returns the cases at length `n`, in the same order for every length.
    pub fn at_length(&self, n: usize) -> Vec<Case> {
        (self.lengths)(n)
    }

    /// Returns the functions that return random cases.
    pub fn drawn(&self) -> &'static [fn(&mut Draw) -> Case] {
        self.random
    }
}

/// Returns a case with length `n` and several outputs, of which only the first is differentiated.
pub(crate) fn at_length(
    name: &str,
    n: usize,
    inputs: Inputs<'_>,
    build: impl Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync + 'static,
) -> Case {
    Case::several(format!("{name} of {n}"), inputs, build).gradients_of(&[0])
}
