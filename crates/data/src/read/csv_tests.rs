use std::fmt::Write;
use std::io;

use super::*;
use crate::table::BLOCK;

fn parse(file: &str, bytes: &[u8]) -> Result<Table> {
    Table::parse(file, bytes)
}

fn numbers(table: &Table, name: &str) -> Vec<f64> {
    table.column(name).unwrap().numbers().unwrap().expect("a column of numbers").into_owned()
}

fn texts<'t>(table: &'t Table, name: &str) -> Vec<Option<&'t str>> {
    let column = table.column(name).unwrap();
    (0..table.rows()).map(|row| column.text(row)).collect()
}

fn lines(table: &Table) -> Vec<u64> {
    (0..table.rows()).map(|row| table.line(row).unwrap()).collect()
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
    assert_eq!(texts(&table, "c"), [Some("x, \"y\""), Some("z")]);
    assert_eq!(lines(&table), [2, 4]);
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    for end in ["\n", "\r\n", "\r"] {
        let csv = "\nt,n\n\"two\nlines\",1\n\n\nx,2\ny,3".replace('\n', end);
        assert_eq!(lines(&parse("t.csv", csv.as_bytes()).unwrap()), [3, 7, 8], "{end:?}");
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
fn late_text_keeps_the_spelling_of_earlier_cells() {
    let table = parse("t.csv", b"id\n007\n1.50\n\nx\n").unwrap();
    assert_eq!(texts(&table, "id"), [Some("007"), Some("1.50"), Some("x")]);
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
    let advice = "A comma inside a field needs quotes around the field; a field without a value still needs its comma.";
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
         (pandas writes its index like this: save with `index=False`)."
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
    assert_eq!(message(b"city,y\nK\xf6ln,1\n"), "t.csv, line 2: the text is not UTF-8. Save the file as CSV in UTF-8.");
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

/// Reader that returns only a few bytes per call, so that reads end in the middle of cells and line ends.
struct ShortReads<'b>(&'b [u8], usize);

impl Read for ShortReads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.1.min(self.0.len()).min(buffer.len());
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[test]
fn short_reads_give_the_same_table() {
    let csv = b"\xef\xbb\xbf\r\na,t\r\n\r\n1,\"x\r\ny\"\r\n2,\"\xc3\xa9\"\r\r\n3,z\n";
    for length in 1..9 {
        let table = read("t.csv", || Ok(ShortReads(csv, length)), None).unwrap();
        assert_eq!(numbers(&table, "a"), [1.0, 2.0, 3.0]);
        assert_eq!(texts(&table, "t"), [Some("x\r\ny"), Some("\u{e9}"), Some("z")]);
        assert_eq!(lines(&table), [4, 6, 8]);
    }
}

#[test]
fn a_table_on_disk_holds_what_one_in_memory_does() {
    let mut csv = String::from("n,t,late,gap\n");
    let rows = BLOCK * 2 + 7;
    for i in 0..rows {
        let late = if i == BLOCK + 3 { "x".into() } else { format!("0{i}") };
        let gap = if i % 5 == 0 { "" } else { "1e3" };
        writeln!(csv, "{i}.5,t{},{late},{gap}", i % 3).unwrap();
    }
    let memory = parse("t.csv", csv.as_bytes()).unwrap();
    let scratch = Arc::new(Scratch::new().unwrap());
    let disk = read("t.csv", || Ok(csv.as_bytes()), Some(&scratch)).unwrap();
    for table in [&memory, &disk] {
        assert_eq!(table.rows(), rows);
        assert_eq!(table.column("late").unwrap().text(17), Some("017"));
        assert_eq!(table.column("gap").unwrap().missing(), rows.div_ceil(5));
        assert!(table.column("gap").unwrap().is_missing(BLOCK / 5 * 5 + 5));
    }
    let bits = |table: &Table, name: &str| numbers(table, name).into_iter().map(f64::to_bits).collect::<Vec<_>>();
    assert_eq!(numbers(&disk, "n")[BLOCK + 1].to_string(), format!("{}.5", BLOCK + 1));
    for name in ["n", "gap"] {
        assert_eq!(bits(&memory, name), bits(&disk, name));
    }
    for name in ["t", "late"] {
        assert_eq!(texts(&memory, name), texts(&disk, name));
    }
}
