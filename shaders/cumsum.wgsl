// y[i, j, k] = Σ_{l ≤ j} x[i, l, k], or Σ_{l ≥ j} if `reverse` is 1.
//
// x and y are [outer, n, inner]; one thread walks one line (i, ·, k).

struct Params {
    lines: u32,
    n: u32,
    inner: u32,
    reverse: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const GROUP = 64u;

fn load_x(at: u32) -> f32 {
    return x[at];
}

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let line = id.x + id.y * groups.x * GROUP;
    if line >= params.lines {
        return;
    }
    let first = line / params.inner * params.n * params.inner + line % params.inner;
    var sum = 0.0;
    for (var step = 0u; step < params.n; step++) {
        let j = select(step, params.n - 1u - step, params.reverse == 1u);
        sum += load_x(first + j * params.inner);
        store_y(first + j * params.inner, sum);
    }
}
