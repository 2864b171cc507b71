//! Sums and maps over the channels of `[rows, channels, inner]` on the CPU, for the reference implementations of
//! normalisations.
//!
//! A block of lanes (neighbouring channels, or neighbouring values of one channel) is summed over the rows in
//! registers. Up to [`RUN`] numbers are added in the element type, and the resulting sums in `f64`. The order of
//! all sums depends on the shape alone. Closures that callers pass should be `#[inline(always)]`, to become vector
//! instructions.

use crate::{Real, Shape, vectorized};
use rayon::prelude::*;

use crate::ops::axes::extents;

/// Elements per block of lanes: a few vector registers.
pub(crate) const LANES: usize = 32;
/// Number of values that are added in the element type before their sum is converted to `f64`.
pub(crate) const RUN: usize = 32;

/// Shape of a tensor as `[rows, channels, inner]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    rows: usize,
    pub channels: usize,
    pub inner: usize,
}

impl Channels {
    /// Returns the layout of a shape with at least two axes.
    pub fn of(shape: &Shape) -> Self {
        let [rows, channels, inner] = extents(shape, 1..2);
        Self { rows, channels, inner }
    }

    /// Returns the number of values per channel.
    pub fn count(self) -> usize {
        self.rows * self.inner
    }

    fn row(self) -> usize {
        (self.channels * self.inner).max(1)
    }

    /// Returns the number of elements per parallel task: complete rows with about 2¹⁵ elements in total.
    fn piece(self) -> usize {
        self.row() * ((1 << 15) / self.row() + 1)
    }

    /// Computes `N` sums for each channel `c`: the sums of the `N` numbers that `f(x, d, center[c])` returns for
    /// each pair of elements of the tensors `x` and `d`.
    pub fn sums<F: Real, const N: usize>(
        self,
        [x, d]: [&[F]; 2],
        center: &[F],
        f: impl Fn(F, F, F) -> [F; N] + Sync,
    ) -> [Vec<f64>; N] {
        let zeros = || std::array::from_fn(|_| vec![0.0; self.channels]);
        let piece = |(x, d): (&[F], &[F])| {
            let mut sums = zeros();
            vectorized(
                #[inline(always)]
                || {
                    if self.inner > 1 {
                        return self.add_lines([x, d], center, &f, &mut sums);
                    }
                    let done = self.add_columns::<F, LANES, N>(0, [x, d], center, &f, &mut sums);
                    let done = self.add_columns::<F, 8, N>(done, [x, d], center, &f, &mut sums);
                    self.add_columns::<F, 1, N>(done, [x, d], center, &f, &mut sums);
                },
            );
            sums
        };
        if x.len() <= 2 * self.piece() {
            return piece((x, d));
        }
        let pieces = x.par_chunks(self.piece()).zip(d.par_chunks(self.piece())).map(piece);
        let mut total: [Vec<f64>; N] = zeros();
        for piece in pieces.collect::<Vec<_>>() {
            for (total, piece) in total.iter_mut().zip(piece) {
                total.iter_mut().zip(piece).for_each(|(total, piece)| *total += piece);
            }
        }
        total
    }

    /// Sums the columns, starting at column `first`, in blocks of `L` columns; returns the first column after the
    /// last complete block.
    #[inline(always)]
    fn add_columns<F: Real, const L: usize, const N: usize>(
        self,
        mut first: usize,
        [x, d]: [&[F]; 2],
        center: &[F],
        f: &impl Fn(F, F, F) -> [F; N],
        sums: &mut [Vec<f64>; N],
    ) -> usize {
        let row = self.channels;
        while first + L <= row {
            let center = block::<F, L>(&center[first..]);
            for (x, d) in x.chunks(row * RUN).zip(d.chunks(row * RUN)) {
                let mut run = [[F::zero(); L]; N];
                for (x, d) in x.chunks_exact(row).zip(d.chunks_exact(row)) {
                    accumulate(&mut run, block(&x[first..]), block(&d[first..]), center, f);
                }
                for (sums, run) in sums.iter_mut().zip(&run) {
                    for (sum, run) in sums[first..].iter_mut().zip(run) {
                        *sum += run.wide();
                    }
                }
            }
            first += L;
        }
        first
    }

