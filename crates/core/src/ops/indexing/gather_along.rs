//! Gather and scatter along an axis, at positions given by an index tensor.

use crate::{
    Accuracy, Backward, Buffers, DType, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference,
    Shape, Spec, Tensor, both,
};

use crate::op::iterations::LONGEST;
use crate::ops::axes::{extents, resolve};
use crate::ops::indexing::NAN_BITS;

fn kernel() -> Kernel {
    Kernel::new("gather_along", &[wgrad_shaders::lib::NAN, wgrad_shaders::GATHER_ALONG]).bundled()
}

fn lookup<T: Copy>(x: &[T], [n, m, inner]: [usize; 3], index: &[u32], y: &mut [T], outside: T) {
    for (t, (y, &row)) in y.iter_mut().zip(index).enumerate() {
        let row = row as usize;
        *y = if row < n { x[(t / (m * inner) * n + row) * inner + t % inner] } else { outside };
    }
}

/// Gathers along an axis: `y[o, j, k] = x[o, index[o, j, k], k]`. Inputs: x and index, whose shapes differ only in
/// the size of `axis`.
#[derive(Clone, Copy, Debug)]
struct GatherAlong {
    axis: usize,
    /// True if the index is a permutation along `axis`, so that the gradient is a gather with the inverse
    /// permutation.
    permutation: bool,
}

/// Reorders the elements of `x` along `axis` by `index`, which must be a permutation along `axis`.
#[track_caller]
pub(crate) fn in_order(x: &Tensor, axis: usize, index: &Tensor) -> Tensor {
    x.graph().apply(GatherAlong { axis, permutation: true }, &[x, index]).get(0)
}

impl GatherAlong {
    /// Returns the size of `axis` in x, the size of `axis` in the index, and the product of the sizes after
    /// `axis`.
    fn sizes(&self, x: &Shape, index: &Shape) -> [usize; 3] {
        let [_, n, inner] = extents(x, self.axis..self.axis + 1);
        [n, index.dims()[self.axis], inner]
    }

    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let sizes = self.sizes(&at.input_spec(0).shape, &at.input_spec(1).shape);
        let index = at.uint(1);
        match at.input_spec(0).dtype {
            DType::U32 => lookup(at.uint(0), sizes, index, at.out_uint(0), NAN_BITS),
            _ => lookup(at.float(0), sizes, index, at.out(0), F::nan()),
        }
    }
}

impl Op for GatherAlong {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let [x, index] = inputs else { unreachable!("gather has two inputs") };
        Ok(vec![Spec::new(&index.shape, x.dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| {
            let (x, index, dy) = (at.input(0).shape(), at.input(1), at.dy());
            if self.permutation {
                let inverse = dy.graph().apply(Inverse { axis: self.axis }, &[index]).get(0);
                return in_order(&dy, self.axis, &inverse);
            }
            let n = x.dims()[self.axis];
            if index.shape().dims()[self.axis] == 1 {
                // Only one position along the axis gets a gradient. Pointwise ops, which can be fused with the
                // next ops, compare every position with the index and select dy or 0.
                let mut line = vec![1; x.rank()];
                line[self.axis] = n;
                let row = dy.graph().iota([n]).reshape(line).expand(&x);
                return index.expand(&x).eq(&row).where_cond(dy.expand(&x), 0.0);
            }
            dy.graph().apply(ScatterAlong { axis: self.axis, n }, &[index, &dy]).get(0)
        });
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [n, m, inner] = self.sizes(&at.inputs[0].shape, &at.inputs[1].shape);
        let count = at.outputs[0].shape.numel();
        if count == 0 {
            return;
        }
        at.dispatch(
            Dispatch::new(kernel(), "forward", Grid::Threads([count, 1, 1]))
                .bind("x", Operand::Input(0))
                .bind("index", Operand::Input(1))
                .bind("y", Operand::Output(0))
                .param("n", n)
                .param("m", m)
                .param("inner", inner)
                .param("count", count)
                .param("start", 0usize)
                .param("end", 0usize),
        );
    }
}

/// Gradient of [`GatherAlong`]: `dx[o, r, k] = Σ_{j: index[o, j, k] = r} dy[o, j, k]`, of size `n` along `axis`.
/// Inputs: index and dy.
#[derive(Debug)]
struct ScatterAlong {
    axis: usize,
    n: usize,
}

impl ScatterAlong {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let [_, m, inner] = extents(&at.input_spec(0).shape, self.axis..self.axis + 1);
        let (index, dy, dx) = (at.uint(0), at.float(1), at.out(0));
        let mut sums = vec![0.0; dx.len()];
        for (t, (&row, dy)) in index.iter().zip(dy).enumerate() {
            let row = row as usize;
            if row < self.n {
                sums[(t / (m * inner) * self.n + row) * inner + t % inner] += dy.wide();
            }
        }
        dx.iter_mut().zip(sums).for_each(|(dx, sum)| *dx = F::lit(sum));
    }
}

