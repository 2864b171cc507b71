// dw[o, c, ky, kx] = Σ_{n, oy, ox} dy[n, o, oy, ox] · x[n, c, iy, ix], where x is 0 outside its bounds
//
// with iy = oy·stride − before + ky·dilation, and the same formula for ix: the gradient of a convolution for its
// weight. Shapes are those of conv_weight_direct.wgsl. Computed as a matrix product whose operands are never
// stored (an implicit matrix product): i is o, j counts (c, ky, kx), k counts the pixels (n, oy, ox). The sum is
// cut into parts, which sum_parts.wgsl adds in order.
//
// The entry point `forward` is in lib/conv_tiles.wgsl, which this file needs and which names the source. Both
// files together are valid WGSL. The generator (ops/conv/kernels.rs) sets the constants.

struct Params {
    // Number of workgroups, pixels (n, oy, ox), pixels per part of the sum, and elements of dw.
    all: u32,
    pixels: u32,
    length: u32,
    size: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

const C = 1i;
const H = 5i;
const W = 5i;
const O = 1i;
const OH = 3i;
const OW = 3i;
const KH = 3i;
const KW = 3i;
const STRIDE_Y = 1i;
const BEFORE_Y = 0i;
const DILATION_Y = 1i;
const STRIDE_X = 1i;
const BEFORE_X = 0i;
const DILATION_X = 1i;
const B_ALONG_K = true;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn span(part: i32) -> vec2<i32> {
    let begin = u32(part) * params.length;
    return vec2(i32(begin), i32(min(begin + params.length, params.pixels)));
}

fn a4(at: At, i: i32, k: i32) -> vec4<f32> {
    let j = min(k, at.end - 1);
    let first = (j / (OH * OW) * GROUPS + at.group) * (O * OH * OW) + j % (OH * OW);
    let value = vec4(
        dy[first + min(i, O - 1) * (OH * OW)],
        dy[first + min(i + 1, O - 1) * (OH * OW)],
        dy[first + min(i + 2, O - 1) * (OH * OW)],
        dy[first + min(i + 3, O - 1) * (OH * OW)],
    );
    return select(vec4<f32>(), value, k < at.end);
}

fn element(at: At, pixel: i32, weight: i32) -> f32 {
    let term = min(weight, C * KH * KW - 1);
    let iy = pixel / OW % OH * STRIDE_Y - BEFORE_Y + term / KW % KH * DILATION_Y;
    let ix = pixel % OW * STRIDE_X - BEFORE_X + term % KW * DILATION_X;
    let plane = (pixel / (OH * OW) * GROUPS + at.group) * C + term / (KH * KW);
    let value = x[(plane * H + clamp(iy, 0, H - 1)) * W + clamp(ix, 0, W - 1)];
    return select(0.0, value, iy >= 0 && iy < H && ix >= 0 && ix < W);
}

fn b4(at: At, k: i32, j: i32) -> vec4<f32> {
    let pixel = min(k, at.end - 1);
    let value = vec4(element(at, pixel, j), element(at, pixel, j + 1), element(at, pixel, j + 2), element(at, pixel, j + 3));
    return select(vec4<f32>(), value, k < at.end);
}

fn put1(at: At, i: i32, j: i32, value: f32) {
    if i < O && j < C * KH * KW {
        store_y(u32(at.part) * params.size + u32((at.group * O + i) * (C * KH * KW) + j), value);
    }
}

fn put(at: At, i: i32, j: i32, value: vec4<f32>) {
    put1(at, i, j, value.x);
    put1(at, i, j + 1, value.y);
    put1(at, i, j + 2, value.z);
    put1(at, i, j + 3, value.w);
}
