// forward:  y[n, o] = max_{i in window o} x[n, i], and index[n, o] = the i of this maximum; of equal elements
//           the first i, of several NaNs the last
// backward: dx[n, i] = Σ_{o: places[n, o] = i} dy[n, o], over the windows that may cover i; dx is bound as y
// take:     y[n, o] = x[n, places[n, o]], the gradient of `backward`
//
// n counts the planes (batch times channels). Each plane of x has H × W elements, each plane of y OH × OW; i and o
// are positions in a plane. `places` is the index that `forward` wrote.
//
// Entry points, all serial (a single thread computes each output):
// - `forward`: one thread per window.
// - `backward`: one thread per element of dx; it sums over the windows that may cover the element, without
//   atomics.
// - `take`: one thread per window.
//
// Equivalent: `torch.nn.functional.max_pool2d`, `adaptive_max_pool2d`. Needs lib/nan.wgsl and lib/windows.wgsl.
// The Rust code of the op (ops/pool/max.rs) sets the constants.

struct Params {
    threads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> index: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn thread(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * 64u;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = thread(id, groups);
    if at >= params.threads {
        return;
    }
    let ox = i32(at) % OW;
    let oy = i32(at) / OW % OH;
    let plane = i32(at) / (OW * OH) * (H * W);
    let rows = rows_of(oy);
    let columns = columns_of(ox);
    var place = rows.x * W + columns.x;
    var best = x[plane + place];
    for (var iy = rows.x; iy < rows.y; iy += DILATION_Y) {
        for (var ix = columns.x; ix < columns.y; ix += DILATION_X) {
            let value = x[plane + iy * W + ix];
            if is_nan(value) || (value > best && !is_nan(best)) {
                best = value;
                place = iy * W + ix;
            }
        }
    }
    store_y(at, best);
    index[at] = u32(place);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = thread(id, groups);
    if at >= params.threads {
        return;
    }
    let ix = i32(at) % W;
    let iy = i32(at) / W % H;
    let plane = i32(at) / (W * H) * (OH * OW);
    let rows = windows_of_row(iy);
    let columns = windows_of_column(ix);
    let here = u32(iy * W + ix);
    var sum = 0.0;
    for (var oy = rows.x; oy < rows.y; oy++) {
        for (var ox = columns.x; ox < columns.y; ox++) {
            let o = plane + oy * OW + ox;
            if places[o] == here {
                sum += dy[o];
            }
        }
    }
    store_y(at, sum);
}

@compute @workgroup_size(64)
fn take(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = thread(id, groups);
    if at >= params.threads {
        return;
    }
    store_y(at, x[at / u32(OH * OW) * u32(H * W) + places[at]]);
}
