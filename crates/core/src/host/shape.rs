//! Shapes: the sizes of a tensor's axes, outermost first.

use std::fmt;

/// Sizes of a tensor's axes, outermost first. Elements are always in row-major order.
///
/// ```
/// use wgrad_core::Shape;
/// let shape = Shape::from([64, 30]);
/// assert_eq!(shape.numel(), 1920);
/// assert_eq!(shape.strides(), [30, 1]);
/// assert_eq!(shape.to_string(), "[64, 30]");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Returns the shape without axes, which a single number has.
    pub fn scalar() -> Self {
        Self::default()
    }

    /// Returns the sizes, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Returns the number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Returns the number of elements: the product of all sizes, 1 for a scalar.
    pub fn numel(&self) -> usize {
        self.0.iter().product()
    }

    /// Returns the row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// Returns the index along each axis of the element at row-major position `at`.
    ///
    /// ```
    /// # use wgrad_core::Shape;
    /// assert_eq!(Shape::from([2, 3, 4]).index(17), [1, 1, 1]);
    /// assert_eq!(Shape::from([2, 1, 5]).index(7), [1, 0, 2]);
    /// assert!(Shape::from([]).index(0).is_empty());
    /// ```
    pub fn index(&self, mut at: usize) -> Vec<usize> {
        let mut index: Vec<_> = self.0.iter().rev().map(|&size| (at % size, at /= size).0).collect();
        index.reverse();
        index
    }

    /// Returns the common shape of two operands under NumPy's broadcasting rules: shapes are aligned at the last
    /// axis, and two sizes must be equal unless one of them is 1. `None` if the shapes do not broadcast.
    pub fn broadcast(&self, other: &Self) -> Option<Self> {
        let rank = self.rank().max(other.rank());
        let at = |shape: &Self, axis: usize| (axis + shape.rank()).checked_sub(rank).map_or(1, |i| shape.0[i]);
        (0..rank)
            .map(|axis| match (at(self, axis), at(other, axis)) {
                (a, b) if a == b => Some(a),
                (1, b) => Some(b),
                (a, 1) => Some(a),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// Converts an axis, which counts from the end if negative, to an index. `None` if there is no such axis.
    pub fn axis(&self, axis: isize) -> Option<usize> {
        let rank = isize::try_from(self.rank()).ok()?;
        let index = if axis < 0 { axis + rank } else { axis };
        (0..rank).contains(&index).then(|| index.unsigned_abs())
    }

    /// Returns this shape with the size of `axis` replaced.
    pub fn with(&self, axis: usize, size: usize) -> Self {
        let mut dims = self.0.clone();
        dims[axis] = size;
        Self(dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims)
    }
}

impl From<&Self> for Shape {
    fn from(shape: &Self) -> Self {
        shape.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn shapes_broadcast_from_the_last_axis() {
        let shape = |dims: &[usize]| Shape::from(dims);
        assert_eq!(shape(&[4, 1, 3]).broadcast(&shape(&[5, 1])), Some(shape(&[4, 5, 3])));
        assert_eq!(shape(&[]).broadcast(&shape(&[2, 3])), Some(shape(&[2, 3])));
        assert_eq!(shape(&[64]).broadcast(&shape(&[64, 2])), None);
        assert_eq!(shape(&[0]).broadcast(&shape(&[1])), Some(shape(&[0])));
    }

    #[test]
    fn negative_axes_count_from_the_end() {
        let shape = Shape::from([2, 3, 4]);
        assert_eq!(shape.axis(-1), Some(2));
        assert_eq!(shape.axis(2), Some(2));
        assert_eq!(shape.axis(3), None);
        assert_eq!(shape.axis(-4), None);
    }
}
