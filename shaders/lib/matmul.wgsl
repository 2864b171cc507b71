// Declarations common to all matmul kernels: sizes, the order of tiles, a step of the sum, and the guarded store.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Elements from one matrix to the next; 0 for an operand that all products use.
    a_matrix: u32,
    b_matrix: u32,
    // The sum is cut into `parts` parts of `length` terms; each part is written as a matrix.
    parts: u32,
    length: u32,
    // Tiles along the rows and along the columns of a matrix, per matrix, and in total.
    tiles_m: u32,
    tiles_n: u32,
    tiles: u32,
    all: u32,
}

@group(0) @binding(2) var<storage, read> bias: array<f32>; // if biased
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// True if the tiles cover rows or columns exactly, so that nothing is clamped or guarded.
const WHOLE_M = false;
const WHOLE_N = false;
// Rows of tiles whose workgroups run at the same time, so that their reads hit the GPU's cache.
const BAND = 8u;
// Counters of repeated lines.
const i0 = 0u;
const i1 = 1u;
const i2 = 2u;
const i3 = 3u;
const j0 = 0u;
const j1 = 1u;
const j2 = 2u;
const j3 = 3u;

// Row and column of a tile. Tiles are numbered down the rows of a band, then along its columns.
fn place(tile: u32) -> vec2<u32> {
    let first = tile / (BAND * params.tiles_n) * BAND;
    let height = min(params.tiles_m - first, BAND);
    let within = tile - first * params.tiles_n;
    return vec2(first + within % height, within / height);
}

// sum + Σ_t x[t]·b[t], in this order.
fn add(sum: vec4<f32>, x: vec4<f32>, b: mat4x4<f32>) -> vec4<f32> {
    return fma(vec4(x.w), b[3], fma(vec4(x.z), b[2], fma(vec4(x.y), b[1], fma(vec4(x.x), b[0], sum))));
}

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn finish(at: u32, column: u32, value: f32) {
    var result = value;
    result += bias[column]; // if biased
    store_y(at, result);
}

// Stores four neighbouring columns of a row, as far as they exist.
fn put(matrix: u32, row: u32, column: u32, value: vec4<f32>) {
    if !WHOLE_M && row >= params.m {
        return;
    }
    let at = (matrix * params.m + row) * params.n + column;
    if WHOLE_N || column < params.n {
        finish(at, column, value.x);
    }
    if WHOLE_N || column + 1u < params.n {
        finish(at + 1u, column + 1u, value.y);
    }
    if WHOLE_N || column + 2u < params.n {
        finish(at + 2u, column + 2u, value.z);
    }
    if WHOLE_N || column + 3u < params.n {
        finish(at + 3u, column + 3u, value.w);
    }
}
