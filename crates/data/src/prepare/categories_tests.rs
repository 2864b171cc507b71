use crate::{Dataset, Missing, Preprocess, Table};
use wgrad_core::Result;

const TOWNS: &str = "city,a,y\nRome,1,0\nParis,2,1\nRome,3,0\nOslo,4,1\nParis,5,1\n";

fn data(csv: &str) -> Result<Dataset> {
    Table::parse("t.csv", csv.as_bytes())?.target("y")?.standardize(false).dataset()
}

fn apply(preprocess: &Preprocess, csv: &str) -> Vec<f64> {
    preprocess.apply(&Table::parse("new.csv", csv.as_bytes()).unwrap()).unwrap().to_f64()
}

#[test]
fn categories_are_one_hot_and_rare_ones_are_unseen() {
    // The same as scikit-learn's OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist").
    let train = data(TOWNS).unwrap();
    assert_eq!(train.feature_names(), ["city=Paris", "city=Rome", "city=?", "a"]);
    assert_eq!(train.x()[..12], [0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 2.0, 0.0, 1.0, 0.0, 3.0]);
    assert_eq!(train.x()[12..], [0.0, 0.0, 1.0, 4.0, 1.0, 0.0, 0.0, 5.0]);
    assert_eq!(apply(train.preprocess(), "a,city\n7,Bonn\n8,Rome\n"), [0.0, 0.0, 1.0, 7.0, 0.0, 1.0, 0.0, 8.0]);
}

#[test]
fn an_untrained_unseen_category_is_all_zeros() {
    // The same as scikit-learn's OneHotEncoder(handle_unknown="ignore").
    let train = data("city,y\nRome,0\nParis,1\nRome,0\nParis,1\n").unwrap();
    assert_eq!(train.preprocess().categories()[0].unseen(), 0);
    assert_eq!(apply(train.preprocess(), "city\nBonn\nParis\n"), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_missing_category_is_refused_or_the_unseen_one() {
    let gaps = "city,y\nRome,0\n,1\nRome,0\nParis,1\nParis,0\n";
    assert!(data(gaps).unwrap_err().to_string().contains("1 cell is missing (1 in `city`)"));
    let table = Table::parse("t.csv", gaps.as_bytes()).unwrap().target("y").unwrap();
    let train = table.missing(Missing::FillMean).dataset().unwrap();
    assert_eq!(train.x()[3..6], [0.0, 0.0, 1.0]);
    assert_eq!(apply(train.preprocess(), "city\nNA\n\"\"\n"), [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    let full = data(TOWNS).unwrap();
    let gap = full.preprocess().apply(&Table::parse("new.csv", b"city,a\n,1\nRome,2\n").unwrap()).unwrap_err();
    assert!(gap.to_string().starts_with("new.csv, line 2, column `city`: the cell is missing"), "{gap}");
}

#[test]
fn categories_are_saved_and_older_files_are_read() {
    let train = data(TOWNS).unwrap();
    let json = train.preprocess().to_json();
    assert!(json.contains(r#""categories":[{"column":"city","levels":["Paris","Rome"],"unseen":1}]"#), "{json}");
    let again = Preprocess::from_json(&json).unwrap();
    assert_eq!((&again, again.features()), (train.preprocess(), train.feature_names()));
    let old = r#"{"columns":["a"],"mean":[2.0],"std":[1.0],"fill":null,"constant":[]}"#;
    assert_eq!(Preprocess::from_json(old).unwrap().features(), ["a"]);
    for wrong in [json.replace("\"Rome\"", "\"Paris\""), json.replace("\"column\":\"city\"", "\"column\":\"town\"")] {
        assert!(Preprocess::from_json(&wrong).unwrap_err().to_string().contains("the categories of `"), "{wrong}");
    }
}

#[test]
fn embedded_a_column_is_the_number_of_its_category() {
    let table = Table::parse("t.csv", TOWNS.as_bytes()).unwrap().target("y").unwrap();
    let train = table.standardize(false).embed(["city"]).dataset().unwrap();
    assert_eq!(train.feature_names(), ["city", "a"]);
    assert_eq!(train.x(), [1.0, 1.0, 0.0, 2.0, 1.0, 3.0, 2.0, 4.0, 0.0, 5.0]);
    let categories = &train.preprocess().categories()[0];
    assert_eq!(
        (categories.size(), categories.is_embedded(), categories.levels()),
        (3, true, &["Paris".into(), "Rome".into()][..])
    );
    assert_eq!(apply(train.preprocess(), "city,a\nBonn,1\n"), [2.0, 1.0]);
    let numbers = table_of_numbers().embed(["a"]).dataset().unwrap_err().to_string();
    assert!(numbers.starts_with("t.csv: column `a` holds numbers, so it has no categories to embed."), "{numbers}");
}

fn table_of_numbers() -> crate::Labelled {
    Table::parse("t.csv", b"a,y\n1,0\n2,1\n").unwrap().target("y").unwrap()
}

#[test]
fn booleans_are_zero_and_one() {
    let train = data("b,y\ntrue,0\nFALSE,1\nTrue,0\n").unwrap();
    assert_eq!((train.feature_names(), train.x()), (&["b".to_string()][..], &[1.0, 0.0, 1.0][..]));
    assert_eq!(apply(train.preprocess(), "b\n1\n0\n"), [1.0, 0.0]);
    let numbers = data("b,y\n1,0\n0,1\n").unwrap();
    assert_eq!(apply(numbers.preprocess(), "b\ntrue\nfalse\n"), [1.0, 0.0]);
    let text = Table::parse("new.csv", b"b\nmaybe\n").unwrap();
    assert_eq!(
        numbers.preprocess().apply(&text).unwrap_err().to_string(),
        "new.csv: column `b` is text (`maybe` on line 2), but the model was trained on numbers there. Correct the column."
    );
}

#[test]
fn categories_that_look_like_numbers_are_known() {
    let train = data("code,y\n07,0\nx,1\n07,0\nx,1\n12,1\n12,0\nx,1\nx,0\n").unwrap();
    assert_eq!(train.feature_names(), ["code=07", "code=12", "code=x", "code=?"]);
    assert_eq!(
        apply(train.preprocess(), "code\n12\n07\n5\n"),
        [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    );
}

#[test]
fn identifiers_and_too_many_categories_are_refused_with_advice() {
    let ids = (0..30).fold("id,y\n".to_string(), |csv, i| format!("{csv}u{i},{}\n", i % 2));
    assert_eq!(
        data(&ids).unwrap_err().to_string(),
        "t.csv: column `id` is text with 30 distinct values in 30 training rows, most of which have fewer than 2 rows, as \
         an identifier has. Drop the column with .drop_columns([\"id\"]), or write what its texts have in common."
    );
    let many = (0..303).fold("c,y\n".to_string(), |csv, i| format!("{csv}c{},{}\n", i % 101, i % 2));
    let message = data(&many).unwrap_err().to_string();
    assert!(
        message.starts_with("t.csv: column `c` is text with 101 categories, and one-hot they would be"),
        "{message}"
    );
    assert!(message.contains(".max_categories(101)."), "{message}");
    let table = Table::parse("t.csv", many.as_bytes()).unwrap().target("y").unwrap();
    assert_eq!(table.max_categories(101).dataset().unwrap().features(), 102);
}

#[test]
fn a_column_of_one_category_is_constant() {
    let train = data("city,a,y\nRome,1,0\nRome,2,1\n").unwrap();
    assert_eq!(train.preprocess().constant_columns(), ["city"]);
}
