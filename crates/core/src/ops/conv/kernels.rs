//! Convolution kernels: the choice of a kernel variant, and the constants that its WGSL template needs.

use crate::{Dispatch, Grid, Kernel, Launch, Limits, Operand, Spec};

use crate::host::cast::signed;
use crate::op::iterations;
use crate::op::template::Template;
use crate::ops::conv::geometry::Geometry;
use crate::ops::reduce::parts::{Bias, sum_parts};

const DIRECT: &str = wgrad_shaders::CONV_DIRECT;
const WEIGHT_DIRECT: &str = wgrad_shaders::CONV_WEIGHT_DIRECT;
const TILES: &str = wgrad_shaders::lib::CONV_TILES;
const TILED: &str = wgrad_shaders::CONV_TILED;
const WEIGHT_TILED: &str = wgrad_shaders::CONV_WEIGHT_TILED;

/// Upper bounds for the tile sizes of the direct kernels, which keep sums in registers and use no workgroup
/// memory. On a software adapter (a GPU emulated on the CPU) a load costs as much as dozens of multiplications,
/// but every unrolled multiplication takes time to compile. Large tiles therefore pay off only for large
/// convolutions.
struct TileBounds {
    /// Channels per tile.
    channels: usize,
    /// Pixels per tile.
    pixels: usize,
    /// Multiplications that are unrolled in the innermost loop.
    products: usize,
    /// Output channels per tile, for the gradient of the weight.
    weight_channels: usize,
    /// Sums per thread, for the gradient of the weight.
    sums: usize,
}

impl TileBounds {
    fn of(geometry: &Geometry, limits: &Limits) -> Self {
        let Geometry { batch, groups, c, o, kernel, result, .. } = *geometry;
        let products = [batch, groups, c, o, kernel[0], kernel[1], result[0], result[1]].iter().product::<usize>();
        if limits.software && products >= 1 << 22 {
            Self { channels: 4, pixels: 14, products: 640, weight_channels: 8, sums: 144 }
        } else {
            Self { channels: 4, pixels: 4, products: 160, weight_channels: 4, sums: 40 }
        }
    }
}

/// Returns a tile size that is a multiple of `of` and at most `most`: the one whose tiles, side by side, cover
/// `width` elements with the fewest superfluous elements; in a tie, the largest.
fn tile(width: usize, of: usize, most: usize) -> usize {
    let sizes = (of..=most.max(of)).step_by(of);
    sizes.min_by_key(|&size| (width.div_ceil(size) * size, std::cmp::Reverse(size))).unwrap_or(of)
}

/// Splits a sum of `terms` terms into about `parts` partial sums, whose length is a multiple of `unit`; returns
/// the number of partial sums and their length.
fn parts(terms: usize, parts: usize, unit: usize) -> (usize, usize) {
    let length = terms.div_ceil(parts.clamp(1, terms)).next_multiple_of(unit);
    (terms.div_ceil(length), length)
}

/// Tile sizes for a convolution computed as a matrix product, without storing the matrix of image patches.
struct Tiles {
    side: usize,
    rows: usize,
    all: usize,
    parts: usize,
    length: usize,
}

impl Tiles {
    /// Returns the tile sizes for `matrices` matrix products, each with `rows` by `columns` results that are sums
    /// of `terms` terms. Returns `None` if the products are too small for tiles, or the device emulates workgroup
    /// memory, has too little of it, or supports small workgroups only.
    fn of([matrices, rows, columns, terms]: [usize; 4], limits: &Limits) -> Option<Self> {
        let able = limits.invocations >= 256 && limits.workgroup_bytes >= 16 << 10;
        if limits.software || !able || rows < 12 || columns < 12 || terms < 8 {
            return None;
        }
        let count = |side: usize| matrices * rows.div_ceil(side) * columns.div_ceil(side);
        let side = if rows > 32 && count(64) >= 64 { 64 } else { 32 };
        let (parts, length) = parts(terms, (terms / 256).min(128 / count(side)), 16);
        Some(Self { side, rows, all: count(side) * parts, parts, length })
    }

