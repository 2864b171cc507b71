// y[m, i] = Σ_p partial[m, p, i] (+ bias[c])
//
// The last dispatch of a sum that was computed in parts: adds the results of the parts. partial is [matrices,
// parts, size], y is [matrices, size] with `elements` elements in total. Element `at` of y gets the bias of
// channel c = at / plane mod channels: each channel has `plane` neighbouring elements.
//
// Entry points, both serial: one thread per element of y, which adds the parts in order.
// - `forward`: without bias.
// - `forward_biased`: with bias.

struct Params {
    elements: u32,
    size: u32,
    parts: u32,
    plane: u32,
    channels: u32,
}

@group(0) @binding(0) var<storage, read> partial: array<f32>;
@group(0) @binding(1) var<storage, read> bias: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn total(at: u32) -> f32 {
    let first = at / params.size * params.parts * params.size + at % params.size;
    var sum = 0.0;
    for (var p = 0u; p < params.parts; p++) {
        sum += partial[first + p * params.size];
    }
    return sum;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at < params.elements {
        store_y(at, total(at));
    }
}

@compute @workgroup_size(64)
fn forward_biased(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at < params.elements {
        store_y(at, total(at) + bias[at / params.plane % params.channels]);
    }
}
