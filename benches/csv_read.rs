//! Time to read a CSV file into a table, compared with the time of the CSV parser alone.
//!
//! `cargo bench --bench csv_read [-- FILE]`. Without FILE, the benchmark generates a file with 200,000 rows and 30
//! columns of numbers.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

use wgrad::data::Table;

fn main() {
    let given = std::env::args().skip(1).find(|word| !word.starts_with("--")).map(PathBuf::from);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = given.unwrap_or_else(|| {
        let path = folder.path().join("t.csv");
        let mut text = (0..30).map(|i| format!("x{i}")).collect::<Vec<_>>().join(",") + "\n";
        let mut state = 1_u64;
        for _ in 0..200_000 {
            for column in 0..30 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let separator = if column == 29 { '\n' } else { ',' };
                let _ =
                    write!(text, "{}.{:06}{separator}", (state >> 58).cast_signed() - 32, (state >> 30) % 1_000_000);
            }
        }
        std::fs::write(&path, text).expect("a file");
        path
    });
    let size = std::fs::metadata(&path).expect("a file").len();
    let (mut parser, mut table, mut disk) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..5 {
        let begin = Instant::now();
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 18).from_path(&path).expect("a file");
        let (mut record, mut rows) = (csv::ByteRecord::new(), 0);
        while reader.read_byte_record(&mut record).expect("a record") {
            rows += 1;
        }
        parser = parser.min(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        assert_eq!(Table::read_csv(&path).expect("a table").rows(), rows);
        table = table.min(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        assert_eq!(Table::scan_csv(&path).expect("a table").rows(), rows);
        disk = disk.min(begin.elapsed().as_secs_f64());
    }
    let rate = |seconds: f64| size as f64 / seconds / f64::from(1 << 20);
    println!("the csv crate's records alone: {parser:.3} s, {:.0} MiB/s", rate(parser));
    println!("Table::read_csv: {table:.3} s, {:.0} MiB/s, {:.2} times the parser", rate(table), table / parser);
    println!("Table::scan_csv: {disk:.3} s, {:.0} MiB/s, {:.2} times the parser", rate(disk), disk / parser);
}
