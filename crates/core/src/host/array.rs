//! Arrays in host memory: the inputs that a session is fed and the results that it returns.

use std::fmt;

use crate::{ArrayError, DType, Result, Shape, Spec, Stream};

/// Elements of an [`Array`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 32-bit unsigned integers.
    U32(Vec<u32>),
}

/// Dense, row-major array on the host.
///
/// An array can be created from a shape and elements, from nested Rust arrays, or with functions such as
/// [`Array::zeros`] and [`Array::arange`]. It prints as in NumPy, followed by its element type and shape; of an
/// array with more than 1000 elements, only the edges are printed.
///
/// ```
/// use wgrad_core::Array;
/// let x = Array::from([[0.5, 1.0], [1.5, 2.0]]);
/// assert_eq!(x.to_string(), "[[0.5, 1.0],\n [1.5, 2.0]] f64[2, 2]");
/// assert_eq!(Array::arange(0.0, 6.0, 2.0).to_string(), "[0, 2, 4] f32[3]");
/// assert_eq!(Array::randn([64, 30], 7), Array::randn([64, 30], 7));
/// let labels = Array::new([2, 2], vec![0u32, 1, 1, 0])?;
/// assert_eq!(labels.shape().dims(), [2, 2]);
/// assert_eq!(labels.to_f64(), [0.0, 1.0, 1.0, 0.0]);
/// let invalid = Array::new([3], vec![1.0f32]).unwrap_err();
/// assert_eq!(invalid.to_string(), "1 value cannot fill an array of shape [3], which holds 3");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Array {
    shape: Shape,
    data: Data,
}

