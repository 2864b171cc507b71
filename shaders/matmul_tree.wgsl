// y[r, c] = Σ_k a[r, k]·b[k, c] (+ bias[c])
//
// y is m × n per matrix of the batch; the sum has k terms. matmul.wgsl in lib/ declares these sizes.
//
// Entry point:
// - `forward`: a tree; one workgroup per 4 × 4 block of y, whose threads share the terms of the sums.
//
// This variant is for few elements with long sums: matrix-vector products, other products with few rows or
// columns, and gradients of small weights. A thread adds every 64th group of four terms; then the threads' sums
// are added pairwise, as a tree, in workgroup memory and in a fixed order.
//
// Valid WGSL when appended to matmul.wgsl and the files for operands in lib/.

const THREADS = 64u;

var<workgroup> sums: array<mat4x4<f32>, THREADS>;

@compute @workgroup_size(64)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    // Surplus workgroups repeat the last block and store nothing, because barriers must be in uniform control
    // flow.
    let index = group.x + group.y * groups.x;
    let matrix = min(index, params.all - 1u) / params.tiles;
    let tile = place(min(index, params.all - 1u) % params.tiles);
    let row = tile.x * 4u;
    let column = tile.y * 4u;
    let begin = matrix % params.parts * params.length;
    let end = min(begin + params.length, params.k);
    let a_at = a_lines(matrix / params.parts * params.a_matrix, row);
    let b_at = b_lines(matrix / params.parts * params.b_matrix, column);
    var sum_x = vec4<f32>();
    var sum_y = vec4<f32>();
    var sum_z = vec4<f32>();
    var sum_w = vec4<f32>();
    for (var k = begin + lane * 4u; k < end; k += THREADS * 4u) {
        let a_rows = transpose(a_block(a_at, k));
        let b_terms = b_block(b_at, k);
        sum_x = add(sum_x, a_rows[0], b_terms);
        sum_y = add(sum_y, a_rows[1], b_terms);
        sum_z = add(sum_z, a_rows[2], b_terms);
        sum_w = add(sum_w, a_rows[3], b_terms);
    }
    sums[lane] = mat4x4(sum_x, sum_y, sum_z, sum_w);
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    workgroupBarrier();
    if lane < 4u && index < params.all {
        put(matrix, row + lane, column, sums[0][lane]);
    }
}
