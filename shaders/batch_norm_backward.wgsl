// db[c] = Σ dy,   dw[c] = Σ dy·x̂,   dx = weight[c]·r·(dy − (db + x̂·dw) / n)
// with r = 1 / sqrt(var + eps) and x̂ = (x − mean)·r.
//
// Shapes, threads and the order of sums as in batch_norm.wgsl. dw and db are the rows of one [2, channels] output.
// `backward` is for a scaled norm, `backward_plain` for one without weight and bias.

struct Params {
    channels: u32,
    inner: u32,
    count: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> dweights: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

override WIDTH: u32 = 32u;
const GROUP = 256u;
var<workgroup> partial: array<vec2<f32>, GROUP>;

// Sums the values of the threads that serve the same channel.
fn combine(lane: u32, value: vec2<f32>) -> vec2<f32> {
    partial[lane] = value;
    for (var half = GROUP / 2u; half >= WIDTH; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            partial[lane] += partial[lane + half];
        }
    }
    workgroupBarrier();
    return partial[lane % WIDTH];
}

// The position of value i of channel c.
fn place(c: u32, i: u32) -> u32 {
    return (i / params.inner * params.channels + c) * params.inner + i % params.inner;
}

// Σ dy·x̂ and Σ dy of channel c.
fn sums(c: u32, lane: u32) -> vec2<f32> {
    let r = inverseSqrt(variance[c] + params.eps);
    let m = mean[c];
    var sum = vec2<f32>();
    for (var i = lane / WIDTH; i < params.count; i += GROUP / WIDTH) {
        let at = place(c, i);
        sum += vec2(dy[at] * ((x[at] - m) * r), dy[at]);
    }
    return combine(lane, sum);
}

fn apply(c: u32, lane: u32, total: vec2<f32>, gain: f32) {
    let r = inverseSqrt(variance[c] + params.eps);
    let m = mean[c];
    if lane < WIDTH {
        dweights[c] = total.x;
        dweights[params.channels + c] = total.y;
    }
    let share = total / f32(params.count);
    for (var i = lane / WIDTH; i < params.count; i += GROUP / WIDTH) {
        let at = place(c, i);
        dx[at] = gain * r * (dy[at] - (share.y + (x[at] - m) * r * share.x));
    }
}

@compute @workgroup_size(256)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = (group.x + group.y * groups.x) * WIDTH + lane % WIDTH;
    let c = min(channel, params.channels - 1u);
    let total = sums(c, lane);
    if channel < params.channels {
        apply(c, lane, total, weight[c]);
    }
}

@compute @workgroup_size(256)
fn backward_plain(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = (group.x + group.y * groups.x) * WIDTH + lane % WIDTH;
    let c = min(channel, params.channels - 1u);
    let total = sums(c, lane);
    if channel < params.channels {
        apply(c, lane, total, 1.0);
    }
}
