// y[r, c] = Σ_k a[r, k]·b[k, c] (+ bias[c]), each thread summing TM × TN elements of y in registers.
//
// Without workgroup memory and barriers: the variant for software adapters, which run a workgroup as a loop, and for
// small products. Rows and columns beyond the edge are computed from the last ones and not stored. Needs
// lib/matmul.wgsl.
//
// Valid as it stands, with TM = TN = 4. The generator (ops/matmul.rs) sets the constants and writes a line that names
// i0 or j0 once per four rows and four columns of a thread: naga emits no unroll hints.

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;

const TM = 4u;
const TN = 4u;
// Threads of a workgroup stand 8 × 8.
const SIDE = 8u;

@compute @workgroup_size(64)
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
    let row = tile / params.tiles_n * SIDE * TM + lane / SIDE * 4u;
    let column = tile % params.tiles_n * SIDE * TN + lane % SIDE * 4u;
    let begin = matrix % params.parts * params.length;
    let end = min(begin + params.length, params.k);

    let a_first = matrix / params.parts * params.a_matrix;
    let b_first = matrix / params.parts * params.b_matrix;
    let row_end = params.m - 1u;
    let column_end = params.n - 1u;
    let row_i0 = row + i0 * SIDE * 4u;
    let column_j0 = column + j0 * SIDE * 4u;
    let a_x_i0 = a_first + min(row_i0, row_end) * params.a_row;
    let a_y_i0 = a_first + min(row_i0 + 1u, row_end) * params.a_row;
    let a_z_i0 = a_first + min(row_i0 + 2u, row_end) * params.a_row;
    let a_w_i0 = a_first + min(row_i0 + 3u, row_end) * params.a_row;
    let b_x_j0 = b_first + min(column_j0, column_end) * params.b_column;
    let b_y_j0 = b_first + min(column_j0 + 1u, column_end) * params.b_column;
    let b_z_j0 = b_first + min(column_j0 + 2u, column_end) * params.b_column;
    let b_w_j0 = b_first + min(column_j0 + 3u, column_end) * params.b_column;
    var sum_x_i0_j0 = vec4<f32>();
    var sum_y_i0_j0 = vec4<f32>();
    var sum_z_i0_j0 = vec4<f32>();
    var sum_w_i0_j0 = vec4<f32>();
    for (var k = begin; k < end; k++) {
        let a_k = k * params.a_column;
        let b_k = k * params.b_row;
        let b_j0 = vec4(b[b_x_j0 + b_k], b[b_y_j0 + b_k], b[b_z_j0 + b_k], b[b_w_j0 + b_k]);
        let x_i0 = vec4(a[a_x_i0 + a_k]);
        let y_i0 = vec4(a[a_y_i0 + a_k]);
        let z_i0 = vec4(a[a_z_i0 + a_k]);
        let w_i0 = vec4(a[a_w_i0 + a_k]);
        sum_x_i0_j0 = fma(x_i0, b_j0, sum_x_i0_j0);
        sum_y_i0_j0 = fma(y_i0, b_j0, sum_y_i0_j0);
        sum_z_i0_j0 = fma(z_i0, b_j0, sum_z_i0_j0);
        sum_w_i0_j0 = fma(w_i0, b_j0, sum_w_i0_j0);
    }
    put(matrix, row_i0, column_j0, sum_x_i0_j0);
    put(matrix, row_i0 + 1u, column_j0, sum_y_i0_j0);
    put(matrix, row_i0 + 2u, column_j0, sum_z_i0_j0);
    put(matrix, row_i0 + 3u, column_j0, sum_w_i0_j0);
}
