//! Pointwise ops as rows of data: one row says the WGSL, the reference and the gradient.
//!
//! A pointwise op writes element `i` from elements `i` of its arguments, so any number of them can run as one loop.
//! The planner makes such clusters; the GPU backend prints them as one kernel, the CPU backend runs them in blocks.

use crate::autodiff::Backward;
use crate::reference::{Buffers, Real, Reference, Slice, SliceMut};
use crate::{Array, DType};

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
    /// The gradient rule; `None` where the gradient is zero everywhere (comparisons, rounding, integers).
    pub backward: Option<fn(&mut Backward)>,
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

/// A precision in which plans run on the CPU.
pub trait Precision: Real {
    /// The row's loop in this precision.
    fn block(row: &Pointwise) -> fn(&Block<'_, Self>, SliceMut<'_, Self>);
    /// The buffers of an op, for its reference.
    fn reference(buffers: Buffers<'_, Self>) -> Reference<'_>;
    /// A host array's elements in this precision.
    fn from_array(array: &Array) -> Vec<Self>;
}

impl Precision for f32 {
    fn block(row: &Pointwise) -> fn(&Block<'_, Self>, SliceMut<'_, Self>) {
        row.block_f32
    }
    fn reference(buffers: Buffers<'_, Self>) -> Reference<'_> {
        Reference::F32(buffers)
    }
    fn from_array(array: &Array) -> Vec<Self> {
        array.to_f32()
    }
}

impl Precision for f64 {
    fn block(row: &Pointwise) -> fn(&Block<'_, Self>, SliceMut<'_, Self>) {
        row.block_f64
    }
    fn reference(buffers: Buffers<'_, Self>) -> Reference<'_> {
        Reference::F64(buffers)
    }
    fn from_array(array: &Array) -> Vec<Self> {
        array.to_f64()
    }
}

/// Declares a pointwise op: a `static` of type [`Pointwise`].
///
/// Arguments are `float` or `uint`; attributes stand in brackets. In the reference, `F` is the number type; in the
/// gradient, `at` is a [`Backward`].
///
/// ```
/// use wgrad_core::{pointwise, Real};
/// pointwise! {
///     /// `max(x, slope·x)` for slopes below 1.
///     pub LEAKY = leaky(x: float)[slope] -> float {
///         wgsl: "select(slope * x, x, x > 0.0)",
///         reference<F>: if x > F::zero() { x } else { slope * x },
///         backward: None,
///     }
/// }
/// assert_eq!(LEAKY.args, ["x"]);
/// ```
#[macro_export]
macro_rules! pointwise {
    (
        $(#[$doc:meta])*
        $vis:vis $NAME:ident = $name:ident($($arg:ident: $kind:ident),*)[$($attr:ident),*] -> $out:ident {
            wgsl: $wgsl:expr,
            $(library: $library:expr,)?
            reference<$F:ident>: $body:expr,
            backward: $backward:expr,
        }
    ) => {
        $(#[$doc])*
        $vis static $NAME: $crate::Pointwise = {
            #[allow(unused_variables, unused_mut, non_snake_case, clippy::all, clippy::pedantic, reason = "generated from a row")]
            fn block<$F: $crate::Real>(block: &$crate::Block<'_, $F>, out: $crate::SliceMut<'_, $F>) {
                let mut attributes = block.attributes.iter();
                $(let $attr = <$F as $crate::Real>::lit(*attributes.next().expect("as many attributes as the row has"));)*
                let out = out.$out();
                let n = out.len();
                let mut args = block.args.iter();
                $(let $arg = &args.next().expect("as many arguments as the row has").$kind()[..n];)*
                for i in 0..n {
                    $(let $arg = $arg[i];)*
                    out[i] = $body;
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
                block_f32: block::<f32>,
                block_f64: block::<f64>,
                backward: $backward,
            }
        };
    };
    (@type float) => { $crate::DType::F32 };
    (@type uint) => { $crate::DType::U32 };
    (@library) => { "" };
    (@library $library:expr) => { $library };
}
