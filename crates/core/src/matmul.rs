//! The matrix product of the CPU references: a safe face of the `gemm` crate.

use crate::Real;

/// A matrix to be read: its elements and how to step through them.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, F> {
    values: &'a [F],
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

impl<'a, F> Matrix<'a, F> {
    /// The row-major matrix `[rows, columns]` at the start of `values`.
    ///
    /// # Panics
    /// When `values` is shorter than that.
    #[must_use]
    pub fn new(values: &'a [F], rows: usize, columns: usize) -> Self {
        let fits = rows.checked_mul(columns).is_some_and(|elements| elements <= values.len());
        assert!(fits, "{} values are no [{rows}, {columns}] matrix", values.len());
        Self { values, rows, columns, strides: [columns, 1] }
    }

    /// The transpose: the same elements, read along the other axis first.
    #[must_use]
    pub fn t(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }

    /// This matrix, or its transpose when `transposed`.
    #[must_use]
    pub fn t_if(self, transposed: bool) -> Self {
        if transposed { self.t() } else { self }
    }
}

/// `out[i, j] = Σ_k a[i, k] · b[k, j]`, row-major, summed in the type's own precision.
///
/// Large products run on all cores, but for those inside a parallel loop, which has the cores already. The order of
/// each sum depends on the sizes only, so equal inputs give equal bits.
///
/// # Panics
/// When the inner sizes differ or `out` has not `a.rows · b.columns` elements.
#[allow(clippy::many_single_char_names, reason = "the names that matrix products have")]
pub fn gemm<F: Real>(a: Matrix<'_, F>, b: Matrix<'_, F>, out: &mut [F]) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner sizes");
    assert_eq!(Some(out.len()), m.checked_mul(n), "elements of the product");
    if m == 0 || n == 0 || k == 0 {
        out.fill(F::zero());
        return;
    }
    let large = m.saturating_mul(n).saturating_mul(k) >= 1 << 18;
    let parallelism = if large && rayon::current_thread_index().is_none() {
        gemm::Parallelism::Rayon(0)
    } else {
        gemm::Parallelism::None
    };
    let step = |stride: usize| isize::try_from(stride).expect("slices are shorter than isize::MAX");
    #[allow(unsafe_code, reason = "the crate takes pointers; the sizes were checked against the slices")]
    // SAFETY: `Matrix::new` checked that rows · columns elements exist, and every element (i, j) stands at
    // i · strides[0] + j · strides[1] < rows · columns, transposed or not; `out` has m · n elements, is row-major and
    // exclusively borrowed. `gemm` panics on types other than floats, before it reads anything.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            step(n),
            false,
            a.values.as_ptr(),
            step(a.strides[1]),
            step(a.strides[0]),
            b.values.as_ptr(),
            step(b.strides[1]),
            step(b.strides[0]),
            F::zero(),
            F::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
#[allow(clippy::many_single_char_names, clippy::float_cmp, reason = "small exact products")]
mod tests {
    use super::*;

    #[test]
    fn products_take_either_side_transposed() {
        let (m, n, k) = (5, 7, 3);
        let value = |i: usize| f64::from(u32::try_from(i * 37 % 11).unwrap()) - 5.0;
        let a: Vec<f64> = (0..m * k).map(value).collect();
        let b: Vec<f64> = (0..k * n).map(|i| value(i + 4)).collect();
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let left = if ta { Matrix::new(&a, k, m) } else { Matrix::new(&a, m, k) }.t_if(ta);
            let right = if tb { Matrix::new(&b, n, k) } else { Matrix::new(&b, k, n) }.t_if(tb);
            let mut out = vec![f64::NAN; m * n];
            gemm(left, right, &mut out);
            for i in 0..m {
                for j in 0..n {
                    let at = |x: &[f64], t: bool, r: usize, c: usize, [rows, columns]: [usize; 2]| {
                        if t { x[c * rows + r] } else { x[r * columns + c] }
                    };
                    let truth: f64 = (0..k).map(|p| at(&a, ta, i, p, [m, k]) * at(&b, tb, p, j, [k, n])).sum();
                    assert!((out[i * n + j] - truth).abs() < 1e-12, "{ta} {tb} [{i}, {j}]");
                }
            }
        }
    }

    #[test]
    fn a_sum_of_nothing_is_zero() {
        let mut out = [1.0f32; 4];
        gemm(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 2), &mut out);
        assert_eq!(out, [0.0; 4]);
    }
}
