//! From the bytes of a CSV file to a [`Table`].

use std::io::{self, ErrorKind};
use std::path::Path;

use csv::{Reader, ReaderBuilder, StringRecord, Trim};
use wgrad_core::{Error, Result};

use super::text::{count, list};
use super::{Column, Table};

/// Adds to an error of the system what there is to do about it.
pub(super) fn explain(path: &Path, source: io::Error) -> io::Error {
    if source.kind() != ErrorKind::NotFound {
        return source;
    }
    let place = match std::env::current_dir() {
        Ok(here) if path.is_relative() => format!(" in {}, where relative paths start", here.display()),
        _ => String::new(),
    };
    io::Error::new(ErrorKind::NotFound, format!("there is no such file{place}. Check the path."))
}

/// Reads the file twice if it has text in it: the first pass finds the type of each column, and which rows are broken;
/// the second one collects the text.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Table> {
    let bytes = utf8(file, bytes)?;
    let mut reader = reader(bytes);
    let mut record = StringRecord::new();
    let mut lines = Lines { bytes, at: 0, line: 1 };
    if !next(&mut reader, &mut record)? {
        return Err(data(
            file,
            "the file is empty. A line with the names of the columns and one line per row are needed.",
        ));
    }
    lines.of(&record);
    let names = header(file, &record)?;

    let mut table = Table { file: file.to_string(), columns: vec![], lines: vec![], names };
    let mut columns = vec![Column::Numbers { values: vec![], missing: 0 }; table.names.len()];
    while next(&mut reader, &mut record)? {
        let line = lines.of(&record);
        if record.len() != columns.len() {
            return Err(unequal(file, line, &record, columns.len()));
        }
        table.lines.push(line);
        for (column, cell) in columns.iter_mut().zip(&record) {
            push_number(column, cell);
        }
    }
    if table.lines.is_empty() {
        return Err(data(file, "there is a header, but no row below it."));
    }
    closed_quotes(file, &lines)?;
    if columns.iter().any(|column| matches!(column, Column::Text { .. })) {
        collect_text(bytes, &mut columns)?;
    }
    for column in &mut columns {
        match column {
            Column::Numbers { values, .. } => values.shrink_to_fit(),
            Column::Text { cells, .. } => cells.shrink_to_fit(),
        }
    }
    table.columns = columns;
    Ok(table)
}

fn data(file: &str, message: &str) -> Error {
    Error::Data(format!("{file}: {message}"))
}

/// The bytes behind the byte order mark, known to be UTF-8.
fn utf8<'b>(file: &str, bytes: &'b [u8]) -> Result<&'b [u8]> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(data(file, "the file is in UTF-16. Save it as CSV in UTF-8."));
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)),
        Err(error) => {
            let line = 1 + occurrences(&bytes[..error.valid_up_to()], b'\n');
            Err(Error::Data(format!("{file}, line {line}: the text is not UTF-8. Save the file as CSV in UTF-8.")))
        }
    }
}

#[allow(clippy::naive_bytecount, reason = "of an error only")]
fn occurrences(bytes: &[u8], of: u8) -> usize {
    bytes.iter().filter(|&&byte| byte == of).count()
}

fn reader(bytes: &[u8]) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes)
}

fn next(reader: &mut Reader<&[u8]>, record: &mut StringRecord) -> Result<bool> {
    reader.read_record(record).map_err(|error| Error::Data(error.to_string()))
}

/// The names of the columns, each of them once.
fn header(file: &str, record: &StringRecord) -> Result<Vec<String>> {
    if let (1, Some(name)) = (record.len(), record.get(0)) {
        for (separator, word) in [(';', "semicolons"), ('\t', "tabs")] {
            if name.contains(separator) {
                let message = format!("the fields are separated by {word}. Save the file with commas between them.");
                return Err(data(file, &message));
            }
        }
    }
    let mut names: Vec<String> = Vec::with_capacity(record.len());
    let mut twice: Vec<&str> = vec![];
    let mut seen = std::collections::HashSet::new();
    for name in record {
        if name.is_empty() {
            return Err(Error::Data(format!(
                "{file}: column {} has no name. Name it in the first line or remove it \
                 (pandas writes the index so: save with `index=False`).",
                names.len() + 1
            )));
        }
        if !seen.insert(name) && !twice.contains(&name) {
            twice.push(name);
        }
        names.push(name.to_string());
    }
    if twice.is_empty() {
        return Ok(names);
    }
    Err(data(file, &format!("more than one column is called {}. Give each column a name of its own.", list(twice))))
}

