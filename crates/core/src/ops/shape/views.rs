//! Views: the elements of a tensor in another shape or order. A view needs no kernel.

use std::ops::{Bound, RangeBounds};

use crate::{Backward, InvalidArgument, Op, Shape, Spec, Tensor, View};

use crate::ops::axes::{resolve, resolve_all};
use crate::ops::shape::concat::cat;

/// Permutes axes: axis `i` of the result is axis `axes[i]` of the input.
#[derive(Debug)]
struct Permute {
    axes: Vec<usize>,
}

impl Permute {
    #[track_caller]
    fn apply(x: &Tensor, axes: Vec<usize>) -> Tensor {
        if axes.is_sorted() {
            return x.clone();
        }
        x.graph().apply(Self { axes }, &[x]).get(0)
    }
}

impl Op for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let dims = inputs[0].shape.dims();
        let shape: Vec<_> = self.axes.iter().map(|&axis| dims[axis]).collect();
        Ok(vec![Spec::new(shape, inputs[0].dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        let mut back = vec![0; self.axes.len()];
        self.axes.iter().enumerate().for_each(|(to, &from)| back[from] = to);
        at.give_with(0, |at| Self::apply(&at.dy(), back));
    }

    fn view(&self, of: &View) -> Option<View> {
        Some(of.permute(&self.axes))
    }
}

/// Selects the range `start..start + size` of an axis.
#[derive(Debug)]
struct Slice {
    axis: usize,
    start: usize,
    size: usize,
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        Ok(vec![Spec::new(inputs[0].shape.with(self.axis, self.size), inputs[0].dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_part(0, self.axis, self.start, at.dy(), assemble);
    }

    fn view(&self, of: &View) -> Option<View> {
        Some(of.slice(self.axis, self.start, self.size))
    }
}

/// Returns the gradient of a tensor, assembled from the gradients of its slices: concatenated if no two slices
/// overlap, else summed.
fn assemble(whole: &Shape, axis: usize, mut parts: Vec<(usize, Tensor)>) -> Tensor {
    let n = whole.dims()[axis];
    let size = |part: &Tensor| part.shape().dims()[axis];
    let padded = |start: usize, part: &Tensor, end: usize| part.pad(axis.cast_signed(), start, n - end);
    let arrived = parts.clone();
    parts.sort_by_key(|&(start, _)| start);
    let (mut pieces, mut end) = (vec![], parts[0].0);
    let first = end;
    for (start, part) in &parts {
        if *start < end {
            let padded = |(start, part): &(usize, Tensor)| padded(*start, part, start + size(part));
            return arrived.iter().map(padded).reduce(|a, b| a + b).expect("there is a part");
        }
        if *start > end {
            pieces.push(part.number(0.0).expand(whole.with(axis, start - end)));
        }
        pieces.push(part.clone());
        end = start + size(part);
    }
    padded(first, &cat(&pieces.iter().collect::<Vec<_>>(), axis.cast_signed()), end)
}

/// Views. Negative axes count from the end.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 3, 4], DType::F32);
/// assert_eq!(x.transpose(0, -1).shape().dims(), [4, 3, 2]);
/// assert_eq!(x.slice(1, 1..).flatten(0).shape().dims(), [16]);
/// assert!(!x.slice(1, 2..5).is_valid());
/// let error = graph.check().unwrap_err().to_string();
/// assert!(error.starts_with("slice(f32[2, 3, 4]): axis 1 has 3 elements, which do not contain 2..5"), "{error}");
/// ```
impl Tensor {
    /// Returns the tensor's elements, in row-major order, in another shape.
    ///
    /// Records an error in the graph, which `compile` reports, if `shape` has another number of elements.
    /// Equivalent: `torch.reshape`.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        if self.shape() == shape {
            return self.clone();
        }
        self.graph().apply(Reshape { shape }, &[self]).get(0)
    }

    /// Broadcasts the tensor to `shape` under NumPy's rules.
    ///
    /// Sizes are aligned from the last axis and must be equal or 1; otherwise an error is recorded in the graph,
    /// which `compile` reports. Equivalent: `torch.Tensor.expand`.
    #[track_caller]
    pub fn expand(&self, shape: impl Into<Shape>) -> Tensor {
        let shape = shape.into();
        if self.shape() == shape {
            return self.clone();
        }
        self.graph().apply(Broadcast { shape }, &[self]).get(0)
    }

    /// Permutes the axes: axis `i` of the result is axis `axes[i]` of the tensor.
    ///
    /// Records an error in the graph, which `compile` reports, if an axis is named twice or not at all.
    /// Equivalent: `torch.permute`.
    #[track_caller]
    pub fn permute(&self, axes: &[isize]) -> Tensor {
        let x = self;
        let resolved = match resolve_all(x, "permute", axes) {
            Ok(resolved) => resolved,
            Err(invalid) => return invalid,
        };
        if resolved.len() != x.shape().rank() {
            let invalid = InvalidArgument::new(format!("{axes:?} is not an order of all axes of {}", x.shape()));
            return x.invalid("permute", &[], invalid);
        }
        Permute::apply(x, resolved)
    }

    /// Exchanges two axes.
    ///
    /// Equivalent: `torch.transpose`.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Tensor {
        let x = self;
        let (a, b) = match (resolve(x, "transpose", a), resolve(x, "transpose", b)) {
            (Ok(a), Ok(b)) => (a, b),
            (Err(invalid), _) | (_, Err(invalid)) => return invalid,
        };
        let mut axes: Vec<_> = (0..x.shape().rank()).collect();
        axes.swap(a, b);
        Permute::apply(x, axes)
    }

    /// Transposes a matrix.
    ///
    /// Records an error in the graph, which `compile` reports, if the tensor does not have two axes. Equivalent:
    /// `torch.t`.
    #[track_caller]
    pub fn t(&self) -> Tensor {
        let x = self;
        if x.shape().rank() != 2 {
            let invalid = InvalidArgument::new(format!("{} is not a matrix", x.shape()))
                .fix("name the axes to exchange: `.transpose(-2, -1)`");
            return x.invalid("t", &[], invalid);
        }
        Permute::apply(x, vec![1, 0])
    }

    /// Selects a range of an axis, as in `x.slice(0, 2..5)` or `x.slice(-1, ..3)`.
    ///
    /// Records an error in the graph, which `compile` reports, if the range extends beyond the axis. Equivalent:
    /// `torch.narrow`.
    #[track_caller]
    pub fn slice(&self, axis: isize, range: impl RangeBounds<usize>) -> Tensor {
        let x = self;
        let axis = match resolve(x, "slice", axis) {
            Ok(axis) => axis,
            Err(invalid) => return invalid,
        };
        let n = x.shape().dims()[axis];
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => n,
        };
        if start > end || end > n {
            let invalid =
                InvalidArgument::new(format!("axis {axis} has {n} elements, which do not contain {start}..{end}"));
            return x.invalid("slice", &[], invalid);
        }
        if end - start == n {
            return x.clone();
        }
        x.graph().apply(Slice { axis, start, size: end - start }, &[x]).get(0)
    }

    /// Inserts an axis of size 1, which becomes axis `axis` of the result.
    ///
    /// Equivalent: `torch.unsqueeze`.
    #[track_caller]
    pub fn unsqueeze(&self, axis: isize) -> Tensor {
        let x = self;
        let mut dims = x.shape().dims().to_vec();
        let Some(at) = Shape::from(vec![1; dims.len() + 1]).axis(axis) else {
            let invalid = InvalidArgument::new(format!("a new axis of {} cannot be at {axis}", x.shape()));
            return x.invalid("unsqueeze", &[], invalid);
        };
        dims.insert(at, 1);
        x.reshape(dims)
    }

    /// Removes an axis of size 1.
    ///
    /// Records an error in the graph, which `compile` reports, if the axis has another size; PyTorch then returns
    /// the tensor unchanged. Equivalent: `torch.squeeze`.
    #[track_caller]
    pub fn squeeze(&self, axis: isize) -> Tensor {
        let x = self;
        let axis = match resolve(x, "squeeze", axis) {
            Ok(axis) => axis,
            Err(invalid) => return invalid,
        };
        let mut dims = x.shape().dims().to_vec();
        if dims[axis] != 1 {
            let invalid = InvalidArgument::new(format!("axis {axis} has {} elements, not 1", dims[axis]))
                .fix(format!("take one of them first: `.slice({axis}, 0..1)`"));
            return x.invalid("squeeze", &[], invalid);
        }
        dims.remove(axis);
        x.reshape(dims)
    }

    /// Merges the axes from `start` to the last into a single axis.
    ///
    /// A scalar becomes a tensor `[1]`. Equivalent: `torch.flatten`.
    #[track_caller]
    pub fn flatten(&self, start: isize) -> Tensor {
        let x = self;
        if x.shape().rank() == 0 && matches!(start, -1 | 0) {
            return x.reshape([1]);
        }
        let start = match resolve(x, "flatten", start) {
            Ok(start) => start,
            Err(invalid) => return invalid,
        };
        let shape = x.shape();
        let (kept, rest) = shape.dims().split_at(start);
        let mut dims = kept.to_vec();
        dims.push(rest.iter().product());
        x.reshape(dims)
    }
}