    /// Returns a dispatch of the kernel that is generated from `template`, with these `constants` and the tile
    /// sizes. The template must include `lib/conv_tiles.wgsl`.
    fn dispatch(&self, name: &str, template: Template, mut constants: Vec<(&'static str, i64)>) -> Dispatch {
        let Self { side, .. } = *self;
        let depth = side / 4;
        constants.extend([("BM", signed(side)), ("BN", signed(side)), ("BK", signed(depth))]);
        constants.extend([("PARTS", signed(self.parts)), ("TILES_I", signed(self.rows.div_ceil(side)))]);
        let source = template.set_all(&constants).workgroup(side * side / 16).write();
        let kernel = Kernel::generated(format!("{name}_{side}x{side}x{depth}"), source).bundled();
        Dispatch::new(kernel, "forward", Grid::Groups([self.all, 1, 1])).param("all", self.all)
    }
}

/// Common form of a convolution and of the gradient for its input. Along each spatial axis and for every kernel
/// position `k`, element `t` of the result reads the operand at `(t·mul + k·step + offset) / div`, if this is an
/// integer. `from` is the size of the operand and `to` is the size of the result.
struct Gather {
    c: usize,
    o: usize,
    from: [usize; 2],
    to: [usize; 2],
    mul: [i64; 2],
    step: [i64; 2],
    offset: [i64; 2],
    div: [i64; 2],
    w_out: usize,
    w_in: usize,
}

impl Gather {
    fn new(geometry: &Geometry, transposed: bool) -> Self {
        let Geometry { c, o, image, kernel, result, stride, before, dilation, .. } = *geometry;
        let (stride, before, dilation) = (stride.map(signed), before.map(signed), dilation.map(signed));
        let taps = kernel[0] * kernel[1];
        if transposed {
            let (mul, step, offset) = ([1; 2], dilation.map(|d| -d), before);
            Self { c: o, o: c, from: result, to: image, mul, step, offset, div: stride, w_out: taps, w_in: c * taps }
        } else {
            let (step, offset) = (dilation, before.map(|b| -b));
            let (mul, div) = (stride, [1; 2]);
            Self { c, o, from: image, to: result, mul, step, offset, div, w_out: c * taps, w_in: taps }
        }
    }

