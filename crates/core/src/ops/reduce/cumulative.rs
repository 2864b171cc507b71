//! Running sums along an axis.

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, Kernel, Launch, Limits, Misfit, Op, Operand, Real, Reference, Spec,
    Tensor, both,
};
use rayon::prelude::*;

use crate::op::iterations::LONGEST;
use crate::ops::axes::{extents, resolve};

/// Running sums.
impl Tensor {
    /// `y[…, j, …] = Σ_{i ≤ j} x[…, i, …]` along `axis`, of the same shape.
    ///
    /// An axis that does not exist and integers are errors. Source: `torch.cumsum`.
    #[must_use]
    #[track_caller]
    pub fn cumsum(&self, axis: isize) -> Tensor {
        match resolve(self, "cumsum", axis) {
            Ok(axis) => self.graph().apply(Cumsum { axis, reverse: false }, &[self]).get(0),
            Err(invalid) => invalid,
        }
    }
}

/// The running sum, from the end if `reverse`.
#[derive(Clone, Copy, Debug)]
struct Cumsum {
    axis: usize,
    reverse: bool,
}

impl Cumsum {
    fn run<F: Real>(self, mut at: Buffers<'_, F>) {
        let [_, n, inner] = extents(&at.input_spec(0).shape, self.axis..self.axis + 1);
        let (x, y) = (at.float(0), at.out(0));
        let block = (n * inner).max(1);
        y.par_chunks_mut(block).with_min_len((1 << 14) / block + 1).zip(x.par_chunks(block)).for_each(|(y, x)| {
            let mut sums = vec![0.0f64; inner];
            for step in 0..n {
                let j = if self.reverse { n - 1 - step } else { step };
                for (k, sum) in sums.iter_mut().enumerate() {
                    *sum += x[j * inner + k].wide();
                    y[j * inner + k] = F::lit(*sum);
                }
            }
        });
    }
}

impl Op for Cumsum {
    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, Misfit> {
        if inputs[0].dtype.is_float() {
            Ok(vec![inputs[0].clone()])
        } else {
            Err(Misfit::new(format!("only floats are summed, not {}", inputs[0].dtype)).fix("cast with `.to_f32()`"))
        }
    }

    /// The running sum from the other end.
    fn backward(&self, at: &mut Backward) {
        let back = Self { reverse: !self.reverse, ..*self };
        at.give_with(0, |at| at.dy().graph().apply(back, &[&at.dy()]).get(0));
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(inputs[0].shape.dims()[self.axis])
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn epilogues(&self) -> &'static [usize] {
        &[0]
    }

    fn prologues(&self) -> &'static [usize] {
        &[0]
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [outer, n, inner] = extents(&at.inputs[0].shape, self.axis..self.axis + 1);
        let lines = outer * inner;
        let length = block(lines, n, at.limits);
        let blocks = n.div_ceil(length);
        let dispatch = |entry, threads| {
            let kernel = Kernel::new("cumsum", &[wgrad_shaders::CUMSUM]).bundled();
            Dispatch::new(kernel, entry, Grid::Threads([threads, 1, 1]))
                .param("lines", lines)
                .param("n", n)
                .param("inner", inner)
                .param("reverse", usize::from(self.reverse))
                .param("length", length)
                .param("blocks", blocks)
        };
        let (x, y) = (Operand::Input(0), Operand::Output(0));
        if blocks == 1 {
            at.dispatch(dispatch("forward", lines).bind("x", x).bind("y", y));
            return;
        }
        let sums = at.scratch(Spec::f32([blocks * lines]));
        at.dispatch(dispatch("sums_of_blocks", lines * blocks).bind("x", x).bind("sums", sums));
        at.dispatch(dispatch("offsets", lines).bind("sums", sums));
        at.dispatch(dispatch("blocked", lines * blocks).bind("x", x).bind("sums", sums).bind("y", y));
    }
}

/// How many elements a thread walks: a whole line where there are lines for all threads, or else about `√n` of them, so
/// that each of the three dispatches has as many iterations. A software adapter has two threads, say.
fn block(lines: usize, n: usize, limits: &Limits) -> usize {
    let (enough, long) = if limits.software { (1, LONGEST) } else { (4096, 4096) };
    if n <= 64 || (lines >= enough && n <= long) { n.max(1) } else { n.isqrt() + 1 }
}