fn unequal(file: &str, line: u64, record: &StringRecord, columns: usize) -> Error {
    Error::Data(format!(
        "{file}, line {line}: {} where the header names {}. \
         A comma inside a field needs quotes around the field; a field without a value still needs its comma.",
        count(record.len(), "field"),
        count(columns, "column")
    ))
}

/// A quote that is never closed makes one cell of the rest of the file, which nobody means.
fn closed_quotes(file: &str, last: &Lines<'_>) -> Result<()> {
    let row = last.bytes[last.at..].trim_ascii();
    if occurrences(row, b'"') % 2 == 1 && row.contains(&b'\n') {
        let line = last.line;
        return Err(Error::Data(format!(
            "{file}, line {line}: a quote is opened and never closed. Add the second one."
        )));
    }
    Ok(())
}

fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "NaN" | "nan" | "NA" | "N/A" | "null" | "NULL")
}

/// Adds a cell to a column of numbers; at the first text the column becomes an empty one of text.
fn push_number(column: &mut Column, cell: &str) {
    if let Column::Numbers { values, missing } = column {
        let value = if is_missing(cell) { Some(f64::NAN) } else { cell.parse().ok() };
        match value {
            Some(value) => {
                *missing += usize::from(value.is_nan());
                values.push(value);
            }
            None => *column = Column::Text { cells: vec![], missing: 0 },
        }
    }
}

/// The second pass: fills the columns of text.
fn collect_text(bytes: &[u8], columns: &mut [Column]) -> Result<()> {
    let mut reader = reader(bytes);
    let mut record = StringRecord::new();
    next(&mut reader, &mut record)?;
    while next(&mut reader, &mut record)? {
        for (column, cell) in columns.iter_mut().zip(&record) {
            if let Column::Text { cells, missing } = column {
                let cell = if is_missing(cell) { "" } else { cell };
                *missing += usize::from(cell.is_empty());
                cells.push(cell.to_string());
            }
        }
    }
    Ok(())
}

