//! The test cases, with one file per family of ops. A new op adds a case to one of these files.

mod activations;
mod batch_norm;
mod convolutions;
mod each_pointwise;
mod fused;
mod indexing;
mod layers;
mod logit_losses;
mod losses;
mod pointwise;
mod pools;
mod products;
mod reductions;
mod row_norms;
mod softmax;
mod sorts;
mod vector_norms;
mod views;

use wgrad_core::Stream;

use crate::case::Case;
use crate::draw::Draw;
use crate::family::Family;

pub use products::variants;

/// All families of cases.
const FAMILIES: [Family; 18] = [
    pointwise::FAMILY,
    each_pointwise::FAMILY,
    views::FAMILY,
    reductions::FAMILY,
    products::FAMILY,
    softmax::FAMILY,
    logit_losses::FAMILY,
    losses::FAMILY,
    batch_norm::FAMILY,
    row_norms::FAMILY,
    convolutions::FAMILY,
    pools::FAMILY,
    indexing::FAMILY,
    vector_norms::FAMILY,
    sorts::FAMILY,
    fused::FAMILY,
    activations::FAMILY,
    layers::FAMILY,
];

/// Returns the cases of all ops, and of layers and losses composed of them, at sizes that each family chooses.
pub fn all() -> Vec<Case> {
    FAMILIES.iter().flat_map(Family::own).collect()
}

/// Returns the edge cases of all families, with values at which implementations often fail: `exp` near ±88, logits
/// of ±1000, subnormals, magnitudes from `2⁻⁶⁰` to `2⁶⁰`, equal elements and constant rows.
pub fn edges() -> Vec<Case> {
    FAMILIES.iter().flat_map(Family::at_edges).collect()
}

/// Returns the cases of all families whose length can be chosen, with length `n`. Errors are most likely near
/// powers of two, near workgroup sizes, and above 65,535.
pub fn sizes(n: usize) -> Vec<Case> {
    FAMILIES.iter().flat_map(|family| family.at_length(n)).collect()
}

/// Returns the cases of all families at length `n`, each paired with the same case at length `other`, or with
/// `None` if `other` is too short for the case.
pub(crate) fn sizes_with_other(n: usize, other: usize) -> Vec<(Case, Option<Case>)> {
    let both = |family: &Family| {
        let others = family.at_length(other).into_iter().map(Some).chain(std::iter::repeat(None));
        family.at_length(n).into_iter().zip(others).collect::<Vec<_>>()
    };
    FAMILIES.iter().flat_map(both).collect()
}

/// Returns a random case with a random shape, view and distribution, from a random family. It depends only on
/// `seed` and `number`, so it is the same on every machine.
///
/// ```
/// let again = wgrad_parity::fuzz(7, 3);
/// assert_eq!(wgrad_parity::fuzz(7, 3).name(), again.name());
/// ```
pub fn fuzz(seed: u64, number: u64) -> Case {
    let mut draw = Draw(Stream::new(seed, number));
    let ways: Vec<fn(&mut Draw) -> Case> = FAMILIES.iter().flat_map(Family::drawn).copied().collect();
    let way = draw.of(&ways);
    let case = way(&mut draw);
    let name = format!("fuzz {seed}.{number}: {}", case.name());
    case.renamed(name)
}
