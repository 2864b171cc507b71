//! Options that several losses have: reduction, weights and the class index of rows to ignore.

use wgrad_core::{Array, Graph, InvalidArgument, Tensor};

/// Expands to the type, the default or the setter of an option that several losses share; used by the macro
/// `options!`.
macro_rules! common {
    (type reduction) => { $crate::losses::Reduction };
    (default reduction) => { $crate::losses::Reduction::Mean };
    (setter reduction) => {
        /// Sets how the losses, one per element, row or pair, are reduced to the result: to their mean (the
        /// default), to their sum, or not at all.
        pub fn reduction(mut self, reduction: $crate::losses::Reduction) -> Self {
            self.reduction = reduction;
            self
        }
    };
    (type weight) => { Option<$crate::losses::Weights> };
    (default weight) => { None };
    (setter weight) => {
        /// Weights by which the losses are multiplied. Their shape broadcasts to the shape of the losses. Default:
        /// none.
        pub fn weight(mut self, weight: impl Into<$crate::losses::Weights>) -> Self {
            self.weight = Some(weight.into());
            self
        }
    };
    (type class_weight) => { Option<$crate::losses::Weights> };
    (default class_weight) => { None };
    (setter class_weight) => {
        /// Weights of the classes, `[C]`. Default: none.
        pub fn weight(mut self, weight: impl Into<$crate::losses::Weights>) -> Self {
            self.class_weight = Some(weight.into());
            self
        }
    };
    (type ignore_index) => { Option<u32> };
    (default ignore_index) => { Some($crate::losses::IGNORE) };
    (setter ignore_index) => {
        /// Class index that marks rows to ignore: such rows have no loss and no gradient. With `None`, no row is
        /// ignored. Default: [`IGNORE`](crate::losses::IGNORE).
        pub fn ignore_index(mut self, index: impl Into<Option<u32>>) -> Self {
            self.ignore_index = index.into();
            self
        }
    };
    (type gamma) => { f64 };
    (default gamma) => { 2.0 };
    (setter gamma) => {
        /// Focusing exponent: the higher the exponent, the smaller the weight of well-classified examples. 0 is
        /// plain cross-entropy. Default: 2.
        pub fn gamma(mut self, gamma: f64) -> Self {
            self.gamma = gamma;
            self
        }
    };
}

/// Way in which the losses, one per element, row or pair, are reduced to the result; PyTorch's `reduction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// No reduction: the result has one loss per element, row or pair.
    None,
    /// The mean of the losses.
    #[default]
    Mean,
    /// The sum of the losses.
    Sum,
}

impl Reduction {
    #[track_caller]
    pub(super) fn apply(self, losses: Tensor) -> Tensor {
        match self {
            Self::None => losses,
            Self::Mean => losses.mean_all(),
            Self::Sum => losses.sum_all(),
        }
    }

    /// Reduces `terms`, whose sum over the last axis is the loss of each row.
    ///
    /// The sum over the rows and the sum over the terms of a row are computed in one reduction.
    #[track_caller]
    pub(super) fn rows(self, terms: &Tensor) -> Tensor {
        let shape = terms.shape();
        let rows: usize = shape.dims().iter().rev().skip(1).product();
        match self {
            Self::None => terms.sum([-1]),
            Self::Sum => terms.sum_all(),
            // For 0 rows, `mean_all` records the error about a mean of no elements.
            Self::Mean if rows == 0 => terms.mean_all(),
            Self::Mean => terms.sum_all() * (1.0 / rows as f64),
        }
    }

    /// Reduces `terms`, whose mean over the last axis is the loss of each row.
    #[track_caller]
    pub(super) fn row_means(self, terms: &Tensor) -> Tensor {
        match self {
            Self::None => terms.mean([-1]),
            Self::Mean => terms.mean_all(),
            Self::Sum => terms.sum_all() * (1.0 / terms.shape().dims().last().copied().unwrap_or(1) as f64),
        }
    }
}

/// Weights of a loss: one number or an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// The same weight for all losses.
    Number(f64),
    /// An array of weights. The documentation of each loss states the shape.
    Array(Array),
}

impl Weights {
    #[track_caller]
    pub(super) fn tensor(&self, graph: &Graph) -> Tensor {
        match self {
            Self::Number(value) => graph.constant(*value),
            Self::Array(array) if array.dtype().is_float() => graph.array(array.clone()),
            Self::Array(array) => graph.array(Array::new(array.shape(), array.to_f64()).expect("the same shape")),
        }
    }

    /// Returns `losses` times the weights. For error messages, `name` is the name of the loss, and `[one, many]`
    /// is the singular and plural of the word for its inputs, such as "logit" and "logits".
    #[track_caller]
    pub(super) fn scale(&self, name: &str, losses: &Tensor, [one, many]: [&str; 2]) -> Tensor {
        let weight = self.tensor(losses.graph());
        let (shape, own) = (losses.shape(), weight.shape());
        if own.broadcast(&shape).as_ref() != Some(&shape) {
            let invalid = InvalidArgument::new(format!("weight {own} does not broadcast to the {many} {shape}"))
                .fix(format!("give one weight, one per {one} of a row (the last axis), or one per row as `[N, 1]`"));
            return losses.invalid(name, &[&weight], invalid);
        }
        losses * weight
    }

    /// Returns an error if the number of weights differs from the number of classes.
    pub(super) fn per_class(&self, classes: usize) -> Option<InvalidArgument> {
        let weights = match self {
            Self::Array(array) if array.shape().dims() != [classes] => array.shape().to_string(),
            Self::Number(_) => "one number".into(),
            Self::Array(_) => return None,
        };
        Some(
            InvalidArgument::new(format!("the weight has one entry per class, [{classes}], not {weights}"))
                .fix("`train.class_weights()` returns weights that balance the classes"),
        )
    }
}

impl From<f64> for Weights {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<f32> for Weights {
    fn from(value: f32) -> Self {
        Self::Number(value.into())
    }
}

impl From<Vec<f32>> for Weights {
    fn from(values: Vec<f32>) -> Self {
        Self::Array(Array::vector(values))
    }
}

impl From<Vec<f64>> for Weights {
    fn from(values: Vec<f64>) -> Self {
        Self::Array(Array::vector(values))
    }
}

impl From<&[f32]> for Weights {
    fn from(values: &[f32]) -> Self {
        values.to_vec().into()
    }
}

impl<const N: usize> From<[f32; N]> for Weights {
    fn from(values: [f32; N]) -> Self {
        values.to_vec().into()
    }
}

impl<const N: usize> From<[f64; N]> for Weights {
    fn from(values: [f64; N]) -> Self {
        values.to_vec().into()
    }
}

impl From<Array> for Weights {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}
