//! Test cases: a call of an op, with shapes and random distributions for its inputs.

use std::fmt;
use std::sync::Arc;

use wgrad_core::{Array, DType, Result, SettingError, Stream, Tensor};

/// Distribution from which the elements of an input are drawn. The draws depend only on a seed and the case's
/// name, so they are the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// Standard normal distribution.
    Normal,
    /// Uniform distribution between two numbers.
    Uniform(f64, f64),
    /// Random sign; the logarithm of the magnitude is uniform, from `2^low` to `2^high`.
    Powers(f64, f64),
    /// Class labels: whole numbers that are smaller than this number. The input has type `u32`.
    Below(usize),
    /// Multiples of a step, from `-count` to `count` times the step. Equal elements are therefore frequent.
    Grid(f64, usize),
    /// A random element of this list.
    Of(&'static [f64]),
}

impl Fill {
    pub(crate) fn draw(&self, stream: &mut Stream) -> f64 {
        match *self {
            Self::Normal => stream.normal(),
            Self::Uniform(low, high) => low + (high - low) * stream.uniform(),
            Self::Powers(low, high) => {
                let sign = if stream.below(2) == 0 { 1.0 } else { -1.0 };
                sign * (low + (high - low) * stream.uniform()).exp2()
            }
            Self::Below(n) => stream.below(n) as f64,
            Self::Grid(step, count) => step * (stream.below(2 * count + 1) as f64 - count as f64),
            Self::Of(values) => values[stream.below(values.len())],
        }
    }

    /// Returns the element type of the input.
    pub fn dtype(&self) -> DType {
        if matches!(self, Self::Below(_)) { DType::U32 } else { DType::F32 }
    }
}

/// Shape and distribution of each input of a test case.
pub type Inputs<'a> = &'a [(&'a [usize], Fill)];

type Build = Arc<dyn Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync>;

/// A test case: a call of an op, with input shapes and distributions.
///
/// Each output is compared with the reference in `f64`, and so is the gradient of each `f32` input for random
/// cotangents (gradients of the outputs). The bound of an error is derived from the accuracy that the ops in the
/// case declare ([`Op::accuracy`](wgrad_core::Op::accuracy), or `steps:` of a [pointwise
/// op](wgrad_core::Pointwise::accuracy)): the reference is also computed several times with random rounding errors
/// of that size at every node ([`wgrad_core::expected_with_draws`]). A case cannot set tolerances, but may demand
/// [exact](Self::exact) results.
///
/// ```
/// use wgrad_parity::{Case, Fill, assert_parity};
///
/// let swish = Case::new("swish", &[(&[70, 13], Fill::Normal)], |x| &x[0] * x[0].sigmoid());
/// assert_parity(&swish);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Case {
    pub(crate) name: String,
    pub(crate) inputs: Vec<(Vec<usize>, Fill)>,
    pub(crate) build: Build,
    /// Indices of the outputs that are differentiated; `None` for all outputs of type `f32`.
    pub(crate) gradients: Option<Vec<usize>>,
    pub(crate) constants: Vec<usize>,
    /// True if results must equal the reference exactly.
    pub(crate) exact: bool,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({}: {:?})", self.name, self.inputs)
    }
}

impl Case {
    /// Creates a case with one output. The name describes the call and is part of the seed of the random data.
    pub fn new(
        name: impl Into<String>,
        inputs: Inputs<'_>,
        build: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        Self::several(name, inputs, move |x| vec![build(x)])
    }

    /// Creates a case whose function returns several outputs.
    pub fn several(
        name: impl Into<String>,
        inputs: Inputs<'_>,
        build: impl Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            inputs: inputs.iter().map(|&(shape, values)| (shape.to_vec(), values)).collect(),
            build: Arc::new(build),
            gradients: None,
            constants: vec![],
            exact: false,
        }
    }

    /// Requires that results equal the reference. Suitable for values that are not rounded, such as small
    /// integers.
    pub fn exact(self) -> Self {
        Self { exact: true, ..self }
    }

    /// Compares only outputs, not gradients.
    pub fn without_gradients(mut self) -> Self {
        self.gradients = Some(vec![]);
        self
    }

    /// Sets the indices of the outputs that are differentiated. By default, all outputs of type `f32` are.
    pub fn gradients_of(mut self, outputs: &[usize]) -> Self {
        self.gradients = Some(outputs.to_vec());
        self
    }

    /// Sets the inputs that the op treats as constants. They have no gradient, even if finite differences are not
    /// 0.
    pub fn constant_inputs(mut self, inputs: &[usize]) -> Self {
        self.constants = inputs.to_vec();
        self
    }

    /// Returns the case with another name, and therefore with other random data.
    pub fn renamed(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Returns the name of the case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the shape and distribution of each input.
    pub fn inputs(&self) -> &[(Vec<usize>, Fill)] {
        &self.inputs
    }

    /// Returns the total number of elements of all inputs, as a measure of the time that the case takes.
    pub fn elements(&self) -> usize {
        self.inputs.iter().map(|(shape, _)| shape.iter().product::<usize>()).sum()
    }

    pub(crate) fn differentiates(&self, output: usize) -> bool {
        self.gradients.as_ref().is_none_or(|outputs| outputs.contains(&output))
    }

    /// Draws the data of an input and rounds them to `f32`.
    pub(crate) fn draw(&self, input: usize, stream: &mut Stream) -> Result<Array> {
        let (shape, values) = &self.inputs[input];
        let empty = match values {
            Fill::Of(values) => values.is_empty(),
            Fill::Below(n) => *n == 0,
            _ => false,
        };
        let count: usize = shape.iter().product();
        if empty && count > 0 {
            return Err(SettingError::empty(format!("{}: the list of values of input {input}", self.name)).into());
        }
        let draws = (0..count).map(|_| values.draw(stream));
        match values.dtype() {
            DType::U32 => Array::new(&shape[..], draws.map(|x| x as u32).collect()),
            _ => Array::new(&shape[..], draws.map(|x| x as f32).collect()),
        }
    }
}
