//! Distinct texts of a column, each stored once.

use std::hash::{BuildHasher, RandomState};

/// Distinct texts, numbered in the order of their first occurrence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels {
    /// All texts, joined without separators.
    text: String,
    /// End of each text in the joined text.
    ends: Vec<usize>,
}

impl Levels {
    /// Returns the number of texts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the text with this number.
    pub(crate) fn get(&self, number: usize) -> &str {
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.text[start..self.ends[number]]
    }

    /// Iterates over the texts in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number))
    }
}

/// Content of a free slot in the hash table.
const FREE: u32 = u32::MAX;

/// Hash table that assigns a number to each distinct text. Besides the texts it stores only numbers, so a column
/// of a million names takes little more memory than the names.
#[derive(Debug)]
pub(crate) struct Interner {
    levels: Levels,
    /// Slots of the hash table, which uses open addressing with linear probing. Their number is a power of two,
    /// and at most half of them are used.
    slots: Vec<u32>,
    state: RandomState,
}

impl Interner {
    pub(crate) fn new() -> Self {
        Self { levels: Levels::default(), slots: vec![FREE; 16], state: RandomState::new() }
    }

    /// Returns the number of a text; a new text gets the next number. There are no more texts than rows, so 32
    /// bits suffice.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        let mut slot = self.slot(text);
        let (levels, mask) = (&self.levels, self.slots.len() - 1);
        while self.slots[slot] != FREE {
            if levels.get(self.slots[slot] as usize) == text {
                return self.slots[slot];
            }
            slot = (slot + 1) & mask;
        }
        let number = u32::try_from(self.levels.len()).unwrap_or(FREE - 1);
        self.slots[slot] = number;
        self.levels.text.push_str(text);
        self.levels.ends.push(self.levels.text.len());
        if self.levels.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    /// Returns the slot at which the search for a text starts.
    fn slot(&self, text: &str) -> usize {
        self.state.hash_one(text) as usize & (self.slots.len() - 1)
    }

    /// Doubles the number of slots.
    fn grow(&mut self) {
        self.slots = vec![FREE; self.slots.len() * 2];
        let mask = self.slots.len() - 1;
        for (level, number) in (0..self.levels.len()).zip(0..) {
            let mut slot = self.slot(self.levels.get(level));
            while self.slots[slot] != FREE {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number;
        }
    }

    /// Returns the distinct texts.
    pub(crate) fn finish(mut self) -> Levels {
        self.levels.text.shrink_to_fit();
        self.levels.ends.shrink_to_fit();
        self.levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_one_number() {
        let mut interner = Interner::new();
        for round in 0..3 {
            for i in 0..5000 {
                assert_eq!(interner.number(&format!("name {i}")), i, "round {round}");
            }
        }
        assert_eq!(interner.number(""), 5000);
        let levels = interner.finish();
        assert_eq!(
            (levels.len(), levels.get(0), levels.get(4999), levels.get(5000)),
            (5001, "name 0", "name 4999", "")
        );
        assert_eq!(levels.iter().nth(17), Some("name 17"));
    }
}
