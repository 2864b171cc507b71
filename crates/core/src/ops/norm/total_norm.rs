//! Norm of several tensors, treated as a single vector.

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Shape,
    Spec, Tensor, both,
};
use rayon::prelude::*;

/// Computes the norm of several tensors as if they were one vector: `√(Σ_t Σ_i x_t[i]²)`.
///
/// The result is a scalar. The computation takes two dispatches for any number of tensors; the planner places the
/// tensors next to each other in memory. The gradient is `x / norm`, and 0 if the norm is 0. Records an error in
/// the graph, which `compile` reports, if a tensor contains integers. Equivalent: `torch.nn.utils.get_total_norm`.
///
/// # Panics
/// If `tensors` is empty, because there is then no graph in which to record an error.
#[track_caller]
pub fn total_norm(tensors: &[Tensor]) -> Tensor {
    let graph = tensors.first().expect("a norm of at least one tensor").graph().clone();
    graph.apply(TotalNorm, &tensors.iter().collect::<Vec<_>>()).get(0)
}

/// Elements per workgroup.
const BLOCK: usize = 4096;

#[derive(Debug)]
struct TotalNorm;

impl TotalNorm {
    fn run<F: Real>(mut at: Buffers<'_, F>) {
        let square = |x: &[F]| x.iter().map(|x| x.wide() * x.wide()).sum::<f64>();
        let of = |i: usize| match at.float(i) {
            x if x.len() <= 1 << 16 => x.chunks(BLOCK).map(square).sum::<f64>(),
            x => x.par_chunks(BLOCK).map(square).collect::<Vec<_>>().iter().sum(),
        };
        let total: f64 = (0..at.inputs()).map(of).sum();
        at.out(0)[0] = F::lit(total.sqrt());
    }
}

impl Op for TotalNorm {
    fn name(&self) -> &'static str {
        "total_norm"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        match inputs.iter().find(|spec| !spec.dtype.is_float()) {
            Some(integer) => {
                Err(InvalidArgument::new(format!("only floats have a norm, not {integer}"))
                    .fix("cast with `.to_f32()`"))
            }
            None => Ok(vec![Spec::f32(Shape::from([]))]),
        }
    }

    fn backward(&self, at: &mut Backward) {
        let norm = at.output(0).clone();
        let nothing = norm.eq(0.0).to_f32();
        for input in 0..at.inputs() {
            at.give_with(input, |at| at.input(input) * (at.dy() / (&norm + &nothing)));
        }
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(2.0).terms(inputs.iter().map(|spec| spec.shape.numel()).sum())
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => Self::run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn side_by_side(&self) -> bool {
        true
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let kernel = || Kernel::new("total_norm", &[wgrad_shaders::TOTAL_NORM]).bundled();
        let blocks: usize = at.inputs.iter().map(|spec| spec.shape.numel().div_ceil(BLOCK)).sum();
        let sums = at.scratch(Spec::f32([blocks.max(1) * 64]));
        at.dispatch(
            Dispatch::new(kernel(), "partial", Grid::Blocks { x: "x", table: "table", elements: BLOCK })
                .bind("sums", sums),
        );
        at.dispatch(
            Dispatch::new(kernel(), "combine", Grid::Groups([1, 1, 1]))
                .bind("sums", sums)
                .bind("y", Operand::Output(0))
                .param("blocks", blocks),
        );
    }
}
