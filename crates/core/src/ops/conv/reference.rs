//! Convolutions on the CPU: im2col for one block of the result at a time, then a matrix product.
//!
//! The matrix of patches has one row per term of a result element's sum (an input channel and a kernel position)
//! and one column per result element. The division into blocks depends on the sizes, never on the number of
//! threads, and partial sums are added in a fixed order. Equal inputs therefore yield equal bits on every machine.

use std::ops::Range;

use crate::{Buffers, Matrix, Real, gemm};
use rayon::prelude::*;

use crate::ops::conv::geometry::Geometry;

/// Largest number of elements in a matrix of patches, which should fit into a core's cache.
const PATCHES: usize = 1 << 17;
/// Largest number of partial sums for the gradient of a weight.
const PARTS: usize = 16;
/// Largest total number of elements in the partial sums for the gradient of a weight.
const PART_ELEMENTS: usize = 1 << 22;

/// Block of the result: some rows of one image, or all rows of several images.
#[derive(Clone)]
struct Block {
    images: Range<usize>,
    rows: Range<usize>,
}

impl Geometry {
    /// Returns the number of terms whose sum is one result element.
    fn terms(&self) -> usize {
        self.c * self.kernel[0] * self.kernel[1]
    }

    fn pixels(&self) -> usize {
        self.result[0] * self.result[1]
    }

    /// Returns the number of elements in one channel group of an image.
    fn image_group(&self) -> usize {
        self.c * self.image[0] * self.image[1]
    }

    fn result_group(&self) -> usize {
        self.o * self.pixels()
    }

    fn weight_group(&self) -> usize {
        self.o * self.terms()
    }

    /// Returns the number of images per block: at most a sixteenth of the batch.
    fn images(&self) -> usize {
        (PATCHES / (self.terms() * self.pixels())).clamp(1, self.batch.div_ceil(16).max(1))
    }

    /// Divides a range of images into blocks.
    fn blocks(&self, images: Range<usize>) -> impl Iterator<Item = Block> {
        let [height, width] = self.result;
        let step = self.images();
        let rows = if step > 1 { height } else { (PATCHES / (self.terms() * width)).clamp(1, height) };
        let end = images.end;
        images.step_by(step).flat_map(move |first| {
            let images = first..(first + step).min(end);
            (0..height)
                .step_by(rows)
                .map(move |row| Block { images: images.clone(), rows: row..(row + rows).min(height) })
        })
    }

    /// Calls `each` for every row of the matrix of patches, with the channel, the row number and the position in
    /// the window.
    fn taps(&self, mut each: impl FnMut(usize, usize, [usize; 2])) {
        let [kh, kw] = self.kernel;
        for row in 0..self.terms() {
            each(row / (kh * kw), row, [row / kw % kh, row % kw]);
        }
    }

    /// Calls `each` for every piece of a row of the matrix of patches. The row belongs to the kernel position
    /// `tap`; a piece contains the values for one row of the result. The arguments are the number of the image,
    /// the first column of the piece and, unless the piece lies in the padding, the range of the piece's elements
    /// that lie in the image, and the index of the first of these elements in its channel of the image.
    fn pieces(
        &self,
        block: &Block,
        tap: [usize; 2],
        mut each: impl FnMut(usize, usize, Option<(Range<usize>, usize)>),
    ) {
        let width = self.result[1];
        let inside_y = self.reached(0, tap[0]);
        let inside_x = self.reached(1, tap[1]);
        for (i, image) in block.images.clone().enumerate() {
            for oy in block.rows.clone() {
                let at = (i * block.rows.len() + oy - block.rows.start) * width;
                let hit = inside_y.contains(&oy) && !inside_x.is_empty();
                let place = hit.then(|| {
                    let iy = ((oy * self.stride[0]).cast_signed() + self.first(0, tap[0])).cast_unsigned();
                    let ix = ((inside_x.start * self.stride[1]).cast_signed() + self.first(1, tap[1])).cast_unsigned();
                    (inside_x.clone(), iy * self.image[1] + ix)
                });
                each(image, at, place);
            }
        }
    }

