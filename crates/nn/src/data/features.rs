//! The feature columns of a table, checked: present, numeric, finite.

use std::collections::HashMap;

use wgrad_core::{Error, Result};

use super::text::{count, did_you_mean, list};
use super::{Column, Table};

/// The numbers of the named columns.
pub(super) fn numbers<'t>(table: &'t Table, names: &[String]) -> Result<Vec<&'t [f64]>> {
    let at: HashMap<&str, &Column> = table.names.iter().map(String::as_str).zip(&table.columns).collect();
    let (mut numbers, mut text, mut absent) = (Vec::with_capacity(names.len()), vec![], vec![]);
    for name in names {
        match at.get(name.as_str()) {
            Some(Column::Numbers { values, .. }) => numbers.push(&values[..]),
            Some(Column::Text { cells, .. }) => text.push((name, &cells[..])),
            None => absent.push(name),
        }
    }
    all_present(table, names, &absent)?;
    all_numeric(table, &text)?;
    for (name, values) in names.iter().zip(&numbers) {
        all_finite(table, name, values)?;
    }
    Ok(numbers)
}

fn all_present(table: &Table, names: &[String], absent: &[&String]) -> Result<()> {
    let [first, ..] = absent else { return Ok(()) };
    let unused = table.names.iter().filter(|name| !names.contains(name));
    Err(table.error(format!(
        "{} missing: {}.{} The file has {}.",
        if absent.len() == 1 { "a column is".to_string() } else { format!("{} columns are", absent.len()) },
        list(absent),
        did_you_mean(first, unused),
        list(&table.names)
    )))
}

fn all_numeric(table: &Table, text: &[(&String, &[String])]) -> Result<()> {
    for (name, cells) in text {
        let filled = cells.iter().filter(|cell| !cell.is_empty()).count();
        let numbers = cells.iter().filter(|cell| cell.parse::<f64>().is_ok()).count();
        let first = cells.iter().position(|cell| !cell.is_empty() && cell.parse::<f64>().is_err());
        if let Some(row) = first.filter(|_| numbers * 2 > filled) {
            let others = filled - numbers - 1;
            return Err(Error::Data(format!(
                "{}: `{}` is not a number, but most of the column is{}. \
                 Correct the cell, empty it if the value is unknown, or drop the column with .drop_columns([\"{name}\"]).",
                table.place(row, name),
                cells[row],
                if others == 0 { String::new() } else { format!(" ({} like it)", count(others, "more cell")) }
            )));
        }
    }
    let [(name, cells), ..] = text else { return Ok(()) };
    let names: Vec<_> = text.iter().map(|(name, _)| name).collect();
    let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let row = cells.iter().position(|cell| !cell.is_empty()).unwrap_or(0);
    Err(table.error(format!(
        "{} text, and features must be numbers: {} (`{}` on line {}). \
         Drop {} with .drop_columns([{}]), or write {} as numbers, such as one column of 0 and 1 per value.",
        if names.len() == 1 { "a column is".to_string() } else { format!("{} columns are", names.len()) },
        list(&names),
        cells[row],
        table.lines[row],
        if names.len() == 1 { "it" } else { "them" },
        quoted.join(", "),
        if names.len() == 1 { format!("`{name}`") } else { "them".to_string() }
    )))
}

fn all_finite(table: &Table, name: &str, values: &[f64]) -> Result<()> {
    match values.iter().position(|value| value.abs() > f64::from(f32::MAX)) {
        None => Ok(()),
        Some(row) if values[row].is_infinite() => Err(Error::Data(format!(
            "{}: the value is infinite. Correct the cell, or empty it if the value is unknown.",
            table.place(row, name)
        ))),
        Some(row) => Err(Error::Data(format!(
            "{}: {:e} is beyond the range of 32-bit floats. Use a larger unit.",
            table.place(row, name),
            values[row]
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(csv: &str, names: &[&str]) -> String {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        numbers(&Table::parse("t.csv", csv.as_bytes()).unwrap(), &names).unwrap_err().to_string()
    }

    #[test]
    fn columns_come_in_the_order_asked_for() {
        let table = Table::parse("t.csv", b"a,b\n1,2\n").unwrap();
        assert_eq!(numbers(&table, &["b".into(), "a".into()]).unwrap(), [&[2.0][..], &[1.0]]);
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
    fn columns_of_text_are_called_text() {
        assert_eq!(
            message("age,city\n1,\n2,Paris\n", &["age", "city"]),
            "t.csv: a column is text, and features must be numbers: `city` (`Paris` on line 3). \
             Drop it with .drop_columns([\"city\"]), or write `city` as numbers, such as one column of 0 and 1 per value."
        );
        assert_eq!(
            message("name,city\nEve,Rome\nBob,Paris\n", &["name", "city"]),
            "t.csv: 2 columns are text, and features must be numbers: `name`, `city` (`Eve` on line 2). \
             Drop them with .drop_columns([\"name\", \"city\"]), or write them as numbers, such as one column of 0 and 1 per value."
        );
    }

    #[test]
    fn values_that_a_float_cannot_hold_are_refused_with_their_place() {
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
