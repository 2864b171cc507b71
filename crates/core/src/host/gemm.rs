//! Matrix product for the CPU references of ops: a safe wrapper around the `gemm` crate.

use std::ops::Range;

use rayon::prelude::*;

use crate::Real;

/// Matrix view: a slice of elements, and the strides between rows and between columns.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, F> {
    values: &'a [F],
    rows: usize,
    columns: usize,
    strides: [usize; 2],
}

impl<'a, F> Matrix<'a, F> {
    /// Creates a view of the row-major matrix `[rows, columns]` at the start of `values`.
    ///
    /// # Panics
    /// When `values` has fewer than `rows · columns` elements.
    pub fn new(values: &'a [F], rows: usize, columns: usize) -> Self {
        let fits = rows.checked_mul(columns).is_some_and(|elements| elements <= values.len());
        assert!(fits, "{} values are no [{rows}, {columns}] matrix", values.len());
        Self { values, rows, columns, strides: [columns, 1] }
    }

    /// Returns the transpose.
    pub fn t(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }

    /// Returns the transpose if `transposed`, else this matrix.
    pub fn t_if(self, transposed: bool) -> Self {
        if transposed { self.t() } else { self }
    }
}

/// Computes `out[i, j] = Σ_k a[i, k] · b[k, j] + bias[j]`, row-major. Sums are computed in the type `F`.
///
/// Large products run on all cores. The order of summation depends only on the matrix sizes, so the result has the
/// same bits on any number of cores.
///
/// # Panics
/// When the inner sizes differ, `out` does not have `a.rows · b.columns` elements, or `bias` does not have one
/// element per column.
#[allow(clippy::many_single_char_names, reason = "the names that matrix products have")]
pub fn gemm<F: Real>(a: Matrix<'_, F>, b: Matrix<'_, F>, bias: Option<&[F]>, out: &mut [F]) {
    let (n, work) = (b.columns, a.rows.saturating_mul(b.columns).saturating_mul(a.columns));
    assert!(bias.is_none_or(|bias| bias.len() == n), "one bias per column");
    let threads = rayon::current_num_threads();
    // Waking a core costs as much as half a million multiplications. A very large product is split into two parts
    // per core, so that a fast core can take over a part from a slow one.
    let parts = if work < 1 << 20 { 1 } else { threads.min(work >> 19).max((2 * threads).min(work >> 24)) };
    product(a, b, out, parts);
    if let Some(bias) = bias.filter(|_| n > 0) {
        // A chunk consists of complete rows, with enough elements to be worth waking another core.
        let chunk = n * ((1 << 16) / n + 1);
        out.par_chunks_mut(chunk).for_each(|rows| pulp::Arch::new().dispatch(AddBias { rows, bias }));
    }
}

/// Task that adds `bias` to each row with the machine's widest vector instructions.
struct AddBias<'a, F> {
    rows: &'a mut [F],
    bias: &'a [F],
}

impl<F: Real> pulp::WithSimd for AddBias<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        for row in self.rows.chunks_exact_mut(self.bias.len()) {
            row.iter_mut().zip(self.bias).for_each(|(y, &bias)| *y += bias);
        }
    }
}