    fn constants(&self, geometry: &Geometry) -> Vec<(&'static str, i64)> {
        vec![
            ("GROUPS", signed(geometry.groups)),
            ("C", signed(self.c)),
            ("H", signed(self.from[0])),
            ("W", signed(self.from[1])),
            ("O", signed(self.o)),
            ("OH", signed(self.to[0])),
            ("OW", signed(self.to[1])),
            ("KH", signed(geometry.kernel[0])),
            ("KW", signed(geometry.kernel[1])),
            ("W_OUT", signed(self.w_out)),
            ("W_IN", signed(self.w_in)),
            ("MUL_Y", self.mul[0]),
            ("STEP_Y", self.step[0]),
            ("OFFSET_Y", self.offset[0]),
            ("MUL_X", self.mul[1]),
            ("STEP_X", self.step[1]),
            ("OFFSET_X", self.offset[1]),
        ]
    }
}

/// Launches a convolution of x and w or, if `transposed`, the gradient for its input, computed from dy and w. A
/// bias is optional.
pub(crate) fn gather(geometry: &Geometry, transposed: bool, at: &mut Launch<'_>) {
    let gather = Gather::new(geometry, transposed);
    let size = at.outputs[0].shape.numel();
    if size == 0 {
        return;
    }
    let biased = at.inputs.len() > 2;
    let terms = gather.c * geometry.kernel[0] * geometry.kernel[1];
    let plane = gather.to[0] * gather.to[1];
    let pixels = geometry.batch * plane;
    // The tiled kernel cannot skip the kernel positions that the gradient of a strided convolution does not use.
    let tiles = Tiles::of([geometry.groups, gather.o, pixels, terms], at.limits).filter(|_| gather.div == [1, 1]);
    let (dispatch, parts) = if let Some(tiles) = tiles {
        let mut constants = gather.constants(geometry);
        constants.push(("LENGTH", signed(tiles.length)));
        let template = Template::new("conv_tiled", &[TILES, TILED]).flag("biased", biased && tiles.parts == 1);
        (tiles.dispatch("conv_tiled", template, constants).param("pixels", pixels), tiles.parts)
    } else {
        direct(geometry, &gather, &TileBounds::of(geometry, at.limits), biased)
    };
    let dispatch = dispatch.bind("x", Operand::Input(0)).bind("w", Operand::Input(1)).param("size", size);
    finish(at, dispatch, parts, [size, plane, geometry.groups * gather.o], biased);
}

fn direct(geometry: &Geometry, gather: &Gather, bounds: &TileBounds, biased: bool) -> (Dispatch, usize) {
    let [kh, kw] = geometry.kernel;
    let div = gather.div.map(|div| usize::try_from(div).unwrap_or(1));
    let channels = tile(gather.o, 1, bounds.channels);
    let few = div[1] <= 8;
    let width = tile(gather.to[1], if few { div[1] } else { 1 }, bounds.pixels);
    let numerator = |p: usize, k: usize| signed(p) * gather.mul[1] + signed(k) * gather.step[1] + gather.offset[1];
    let touched = |p: usize| [numerator(p, 0), numerator(p, kw - 1)];
    let ends = [touched(0), touched(width - 1)].concat();
    let (low, high) = ends.iter().fold((i64::MAX, i64::MIN), |(low, high), &end| (low.min(end), high.max(end)));
    let long = !few || kw * channels * width > bounds.products.max(480) || high - low >= 96;
    let (taps, columns, grain, low) =
        if long { (1, signed(width), gather.mul[1], gather.offset[1]) } else { (kw, high - low + 1, 1, low) };
    let rows = kh * taps * channels * width <= bounds.products;
    let [tiles_x, tiles_o] = [gather.to[1].div_ceil(width), gather.o.div_ceil(channels)];
    let phase_rows = gather.to[0].div_ceil(div[0]);
    let threads = tiles_x * phase_rows * div[0] * tiles_o * geometry.groups * geometry.batch;
    // Loop iterations per input channel: one for the loop over channels, plus those of the loops over kernel rows
    // and over kernel columns, unless these loops are unrolled.
    let iterations = 1 + if rows { 0 } else { kh } + if taps < kw { kh * kw.div_ceil(taps) } else { 0 };
    let wanted = iterations::parts(gather.c * iterations).max((gather.c * kh * kw / 256).min(1024 / threads));
    let (parts, length) = parts(gather.c, wanted, 1);
    let mut constants = gather.constants(geometry);
    constants.extend([("DIV_Y", gather.div[0]), ("DIV_X", gather.div[1])]);
    constants.extend([("COLUMNS", columns), ("GRAIN", grain), ("LOW", low), ("LONG", i64::from(long))]);
    let sizes = [
        ("TO", channels),
        ("TP", width),
        ("TILES_X", tiles_x),
        ("TILES_O", tiles_o),
        ("PHASE_ROWS", phase_rows),
        ("PARTS", parts),
        ("LENGTH", length),
        ("TAPS", taps),
    ];
    constants.extend(sizes.map(|(name, size)| (name, signed(size))));
    let template = Template::new("conv_direct", &[DIRECT]).set_all(&constants).flag("rows", rows);
    let template = template.flag("biased", biased && parts == 1).flag("sparse", div[1] > 1);
    let kernel = Kernel::generated(format!("conv_direct_{channels}x{width}"), template.write()).bundled();
    let threads = threads * parts;
    let dispatch = Dispatch::new(kernel, "forward", Grid::Threads([threads, 1, 1])).iterations(length * iterations);
    (dispatch.param("threads", threads), parts)
}

/// Launches the gradient of a convolution for its weight, from x and dy.
pub(crate) fn weight(geometry: &Geometry, at: &mut Launch<'_>) {
    let Geometry { batch, groups, c, o, image, kernel: [kh, kw], result, stride, before, dilation } = *geometry;
    let size = at.outputs[0].shape.numel();
    let constants = [
        ("GROUPS", groups),
        ("C", c),
        ("H", image[0]),
        ("W", image[1]),
        ("O", o),
        ("OH", result[0]),
        ("OW", result[1]),
        ("KH", kh),
        ("KW", kw),
        ("STRIDE_Y", stride[0]),
        ("BEFORE_Y", before[0]),
        ("DILATION_Y", dilation[0]),
        ("STRIDE_X", stride[1]),
        ("BEFORE_X", before[1]),
        ("DILATION_X", dilation[1]),
    ];
    let constants = constants.map(|(name, size)| (name, signed(size))).to_vec();
    let pixels = batch * result[0] * result[1];
    let (dispatch, parts) = if let Some(tiles) = Tiles::of([groups, o, c * kh * kw, pixels], at.limits) {
        let template = Template::new("conv_weight_tiled", &[TILES, WEIGHT_TILED]);
        let dispatch = tiles.dispatch("conv_weight_tiled", template, constants);
        (dispatch.param("pixels", pixels).param("length", tiles.length), tiles.parts)
    } else {
        weight_direct(geometry, &TileBounds::of(geometry, at.limits), constants)
    };
    let dispatch = dispatch.bind("x", Operand::Input(0)).bind("dy", Operand::Input(1)).param("size", size);
    finish(at, dispatch, parts, [size, 1, 1], false);
}

fn weight_direct(
    geometry: &Geometry,
    bounds: &TileBounds,
    mut constants: Vec<(&'static str, i64)>,
) -> (Dispatch, usize) {
    let Geometry { batch, groups, c, o, kernel: [kh, kw], result, stride, dilation, .. } = *geometry;
    let channels = tile(o, 1, bounds.weight_channels);
    let mut across = if kw <= 9 { kw } else { 8 };
    let mut width = tile(result[1], 1, bounds.pixels.min(8));
    let touched = |width: usize, across: usize| (width - 1) * stride[1] + (across - 1) * dilation[1] + 1;
    if touched(width, across) > 96 {
        width = 1;
    }
    if touched(width, across) > 96 {
        across = 1;
    }
    let down = if channels * kh * across <= bounds.sums { kh } else { 1 };
    let inner = tile(c, 1, (bounds.sums / (channels * down * across)).min(8));
    let tiles = [o.div_ceil(channels), c.div_ceil(inner), kh.div_ceil(down), kw.div_ceil(across)];
    let threads = tiles.iter().product::<usize>() * groups;
    let strips = result[1].div_ceil(width);
    let steps = batch * result[0] * strips;
    let (parts, length) = parts(steps.max(1), (1024 / threads).max(iterations::parts(steps)), 1);
    let sizes = [
        ("TO", channels),
        ("TC", inner),
        ("TY", down),
        ("TX", across),
        ("TP", width),
        ("TILES_O", tiles[0]),
        ("TILES_C", tiles[1]),
        ("TILES_Y", tiles[2]),
        ("TILES_X", tiles[3]),
        ("STRIPS", strips),
        ("COLUMNS", touched(width, across)),
    ];
    constants.extend(sizes.map(|(name, size)| (name, signed(size))));
    let name = format!("conv_weight_direct_{channels}x{inner}x{down}x{across}");
    let template = Template::new("conv_weight_direct", &[WEIGHT_DIRECT]).set_all(&constants);
    let kernel = Kernel::generated(name, template.write()).bundled();
    let threads = threads * parts;
    let dispatch = Dispatch::new(kernel, "forward", Grid::Threads([threads, 1, 1]));
    (dispatch.param("threads", threads).param("steps", steps).param("length", length), parts)
}

/// Adds `dispatch` to the launch and, if it computes several partial sums per element, a second dispatch that adds
/// them up. If `biased`, the last of these dispatches also adds the bias.
fn finish(at: &mut Launch<'_>, dispatch: Dispatch, parts: usize, [size, plane, channels]: [usize; 3], biased: bool) {
    if parts == 1 {
        let dispatch = dispatch.bind("y", Operand::Output(0));
        at.dispatch(if biased { dispatch.bind("bias", Operand::Input(2)) } else { dispatch });
        return;
    }
    let partial = at.scratch(Spec::f32([parts * size]));
    at.dispatch(dispatch.bind("y", partial));
    let bias = biased.then_some(Bias { from: Operand::Input(2), plane, channels });
    sum_parts("conv_sum", at, partial, parts, [size; 2], bias);
}
