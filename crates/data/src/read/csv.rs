//! Reader for CSV text.

use std::io::Read;
use std::sync::Arc;

use csv::{ByteRecord, Reader, ReaderBuilder};
use wgrad_core::{Error, Result};

use super::assemble::assemble;
use super::build::{Builder, TextBuilder};
use super::names::named;
use super::source::Source;
use crate::cell::text;
use crate::error::{CsvError, DataError};
use crate::scratch::Scratch;
use crate::table::{Blocks, LineNumbers, RowLocations, Table};

/// Reads a table. The file is read a second time if a column starts with numbers and turns out to be text, since
/// the text `007` must not become `7`.
pub(super) fn read<R: Read>(file: &str, open: impl Fn() -> Result<R>, spill: Option<&Arc<Scratch>>) -> Result<Table> {
    let mut records = Records::new(file, open()?)?;
    if !records.next()? {
        return Err(failure(file, CsvError::Empty));
    }
    let names = header(file, &records.record)?;
    let width = names.len();
    let builders = (0..width).map(|column| Builder::new(Blocks::on(spill, column, width))).collect();
    let mut lines = LineNumbers::default();
    let builders = assemble(builders, |rows| {
        while records.next()? {
            let line = records.line;
            if records.record.len() != width {
                let fields = records.record.len();
                return Err(failure(file, CsvError::FieldCount { line, fields, columns: width }));
            }
            lines.push(file, line)?;
            rows.push(&mut records.record)?;
        }
        records.check_quotes()
    })?;
    let rows = lines.len();
    if rows == 0 {
        return Err(failure(file, CsvError::NoRows));
    }
    let mut rereads: Vec<Option<TextBuilder>> = builders.iter().map(Builder::reread).collect();
    if rereads.iter().any(Option::is_some) {
        collect_text(file, open()?, rows, &mut rereads)?;
    }
    let columns = builders.into_iter().zip(rereads).map(|(builder, reread)| match reread {
        Some(text) => text.finish(rows),
        None => builder.finish(rows),
    });
    Ok(Table {
        file: file.to_string(),
        columns: columns.collect(),
        locations: RowLocations::Lines(lines),
        names,
        spilled: spill.is_some(),
    })
}

/// Reads the text columns that started with numbers, in a second pass over the file.
fn collect_text<R: Read>(file: &str, bytes: R, rows: usize, columns: &mut [Option<TextBuilder>]) -> Result<()> {
    let mut records = Records::new(file, bytes)?;
    records.next()?;
    let mut row = 0;
    while row < rows && records.next()? && records.record.len() == columns.len() {
        for (column, cell) in columns.iter_mut().zip(&records.record) {
            if let Some(column) = column {
                column.push(row, cell);
            }
        }
        row += 1;
    }
    if row < rows || records.next()? {
        return Err(failure(file, CsvError::Changed));
    }
    Ok(())
}

/// Records of a file, with the line on which each one starts.
struct Records<'f, R> {
    file: &'f str,
    reader: Reader<Source<R>>,
    record: ByteRecord,
    line: u64,
}

impl<'f, R: Read> Records<'f, R> {
    fn new(file: &'f str, bytes: R) -> Result<Self> {
        let source = Source::new(bytes).map_err(Error::io(file))?;
        if source.is_utf16() {
            return Err(failure(file, CsvError::Utf16));
        }
        let mut builder = ReaderBuilder::new();
        // The buffer is larger than a record needs, so that few read calls are necessary.
        let reader = builder.has_headers(false).flexible(true).buffer_capacity(1 << 18).from_reader(source);
        Ok(Self { file, reader, record: ByteRecord::new(), line: 1 })
    }

    /// Reads the next record; returns false at the end of the file.
    fn next(&mut self) -> Result<bool> {
        let more = self.reader.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => Error::io(self.file)(error),
            other => failure(self.file, CsvError::Parser { reason: format!("{other:?}") }),
        })?;
        if more {
            let start = self.record.position().map_or(0, csv::Position::byte);
            self.line = self.reader.get_mut().line(start);
            let record = &self.record;
            if !record.as_slice().is_ascii() && record.iter().any(|cell| std::str::from_utf8(cell).is_err()) {
                return Err(failure(self.file, CsvError::NotUtf8 { line: self.line }));
            }
        }
        Ok(more)
    }

    /// Checks at the end of the file that every quote is closed: an open quote turns the rest of the file into one
    /// cell.
    fn check_quotes(&self) -> Result<()> {
        let source = self.reader.get_ref();
        if source.ends_inside_quotes() {
            return Err(failure(self.file, CsvError::OpenQuote { line: source.current_line() }));
        }
        Ok(())
    }
}

fn failure(file: &str, error: CsvError) -> Error {
    DataError::Csv { file: file.to_string(), error }.into()
}

/// Checks the separator and the column names; returns the names.
fn header(file: &str, record: &ByteRecord) -> Result<Vec<String>> {
    if let (1, Some(name)) = (record.len(), record.get(0).map(text))
        && let Some(separator) = [';', '\t'].into_iter().find(|separator| name.contains(*separator))
    {
        return Err(failure(file, CsvError::Separator { separator }));
    }
    named(file, record.iter().map(text))
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
