use std::fmt::Write;

use super::*;

fn labelled(csv: &str) -> Labelled {
    Table::parse("t.csv", csv.as_bytes()).unwrap().target("y").unwrap()
}

/// Returns CSV text with twenty rows: `a` counts up from 0, `b` is twice `a`, and `y` is 1 from row 12 on.
fn twenty() -> String {
    (0..20).fold("a,b,y\n".into(), |csv, i| format!("{csv}{i},{},{}\n", i * 2, i32::from(i >= 12)))
}

#[test]
fn a_split_is_ready_to_train_on() {
    let (train, test) = labelled(&twenty()).split(0.75, Seed(7)).unwrap();
    assert_eq!((train.rows(), test.rows(), train.features(), test.features()), (15, 5, 2, 2));
    assert_eq!((train.class_counts(), test.class_counts()), (vec![9, 6], vec![3, 2]));
    assert_eq!(train.feature_names(), ["a", "b"]);
    assert_eq!(train.preprocess(), test.preprocess());
    for column in 0..2 {
        let values: Vec<f64> = train.x().iter().skip(column).step_by(2).map(|&x| f64::from(x)).collect();
        let mean = values.iter().sum::<f64>() / 15.0;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 15.0;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
    }
}

#[test]
fn nothing_is_learned_from_the_test_rows() {
    let csv = twenty();
    let (train, test) = labelled(&csv).standardize(false).split(0.75, Seed(7)).unwrap();
    // Shifts the features of every test row by a million, which must not change a single bit of the preprocessing.
    let moved = test.x().chunks(2).fold(csv.clone(), |csv, row| {
        let (a, b) = (row[0], row[1]);
        csv.replace(&format!("\n{a},{b},"), &format!("\n{},{},", a + 1e6, b - 1e6))
    });
    assert_ne!(csv, moved);
    let (before, _) = labelled(&csv).split(0.75, Seed(7)).unwrap();
    let (after, _) = labelled(&moved).split(0.75, Seed(7)).unwrap();
    assert_eq!(before, after);
    assert_eq!(before.y(), train.y());
}

#[test]
fn without_standardisation_values_stay_as_they_are() {
    let data = labelled("a,y\n1,0\n30,1\n").standardize(false).dataset().unwrap();
    assert_eq!((data.x(), data.y()), (&[1.0, 30.0][..], &[0, 1][..]));
    assert_eq!((data.preprocess().mean(), data.preprocess().std()), (&[0.0][..], &[1.0][..]));
}

#[test]
fn filled_values_come_from_the_training_rows() {
    let csv = twenty().replace("\n3,", "\n,").replace("\n15,", "\n,");
    let table = labelled(&csv).missing(Missing::FillMean);
    let (train, test) = table.split(0.5, Seed(1)).unwrap();
    let fill = train.preprocess().fill().unwrap()[0];
    let (raw, _) = labelled(&twenty()).standardize(false).split(0.5, Seed(1)).unwrap();
    let known: Vec<f32> = raw.x().iter().step_by(2).copied().filter(|a| ![3.0, 15.0].contains(a)).collect();
    let mean = known.iter().map(|&a| f64::from(a)).sum::<f64>() / f64::from(u8::try_from(known.len()).unwrap());
    approx::assert_relative_eq!(fill, mean, max_relative = 1e-15);
    assert_eq!((train.dropped_rows(), test.dropped_rows()), (0, 0));
}

#[test]
fn rows_without_a_label_are_left_out_and_counted() {
    let data = labelled("a,y\n1,0\n2,\n,1\n").missing(Missing::FillMean).dataset().unwrap();
    assert_eq!((data.rows(), data.dropped_rows(), data.y()), (2, 1, &[0, 1][..]));
    let data = labelled("a,y\n1,0\n2,\n,1\n4,1\n").missing(Missing::DropRows).dataset().unwrap();
    assert_eq!((data.rows(), data.dropped_rows(), data.y()), (2, 2, &[0, 1][..]));
    assert!(labelled("a,y\n1,0\n2,\n").dataset().unwrap_err().to_string().contains("1 cell is missing (1 in `y`)"));
}

#[test]
fn dropped_columns_may_be_anything() {
    let data = labelled("id,a,y\nx,1,0\n,2,1\n").drop_columns(["id"]).dataset().unwrap();
    assert_eq!(data.feature_names(), ["a"]);
}

#[test]
fn columns_that_cannot_be_dropped_are_errors() {
    let message = |names: &[&str]| {
        labelled("id,a,y\nx,1,0\nz,2,1\n").drop_columns(names.iter().copied()).dataset().unwrap_err().to_string()
    };
    assert_eq!(
        message(&["idd"]),
        "t.csv: there is no column `idd`. Did you mean `id`? The columns are `id`, `a`, `y`."
    );
    assert_eq!(message(&["y"]), "t.csv: `y` is the target, so it cannot be dropped.");
    assert_eq!(
        message(&["a", "id"]),
        "t.csv: no column is left to learn from: the columns are `id`, `a`, `y`, and `y` is the target."
    );
}

#[test]
fn another_file_is_treated_as_the_training_file_was() {
    let train = labelled("a,b,y\n1,10,B\n3,30,M\n").dataset().unwrap();
    let other = labelled("y,extra,b,a\nM,x,20,2\nM,x,30,1\n");
    let data = other.dataset_with(train.preprocess(), train.classes()).unwrap();
    assert_eq!((data.x(), data.y()), (&[0.0, 0.0, -1.0, 1.0][..], &[1, 1][..]));
    assert_eq!(data.classes(), ["B", "M"]);
    let unknown = labelled("y,b,a\nX,20,2\n").dataset_with(train.preprocess(), train.classes()).unwrap_err();
    assert_eq!(unknown.to_string(), "t.csv, line 2, column `y`: `X` is none of the classes `B`, `M`.");
    let gap = labelled("y,b,a\nM,,2\n").dataset_with(train.preprocess(), train.classes()).unwrap_err();
    assert!(gap.to_string().starts_with("t.csv: 1 cell is missing (1 in `b`)"), "{gap}");
}

