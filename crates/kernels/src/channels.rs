//! Sums and maps over the channels of `[rows, channels, inner]` on the CPU, for the references of norms.
//!
//! Both take a block of lanes (neighbouring channels, or neighbouring values of one) down the rows, so that sums and a
//! channel's numbers stay in registers. A run of numbers is added in the type itself, and the runs in `f64`; the shape
//! alone decides the order of all sums.

use rayon::prelude::*;
use wgrad_core::{Real, Shape};

/// Elements that a few vector instructions take.
const LANES: usize = 16;
/// How many numbers are added one by one before their sum is widened.
const RUN: usize = 32;

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
        let dims = shape.dims();
        Self { rows: dims[0], channels: dims[1], inner: dims[2..].iter().product() }
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
            if self.inner == 1 {
                self.add_columns([x, d], center, &f, &mut sums);
            } else {
                self.add_lines([x, d], center, &f, &mut sums);
            }
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

    fn add_columns<F: Real, const N: usize>(
        self,
        [x, d]: [&[F]; 2],
        center: &[F],
        f: &impl Fn(F, F, F) -> [F; N],
        sums: &mut [Vec<f64>; N],
    ) {
        let row = self.channels;
        let mut first = 0;
        while first < row {
            let lanes = if row - first >= LANES { LANES } else { 1 };
            for (x, d) in x.chunks(row * RUN).zip(d.chunks(row * RUN)) {
                if lanes == LANES {
                    let center = block(&center[first..]);
                    let mut run = [[F::zero(); LANES]; N];
                    for (x, d) in x.chunks_exact(row).zip(d.chunks_exact(row)) {
                        accumulate(&mut run, block(&x[first..]), block(&d[first..]), center, f);
                    }
                    for (sums, run) in sums.iter_mut().zip(&run) {
                        sums[first..].iter_mut().zip(run).for_each(|(sum, run)| *sum += run.wide());
                    }
                } else {
                    let mut run = [F::zero(); N];
                    for (x, d) in x.chunks_exact(row).zip(d.chunks_exact(row)) {
                        let values = f(x[first], d[first], center[first]);
                        run.iter_mut().zip(values).for_each(|(run, value)| *run += value);
                    }
                    sums.iter_mut().zip(run).for_each(|(sums, run)| sums[first] += run.wide());
                }
            }
            first += lanes;
        }
    }

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
                    run.iter_mut().zip(f(x, d, center[c])).for_each(|(run, value)| run[lane] += value);
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
        let row = self.row();
        let work = |((out, x), d): ((&mut [F], &[F]), &[F])| {
            if self.inner == 1 {
                let mut first = 0;
                while first < row {
                    let lanes = (row - first).min(LANES);
                    let own: [[F; LANES]; N] =
                        std::array::from_fn(|k| std::array::from_fn(|i| numbers[k][first + i.min(lanes - 1)]));
                    let rows = out.chunks_exact_mut(row).zip(x.chunks_exact(row)).zip(d.chunks_exact(row));
                    for ((out, x), d) in rows {
                        let (out, x, d) = (&mut out[first..][..lanes], &x[first..][..lanes], &d[first..][..lanes]);
                        for (i, ((out, &x), &d)) in out.iter_mut().zip(x).zip(d).enumerate().take(LANES) {
                            *out = f(x, d, std::array::from_fn(|k| own[k][i]));
                        }
                    }
                    first += lanes;
                }
                return;
            }
            let lines =
                out.chunks_exact_mut(self.inner).zip(x.chunks_exact(self.inner)).zip(d.chunks_exact(self.inner));
            for (line, ((out, x), d)) in lines.enumerate() {
                let own = std::array::from_fn(|k| numbers[k][line % self.channels]);
                out.iter_mut().zip(x).zip(d).for_each(|((out, &x), &d)| *out = f(x, d, own));
            }
        };
        if x.len() <= 2 * self.piece() {
            work(((out, x), d));
        } else {
            let piece = self.piece();
            out.par_chunks_mut(piece).zip(x.par_chunks(piece)).zip(d.par_chunks(piece)).for_each(work);
        }
    }
}

/// The first lanes of a slice that has as many.
fn block<F>(values: &[F]) -> &[F; LANES] {
    values.first_chunk().expect("a whole block")
}

fn accumulate<F: Real, const N: usize>(
    run: &mut [[F; LANES]; N],
    x: &[F; LANES],
    d: &[F; LANES],
    center: &[F; LANES],
    f: &impl Fn(F, F, F) -> [F; N],
) {
    for i in 0..LANES {
        let values = f(x[i], d[i], center[i]);
        for (run, value) in run.iter_mut().zip(values) {
            run[i] += value;
        }
    }
}
