// y[r, c] = Σ_k a[r, k]·b[k, c] (+ bias[c])
//
// y is m × n per matrix of the batch; the sum has k terms. matmul.wgsl in lib/ declares these sizes.
//
// Entry point:
// - `forward`: tiled; one workgroup per BM × BN tile of y, TM × TN elements per thread.
//
// Slabs of BK terms of a and b are copied to workgroup memory as vec4s of four neighbouring lines (rows of a,
// columns of b), with k as the slowest index. A step of the sum reads one vec4 of a and one of b and adds their
// products to 4 × 4 elements of y. A thread copies at most one 4 × 4 block of a and one of b, and loads its blocks
// of the next slab while it adds the current slab. The index of a vec4 is permuted with an exclusive or that
// depends on k, so that threads which copy neighbouring terms write to different memory banks.
//
// Source: "How to optimize a CUDA matmul kernel" (siboehm.com, 2022).
//
// Valid WGSL, with TM = TN = 4, when appended to matmul.wgsl and the files for operands in lib/. The generator
// (ops/matmul/variants.rs) sets the constants. It repeats each line that names i0 once per four rows of a thread,
// and each line that names j0 once per four columns, and unrolls the loop marked `unroll`: naga emits no unroll
// hints. Kernels with f16 operands or cooperative matrices would be further templates like this one, with
// their own variants in the generator.

const BM = 64u;
const BN = 64u;
const BK = 16u;
const TM = 4u;
const TN = 4u;
const THREADS = (BM / TM) * (BN / TN);
// For a and b: number of 4 × 4 blocks in a slab, and number of vec4s per term.
const BLOCKS_A = BM * BK / 16u;
const BLOCKS_B = BN * BK / 16u;
const PITCH_A = BM / 4u;
const PITCH_B = BN / 4u;

var<workgroup> tile_a: array<vec4<f32>, BK * PITCH_A>;
var<workgroup> tile_b: array<vec4<f32>, BK * PITCH_B>;

// The place, among the vec4s of term k of the slab, at which the vec4 number g is stored: the one with rows 4·g to
// 4·g + 3 of a, or these columns of b.
fn moved(g: u32, k: u32) -> u32 {
    return g ^ (k / 4u * 2u % 8u);
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
    let tile = place(index % params.tiles);
    let row = tile.x * BM;
    let column = tile.y * BN;
    let begin = matrix % params.parts * params.length;
    let end = min(begin + params.length, params.k);
    // The blocks that this thread copies to workgroup memory: the first threads copy a, the last ones b.
    // Neighbouring threads read neighbouring memory.
    let s_a = lane;
    let s_b = THREADS - 1u - lane;
    let stages_a = s_a < BLOCKS_A;
    let stages_b = s_b < BLOCKS_B;
    let k_a = select(s_a / PITCH_A, s_a % (BK / 4u), A_ALONG_K) * 4u;
    let k_b = select(s_b / PITCH_B, s_b % (BK / 4u), B_ALONG_K) * 4u;
    let g_a = select(s_a % PITCH_A, s_a / (BK / 4u), A_ALONG_K);
    let g_b = select(s_b % PITCH_B, s_b / (BK / 4u), B_ALONG_K);
    let a_at = a_lines(matrix / params.parts * params.a_matrix, row + g_a * 4u);
    let b_at = b_lines(matrix / params.parts * params.b_matrix, column + g_b * 4u);
    // This thread's elements of y are in the groups of four rows ty, ty + BM / TM, … and of four columns tx, tx +
    // BN / TN, ….
    let tx = lane % (BN / TN);
    let ty = lane / (BN / TN);

    var sum_x_i0_j0 = vec4<f32>();
    var sum_y_i0_j0 = vec4<f32>();
    var sum_z_i0_j0 = vec4<f32>();
    var sum_w_i0_j0 = vec4<f32>();
    var next_a = mat4x4<f32>();
    var next_b = mat4x4<f32>();
    if stages_a && begin + k_a < end {
        next_a = a_block(a_at, begin + k_a);
    }
    if stages_b && begin + k_b < end {
        next_b = b_block(b_at, begin + k_b);
    }
    for (var slab = begin; slab < end; slab += BK) {
        workgroupBarrier();
        if stages_a {
            let at = k_a * PITCH_A + moved(g_a, k_a);
            tile_a[at] = next_a[0];
            tile_a[at + PITCH_A] = next_a[1];
            tile_a[at + 2u * PITCH_A] = next_a[2];
            tile_a[at + 3u * PITCH_A] = next_a[3];
        }
        if stages_b {
            let at = k_b * PITCH_B + moved(g_b, k_b);
            tile_b[at] = next_b[0];
            tile_b[at + PITCH_B] = next_b[1];
            tile_b[at + 2u * PITCH_B] = next_b[2];
            tile_b[at + 3u * PITCH_B] = next_b[3];
        }
        workgroupBarrier();
        next_a = mat4x4<f32>();
        next_b = mat4x4<f32>();
        if stages_a && slab + BK + k_a < end {
            next_a = a_block(a_at, slab + BK + k_a);
        }
        if stages_b && slab + BK + k_b < end {
            next_b = b_block(b_at, slab + BK + k_b);
        }
        for (var k = 0u; k < BK; k++) { // unroll
            let a_i0 = tile_a[k * PITCH_A + moved(ty + i0 * (BM / TM), k)];
            let b_j0 = tile_b[k * PITCH_B + moved(tx + j0 * (BN / TN), k)];
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
