// y[r, c] = Σ_k a[r, k]·b[k, c] (+ bias[c]): matmul_direct.wgsl with vec4 loads, four terms of the sum at a time.
//
// For sizes of which k, and whatever else is contiguous in memory, are multiples of four. A block of four rows and four
// k is four vec4s, whichever way it lies; it is transposed in registers where needed. Needs lib/matmul.wgsl.
//
// Valid as it stands, with TM = TN = 4, for operands that are not transposed. The generator (ops/matmul.rs) sets the
// constants, writes a line that names i0 or j0 once per four rows and four columns of a thread, and writes out the loop
// marked `unroll`: naga emits no unroll hints.

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;

// Whether a and b are contiguous along k.
const A_ALONG_K = true;
const B_ALONG_K = false;
const TM = 4u;
const TN = 4u;
// Threads of a workgroup stand 8 × 8.
const SIDE = 8u;

// Rows row … row + 3 of a: column t of the result holds them at k + t.
fn a_block(first: u32, row: u32, k: u32) -> mat4x4<f32> {
    if A_ALONG_K {
        let last = params.m - 1u;
        let at = first + k;
        return transpose(mat4x4(
            a[(at + min(row, last) * params.a_row) / 4u],
            a[(at + min(row + 1u, last) * params.a_row) / 4u],
            a[(at + min(row + 2u, last) * params.a_row) / 4u],
            a[(at + min(row + 3u, last) * params.a_row) / 4u],
        ));
    }
    let at = (first + min(row, params.m - 4u) + k * params.a_column) / 4u;
    let step = params.a_column / 4u;
    return mat4x4(a[at], a[at + step], a[at + 2u * step], a[at + 3u * step]);
}

// Columns column … column + 3 of b: column t of the result holds them at k + t.
fn b_block(first: u32, k: u32, column: u32) -> mat4x4<f32> {
    if B_ALONG_K {
        let last = params.n - 1u;
        let at = first + k;
        return transpose(mat4x4(
            b[(at + min(column, last) * params.b_column) / 4u],
            b[(at + min(column + 1u, last) * params.b_column) / 4u],
            b[(at + min(column + 2u, last) * params.b_column) / 4u],
            b[(at + min(column + 3u, last) * params.b_column) / 4u],
        ));
    }
    let at = (first + min(column, params.n - 4u) + k * params.b_row) / 4u;
    let step = params.b_row / 4u;
    return mat4x4(b[at], b[at + step], b[at + 2u * step], b[at + 3u * step]);
}

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
    let row_i0 = row + i0 * SIDE * 4u;
    let column_j0 = column + j0 * SIDE * 4u;
    var sum_x_i0_j0 = vec4<f32>();
    var sum_y_i0_j0 = vec4<f32>();
    var sum_z_i0_j0 = vec4<f32>();
    var sum_w_i0_j0 = vec4<f32>();
    for (var k = begin; k < end; k += 4u) {
        var a_i0 = a_block(a_first, row_i0, k);
        var b_j0 = b_block(b_first, k, column_j0);
        for (var t = 0u; t < 4u; t++) { // unroll
            sum_x_i0_j0 = fma(vec4(a_i0[t].x), b_j0[t], sum_x_i0_j0);
            sum_y_i0_j0 = fma(vec4(a_i0[t].y), b_j0[t], sum_y_i0_j0);
            sum_z_i0_j0 = fma(vec4(a_i0[t].z), b_j0[t], sum_z_i0_j0);
            sum_w_i0_j0 = fma(vec4(a_i0[t].w), b_j0[t], sum_w_i0_j0);
        }
    }
    put(matrix, row_i0, column_j0, sum_x_i0_j0);
    put(matrix, row_i0 + 1u, column_j0, sum_y_i0_j0);
    put(matrix, row_i0 + 2u, column_j0, sum_z_i0_j0);
    put(matrix, row_i0 + 3u, column_j0, sum_w_i0_j0);
}