    /// Fills the matrix of patches `[terms, columns]` for a block (im2col).
    fn patches<F: Real>(&self, x: &[F], group: usize, block: &Block, columns: usize, out: &mut [F]) {
        let (plane, stride, width) = (self.image[0] * self.image[1], self.stride[1], self.result[1]);
        self.taps(|c, row, tap| {
            let out = &mut out[row * columns..(row + 1) * columns];
            self.pieces(block, tap, |image, at, place| {
                let out = &mut out[at..at + width];
                let Some((inside, from)) = place else { return out.fill(F::zero()) };
                let x = &x[((image * self.groups + group) * self.c + c) * plane + from..];
                out[..inside.start].fill(F::zero());
                out[inside.end..].fill(F::zero());
                let out = &mut out[inside];
                if stride == 1 {
                    out.copy_from_slice(&x[..out.len()]);
                } else {
                    out.iter_mut().zip(x.iter().step_by(stride)).for_each(|(out, &x)| *out = x);
                }
            });
        });
    }

    /// Adds every element of a matrix of patches to the image element at its position (col2im). The first image in
    /// `x` has the number `first`.
    fn scatter<F: Real>(&self, patches: &[F], group: usize, block: &Block, columns: usize, first: usize, x: &mut [F]) {
        let (plane, stride) = (self.image[0] * self.image[1], self.stride[1]);
        self.taps(|c, row, tap| {
            let patches = &patches[row * columns..(row + 1) * columns];
            self.pieces(block, tap, |image, at, place| {
                let Some((inside, from)) = place else { return };
                let x = &mut x[(((image - first) * self.groups + group) * self.c + c) * plane + from..];
                let patches = &patches[at + inside.start..at + inside.end];
                if stride == 1 {
                    x.iter_mut().zip(patches).for_each(|(x, &patch)| *x += patch);
                } else {
                    x.iter_mut().step_by(stride).zip(patches).for_each(|(x, &patch)| *x += patch);
                }
            });
        });
    }

    /// Calls `each` for every image and output channel of a block. The arguments are the image, the channel, the
    /// range of the block's elements in the image's channel group of the result, and the index of the first of
    /// them in a matrix `[o, columns]`, which contains the elements of the block only.
    fn strips(&self, block: &Block, columns: usize, mut each: impl FnMut(usize, usize, Range<usize>, usize)) {
        let length = block.rows.len() * self.result[1];
        for (i, image) in block.images.clone().enumerate() {
            for o in 0..self.o {
                let at = o * self.pixels() + block.rows.start * self.result[1];
                each(image, o, at..at + length, o * columns + i * length);
            }
        }
    }

    fn columns(&self, block: &Block) -> usize {
        block.images.len() * block.rows.len() * self.result[1]
    }
}

/// Buffers that a thread reuses.
#[derive(Default)]
struct Workspace<F> {
    patches: Vec<F>,
    results: Vec<F>,
}

impl<F: Real> Workspace<F> {
    fn of(&mut self, geometry: &Geometry, columns: usize) -> (&mut [F], &mut [F]) {
        let grow = |buffer: &mut Vec<F>, length: usize| {
            if buffer.len() < length {
                buffer.resize(length, F::zero());
            }
        };
        let (patches, results) = (geometry.terms() * columns, geometry.o * columns);
        grow(&mut self.patches, patches);
        grow(&mut self.results, results);
        (&mut self.patches[..patches], &mut self.results[..results])
    }
}

fn new<F: Real>() -> Workspace<F> {
    Workspace { patches: vec![], results: vec![] }
}

/// Runs `body` for every chunk of `length` elements of `out`, in parallel if there are several chunks. A single
/// chunk runs on the calling thread, so that its matrix products can use all cores.
fn chunks<F: Real>(out: &mut [F], length: usize, body: impl Fn(&mut Workspace<F>, usize, &mut [F]) + Sync) {
    if out.len() <= length {
        body(&mut new(), 0, out);
    } else {
        out.par_chunks_mut(length).enumerate().for_each_init(new, |workspace, (i, out)| body(workspace, i, out));
    }
}

