//! Builders of columns, which determine the type of a column while its cells are added.

use wgrad_core::Result;

use crate::cell::number::{is_missing, number, plain};
use crate::cell::text;
use crate::table::{BLOCK, Blocks, Cells, Column, Gaps, Interner, MISSING, Overflow};

/// Builder of a column in the first pass over the file.
pub(super) struct Builder {
    state: State,
    gaps: Gaps,
    overflow: Option<Overflow>,
    /// The blocks on disk to which the numbers are written; `None` if they stay in memory.
    place: Option<Blocks>,
}

/// Type of the column so far.
enum State {
    /// Only numbers and missing cells so far. The `values` are all cells of a column in memory, or the cells of
    /// the current block of a column on disk.
    Numbers {
        values: Vec<f64>,
        /// True if any cell is not missing.
        any: bool,
    },
    /// Text cells.
    Text(Words),
    /// Text after numbers, so the file must be read a second time.
    Reread,
}

/// Texts of a column; each distinct text is stored once.
struct Words {
    interner: Interner,
    codes: Vec<u32>,
}

impl Words {
    fn new(missing: usize) -> Self {
        Self { interner: Interner::new(), codes: vec![MISSING; missing] }
    }

    fn push(&mut self, row: usize, word: Option<&str>, gaps: &mut Gaps) {
        let code = word.map(|word| self.interner.number(word));
        if code.is_none() {
            gaps.add(row);
        }
        self.codes.push(code.unwrap_or(MISSING));
    }

    fn finish(mut self) -> Cells {
        self.codes.shrink_to_fit();
        Cells::Text { codes: self.codes, levels: self.interner.finish() }
    }
}

impl Builder {
    /// Creates a builder for an empty column; its numbers are written to `place` if there is one.
    pub(super) fn new(place: Option<Blocks>) -> Self {
        let capacity = if place.is_some() { BLOCK } else { 0 };
        let state = State::Numbers { values: Vec::with_capacity(capacity), any: false };
        Self { state, gaps: Gaps::default(), overflow: None, place }
    }

    /// Creates a builder for an empty column that is known to be text.
    #[cfg(feature = "arrow")]
    pub(super) fn of_text() -> Self {
        Self { state: State::Text(Words::new(0)), gaps: Gaps::default(), overflow: None, place: None }
    }

    /// Adds a cell of a CSV file.
    #[inline]
    pub(super) fn push(&mut self, row: usize, cell: &[u8]) {
        if let State::Numbers { values, any } = &mut self.state
            && let Some(value) = plain(cell)
        {
            *any = true;
            values.push(value);
            return;
        }
        self.push_other(row, text(cell));
    }

    /// Adds a cell that is not a plain decimal, or any cell if the column contains text.
    fn push_other(&mut self, row: usize, cell: &str) {
        match &mut self.state {
            State::Numbers { any, .. } => match number(cell) {
                Some(value) => self.push_number(row, value),
                None if *any => self.state = State::Reread,
                None => {
                    let mut words = Words::new(row);
                    words.push(row, Some(cell), &mut self.gaps);
                    self.state = State::Text(words);
                }
            },
            State::Text(words) => words.push(row, present(cell), &mut self.gaps),
            State::Reread => {}
        }
    }

    /// Adds a number to a column of numbers; NaN stands for a missing cell.
    pub(super) fn push_number(&mut self, row: usize, value: f64) {
        let State::Numbers { values, any } = &mut self.state else { return };
        if value.is_nan() {
            self.gaps.add(row);
        } else {
            *any = true;
        }
        if self.overflow.is_none() && value.abs() > f64::from(f32::MAX) {
            self.overflow = Some(Overflow { row, value });
        }
        values.push(value);
    }

    /// Adds a text to a text column, after removing surrounding blanks; an empty text is a missing cell.
    #[cfg(feature = "arrow")]
    pub(super) fn push_word(&mut self, row: usize, word: Option<&str>) {
        if let State::Text(words) = &mut self.state {
            words.push(row, word.map(str::trim).filter(|word| !word.is_empty()), &mut self.gaps);
        }
    }

    /// Returns whether the numbers are stored on disk.
    #[cfg(feature = "arrow")]
    pub(super) fn is_on_disk(&self) -> bool {
        self.place.is_some()
    }

    /// Ends a block of rows; its numbers are written to disk if the column is stored there.
    pub(super) fn flush(&mut self, block: usize) -> Result<()> {
        if let (State::Numbers { values, .. }, Some(place)) = (&mut self.state, &self.place) {
            place.scratch.write(place.offset(block), values)?;
            values.clear();
        }
        Ok(())
    }

    /// Returns a builder for the second pass if the column needs one.
    pub(super) fn reread(&self) -> Option<TextBuilder> {
        matches!(self.state, State::Reread).then(|| TextBuilder { words: Words::new(0), gaps: Gaps::default() })
    }

    /// Converts the builder to a finished column.
    pub(super) fn finish(self, rows: usize) -> Column {
        let cells = match (self.state, self.place) {
            (State::Numbers { .. }, Some(place)) => Cells::Blocks(place),
            (State::Numbers { mut values, .. }, None) => {
                values.shrink_to_fit();
                Cells::Numbers(values)
            }
            (State::Text(words), _) => words.finish(),
            (State::Reread, _) => Words::new(rows).finish(),
        };
        Column::new(cells, rows, self.gaps, self.overflow)
    }
}

/// Returns the text of a CSV cell; `None` if the text marks a missing value.
fn present(cell: &str) -> Option<&str> {
    (!is_missing(cell)).then_some(cell)
}

/// Builder of a text column in the second pass over the file.
pub(super) struct TextBuilder {
    words: Words,
    gaps: Gaps,
}

impl TextBuilder {
    pub(super) fn push(&mut self, row: usize, cell: &[u8]) {
        self.words.push(row, present(text(cell)), &mut self.gaps);
    }

    pub(super) fn finish(self, rows: usize) -> Column {
        Column::new(self.words.finish(), rows, self.gaps, None)
    }
}
