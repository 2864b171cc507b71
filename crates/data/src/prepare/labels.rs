//! Classes in a label column.

use std::collections::HashMap;

use wgrad_core::Result;

use crate::error::{CellError, TableError};
use crate::table::{Cells, Table};

/// Maximum number of distinct fractional labels; if there are more, they look like a quantity.
const MAX_FRACTIONS: usize = 50;
/// Number of classes above which labels look like identifiers, if there are also fewer than two rows per class on
/// average.
const MAX_CLASSES: usize = 20;

/// Names of the classes in order, and the class of each row.
#[derive(Clone)]
pub(crate) struct Labels {
    pub(crate) classes: Vec<String>,
    pub(crate) y: Vec<u32>,
}

/// Finds the classes among the labels of the given rows. The classes are sorted as numbers if all labels are
/// numbers, else as text.
pub(crate) fn find(table: &Table, target: &str, rows: &[u32]) -> Result<Labels> {
    let at = table.require(target)?;
    let column = &table.columns[at];
    let (classes, fractions) = if let Cells::Text { codes, levels } = &column.cells {
        let mut used = vec![false; levels.len()];
        for &row in rows {
            used[codes[row as usize] as usize] = true;
        }
        let mut distinct: Vec<&str> =
            levels.iter().zip(used).filter(|(_, used)| *used).map(|(level, _)| level).collect();
        distinct.sort_unstable();
        (distinct.into_iter().map(String::from).collect(), 0)
    } else {
        let values = column.numbers()?.unwrap_or_default();
        if let Some(&row) = rows.iter().find(|&&row| values[row as usize].is_infinite()) {
            return Err(table.cell_error(row as usize, target, CellError::InfiniteLabel));
        }
        // Adding 0 turns -0 into 0.
        let mut distinct: Vec<f64> = rows.iter().map(|&row| values[row as usize] + 0.0).collect();
        distinct.sort_unstable_by(f64::total_cmp);
        distinct.dedup();
        let fractions = distinct.iter().filter(|value| value.fract() != 0.0).count();
        (distinct.iter().map(ToString::to_string).collect::<Vec<_>>(), fractions)
    };
    let (distinct, name) = (classes.len(), || target.to_string());
    if let [only] = &classes[..] {
        return Err(table.error(TableError::OneClass { target: name(), class: only.clone() }));
    }
    if fractions > MAX_FRACTIONS {
        return Err(table.error(TableError::Quantity { target: name(), distinct: fractions }));
    }
    if distinct > MAX_CLASSES && distinct * 2 > rows.len() {
        return Err(table.error(TableError::ManyClasses { target: name(), distinct, rows: rows.len() }));
    }
    let y = number(table, target, rows, &classes)?;
    Ok(Labels { classes, y })
}

/// Returns the class number of each given row: the index of its label in `classes`.
pub(crate) fn number(table: &Table, target: &str, rows: &[u32], classes: &[String]) -> Result<Vec<u32>> {
    let numbers: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let class = |row: u32, label: &str| {
        numbers.get(label).copied().ok_or_else(|| {
            let error = CellError::UnknownClass { label: label.to_string(), classes: classes.to_vec() };
            table.cell_error(row as usize, target, error)
        })
    };
    let column = &table.columns[table.require(target)?];
    if let Cells::Text { codes, levels } = &column.cells {
        let known: Vec<Option<u32>> = levels.iter().map(|level| numbers.get(level).copied()).collect();
        let number = |&row: &u32| {
            let code = codes[row as usize] as usize;
            known[code].map_or_else(|| class(row, levels.get(code)), Ok)
        };
        return rows.iter().map(number).collect();
    }
    let values = column.numbers()?.unwrap_or_default();
    let mut known = HashMap::new();
    let number = |&row: &u32| {
        let value = values[row as usize] + 0.0;
        if let Some(number) = known.get(&value.to_bits()) {
            return Ok(*number);
        }
        let number = class(row, &value.to_string())?;
        known.insert(value.to_bits(), number);
        Ok(number)
    };
    rows.iter().map(number).collect()
}

