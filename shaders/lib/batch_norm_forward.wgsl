// Further operands and the store functions of batch_norm.wgsl and batch_norm_serial.wgsl.

@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> mean: array<f32>;
@group(0) @binding(7) var<storage, read_write> variance: array<f32>;

fn store_y(at: u32, value: f32) {
    y[at] = value;
}

fn store_mean(at: u32, value: f32) {
    mean[at] = value;
}

fn store_variance(at: u32, value: f32) {
    variance[at] = value;
}

// Stores an element of y.
fn store_value(at: u32, value: f32) {
    store_y(at, value);
}

// Stores mean and variance of a channel. `m` is the mean, `spread` the variance.
fn store_channel(c: u32, m: f32, spread: f32) {
    store_mean(c, m);
    store_variance(c, spread);
}
