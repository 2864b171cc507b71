// What all matmul kernels share: sizes, the result, and the guarded store.

struct Params {
    m: u32,
    n: u32,
    k: u32,
    // Elements from one row, column and matrix to the next, so that transposes and broadcasting are strides.
    a_row: u32,
    a_column: u32,
    a_matrix: u32,
    b_row: u32,
    b_column: u32,
    b_matrix: u32,
    // The sum is cut into `parts` parts of `length`, each written as a matrix of its own.
    parts: u32,
    length: u32,
    // Tiles per row of tiles, per matrix, and in all.
    tiles_n: u32,
    tiles: u32,
    all: u32,
}

@group(0) @binding(2) var<storage, read> bias: array<f32>; // if biased
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

// The numbers that repeated lines are counted with.
const i0 = 0u;
const i1 = 1u;
const j0 = 0u;
const j1 = 1u;

fn finish(value: f32, column: u32) -> f32 {
    var result = value;
    result += bias[column]; // if biased
    return result;
}

// Stores four neighbouring columns of a row, as far as they exist.
fn put(matrix: u32, row: u32, column: u32, value: vec4<f32>) {
    if row >= params.m {
        return;
    }
    let at = (matrix * params.m + row) * params.n + column;
    if column < params.n {
        y[at] = finish(value.x, column);
    }
    if column + 1u < params.n {
        y[at + 1u] = finish(value.y, column + 1u);
    }
    if column + 2u < params.n {
        y[at + 2u] = finish(value.z, column + 2u);
    }
    if column + 3u < params.n {
        y[at + 3u] = finish(value.w, column + 3u);
    }
}