impl Labels {
    /// Reorders the two classes so that `positive` is the second one.
    pub(crate) fn with_positive(mut self, table: &Table, positive: &str) -> Result<Self> {
        if self.classes.len() != 2 {
            let (positive, classes) = (positive.to_string(), self.classes.len());
            return Err(table.error(TableError::PositiveOfMany { positive, classes }));
        }
        match self.classes.iter().position(|class| class == positive) {
            Some(1) => {}
            Some(_) => {
                self.classes.swap(0, 1);
                self.y.iter_mut().for_each(|class| *class = 1 - *class);
            }
            None => {
                let (positive, classes) = (positive.to_string(), self.classes);
                return Err(table.error(TableError::UnknownPositive { positive, classes }));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(cells: &[&str]) -> Result<Labels> {
        let table = table(cells);
        find(&table, "y", &(0..u32::try_from(table.rows()).unwrap()).collect::<Vec<_>>())
    }

    fn table(cells: &[&str]) -> Table {
        Table::parse("t.csv", format!("y,x\n{}\n", cells.join(",0\n") + ",0").as_bytes()).unwrap()
    }

    fn message(result: Result<Labels>) -> String {
        result.map(|labels| labels.classes).unwrap_err().to_string()
    }

    #[test]
    fn numbers_sort_as_numbers_and_words_by_their_letters() {
        let numbers = labels(&["10", "9", "-1", "9.0", "0.5", "-0", "0"]).unwrap();
        assert_eq!(numbers.classes, ["-1", "0", "0.5", "9", "10"]);
        assert_eq!(numbers.y, [4, 3, 0, 3, 2, 1, 1]);
        assert_eq!(labels(&["cat", "10", "9"]).unwrap().classes, ["10", "9", "cat"]);
    }

    #[test]
    fn the_second_of_two_sorted_classes_is_the_positive_one() {
        for [negative, positive] in [
            ["0", "1"],
            ["-1", "1"],
            ["false", "true"],
            ["False", "True"],
            ["no", "yes"],
            ["benign", "malignant"],
            ["B", "M"],
        ] {
            let labels = labels(&[positive, negative, positive]).unwrap();
            assert_eq!((&labels.classes[1][..], &labels.y[..]), (positive, &[1, 0, 1][..]));
        }
    }

    #[test]
    fn another_positive_class_can_be_chosen() {
        let swapped = labels(&["malignant", "normal"]).unwrap().with_positive(&table(&["x"]), "malignant").unwrap();
        assert_eq!((swapped.classes, swapped.y), (vec!["normal".into(), "malignant".into()], vec![1, 0]));
        let same = labels(&["a", "b"]).unwrap().with_positive(&table(&["x"]), "b").unwrap();
        assert_eq!((same.classes, same.y), (vec!["a".into(), "b".into()], vec![0, 1]));
    }

    #[test]
    fn a_positive_class_that_cannot_be_is_an_error() {
        let t = table(&["x"]);
        assert_eq!(
            message(labels(&["benign", "malignant"]).unwrap().with_positive(&t, "Malignant")),
            "t.csv: `Malignant` cannot be the positive class: the classes are `benign`, `malignant`. \
             Did you mean `malignant`?"
        );
        assert_eq!(
            message(labels(&["a", "b", "c"]).unwrap().with_positive(&t, "a")),
            "t.csv: `a` cannot be the positive class: there are 3 classes, not 2."
        );
    }

    #[test]
    fn a_single_class_is_an_error() {
        assert_eq!(
            message(labels(&["1", "1.0"])),
            "t.csv: every label in column `y` is `1`. At least two classes are needed to learn to tell them apart."
        );
    }

    #[test]
    fn many_fractions_look_like_regression() {
        let cells: Vec<_> = (0..200).map(|i| format!("{}", f64::from(i % 60) + 0.5)).collect();
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        assert_eq!(
            message(labels(&cells)),
            "t.csv: column `y` has 60 distinct fractional values, which looks like a quantity (regression), \
             but labels must be classes. Choose another target, or put the values into classes first."
        );
        assert!(labels(&["0.5", "1.5", "0.5"]).is_ok());
    }

    #[test]
    fn a_class_per_row_looks_like_an_identifier() {
        let cells: Vec<_> = (0..30).map(|i| format!("id{i}")).collect();
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        assert_eq!(
            message(labels(&cells)),
            "t.csv: column `y` has 30 distinct values in 30 rows, which looks like an identifier or a quantity, \
             but labels must be classes. Choose another target."
        );
    }

    #[test]
    fn infinite_and_unknown_labels_are_named_with_their_line() {
        assert_eq!(message(labels(&["1", "inf"])), "t.csv, line 3, column `y`: a label cannot be infinite.");
        assert_eq!(
            number(&table(&["B", "m"]), "y", &[0, 1], &["B".into(), "M".into()]).unwrap_err().to_string(),
            "t.csv, line 3, column `y`: `m` is none of the classes `B`, `M`. Did you mean `M`?"
        );
    }
}
