//! Pointwise ops as data: each declares a WGSL expression, a CPU reference and a gradient rule.
//!
//! A pointwise op computes element `i` from elements `i` of its arguments, so that several ops can run in one
//! loop. The planner fuses them into groups called clusters. The GPU backend generates a kernel for each cluster,
//! and the CPU backend evaluates a cluster on one block of elements after another.

use crate::autodiff::Backward;
use crate::op::reference::{Buffers, Reference, Slice, SliceMut};
use crate::{Accuracy, DType, Element, Flushed, Real};

/// Pointwise op, declared by [`pointwise!`](crate::pointwise).
pub struct Pointwise {
    /// The name that error messages and plans print.
    pub name: &'static str,
    /// The names of the arguments in the WGSL expression.
    pub args: &'static [&'static str],
    /// The element types of the arguments.
    pub types: &'static [DType],
    /// The names of the attributes: numbers that become literals in the WGSL expression.
    pub attributes: &'static [&'static str],
    /// The element type of the result.
    pub out: DType,
    /// The WGSL expression.
    pub wgsl: &'static str,
    /// The source of the WGSL functions that the expression calls; empty if it calls none.
    pub library: &'static str,
    /// The reference in single precision, over a block of elements.
    pub block_f32: fn(&Block<'_, f32>, SliceMut<'_, f32>),
    /// The reference in double precision.
    pub block_f64: fn(&Block<'_, f64>, SliceMut<'_, f64>),
    /// The reference in a precision that flushes subnormal results to zero, for error bounds.
    pub block_flushed: fn(&Block<'_, Flushed>, SliceMut<'_, Flushed>),
    /// The error of the op, as the number of correctly rounded operations that have the same error when they are
    /// computed one after another: 1 for arithmetic, 4 for `exp` according to the accuracy table of the WGSL
    /// specification. See [`crate::bound`].
    pub steps: f64,
    /// The gradient rule; `None` if the gradient is zero everywhere (comparisons, rounding, integers).
    pub backward: Option<fn(&mut Backward)>,
    /// True if the gradient rule deliberately differs from the derivative, as for a straight-through estimator.
    /// Such a rule is not compared with finite differences.
    pub estimated: bool,
}

impl Pointwise {
    /// Returns the accuracy of a result: that of [`Self::steps`] operations, or exact for integers.
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

/// Arguments of a pointwise op for a block of elements.
#[derive(Debug)]
pub struct Block<'a, F> {
    /// One slice per argument, all equally long.
    pub args: &'a [Slice<'a, F>],
    /// The attributes.
    pub attributes: &'a [f64],
}

/// Loop of a pointwise op over a block, in any precision. [`pointwise!`](crate::pointwise) implements this trait
/// from the reference expression.
pub trait Loop {
    /// Computes all elements of `out`.
    fn run<F: Real>(block: &Block<'_, F>, out: SliceMut<'_, F>);
}

/// Runs `work` with the widest vector instructions of the machine.
///
/// `work` is compiled once for each instruction set. The closure and its hot functions must be
/// `#[inline(always)]`, because a function that is not inlined is compiled only for the smallest instruction set.
/// No multiplications and additions are fused, so that results are equal on all machines.
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

/// Runs a loop in single precision with the widest vector instructions of the machine.
pub fn in_vectors<L: Loop>(block: &Block<'_, f32>, out: SliceMut<'_, f32>) {
    vectorized(
        #[inline(always)]
        || L::run(block, out),
    );
}

/// Precision in which plans run on the CPU.
pub trait Precision: Real + Element {
    /// Returns the loop that computes a pointwise op in this precision.
    fn block(op: &Pointwise) -> fn(&Block<'_, Self>, SliceMut<'_, Self>);
    /// Wraps an op's buffers in the type that the op's reference receives.
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
/// - Arguments are `float` or `uint`. The names of attributes follow in brackets.
/// - `wgsl:` is the WGSL expression. After it, `library:` can add the source of functions that the expression
///   calls, and `steps:` the error if it is larger than that of arithmetic (see [`Pointwise::steps`]).
/// - `reference<F>:` is the same expression in Rust, generic over the number type `F`. After it, `estimated: true`
///   can declare that the gradient rule deliberately differs from the derivative (see [`Pointwise::estimated`]).
/// - `backward(grad): { … }` is the gradient rule: a formula per argument, in which `grad` is the gradient of the
///   result and the arguments are tensors. `backward(grad, out)` also makes the result available. An argument
///   without a formula receives no gradient. `backward: none` declares that the gradient is zero everywhere.
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
            struct Body;
            #[allow(unused_variables, unused_mut, non_snake_case, clippy::all, clippy::pedantic, reason = "generated code")]
            impl $crate::Loop for Body {
                #[inline(always)]
                fn run<$F: $crate::Real>(block: &$crate::Block<'_, $F>, out: $crate::SliceMut<'_, $F>) {
                    // The slices are passed as function parameters, because the compiler then knows that they do
                    // not overlap.
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
                            let $arg = args.next().expect("a slice per argument");
                            $arg.$kind()
                        },)*
                        $({
                            let $attr = attributes.next().expect("a number per attribute");
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
                block_f32: $crate::in_vectors::<Body>,
                block_f64: <Body as $crate::Loop>::run::<f64>,
                block_flushed: <Body as $crate::Loop>::run::<$crate::Flushed>,
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

/// Declares the pointwise ops of a file, with the syntax of [`pointwise!`](crate::pointwise), and the list `OPS`
/// of them. For an op declared with `… -> float as name`, it also adds the method `name` to
/// [`Tensor`](crate::Tensor), which passes the tensor as the op's first argument.
macro_rules! pointwise_ops {
    (@ops $(
        $(#[$doc:meta])*
        $vis:vis $NAME:ident = $name:ident $args:tt $attrs:tt -> $out:ident $(as $method:ident)? { $($body:tt)* }
    )*) => {
        /// Pointwise ops of this file.
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
        pointwise_ops! { @ops $($all)* }
        impl $crate::Tensor {
            pointwise_ops! { @methods $($all)* }
        }
    };
}
pub(crate) use pointwise_ops;
