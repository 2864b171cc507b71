//! Treatment of missing cells.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wgrad_core::{Error, Result};

use crate::error::{ColumnGaps, DataError, TableError};
use crate::table::Table;

/// Treatment of missing cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Missing cells cause an error that states their number in each column.
    #[default]
    Refuse,
    /// Rows with a missing cell are left out.
    #[serde(rename = "drop")]
    DropRows,
    /// A missing number is replaced with the mean of its column over the training rows, and a missing category
    /// with the unseen category. Rows without a label are left out.
    #[serde(rename = "mean")]
    FillMean,
}

impl FromStr for Missing {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        match word {
            "refuse" => Ok(Self::Refuse),
            "drop" => Ok(Self::DropRows),
            "mean" => Ok(Self::FillMean),
            _ => Err(DataError::UnknownMissing { text: word.to_string() }.into()),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Refuse => "refuse",
            Self::DropRows => "drop",
            Self::FillMean => "mean",
        })
    }
}

impl Missing {
    /// Returns the rows to use. If `filled` is true, missing features are filled later, so their rows are kept.
    pub(crate) fn rows(self, table: &Table, features: &[String], target: &str, filled: bool) -> Result<Vec<u32>> {
        let total = u32::try_from(table.rows()).map_err(|_| table.error(TableError::TooManyRows))?;
        let required: Vec<_> = features.iter().filter(|_| !filled).map(String::as_str).chain([target]).collect();
        let with_gaps: Vec<_> = required
            .into_iter()
            .filter_map(|name| table.column(name).filter(|column| column.missing() > 0).map(|column| (name, column)))
            .collect();
        let complete = |row: &u32| with_gaps.iter().all(|(_, column)| !column.is_missing(*row as usize));
        let rows: Vec<u32> = (0..total).filter(complete).collect();
        if rows.len() == table.rows() {
            return Ok(rows);
        }
        let gaps = || {
            let gaps = with_gaps.iter();
            gaps.map(|(name, column)| ColumnGaps { column: name.to_string(), missing: column.missing() }).collect()
        };
        if self == Self::Refuse {
            let first = (0..total).find(|row| !complete(row)).unwrap_or_default();
            return Err(table.error(TableError::MissingCells {
                gaps: gaps(),
                first: table.location(first as usize),
                incomplete: table.rows() - rows.len(),
                rows: table.rows(),
            }));
        }
        if rows.is_empty() {
            return Err(table.error(TableError::NoCompleteRow { gaps: gaps(), target: target.to_string() }));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAPS: &str = "a,b,y\n1,2,0\n,3,1\n4,,\n5,6,1\n";

    fn rows(csv: &str, missing: Missing, filled: bool) -> Result<Vec<u32>> {
        missing.rows(&Table::parse("t.csv", csv.as_bytes()).unwrap(), &["a".into(), "b".into()], "y", filled)
    }

    #[test]
    fn by_default_missing_cells_are_counted() {
        assert_eq!(Missing::default(), Missing::Refuse);
        assert_eq!(
            rows(GAPS, Missing::Refuse, false).unwrap_err().to_string(),
            "t.csv: 3 cells are missing (1 in `a`, 1 in `b`, 1 in `y`), the first one on line 3. \
             Choose what to do about it: Missing::DropRows leaves out 2 of the 4 rows; \
             Missing::FillMean fills in the column's mean, and leaves out rows without a label."
        );
        let one = rows("a,b,y\n1,2,\n", Missing::Refuse, false).unwrap_err().to_string();
        assert!(one.starts_with("t.csv: 1 cell is missing (1 in `y`), the first one on line 2."), "{one}");
    }

    #[test]
    fn rows_with_gaps_are_dropped_on_request() {
        assert_eq!(rows(GAPS, Missing::DropRows, false).unwrap(), [0, 3]);
    }

    #[test]
    fn filling_keeps_the_rows_that_have_a_label() {
        assert_eq!(rows(GAPS, Missing::FillMean, true).unwrap(), [0, 1, 3]);
    }

    #[test]
    fn without_a_complete_row_the_emptiest_column_is_named() {
        assert_eq!(
            rows("a,b,y\n,2,0\n,3,1\n4,,0\n", Missing::DropRows, false).unwrap_err().to_string(),
            "t.csv: no row is complete; missing are 2 in `a`, 1 in `b`. \
             Drop columns that are often empty with .drop_columns (most often: `a`), \
             or fill them with Missing::FillMean."
        );
        assert_eq!(
            rows("a,b,y\n1,2,\n1,3,\n", Missing::FillMean, true).unwrap_err().to_string(),
            "t.csv: no row is complete; missing are 2 in `y`. Give the rows a label."
        );
    }

    #[test]
    fn the_text_of_each_treatment_is_parsed_back() {
        for missing in [Missing::Refuse, Missing::DropRows, Missing::FillMean] {
            assert_eq!(missing.to_string().parse::<Missing>().unwrap(), missing);
            assert_eq!(serde_json::to_string(&missing).unwrap(), format!("\"{missing}\""));
        }
        assert_eq!(
            "zero".parse::<Missing>().unwrap_err().to_string(),
            "`zero` says nothing about missing cells; choose refuse, drop or mean"
        );
    }
}
