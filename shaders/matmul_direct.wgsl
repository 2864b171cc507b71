// y[r, c] = Σ_k a[r, k]·b[k, c] (+ bias[c])
//
// y is m × n per matrix, the sum has k terms; lib/matmul.wgsl has the sizes.
//
// Entry point:
// - `forward`: direct; each thread sums TM × TN elements of y in registers, without workgroup memory and barriers.
//
// The variant for sums too short to be worth staging, and for software adapters. Those run the threads of a workgroup
// as lanes of vectors and load lane by lane, so the number of sums per load decides the speed. Four terms at a time are
// all added to one sum before the next sum, because the sums are on the stack there.
//
// Valid WGSL, with TM = TN = 4, after lib/matmul.wgsl and the operands of lib/matmul_operand.wgsl. The generator
// (ops/matmul/variants.rs) sets the constants and repeats each line that names i0 or j0, once per four rows and once
// per four columns of a thread: naga emits no unroll hints.

const TM = 4u;
const TN = 4u;
// A workgroup has SIDE_M × SIDE_N threads.
const SIDE_M = 8u;
const SIDE_N = 8u;

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
    let tile = place(index % params.tiles);
    let row = (tile.x * (TM / 4u) * SIDE_M + lane / SIDE_N) * 4u;
    let column = (tile.y * (TN / 4u) * SIDE_N + lane % SIDE_N) * 4u;
    let begin = matrix % params.parts * params.length;
    let end = min(begin + params.length, params.k);

    let row_i0 = row + i0 * SIDE_M * 4u;
    let column_j0 = column + j0 * SIDE_N * 4u;
    let a_at_i0 = a_lines(matrix / params.parts * params.a_matrix, row_i0);
    let b_at_j0 = b_lines(matrix / params.parts * params.b_matrix, column_j0);
    var sum_x_i0_j0 = vec4<f32>();
    var sum_y_i0_j0 = vec4<f32>();
    var sum_z_i0_j0 = vec4<f32>();
    var sum_w_i0_j0 = vec4<f32>();
    for (var k = begin; k < end; k += 4u) {
        let a_i0 = transpose(a_block(a_at_i0, k));
        let b_j0 = b_block(b_at_j0, k);
        sum_x_i0_j0 = add(sum_x_i0_j0, a_i0[0], b_j0);
        sum_y_i0_j0 = add(sum_y_i0_j0, a_i0[1], b_j0);
        sum_z_i0_j0 = add(sum_z_i0_j0, a_i0[2], b_j0);
        sum_w_i0_j0 = add(sum_w_i0_j0, a_i0[3], b_j0);
    }
    put(matrix, row_i0, column_j0, sum_x_i0_j0);
    put(matrix, row_i0 + 1u, column_j0, sum_y_i0_j0);
    put(matrix, row_i0 + 2u, column_j0, sum_z_i0_j0);
    put(matrix, row_i0 + 3u, column_j0, sum_w_i0_j0);
}
