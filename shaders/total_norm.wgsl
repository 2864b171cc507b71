// y = sqrt(Σ_t Σ_i x_t[i]²) over several tensors that lie in one buffer, in two dispatches.
//
// `table` says for each block of 4,096 elements at most where it begins in x, how many elements it has, and its number
// among all blocks. `partial`: a workgroup per block, each thread adding every 64th square, without barriers; 64 sums
// per block. `combine`: one workgroup adds those, each thread every 256th, then pairwise; the order is that of the
// tensors, whatever the device.

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