/// Broadcasts its input to a larger shape, under NumPy's rules.
#[derive(Debug)]
pub(crate) struct Broadcast {
    pub shape: Shape,
}

impl Op for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let from = &inputs[0].shape;
        if from.broadcast(&self.shape).as_ref() != Some(&self.shape) {
            return Err(InvalidArgument::new(format!("{from} does not broadcast to {}", self.shape))
                .fix("sizes are aligned from the last axis and must be equal or 1"));
        }
        Ok(vec![Spec::new(&self.shape, inputs[0].dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().sum_to(&at.input(0).shape()));
    }

    fn view(&self, of: &View) -> Option<View> {
        Some(of.broadcast(&self.shape))
    }
}

/// Views the elements of its input, in row-major order, in another shape.
#[derive(Debug)]
pub(crate) struct Reshape {
    pub shape: Shape,
}

impl Op for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        let from = &inputs[0].shape;
        if from.numel() != self.shape.numel() {
            let (has, holds) = (from.numel(), self.shape.numel());
            return Err(InvalidArgument::new(format!("{from} has {has} elements, {} holds {holds}", self.shape)));
        }
        Ok(vec![Spec::new(&self.shape, inputs[0].dtype)])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| at.dy().reshape(at.input(0).shape()));
    }

    fn view(&self, of: &View) -> Option<View> {
        of.reshape(&self.shape)
    }
}
