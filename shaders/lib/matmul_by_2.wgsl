// Loads four neighbouring elements, two at once, of an operand whose contiguous axis has an even size.
//
// For positions beyond `last`, the pair of elements at `last` is repeated.

@group(0) @binding(0) var<storage, read> operand: array<vec2<f32>>;

fn operand4(at: u32, last: u32) -> vec4<f32> {
    return vec4(operand[at / 2u], operand[min(at + 2u, last) / 2u]);
}
