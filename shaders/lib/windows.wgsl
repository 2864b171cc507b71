// Windows of pooling: the elements of a window, and the windows that cover an element, along each axis.
//
// Each axis of an image (H × W elements) has OH or OW windows. A sliding window o begins at o·STRIDE − BEFORE,
// where BEFORE is the padding, and has KERNEL elements, which are DILATION apart. An adaptive window o contains
// the elements in the half-open range [⌊o·H/OH⌋, ⌈(o + 1)·H/OH⌉).
//
// Valid WGSL as it is. The Rust code of the pooling ops (ops/pool) sets the constants.

const H = 4i;
const OH = 2i;
const KERNEL_Y = 2i;
const STRIDE_Y = 2i;
const BEFORE_Y = 0i;
const DILATION_Y = 1i;
const ADAPTIVE_Y = 0i;
const W = 4i;
const OW = 2i;
const KERNEL_X = 2i;
const STRIDE_X = 2i;
const BEFORE_X = 0i;
const DILATION_X = 1i;
const ADAPTIVE_X = 0i;

// Returns, as a half-open range, the elements of a sliding window that are inside the axis. The axis has `length`
// elements; `begin` is o·stride − before.
fn sliding(begin: i32, kernel: i32, dilation: i32, length: i32) -> vec2<i32> {
    let skipped = (max(-begin, 0) + dilation - 1) / dilation * dilation;
    return vec2(begin + skipped, min(begin + (kernel - 1) * dilation + 1, length));
}

fn adaptive(o: i32, input: i32, output: i32) -> vec2<i32> {
    return vec2(o * input / output, ((o + 1) * input + output - 1) / output);
}

fn rows_of(oy: i32) -> vec2<i32> {
    if ADAPTIVE_Y == 1 {
        return adaptive(oy, H, OH);
    }
    return sliding(oy * STRIDE_Y - BEFORE_Y, KERNEL_Y, DILATION_Y, H);
}

fn columns_of(ox: i32) -> vec2<i32> {
    if ADAPTIVE_X == 1 {
        return adaptive(ox, W, OW);
    }
    return sliding(ox * STRIDE_X - BEFORE_X, KERNEL_X, DILATION_X, W);
}

// Returns, as a half-open range, the windows that may cover an element. i is the distance of the element from the
// beginning of window 0, `reach` the distance between the first and the last element of a window.
fn covering(i: i32, reach: i32, stride: i32, output: i32) -> vec2<i32> {
    return vec2((max(i - reach, 0) + stride - 1) / stride, min(i / stride + 1, output));
}

fn windows_of_row(iy: i32) -> vec2<i32> {
    if ADAPTIVE_Y == 1 {
        return adaptive(iy, OH, H);
    }
    return covering(iy + BEFORE_Y, (KERNEL_Y - 1) * DILATION_Y, STRIDE_Y, OH);
}

fn windows_of_column(ix: i32) -> vec2<i32> {
    if ADAPTIVE_X == 1 {
        return adaptive(ix, OW, W);
    }
    return covering(ix + BEFORE_X, (KERNEL_X - 1) * DILATION_X, STRIDE_X, OW);
}
