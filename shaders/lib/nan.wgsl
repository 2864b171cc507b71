// Test for NaN by its bits, because compilers may assume that there are no NaNs.

// Result of an index beyond an axis.
const NAN_BITS = 0x7fc00000u;

fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}
