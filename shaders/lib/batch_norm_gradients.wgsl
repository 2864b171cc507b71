// Further operands, and the store functions, of batch_norm_backward.wgsl and batch_norm_backward_serial.wgsl.

@group(0) @binding(5) var<storage, read> mean: array<f32>;
@group(0) @binding(6) var<storage, read> variance: array<f32>;
@group(0) @binding(7) var<storage, read_write> dx: array<f32>;
@group(0) @binding(8) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(9) var<storage, read_write> dbias: array<f32>;

fn store_dx(at: u32, value: f32) {
    dx[at] = value;
}

fn store_dweight(at: u32, value: f32) {
    dweight[at] = value;
}

fn store_dbias(at: u32, value: f32) {
    dbias[at] = value;
}

// Stores an element of dx.
fn store_value(at: u32, value: f32) {
    store_dx(at, value);
}

// Stores dweight and dbias of a channel.
fn store_channel(c: u32, dw: f32, db: f32) {
    store_dweight(c, dw);
    store_dbias(c, db);
}
