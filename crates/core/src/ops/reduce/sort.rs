//! Sort, argsort and top-k along an axis: stable and deterministic.

use std::cmp::Ordering;

use crate::{
    Accuracy, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference, Spec,
    Tensor, both,
};
use rayon::prelude::*;

use crate::ops::axes::{extents, resolve};
use crate::ops::indexing::gather_along::in_order;

/// Largest number of elements along the axis that is sorted without merging: each thread counts the elements that
/// come before its own element.
const WHOLE: usize = 512;
/// Length of the blocks into which longer axes are divided; the blocks are sorted and then merged.
const BLOCK: usize = 128;

/// Stable argsort along an axis. NaN counts as larger than all numbers.
#[derive(Clone, Copy, Debug)]
struct Sort {
    axis: usize,
    descending: bool,
}

impl Sort {
    fn compare<F: Real>(self, a: F, b: F) -> Ordering {
        let ascending = a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
        if self.descending { ascending.reverse() } else { ascending }
    }

    fn run<F: Real>(self, mut at: Buffers<'_, F>) {
        let [_, n, inner] = extents(&at.input_spec(0).shape, self.axis..self.axis + 1);
        let (x, y) = (at.float(0), at.out_uint(0));
        let block = (n * inner).max(1);
        y.par_chunks_mut(block).with_min_len((1 << 12) / block + 1).zip(x.par_chunks(block)).for_each(|(y, x)| {
            for k in 0..inner {
                let mut order: Vec<_> = x[k..].iter().step_by(inner).copied().zip(0u32..).collect();
                order.sort_by(|a, b| self.compare(a.0, b.0));
                y[k..].iter_mut().step_by(inner).zip(order).for_each(|(y, (_, j))| *y = j);
            }
        });
    }
}

impl Op for Sort {
    fn name(&self) -> &'static str {
        "argsort"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        if inputs[0].dtype.is_float() {
            Ok(vec![Spec::u32(&inputs[0].shape)])
        } else {
            Err(InvalidArgument::new(format!("only floats are sorted, not {}", inputs[0].dtype))
                .fix("cast with `.to_f32()`"))
        }
    }

    fn backward(&self, _at: &mut Backward) {}

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [_, n, inner] = extents(&at.inputs[0].shape, self.axis..self.axis + 1);
        let count = at.inputs[0].shape.numel();
        if count == 0 {
            return;
        }
        let kernel = Kernel::new("sort", &[wgrad_shaders::SORT]).bundled();
        let pass = |entry, length: usize| {
            Dispatch::new(kernel.clone(), entry, Grid::Threads([count, 1, 1]))
                .param("count", count)
                .param("n", n)
                .param("inner", inner)
                .param("length", length)
                .constant("DESCENDING", self.descending)
        };
        if n <= WHOLE {
            at.dispatch(pass("rank_last", n).bind("x", Operand::Input(0)).bind("y", Operand::Output(0)));
            return;
        }
        let [mut from, mut to] = [0, 1].map(|_| at.scratch(Spec::u32([2 * count])));
        at.dispatch(pass("rank", BLOCK).bind("x", Operand::Input(0)).bind("merged", from));
        let mut length = BLOCK;
        while 2 * length < n {
            at.dispatch(pass("merge", length).bind("pairs", from).bind("merged", to));
            (from, to) = (to, from);
            length *= 2;
        }
        at.dispatch(pass("merge_last", length).bind("pairs", from).bind("y", Operand::Output(0)));
    }
}

#[track_caller]
fn order(x: &Tensor, axis: usize, descending: bool) -> Tensor {
    x.graph().apply(Sort { axis, descending }, &[x]).get(0)
}

/// Sorting along an axis.
///
/// Sorts are stable: equal elements keep their order, in descending sorts, too. NaN counts as larger than all
/// numbers. The methods record an error in the graph, which `compile` reports, if the tensor contains integers.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 1000], DType::F32);
/// let (values, indices) = x.sort(-1, false);
/// assert_eq!((values.dtype(), indices.dtype()), (DType::F32, DType::U32));
/// let (best, _) = x.topk(5, -1, true);
/// assert_eq!(best.shape().dims(), [64, 5]);
/// assert!(!x.topk(1001, -1, true).0.is_valid());
/// ```
impl Tensor {
    /// Sorts the elements along `axis`; returns the values and their indices in the input, as `u32`.
    ///
    /// The gradient of each value flows to the element from which the value came. Equivalent:
    /// `torch.sort(stable=True)`.
    #[track_caller]
    pub fn sort(&self, axis: isize, descending: bool) -> (Tensor, Tensor) {
        let x = self;
        match resolve(x, "sort", axis) {
            Ok(axis) => {
                let indices = order(x, axis, descending);
                (in_order(x, axis, &indices), indices)
            }
            Err(invalid) => (invalid.clone(), invalid),
        }
    }

    /// Returns the indices, as `u32`, that sort the elements along `axis`.
    ///
    /// Equivalent: `torch.argsort(stable=True)`.
    #[track_caller]
    pub fn argsort(&self, axis: isize, descending: bool) -> Tensor {
        let x = self;
        match resolve(x, "argsort", axis) {
            Ok(axis) => order(x, axis, descending),
            Err(invalid) => invalid,
        }
    }

    /// Returns the `k` largest elements along `axis`, largest first, and their indices as `u32`.
    ///
    /// Returns the `k` smallest elements, smallest first, unless `largest`. Records an error in the graph, which
    /// `compile` reports, if `k` is above the size of the axis. Equivalent: `torch.topk`.
    #[track_caller]
    pub fn topk(&self, k: usize, axis: isize, largest: bool) -> (Tensor, Tensor) {
        let x = self;
        let axis = match resolve(x, "topk", axis) {
            Ok(axis) => axis,
            Err(invalid) => return (invalid.clone(), invalid),
        };
        let n = x.shape().dims()[axis];
        if k > n {
            let invalid =
                InvalidArgument::new(format!("there are no {k} elements: axis {axis} of {} has {n}", x.shape()));
            let invalid = x.invalid("topk", &[], invalid);
            return (invalid.clone(), invalid);
        }
        let axis = axis.cast_signed();
        let (values, indices) = x.sort(axis, largest);
        (values.slice(axis, ..k), indices.slice(axis, ..k))
    }
}
