use std::path::PathBuf;

use super::*;
use crate::{ColumnKind, Seed};

/// Returns the path of a file in `tests/tables`, where `make.py` wrote it with pyarrow.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tables").join(name)
}

fn message(name: &str) -> String {
    let text = Table::read(file(name)).unwrap_err().to_string();
    text.rsplit_once(name).map_or(text.clone(), |(_, rest)| format!("{name}{rest}"))
}

const NAN: f64 = f64::NAN;

/// Expected values of the number columns in the files.
const NUMBERS: [(&str, [f64; 5]); 8] = [
    ("i8", [-1.0, NAN, 3.0, 4.0, 5.0]),
    ("i64", [1_099_511_627_776.0, 1.0, 2.0, 3.0, 4.0]),
    ("u32", [0.0, 4_294_967_295.0, NAN, 3.0, 4.0]),
    ("f16", [0.5, 1.5, -2.0, NAN, 4.0]),
    ("f32", [0.100_000_001_490_116_12, NAN, -2.0, 3.0, 4.0]),
    ("f64", [0.1, 1e-300, NAN, 3.0, 1e30]),
    ("decimal", [0.10, -12.34, 3.0, 4.01, 99.99]),
    ("nothing", [NAN; 5]),
];

const TIME: Option<&str> = Some("2024-01-31 12:30:15.250");
const DAY: Option<&str> = Some("2024-01-31");

const TEXTS: [(&str, ColumnKind, [Option<&str>; 5]); 6] = [
    ("flag", ColumnKind::Boolean, [Some("true"), Some("false"), None, Some("true"), Some("false")]),
    ("word", ColumnKind::Text, [Some("x"), Some("y"), None, None, Some("é")]),
    ("large", ColumnKind::Text, [Some("x"), Some("y"), Some("x"), Some("y"), None]),
    ("level", ColumnKind::Text, [Some("a"), None, Some("b"), Some("a"), Some("b")]),
    ("day", ColumnKind::Date, [DAY, None, DAY, DAY, DAY]),
    ("time", ColumnKind::Date, [TIME, None, TIME, TIME, TIME]),
];

#[test]
fn every_format_and_compression_gives_the_same_columns() {
    let parquet = ["snappy", "gzip", "zstd", "lz4", "none"].map(|name| format!("{name}.parquet"));
    let arrow = ["lz4", "zstd", "uncompressed", "stream"].map(|name| format!("{name}.arrow"));
    for name in parquet.iter().chain(&arrow) {
        for table in [Table::read(file(name)).unwrap(), Table::scan(file(name)).unwrap()] {
            assert_eq!((table.rows(), table.names().len(), table.line(0)), (5, 14, None), "{name}");
            for (column, expected) in NUMBERS {
                let column = table.column(column).unwrap();
                let numbers = column.numbers().unwrap().unwrap().into_owned();
                assert_eq!(
                    numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
                    expected.map(f64::to_bits),
                    "{name}"
                );
                let missing: Vec<_> = (0..5).map(|row| column.is_missing(row)).collect();
                assert_eq!(missing, expected.map(f64::is_nan), "{name}");
            }
            for (column, kind, expected) in TEXTS {
                let column = table.column(column).unwrap();
                let texts: Vec<_> = (0..5).map(|row| column.text(row)).collect();
                assert_eq!((column.kind(), &texts[..]), (kind, &expected[..]), "{name}");
            }
        }
    }
}

#[test]
fn long_texts_of_views_are_read() {
    let table = Table::read(file("view.arrow")).unwrap();
    let column = table.column("v").unwrap();
    let texts: Vec<_> = (0..3).map(|row| column.text(row)).collect();
    assert_eq!(texts, [Some("short"), Some("a text of more than twelve bytes"), None]);
}

#[test]
fn a_training_set_comes_from_parquet_as_from_csv() {
    let drop = ["word", "large", "day", "time", "nothing", "f32", "f64", "i8", "u32", "f16"];
    let from = |table: Table| {
        let labelled = table.target("level").unwrap().drop_columns(drop).missing("drop".parse().unwrap());
        labelled.split(0.6, Seed(1)).unwrap()
    };
    let csv =
        b"i64,decimal,flag,level\n1099511627776,0.1,true,a\n1,-12.34,false,\n2,3,,b\n3,4.01,true,a\n4,99.99,false,b\n";
    let csv = Table::parse("t.csv", csv).unwrap().target("level").unwrap().missing("drop".parse().unwrap());
    let (a, b) = (from(Table::read(file("zstd.parquet")).unwrap()), csv.split(0.6, Seed(1)).unwrap());
    assert_eq!((a.0.x(), a.0.y(), a.1.x()), (b.0.x(), b.0.y(), b.1.x()));
}

#[test]
fn rows_are_counted_where_there_are_no_lines() {
    let table = Table::read(file("zstd.parquet")).unwrap();
    let error = table.target("level").unwrap().drop_columns(["word", "day", "time", "nothing"]).dataset().unwrap_err();
    assert!(error.to_string().contains("the first one on row 2"), "{error}");
}

#[test]
fn other_types_of_columns_are_refused() {
    assert_eq!(
        message("nested.parquet"),
        "nested.parquet: column `list` is of type List, which is neither a number nor a text. \
         Leave it out of the file, or divide it into columns of numbers."
    );
    assert_eq!(message("empty.parquet"), "empty.parquet: there are columns, but no row.");
    let error = Table::read_csv(file("zstd.parquet")).unwrap_err().to_string();
    assert!(error.ends_with("this is a Parquet file: read it with Table::read."), "{error}");
}

#[test]
fn a_damaged_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let mut random = wgrad_core::SplitMix64::new(Seed(3), 0);
    for name in ["snappy.parquet", "none.parquet", "zstd.arrow", "stream.arrow"] {
        let whole = std::fs::read(file(name)).unwrap();
        for length in (8..whole.len()).step_by(97) {
            std::fs::write(&path, &whole[..length]).unwrap();
            // A stream may end after any of its record batches.
            if let Ok(table) = Table::read(&path) {
                assert!(name == "stream.arrow" && table.rows() < 5 && table.rows() % 2 == 0, "{name} cut to {length}");
            }
        }
        for _ in 0..100 {
            let mut bytes = whole.clone();
            let at = 8 + random.below(bytes.len() as u64 - 8);
            bytes[usize::try_from(at).unwrap()] ^= 1 << random.below(8);
            std::fs::write(&path, &bytes).unwrap();
            // Without checksums, the reader may not notice that a bit was changed, so reading may succeed. But it
            // must neither panic nor hang.
            let _ = Table::read(&path);
        }
    }
}
