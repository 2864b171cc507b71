//! A file column by column: numbers or text.

use std::collections::HashSet;
use std::path::Path;

use wgrad_core::{Error, Result};

use super::{Column, Labelled, read};
use wgrad_core::text::{did_you_mean, list};

/// A CSV file, column by column; with the feature `arrow`, a Parquet file or one of Arrow's own (Feather) as well.
///
/// In CSV the first line names the columns. A column holds numbers if every cell that is not missing reads as one, else text:
/// true and false, dates, or categories ([`Kind`](super::Kind)). Blanks around a cell are not part of it. UTF-8 with or
/// without byte order mark, `\n` and `\r\n`, and quoted fields are understood.
///
/// The columns of the other files have types: whole and decimal numbers and floats are numbers; texts, truth values, dates and
/// times are text, also as a dictionary. A null is a missing cell, and so are NaN and the empty text. Columns of other types
/// (lists, structs, bytes) are refused by name.
///
/// ```
/// use wgrad_data::{Column, Table};
/// let table = Table::parse("people.csv", b"age,city\r\n31,\"Paris, TX\"\r\n,Lyon\r\n")?;
/// assert_eq!((table.rows(), table.names()), (2, &["age".to_string(), "city".to_string()][..]));
/// assert_eq!(table.column("age").map(Column::missing), Some(1));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) file: String,
    pub(super) names: Vec<String>,
    pub(super) columns: Vec<Column>,
    pub(super) places: Places,
    /// Whether numbers are on disk.
    pub(super) spilled: bool,
}

impl Table {
    /// Reads a file of rows: CSV, and with the feature `arrow` Parquet and Arrow, told apart by their first bytes.
    ///
    /// # Errors
    /// As [`Table::read_csv`]; when the file is damaged, has a column of a type that is no number, text or time, or needs
    /// the feature `arrow`.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        read::open(path.as_ref(), false, false)
    }

    /// As [`Table::read`], with numbers and the rows of datasets in temporary files: see [`Table::scan_csv`].
    ///
    /// # Errors
    /// As [`Table::read`], and when a temporary file cannot be written.
    pub fn scan(path: impl AsRef<Path>) -> Result<Self> {
        read::open(path.as_ref(), true, false)
    }

    /// Reads a CSV file.
    ///
    /// # Errors
    /// When the file cannot be read, is not UTF-8, is empty or has a header only; when a column has no name or two have
    /// the same; when a row has more or fewer fields than the header.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self> {
        read::open(path.as_ref(), false, true)
    }

    /// Reads a CSV file that is too large for memory: numbers go into a temporary file, and so do the rows of every
    /// [`Dataset`](super::Dataset) made of it, from where a trainer reads them batch by batch. The results are the same
    /// bits as with [`Table::read_csv`].
    ///
    /// What stays in memory is some 20 bytes per row for labels and orders, and 4 bytes per cell of text. The temporary
    /// files take 8 bytes per number and 4 per feature of a row; they are in the folder that `TMPDIR` names, which should
    /// not be one that is in memory, and are gone when the table and its datasets are dropped, or the process ends.
    ///
    /// ```
    /// use wgrad_data::{Seed, Table};
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("tumours.csv");
    /// # std::fs::write(&path, "a,y\n1,0\n2,0\n3,1\n4,1\n").unwrap();
    /// let (train, test) = Table::scan_csv(&path)?.target("y")?.split(0.5, Seed(7))?;
    /// assert!(train.is_on_disk() && train.rows() == 2);
    /// assert_eq!(train.gather(&[0])?, [Table::read_csv(&path)?.target("y")?.split(0.5, Seed(7))?.0.x()[0]]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Table::read_csv`], and when the temporary file cannot be written.
    pub fn scan_csv(path: impl AsRef<Path>) -> Result<Self> {
        read::open(path.as_ref(), true, true)
    }

    /// Reads CSV text that is in memory already, as in a browser; `file` is what messages call it.
    ///
    /// # Errors
    /// As [`Table::read_csv`].
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        read::parse(file, bytes)
    }

    /// The file, as messages call it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The number of rows, without the header.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// The names of the columns, in the order of the file.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.position(name).map(|at| &self.columns[at])
    }

    /// The line of a CSV file on which a row starts, counted from 1; the header is line 1 unless blank lines precede it.
    /// None in a file that has no lines.
    #[must_use]
    pub fn line(&self, row: usize) -> Option<u64> {
        match &self.places {
            Places::Lines(lines) => lines.get(row),
            Places::Rows(_) => None,
        }
    }

    /// Names the column to predict; every other column is a feature.
    ///
    /// # Errors
    /// When there is no such column: the message lists those that there are.
    pub fn target(self, name: &str) -> Result<Labelled> {
        self.require(name)?;
        Ok(Labelled::new(self, name))
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// The position of a column that must be there.
    pub(super) fn require(&self, name: &str) -> Result<usize> {
        self.position(name).ok_or_else(|| {
            let numbers = self.names.iter().filter(|name| name.parse::<f64>().is_ok()).count();
            let header = if numbers * 2 > self.names.len() {
                " The first line must hold the names of the columns; this one seems to be data."
            } else {
                ""
            };
            self.error(format!(
                "there is no column `{name}`.{} The columns are {}.{header}",
                did_you_mean(name, &self.names),
                list(&self.names)
            ))
        })
    }

    /// An error about this file.
    pub(super) fn error(&self, message: impl AsRef<str>) -> Error {
        Error::Data(format!("{}: {}", self.file, message.as_ref()))
    }

    /// The place of a cell: file, line and column.
    pub(super) fn place(&self, row: usize, column: &str) -> String {
        format!("{}, {}, column `{column}`", self.file, self.spot(row))
    }

    /// Where a row is: `line 7`, or `row 6` (counted from 1) in a file without lines.
    pub(super) fn spot(&self, row: usize) -> String {
        self.line(row).map_or_else(|| format!("row {}", row + 1), |line| format!("line {line}"))
    }
}

