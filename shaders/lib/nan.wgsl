// NaN by its bits: comparisons may be assumed to see none.

// What an index beyond an axis reads.
const NAN_BITS = 0x7fc00000u;

fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}
