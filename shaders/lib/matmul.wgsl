// Declarations common to all matmul kernels: sizes, order of tiles, a step of the sum, the bounds-checked store.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Number of elements from one matrix of the batch to the next; 0 for an operand that all products of the batch
    // share.
    a_matrix: u32,
    b_matrix: u32,
    // The sum over k is cut into `parts` parts of `length` terms; the result of each part is written as a separate
    // matrix.
    parts: u32,
    length: u32,
    // Number of rows of tiles, of columns of tiles, and of tiles per matrix, and number of tiles of all matrices.
    tiles_m: u32,
    tiles_n: u32,
    tiles: u32,
    all: u32,
}

@group(0) @binding(2) var<storage, read> bias: array<f32>; // if biased
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// True if the tiles cover all rows (M) or columns (N) exactly, so that indices need no clamping and stores need
// no check.
const WHOLE_M = false;
const WHOLE_N = false;
// Number of tile rows that form a band. The workgroups of a band run at about the same time and read the same
// data, which is then in the GPU's cache.
const BAND = 8u;
// Indices for lines that the generator repeats: in the copies, i0 is replaced by i1 to i3, and j0 by j1 to j3.
const i0 = 0u;
const i1 = 1u;
const i2 = 2u;
const i3 = 3u;
const j0 = 0u;
const j1 = 1u;
const j2 = 2u;
const j3 = 3u;

// Row and column of a tile. Tiles are numbered down the rows of a band first, then along its columns.
fn place(tile: u32) -> vec2<u32> {
    let first = tile / (BAND * params.tiles_n) * BAND;
    let height = min(params.tiles_m - first, BAND);
    let within = tile - first * params.tiles_n;
    return vec2(first + within % height, within / height);
}

// sum + Σ_t x[t]·b[t], added in the order of t.
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

// Stores four neighbouring elements of a row; those beyond the edge of the matrix are skipped.
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
