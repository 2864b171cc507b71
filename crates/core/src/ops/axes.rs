//! Axes as options name them, and sizes around them.

use std::ops::Range;

use crate::{Misfit, Shape, Tensor};

/// The axis that `axis` names, counting from the end when negative; else the invalid tensor of a recorded error.
#[track_caller]
pub(crate) fn resolve(x: &Tensor, op: &str, axis: isize) -> Result<usize, Tensor> {
    let shape = x.shape();
    let Some(index) = shape.axis(axis) else {
        let misfit = Misfit::new(format!("there is no axis {axis}: {shape} has {}", axes(shape.rank())));
        return Err(x.misfit(op, &[], misfit));
    };
    Ok(index)
}

/// As [`resolve`] for several axes, which must differ.
#[track_caller]
pub(crate) fn resolve_all(x: &Tensor, op: &str, axes: &[isize]) -> Result<Vec<usize>, Tensor> {
    let mut resolved = Vec::with_capacity(axes.len());
    for &axis in axes {
        let index = resolve(x, op, axis)?;
        if resolved.contains(&index) {
            return Err(x.misfit(op, &[], Misfit::new(format!("axis {index} is named twice in {axes:?}"))));
        }
        resolved.push(index);
    }
    Ok(resolved)
}

/// Sizes before, inside and after some adjacent axes.
pub(crate) fn extents(shape: &Shape, axes: Range<usize>) -> [usize; 3] {
    let dims = shape.dims();
    [dims[..axes.start].iter().product(), dims[axes.clone()].iter().product(), dims[axes.end..].iter().product()]
}

fn axes(rank: usize) -> String {
    if rank == 1 { "1 axis".into() } else { format!("{rank} axes") }
}
