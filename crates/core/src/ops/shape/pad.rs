//! Padding along an axis, which is also the gradient of slicing.

use crate::{
    Accuracy, Array, Backward, Buffers, Dispatch, Grid, InvalidArgument, Kernel, Launch, Op, Operand, Real, Reference,
    Shape, Spec, Tensor, both,
};

use crate::ops::axes::{extents, resolve};
use crate::ops::shape::concat::cat;

/// Pads one axis with zeros: `y[i, before + j, k] = x[i, j, k]`, and 0 elsewhere.
#[derive(Debug)]
struct Pad {
    axis: usize,
    before: usize,
    after: usize,
}

impl Pad {
    fn padded(&self, shape: &Shape) -> usize {
        self.before + shape.dims()[self.axis] + self.after
    }

    fn run<F: Real>(&self, mut at: Buffers<'_, F>) {
        let shape = &at.input_spec(0).shape;
        let [_, n, inner] = extents(shape, self.axis..self.axis + 1);
        let padded = self.padded(shape);
        let (x, y) = (at.float(0), at.out(0));
        y.fill(F::zero());
        if n * inner > 0 {
            let rows = y.chunks_exact_mut(padded * inner).zip(x.chunks_exact(n * inner));
            rows.for_each(|(y, x)| y[self.before * inner..(self.before + n) * inner].copy_from_slice(x));
        }
    }
}

impl Op for Pad {
    fn name(&self) -> &'static str {
        "pad"
    }

    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument> {
        if !inputs[0].dtype.is_float() {
            return Err(InvalidArgument::new(format!("only floats are padded, not {}", inputs[0].dtype))
                .fix("cast with `.to_f32()`"));
        }
        let shape = &inputs[0].shape;
        Ok(vec![Spec::f32(shape.with(self.axis, self.padded(shape)))])
    }

    fn backward(&self, at: &mut Backward) {
        at.give_with(0, |at| {
            let n = at.input(0).shape().dims()[self.axis];
            at.dy().slice(self.axis.cast_signed(), self.before..self.before + n)
        });
    }

    fn accuracy(&self, _inputs: &[Spec]) -> Accuracy {
        Accuracy::new()
    }

    fn reference(&self, at: Reference<'_>) {
        both!(at, buffers => self.run(buffers));
    }

    fn launch(&self, at: &mut Launch<'_>) {
        let length = |shape: &Shape| extents(shape, self.axis..self.axis + 1)[1..].iter().product::<usize>();
        let [_, _, inner] = extents(&at.outputs[0].shape, self.axis..self.axis + 1);
        let count = at.outputs[0].shape.numel();
        let kernel = Kernel::new("pad", &[wgrad_shaders::CONCAT]).bundled();
        at.dispatch(
            Dispatch::new(kernel, "pad", Grid::Threads([count, 1, 1]))
                .bind("x", Operand::Input(0))
                .bind("y", Operand::Output(0))
                .param("count", count)
                .param("length", length(&at.inputs[0].shape))
                .param("total", length(&at.outputs[0].shape))
                .param("offset", self.before * inner),
        );
    }
}

/// Padding.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 3], DType::F32);
/// assert_eq!(x.pad(-1, 1, 2).shape().dims(), [2, 6]);
/// ```
impl Tensor {
    /// Pads an axis with `before` zeros in front and `after` zeros behind.
    ///
    /// A negative axis counts from the end. Records an error in the graph, which `compile` reports, if the tensor
    /// contains integers. Equivalent: `torch.nn.functional.pad`.
    #[track_caller]
    pub fn pad(&self, axis: isize, before: usize, after: usize) -> Tensor {
        let x = self;
        match resolve(x, "pad", axis) {
            Ok(_) if before + after == 0 => x.clone(),
            Ok(axis) => x.graph().apply(Pad { axis, before, after }, &[x]).get(0),
            Err(invalid) => invalid,
        }
    }

    /// Pads an axis with elements of the value `value`: `before` elements in front and `after` elements behind.
    ///
    /// The padding gets no gradient. [`pad`](Self::pad) does the same with a value of 0. Records an error in the
    /// graph, which `compile` reports, if the tensor contains integers. Equivalent: `torch.nn.functional.pad`,
    /// mode `constant`.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [2, 3], DType::F32);
    /// assert_eq!(x.pad_with(-1, 1, 2, f64::NEG_INFINITY).shape().dims(), [2, 6]);
    /// ```
    #[track_caller]
    pub fn pad_with(&self, axis: isize, before: usize, after: usize, value: f64) -> Tensor {
        let x = self;
        let _line = x.graph().line_of_caller();
        if value == 0.0 || before.saturating_add(after) == 0 || !x.is_valid() {
            return x.pad(axis, before, after);
        }
        if !x.dtype().is_float() {
            let invalid = InvalidArgument::new(format!("only floats are padded with a value, not {}", x.spec()));
            return x.invalid("pad_with", &[], invalid.fix("cast with `.to_f32()`, or pad with zeros: `.pad`"));
        }
        let axis = match resolve(x, "pad_with", axis) {
            Ok(axis) => axis,
            Err(invalid) => return invalid,
        };
        // WGSL has no literal for a value that is not finite, so it is passed as data.
        let value = if value.is_finite() { x.number(value) } else { x.graph().array(Array::scalar::<f64>(value)) };
        let beside = |size| value.expand(x.shape().with(axis, size));
        cat(&[&beside(before), x, &beside(after)], axis.cast_signed())
    }
}
