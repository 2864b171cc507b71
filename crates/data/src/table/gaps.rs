//! Missing cells of a column.

/// Set of the rows whose cell is missing, with one bit per row up to the last missing cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    bits: Vec<u64>,
    /// The number of missing cells.
    pub(crate) count: usize,
}

impl Gaps {
    /// Adds a row, which must not be in the set.
    pub(crate) fn add(&mut self, row: usize) {
        if self.bits.len() <= row / 64 {
            self.bits.resize(row / 64 + 1, 0);
        }
        self.bits[row / 64] |= 1 << (row % 64);
        self.count += 1;
    }

    /// Returns whether the cell of a row is missing.
    pub(crate) fn has(&self, row: usize) -> bool {
        self.bits.get(row / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }
}