/// Computes `y = w · patches (+ bias)`.
pub(crate) fn forward<F: Real>(geometry: &Geometry, mut at: Buffers<'_, F>) {
    let (x, w, y) = (at.float(0), at.float(1), at.out(0));
    let bias = (at.inputs() > 2).then(|| at.float(2));
    let image = geometry.groups * geometry.result_group();
    chunks(y, geometry.images() * image, |workspace, chunk, y| {
        let first = chunk * geometry.images();
        for block in geometry.blocks(first..first + y.len() / image) {
            let columns = geometry.columns(&block);
            let (patches, results) = workspace.of(geometry, columns);
            for group in 0..geometry.groups {
                geometry.patches(x, group, &block, columns, patches);
                let w = &w[group * geometry.weight_group()..];
                let w = Matrix::new(w, geometry.o, geometry.terms());
                gemm(w, Matrix::new(patches, geometry.terms(), columns), None, results);
                geometry.strips(&block, columns, |image, o, to, from| {
                    let y = &mut y[((image - first) * geometry.groups + group) * geometry.result_group()..][to];
                    let bias = bias.map_or(F::zero(), |bias| bias[group * geometry.o + o]);
                    y.iter_mut().zip(&results[from..]).for_each(|(y, &sum)| *y = sum + bias);
                });
            }
        }
    });
}

/// Computes `dx (+ bias)`. The product `wᵀ · dy` is a matrix of patches, whose elements are added to the image.
pub(crate) fn input<F: Real>(geometry: &Geometry, mut at: Buffers<'_, F>) {
    let (dy, w, dx) = (at.float(0), at.float(1), at.out(0));
    let bias = (at.inputs() > 2).then(|| at.float(2));
    let image = geometry.groups * geometry.image_group();
    let plane = geometry.image[0] * geometry.image[1];
    chunks(dx, geometry.images() * image, |workspace, chunk, dx| {
        for (i, plane) in dx.chunks_exact_mut(plane).enumerate() {
            plane.fill(bias.map_or(F::zero(), |bias| bias[i % bias.len()]));
        }
        let first = chunk * geometry.images();
        for block in geometry.blocks(first..first + dx.len() / image) {
            let columns = geometry.columns(&block);
            let (patches, results) = workspace.of(geometry, columns);
            for group in 0..geometry.groups {
                geometry.strips(&block, columns, |image, _, from, to| {
                    let dy = &dy[(image * geometry.groups + group) * geometry.result_group()..][from];
                    results[to..to + dy.len()].copy_from_slice(dy);
                });
                let w = &w[group * geometry.weight_group()..];
                let w = Matrix::new(w, geometry.o, geometry.terms());
                gemm(w.t(), Matrix::new(results, geometry.o, columns), None, patches);
                geometry.scatter(patches, group, &block, columns, first, dx);
            }
        }
    });
}

/// Computes `dw = dy · patchesᵀ` for each of several parts of the batch, and adds the results in a fixed order.
pub(crate) fn weight<F: Real>(geometry: &Geometry, mut at: Buffers<'_, F>) {
    let (x, dy, dw) = (at.float(0), at.float(1), at.out(0));
    let size = geometry.groups * geometry.weight_group();
    let parts = (PART_ELEMENTS / size).clamp(1, PARTS);
    let images = geometry.batch.div_ceil(parts).next_multiple_of(geometry.images()).max(1);
    let mut partial = vec![F::zero(); geometry.batch.div_ceil(images) * size];
    chunks(&mut partial, size, |workspace, part, dw| {
        let mut product = vec![F::zero(); geometry.weight_group()];
        for block in geometry.blocks(part * images..((part + 1) * images).min(geometry.batch)) {
            let columns = geometry.columns(&block);
            let (patches, results) = workspace.of(geometry, columns);
            for (group, dw) in dw.chunks_exact_mut(geometry.weight_group()).enumerate() {
                geometry.patches(x, group, &block, columns, patches);
                geometry.strips(&block, columns, |image, _, from, to| {
                    let dy = &dy[(image * geometry.groups + group) * geometry.result_group()..][from];
                    results[to..to + dy.len()].copy_from_slice(dy);
                });
                let patches = Matrix::new(patches, geometry.terms(), columns);
                gemm(Matrix::new(results, geometry.o, columns), patches.t(), None, &mut product);
                dw.iter_mut().zip(&product).for_each(|(dw, &product)| *dw += product);
            }
        }
    });
    dw.fill(F::zero());
    for part in partial.chunks_exact(size) {
        dw.iter_mut().zip(part).for_each(|(dw, &part)| *dw += part);
    }
}
