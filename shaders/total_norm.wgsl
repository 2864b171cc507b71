// y = sqrt(Σ_t Σ_i x_t[i]²) over several tensors x_t in one buffer x
//
// The tensors are cut into blocks of at most 4,096 elements. `table` contains three numbers per block: the
// position of its first element in x, its number of elements, and its number in the order of summation. That order
// is the order of the tensors, and so is the same on every device.
//
// Entry points:
// - `partial`: one workgroup per block; each of its 64 threads adds every 64th square and stores its own sum,
//   without barriers.
// - `combine`: a tree; one workgroup adds the 64 sums of every block: each thread adds every 256th, then the
//   threads' sums are added pairwise.
//
// Equivalent: `torch.nn.utils.get_total_norm`.

struct Params {
    blocks: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

var<workgroup> pair: array<f32, 256>;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

@compute @workgroup_size(64)
fn partial(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = group.x + group.y * groups.x;
    if block >= params.blocks {
        return;
    }
    let first = table[block * 3u];
    let end = first + table[block * 3u + 1u];
    var sum = 0.0;
    for (var i = first + lane; i < end; i += 64u) {
        sum += x[i] * x[i];
    }
    sums[table[block * 3u + 2u] * 64u + lane] = sum;
}

@compute @workgroup_size(256)
fn combine(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < params.blocks * 64u; i += 256u) {
        sum += sums[i];
    }
    pair[lane] = sum;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            pair[lane] += pair[lane + half];
        }
    }
    if lane == 0u {
        store_y(0u, sqrt(pair[0]));
    }
}
