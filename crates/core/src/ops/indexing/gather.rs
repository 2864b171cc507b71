//! Embedding: looks up rows of a table by their index. It also selects batches from a data set on the device.

use crate::{
    Accuracy, Backward, Buffers, DType, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference,
    Shape, Spec, Tensor, both,
};

use crate::op::iterations;
use crate::ops::indexing::NAN_BITS;
use crate::ops::reduce::parts::sum_parts;

/// Two limits, for CPUs (software adapters) and for GPUs. For every element of the table, the gradient compares
/// all indices with the element's row if the number of comparisons, table elements times indices, is within the
/// limit. Above it, the gradient follows linked lists, each of which connects the equal indices. A GPU compares
/// about 10¹² numbers per second; following a link of a list is a dependent read of about half a microsecond.
const SCAN: [usize; 2] = [1 << 24, 1 << 28];

/// Number of threads that a scan needs to keep a device busy.
const THREADS: usize = 1 << 17;

fn kernel() -> Kernel {
    Kernel::new("gather", &[wgrad_shaders::lib::NAN, wgrad_shaders::GATHER]).bundled()
}

/// Returns the number of rows of a table and the number of elements per row.
fn sizes(table: &Shape) -> [usize; 2] {
    [table.dims()[0], table.dims()[1..].iter().product()]
}

/// Returns the range of a row's elements in a table. If the computation overflows, the range lies beyond any
/// table.
fn span(row: u32, inner: usize) -> std::ops::Range<usize> {
    let start = (row as usize).saturating_mul(inner);
    start..start.saturating_add(inner)
}

fn lookup<T: Copy>(table: &[T], index: &[u32], inner: usize, y: &mut [T], outside: T) {
    for (y, &row) in y.chunks_exact_mut(inner.max(1)).zip(index) {
        match table.get(span(row, inner)) {
            Some(row) => y.copy_from_slice(row),
            None => y.fill(outside),
        }
    }
}

/// Gathers rows: `y[i, k] = table[index[i], k]`. Inputs: table and index.
#[derive(Debug)]
struct Gather;

impl Gather {
    fn run<F: Real>(mut at: Buffers<'_, F>) {
        let [_, inner] = sizes(&at.input_spec(0).shape);
        let index = at.uint(1);
        match at.input_spec(0).dtype {
            DType::U32 => lookup(at.uint(0), index, inner, at.out_uint(0), NAN_BITS),
            _ => lookup(at.float(0), index, inner, at.out(0), F::nan()),
        }
    }
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        "gather_rows"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let [table, index] = inputs else { unreachable!("gather_rows has two inputs") };
        if index.dtype != DType::U32 {
            return Err(InvalidArgument::new(format!("rows are chosen by u32, not {}", index.dtype))
                .fix("cast with `.to_u32()`, or feed u32"));
        }
        let Some((_, row)) = table.shape.dims().split_first() else {
            return Err(InvalidArgument::new("a single number has no rows"));
        };
        Ok(vec![Spec::new([index.shape.dims(), row].concat(), table.dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| {
            let op = ScatterRows { table: at.input(0).shape() };
            at.dy().graph().apply(op, &[at.input(1), &at.dy()]).get(0)
        });
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => Self::run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [rows, inner] = sizes(&at.inputs[0].shape);
        let n = at.inputs[1].shape.numel();
        at.dispatch(
            Dispatch::new(kernel(), "forward", Grid::Threads([n * inner, 1, 1]))
                .bind("table", Operand::Input(0))
                .bind("index", Operand::Input(1))
                .bind("y", Operand::Output(0))
                .param("rows", rows)
                .param("inner", inner)
                .param("n", n)
                .param("part", n),
        );
    }
}

/// Gradient of [`Gather`]: `dtable[r, k] = Σ_{i: index[i] = r} dy[i, k]`. Inputs: index and dy.
#[derive(Debug)]
struct ScatterRows {
    table: Shape,
}

impl ScatterRows {
    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let [_, inner] = sizes(&self.table);
        let (index, dy, dtable) = (at.uint(0), at.float(1), at.out(0));
        let mut sums = vec![0.0; dtable.len()];
        for (dy, &row) in dy.chunks_exact(inner.max(1)).zip(index) {
            if let Some(sums) = sums.get_mut(span(row, inner)) {
                sums.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy.wide());
            }
        }
        dtable.iter_mut().zip(sums).for_each(|(dtable, sum)| *dtable = F::lit(sum));
    }
}

