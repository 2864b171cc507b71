// y[n, o, oy, ox] = Σ_{c, ky, kx} w[o, c, ky, kx] · x[n, c, iy, ix] (+ bias[o]), where x is 0 outside its bounds
//
// with iy = oy·MUL + ky·STEP + OFFSET, and the same formula for ix: a convolution or, if MUL = 1, its gradient for
// the input. conv_direct.wgsl documents both, and the shapes; DIV is 1 here. Computed as a matrix product whose
// operands are never stored (an implicit matrix product): i is o, j counts the pixels (n, oy, ox), k counts the
// terms (c, ky, kx).
//
// The entry point `forward` is in lib/conv_tiles.wgsl, which this file needs and which names the source. Both
// files together are valid WGSL. The generator (ops/conv/kernels.rs) sets the constants.

struct Params {
    // Number of workgroups, number of pixels (n, oy, ox), and number of elements of y.
    all: u32,
    pixels: u32,
    size: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>; // if biased
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const C = 1i;
const H = 5i;
const W = 5i;
const O = 1i;
const OH = 3i;
const OW = 3i;
const KH = 3i;
const KW = 3i;
const W_OUT = 9i;
const W_IN = 9i;
const MUL_Y = 1i;
const STEP_Y = 1i;
const OFFSET_Y = 0i;
const MUL_X = 1i;
const STEP_X = 1i;
const OFFSET_X = 0i;
const LENGTH = 9i;
const B_ALONG_K = false;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn span(part: i32) -> vec2<i32> {
    return vec2(part * LENGTH, min(part * LENGTH + LENGTH, C * KH * KW));
}

fn a4(at: At, i: i32, k: i32) -> vec4<f32> {
    let term = min(k, at.end - 1);
    let first = at.group * (O * C * KH * KW) + term / (KH * KW) * W_IN + term % (KH * KW);
    let value = vec4(
        w[first + min(i, O - 1) * W_OUT],
        w[first + min(i + 1, O - 1) * W_OUT],
        w[first + min(i + 2, O - 1) * W_OUT],
        w[first + min(i + 3, O - 1) * W_OUT],
    );
    return select(vec4<f32>(), value, k < at.end);
}

fn element(at: At, term: i32, pixel: i32) -> f32 {
    let j = min(pixel, i32(params.pixels) - 1);
    let iy = j / OW % OH * MUL_Y + term / KW % KH * STEP_Y + OFFSET_Y;
    let ix = j % OW * MUL_X + term % KW * STEP_X + OFFSET_X;
    let plane = (j / (OH * OW) * GROUPS + at.group) * C + term / (KH * KW);
    let value = x[(plane * H + clamp(iy, 0, H - 1)) * W + clamp(ix, 0, W - 1)];
    return select(0.0, value, iy >= 0 && iy < H && ix >= 0 && ix < W);
}

fn b4(at: At, k: i32, j: i32) -> vec4<f32> {
    let term = min(k, at.end - 1);
    let value = vec4(element(at, term, j), element(at, term, j + 1), element(at, term, j + 2), element(at, term, j + 3));
    return select(vec4<f32>(), value, k < at.end);
}

fn put1(at: At, i: i32, j: i32, value: f32) {
    if i < O && j < i32(params.pixels) {
        let o = at.group * O + i;
        var result = value;
        result += bias[o]; // if biased
        let place = (j / (OH * OW) * (GROUPS * O) + o) * (OH * OW) + j % (OH * OW);
        store_y(u32(at.part) * params.size + u32(place), result);
    }
}

fn put(at: At, i: i32, j: i32, value: vec4<f32>) {
    put1(at, i, j, value.x);
    put1(at, i, j + 1, value.y);
    put1(at, i, j + 2, value.z);
    put1(at, i, j + 3, value.w);
}