/// Counts lines as an editor does: blank ones, and those inside quotes, too.
struct Lines<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line on which a record starts; records must come in order.
    fn of(&mut self, record: &StringRecord) -> u64 {
        let start = record.position().map_or(0, csv::Position::byte);
        let mut start = usize::try_from(start).unwrap_or(usize::MAX).min(self.bytes.len());
        while matches!(self.bytes.get(start), Some(b'\r' | b'\n')) {
            start += 1;
        }
        for at in self.at..start {
            let carriage_return_alone = self.bytes[at] == b'\r' && self.bytes.get(at + 1) != Some(&b'\n');
            self.line += u64::from(self.bytes[at] == b'\n' || carriage_return_alone);
        }
        self.at = self.at.max(start);
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(table: &Table, name: &str) -> Vec<f64> {
        match table.column(name) {
            Some(Column::Numbers { values, .. }) => values.clone(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn message(bytes: &[u8]) -> String {
        parse("t.csv", bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_byte_order_mark_crlf_blanks_and_quotes_are_understood() {
        let table = parse("t.csv", b"\xef\xbb\xbfa, b ,c\r\n1, 2.5,\"x, \"\"y\"\"\"\r\n\r\n-3e2 ,+4,z\r\n").unwrap();
        assert_eq!(table.names(), ["a", "b", "c"]);
        assert_eq!(numbers(&table, "a"), [1.0, -300.0]);
        assert_eq!(numbers(&table, "b"), [2.5, 4.0]);
        let text = Column::Text { cells: vec!["x, \"y\"".into(), "z".into()], missing: 0 };
        assert_eq!(table.column("c"), Some(&text));
        assert_eq!(table.lines, [2, 4]);
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        for end in ["\n", "\r\n", "\r"] {
            let csv = "\nt,n\n\"two\nlines\",1\n\n\nx,2\ny,3".replace('\n', end);
            assert_eq!(parse("t.csv", csv.as_bytes()).unwrap().lines, [3, 7, 8], "{end:?}");
        }
    }

    #[test]
    fn every_spelling_of_a_missing_cell_is_known() {
        let table = parse("t.csv", b"n,t\n1,x\n,\nNaN,NaN\nnan,nan\nNA,NA\nN/A,N/A\nnull,null\n").unwrap();
        for name in ["n", "t"] {
            let column = table.column(name).unwrap();
            assert_eq!(column.missing(), 6);
            assert!(!column.is_missing(0) && (1..7).all(|row| column.is_missing(row)));
        }
        assert!(numbers(&table, "n")[1..].iter().all(|value| value.is_nan()));
    }

    #[test]
    fn text_that_comes_late_keeps_the_cells_before_it_as_they_were_written() {
        let table = parse("t.csv", b"id\n007\n1.50\n\nx\n").unwrap();
        let cells = ["007", "1.50", "x"].map(String::from).to_vec();
        assert_eq!(table.column("id"), Some(&Column::Text { cells, missing: 0 }));
    }

    #[test]
    fn an_empty_file_says_what_is_needed() {
        for bytes in [&b""[..], b"\n\r\n", b"\xef\xbb\xbf"] {
            assert_eq!(
                message(bytes),
                "t.csv: the file is empty. A line with the names of the columns and one line per row are needed."
            );
        }
    }

    #[test]
    fn a_header_alone_is_no_data() {
        assert_eq!(message(b"a,b\n"), "t.csv: there is a header, but no row below it.");
    }

    #[test]
    fn a_row_of_another_length_is_named_by_its_line() {
        let advice =
            "A comma inside a field needs quotes around the field; a field without a value still needs its comma.";
        assert_eq!(
            message(b"a,b\r\n1,2\r\n\r\n1,2,3\r\n"),
            format!("t.csv, line 4: 3 fields where the header names 2 columns. {advice}")
        );
        assert_eq!(message(b"a,b\n1\n"), format!("t.csv, line 2: 1 field where the header names 2 columns. {advice}"));
    }

    #[test]
    fn columns_of_the_same_name_are_refused() {
        assert_eq!(
            message(b"a,b,a,c,b,a\n1,2,3,4,5,6\n"),
            "t.csv: more than one column is called `a`, `b`. Give each column a name of its own."
        );
    }

    #[test]
    fn a_column_without_a_name_is_refused() {
        assert_eq!(
            message(b",a\n0,1\n"),
            "t.csv: column 1 has no name. Name it in the first line or remove it \
             (pandas writes the index so: save with `index=False`)."
        );
    }

    #[test]
    fn other_separators_and_encodings_are_named() {
        assert_eq!(
            message(b"a;b\n1;2\n"),
            "t.csv: the fields are separated by semicolons. Save the file with commas between them."
        );
        assert_eq!(
            message(b"a\tb\n1\t2\n"),
            "t.csv: the fields are separated by tabs. Save the file with commas between them."
        );
        assert_eq!(message(b"\xff\xfea\0"), "t.csv: the file is in UTF-16. Save it as CSV in UTF-8.");
        assert_eq!(
            message(b"city,y\nK\xf6ln,1\n"),
            "t.csv, line 2: the text is not UTF-8. Save the file as CSV in UTF-8."
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_is_found() {
        assert_eq!(
            message(b"n,t\n1,\"x\n2,y\n3,z\n"),
            "t.csv, line 2: a quote is opened and never closed. Add the second one."
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent.csv");
        let error = Table::read_csv(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: there is no such file. Check the path.", path.display()));
        let error = Table::read_csv("absent/absent.csv").unwrap_err().to_string();
        assert!(error.starts_with("absent/absent.csv: there is no such file in /"), "{error}");
        assert!(error.ends_with(", where relative paths start. Check the path."), "{error}");
        assert!(matches!(Table::read_csv(folder.path()), Err(Error::Io { .. })));
    }

    #[test]
    fn a_file_on_disk_reads_as_the_same_bytes_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, "a,y\n1,0\n2,1\n").unwrap();
        let table = Table::read_csv(&path).unwrap();
        assert_eq!((table.rows(), numbers(&table, "a")), (2, vec![1.0, 2.0]));
        assert_eq!(table.file(), path.display().to_string());
    }
}
