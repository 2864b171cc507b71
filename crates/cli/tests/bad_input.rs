//! Tests with invalid input: the command prints a clear message, exits with the right code, and leaves no partial
//! output.

mod common;

use common::{Place, csv, two_classes};

/// Trains on a CSV file with the text `csv`. The training must fail, print all of `words`, and leave no files.
#[track_caller]
fn refused(csv: &str, options: &str, words: &[&str]) {
    let place = Place::new();
    place.write("t.csv", csv);
    place.wgrad(&format!("train t.csv --target y --out new/m --device cpu {options}")).bad(1, words);
    assert_eq!(place.names(), ["t.csv"], "something was left behind");
}

fn rows(header: &str, row: impl Fn(u32) -> String) -> String {
    csv(header, 40, row)
}

#[test]
fn a_missing_file_is_named() {
    Place::new().wgrad("train none.csv --target y").bad(1, &["none.csv: there is no such file in"]);
}

#[test]
fn an_empty_file_and_one_with_a_header_only() {
    refused("", "", &["t.csv: the file is empty"]);
    refused("a,y\n", "", &["t.csv: there is a header, but no row below it"]);
}

#[test]
fn a_missing_target_lists_the_columns() {
    refused("a,Y\n1,2\n", "", &["there is no column `y`", "Did you mean `Y`?", "`a`, `Y`"]);
}

#[test]
fn one_class_only() {
    refused(&rows("a,y", |i| format!("{i},7")), "", &["every label in column `y` is `7`", "two classes"]);
}

#[test]
fn text_in_a_column_of_numbers_is_named_by_row_and_column() {
    let stray = rows("a,b,y", |i| format!("{i},{},{}", if i == 7 { "oops".into() } else { i.to_string() }, i % 2));
    refused(&stray, "", &["t.csv, line 9, column `b`: `oops` is not a number", "drop the column with --drop b."]);
    let text = rows("a,my day,y", |i| format!("{i},2024-01-{:02},{}", i % 28 + 1, i % 2));
    refused(&text, "", &["`my day` (`2024-01-01` on line 2)", "Drop it with --drop 'my day'"]);
}

#[test]
fn missing_cells_are_counted_and_the_options_named() {
    let gaps = rows("a,b,y", |i| {
        format!("{},{},{}", if i % 9 == 0 { "" } else { "1" }, if i == 3 { "NaN" } else { "2" }, i % 2)
    });
    let words = [
        "6 cells are missing (5 in `a`, 1 in `b`)",
        "line 2",
        "--missing drop leaves out 6 of the 40 rows",
        "--missing mean fills",
    ];
    refused(&gaps, "", &words);
}

#[test]
fn rows_of_unequal_length() {
    refused("a,b,y\n1,2,0\n1,2\n", "", &["t.csv, line 3: 2 fields where the header names 3 columns"]);
}

#[test]
fn too_few_rows() {
    refused("a,y\n1,0\n2,1\n", "", &["too few rows to split"]);
}

#[test]
fn options_that_do_not_fit_the_data() {
    let three = rows("a,b,y", |i| format!("{i},{},{}", i * i, i % 3));
    refused(&three, "--loss bce", &["--loss bce needs two classes, but column `y` has 3", "--loss ce"]);
    refused(&three, "--pos-weight auto", &["--pos-weight is for one logit"]);
    refused(&three, "--positive 1", &["there are 3 classes, not 2"]);
    refused(&three, "--drop c", &["there is no column `c`"]);
    refused(&three, "--drop a,b", &["no column is left to learn from"]);
    refused(&three, "--drop y", &["`y` is the target, so it cannot be dropped"]);
}

#[test]
fn a_training_that_diverges_saves_nothing() {
    let rows = rows("a,b,y", |i| format!("{i},{},{}", i * 17 % 23, i % 2));
    refused(&rows, "--lr 1e30", &["the loss is", "nothing was saved", "--lr 0.001"]);
}

