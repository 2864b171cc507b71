//! Checks that feature columns exist, have a usable type and are finite.

use std::collections::HashMap;

use wgrad_core::Result;

use crate::cell::number::number;
use crate::error::{CellError, TableError};
use crate::table::{Cells, Column, ColumnKind, MISSING, Overflow, Table};

/// Returns the columns with the given names, all of which must exist.
pub(crate) fn columns<'t>(table: &'t Table, names: &[String]) -> Result<Vec<&'t Column>> {
    let at: HashMap<&str, &Column> = table.names.iter().map(String::as_str).zip(&table.columns).collect();
    let absent: Vec<&String> = names.iter().filter(|name| !at.contains_key(name.as_str())).collect();
    all_present(table, names, &absent)?;
    Ok(names.iter().filter_map(|name| at.get(name.as_str()).copied()).collect())
}

/// Returns the named columns after checking that they contain numbers, booleans or categories.
pub(crate) fn learnable<'t>(table: &'t Table, names: &[String]) -> Result<Vec<&'t Column>> {
    let columns = columns(table, names)?;
    for (name, column) in names.iter().zip(&columns) {
        no_strays(table, name, column)?;
        all_finite(table, name, column)?;
    }
    no_dates(table, names, &columns)?;
    Ok(columns)
}

/// Checks that a column contains only finite numbers or booleans.
pub(crate) fn numeric(table: &Table, name: &str, column: &Column) -> Result<()> {
    no_strays(table, name, column)?;
    all_finite(table, name, column)?;
    if matches!(column.kind(), ColumnKind::Number | ColumnKind::Boolean) {
        return Ok(());
    }
    let row = (0..table.rows()).find(|&row| !column.is_missing(row)).unwrap_or_default();
    let text = column.text(row).unwrap_or_default().to_string();
    Err(table.error(TableError::NotNumeric { column: name.to_string(), text, row: table.location(row) }))
}

/// Checks that no feature column is missing from the table.
fn all_present(table: &Table, names: &[String], absent: &[&String]) -> Result<()> {
    if absent.is_empty() {
        return Ok(());
    }
    Err(table.error(TableError::MissingFeatures {
        missing: absent.iter().map(|&name| name.clone()).collect(),
        unused: table.names.iter().filter(|name| !names.contains(name)).cloned().collect(),
        columns: table.names.clone(),
    }))
}

/// Checks that a text column does not consist mostly of numbers: a few texts among numbers are mistakes, not
/// categories.
fn no_strays(table: &Table, name: &str, column: &Column) -> Result<()> {
    let Cells::Text { codes, levels } = &column.cells else { return Ok(()) };
    let numeric: Vec<bool> = levels.iter().map(|level| number(level).is_some()).collect();
    if !numeric.contains(&true) {
        return Ok(());
    }
    let filled = || codes.iter().filter(|code| **code != MISSING);
    let (all, numbers) = (filled().count(), filled().filter(|code| numeric[**code as usize]).count());
    let Some(row) = codes.iter().position(|&code| code != MISSING && !numeric[code as usize]) else { return Ok(()) };
    if numbers * 2 <= all {
        return Ok(());
    }
    let text = levels.get(codes[row] as usize).to_string();
    Err(table.cell_error(row, name, CellError::NotANumber { text, others: all - numbers - 1 }))
}

/// Checks that no column contains dates.
fn no_dates(table: &Table, names: &[String], columns: &[&Column]) -> Result<()> {
    let dates: Vec<_> = names.iter().zip(columns).filter(|(_, column)| column.kind() == ColumnKind::Date).collect();
    let [(_, column), ..] = dates[..] else { return Ok(()) };
    let row = (0..table.rows()).find(|&row| !column.is_missing(row)).unwrap_or_default();
    Err(table.error(TableError::Dates {
        columns: dates.iter().map(|(name, _)| (*name).clone()).collect(),
        text: column.text(row).unwrap_or_default().to_string(),
        row: table.location(row),
    }))
}

/// Checks that all numbers in a column fit in an `f32`.
fn all_finite(table: &Table, name: &str, column: &Column) -> Result<()> {
    let Some(Overflow { row, value }) = column.overflow else { return Ok(()) };
    let error = if value.is_infinite() { CellError::Infinite } else { CellError::TooLarge { value } };
    Err(table.cell_error(row, name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(csv: &str, names: &[&str]) -> String {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        learnable(&Table::parse("t.csv", csv.as_bytes()).unwrap(), &names).unwrap_err().to_string()
    }

    #[test]
    fn columns_come_in_the_order_asked_for() {
        let table = Table::parse("t.csv", b"a,b\n1,2\n").unwrap();
        let columns = learnable(&table, &["b".into(), "a".into()]).unwrap();
        let values: Vec<_> = columns.iter().map(|column| column.numbers().unwrap().unwrap().into_owned()).collect();
        assert_eq!(values, [[2.0], [1.0]]);
    }

    #[test]
    fn missing_columns_are_listed() {
        assert_eq!(
            message("radius,texture\n1,2\n", &["radios", "texture"]),
            "t.csv: a column is missing: `radios`. Did you mean `radius`? The file has `radius`, `texture`."
        );
        assert_eq!(
            message("x,y\n1,2\n", &["age", "city", "x"]),
            "t.csv: 2 columns are missing: `age`, `city`. The file has `x`, `y`."
        );
    }

    #[test]
    fn a_stray_word_among_numbers_is_named_by_line_column_and_text() {
        assert_eq!(
            message("age,y\n1,0\n2,0\n\n,1\ntwelve,1\n3,1\n", &["age"]),
            "t.csv, line 6, column `age`: `twelve` is not a number, but most of the column is. \
             Correct the cell, empty it if the value is unknown, or drop the column with .drop_columns([\"age\"])."
        );
        let two = message("age\n1\n2\n3\n?\n?\n", &["age"]);
        assert!(
            two.contains("line 5, column `age`: `?` is not a number, but most of the column is (1 more cell like it).")
        );
    }

    #[test]
    fn dates_are_refused_with_advice() {
        assert_eq!(
            message("age,seen\n1,\n2,2024-01-31\n3,2024-02-01\n", &["age", "seen"]),
            "t.csv: a column holds dates, which are neither numbers nor categories: `seen` (`2024-01-31` on line 3). \
             Drop it with .drop_columns([\"seen\"]), or write it as numbers: the days since an event for what grows, the \
             month, weekday or hour for what comes again. To split by `seen`, oldest rows first, use \
             Split::by_time(\"seen\"), which drops it too."
        );
        let two = message("from,to\n1.2.2024,2024-01-31\n", &["from", "to"]);
        assert!(
            two.contains("2 columns hold dates, which are neither numbers nor categories: `from`, `to` (`1.2.2024`")
        );
    }

    #[test]
    fn values_that_overflow_an_f32_are_refused() {
        assert_eq!(
            message("a,b\n1,2\n3,-inf\n", &["a", "b"]),
            "t.csv, line 3, column `b`: the value is infinite. Correct the cell, or empty it if the value is unknown."
        );
        assert_eq!(
            message("a\n1\n2e300\n", &["a"]),
            "t.csv, line 3, column `a`: 2e300 is beyond the range of 32-bit floats. Use a larger unit."
        );
    }
}
