//! Declaration of an op: its shape rule, gradient rule, CPU reference and kernel launches.

pub(crate) mod accuracy;
pub(crate) mod iterations;
pub(crate) mod launch;
pub(crate) mod limits;
pub(crate) mod pointwise;
pub(crate) mod reference;
pub(crate) mod template;
pub(crate) mod tuning;
pub(crate) mod view;

use std::any::TypeId;
use std::fmt::Debug;

use crate::autodiff::Backward;
pub use crate::host::spec::Spec;
pub use launch::{Constant, Dispatch, Grid, Kernel, Launch, Operand, Param};
pub use limits::Limits;
use reference::Reference;

use crate::{Accuracy, InvalidArgument, Shape, View};

/// Structured op: an op whose output elements depend on more than the input elements at the same position.
///
/// The type that implements this trait contains the op's attributes. `Debug` must print all of them, because two
/// nodes with equal inputs are merged if their ops print the same text. An op is either a *view*, which implements
/// [`Op::view`] and runs no kernel, or implements [`Op::reference`] and [`Op::launch`].
pub trait Op: Debug + Send + Sync + 'static {
    /// Returns the name that error messages and plans print.
    fn name(&self) -> &'static str;

    /// Returns the op's Rust type. Ops of different types are never merged. Must not be overridden.
    fn kind(&self) -> TypeId {
        TypeId::of::<Self>()
    }

    /// Applies the shape rule: returns the shapes and types of the outputs.
    ///
    /// # Errors
    /// When the op cannot take these inputs. The error includes likely fixes.
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument>;

    /// Traces the gradient rule, which reads the gradients of the outputs and sets the gradient of each input that
    /// needs a gradient.
    fn backward(&self, at: &mut Backward);

    /// Returns whether the gradient rule deliberately differs from the derivative, as for a straight-through
    /// estimator. Such a rule is not compared with finite differences.
    fn estimated(&self) -> bool {
        false
    }

    /// Returns the output as a view of the input's buffer, if the op only rearranges elements. `_of` is the
    /// input's view of that buffer. Must return a view if the input is contiguous.
    fn view(&self, _of: &View) -> Option<View> {
        None
    }

    /// Returns the indices of the outputs that accept an *epilogue*: pointwise ops that are applied to an element
    /// just before the kernel stores it, so that they need no separate dispatch.
    ///
    /// A kernel that binds such an output to the WGSL variable `y` must store each element exactly once by calling
    /// `store_y(at, value)` with the linear position, must never read an element back, and must define
    ///
    /// ```wgsl
    /// fn store_y(at: u32, value: f32) {
    ///     y[at] = value;
    /// }
    /// ```
    ///
    /// which is replaced with the epilogue's code. If the op has several dispatches, this applies to those that
    /// bind the output.
    fn epilogues(&self) -> &'static [usize] {
        &[]
    }

    /// Returns whether the kernel reads all inputs from one buffer. The planner then places the inputs next to
    /// each other where it can. See [`Grid::Blocks`].
    fn side_by_side(&self) -> bool {
        false
    }

    /// Returns the indices of the inputs that accept a *prologue*: pointwise ops that compute an element of the
    /// input when the kernel loads it, so that they need no separate dispatch.
    ///
    /// A kernel that binds such an input to the WGSL variable `x` must read each element exactly once by calling
    /// `load_x(at)` with the linear position, and must define
    ///
    /// ```wgsl
    /// fn load_x(at: u32) -> f32 {
    ///     return x[at];
    /// }
    /// ```
    fn prologues(&self) -> &'static [usize] {
        &[]
    }

    /// Returns whether the sum of an output over `axes` is always zero, so that the sum need not be computed.
    ///
    /// An example is the gradient with respect to the input of a batch norm, summed per channel: adding a constant
    /// to a channel does not change the result of the batch norm.
    fn vanishes(&self, _output: usize, _of: &Shape, _axes: &[usize]) -> bool {
        false
    }

    /// Returns how many roundings an `f32` result contains for these inputs, from which [`crate::bound`] computes
    /// an error bound.
    ///
    /// The longest sum matters most. The default assumes a sum over all elements of the largest input, which is
    /// the loosest bound.
    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(4.0).terms(inputs.iter().map(|spec| spec.shape.numel()).max().unwrap_or(1))
    }

    /// Runs the CPU reference, which computes sums in `f64`. See [`crate::both`].
    fn reference(&self, _at: Reference<'_>) {
        unreachable!("{} is a view and has no reference", self.name())
    }

    /// Adds the dispatches of the op's kernels to `_at`.
    fn launch(&self, _at: &mut Launch<'_>) {
        unreachable!("{} is a view and has no kernel", self.name())
    }
}
