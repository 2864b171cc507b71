// Loads 4 × 4 blocks of an operand of a matrix product.
//
// A block consists of four neighbouring lines (rows of a, or columns of b) with four neighbouring terms k each.
//
// In memory the neighbours of an element are either the next terms of its line, or the same term of the next
// lines. In both cases a block takes four loads of four neighbouring elements, and the block is transposed in
// registers at no cost; so a transposed operand needs no copy. Beyond the edge of the matrix, the last lines and
// terms are loaded again; terms beyond the last one count as 0.
//
// Valid WGSL after lib/matmul.wgsl and one lib/matmul_by_*.wgsl. The generator (ops/matmul/variants.rs) writes
// this file once for a and once for b, and sets the constants.

// True if neighbours in memory are terms of the same line.
const OPERAND_ALONG_K = true;
// Number of elements per load: every line (or every term, across lines) starts at a multiple of this number.
const OPERAND_WIDTH = 4u;
// True if the number of terms is not a multiple of four, so that the last block is incomplete.
const OPERAND_RAGGED = false;

fn operand_edge() -> u32 {
    return params.m;
}

// The positions from which four lines are loaded, in a matrix that begins at `first`. If OPERAND_ALONG_K is set,
// these are the starts of the four lines. Otherwise they are the position of the first line at term 0, and the
// last position at which a load stays within the matrix.
fn operand_lines(first: u32, line: u32) -> vec4<u32> {
    let edge = operand_edge();
    if OPERAND_ALONG_K {
        let lines = vec4(line, line + 1u, line + 2u, line + 3u);
        return first + select(min(lines, vec4(edge - 1u)), lines, vec4(WHOLE_M)) * params.k;
    }
    let last = edge - OPERAND_WIDTH;
    return first + vec4(select(min(line, last), line, WHOLE_M), last, 0u, 0u);
}

// Four neighbouring terms of a line.
fn operand_terms(at: u32, k: u32) -> vec4<f32> {
    let value = operand4(at + k, at + params.k - OPERAND_WIDTH);
    return select(value, select(vec4<f32>(), value, vec4(k, k + 1u, k + 2u, k + 3u) < vec4(params.k)), OPERAND_RAGGED);
}

// Four neighbouring lines at one term.
fn operand_across(at: vec4<u32>, k: u32) -> vec4<f32> {
    let edge = operand_edge();
    if OPERAND_RAGGED {
        let skip = min(k, params.k - 1u) * edge;
        return select(vec4<f32>(), operand4(at.x + skip, at.y + skip), k < params.k);
    }
    return operand4(at.x + k * edge, at.y + k * edge);
}

// Terms k to k + 3 of four lines: column t of the result contains term k + t.
fn operand_block(at: vec4<u32>, k: u32) -> mat4x4<f32> {
    if OPERAND_ALONG_K {
        return transpose(mat4x4(
            operand_terms(at.x, k),
            operand_terms(at.y, k),
            operand_terms(at.z, k),
            operand_terms(at.w, k),
        ));
    }
    return mat4x4(
        operand_across(at, k),
        operand_across(at, k + 1u),
        operand_across(at, k + 2u),
        operand_across(at, k + 3u),
    );
}
