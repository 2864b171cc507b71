// y[i] = Σ_p partial[p, i] (+ bias[channel of i]): the parts of a convolution's sum, added in order.
//
// y has `size` elements, planes of `plane` of them in `channels` channels.

struct Params {
    size: u32,
    parts: u32,
    plane: u32,
    channels: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>; // if biased
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at >= params.size {
        return;
    }
    var sum = 0.0;
    for (var p = 0u; p < params.parts; p++) {
        sum += partial[p * params.size + at];
    }
    sum += bias[at / params.plane % params.channels]; // if biased
    store_y(at, sum);
}
