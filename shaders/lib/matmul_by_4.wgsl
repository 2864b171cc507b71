// Loads four neighbouring elements at once, of an operand whose contiguous axis has a multiple of four elements.

@group(0) @binding(0) var<storage, read> operand: array<vec4<f32>>;

fn operand4(at: u32, last: u32) -> vec4<f32> {
    return operand[at / 4u];
}
