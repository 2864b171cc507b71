//! Buffers that an op's CPU reference reads and writes. The reference is a generic function, which runs in `f32`
//! or `f64`.

use std::ops::Range;

use crate::{Real, Spec};

/// Buffer that a reference reads.
#[derive(Clone, Copy, Debug)]
pub enum Slice<'a, F> {
    /// Floats.
    Float(&'a [F]),
    /// Unsigned integers.
    Uint(&'a [u32]),
}

/// Buffer that a reference writes.
#[derive(Debug)]
pub enum SliceMut<'a, F> {
    /// Floats.
    Float(&'a mut [F]),
    /// Unsigned integers.
    Uint(&'a mut [u32]),
}

impl<'a, F> Slice<'a, F> {
    /// Returns the elements as floats. Panics if they are integers, which the op's shape rule excludes.
    pub fn float(self) -> &'a [F] {
        match self {
            Self::Float(values) => values,
            Self::Uint(_) => unreachable!("the shape rule promised floats"),
        }
    }

    /// Returns the elements as integers. Panics if they are floats, which the op's shape rule excludes.
    pub fn uint(self) -> &'a [u32] {
        match self {
            Self::Uint(values) => values,
            Self::Float(_) => unreachable!("the shape rule promised integers"),
        }
    }

    /// Returns the elements of the range `at`.
    pub(crate) fn read(self, at: Range<usize>) -> Self {
        match self {
            Self::Float(values) => Self::Float(&values[at]),
            Self::Uint(values) => Self::Uint(&values[at]),
        }
    }
}

impl<'a, F> SliceMut<'a, F> {
    /// Returns the elements as floats. Panics if they are integers, which the op's shape rule excludes.
    pub fn float(self) -> &'a mut [F] {
        match self {
            Self::Float(values) => values,
            Self::Uint(_) => unreachable!("the shape rule promised floats"),
        }
    }

    /// Returns the elements as integers. Panics if they are floats, which the op's shape rule excludes.
    pub fn uint(self) -> &'a mut [u32] {
        match self {
            Self::Uint(values) => values,
            Self::Float(_) => unreachable!("the shape rule promised integers"),
        }
    }

    /// Returns the elements of the range `at`, for reading.
    pub(crate) fn read(&self, at: Range<usize>) -> Slice<'_, F> {
        match self {
            Self::Float(values) => Slice::Float(&values[at]),
            Self::Uint(values) => Slice::Uint(&values[at]),
        }
    }

    /// Returns the elements of the range `at`, for writing.
    pub(crate) fn write(&mut self, at: Range<usize>) -> SliceMut<'_, F> {
        match self {
            Self::Float(values) => SliceMut::Float(&mut values[at]),
            Self::Uint(values) => SliceMut::Uint(&mut values[at]),
        }
    }

    /// Splits the buffer after the first `n` elements.
    pub(crate) fn split_at(self, n: usize) -> (Self, Self) {
        match self {
            Self::Float(values) => {
                let (head, tail) = values.split_at_mut(n);
                (Self::Float(head), Self::Float(tail))
            }
            Self::Uint(values) => {
                let (head, tail) = values.split_at_mut(n);
                (Self::Uint(head), Self::Uint(tail))
            }
        }
    }
}

/// Buffers of an op, in the precision `F`.
#[derive(Debug)]
pub struct Buffers<'a, F> {
    input_specs: &'a [Spec],
    output_specs: &'a [Spec],
    inputs: Vec<Slice<'a, F>>,
    outputs: Vec<Option<SliceMut<'a, F>>>,
}

impl<'a, F: Real> Buffers<'a, F> {
    pub(crate) fn new(
        input_specs: &'a [Spec],
        output_specs: &'a [Spec],
        inputs: Vec<Slice<'a, F>>,
        outputs: Vec<SliceMut<'a, F>>,
    ) -> Self {
        Self { input_specs, output_specs, inputs, outputs: outputs.into_iter().map(Some).collect() }
    }

    /// Returns the sizes of input `i`.
    pub fn dims(&self, i: usize) -> &'a [usize] {
        self.input_specs[i].shape.dims()
    }

    /// Returns the spec of input `i`.
    pub fn input_spec(&self, i: usize) -> &'a Spec {
        &self.input_specs[i]
    }

    /// Returns the spec of output `i`.
    pub fn output_spec(&self, i: usize) -> &'a Spec {
        &self.output_specs[i]
    }

    /// Returns the number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Returns the elements of input `i`, which must be floats.
    pub fn float(&self, i: usize) -> &'a [F] {
        self.inputs[i].float()
    }

    /// Returns the elements of input `i`, which must be integers.
    pub fn uint(&self, i: usize) -> &'a [u32] {
        self.inputs[i].uint()
    }

    /// Takes the elements of output `i` for writing; they must be floats. Panics if called twice for an output.
    pub fn out(&mut self, i: usize) -> &'a mut [F] {
        self.outputs[i].take().expect("an output is taken once").float()
    }

    /// Takes the elements of output `i` for writing; they must be integers. Panics if called twice for an output.
    pub fn out_uint(&mut self, i: usize) -> &'a mut [u32] {
        self.outputs[i].take().expect("an output is taken once").uint()
    }
}

/// Buffers of an op in one of two precisions. [`both!`](crate::both) runs generic code on them.
#[derive(Debug)]
pub enum Reference<'a> {
    /// Single precision, for training without a GPU.
    F32(Buffers<'a, f32>),
    /// Double precision, to compute reference values for tests.
    F64(Buffers<'a, f64>),
}

/// Runs a generic function in the precision of a [`Reference`].
///
/// ```
/// # use wgrad_core::{both, Real, Reference, Buffers};
/// fn double<F: Real>(mut at: Buffers<'_, F>) {
///     let x = at.float(0);
///     at.out(0).iter_mut().zip(x).for_each(|(y, &x)| *y = x + x);
/// }
/// fn reference(at: Reference<'_>) {
///     both!(at, buffers => double(buffers));
/// }
/// ```
#[macro_export]
macro_rules! both {
    ($at:expr, $buffers:ident => $body:expr) => {
        match $at {
            $crate::Reference::F32($buffers) => $body,
            $crate::Reference::F64($buffers) => $body,
        }
    };
}
