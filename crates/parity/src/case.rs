//! Case: one way of calling an op, and the data that it is fed.

use std::fmt;
use std::sync::Arc;

use wgrad_core::{Array, DType, Result, SettingError, Stream, Tensor};

/// Way of filling an input. Every draw comes from a seed and the case's name, so it is the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values {
    /// Standard normal.
    Normal,
    /// Uniform between two numbers.
    Uniform(f64, f64),
    /// Either sign, and a size whose logarithm is uniform: from `2^low` to `2^high`.
    Powers(f64, f64),
    /// Labels below a number; the input is `u32`.
    Below(usize),
    /// Multiples of a step, from `-count` to `count`: with ties.
    Grid(f64, usize),
    /// Any of these.
    Of(&'static [f64]),
}

impl Values {
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

    /// Returns the type of an input that is filled like this.
    pub fn dtype(&self) -> DType {
        if matches!(self, Self::Below(_)) { DType::U32 } else { DType::F32 }
    }
}

/// Shapes of a case's inputs, and how they are filled.
pub type Inputs<'a> = &'a [(&'a [usize], Values)];

type Build = Arc<dyn Fn(&[Tensor]) -> Vec<Tensor> + Send + Sync>;

/// One way of calling an op, with shapes and values.
///
/// Each output is compared with the reference in `f64`, and so is the gradient of each `f32` input under random cotangents.
/// How far a result may be from it follows from what the ops on the way declare of their own exactness
/// ([`Op::accuracy`](wgrad_core::Op::accuracy), `steps:` of a [pointwise op](wgrad_core::Pointwise::accuracy)), with
/// rounding errors of that size let loose at every node ([`wgrad_core::expected_with_draws`]). A case says nothing of it, except
/// that its numbers are [exact](Self::exact).
///
/// ```
/// use wgrad_parity::{Case, Values, assert_parity};
///
/// let swish = Case::new("swish", &[(&[70, 13], Values::Normal)], |x| &x[0] * x[0].sigmoid());
/// assert_parity(&swish);
/// ```
#[derive(Clone)]
#[must_use]
pub struct Case {
    pub(crate) name: String,
    pub(crate) inputs: Vec<(Vec<usize>, Values)>,
    pub(crate) build: Build,
    /// The outputs that are differentiated; none for all.
    pub(crate) gradients: Option<Vec<usize>>,
    pub(crate) constants: Vec<usize>,
    /// Whether every number must be equal.
    pub(crate) exact: bool,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({}: {:?})", self.name, self.inputs)
    }
}

impl Case {
    /// Creates a case of one output. Its name says what is called and how; the data depend on it.
    pub fn new(
        name: impl Into<String>,
        inputs: Inputs<'_>,
        build: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Self {
        Self::several(name, inputs, move |x| vec![build(x)])
    }

    /// Creates a case of several outputs.
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

    /// Says that nothing is rounded on these values, such as small whole numbers, whatever the ops may lose on others: the
    /// numbers must be equal.
    pub fn exact(self) -> Self {
        Self { exact: true, ..self }
    }

    /// Checks the outputs only.
    pub fn without_gradients(mut self) -> Self {
        self.gradients = Some(vec![]);
        self
    }

    /// Differentiates these outputs only. \[default: all that are `f32`\]
    pub fn gradients_of(mut self, outputs: &[usize]) -> Self {
        self.gradients = Some(outputs.to_vec());
        self
    }

    /// Names inputs that the op takes as constants: nothing flows to them, whatever finite differences say.
    pub fn constant_inputs(mut self, inputs: &[usize]) -> Self {
        self.constants = inputs.to_vec();
        self
    }

    /// Returns the case under another name, and so with other data.
    pub fn renamed(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the shapes of its inputs, and how they are filled.
    pub fn inputs(&self) -> &[(Vec<usize>, Values)] {
        &self.inputs
    }

    /// Counts the elements of all inputs together: a measure of what it costs.
    pub fn elements(&self) -> usize {
        self.inputs.iter().map(|(shape, _)| shape.iter().product::<usize>()).sum()
    }

    pub(crate) fn differentiates(&self, output: usize) -> bool {
        self.gradients.as_ref().is_none_or(|outputs| outputs.contains(&output))
    }

    /// Draws one input, rounded to `f32`.
    pub(crate) fn draw(&self, input: usize, stream: &mut Stream) -> Result<Array> {
        let (shape, values) = &self.inputs[input];
        let empty = match values {
            Values::Of(values) => values.is_empty(),
            Values::Below(n) => *n == 0,
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
