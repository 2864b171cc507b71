// Loads four neighbouring elements, one at a time, of an operand of any size.
//
// For positions beyond `last`, the element at `last` is repeated.

@group(0) @binding(0) var<storage, read> operand: array<f32>;

fn operand4(at: u32, last: u32) -> vec4<f32> {
    return vec4(operand[at], operand[min(at + 1u, last)], operand[min(at + 2u, last)], operand[min(at + 3u, last)]);
}