#[test]
fn an_unknown_device_lists_the_others() {
    let rows = rows("a,y", |i| format!("{i},{}", i % 2));
    let place = Place::new();
    place.write("t.csv", rows);
    place.wgrad("train t.csv --target y --device toaster").bad(1, &["`toaster`", "`cpu`", "wgrad devices"]);
    assert_eq!(place.names(), ["t.csv"]);
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let place = Place::new();
    place.write("t.csv", two_classes());
    for (out, words) in
        [("t.csv", "t.csv is a file, so nothing can be saved in it"), ("t.csv/deep/m", "cannot be written")]
    {
        let run = place.wgrad(&format!("train t.csv --target sick --out {out}")).bad(1, &[words, "--out"]);
        assert!(!run.err.contains("epoch"), "found out before training: {}", run.err);
    }
    assert_eq!((place.names(), place.text("t.csv")), (vec!["t.csv".into()], two_classes()));
}

#[test]
fn options_out_of_range_are_usage_errors_naming_the_range() {
    let place = Place::new();
    place.write("t.csv", two_classes());
    for (option, range) in [
        ("--lr 0", "a number above 0"),
        ("--lr -1", "a number above 0"),
        ("--lr nan", "a number above 0"),
        ("--weight-decay -1", "0 or above"),
        ("--epochs 0", "at least 1"),
        ("--batch-size 0", "at least 2"),
        ("--batch-size 1", "batch norm needs two rows"),
        ("--test 0", "above 0 and below 1"),
        ("--test 1", "above 0 and below 1"),
        ("--hidden 0", "widths from 1 to"),
        ("--hidden 8,,8", "with commas between them"),
        ("--dropout 1", "at least 0 and below 1"),
        ("--pos-weight -2", "none, auto or a number above 0"),
        ("--missing zero", "refuse, drop, mean"),
        ("--loss mse", "bce, ce"),
        ("--seed x", "--seed"),
    ] {
        place
            .wgrad(&format!("train t.csv --target sick {option}"))
            .bad(2, &[option.split(' ').next().unwrap_or(""), range]);
    }
    place.wgrad("train t.csv").bad(2, &["--target"]);
    place.wgrad("predict m").bad(2, &["<FILE>"]);
    assert_eq!(place.names(), ["t.csv"]);
}

/// Returns a folder with the file `ok.csv` and a model `m` that was trained on it.
fn trained() -> Place {
    let place = Place::new();
    place.write("ok.csv", two_classes());
    place.wgrad("train ok.csv --target sick --epochs 1 --hidden 8 --device cpu --out m").good();
    place
}

#[test]
fn a_folder_that_is_no_model() {
    let place = trained();
    place.wgrad("predict ok.csv ok.csv").bad(1, &["ok.csv is no folder, so it is no saved model"]);
    place.wgrad("predict nothing ok.csv").bad(1, &["nothing is no folder"]);
    place.wgrad("predict . ok.csv").bad(1, &["has no model.json", "wgrad train"]);
}

#[test]
fn missing_columns_at_prediction_are_listed() {
    let place = trained();
    place.write("t.csv", "b,c\n1,2\n");
    place.wgrad("predict m t.csv --out p.csv").bad(1, &["t.csv: a column is missing: `a`", "The file has `b`, `c`"]);
    place.write("t.csv", "c\n1\n");
    place.wgrad("predict m t.csv --out p.csv").bad(1, &["2 columns are missing: `a`, `b`"]);
    place.write("t.csv", "a,b\n1,2\n2,3\n3,x\n");
    place
        .wgrad("predict m t.csv --out p.csv")
        .bad(1, &["line 4, column `b`: `x` is not a number", "`wgrad train` and --drop b"]);
    assert_eq!(place.names(), ["m", "ok.csv", "t.csv"]);
}

#[test]
fn predictions_do_not_overwrite_their_input() {
    let place = trained();
    place.wgrad("predict m ok.csv --out ./ok.csv").bad(1, &["would be overwritten"]);
    place.wgrad("predict m ok.csv --out m").bad(1, &["m is not the name of a file"]);
    place.wgrad("predict m ok.csv --out ok.csv/p.csv").bad(1, &["is a file, so nothing can be saved in it"]);
    assert_eq!((place.names(), place.text("ok.csv")), (vec!["m".into(), "ok.csv".into()], two_classes()));
}

