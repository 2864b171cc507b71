// y[n, o, oy, ox] = Σ_{c, ky, kx} w[o, c, ky, kx] · x[n, c, iy, ix] (+ bias[o]), where x is 0 outside its bounds
//
// For a convolution:                iy = oy·stride − before + ky·dilation
// For its gradient for the input:   iy = (oy + before − ky·dilation) / stride, where that is an integer
//
// `before` is the padding before the first row; ix has the same formula along x. Both formulas have the form iy =
// (oy·MUL + ky·STEP + OFFSET) / DIV, so this kernel computes both. For the gradient, each thread reads the
// elements that contribute to its outputs; there are no atomics, and no zeros are inserted between elements. A
// transposed convolution is computed like the gradient. Within each group x is [n, C, H, W] and y is [n, O, OH,
// OW]. In w, the elements for neighbouring channels of y are W_OUT apart, those for neighbouring channels of x
// W_IN apart.
//
// Entry point:
// - `forward`: direct; one thread per block of TO channels × TP neighbouring pixels of a row of y.
//
// A thread keeps its sums in registers, without workgroup memory. It loads each element of x under a row of the
// window once and uses it for all kernel positions (taps) along that row; neighbouring threads use the same
// weights. This variant is for software adapters, for few channels per group (depthwise), and for gradients of
// strided convolutions; conv_tiled.wgsl is for all else.
//
// Valid WGSL as it is. The generator (ops/conv/kernels.rs) sets the constants and unrolls the loops marked
// `unroll`.

struct Params {
    // Number of threads, and number of elements of y.
    threads: u32,
    size: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>; // if biased
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

const GROUPS = 1i;
const C = 1i;
const H = 5i;
const W = 5i;
const O = 1i;
const OH = 3i;
const OW = 3i;
const KH = 3i;
const KW = 3i;
const W_OUT = 9i;
const W_IN = 9i;
const MUL_Y = 1i;
const STEP_Y = 1i;
const OFFSET_Y = 0i;
const DIV_Y = 1i;
const MUL_X = 1i;
const STEP_X = 1i;
const OFFSET_X = 0i;
const DIV_X = 1i;
// A thread computes a block of TO channels × TP pixels. TILES_X: blocks per row of y. TILES_O: blocks that cover
// the channels of a group. PHASE_ROWS: number of rows of y whose oy has the same remainder after division by
// DIV_Y.
const TO = 4i;
const TP = 4i;
const TILES_X = 1i;
const TILES_O = 1i;
const PHASE_ROWS = 3i;
// The sum over channels is cut into PARTS parts of LENGTH channels. Each part is written as a tensor;
// sum_parts.wgsl adds these tensors.
const PARTS = 1i;
const LENGTH = 1i;
// TAPS: number of unrolled taps along x: all or, for a long kernel, one (then LONG is 1). The elements of x that
// the taps need are kept in an array of COLUMNS elements. The positions of these elements, before the division by
// DIV_X, begin at LOW and are GRAIN apart.
const TAPS = 3i;
const LONG = 0i;
const COLUMNS = 6i;
const GRAIN = 1i;
const LOW = 0i;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

// The element of a row of x at numerator / DIV_X; 0 if that is not an integer or outside the row. `rest` has the
// same remainder after division by DIV_X as `numerator`; it is passed because GLSL leaves the remainder of
// negative numbers undefined.
fn pixel(row: i32, inside: bool, numerator: i32, rest: i32) -> f32 {
    let column = numerator / DIV_X;
    let hit = inside && rest / DIV_X * DIV_X == rest && numerator >= 0 && column < W;
    return select(0.0, x[row + clamp(column, 0, W - 1)], hit);
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let thread = id.x + id.y * groups.x * 64u;
    if thread >= params.threads {
        return;
    }
    // The thread number counts blocks along a row first, then rows (grouped by oy modulo DIV_Y), blocks of
    // channels, groups, parts, and images.
    let rows = i32(thread) / TILES_X;
    let channels = rows / (PHASE_ROWS * DIV_Y);
    let matrices = channels / TILES_O;
    let left = i32(thread) % TILES_X * TP;
    let phased = rows % (PHASE_ROWS * DIV_Y);
    let oy = phased % PHASE_ROWS * DIV_Y + phased / PHASE_ROWS;
    let o_first = channels % TILES_O * TO;
    let group = matrices % GROUPS;
    let part = matrices / GROUPS % PARTS;
    let image = matrices / GROUPS / PARTS;
    if oy >= OH {
        return;
    }

    var w_at: array<i32, TO>;
    for (var i = 0; i < TO; i++) { // unroll
        w_at[i] = group * (O * C * KH * KW) + min(o_first + i, O - 1) * W_OUT;
    }
    var sum: array<f32, TO * TP>;
    let end = min(part * LENGTH + LENGTH, C);
    for (var c = part * LENGTH; c < end; c++) {
        let plane = ((image * GROUPS + group) * C + c) * (H * W);
        for (var ky = 0; ky < KH; ky++) { // unroll rows
            let numerator = oy * MUL_Y + ky * STEP_Y + OFFSET_Y;
            let iy = numerator / DIV_Y;
            if DIV_Y == 1 || numerator % DIV_Y == 0 {
                let inside = numerator >= 0 && iy < H;
                let row = plane + clamp(iy, 0, H - 1) * W;
                for (var kx = 0; kx < KW; kx += TAPS) {
                    let first = left * MUL_X + kx * STEP_X + LOW;
                    let rest = left * MUL_X * LONG + kx * STEP_X + LOW;
                    var columns: array<f32, COLUMNS>;
                    for (var j = 0; j < COLUMNS; j++) { // unroll
                        columns[j] = pixel(row, inside, first + j * GRAIN, rest + j * GRAIN);
                    }
                    for (var tap = 0; tap < TAPS; tap++) { // unroll
                        for (var i = 0; i < TO; i++) { // unroll
                            let weight = w[w_at[i] + c * W_IN + ky * KW + kx + tap];
                            for (var p = 0; p < TP; p++) { // unroll
                                if LONG == 1 || (p * MUL_X + tap * STEP_X + OFFSET_X) % DIV_X == 0 { // if sparse
                                    sum[i * TP + p] = fma(weight, columns[(p * MUL_X + tap * STEP_X + OFFSET_X - LOW) / GRAIN], sum[i * TP + p]);
                                } // if sparse
                            }
                        }
                    }
                }
            }
        }
    }
    for (var i = 0; i < TO; i++) { // unroll
        let o = group * O + o_first + i;
        if o_first + i < O {
            var more = 0.0;
            more = bias[o]; // if biased
            let at = u32(part) * params.size + u32(((image * GROUPS * O + o) * OH + oy) * OW + left);
            for (var p = 0; p < TP; p++) { // unroll
                if left + p < OW {
                    store_y(at + u32(p), sum[i * TP + p] + more);
                }
            }
        }
    }
}
