//! Table of cases: a file per family of ops. A new op adds a case to one of these and nothing else.

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

/// The table.
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

/// Returns every op of wgrad, and layers and losses made of several, at sizes that each family chooses.
pub fn all() -> Vec<Case> {
    FAMILIES.iter().flat_map(Family::own).collect()
}

/// Returns every family of kernels at the values where implementations break: `exp` near ±88, logits of ±1000,
/// subnormals, sizes from `2⁻⁶⁰` to `2⁶⁰`, exact ties and constant rows.
pub fn edges() -> Vec<Case> {
    FAMILIES.iter().flat_map(Family::at_edges).collect()
}

/// Returns every family of kernels at length `n`: the lengths that matter are those around powers of two, around the sizes
/// of workgroups and beyond 65,535.
pub fn sizes(n: usize) -> Vec<Case> {
    FAMILIES.iter().flat_map(|family| family.at_length(n)).collect()
}

/// Returns every family of kernels at length `n`, each case with the same at another length; none where that is too short.
pub(crate) fn sizes_beside(n: usize, other: usize) -> Vec<(Case, Option<Case>)> {
    let both = |family: &Family| {
        let others = family.at_length(other).into_iter().map(Some).chain(std::iter::repeat(None));
        family.at_length(n).into_iter().zip(others).collect::<Vec<_>>()
    };
    FAMILIES.iter().flat_map(both).collect()
}

/// Returns random case `number` of a seed, the same on every machine: a family of ops, a shape, a view and a range of
/// values.
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
