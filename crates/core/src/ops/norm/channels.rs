//! Sums and maps over the channels of `[rows, channels, inner]` on the CPU, for the references of norms.
//!
//! Sums take a block of lanes (neighbouring channels, or neighbouring values of one) down the rows and so stay in
//! registers. A run of numbers is added in the type itself, and the runs in `f64`; the shape alone decides the order of
//! all sums. The functions of numbers that callers give should be `#[inline(always)]`, to become vector instructions.

use crate::{Real, Shape, vectorized};
use rayon::prelude::*;

use crate::ops::axes::extents;

/// Elements that a few vector instructions take.
pub(crate) const LANES: usize = 32;
/// How many numbers are added one by one before their sum is widened.
pub(crate) const RUN: usize = 32;

/// A tensor seen as `[rows, channels, inner]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channels {
    rows: usize,
    pub channels: usize,
    pub inner: usize,
}

impl Channels {
    /// Of a shape with at least two axes.
    pub fn of(shape: &Shape) -> Self {
        let [rows, channels, inner] = extents(shape, 1..2);
        Self { rows, channels, inner }
    }

    /// Values per channel.
    pub fn count(self) -> usize {
        self.rows * self.inner
    }

    fn row(self) -> usize {
        (self.channels * self.inner).max(1)
    }

    /// Elements of whole rows that make a fair piece of work for one core.
    fn piece(self) -> usize {
        self.row() * ((1 << 15) / self.row() + 1)
    }

    /// Per channel the sums of the `N` numbers that `f` makes of two values and the channel's number in `center`.
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

    /// Adds columns from `first` on in blocks of `L`, and returns where no whole block is left.
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

    /// `out = f(x, d, the channel's numbers)`.
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
                    // Whole rows where a row is one value of each channel, else one channel's values in a row.
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

/// `out = f(x, d, the numbers at the same place)`.
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

/// `out = f(x, d, the same numbers everywhere)`.
#[inline(always)]
fn map_line<F: Real, const N: usize>(out: &mut [F], x: &[F], d: &[F], own: [F; N], f: &impl Fn(F, F, [F; N]) -> F) {
    for ((out, &x), &d) in out.iter_mut().zip(x).zip(d) {
        *out = f(x, d, own);
    }
}

/// The first lanes of a slice that has as many.
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