#[test]
fn another_file_is_filled_if_the_model_learned_how() {
    let train = labelled("a,y\n1,B\n3,M\n,M\n").missing(Missing::FillMean).dataset().unwrap();
    let data = labelled("a,y\n,M\n").dataset_with(train.preprocess(), train.classes()).unwrap();
    assert_eq!((data.x(), data.y()), (&[0.0][..], &[1][..]));
    let unfilled = labelled("a,y\n1,B\n3,M\n").dataset().unwrap();
    let gap = labelled("a,y\n,M\n").missing(Missing::FillMean);
    let error = gap.dataset_with(unfilled.preprocess(), unfilled.classes()).unwrap_err().to_string();
    assert!(error.contains("line 2, column `a`: the cell is missing, and no value to fill in was learned"), "{error}");
}

#[test]
fn dates_among_the_features_are_errors() {
    let error = labelled("seen,y\n2024-01-31,0\n2024-02-01,1\n").split(0.5, Seed(1)).unwrap_err().to_string();
    assert!(
        error.starts_with("t.csv: a column holds dates, which are neither numbers nor categories: `seen`"),
        "{error}"
    );
}

#[test]
fn rows_on_disk_are_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let rows = 20_000;
    let csv = (0..rows).fold(String::from("a,city,b,y\n"), |mut csv, i| {
        let b = if i % 7 == 0 { "" } else { "0.125" };
        writeln!(csv, "{}.{},c{},{b},{}", i * 37 % 101, i % 10, i % 4, (i / 3) % 2).unwrap();
        csv
    });
    std::fs::write(&path, csv).unwrap();
    let choose = |table: Table| table.target("y").unwrap().missing(Missing::FillMean).split(0.7, Seed(3)).unwrap();
    let (memory, disk) = (choose(Table::read_csv(&path).unwrap()), choose(Table::scan_csv(&path).unwrap()));
    for (memory, disk) in [(&memory.0, &disk.0), (&memory.1, &disk.1)] {
        assert!(disk.is_on_disk() && !memory.is_on_disk() && disk.x().is_empty());
        assert_eq!((memory.y(), memory.preprocess()), (disk.y(), disk.preprocess()));
        let all: Vec<u32> = (0..u32::try_from(memory.rows()).unwrap()).collect();
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(memory.x()), bits(&disk.gather(&all).unwrap()));
        let odd: Vec<u32> = all.iter().rev().copied().filter(|row| row % 3 == 1).collect();
        let (left, right) = (memory.subset(&odd).unwrap(), disk.subset(&odd).unwrap().subset(&all[..50]).unwrap());
        assert_eq!(left.gather(&all[..50]).unwrap(), right.gather(&all[..50]).unwrap());
        assert_eq!(left.y()[..50], *right.y());
    }
}

#[test]
fn breast_cancer_is_standardised_as_by_scikit_learn() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/data/breast_cancer.csv");
    let table = Table::read_csv(path).unwrap().target("malignant").unwrap();
    let all = table.dataset().unwrap();
    assert_eq!((all.rows(), all.features(), all.class_counts()), (569, 30, vec![357, 212]));
    // The expected values are `mean_` and `scale_` of sklearn.preprocessing.StandardScaler().fit(x), for the first
    // and the last column.
    let learned = all.preprocess();
    for (ours, theirs) in [
        (learned.mean()[0], 14.127_291_739_894_563),
        (learned.std()[0], 3.520_950_760_711_062_6),
        (learned.mean()[29], 0.083_945_817_223_198_55),
        (learned.std()[29], 0.018_045_389_308_594_995),
    ] {
        approx::assert_relative_eq!(ours, theirs, max_relative = 1e-13);
    }
    let (train, test) = table.split(0.8, Seed(7)).unwrap();
    assert_eq!((train.class_counts(), test.class_counts()), (vec![286, 170], vec![71, 42]));
    assert_eq!(train.pos_weight().to_bits(), (286.0_f32 / 170.0).to_bits());
}

#[test]
fn random_bytes_never_panic() {
    let alphabet =
        [b"0", b"1", b"7", b".", b"-", b"e", b"x", b"y", b",", b",", b"\"", b"\n", b"\n", b"\r", b" ", b"\xc3"];
    let mut pieces: Vec<usize> = (0..64).map(|i| i % alphabet.len()).collect();
    for seed in 0..5000 {
        wgrad_core::SplitMix64::new(Seed(seed), 0).shuffle(&mut pieces);
        let length = 4 + pieces[0] * 4;
        let body: Vec<u8> = pieces[..length].iter().flat_map(|&at| alphabet[at]).copied().collect();
        for header in [&b"a,y\n"[..], b"y\n", b""] {
            for missing in [Missing::Refuse, Missing::DropRows, Missing::FillMean] {
                let table = Table::parse("t.csv", &[header, &body].concat()).and_then(|table| table.target("y"));
                let split = table.and_then(|table| table.missing(missing).split(0.5, Seed(seed)));
                if let Ok((train, test)) = split {
                    assert_eq!(train.x().len() + test.x().len(), train.rows() + test.rows());
                }
            }
        }
    }
}
