//! Ops, in one folder per family.
//!
//! A file contains an op's shape rule, gradient, CPU reference, launch code and methods on
//! [`Tensor`](crate::Tensor). A structured op (every op that is not pointwise) has a shader of the same name in
//! `shaders/`. A pointwise op is a WGSL expression and has no shader.

pub(crate) mod axes;
pub(crate) mod conv;
pub(crate) mod indexing;
pub(crate) mod losses;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod reduce;
pub(crate) mod shape;
pub(crate) mod spatial;

pub use axes::Dims;
pub use conv::options::{ConvOptions, ConvTransposeOptions, Padding};
pub use matmul::einsum::einsum;
pub use matmul::matmul_variants;
pub use norm::total_norm::total_norm;
pub use pool::avg::AvgPool;
pub use pool::max::MaxPool;
pub use shape::arrange::stack;
pub use shape::concat::cat;
pub use spatial::{OutputSizes, Sizes};

use crate::Pointwise;

/// Returns every pointwise op of wgrad, in the order of the source files.
pub fn pointwise_ops() -> Vec<&'static Pointwise> {
    [
        pointwise::arithmetic::OPS,
        pointwise::elementary::OPS,
        pointwise::activations::relu::OPS,
        pointwise::activations::sigmoid::OPS,
        pointwise::activations::tanh::OPS,
        pointwise::activations::softplus::OPS,
        pointwise::activations::silu::OPS,
        pointwise::activations::gelu::OPS,
        pointwise::activations::elu::OPS,
        pointwise::trigonometry::OPS,
        pointwise::rounding::OPS,
        pointwise::compare::OPS,
        pointwise::dropout::OPS,
        losses::bce_with_logits::OPS,
        losses::binary::OPS,
    ]
    .concat()
}
