//! Embedding: a table of trainable vectors.

use std::panic::Location;

use wgrad_core::{Array, ArrayError, DType, Init, InvalidArgument, Kind, Params, Shape, Tensor, Variable};

use crate::Module;

options! {
    /// Options of an [`Embedding`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct EmbeddingOptions {
        /// Index that stands for padding. Its row is initially 0 and gets no gradient. A negative index counts
        /// from the end: −1 is the last row. Default: `None`.
        padding_idx: Option<isize> as Option<isize> = None,
    }
}

options! {
    /// Options of [`Embedding::from_pretrained_with`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PretrainedOptions {
        /// If `true`, the table is frozen: training does not change it. Default: `true`.
        freeze: bool = true,
        /// Index that stands for padding. Its row gets no gradient. A negative index counts from the end: −1 is
        /// the last row. Default: `None`.
        padding_idx: Option<isize> as Option<isize> = None,
    }
}

/// Lookup table of trainable vectors: `y[…, k] = weight[x[…], k]`; PyTorch's `Embedding`.
///
/// Shapes: the indices are `u32[…]`, the output is `[…, embedding_dim]`.
///
/// Variable: `weight` `[num_embeddings, embedding_dim]`, initially drawn from the standard normal distribution.
///
/// For an index out of range the output is NaN and there is no gradient, because a kernel cannot raise an error.
/// The gradient of the table is summed in the order of the indices, without atomics, so it has the same bits in
/// every run.
///
/// These options of PyTorch do not exist here: `max_norm` and `norm_type`, because they change the weight in the
/// forward pass; `scale_grad_by_freq`, because it changes the gradient; and `sparse`, because gradients are always
/// dense.
///
/// ```
/// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::{Module, layers::{Embedding, EmbeddingOptions}};
/// let params = Params::seeded(7);
/// let words = Embedding::with(&params.at("words"), 1000, 16, EmbeddingOptions::new().padding_idx(0));
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 5], DType::U32);
/// let y = words.forward(&x);
/// assert_eq!(y.shape().dims(), [2, 5, 16]);
/// let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
/// let step = session.compile(&graph, &[&y])?;
/// let y = session.run(&step, &[(&x, &Array::new([2, 5], vec![3u32, 9, 4, 0, 0, 8, 1, 0, 0, 0])?)])?;
/// assert!(y[0].to_f32()[9 * 16..].iter().all(|&y| y == 0.0));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    scope: String,
    weight: Variable,
    padding_idx: Option<isize>,
}

impl Embedding {
    /// Creates a table of `num_embeddings` vectors of `embedding_dim` elements.
    #[track_caller]
    pub fn new(params: &Params, num_embeddings: usize, embedding_dim: usize) -> Self {
        Self::with(params, num_embeddings, embedding_dim, EmbeddingOptions::new())
    }

    /// Creates a table with options.
    #[track_caller]
    pub fn with(params: &Params, num_embeddings: usize, embedding_dim: usize, options: EmbeddingOptions) -> Self {
        let shape = [num_embeddings, embedding_dim];
        let weight = params.variable("weight", shape, Kind::Parameter, Init::Normal(0.0, 1.0));
        let layer = Self { scope: params.path().into(), weight, padding_idx: options.padding_idx };
        if let (Some(row), Ok(value)) = (layer.padding(), layer.weight.value()) {
            let mut values = value.to_f32();
            // If a variable of this name was declared before with a different shape, the row may not exist;
            // `compile` reports the error.
            if let Some(row) = values.get_mut(row * embedding_dim..(row + 1) * embedding_dim) {
                row.fill(0.0);
                let zeroed = Array::new(value.shape(), values).and_then(|value| layer.weight.set(value));
                debug_assert!(zeroed.is_ok(), "the shape is the variable's");
            }
        }
        layer
    }

    /// Creates a frozen table with the given rows, `[num_embeddings, embedding_dim]`; see
    /// [`Self::from_pretrained_with`].
    ///
    /// # Errors
    /// Returns an error if `rows` is not a matrix of floats.
    #[track_caller]
    pub fn from_pretrained(params: &Params, rows: Array) -> wgrad_core::Result<Self> {
        Self::from_pretrained_with(params, rows, PretrainedOptions::new())
    }

    /// Creates a table with the given rows, `[num_embeddings, embedding_dim]`. Unlike in [`Self::with`], the row
    /// of the padding index is not set to 0.
    ///
    /// # Errors
    /// Returns an error if `rows` is not a matrix of floats.
    ///
    /// ```
    /// use wgrad_core::{Array, Params};
    /// use wgrad_nn::layers::{Embedding, PretrainedOptions};
    /// let params = Params::seeded(7);
    /// let rows = Array::new([2, 3], vec![1f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// let words = Embedding::from_pretrained_with(&params.at("words"), rows, PretrainedOptions::new().freeze(false))?;
    /// assert!(words.weight().is_trainable());
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[track_caller]
    pub fn from_pretrained_with(params: &Params, rows: Array, options: PretrainedOptions) -> wgrad_core::Result<Self> {
        if rows.shape().rank() != 2 || !rows.dtype().is_float() {
            let (what, expected) = ("the rows of an embedding".into(), "f32[num_embeddings, embedding_dim]".into());
            return Err(ArrayError::Spec { what, expected, found: rows.spec() }.into());
        }
        let shape: Shape = rows.shape().clone();
        let weight = params.variable("weight", shape, Kind::Parameter, Init::Constant(0.0));
        weight.set(rows)?;
        if options.freeze {
            params.at("weight").set_trainable(false);
        }
        Ok(Self { scope: params.path().into(), weight, padding_idx: options.padding_idx })
    }

    /// Returns the table `[num_embeddings, embedding_dim]`.
    pub fn weight(&self) -> &Variable {
        &self.weight
    }

    /// Returns the row of the padding index, or `None` if there is no padding index or it is out of range.
    fn padding(&self) -> Option<usize> {
        let (index, rows) = (self.padding_idx?, self.weight.shape().dims()[0]);
        let row = if index < 0 { rows.checked_sub(index.unsigned_abs())? } else { index.unsigned_abs() };
        (row < rows).then_some(row)
    }

    fn invalid(&self, x: &Tensor) -> Option<InvalidArgument> {
        let rows = self.weight.shape().dims()[0];
        if x.dtype() != DType::U32 {
            return Some(
                InvalidArgument::new(format!("an embedding takes indices, u32 below {rows}, not {}", x.dtype()))
                    .fix("feed u32, or cast with `.to_u32()`"),
            );
        }
        let outside = self.padding_idx.filter(|_| self.padding().is_none())?;
        Some(
            InvalidArgument::new(format!("padding_idx {outside} is not a row of a table of {rows}"))
                .fix(format!("rows are 0 to {}, or -{rows} to -1 from the end", rows.saturating_sub(1))),
        )
    }
}

impl Module for Embedding {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let graph = x.graph();
        let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
        if let Some(invalid) = self.invalid(x) {
            return x.invalid("embedding", &[], invalid);
        }
        let rows = graph.variable(&self.weight).embedding(x);
        let Some(padding) = self.padding() else { return rows };
        // Both branches of `where_cond` have the same value, but gradients flow only through the first.
        let trained = x.eq(graph.constant_u32(padding as u32)).logical_not().unsqueeze(-1);
        trained.where_cond(&rows, rows.detach())
    }
}
