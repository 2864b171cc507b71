//! Family of cases: some ops that belong together, and all that they are called with.

use wgrad_core::Tensor;

use crate::case::{Case, Inputs, Values};
use crate::draw::Draw;

/// Numbers of either sign.
pub(crate) const ANY: Values = Values::Uniform(-6.0, 6.0);
/// Numbers above zero.
pub(crate) const POSITIVE: Values = Values::Uniform(0.01, 9.0);

/// Function of one tensor.
pub(crate) type Unary = fn(&Tensor) -> Tensor;

/// An entry of the table of cases: some ops that belong together, as one file of `cases/` has them.
///
/// How an op is called stands once in that file, as a function that returns a [`Case`]; an entry calls it with sizes
/// and values of each kind.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    cases: fn() -> Vec<Case>,
    edges: fn() -> Vec<Case>,
    lengths: fn(usize) -> Vec<Case>,
    random: &'static [fn(&mut Draw) -> Case],
}

impl Family {
    /// Begins an entry with its cases at sizes of their own choice.
    pub const fn new(cases: fn() -> Vec<Case>) -> Self {
        Self { cases, edges: Vec::new, lengths: |_| vec![], random: &[] }
    }

    /// Adds cases on values at the edges of `f32`.
    pub const fn edges(self, edges: fn() -> Vec<Case>) -> Self {
        Self { edges, ..self }
    }

    /// Adds cases at any one length. Those that a length is too short for come last and are left out.
    pub const fn lengths(self, lengths: fn(usize) -> Vec<Case>) -> Self {
        Self { lengths, ..self }
    }

    /// Adds cases at random sizes.
    pub const fn random(self, random: &'static [fn(&mut Draw) -> Case]) -> Self {
        Self { random, ..self }
    }

    /// Returns the cases at sizes of their own choice.
    pub fn own(&self) -> Vec<Case> {
        (self.cases)()
    }

    /// Returns the cases on values at the edges of `f32`.
    pub fn at_edges(&self) -> Vec<Case> {
        (self.edges)()
    }

    /// Returns the cases at length `n`, in the same order for every length.
    pub fn at_length(&self, n: usize) -> Vec<Case> {
        (self.lengths)(n)
    }

    /// Returns the ways of drawing a random case.
    pub fn drawn(&self) -> &'static [fn(&mut Draw) -> Case] {
        self.random
    }
}

/// Returns a case of several outputs at one length. Of these only the first is differentiated.
pub(crate) fn at_length(
    name: &str,
    n: usize,
    inputs: Inputs<'_>,
    build: impl Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync + 'static,
) -> Case {
    Case::several(format!("{name} of {n}"), inputs, build).gradients_of(&[0])
}
