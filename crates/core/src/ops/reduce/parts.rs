//! Last pass of a sum that was split into partial sums: adds the partial sums.

use crate::{Dispatch, Grid, Kernel, Launch, Operand};

/// Bias that the last pass adds: element `at` of the result gets `bias[at / plane % channels]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bias {
    pub from: Operand,
    pub plane: usize,
    pub channels: usize,
}

/// Adds the partial sums in `partial`, of shape `[elements / size, parts, size]`, in order and writes the totals
/// to output 0, which has `elements` elements.
pub(crate) fn sum_parts(
    name: &'static str,
    at: &mut Launch<'_>,
    partial: Operand,
    parts: usize,
    [elements, size]: [usize; 2],
    bias: Option<Bias>,
) {
    let kernel = Kernel::new(name, &[wgrad_shaders::SUM_PARTS]).bundled();
    let entry = if bias.is_some() { "forward_biased" } else { "forward" };
    let dispatch = Dispatch::new(kernel, entry, Grid::Threads([elements, 1, 1]))
        .bind("partial", partial)
        .bind("y", Operand::Output(0))
        .param("elements", elements)
        .param("size", size)
        .param("parts", parts)
        .param("plane", bias.map_or(1, |bias| bias.plane))
        .param("channels", bias.map_or(1, |bias| bias.channels));
    at.dispatch(match bias {
        Some(bias) => dispatch.bind("bias", bias.from),
        None => dispatch,
    });
}
