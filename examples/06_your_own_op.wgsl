// y[r, c] = x[r, c] / √(Σ_j x[r, j]² + eps): scales each row to length 1. x and y are [rows, columns]. Each thread
// computes one row.

struct Params {
    rows: u32,
    columns: u32,
    eps: f32,
}

// Rust reads bindings, the uniform's layout and the workgroup size from this file, so nothing is declared twice.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    // If there are too many workgroups for axis x, the others continue along axis y, so the position is computed
    // from both axes.
    let row = id.x + id.y * groups.x * 64u;
    if row >= params.rows {
        return;
    }
    let start = row * params.columns;
    let end = start + params.columns;
    var sum = params.eps;
    for (var at = start; at < end; at++) {
        sum += x[at] * x[at];
    }
    let scale = inverseSqrt(sum);
    for (var at = start; at < end; at++) {
        y[at] = x[at] * scale;
    }
}
