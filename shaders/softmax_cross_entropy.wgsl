// loss[r] = −Σ_c w_c·t_c·log p_c = t·log(1 + s) − Σ_c w_c·t_c·(x_c − m),   log p_c = (x_c − m) − log(1 + s)
// with m = max_c x_c, s the sum of exp(x_c − m) over all c except the one of the maximum, and t = Σ_c w_c·t_c.
// row_weight[r] = w of the label (1 for probabilities),   dlogits[r, c] = p_c·t − w_c·t_c, the gradient of loss[r]
//
// The logits x are [n, classes, inner]; a row is the logits with the same n and i, which are `inner` apart. The
// class weights w are [classes] or, if `weighted` is 0, all 1. The targets are smoothed: t_c = (1 − ε)·target_c +
// ε/classes. target is the one-hot vector of labels[r]; if PROBABILITIES is set, it consists of floats in the
// shape of x, bound as `labels` and read as bits. Rows whose label is `ignore` have a loss of 0; a label that is
// not a class gives the row a loss of NaN (`nan` contains the bits of NaN).
//
// Entry points:
// - `serial`: one thread per row; computes the losses.
// - `serial_with_gradient`: one thread per row; computes the losses and dlogits.
// - `tree`: one workgroup per row of at least 64 classes, each thread with every 64th class; computes the losses.
// - `tree_with_gradient`: like `tree`, but also computes dlogits.
//
// Equivalent: `torch.nn.CrossEntropyLoss`. Needs lib/special.wgsl and lib/tree.wgsl.

struct Params {
    rows: u32,
    classes: u32,
    inner: u32,
    smoothing: f32,
    weighted: u32,
    ignoring: u32,
    ignore: u32,
    nan: u32,
}

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> row_weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dlogits: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

override PROBABILITIES: bool = false;

fn store_loss(at: u32, value: f32) {
    loss[at] = value;
}

fn store_row_weight(at: u32, value: f32) {
    row_weight[at] = value;
}

fn store_dlogits(at: u32, value: f32) {
    dlogits[at] = value;
}

fn label_of(row: u32) -> u32 {
    if PROBABILITIES {
        return 0u;
    }
    return labels[row];
}

fn class_weight(c: u32) -> f32 {
    if params.weighted == 0u {
        return 1.0;
    }
    return weight[c];
}

// w_c·t_c of class c, whose logit is at position `at`.
fn share(at: u32, c: u32, label: u32) -> f32 {
    var goal = select(0.0, 1.0, c == label);
    if PROBABILITIES {
        goal = bitcast<f32>(labels[at]);
    }
    return class_weight(c) * ((1.0 - params.smoothing) * goal + params.smoothing / f32(params.classes));
}

// The position in x of class 0 of a row.
fn first(row: u32) -> u32 {
    return row / params.inner * params.classes * params.inner + row % params.inner;
}

// The largest logit of the classes start, start + step, …, and its class.
fn largest(base: u32, start: u32, step: u32) -> TreeMax {
    var best = TreeMax(logits[base + start * params.inner], start);
    for (var c = start + step; c < params.classes; c += step) {
        let value = logits[base + c * params.inner];
        best.place = select(best.place, c, value > best.value);
        best.value = max(best.value, value);
    }
    return best;
}

// s, Σ w_c·t_c·(x_c − m) and Σ w_c·t_c over the classes start, start + step, ….
fn sums(base: u32, start: u32, step: u32, best: TreeMax, label: u32) -> vec3<f32> {
    var total = vec3<f32>();
    for (var c = start; c < params.classes; c += step) {
        let at = base + c * params.inner;
        let value = logits[at] - best.value;
        let part = share(at, c, label);
        total += vec3(select(exp(value), 0.0, c == best.place), part * value, part);
    }
    return total;
}

// Stores loss and weight of a row. Returns t: 0 for an ignored row, NaN for a label that is not a class.
fn finish(row: u32, label: u32, total: vec3<f32>, writes: bool) -> f32 {
    var cost = total.z * special_log1p(total.x) - total.y;
    var mass = total.z;
    var own = 1.0;
    if !PROBABILITIES {
        own = class_weight(min(label, params.classes - 1u));
        if label >= params.classes {
            own = bitcast<f32>(params.nan);
            cost = own;
            mass = own;
        }
        if is_ignored(label) {
            own = 0.0;
            cost = 0.0;
            mass = 0.0;
        }
    }
    if writes {
        store_loss(row, cost);
        store_row_weight(row, own);
    }
    return mass;
}

fn is_ignored(label: u32) -> bool {
    return !PROBABILITIES && params.ignoring != 0u && label == params.ignore;
}

// Stores dlogits for the classes start, start + step, ….
fn slopes(base: u32, start: u32, step: u32, best: TreeMax, s: f32, mass: f32, label: u32) {
    let scale = mass / (1.0 + s);
    for (var c = start; c < params.classes; c += step) {
        let at = base + c * params.inner;
        let slope = exp(logits[at] - best.value) * scale - share(at, c, label);
        store_dlogits(at, select(slope, 0.0, is_ignored(label)));
    }
}

@compute @workgroup_size(64)
fn serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.x + id.y * groups.x * 64u;
    if row >= params.rows {
        return;
    }
    let label = label_of(row);
    let base = first(row);
    let best = largest(base, 0u, 1u);
    _ = finish(row, label, sums(base, 0u, 1u, best, label), true);
}

@compute @workgroup_size(64)
fn serial_with_gradient(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.x + id.y * groups.x * 64u;
    if row >= params.rows {
        return;
    }
    let label = label_of(row);
    let base = first(row);
    let best = largest(base, 0u, 1u);
    let total = sums(base, 0u, 1u, best, label);
    slopes(base, 0u, 1u, best, total.x, finish(row, label, total, true), label);
}

@compute @workgroup_size(64)
fn tree(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let row = min(index, params.rows - 1u);
    let label = label_of(row);
    let base = first(row);
    let best = tree_max(lane, largest(base, lane, TREE));
    let own = sums(base, lane, TREE, best, label);
    let total = vec3(tree_sum(lane, own.x), tree_sum(lane, own.y), tree_sum(lane, own.z));
    _ = finish(row, label, total, lane == 0u && index < params.rows);
}

@compute @workgroup_size(64)
fn tree_with_gradient(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let row = min(index, params.rows - 1u);
    let label = label_of(row);
    let base = first(row);
    let best = tree_max(lane, largest(base, lane, TREE));
    let own = sums(base, lane, TREE, best, label);
    let total = vec3(tree_sum(lane, own.x), tree_sum(lane, own.y), tree_sum(lane, own.z));
    let mass = finish(row, label, total, lane == 0u && index < params.rows);
    if index < params.rows {
        slopes(base, lane, TREE, best, total.x, mass, label);
    }
}
