// y[r, c] = Σ_k a[r, k]·b[k, c] (+ bias[c]), a workgroup per BM × BN tile of y, each thread TM × TN of its elements.
//
// Slabs of BK columns of a and rows of b are staged in workgroup memory, both as vec4s along the edge of the tile
// with k outermost, so that one step of the sum reads a vec4 of each and adds a 4 × 4 block. Staging runs along
// whichever axis is contiguous in memory, so transposes cost nothing. One vec4 of padding per k keeps neighbouring k
// on different banks. Beyond the edges the last row, column and k are read; k beyond the end counts as 0, rows and
// columns are not stored. Needs lib/matmul.wgsl.
//
// After "How to optimize a CUDA matmul kernel" (siboehm.com, 2022). Valid as it stands, with TM = TN = 4. The
// generator (ops/matmul.rs) sets the constants, writes a line that names i0 or j0 once per four rows and four columns
// of a thread, and writes out the loop marked `unroll`: naga emits no unroll hints.

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;

const BM = 64u;
const BN = 64u;
const BK = 16u;
const TM = 4u;
const TN = 4u;
const THREADS = (BM / TM) * (BN / TN);
const PITCH_A = BM / 4u + 1u;
const PITCH_B = BN / 4u + 1u;

var<workgroup> tile_a: array<vec4<f32>, BK * PITCH_A>;
var<workgroup> tile_b: array<vec4<f32>, BK * PITCH_B>;

// Four neighbouring rows of one column of a, from an element of which row and column are given.
fn a4(first: u32, row: u32, k: u32, end: u32) -> vec4<f32> {
    let last = params.m - 1u;
    let at = first + min(k, end - 1u) * params.a_column;
    let value = vec4(
        a[at + min(row, last) * params.a_row],
        a[at + min(row + 1u, last) * params.a_row],
        a[at + min(row + 2u, last) * params.a_row],
        a[at + min(row + 3u, last) * params.a_row],
    );
    return select(vec4<f32>(), value, k < end);
}

// Four neighbouring columns of one row of b.
fn b4(first: u32, k: u32, column: u32, end: u32) -> vec4<f32> {
    let last = params.n - 1u;
    let at = first + min(k, end - 1u) * params.b_row;
    let value = vec4(
        b[at + min(column, last) * params.b_column],
        b[at + min(column + 1u, last) * params.b_column],
        b[at + min(column + 2u, last) * params.b_column],
        b[at + min(column + 3u, last) * params.b_column],
    );
    return select(vec4<f32>(), value, k < end);
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    if index >= params.all {
        return;
    }
    let matrix = index / params.tiles;
    let tile = index % params.tiles;
    let row = tile / params.tiles_n * BM;
    let column = tile % params.tiles_n * BN;
    let begin = matrix % params.parts * params.length;
    let end = min(begin + params.length, params.k);
    let a_first = matrix / params.parts * params.a_matrix;
    let b_first = matrix / params.parts * params.b_matrix;
    // Where this thread's elements stand: vec4s ty, ty + BM / TM, … of the rows, tx, tx + BN / TN, … of the columns.
    let tx = lane % (BN / TN);
    let ty = lane / (BN / TN);

    var sum_x_i0_j0 = vec4<f32>();
    var sum_y_i0_j0 = vec4<f32>();
    var sum_z_i0_j0 = vec4<f32>();
    var sum_w_i0_j0 = vec4<f32>();
    for (var slab = begin; slab < end; slab += BK) {
        workgroupBarrier();
        for (var s = lane; s < BK * BM / 4u; s += THREADS) {
            let along_k = params.a_column == 1u;
            let k = select(s / (BM / 4u), s % BK, along_k);
            let r = select(s % (BM / 4u), s / BK, along_k);
            tile_a[k * PITCH_A + r] = a4(a_first, row + r * 4u, slab + k, end);
        }
        for (var s = lane; s < BK * BN / 4u; s += THREADS) {
            let along_k = params.b_row == 1u && params.b_column != 1u;
            let k = select(s / (BN / 4u), s % BK, along_k);
            let c = select(s % (BN / 4u), s / BK, along_k);
            tile_b[k * PITCH_B + c] = b4(b_first, slab + k, column + c * 4u, end);
        }
        workgroupBarrier();
        for (var k = 0u; k < BK; k++) { // unroll
            let a_i0 = tile_a[k * PITCH_A + ty + i0 * (BM / TM)];
            let b_j0 = tile_b[k * PITCH_B + tx + j0 * (BN / TN)];
            sum_x_i0_j0 = fma(vec4(a_i0.x), b_j0, sum_x_i0_j0);
            sum_y_i0_j0 = fma(vec4(a_i0.y), b_j0, sum_y_i0_j0);
            sum_z_i0_j0 = fma(vec4(a_i0.z), b_j0, sum_z_i0_j0);
            sum_w_i0_j0 = fma(vec4(a_i0.w), b_j0, sum_w_i0_j0);
        }
    }
    let row_i0 = row + (ty + i0 * (BM / TM)) * 4u;
    let column_j0 = column + (tx + j0 * (BN / TN)) * 4u;
    put(matrix, row_i0, column_j0, sum_x_i0_j0);
    put(matrix, row_i0 + 1u, column_j0, sum_y_i0_j0);
    put(matrix, row_i0 + 2u, column_j0, sum_z_i0_j0);
    put(matrix, row_i0 + 3u, column_j0, sum_w_i0_j0);
}
