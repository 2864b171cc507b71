//! Index selection, masked fill, triangular matrices and one-hot encoding.

use crate::{InvalidArgument, Tensor};

use crate::ops::axes::resolve;

/// Returns a mask with the tensor's shape: 1 where, along the last two axes, column ≤ row + `diagonal`.
#[track_caller]
fn lower(x: &Tensor, op: &str, diagonal: isize) -> Result<Tensor, Tensor> {
    let shape = x.shape();
    let [.., rows, columns] = *shape.dims() else {
        let invalid = InvalidArgument::new(format!("a triangle is taken of matrices, not of {shape}"));
        return Err(x.invalid(op, &[], invalid.fix("give the tensor two axes or more")));
    };
    let graph = x.graph();
    let row = graph.iota([rows, 1]).to_f32() + diagonal as f64;
    Ok(row.ge(graph.iota([columns]).to_f32()).expand(shape))
}

/// Selection by index and by mask.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 10], DType::F32);
/// let (best, class) = x.max(-1);
/// assert_eq!((best.shape(), class.shape()), ([64].into(), [64].into()));
/// assert_eq!(class.one_hot(10).shape().dims(), [64, 10]);
/// let columns = graph.input("columns", [3], DType::U32);
/// assert_eq!(x.index_select(1, &columns).shape().dims(), [64, 3]);
/// let negative = x.lt(0.0);
/// assert!(x.masked_fill(&negative, -1e9).is_valid());
/// ```
impl Tensor {
    /// Selects slices along `axis` by index: `y[a, j, b] = x[a, index[j], b]`.
    ///
    /// `index` is a `u32` tensor `[m]`, and `m` is the result's size along `axis`. An index beyond the axis yields
    /// NaN (0x7fc00000 for integers) and contributes no gradient. Records an error in the graph, which `compile`
    /// reports, if `index` is not `u32` or does not have exactly one axis. Equivalent: `torch.index_select`.
    #[track_caller]
    pub fn index_select(&self, axis: isize, index: &Tensor) -> Tensor {
        let x = self;
        if !x.is_valid() || !index.is_valid() {
            return x.invalid("index_select", &[index], InvalidArgument::default());
        }
        if index.shape().rank() != 1 {
            let invalid =
                InvalidArgument::new(format!("the index must have one axis, not the shape {}", index.shape()))
                    .fix("elements by an index of their own for each line are chosen by `gather`");
            return x.invalid("index_select", &[index], invalid);
        }
        match resolve(x, "index_select", axis) {
            Ok(0) => x.embedding(index),
            Ok(axis) => {
                let axis = axis.cast_signed();
                x.transpose(0, axis).embedding(index).transpose(0, axis)
            }
            Err(invalid) => invalid,
        }
    }

    /// Fills elements with `value` where the mask is not 0.
    ///
    /// `mask` must be a `u32` tensor that broadcasts to the shape of x; otherwise an error is recorded in the
    /// graph, which `compile` reports. Filled elements get no gradient. On a GPU an infinite value is replaced by
    /// the largest finite number, which has the same effect in a softmax. Equivalent: `torch.Tensor.masked_fill`.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: f64) -> Tensor {
        let x = self;
        let (has, takes) = (x.shape(), mask.shape());
        if x.is_valid() && mask.is_valid() && has.broadcast(&takes).as_ref() != Some(&has) {
            let invalid = InvalidArgument::new(format!("the mask {takes} does not broadcast to {has}"))
                .fix("sizes are aligned from the last axis and must be equal or 1");
            return x.invalid("masked_fill", &[mask], invalid);
        }
        mask.where_cond(value, x)
    }

    /// Returns the lower triangle of matrices `[…, R, C]`: elements with column > row + `diagonal` become 0.
    ///
    /// Records an error in the graph, which `compile` reports, if the tensor has fewer than two axes. Equivalent:
    /// `torch.tril`.
    #[track_caller]
    pub fn tril(&self, diagonal: isize) -> Tensor {
        let x = self;
        match lower(x, "tril", diagonal) {
            Ok(mask) => mask.where_cond(x, 0.0),
            Err(invalid) => invalid,
        }
    }

    /// Returns the upper triangle of matrices `[…, R, C]`: elements with column < row + `diagonal` become 0.
    ///
    /// Records an error in the graph, which `compile` reports, if the tensor has fewer than two axes. Equivalent:
    /// `torch.triu`.
    #[track_caller]
    pub fn triu(&self, diagonal: isize) -> Tensor {
        let x = self;
        match lower(x, "triu", diagonal.saturating_sub(1)) {
            Ok(mask) => mask.where_cond(0.0, x),
            Err(invalid) => invalid,
        }
    }

    /// Encodes labels as one-hot vectors: `y[…, c]` is 1 where the label is `c`, else 0.
    ///
    /// `self` contains `u32` labels `[…]`; the result is `f32[…, classes]`, where PyTorch returns integers. A
    /// label of `classes` or above becomes a vector of zeros. Records an error in the graph, which `compile`
    /// reports, if the labels are not `u32`. Equivalent: `torch.nn.functional.one_hot`.
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Tensor {
        let x = self;
        x.unsqueeze(-1).eq(x.graph().iota([classes])).to_f32()
    }
}
