// y[r, c] = Σ_k a[r, k]·b[k, c] (+ bias[c])
//
// y is m × n per matrix of the batch; the sum has k terms. matmul.wgsl in lib/ declares these sizes.
//
// Entry point:
// - `forward`: direct; each thread sums TM × TN elements of y in registers, without workgroup memory and barriers.
//
// This variant is for sums too short to be worth copying operands to workgroup memory, and for software adapters.
// These run the threads of a workgroup as the lanes of vector instructions and load the data of one lane after the
// other, so speed depends on the number of additions per load. Four terms are added to a sum before the next sum
// is processed, because software adapters keep the sums on the stack, not in registers.
//
// Valid WGSL, with TM = TN = 4, when appended to matmul.wgsl and the files for operands in lib/. The generator
// (ops/matmul/variants.rs) sets the constants. It repeats each line that names i0 once per four rows of a thread,
// and each line that names j0 once per four columns, because naga emits no unroll hints.

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