impl Op for ScatterAlong {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(inputs[0].shape.with(self.axis, self.n))])
    }

    /// Adds the gradient for dy: a gather that returns 0, not NaN, where the index is beyond the axis.
    fn backward(&self, at: &mut Backward) {
        at.give_with(1, |at| {
            let (index, ddx) = (at.input(0), at.dy());
            let read = ddx.graph().apply(GatherAlong { axis: self.axis, permutation: false }, &[&ddx, index]).get(0);
            let n = u32::try_from(self.n).unwrap_or(u32::MAX);
            let inside = index.lt(ddx.graph().constant_u32(n));
            inside.where_cond(&read, 0.0)
        });
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(inputs[0].shape.dims()[self.axis])
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [_, m, inner] = extents(&at.inputs[0].shape, self.axis..self.axis + 1);
        let count = at.outputs[0].shape.numel();
        if count == 0 {
            return;
        }
        for start in (0..m.max(1)).step_by(LONGEST) {
            at.dispatch(
                Dispatch::new(kernel(), "backward", Grid::Threads([count, 1, 1]))
                    .bind("index", Operand::Input(0))
                    .bind("dy", Operand::Input(1))
                    .bind("dx", Operand::Output(0))
                    .param("n", self.n)
                    .param("m", m)
                    .param("inner", inner)
                    .param("count", count)
                    .param("start", start)
                    .param("end", (start + LONGEST).min(m)),
            );
        }
    }
}

/// Inverse of a permutation along `axis`: `y[o, index[o, j, k], k] = j`.
#[derive(Debug)]
struct Inverse {
    axis: usize,
}

impl Inverse {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let [_, n, inner] = extents(&at.input_spec(0).shape, self.axis..self.axis + 1);
        let (index, y) = (at.uint(0), at.out_uint(0));
        for (block, index) in y.chunks_exact_mut((n * inner).max(1)).zip(index.chunks_exact((n * inner).max(1))) {
            for (row, index) in (0..).zip(index.chunks_exact(inner)) {
                for (k, &to) in index.iter().enumerate() {
                    block[to as usize * inner + k] = row;
                }
            }
        }
    }
}

impl Op for Inverse {
    fn name(&self) -> &'static str {
        "inverse_order"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![inputs[0].clone()])
    }

    fn backward(&self, _at: &mut Backward) {}

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::EXACT
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [_, n, inner] = extents(&at.inputs[0].shape, self.axis..self.axis + 1);
        let count = at.outputs[0].shape.numel();
        if count == 0 {
            return;
        }
        at.dispatch(
            Dispatch::new(kernel(), "inverse", Grid::Threads([count, 1, 1]))
                .bind("index", Operand::Input(0))
                .bind("y", Operand::Output(0))
                .param("n", n)
                .param("m", n)
                .param("inner", inner)
                .param("count", count)
                .param("start", 0usize)
                .param("end", 0usize),
        );
    }
}

/// Returns an error if `index` cannot index `x` along `axis`.
fn invalid(x: &Spec, index: &Spec, axis: usize) -> Option<InvalidArgument> {
    if index.dtype != DType::U32 {
        let invalid = InvalidArgument::new(format!("elements are chosen by u32, not {}", index.dtype));
        return Some(invalid.fix("cast with `.to_u32()`, or feed u32"));
    }
    let (from, to) = (x.shape.dims(), index.shape.dims());
    if from.len() != to.len() {
        let invalid = InvalidArgument::new(format!("the index {} must have as many axes as {}", index.shape, x.shape));
        let column = from.iter().enumerate().filter(|(i, _)| *i != axis).map(|(_, &n)| n).eq(to.iter().copied());
        return Some(if column {
            invalid.fix(format!("for one element per row: `index.unsqueeze({axis})`, and `.squeeze({axis})` after"))
        } else {
            invalid.fix("whole rows of a table are chosen by `embedding`, or `index_select` along any axis")
        });
    }
    let larger = (0..from.len()).find(|&i| i != axis && to[i] > from[i])?;
    Some(InvalidArgument::new(format!(
        "the index {} has {} elements along axis {larger}, {} has {}: only along axis {axis} may it have more",
        index.shape, to[larger], x.shape, from[larger]
    )))
}

/// Gather.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let scores = graph.input("scores", [64, 10], DType::F32);
/// let class = graph.input("class", [64], DType::U32);
/// let chosen = scores.gather(1, &class.unsqueeze(1)).squeeze(1);
/// assert_eq!(chosen.shape().dims(), [64]);
/// ```
impl Tensor {
    /// Gathers elements along `axis` by index: `y[…, j, …] = x[…, index[…, j, …], …]`.
    ///
    /// `index` is a `u32` tensor with as many axes as x and, along all axes but `axis`, at most the sizes of x.
    /// The result has the shape of `index`. An index beyond the axis yields NaN (0x7fc00000 for integers) and
    /// contributes no gradient. The gradient adds elements in the order of the index, without atomics; for each of
    /// its elements it scans all indices along the axis.
    ///
    /// Records an error in the graph, which `compile` reports, if `index` has another number of axes than x, is
    /// larger than x along an axis other than `axis`, or is not `u32`. Equivalent: `torch.gather`.
    #[track_caller]
    pub fn gather(&self, axis: isize, index: &Tensor) -> Tensor {
        let x = self;
        let _line = x.graph().line_of_caller();
        if !x.is_valid() || !index.is_valid() {
            return x.invalid("gather", &[index], InvalidArgument::default());
        }
        let axis = match resolve(x, "gather", axis) {
            Ok(axis) => axis,
            Err(invalid) => return invalid,
        };
        if let Some(invalid) = invalid(&x.spec(), &index.spec(), axis) {
            return x.invalid("gather", &[index], invalid);
        }
        let covered = index.shape();
        let others = (0..covered.rank()).filter(|&other| other != axis);
        let x = others.fold(x.clone(), |x, other| x.slice(other.cast_signed(), ..covered.dims()[other]));
        x.graph().apply(GatherAlong { axis, permutation: false }, &[&x, index]).get(0)
    }
}
