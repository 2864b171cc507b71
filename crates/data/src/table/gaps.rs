//! Which cells of a column are missing.

/// The rows that lack a value: a bit for each row up to the last gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    bits: Vec<u64>,
    pub(crate) count: usize,
}

impl Gaps {
    pub(crate) fn add(&mut self, row: usize) {
        if self.bits.len() <= row / 64 {
            self.bits.resize(row / 64 + 1, 0);
        }
        self.bits[row / 64] |= 1 << (row % 64);
        self.count += 1;
    }

    pub(crate) fn has(&self, row: usize) -> bool {
        self.bits.get(row / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }
}
