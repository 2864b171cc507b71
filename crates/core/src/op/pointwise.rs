//! Pointwise ops as rows of data: one row says the WGSL, the reference and the gradient.
//!
//! A pointwise op writes element `i` from elements `i` of its arguments, so any number of them can run as one loop.
//! The planner makes such clusters; the GPU backend prints them as one kernel, the CPU backend runs them in blocks.

use crate::autodiff::Backward;
use crate::op::reference::{Buffers, Reference, Slice, SliceMut};
use crate::{Accuracy, DType, Element, Flushed, Real};

/// One pointwise op. Build rows with [`pointwise!`](crate::pointwise).
pub struct Pointwise {
    /// The name, as in error messages and plans.
    pub name: &'static str,
    /// The names of the arguments, as the WGSL expression uses them.
    pub args: &'static [&'static str],
    /// Their element types.
    pub types: &'static [DType],
    /// The names of the constant attributes; they are pasted into the WGSL expression as literals.
    pub attributes: &'static [&'static str],
    /// The element type of the result.
    pub out: DType,
    /// The WGSL expression.
    pub wgsl: &'static str,
    /// WGSL functions that the expression calls: the source that defines them, empty if none.
    pub library: &'static str,
    /// The reference in single precision, over a block of elements.
    pub block_f32: fn(&Block<'_, f32>, SliceMut<'_, f32>),
    /// The reference in double precision.
    pub block_f64: fn(&Block<'_, f64>, SliceMut<'_, f64>),
    /// The reference on a device that flushes small numbers on the way to zero, for error bounds.
    pub block_flushed: fn(&Block<'_, Flushed>, SliceMut<'_, Flushed>),
    /// How many correctly rounded operations in sequence the row may be as inexact as: 1 for arithmetic. By WGSL's table of
    /// accuracies `exp` is 4; see [`crate::bound`].
    pub steps: f64,
    /// The gradient rule; `None` where the gradient is zero everywhere (comparisons, rounding, integers).
    pub backward: Option<fn(&mut Backward)>,
    /// Whether the rule is by design an estimate and not the derivative, as that of a straight-through estimator: finite
    /// differences do not judge it.
    pub estimated: bool,
}

impl Pointwise {
    /// How exact the row is: by its `steps`; integers are exact.
    pub fn accuracy(&self) -> Accuracy {
        if self.out == DType::U32 { Accuracy::EXACT } else { Accuracy::new().steps(self.steps) }
    }
}

impl std::fmt::Debug for Pointwise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Pointwise {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// The arguments of one row for one block of elements.
#[derive(Debug)]
pub struct Block<'a, F> {
    /// One slice per argument, all of the same length.
    pub args: &'a [Slice<'a, F>],
    /// The attributes.
    pub attributes: &'a [f64],
}

/// The loop of one row over a block, in any precision; what [`pointwise!`](crate::pointwise) makes of a reference.
pub trait Loop {
    /// Fills `out`.
    fn run<F: Real>(block: &Block<'_, F>, out: SliceMut<'_, F>);
}

/// Runs `work` in the widest vectors that the machine has.
///
/// It is compiled once for each set of instructions: the closure and what is hot in it must be `#[inline(always)]`, for
/// a function that is called from there is compiled for the smallest set. No two operations are fused, so that results
/// are the same on all machines.
pub fn vectorized<R>(work: impl FnOnce() -> R) -> R {
    struct Call<W>(W);

    impl<R, W: FnOnce() -> R> pulp::WithSimd for Call<W> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, _: S) -> R {
            (self.0)()
        }
    }

    pulp::Arch::new().dispatch(Call(work))
}

/// A loop in single precision, in the widest vectors that the machine has.
pub fn in_vectors<L: Loop>(block: &Block<'_, f32>, out: SliceMut<'_, f32>) {
    vectorized(
        #[inline(always)]
        || L::run(block, out),
    );
}