/// The names of columns, each of them once.
pub(super) fn named<'n>(file: &str, names: impl IntoIterator<Item = &'n str>) -> Result<Vec<String>> {
    let mut known: Vec<String> = vec![];
    let mut twice: Vec<&str> = vec![];
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() {
            return Err(Error::Data(format!(
                "{file}: column {} has no name. Name it in the first line or remove it \
                 (pandas writes the index so: save with `index=False`).",
                known.len() + 1
            )));
        }
        if !seen.insert(name) && !twice.contains(&name) {
            twice.push(name);
        }
        known.push(name.to_string());
    }
    if twice.is_empty() {
        return Ok(known);
    }
    Err(Error::Data(format!(
        "{file}: more than one column is called {}. Give each column a name of its own.",
        list(twice)
    )))
}

/// Where the rows of a file are.
#[derive(Clone, Debug)]
pub(super) enum Places {
    Lines(LineNumbers),
    /// A file without lines, with so many rows.
    #[cfg_attr(not(feature = "arrow"), expect(dead_code, reason = "only typed files have no lines"))]
    Rows(usize),
}

impl Places {
    fn len(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Rows(rows) => *rows,
        }
    }
}

/// The line on which each row starts. Most rows follow the one before on the next line, so only the others are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct LineNumbers {
    rows: usize,
    /// Rows that do not, and their lines.
    breaks: Vec<(usize, u64)>,
}

impl LineNumbers {
    /// A row more, which starts on this line.
    pub(super) fn count(&mut self, file: &str, line: u64) -> Result<()> {
        if u32::try_from(self.rows + 1).is_err() {
            let why = "there are more than 4294967294 rows, which is more than a row number can count.";
            return Err(Error::Data(format!("{file}: {why}")));
        }
        let follows = self.breaks.last().is_some_and(|&(row, at)| at + (self.rows - row) as u64 == line);
        if !follows {
            self.breaks.push((self.rows, line));
        }
        self.rows += 1;
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn get(&self, row: usize) -> Option<u64> {
        let at = self.breaks.partition_point(|&(start, _)| start <= row).checked_sub(1)?;
        let (start, line) = self.breaks[at];
        (row < self.rows).then(|| line + (row - start) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(csv: &str, target: &str) -> String {
        Table::parse("t.csv", csv.as_bytes()).unwrap().target(target).unwrap_err().to_string()
    }

    #[test]
    fn a_missing_target_lists_the_columns_and_suggests_the_closest() {
        assert_eq!(
            message("radius,texture,malignant\n1,2,0\n", "malignent"),
            "t.csv: there is no column `malignent`. Did you mean `malignant`? \
             The columns are `radius`, `texture`, `malignant`."
        );
    }

    #[test]
    fn a_file_without_a_header_is_recognised_when_the_target_is_missing() {
        assert_eq!(
            message("5.1,3.5,setosa\n4.9,3.0,setosa\n", "species"),
            "t.csv: there is no column `species`. The columns are `5.1`, `3.5`, `setosa`. \
             The first line must hold the names of the columns; this one seems to be data."
        );
    }

    #[test]
    fn a_row_past_the_end_is_missing() {
        let table = Table::parse("t.csv", b"a,b\n1,x\n").unwrap();
        assert_eq!(table.line(0), Some(2));
        assert_eq!(table.line(1), None);
        for name in ["a", "b"] {
            let column = table.column(name).unwrap();
            assert!(!column.is_missing(0) && column.is_missing(1));
        }
        assert!(table.column("c").is_none());
    }
}
