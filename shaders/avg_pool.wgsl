// forward:  y[n, o] = Σ_{i in window o} x[n, i] / divisor(o)
// backward: y[n, i] = Σ_{o: i in window o} x[n, o] / divisor(o), where x is the gradient of the means
//
// n counts the planes (batch times channels). Images x of `forward` have H × W elements; its results have OH × OW.
// The divisor is the constant DIVISOR unless that is 0; then it is the number of elements in the window, including
// those of the padding if PADDING_COUNTS is set.
//
// Entry points, both serial (a single thread computes each output):
// - `forward`: one thread per window.
// - `backward`: one thread per element of the image; it sums over the windows that cover the element, without
//   atomics.
//
// Equivalent: `torch.nn.functional.avg_pool2d`, `adaptive_avg_pool2d`. Needs lib/windows.wgsl. The Rust code of
// the op (ops/pool/avg.rs) sets the constants.

struct Params {
    threads: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

const PADDING_COUNTS = 1i;
const DIVISOR = 0i;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

// Returns the number of elements of a window, along one axis, that count in its mean. The window begins at
// `begin`; its elements inside the image are the half-open range [within.x, within.y).
fn counted(begin: i32, within: vec2<i32>, kernel: i32, before: i32, length: i32, adaptive: i32) -> i32 {
    let padded = min(begin + kernel, length + before) - begin;
    return select(within.y - within.x, padded, adaptive == 0 && PADDING_COUNTS == 1);
}

fn divisor(oy: i32, ox: i32) -> f32 {
    let height = counted(oy * STRIDE_Y - BEFORE_Y, rows_of(oy), KERNEL_Y, BEFORE_Y, H, ADAPTIVE_Y);
    let width = counted(ox * STRIDE_X - BEFORE_X, columns_of(ox), KERNEL_X, BEFORE_X, W, ADAPTIVE_X);
    return f32(select(DIVISOR, height * width, DIVISOR == 0));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at >= params.threads {
        return;
    }
    let oy = i32(at) / OW % OH;
    let ox = i32(at) % OW;
    let rows = rows_of(oy);
    let columns = columns_of(ox);
    let plane = i32(at) / (OW * OH) * (H * W);
    var sum = 0.0;
    for (var iy = rows.x; iy < rows.y; iy++) {
        for (var ix = columns.x; ix < columns.y; ix++) {
            sum += x[plane + iy * W + ix];
        }
    }
    store_y(at, sum / divisor(oy, ox));
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 64u;
    if at >= params.threads {
        return;
    }
    let ix = i32(at) % W;
    let iy = i32(at) / W % H;
    let plane = i32(at) / (W * H) * (OH * OW);
    let rows = windows_of_row(iy);
    let columns = windows_of_column(ix);
    var sum = 0.0;
    for (var oy = rows.x; oy < rows.y; oy++) {
        for (var ox = columns.x; ox < columns.y; ox++) {
            sum += x[plane + oy * OW + ox] / divisor(oy, ox);
        }
    }
    store_y(at, sum);
}
