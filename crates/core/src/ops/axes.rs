//! Axes of a tensor: checks of axis arguments, and the products of the sizes before, inside and after a range of
//! axes.

use std::ops::Range;

use crate::{InvalidArgument, Shape, Tensor};

/// Axes argument of a reduction: a number, an array or a slice. Negative numbers count from the last axis.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 3, 4], DType::F32);
/// assert_eq!(x.sum(1).shape(), x.sum([1]).shape());
/// assert_eq!(x.sum([0, -1]).shape().dims(), [3]);
/// ```
pub trait Dims {
    /// Returns the axes in the order in which they were passed.
    fn dims(&self) -> Vec<isize>;
}

impl Dims for isize {
    fn dims(&self) -> Vec<isize> {
        vec![*self]
    }
}

impl<const N: usize> Dims for [isize; N] {
    fn dims(&self) -> Vec<isize> {
        self.to_vec()
    }
}

impl Dims for [isize] {
    fn dims(&self) -> Vec<isize> {
        self.to_vec()
    }
}

impl Dims for Vec<isize> {
    fn dims(&self) -> Vec<isize> {
        self.clone()
    }
}

impl<D: Dims + ?Sized> Dims for &D {
    fn dims(&self) -> Vec<isize> {
        (*self).dims()
    }
}

/// Returns every axis of a tensor.
pub(crate) fn every(x: &Tensor) -> Vec<isize> {
    (0..x.shape().rank()).map(usize::cast_signed).collect()
}

/// Returns the shape after a reduction over `axes`; if `keep`, the reduced axes remain, with size 1.
pub(crate) fn reduced(shape: &Shape, axes: &[usize], keep: bool) -> Shape {
    let size = |(axis, &size): (usize, &usize)| match (axes.contains(&axis), keep) {
        (false, _) => Some(size),
        (true, true) => Some(1),
        (true, false) => None,
    };
    shape.dims().iter().enumerate().filter_map(size).collect::<Vec<_>>().into()
}

/// Returns the index of `axis`, which counts from the last axis if negative. If `x` has no such axis, records an
/// error in the graph and returns an invalid tensor as `Err`.
#[track_caller]
pub(crate) fn resolve(x: &Tensor, op: &str, axis: isize) -> Result<usize, Tensor> {
    let shape = x.shape();
    let Some(index) = shape.axis(axis) else {
        let invalid = InvalidArgument::new(format!("there is no axis {axis}: {shape} has {}", axes(shape.rank())));
        return Err(x.invalid(op, &[], invalid));
    };
    Ok(index)
}

/// Resolves several axes as [`resolve`] does; naming an axis twice is recorded as an error, too.
#[track_caller]
pub(crate) fn resolve_all(x: &Tensor, op: &str, axes: &[isize]) -> Result<Vec<usize>, Tensor> {
    let mut resolved = Vec::with_capacity(axes.len());
    for &axis in axes {
        let index = resolve(x, op, axis)?;
        if resolved.contains(&index) {
            return Err(x.invalid(op, &[], InvalidArgument::new(format!("axis {index} is named twice in {axes:?}"))));
        }
        resolved.push(index);
    }
    Ok(resolved)
}

/// Returns the products of the sizes before, inside and after a range of axes.
pub(crate) fn extents(shape: &Shape, axes: Range<usize>) -> [usize; 3] {
    let dims = shape.dims();
    [dims[..axes.start].iter().product(), dims[axes.clone()].iter().product(), dims[axes.end..].iter().product()]
}

fn axes(rank: usize) -> String {
    if rank == 1 { "1 axis".into() } else { format!("{rank} axes") }
}
