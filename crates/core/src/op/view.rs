//! Views: which element of a buffer stands at which place of a tensor.

use crate::Shape;

/// A strided reading of a row-major buffer: element `[i, j, …]` is `buffer[offset + i·strides[0] + j·strides[1] + …]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The shape that a reader sees.
    pub shape: Shape,
    /// Elements to step per axis; 0 repeats.
    pub strides: Vec<usize>,
    /// The first element.
    pub offset: usize,
}

impl View {
    /// The buffer as it lies.
    pub fn contiguous(shape: &Shape) -> Self {
        Self { strides: shape.strides(), shape: shape.clone(), offset: 0 }
    }

    /// Whether linear position `i` of the view is element `i` of the buffer.
    pub fn is_contiguous(&self) -> bool {
        let strides = self.shape.strides();
        self.offset == 0
            && self.shape.dims().iter().zip(&self.strides).zip(&strides).all(|((&n, a), b)| n <= 1 || a == b)
    }

    /// Whether every place reads the same element.
    pub fn is_splat(&self) -> bool {
        self.shape.dims().iter().zip(&self.strides).all(|(&n, &stride)| n == 1 || stride == 0)
    }

    /// The view repeated to `shape` under NumPy's rules; `shape` must be one that the view broadcasts to.
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

    /// The view with its axes in the order `axes`.
    pub fn permute(&self, axes: &[usize]) -> Self {
        Self {
            shape: axes.iter().map(|&a| self.shape.dims()[a]).collect::<Vec<_>>().into(),
            strides: axes.iter().map(|&a| self.strides[a]).collect(),
            offset: self.offset,
        }
    }

    /// The part `start..start + size` of one axis.
    pub fn slice(&self, axis: usize, start: usize, size: usize) -> Self {
        Self {
            shape: self.shape.with(axis, size),
            strides: self.strides.clone(),
            offset: self.offset + start * self.strides[axis],
        }
    }

    /// The same elements under another shape, where strides can say it.
    pub fn reshape(&self, shape: &Shape) -> Option<Self> {
        if self.is_splat() {
            return Some(Self { strides: vec![0; shape.rank()], shape: shape.clone(), offset: self.offset });
        }
        self.is_contiguous().then(|| Self::contiguous(shape))
    }

    /// The buffer position of linear position `i` of the view.
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