/// Computes `out = a·b`, split into at most `parts` blocks that run in parallel.
fn product<F: Real>(a: Matrix<'_, F>, b: Matrix<'_, F>, out: &mut [F], parts: usize) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner sizes");
    assert_eq!(Some(out.len()), m.checked_mul(n), "elements of the product");
    if m == 0 || n == 0 || k == 0 {
        out.fill(F::zero());
        return;
    }
    let [down, across] = grid([m, n], parts);
    let whole = Whole(out.as_mut_ptr());
    let part = |i: usize| {
        let (rows, columns) = (cut(m, down, i / across), cut(n, across, i % across));
        let (row, column) = (rows.start, columns.start);
        let step = |stride: usize| isize::try_from(stride).expect("slices are shorter than isize::MAX");
        // Calling a method makes the closure capture `whole`, which is `Sync`, instead of only the raw pointer,
        // which is not.
        let out = whole.start();
        #[allow(unsafe_code, reason = "the crate takes pointers; the sizes were checked against the slices")]
        // SAFETY: `Matrix::new` checked that rows · columns elements exist, and element (i, j) is at position i ·
        // strides[0] + j · strides[1] < rows · columns, transposed or not; `out` has m · n elements, is row-major
        // and exclusively borrowed, and no two blocks write the same element. `gemm` panics for types other than
        // floats before it reads any element.
        unsafe {
            gemm::gemm(
                rows.len(),
                columns.len(),
                k,
                out.add(row * n + column),
                1,
                step(n),
                false,
                a.values.as_ptr().add(row * a.strides[0]),
                step(a.strides[1]),
                step(a.strides[0]),
                b.values.as_ptr().add(column * b.strides[1]),
                step(b.strides[1]),
                step(b.strides[0]),
                F::zero(),
                F::one(),
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    };
    match down * across {
        1 => part(0),
        parts => (0..parts).into_par_iter().for_each(part),
    }
}

/// Pointer to the elements of a product whose blocks are written in parallel.
struct Whole<F>(*mut F);

impl<F> Whole<F> {
    fn start(&self) -> *mut F {
        self.0
    }
}

#[allow(unsafe_code, reason = "blocks of a matrix are not slices")]
// SAFETY: only `product` uses this type, and it writes each element from a single thread.
unsafe impl<F: Send> Sync for Whole<F> {}

/// Returns how many pieces the rows and the columns of the product are cut into. There are at most `parts` blocks,
/// and their shape is chosen so that few elements of the operands are copied.
///
/// The `gemm` crate sums an element of a block in the same order as in the complete product, unless the block is
/// small: it uses different code for vectors, for blocks of up to 256 elements, and for blocks of up to 64 rows
/// and columns. If rows or columns are cut, each piece therefore has at least 97 of them (see `cut`).
fn grid([m, n]: [usize; 2], parts: usize) -> [usize; 2] {
    if m.min(n) < 4 {
        return [1, 1];
    }
    let pieces = |size: usize, wanted: usize| wanted.min(size / 128).max(1);
    let grid = |down: usize| [pieces(m, down), pieces(n, parts / down)];
    // Grids are compared first by the size of the largest block, which determines the time, then by the number of
    // elements that a block copies.
    let cost = |[down, across]: [usize; 2]| (m.div_ceil(down) * n.div_ceil(across), m / down + n / across);
    (1..=parts).map(grid).min_by_key(|&grid| cost(grid)).unwrap_or([1, 1])
}

/// Returns the range of piece `i` if `size` elements are cut into `pieces`. The range begins at a multiple of 32,
/// and its length is at least 97 if `size` is at least `128 · pieces`.
fn cut(size: usize, pieces: usize, i: usize) -> Range<usize> {
    let start = |i: usize| if i == pieces { size } else { size * i / pieces / 32 * 32 };
    start(i)..start(i + 1)
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
            gemm(left, right, None, &mut out);
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
    fn parts_have_the_bits_of_the_whole() {
        for (m, n, k) in [(300, 520, 1100), (10, 700, 600), (700, 1, 600), (129, 131, 2), (1, 300, 700), (40, 50, 1300)]
        {
            let value = |i: usize| f32::from(u8::try_from(i * 37 % 251).unwrap()) / 125.0 - 1.0;
            let a: Vec<f32> = (0..m * k).map(value).collect();
            let b: Vec<f32> = (0..k * n).map(|i| value(i + 4)).collect();
            for (ta, tb) in [(false, false), (true, false), (false, true)] {
                let left = if ta { Matrix::new(&a, k, m).t() } else { Matrix::new(&a, m, k) };
                let right = if tb { Matrix::new(&b, n, k).t() } else { Matrix::new(&b, k, n) };
                let run = |parts| {
                    let mut out = vec![f32::NAN; m * n];
                    product(left, right, &mut out, parts);
                    out
                };
                let whole = run(1);
                for parts in [2, 3, 4, 7, 16] {
                    assert!(run(parts) == whole, "[{m}, {k}]·[{k}, {n}] {ta} {tb} in {parts} parts");
                }
            }
        }
    }

    #[test]
    fn a_sum_of_nothing_is_zero() {
        let mut out = [1.0f32; 4];
        gemm(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 2), None, &mut out);
        assert_eq!(out, [0.0; 4]);
        gemm(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 2), Some(&[3.0, 4.0]), &mut out);
        assert_eq!(out, [3.0, 4.0, 3.0, 4.0]);
    }
}
