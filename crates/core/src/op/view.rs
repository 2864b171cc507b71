//! Views: strides that map the positions of a tensor to elements of a buffer.

use crate::Shape;

/// Strided view of a row-major buffer: element `[i, j, …]` is `buffer[offset + i·strides[0] + j·strides[1] + …]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The shape of the view.
    pub shape: Shape,
    /// The stride of each axis in elements. Along an axis with stride 0, the same element is repeated.
    pub strides: Vec<usize>,
    /// The buffer position of the first element.
    pub offset: usize,
}

impl View {
    /// Returns the view of a complete buffer of this shape, in row-major order.
    pub fn contiguous(shape: &Shape) -> Self {
        Self { strides: shape.strides(), shape: shape.clone(), offset: 0 }
    }

    /// Returns whether position `i` of the view is element `i` of the buffer, for every `i`.
    pub fn is_contiguous(&self) -> bool {
        let strides = self.shape.strides();
        self.offset == 0
            && self.shape.dims().iter().zip(&self.strides).zip(&strides).all(|((&n, a), b)| n <= 1 || a == b)
    }

    /// Returns whether all positions of the view are the same buffer element.
    pub fn is_splat(&self) -> bool {
        self.shape.dims().iter().zip(&self.strides).all(|(&n, &stride)| n == 1 || stride == 0)
    }

    /// Broadcasts the view to `shape` under NumPy's rules. The view must be broadcastable to `shape`.
    pub fn broadcast(&self, shape: &Shape) -> Self {
        let lead = shape.rank() - self.shape.rank();
        let strides = (0..shape.rank())
            .map(|axis| match axis.checked_sub(lead) {
                Some(i) if self.shape.dims()[i] == shape.dims()[axis] => self.strides[i],
                _ => 0,
            })
            .collect();
        Self { shape: shape.clone(), strides, offset: self.offset }
    }

    /// Returns the view with the axes permuted into the order `axes`.
    pub fn permute(&self, axes: &[usize]) -> Self {
        Self {
            shape: axes.iter().map(|&a| self.shape.dims()[a]).collect::<Vec<_>>().into(),
            strides: axes.iter().map(|&a| self.strides[a]).collect(),
            offset: self.offset,
        }
    }

    /// Returns the part of the view in the range `start..start + size` of one axis.
    pub fn slice(&self, axis: usize, start: usize, size: usize) -> Self {
        Self {
            shape: self.shape.with(axis, size),
            strides: self.strides.clone(),
            offset: self.offset + start * self.strides[axis],
        }
    }

    /// Returns a view with the same elements in another shape. `None` unless the view is contiguous or repeats a
    /// single element.
    pub fn reshape(&self, shape: &Shape) -> Option<Self> {
        if self.is_splat() {
            return Some(Self { strides: vec![0; shape.rank()], shape: shape.clone(), offset: self.offset });
        }
        self.is_contiguous().then(|| Self::contiguous(shape))
    }

    /// Returns the buffer position of the element at linear position `i` of the view.
    pub fn locate(&self, mut i: usize) -> usize {
        let mut at = self.offset;
        for (&size, &stride) in self.shape.dims().iter().zip(&self.strides).rev() {
            at += i % size * stride;
            i /= size;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_compose() {
        let view = View::contiguous(&Shape::from([2, 3])).permute(&[1, 0]).slice(0, 1, 2).broadcast(&[4, 2, 2].into());
        let read: Vec<_> = (0..16).map(|i| view.locate(i)).collect();
        assert_eq!(read[..4], [1, 4, 2, 5]);
        assert_eq!(read[4..8], read[..4]);
        assert!(!view.is_contiguous());
        assert_eq!(view.reshape(&[16].into()), None);
    }
}
