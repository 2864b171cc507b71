// result[i, j] = Σ_k a[i, k]·b[k, j]: the matrix product by which the tiled convolutions are computed
//
// Entry point:
// - `forward`: tiled; one workgroup per tile of BM × BN results, 4 × 4 results per thread.
//
// The file that is appended to this one, conv_tiled.wgsl or conv_weight_tiled.wgsl, defines four functions:
// - `span(part)` returns the half-open range of k that a part of the sum covers.
// - `a4(at, i, k)` loads a[i, k] to a[i + 3, k], and `b4(at, k, j)` loads b[k, j] to b[k, j + 3]. Both return 0
//   for k ≥ at.end, the end of the part, and any finite value beyond the last i or j.
// - `put(at, i, j, value)` stores four results of row i, from column j on.
//
// Slabs of BK terms are copied to workgroup memory as vec4s, with k as the slowest index; one extra vec4 per k
// places neighbouring k in different memory banks.
//
// Source: "How to optimize a CUDA matmul kernel" (siboehm.com, 2022).

struct At {
    group: i32,
    part: i32,
    end: i32,
}

const BM = 64i;
const BN = 64i;
const BK = 16i;
const THREADS = BM * BN / 16;
const PITCH_A = BM / 4 + 1;
const PITCH_B = BN / 4 + 1;
const GROUPS = 1i;
const PARTS = 1i;
const TILES_I = 1i;

var<workgroup> tile_a: array<vec4<f32>, BK * PITCH_A>;
var<workgroup> tile_b: array<vec4<f32>, BK * PITCH_B>;

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let index = workgroup.x + workgroup.y * workgroups.x;
    if index >= params.all {
        return;
    }
    let lane = i32(invocation);
    let matrices = i32(index) / TILES_I;
    let part = matrices / GROUPS % PARTS;
    let reach = span(part);
    let at = At(matrices % GROUPS, part, reach.y);
    let i_first = i32(index) % TILES_I * BM;
    let j_first = matrices / GROUPS / PARTS * BN;
    let tx = lane % (BN / 4);
    let ty = lane / (BN / 4);
    var sum_x = vec4<f32>();
    var sum_y = vec4<f32>();
    var sum_z = vec4<f32>();
    var sum_w = vec4<f32>();
    for (var slab = reach.x; slab < reach.y; slab += BK) {
        workgroupBarrier();
        for (var s = lane; s < BK * BM / 4; s += THREADS) {
            tile_a[s % BK * PITCH_A + s / BK] = a4(at, i_first + s / BK * 4, slab + s % BK);
        }
        for (var s = lane; s < BK * BN / 4; s += THREADS) {
            let k = select(s / (BN / 4), s % BK, B_ALONG_K);
            let j = select(s % (BN / 4), s / BK, B_ALONG_K);
            tile_b[k * PITCH_B + j] = b4(at, slab + k, j_first + j * 4);
        }
        workgroupBarrier();
        for (var k = 0; k < BK; k++) { // unroll
            let a = tile_a[k * PITCH_A + ty];
            let b = tile_b[k * PITCH_B + tx];
            sum_x = fma(vec4(a.x), b, sum_x);
            sum_y = fma(vec4(a.y), b, sum_y);
            sum_z = fma(vec4(a.z), b, sum_z);
            sum_w = fma(vec4(a.w), b, sum_w);
        }
    }
    let i = i_first + ty * 4;
    let j = j_first + tx * 4;
    put(at, i, j, sum_x);
    put(at, i + 1, j, sum_y);
    put(at, i + 2, j, sum_z);
    put(at, i + 3, j, sum_w);
}