/// Rust type of the elements of an [`Array`].
pub trait Element: Copy + Send + Sync + 'static {
    /// The element type.
    const DTYPE: DType;
    /// Wraps a vector of this type as [`Data`].
    fn wrap(values: Vec<Self>) -> Data;
    /// Returns the elements as a slice, or `None` if they are of another type.
    fn slice(data: &Data) -> Option<&[Self]>;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl Element for $type {
            const DTYPE: DType = DType::$variant;
            fn wrap(values: Vec<Self>) -> Data {
                Data::$variant(values)
            }
            fn slice(data: &Data) -> Option<&[Self]> {
                match data {
                    Data::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
    };
}
element!(f32, F32);
element!(f64, F64);
element!(u32, U32);

impl Array {
    /// Creates an array of `shape` from its elements in row-major order.
    ///
    /// # Errors
    /// When the number of values is not the number of elements of `shape`.
    pub fn new<T: Element>(shape: impl Into<Shape>, values: Vec<T>) -> Result<Self> {
        let shape = shape.into();
        if shape.numel() != values.len() {
            return Err(ArrayError::Count { values: values.len(), shape }.into());
        }
        Ok(Self { shape, data: T::wrap(values) })
    }

    /// Creates a one-dimensional array.
    pub fn vector<T: Element>(values: Vec<T>) -> Self {
        Self { shape: Shape::from([values.len()]), data: T::wrap(values) }
    }

    /// Creates an array without axes, which contains one number.
    pub fn scalar<T: Element>(value: T) -> Self {
        Self { shape: Shape::scalar(), data: T::wrap(vec![value]) }
    }

    /// Creates an array filled with `value`.
    pub fn full<T: Element>(shape: impl Into<Shape>, value: T) -> Self {
        let shape = shape.into();
        Self { data: T::wrap(vec![value; shape.numel()]), shape }
    }

    /// Creates an `f32` array of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        Self::full(shape, 0.0_f32)
    }

    /// Creates an `f32` array of ones.
    pub fn ones(shape: impl Into<Shape>) -> Self {
        Self::full(shape, 1.0_f32)
    }

    /// Creates the `f32` vector `start, start + step, …`, which stops before `end`. It has
    /// `ceil((end − start) / step)` elements, or none if the step leads away from `end`.
    ///
    /// # Panics
    /// When `step` is 0 or a bound is not finite.
    pub fn arange(start: f64, end: f64, step: f64) -> Self {
        assert!(step != 0.0 && (start + end + step).is_finite(), "arange({start}, {end}, {step}) has no end");
        let n = ((end - start) / step).ceil().max(0.0) as usize;
        Self::vector((0..n).map(|i| (start + i as f64 * step) as f32).collect())
    }

    /// Draws an `f32` array from the standard normal distribution. The same seed yields the same numbers on every
    /// machine.
    pub fn randn(shape: impl Into<Shape>, seed: u64) -> Self {
        Self::drawn(shape, seed, |stream| stream.normal() as f32)
    }

    /// Draws an `f32` array uniformly from `[0, 1)`. The same seed yields the same numbers on every machine.
    pub fn rand(shape: impl Into<Shape>, seed: u64) -> Self {
        // 24 bits fit an f32 exactly, so no number is rounded up to 1.
        Self::drawn(shape, seed, |stream| (stream.next_u32() >> 8) as f32 / 16_777_216.0)
    }

    /// Draws a `u32` array of integers below `bound`. The same seed yields the same numbers on every machine.
    ///
    /// # Panics
    /// When `bound` is 0.
    pub fn randint(bound: u32, shape: impl Into<Shape>, seed: u64) -> Self {
        Self::drawn(shape, seed, |stream| stream.below(bound as usize) as u32)
    }

    fn drawn<T: Element>(shape: impl Into<Shape>, seed: u64, mut draw: impl FnMut(&mut Stream) -> T) -> Self {
        let (shape, mut stream) = (shape.into(), Stream::new(seed, 0));
        Self { data: T::wrap((0..shape.numel()).map(|_| draw(&mut stream)).collect()), shape }
    }

    /// Returns the shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::U32(_) => DType::U32,
        }
    }

    /// Returns shape and element type.
    pub fn spec(&self) -> Spec {
        Spec::new(self.shape.clone(), self.dtype())
    }

    /// Returns the elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Returns the elements as a slice of `T`, or `None` if they are of another type.
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.data)
    }

    /// Returns the elements converted to `f32`, rounded where needed.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::F64(v) => v.iter().map(|&x| x as f32).collect(),
            Data::U32(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// Returns the elements converted to `f64`. The conversion is exact.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::F64(v) => v.clone(),
            Data::U32(v) => v.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// Returns the only element.
    ///
    /// # Errors
    /// When the array does not have exactly one element.
    pub fn item(&self) -> Result<f64> {
        match self.to_f64()[..] {
            [value] => Ok(value),
            _ => Err(ArrayError::NotScalar { shape: self.shape.clone() }.into()),
        }
    }

    /// Changes the shape and keeps the elements.
    ///
    /// # Errors
    /// When `shape` has a different number of elements.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Self> {
        match self.data {
            Data::F32(v) => Self::new(shape, v),
            Data::F64(v) => Self::new(shape, v),
            Data::U32(v) => Self::new(shape, v),
        }
    }
}

macro_rules! from_nested {
    ($($type:ty),*) => {$(
        impl<const A: usize> From<[$type; A]> for Array {
            fn from(values: [$type; A]) -> Self {
                Self::vector(values.to_vec())
            }
        }

        impl<const A: usize, const B: usize> From<[[$type; B]; A]> for Array {
            fn from(values: [[$type; B]; A]) -> Self {
                Self { shape: Shape::from([A, B]), data: <$type>::wrap(values.concat()) }
            }
        }

        impl<const A: usize, const B: usize, const C: usize> From<[[[$type; C]; B]; A]> for Array {
            fn from(values: [[[$type; C]; B]; A]) -> Self {
                Self { shape: Shape::from([A, B, C]), data: <$type>::wrap(values.concat().concat()) }
            }
        }

        impl<const A: usize, const B: usize, const C: usize, const D: usize> From<[[[[$type; D]; C]; B]; A]> for Array {
            fn from(values: [[[[$type; D]; C]; B]; A]) -> Self {
                Self { shape: Shape::from([A, B, C, D]), data: <$type>::wrap(values.concat().concat().concat()) }
            }
        }
    )*};
}
from_nested!(f32, f64, u32);