#[test]
fn damaged_and_foreign_weights_are_refused() {
    let place = trained();
    let whole = place.read("m/model.safetensors");
    for (bytes, words) in [
        (&whole[..whole.len() - 100], "cut off"),
        (&whole[..4], "too short"),
        (&[][..], "the file is empty"),
        (b"PK\x03\x04 and more bytes", "zip archive"),
        (b"hello, this is some text", "not a safetensors file"),
    ] {
        place.write("m/model.safetensors", bytes);
        place.wgrad("predict m ok.csv --out p.csv").bad(1, &["m/model.safetensors", words]);
    }
    place.wgrad("train ok.csv --target sick --epochs 1 --hidden 9 --device cpu --out other").good();
    place.write("m/model.safetensors", place.read("other/model.safetensors"));
    place.wgrad("predict m ok.csv --out p.csv").bad(1, &["does not fit model.json", "another model", "0.weight"]);
    std::fs::remove_file(place.path("m/model.safetensors")).expect("a file");
    place.wgrad("predict m ok.csv --out p.csv").bad(1, &["m/model.safetensors is missing"]);
    assert_eq!(place.names(), ["m", "ok.csv", "other"]);
}

/// Trains and predicts with output folders under `/sys`, to which not even the superuser can write.
#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_reported_before_training() {
    let place = Place::new();
    place.write("ok.csv", two_classes());
    for out in ["/sys/kernel/wgrad", "/sys/kernel"] {
        let run = place.wgrad(&format!("train ok.csv --target sick --device cpu --out {out}"));
        let err = run.bad(1, &[out, "cannot be written", "choose another place with --out"]).err;
        assert!(!err.contains("epoch"), "{err}");
    }
    place.wgrad("train ok.csv --target sick --epochs 1 --device cpu --no-report --out m").good();
    place.wgrad("predict m ok.csv --device cpu --out /sys/kernel/p.csv").bad(1, &["/sys/kernel"]);
}

#[test]
fn a_damaged_description_is_refused() {
    let place = trained();
    let text = place.text("m/model.json");
    for (from, to, words) in [
        ("{", "", "is not the description of a model"),
        ("wgrad-classifier", "gguf", "its format is `gguf`"),
        ("\"version\": 1", "\"version\": 2", "is of version 2, and this wgrad reads version 1"),
        ("\"inputs\": 2", "\"inputs\": 3", "3 inputs for 2 features"),
        ("\"loss\": \"bce\"", "\"loss\": \"ce\"", "1 logit for 2 classes"),
        ("      8\n", "      99999999\n", "impossible size"),
        ("      8\n", "      7\n", "`layers` does not agree"),
    ] {
        assert!(text.contains(from), "{from}");
        place.write("m/model.json", text.replacen(from, to, 1));
        place.wgrad("predict m ok.csv").bad(1, &["m/model.json", words]);
    }
}

#[test]
fn a_damaged_description_of_a_model_is_refused_or_read() {
    let place = Place::new();
    place.write("ok.csv", two_classes());
    place.wgrad("train ok.csv --target sick --epochs 1 --hidden 4 --device cpu --no-report --out m").good();
    let whole = place.read("m/model.json");
    let mut state = 7_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for case in 0..80 {
        let mut text = whole.clone();
        let at = random(text.len());
        match case % 4 {
            0 => text.truncate(at),
            1 => text[at] ^= 1 << random(7),
            2 => drop(text.drain(at..(at + 1 + random(40)).min(whole.len()))),
            // Nines inserted before a digit make a number that is too large for any memory.
            _ => {
                let digits = text.iter().position(u8::is_ascii_digit).unwrap_or(0).max(at);
                text.splice(digits..digits, *b"99999999999");
            }
        }
        place.write("m/model.json", &text);
        let run = place.wgrad("predict m ok.csv --device cpu");
        assert!(matches!(run.code, Some(0 | 1)) && !run.err.contains("panicked"), "case {case}: {}", run.err);
    }
}
