//! Host data: what is fed to a session and fetched from it.

use crate::{DType, Error, Result, Shape};

/// The elements of an [`Array`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 32-bit unsigned integers.
    U32(Vec<u32>),
}

/// A dense, row-major array on the host.
///
/// ```
/// use wgrad_core::Array;
/// let labels = Array::new([2, 2], vec![0u32, 1, 1, 0])?;
/// assert_eq!(labels.shape().dims(), [2, 2]);
/// assert_eq!(labels.to_f64(), [0.0, 1.0, 1.0, 0.0]);
/// let misfit = Array::new([3], vec![1.0f32]).unwrap_err();
/// assert_eq!(misfit.to_string(), "1 value cannot fill an array of shape [3], which holds 3");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Shape,
    data: Data,
}

/// A Rust type that an [`Array`] can hold.
pub trait Element: Copy + Send + Sync + 'static {
    /// Its element type.
    const DTYPE: DType;
    /// Wraps a vector of it.
    fn wrap(values: Vec<Self>) -> Data;
    /// The slice inside, if the data is of this type.
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
    /// An array of `shape` from its elements in row-major order.
    ///
    /// # Errors
    /// When the number of values is not the number of elements of `shape`.
    pub fn new<T: Element>(shape: impl Into<Shape>, values: Vec<T>) -> Result<Self> {
        let shape = shape.into();
        if shape.numel() != values.len() {
            return Err(Error::Data(format!(
                "{} value{} cannot fill an array of shape {shape}, which holds {}",
                values.len(),
                if values.len() == 1 { "" } else { "s" },
                shape.numel()
            )));
        }
        Ok(Self { shape, data: T::wrap(values) })
    }

    /// A one-dimensional array.
    #[must_use]
    pub fn vector<T: Element>(values: Vec<T>) -> Self {
        Self { shape: Shape::from([values.len()]), data: T::wrap(values) }
    }

    /// A single number.
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Self {
        Self { shape: Shape::scalar(), data: T::wrap(vec![value]) }
    }

    /// `value` in every place.
    #[must_use]
    pub fn full<T: Element>(shape: impl Into<Shape>, value: T) -> Self {
        let shape = shape.into();
        Self { data: T::wrap(vec![value; shape.numel()]), shape }
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::U32(_) => DType::U32,
        }
    }

    /// The elements.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The elements as a slice of `T`, if they are of that type.
    #[must_use]
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::slice(&self.data)
    }

    /// The elements converted to `f32`, rounding where needed.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the conversion is the purpose")]
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::F64(v) => v.iter().map(|&x| x as f32).collect(),
            Data::U32(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The elements converted to `f64`; exact from every type.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::F64(v) => v.clone(),
            Data::U32(v) => v.iter().map(|&x| f64::from(x)).collect(),
        }
    }

    /// The one number inside.
    ///
    /// # Errors
    /// When the array has not exactly one element.
    pub fn item(&self) -> Result<f64> {
        match self.to_f64()[..] {
            [value] => Ok(value),
            _ => Err(Error::Data(format!("an array of shape {} is not a single number", self.shape))),
        }
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// When the number of elements differs.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Self> {
        match self.data {
            Data::F32(v) => Self::new(shape, v),
            Data::F64(v) => Self::new(shape, v),
            Data::U32(v) => Self::new(shape, v),
        }
    }
}