impl Op for ScatterRows {
    fn name(&self) -> &'static str {
        "scatter_rows"
    }

    fn outputs(&self, _inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::f32(&self.table)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(1, |at| at.dy().embedding(at.input(0)));
    }

    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().terms(inputs[0].shape.numel())
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let [rows, inner] = sizes(&self.table);
        let n = at.inputs[0].shape.numel();
        let size = rows * inner;
        // A loop over a linked list cannot be split. If it could exceed the driver's limit of iterations, use the
        // scan, however long it takes.
        let few = SCAN[usize::from(!at.limits.software)];
        let scans = size.saturating_mul(n) <= few || n > at.limits.iterations as usize;
        let part = if scans { part(n, size) } else { n };
        let dispatch = |entry, threads| {
            Dispatch::new(kernel(), entry, Grid::Threads([threads, 1, 1]))
                .param("rows", rows)
                .param("inner", inner)
                .param("n", n)
                .param("part", part)
        };
        let (index, dy, dtable) = (Operand::Input(0), Operand::Input(1), Operand::Output(0));
        if !scans {
            let next = at.scratch(Spec::u32([n]));
            let linked = |entry, threads| {
                dispatch(entry, threads).iterations(n).bind("index", index).bind("dtable", dtable).bind("next", next)
            };
            at.dispatch(linked("link", n.max(size)));
            at.dispatch(linked("backward_linked", n * inner).bind("dy", dy));
            return;
        }
        let parts = n.div_ceil(part).max(1);
        let scan = dispatch("backward", parts * size).bind("index", index).bind("dy", dy);
        if parts == 1 {
            at.dispatch(scan.bind("dtable", dtable));
        } else {
            let partial = at.scratch(Spec::f32([parts * size]));
            at.dispatch(scan.bind("dtable", partial));
            sum_parts("gather_sum", at, partial, parts, [size, size], None);
        }
    }
}

/// Returns how many of `n` indices one thread scans for one element of a table with `size` elements: about √n, so
/// that the scan and the final addition of its partial sums take equal time. The number is larger if the table is
/// so large that fewer threads per element keep the device busy.
fn part(n: usize, size: usize) -> usize {
    let parts = n.isqrt().min(THREADS / size.max(1)).max(iterations::parts(n)).max(1);
    n.div_ceil(parts).max(1)
}

/// Embedding lookup.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let table = graph.input("table", [1000, 16], DType::F32);
/// let index = graph.input("index", [64, 2], DType::U32);
/// assert_eq!(table.embedding(&index).shape().dims(), [64, 2, 16]);
/// ```
impl Tensor {
    /// Looks up rows of this table by their index: `y[i…, k…] = table[index[i…], k…]`.
    ///
    /// `self` is the table `[rows, rest…]`, `index` a `u32` tensor `[n…]`, and the result `[n…, rest…]`. An index
    /// outside the table yields NaN (0x7fc00000 in a table of integers) and contributes no gradient. The gradient
    /// adds rows in the order of the index, without atomics, so that every run returns equal bits. Records an
    /// error in the graph, which `compile` reports, if the index is not `u32` or the table is a scalar.
    /// Equivalent: `torch.nn.functional.embedding`.
    #[track_caller]
    pub fn embedding(&self, index: &Tensor) -> Tensor {
        let table = self;
        table.graph().apply(Gather, &[table, index]).get(0)
    }
}
