//! Stacking, splitting, flipping, rolling and repeating.

use crate::{Array, InvalidArgument, Shape, Tensor};

use crate::ops::axes::{resolve, resolve_all};
use crate::ops::indexing::gather_along::in_order;
use crate::ops::shape::concat::cat;

/// Concatenates tensors of equal shape along a new axis, which becomes axis `axis` of the result.
///
/// Records an error in the graph, which `compile` reports, if shapes or types differ. Equivalent: `torch.stack`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// let y = graph.input("y", [64, 30], DType::F32);
/// assert_eq!(wgrad_core::ops::stack(&[&x, &y], 1).shape().dims(), [64, 2, 30]);
/// ```
///
/// # Panics
/// If `tensors` is empty.
#[track_caller]
pub fn stack(tensors: &[&Tensor], axis: isize) -> Tensor {
    let [first, others @ ..] = tensors else { panic!("stack needs at least one tensor") };
    if let Some(invalid) = tensors.iter().find(|tensor| !tensor.is_valid()) {
        return (*invalid).clone();
    }
    if let Some((i, other)) = others.iter().enumerate().find(|(_, other)| other.spec() != first.spec()) {
        let invalid = InvalidArgument::new(format!("input {} is {}, input 0 is {}", i + 1, other.spec(), first.spec()))
            .fix("only tensors of one shape are stacked: `concat` joins them along an axis that they have");
        return first.invalid("stack", others, invalid);
    }
    let mut slices = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        slices.push(tensor.unsqueeze(axis));
    }
    cat(&slices.iter().collect::<Vec<_>>(), axis)
}

/// Returns consecutive slices of these sizes along `axis`.
#[track_caller]
fn parts(x: &Tensor, axis: usize, sizes: impl Iterator<Item = usize>) -> Vec<Tensor> {
    let mut parts = vec![];
    let mut start = 0;
    for size in sizes {
        parts.push(x.slice(axis.cast_signed(), start..start + size));
        start += size;
    }
    parts
}

/// Splitting and rearranging. Negative axes count from the end.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [5, 6], DType::F32);
/// let rows: Vec<_> = x.split(0, 2).iter().map(|part| part.shape().dims()[0]).collect();
/// assert_eq!(rows, [2, 2, 1]);
/// let [query, key, value] = &x.chunk(-1, 3)[..] else { unreachable!() };
/// assert_eq!(query.shape().dims(), [5, 2]);
/// assert_eq!(x.repeat(&[2, 1, 3]).shape().dims(), [2, 5, 18]);
/// assert_eq!(x.flip(&[0]).roll(1, 1).shape().dims(), [5, 6]);
/// ```
impl Tensor {
    /// Splits the tensor along `axis` into parts of `size` elements.
    ///
    /// The last part is smaller if `size` does not divide the axis. Records an error in the graph, which `compile`
    /// reports, if `size` is 0. Equivalent: `torch.split`.
    #[track_caller]
    pub fn split(&self, axis: isize, size: usize) -> Vec<Tensor> {
        let x = self;
        let axis = match resolve(x, "split", axis) {
            Ok(axis) => axis,
            Err(invalid) => return vec![invalid],
        };
        if size == 0 {
            return vec![x.invalid("split", &[], InvalidArgument::new("a part has one element or more, not 0"))];
        }
        let n = x.shape().dims()[axis];
        parts(x, axis, (0..n.div_ceil(size).max(1)).map(|i| size.min(n - i * size)))
    }