    #[inline(always)]
    fn add_lines<F: Real, const N: usize>(
        self,
        [x, d]: [&[F]; 2],
        center: &[F],
        f: &impl Fn(F, F, F) -> [F; N],
        sums: &mut [Vec<f64>; N],
    ) {
        for (line, (x, d)) in x.chunks_exact(self.inner).zip(d.chunks_exact(self.inner)).enumerate() {
            let c = line % self.channels;
            let centers = [center[c]; LANES];
            for (x, d) in x.chunks(LANES * RUN).zip(d.chunks(LANES * RUN)) {
                let mut run = [[F::zero(); LANES]; N];
                let (xs, ds) = (x.chunks_exact(LANES), d.chunks_exact(LANES));
                let rest = xs.remainder().iter().zip(ds.remainder());
                for (x, d) in xs.zip(ds) {
                    accumulate(&mut run, block(x), block(d), &centers, f);
                }
                for (lane, (&x, &d)) in rest.enumerate() {
                    for (run, value) in run.iter_mut().zip(f(x, d, center[c])) {
                        run[lane] += value;
                    }
                }
                for (sums, run) in sums.iter_mut().zip(&run) {
                    sums[c] += run.iter().map(|run| run.wide()).sum::<f64>();
                }
            }
        }
    }

    /// Computes `f(x, d, own)` for each element of `out`, where `own` contains the numbers of the element's
    /// channel: `numbers[0][c]`, `numbers[1][c]` and so on for channel `c`.
    pub fn map<F: Real, const N: usize>(
        self,
        out: &mut [F],
        [x, d]: [&[F]; 2],
        numbers: &[Vec<F>; N],
        f: impl Fn(F, F, [F; N]) -> F + Sync,
    ) {
        let work = |((out, x), d): ((&mut [F], &[F]), &[F])| {
            vectorized(
                #[inline(always)]
                || {
                    // A line contains one value of each channel if `inner` is 1, else the values of one channel in
                    // one row.
                    let line = if self.inner == 1 { self.row() } else { self.inner };
                    let lines = out.chunks_exact_mut(line).zip(x.chunks_exact(line)).zip(d.chunks_exact(line));
                    for (i, ((out, x), d)) in lines.enumerate() {
                        if self.inner == 1 {
                            map_row(out, x, d, numbers, &f);
                        } else {
                            let own = std::array::from_fn(|k| numbers[k][i % self.channels]);
                            map_line(out, x, d, own, &f);
                        }
                    }
                },
            );
        };
        if x.len() <= 2 * self.piece() {
            work(((out, x), d));
        } else {
            let piece = self.piece();
            out.par_chunks_mut(piece).zip(x.par_chunks(piece)).zip(d.par_chunks(piece)).for_each(work);
        }
    }
}

/// Computes `Channels::map` for a row with one value per channel: `out[i] = f(x[i], d[i], own)`, where `own`
/// contains element `i` of each of the lists in `numbers`.
#[inline(always)]
fn map_row<F: Real, const N: usize>(
    out: &mut [F],
    x: &[F],
    d: &[F],
    numbers: &[Vec<F>; N],
    f: &impl Fn(F, F, [F; N]) -> F,
) {
    let n = out.len();
    let (x, d, numbers) = (&x[..n], &d[..n], numbers.each_ref().map(|numbers| &numbers[..n]));
    for i in 0..n {
        out[i] = f(x[i], d[i], std::array::from_fn(|k| numbers[k][i]));
    }
}

/// Computes `Channels::map` for values of one channel, whose numbers are `own`: `out[i] = f(x[i], d[i], own)`.
#[inline(always)]
fn map_line<F: Real, const N: usize>(out: &mut [F], x: &[F], d: &[F], own: [F; N], f: &impl Fn(F, F, [F; N]) -> F) {
    for ((out, &x), &d) in out.iter_mut().zip(x).zip(d) {
        *out = f(x, d, own);
    }
}

/// Returns the first `L` elements of a slice.
#[inline(always)]
fn block<F, const L: usize>(values: &[F]) -> &[F; L] {
    values.first_chunk().expect("a whole block")
}

#[inline(always)]
fn accumulate<F: Real, const L: usize, const N: usize>(
    run: &mut [[F; L]; N],
    x: &[F; L],
    d: &[F; L],
    center: &[F; L],
    f: &impl Fn(F, F, F) -> [F; N],
) {
    for i in 0..L {
        let values = f(x[i], d[i], center[i]);
        for (run, value) in run.iter_mut().zip(values) {
            run[i] += value;
        }
    }
}
