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

/// Structured op: an op whose elements depend on more of its inputs than the elements at the same position.
///
/// An op is plain data, its attributes. `Debug` must print all of them, because two nodes with the same inputs whose
/// ops print alike are merged. An op is either a *view*, which implements [`Op::view`] and runs no kernel, or has a
/// reference and a launch.
pub trait Op: Debug + Send + Sync + 'static {
    /// Returns the name, as in error messages and plans.
    fn name(&self) -> &'static str;

    /// Returns the Rust type: two ops are the same only if their types are. Not to be overridden.
    fn kind(&self) -> TypeId {
        TypeId::of::<Self>()
    }

    /// Returns the shapes and types of the outputs: the shape rule.
    ///
    /// # Errors
    /// [`InvalidArgument`] when the op cannot take these inputs, with likely fixes.
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument>;

    /// Traces the gradient rule: reads cotangents, and sets the gradient of each input that needs one.
    fn backward(&self, at: &mut Backward);

    /// Returns whether the gradient rule is by design not the derivative, as that of a straight-through estimator; it
    /// is then not compared with finite differences.
    fn estimated(&self) -> bool {
        false
    }

    /// Returns the op as a view of its input, if it only rearranges elements. Must succeed on a contiguous input.
    fn view(&self, _of: &View) -> Option<View> {
        None
    }

    /// Returns the outputs that take an *epilogue*: pointwise ops that read them and run where the kernel stores an
    /// element, so that they need no dispatch of their own.
    ///
    /// A kernel that binds such an output to the WGSL variable `y` stores each of its elements exactly once, by calling
    /// `store_y(at, value)` with the linear position, never reads it back, and defines
    ///
    /// ```wgsl
    /// fn store_y(at: u32, value: f32) {
    ///     y[at] = value;
    /// }
    /// ```
    ///
    /// which the planner replaces by the epilogue. With several dispatches, this holds for those that bind the output.
    fn epilogues(&self) -> &'static [usize] {
        &[]
    }

    /// Returns whether kernels read all inputs as one buffer: the planner places them side by side where it can. See
    /// [`Grid::Blocks`].
    fn side_by_side(&self) -> bool {
        false
    }

    /// Returns the inputs that take a *prologue*: pointwise ops that compute them and run where the kernel loads an
    /// element.
    ///
    /// A kernel that binds such an input to the WGSL variable `x` reads each of its elements exactly once, by calling
    /// `load_x(at)` with the linear position, and defines
    ///
    /// ```wgsl
    /// fn load_x(at: u32) -> f32 {
    ///     return x[at];
    /// }
    /// ```
    fn prologues(&self) -> &'static [usize] {
        &[]
    }

    /// Returns whether the sum of an output over `axes` is zero by construction, so that it need not be computed.
    ///
    /// An example is the gradient of a batch norm's input: a constant added to a channel does not change the result.
    fn vanishes(&self, _output: usize, _of: &Shape, _axes: &[usize]) -> bool {
        false
    }

    /// Returns the roundings of a result in `f32` for these inputs, from which [`crate::bound`] computes an error
    /// bound.
    ///
    /// The longest sum matters most. The default assumes a sum over the whole largest input, the loosest bound.
    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(4.0).terms(inputs.iter().map(|spec| spec.shape.numel()).max().unwrap_or(1))
    }

    /// Runs the CPU reference, which sums in `f64`. See [`crate::both`].
    fn reference(&self, _at: Reference<'_>) {
        unreachable!("{} is a view and has no reference", self.name())
    }

    /// Adds the kernels to dispatch.
    fn launch(&self, _at: &mut Launch<'_>) {
        unreachable!("{} is a view and has no kernel", self.name())
    }
}