    /// Splits the tensor along `axis` into parts of these sizes.
    ///
    /// Records an error in the graph, which `compile` reports, if the sizes do not add up to the size of the axis.
    /// Equivalent: `torch.split`.
    #[track_caller]
    pub fn split_sizes(&self, axis: isize, sizes: &[usize]) -> Vec<Tensor> {
        let x = self;
        let axis = match resolve(x, "split", axis) {
            Ok(axis) => axis,
            Err(invalid) => return vec![invalid; sizes.len()],
        };
        let (n, sum) = (x.shape().dims()[axis], sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size)));
        if sum != n {
            let invalid =
                InvalidArgument::new(format!("the sizes {sizes:?} add up to {sum}, axis {axis} has {n} elements"));
            return vec![x.invalid("split", &[], invalid); sizes.len()];
        }
        parts(x, axis, sizes.iter().copied())
    }

    /// Splits the tensor along `axis` into at most `chunks` parts of `⌈n / chunks⌉` elements.
    ///
    /// The last part may be smaller. There may be fewer parts than `chunks`: 6 elements and 4 chunks yield 3 parts
    /// of 2 elements. Records an error in the graph, which `compile` reports, if `chunks` is 0. Equivalent:
    /// `torch.chunk`.
    #[track_caller]
    pub fn chunk(&self, axis: isize, chunks: usize) -> Vec<Tensor> {
        let x = self;
        let axis = match resolve(x, "chunk", axis) {
            Ok(axis) => axis,
            Err(invalid) => return vec![invalid; chunks],
        };
        if chunks == 0 {
            return vec![x.invalid("chunk", &[], InvalidArgument::new("there is at least one chunk, not 0"))];
        }
        let n = x.shape().dims()[axis];
        if n == 0 {
            return vec![x.clone(); chunks];
        }
        x.split(axis.cast_signed(), n.div_ceil(chunks))
    }

    /// Reverses the order of the elements along `axes`.
    ///
    /// Equivalent: `torch.flip`.
    #[track_caller]
    pub fn flip(&self, axes: &[isize]) -> Tensor {
        let x = self;
        let axes = match resolve_all(x, "flip", axes) {
            Ok(axes) => axes,
            Err(invalid) => return invalid,
        };
        let mut y = x.clone();
        for axis in axes {
            let shape = y.shape();
            let n = u32::try_from(shape.dims()[axis]).unwrap_or(u32::MAX);
            if n > 1 {
                let mut line = vec![1; shape.rank()];
                line[axis] = shape.dims()[axis];
                let index = y.graph().array(Array::vector((0..n).rev().collect::<Vec<u32>>()));
                y = in_order(&y, axis, &index.reshape(line).expand(shape));
            }
        }
        y
    }

    /// Rolls the tensor along `axis` by `shift` positions.
    ///
    /// Elements shifted beyond the last position come back at the first. A negative shift rolls the other way.
    /// Equivalent: `torch.roll`.
    #[track_caller]
    pub fn roll(&self, shift: isize, axis: isize) -> Tensor {
        let x = self;
        let axis = match resolve(x, "roll", axis) {
            Ok(axis) => axis,
            Err(invalid) => return invalid,
        };
        let n = x.shape().dims()[axis].cast_signed();
        if n == 0 || shift.rem_euclid(n) == 0 {
            return x.clone();
        }
        let (end, axis) = ((n - shift.rem_euclid(n)).unsigned_abs(), axis.cast_signed());
        cat(&[&x.slice(axis, end..), &x.slice(axis, ..end)], axis)
    }

    /// Repeats the tensor `times[i]` times along axis `i`.
    ///
    /// If there are more numbers than axes, axes are added in front. Records an error in the graph, which
    /// `compile` reports, if there are fewer. Equivalent: `torch.Tensor.repeat`.
    #[track_caller]
    pub fn repeat(&self, times: &[usize]) -> Tensor {
        let x = self;
        let shape = x.shape();
        let Some(new) = times.len().checked_sub(shape.rank()) else {
            let invalid =
                InvalidArgument::new(format!("{times:?} does not say how often all axes of {shape} are repeated"))
                    .fix("an axis that stays as it is has the number 1");
            return x.invalid("repeat", &[], invalid);
        };
        let sizes = [&vec![1; new], shape.dims()].concat();
        let interleave = |times: &[usize]| -> Shape {
            times.iter().zip(&sizes).flat_map(|(&times, &size)| [times, size]).collect::<Vec<_>>().into()
        };
        let whole: Vec<_> = times.iter().zip(&sizes).map(|(times, size)| times * size).collect();
        x.reshape(interleave(&vec![1; times.len()])).expand(interleave(times)).reshape(whole)
    }
}
