// mean[c] = Σ x / n,   var[c] = Σ (x − mean)² / n,   y = (x − mean) / sqrt(var + eps) · weight[c] + bias[c]
//
// x and y are [rows, channels, inner]; the sums run over the n = rows·inner values of a channel. One workgroup serves
// WIDTH channels, each with 256 / WIDTH threads: with inner = 1 neighbouring threads read neighbouring channels
// (WIDTH 32), else neighbouring values of one channel (WIDTH 1). Each thread sums every 256 / WIDTH-th value, the threads
// of a channel combine pairwise in a fixed order. The variance is a second pass around the mean of the first, and that
// mean's own rounding error is taken out of both (Chan, Golub, LeVeque 1983, the corrected two-pass algorithm).
// `forward` scales and shifts, `forward_plain` does not.

struct Params {
    channels: u32,
    inner: u32,
    count: u32,
    eps: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> variance: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

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
    let sum = partial[lane % WIDTH];
    workgroupBarrier();
    return sum;
}

// The position of value i of channel c.
fn place(c: u32, i: u32) -> u32 {
    return (i / params.inner * params.channels + c) * params.inner + i % params.inner;
}

// Mean and variance of channel c.
fn statistics(c: u32, lane: u32) -> vec2<f32> {
    let n = f32(params.count);
    let start = lane / WIDTH;
    let step = GROUP / WIDTH;
    var sum = vec2<f32>();
    for (var i = start; i < params.count; i += step) {
        sum.x += x[place(c, i)];
    }
    let rough = combine(lane, sum).x / n;
    sum = vec2<f32>();
    for (var i = start; i < params.count; i += step) {
        let d = x[place(c, i)] - rough;
        sum += vec2(d, d * d);
    }
    let moments = combine(lane, sum) / n;
    return vec2(rough + moments.x, max(moments.y - moments.x * moments.x, 0.0));
}

fn apply(c: u32, lane: u32, stats: vec2<f32>, gain: f32, shift: f32) {
    if lane < WIDTH {
        mean[c] = stats.x;
        variance[c] = stats.y;
    }
    let scale = inverseSqrt(stats.y + params.eps) * gain;
    for (var i = lane / WIDTH; i < params.count; i += GROUP / WIDTH) {
        let at = place(c, i);
        y[at] = (x[at] - stats.x) * scale + shift;
    }
}

@compute @workgroup_size(256)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = (group.x + group.y * groups.x) * WIDTH + lane % WIDTH;
    let c = min(channel, params.channels - 1u);
    let stats = statistics(c, lane);
    if channel < params.channels {
        apply(c, lane, stats, weight[c], bias[c]);
    }
}

@compute @workgroup_size(256)
fn forward_plain(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = (group.x + group.y * groups.x) * WIDTH + lane % WIDTH;
    let c = min(channel, params.channels - 1u);
    let stats = statistics(c, lane);
    if channel < params.channels {
        apply(c, lane, stats, 1.0, 0.0);
    }
}
