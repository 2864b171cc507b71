use wgrad_core::Result;

use super::{EncodingOptions, LearnOptions};
use crate::{Preprocess, Table};

fn table(csv: &str) -> Table {
    Table::parse("t.csv", csv.as_bytes()).unwrap()
}

fn learn(csv: &str, columns: &[&str], rows: &[u32], fill: bool) -> Result<Preprocess> {
    let columns = columns.iter().map(ToString::to_string).collect();
    super::learn(
        &table(csv),
        columns,
        rows,
        LearnOptions { fill, standardize: true, encoding: &EncodingOptions::default() },
    )
}

#[test]
fn mean_and_std_are_those_of_standard_scaler() {
    // The expected values are from this code:
    // sklearn.preprocessing.StandardScaler().fit([[1.5, 1e6], [2.25, 1e6 + 1], [-4, 1e6 + 3], [0.1, 1e6 - 2]])
    let learned =
        learn("a,b\n1.5,1000000\n2.25,1000001\n-4,1000003\n0.1,999998\n", &["a", "b"], &[0, 1, 2, 3], false).unwrap();
    let expected = ([MEAN_A, 1_000_000.5], [STD_A, STD_B]);
    for at in 0..2 {
        approx::assert_relative_eq!(learned.mean()[at], expected.0[at], max_relative = 1e-15);
        approx::assert_relative_eq!(learned.std()[at], expected.1[at], max_relative = 1e-15);
    }
    assert_eq!(learned.fill(), None);
    assert_eq!(learned.constant_columns(), [""; 0]);
}
const MEAN_A: f64 = -0.0375;
const STD_A: f64 = 2.414_377_507_764_682_7;
const STD_B: f64 = 1.802_775_637_731_994_6;

#[test]
fn only_the_given_rows_count() {
    let learned = learn("a\n1\n3\n1000\n", &["a"], &[0, 1], false).unwrap();
    assert_eq!((learned.mean(), learned.std()), (&[2.0][..], &[1.0][..]));
}

#[test]
fn a_constant_column_becomes_zero_and_is_named() {
    let csv = "a,b\n0.1,1\n0.1,2\n0.1,3\n";
    let learned = learn(csv, &["a", "b"], &[0, 1, 2], false).unwrap();
    assert_eq!((learned.mean()[0].to_bits(), learned.std()[0]), (0.1_f64.to_bits(), 1.0));
    assert_eq!(learned.constant_columns(), ["a"]);
    assert_eq!(learned.apply(&table(csv)).unwrap().to_f64()[0].to_bits(), 0);
}

#[test]
fn a_column_that_differs_by_rounding_only_is_constant() {
    let csv = "a\n0.1\n0.10000000000000002\n0.1\n";
    assert_eq!(learn(csv, &["a"], &[0, 1, 2], false).unwrap().constant_columns(), ["a"]);
}

#[test]
fn missing_cells_are_filled_with_the_training_mean() {
    let csv = "a,b\n1,0\n,0\n3,0\n,0\n100,0\n";
    let learned = learn(csv, &["a"], &[0, 1, 2], true).unwrap();
    assert_eq!(learned.fill(), Some(&[2.0][..]));
    // Filled cells count in the standard deviation, as in a pipeline of scikit-learn's SimpleImputer and
    // StandardScaler.
    approx::assert_relative_eq!(learned.std()[0], (2.0_f64 / 3.0).sqrt(), max_relative = 1e-15);
    let x = learned.apply(&table(csv)).unwrap().to_f64();
    assert_eq!((x[1], x[3]), (0.0, 0.0));
}

#[test]
fn a_column_without_a_value_cannot_be_filled() {
    assert_eq!(
        learn("a\n\"\"\nNA\n3\n", &["a"], &[0, 1], true).unwrap_err().to_string(),
        "t.csv: column `a` has no value in the training rows, so there is no mean to fill in. \
         Drop it with .drop_columns([\"a\"])."
    );
}

#[test]
fn a_missing_cell_without_a_learned_fill_is_an_error() {
    let learned = learn("a\n1\n3\n", &["a"], &[0, 1], false).unwrap();
    assert_eq!(
        learned.apply(&table("a,b\n1,1\n,1\n")).unwrap_err().to_string(),
        "t.csv, line 3, column `a`: the cell is missing, and no value to fill in was learned. \
         Complete it, or train with Missing::FillMean."
    );
}

#[test]
fn a_column_that_is_missing_at_prediction_is_listed() {
    let learned = learn("a,b\n1,2\n3,4\n", &["a", "b"], &[0, 1], false).unwrap();
    assert_eq!(
        learned.apply(&table("A,c\n1,2\n")).unwrap_err().to_string(),
        "t.csv: 2 columns are missing: `a`, `b`. Did you mean `A`? The file has `A`, `c`."
    );
}

#[test]
fn a_value_that_overflows_once_standardised_is_an_error() {
    let learned = learn("a\n0\n2e-30\n", &["a"], &[0, 1], false).unwrap();
    let message = learned.apply(&table("a\n1e20\n")).unwrap_err().to_string();
    assert!(message.starts_with("t.csv, line 2, column `a`: 1e20 is beyond the range of 32-bit floats"), "{message}");
    assert!(message.ends_with("the training rows spread by 1e-30 only. Correct the cell."), "{message}");
}

#[test]
fn saving_keeps_the_bits() {
    let learned = learn("a,b\n0.1,7.3\n0.7,1e-9\n1.9,\n3.3,0.2\n", &["b", "a"], &[0, 1, 2, 3], true).unwrap();
    assert_eq!(Preprocess::from_json(&learned.to_json()).unwrap(), learned);
}

#[test]
fn contradictory_files_are_refused() {
    let message = |json: &str| Preprocess::from_json(json).unwrap_err().to_string();
    let start = "this is not a saved preprocessing: ";
    assert!(message("[]").starts_with(start));
    assert_eq!(
        message(r#"{"columns":["a"],"mean":[1,2],"std":[1],"fill":null,"constant":[]}"#),
        format!("{start}`mean` has 2 numbers for 1 column")
    );
    assert_eq!(
        message(r#"{"columns":["a"],"mean":[1],"std":[0],"fill":null,"constant":[]}"#),
        format!("{start}`std` holds a number that is not positive")
    );
    assert!(message(r#"{"columns":["a"],"mean":[1e999],"std":[1],"fill":null,"constant":[]}"#).starts_with(start));
}
