//! What an op declares: its shape rule, its gradient, its CPU reference and its launch, all as data.

pub(crate) mod accuracy;
pub(crate) mod choices;
pub(crate) mod iterations;
pub(crate) mod launch;
pub(crate) mod limits;
pub(crate) mod pointwise;
pub(crate) mod reference;
pub(crate) mod template;
pub(crate) mod view;

use std::any::TypeId;
use std::fmt::Debug;

use crate::autodiff::Backward;
pub use crate::host::spec::Spec;
pub use launch::{Constant, Dispatch, Grid, Kernel, Launch, Operand, Param};
pub use limits::Limits;
use reference::Reference;

use crate::{Accuracy, InvalidArgument, Shape, View};

/// A structured op: one that reads more of its inputs than the one element that it writes.
///
/// An op is plain data (its attributes); `Debug` must print all of them, because two nodes whose ops print alike and
/// have the same inputs are merged. An op is either a *view* (it implements [`Op::view`] and nothing runs) or has a
/// reference and a launch.
pub trait Op: Debug + Send + Sync + 'static {
    /// The name, as in error messages and plans.
    fn name(&self) -> &'static str;

    /// The Rust type: two ops are the same only if this agrees, too. Not to be overridden.
    fn kind(&self) -> TypeId {
        TypeId::of::<Self>()
    }

    /// The shape rule.
    ///
    /// # Errors
    /// A [`InvalidArgument`] when the op cannot take these inputs, with the fixes to suggest.
    fn outputs(&self, inputs: &[Spec]) -> Result<Vec<Spec>, InvalidArgument>;

    /// The gradient rule, in graph terms: reads cotangents, gives one gradient per input that needs it.
    fn backward(&self, at: &mut Backward);

    /// Whether the gradient rule is by design an estimate and not the derivative, as that of a straight-through estimator:
    /// finite differences do not judge it.
    fn estimated(&self) -> bool {
        false
    }

    /// The reading of the input that this op is, if it only relabels elements. Must succeed on a contiguous input.
    fn view(&self, _of: &View) -> Option<View> {
        None
    }

    /// The outputs that take an *epilogue*: pointwise readers that run where the kernel stores an element, so that
    /// they cost no dispatch of their own.
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
    /// which the planner replaces by the epilogue. Of several dispatches, those that bind the output do so.
    fn epilogues(&self) -> &'static [usize] {
        &[]
    }

    /// Whether kernels read all inputs as one: the planner lays them side by side where it can. See [`Grid::Blocks`].
    fn side_by_side(&self) -> bool {
        false
    }

    /// The inputs that take a *prologue*: pointwise producers that run where the kernel loads an element.
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

    /// Whether the sum of an output over `axes` is zero by construction, so that nobody needs to compute it.
    ///
    /// Such is the gradient that a batch norm sends back: a constant added to a channel does not change the result.
    fn vanishes(&self, _output: usize, _of: &Shape, _axes: &[usize]) -> bool {
        false
    }

    /// How exact a result in `f32` is, on inputs like these: what [`crate::bound`] makes a bound of.
    ///
    /// The longest sum matters most. Unless the op says it, it is taken to be all of its largest input, which no op
    /// exceeds and which forgives most.
    fn accuracy(&self, inputs: &[Spec]) -> Accuracy {
        Accuracy::new().steps(4.0).terms(inputs.iter().map(|spec| spec.shape.numel()).max().unwrap_or(1))
    }

    /// The CPU reference; sums in `f64`. See [`crate::both`].
    fn reference(&self, _at: Reference<'_>) {
        unreachable!("{} is a view and has no reference", self.name())
    }

    /// Which kernels to dispatch.
    fn launch(&self, _at: &mut Launch<'_>) {
        unreachable!("{} is a view and has no kernel", self.name())
    }
}