/// Maximum number of elements of an array that is printed in full.
const PRINTED: usize = 1000;
/// Number of elements printed at each end of an abbreviated axis.
const EDGE: usize = 3;

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dims, values) = (self.shape.dims(), self.to_f64());
        let cut = values.len() > PRINTED;
        let shown: Vec<f64> = positions(dims, cut).into_iter().map(|at| values[at]).collect();
        let print = style(&shown);
        let width = shown.iter().map(|&x| print(x).len()).max().unwrap_or(0);
        let texts = |at: usize| format!("{:>width$}", print(values[at]));
        write_nested(f, dims, cut, 0, 0, &texts)?;
        write!(f, " {}{}", self.dtype(), self.shape)
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Returns the indices of an axis that are printed: all of them, or only the first and last three if the axis is
/// longer and `cut` is true.
fn indices(size: usize, cut: bool) -> Vec<usize> {
    if cut && size > 2 * EDGE { (0..EDGE).chain(size - EDGE..size).collect() } else { (0..size).collect() }
}

/// Returns the row-major positions of the elements that are printed.
fn positions(dims: &[usize], cut: bool) -> Vec<usize> {
    let mut all = vec![0];
    for &size in dims {
        let along = indices(size, cut);
        all = all.iter().flat_map(|&base| along.iter().map(move |&i| base * size + i)).collect();
    }
    all
}

/// Returns a function that formats a number in a style shared by all of `values`: no decimals if all are integers,
/// else up to four decimals, or an exponent if the magnitude of any value is below 1e-3 or at least 1e5.
fn style(values: &[f64]) -> impl Fn(f64) -> String {
    let finite = || values.iter().copied().filter(|x| x.is_finite());
    let whole = finite().all(|x| x.fract() == 0.0 && x.abs() < 1e9);
    let size = |x: &f64| *x != 0.0 && !(1e-3..1e5).contains(&x.abs());
    let exponents = !whole && finite().any(|x| size(&x));
    let decimals = (0..4).find(|&n| finite().all(|x| (x - round(x, n)).abs() < 1e-9 * x.abs().max(1e-9))).unwrap_or(4);
    move |x| match (whole || !x.is_finite(), exponents) {
        (true, _) => format!("{x}"),
        (_, true) => format!("{x:.4e}"),
        _ => format!("{x:.decimals$}"),
    }
}

fn round(x: f64, decimals: usize) -> f64 {
    let scale = 10f64.powi(i32::try_from(decimals).unwrap_or(0));
    (x * scale).round() / scale
}

/// Writes the axes from `depth` on as nested brackets, with `…` where indices are omitted.
fn write_nested(
    f: &mut fmt::Formatter<'_>,
    dims: &[usize],
    cut: bool,
    depth: usize,
    base: usize,
    text: &impl Fn(usize) -> String,
) -> fmt::Result {
    let Some((&size, rest)) = dims.split_first() else { return f.write_str(&text(base)) };
    f.write_str("[")?;
    let mut last = None;
    for i in indices(size, cut) {
        if let Some(last) = last {
            let gap = if i == last + 1 { "" } else { " …," };
            // Blocks with several axes are separated by empty lines, as in NumPy.
            let line = if rest.is_empty() { " ".into() } else { "\n".repeat(rest.len()) + &" ".repeat(depth + 1) };
            write!(f, ",{gap}{line}")?;
        }
        write_nested(f, rest, cut, depth + 1, base * size + i, text)?;
        last = Some(i);
    }
    f.write_str("]")
}