/// A precision in which plans run on the CPU.
pub trait Precision: Real + Element {
    /// The row's loop in this precision.
    fn block(op: &Pointwise) -> fn(&Block<'_, Self>, SliceMut<'_, Self>);
    /// The buffers of an op, for its reference.
    fn reference(buffers: Buffers<'_, Self>) -> Reference<'_>;
}

impl Precision for f32 {
    fn block(op: &Pointwise) -> fn(&Block<'_, Self>, SliceMut<'_, Self>) {
        op.block_f32
    }
    fn reference(buffers: Buffers<'_, Self>) -> Reference<'_> {
        Reference::F32(buffers)
    }
}

impl Precision for f64 {
    fn block(op: &Pointwise) -> fn(&Block<'_, Self>, SliceMut<'_, Self>) {
        op.block_f64
    }
    fn reference(buffers: Buffers<'_, Self>) -> Reference<'_> {
        Reference::F64(buffers)
    }
}

/// Declares a pointwise op: a `static` of type [`Pointwise`].
///
/// Arguments are `float` or `uint`; attributes stand in brackets. In the reference, `F` is the number type. `backward`
/// names the gradient of the result (and, if a formula needs it, the result itself) and gives one formula in graph terms
/// per argument, over tensors named as the arguments; an argument without a formula gets no gradient. `backward: none`
/// stands where the gradient is zero everywhere. After the WGSL, `library:` names the source of functions that it calls,
/// and `steps:` how inexact it may be if that is more than some arithmetic: see [`Pointwise::steps`]. After the
/// reference, `estimated: true` says that the gradient is not meant to be the derivative: see [`Pointwise::estimated`].
///
/// ```
/// use wgrad_core::{pointwise, Real};
/// pointwise! {
///     /// `x²·y`.
///     pub SQUARE_TIMES = square_times(x: float, y: float)[] -> float {
///         wgsl: "x * x * y",
///         reference<F>: x * x * y,
///         backward(grad): { x: grad * x * y * 2.0, y: grad * x.square() },
///     }
/// }
/// assert_eq!(SQUARE_TIMES.args, ["x", "y"]);
/// ```
#[macro_export]
macro_rules! pointwise {
    (
        $(#[$doc:meta])*
        $vis:vis $NAME:ident = $name:ident($($arg:ident: $kind:ident),*)[$($attr:ident),*] -> $out:ident {
            wgsl: $wgsl:expr,
            $(library: $library:expr,)?
            $(steps: $steps:expr,)?
            reference<$F:ident>: $body:expr,
            $(estimated: $estimated:expr,)?
            backward $($backward:tt)*
        }
    ) => {
        $(#[$doc])*
        $vis static $NAME: $crate::Pointwise = {
            struct Expression;
            #[allow(unused_variables, unused_mut, non_snake_case, clippy::all, clippy::pedantic, reason = "generated from an op")]
            impl $crate::Loop for Expression {
                #[inline(always)]
                fn run<$F: $crate::Real>(block: &$crate::Block<'_, $F>, out: $crate::SliceMut<'_, $F>) {
                    // As parameters, the compiler knows that no two slices overlap.
                    #[inline(always)]
                    fn each<$F: $crate::Real>(
                        out: &mut [$crate::pointwise!(@element $out $F)],
                        $($arg: &[$crate::pointwise!(@element $kind $F)],)*
                        $($attr: $F,)*
                    ) {
                        let n = out.len();
                        $(let $arg = &$arg[..n];)*
                        for i in 0..n {
                            $(let $arg = $arg[i];)*
                            out[i] = $body;
                        }
                    }
                    let mut args = block.args.iter();
                    let mut attributes = block.attributes.iter();
                    each::<$F>(
                        out.$out(),
                        $({
                            let $arg = args.next().expect("as many arguments as the op has");
                            $arg.$kind()
                        },)*
                        $({
                            let $attr = attributes.next().expect("as many attributes as the op has");
                            <$F as $crate::Real>::lit(*$attr)
                        },)*
                    );
                }
            }
            $crate::Pointwise {
                name: stringify!($name),
                args: &[$(stringify!($arg)),*],
                types: &[$($crate::pointwise!(@type $kind)),*],
                attributes: &[$(stringify!($attr)),*],
                out: $crate::pointwise!(@type $out),
                wgsl: $wgsl,
                library: $crate::pointwise!(@library $($library)?),
                steps: $crate::pointwise!(@steps $($steps)?),
                block_f32: $crate::in_vectors::<Expression>,
                block_f64: <Expression as $crate::Loop>::run::<f64>,
                block_flushed: <Expression as $crate::Loop>::run::<$crate::Flushed>,
                backward: $crate::pointwise!(@backward ($($arg)*) ($($attr)*) $($backward)*),
                estimated: $crate::pointwise!(@estimated $($estimated)?),
            }
        };
    };
    (@element float $F:ident) => { $F };
    (@element uint $F:ident) => { u32 };
    (@type float) => { $crate::DType::F32 };
    (@type uint) => { $crate::DType::U32 };
    (@library) => { "" };
    (@library $library:expr) => { $library };
    (@estimated) => { false };
    (@estimated $estimated:expr) => { $estimated };
    (@steps) => { 1.0 };
    (@steps $steps:expr) => { $steps };
    (@backward $args:tt $attrs:tt : none $(,)?) => { None };
    (@backward $args:tt $attrs:tt ($grad:ident) : { $($wrt:ident: $formula:expr),* $(,)? } $(,)?) => {
        $crate::pointwise!(@backward $args $attrs ($grad, _out) : { $($wrt: $formula),* })
    };
    (@backward $args:tt $attrs:tt ($grad:ident, $out:ident) : { $($wrt:ident: $formula:expr),* $(,)? } $(,)?) => {
        Some({
            fn rule(at: &mut $crate::Backward) {
                $($crate::pointwise!(@formula at $args $attrs $grad $out $wrt $formula);)*
            }
            rule
        })
    };
    (@formula $at:ident ($($arg:ident)*) ($($attr:ident)*) $grad:ident $out:ident $wrt:ident $formula:expr) => {
        let argument = [$(stringify!($arg)),*].iter().position(|&name| name == stringify!($wrt));
        $at.give_with(
            argument.expect(concat!("`", stringify!($wrt), "` is an argument of the op")),
            #[allow(unused_variables, unused_mut, reason = "a formula need not use all names")]
            |at| {
                let mut inputs = 0..;
                let mut next = || at.input(inputs.next().unwrap_or(0));
                $(let $arg = next();)*
                let mut attributes = 0..;
                let mut next = || at.attribute(attributes.next().unwrap_or(0));
                $(let $attr = next();)*
                let $out = at.output(0);
                let $grad = &at.dy();
                $formula
            },
        );
    };
}

/// Declares the pointwise ops of a file: each row as [`pointwise!`](crate::pointwise) does, their list `OPS`, and for
/// a row `… -> float as name` the method `name` of [`Tensor`](crate::Tensor), whose first argument is the tensor itself.
macro_rules! pointwise_ops {
    (@list $(
        $(#[$doc:meta])*
        $vis:vis $NAME:ident = $name:ident $args:tt $attrs:tt -> $out:ident $(as $method:ident)? { $($body:tt)* }
    )*) => {
        /// The ops of this file.
        pub(crate) static OPS: &[&$crate::Pointwise] = &[$(&$NAME),*];
        $($crate::pointwise! { $(#[$doc])* $vis $NAME = $name $args $attrs -> $out { $($body)* } })*
    };
    (@methods) => {};
    (@methods
        $(#[$doc:meta])*
        $vis:vis $NAME:ident = $name:ident $args:tt $attrs:tt -> $out:ident { $($body:tt)* }
        $($rest:tt)*
    ) => {
        pointwise_ops! { @methods $($rest)* }
    };
    (@methods
        $(#[$doc:meta])*
        $vis:vis $NAME:ident = $name:ident($x:ident: $of:ident $(, $arg:ident: $kind:ident)*) [$($attr:ident),*]
            -> $out:ident as $method:ident { $($body:tt)* }
        $($rest:tt)*
    ) => {
        $(#[$doc])*
        #[track_caller]
        pub fn $method(&self $(, $arg: impl Into<$crate::TensorOrScalar>)* $(, $attr: f64)*) -> $crate::Tensor {
            self.pointwise(&$NAME, &[$(&$arg.into().beside(self)),*], &[$($attr),*])
        }
        pointwise_ops! { @methods $($rest)* }
    };
    ($($all:tt)*) => {
        pointwise_ops! { @list $($all)* }
        impl $crate::Tensor {
            pointwise_ops! { @methods $($all)* }
        }
    };
}
pub(crate) use pointwise_ops;
