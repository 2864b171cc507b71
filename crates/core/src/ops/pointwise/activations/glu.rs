//! Gated linear unit.

use crate::ops::axes::resolve;
use crate::{InvalidArgument, Tensor};

/// Gated linear unit.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// assert_eq!(x.glu(-1).shape().dims(), [64, 15]);
/// ```
impl Tensor {
    /// Applies the gated linear unit: `a·sigmoid(b)`, where a and b are the two halves of `axis`.
    ///
    /// The result has half the size along `axis`. PyTorch's default axis is −1. Records an error in the graph,
    /// which `compile` reports, if the size of the axis is odd.
    ///
    /// Dauphin, Fan, Auli, Grangier: "Language modeling with gated convolutional networks", 2017. Equivalent:
    /// `torch.nn.functional.glu`.
    #[track_caller]
    pub fn glu(&self, axis: isize) -> Tensor {
        let x = self;
        let axis = match resolve(x, "glu", axis) {
            Ok(axis) => axis,
            Err(invalid) => return invalid,
        };
        let n = x.shape().dims()[axis];
        if n % 2 == 1 {
            let invalid = InvalidArgument::new(format!(
                "axis {axis} of {} has {n} elements, which are not two halves",
                x.shape()
            ))
            .fix("give the layer before it twice as many outputs as are wanted");
            return x.invalid("glu", &[], invalid);
        }
        let axis = axis.cast_signed();
        x.slice(axis, ..n / 2) * x.slice(axis, n / 2..).sigmoid()
    }
}
