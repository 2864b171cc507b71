// dlogits[r, c] = dloss[r]·(p_c·t − w_c·t_c)          p_c = exp((x_c − m) − log(1 + s))
// dtarget[r, c] = −dloss[r]·(1 − ε)·w_c·log p_c        (for probabilities)
//
// Names, shapes and layout as in softmax_cross_entropy.wgsl, which left m, log(1 + s) and t = Σ_c w_c·t_c in `stats`.
// One thread per logit. Rows whose label is `ignore` get 0, rows whose label is no class NaN.

struct Params {
    elements: u32,
    classes: u32,
    inner: u32,
    smoothing: f32,
    weighted: u32,
    ignoring: u32,
    ignore: u32,
    nan: u32,
}

@group(0) @binding(0) var<storage, read> dloss: array<f32>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> stats: array<f32>;
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(6) var<storage, read_write> dtarget: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

override PROBABILITIES: bool = false;

fn class_weight(c: u32) -> f32 {
    if params.weighted == 0u {
        return 1.0;
    }
    return weight[c];
}

// Row and class of an element.
fn place(at: u32) -> vec2<u32> {
    let block = at / params.inner;
    return vec2(block / params.classes * params.inner + at % params.inner, block % params.classes);
}

fn log_probability(at: u32, row: u32) -> f32 {
    return (logits[at] - stats[row * 3u]) - stats[row * 3u + 1u];
}

@compute @workgroup_size(64)
fn to_logits(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at >= params.elements {
        return;
    }
    let row = place(at).x;
    let c = place(at).y;
    var label = 0u;
    var goal = 0.0;
    if PROBABILITIES {
        goal = bitcast<f32>(labels[at]);
    } else {
        label = labels[row];
        goal = select(0.0, 1.0, c == label);
    }
    let share = class_weight(c) * ((1.0 - params.smoothing) * goal + params.smoothing / f32(params.classes));
    var slope = dloss[row] * (exp(log_probability(at, row)) * stats[row * 3u + 2u] - share);
    if !PROBABILITIES {
        if label >= params.classes {
            slope = bitcast<f32>(params.nan);
        }
        if params.ignoring != 0u && label == params.ignore {
            slope = 0.0;
        }
    }
    dlogits[at] = slope;
}

@compute @workgroup_size(64)
fn to_target(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at >= params.elements {
        return;
    }
    let row = place(at).x;
    dtarget[at] = -dloss[row] * (1.0 - params.smoothing) * class_weight(place(at).y) * log_probability(at, row);
}
