//! Tests of the options for the data: categories, splits, and rows that are kept on disk.

mod common;

use common::{Place, csv, two_classes};

/// Returns a data set with a column of each type. The town determines the class.
fn towns() -> String {
    csv("town,member,size,visit,who,sick", 90, |i| {
        let town = ["Rome", "Paris", "Oslo"][i as usize % 3];
        let sick = if town == "Rome" || i % 30 == 7 { "yes" } else { "no" };
        format!("{town},{},{}.5,2024-{:02}-{:02},p{},{sick}", i % 2 == 0, i * 7 % 11, i / 28 + 1, i % 28 + 1, i / 5)
    })
}

#[test]
fn text_becomes_categories_and_predict_knows_them_again() {
    let place = Place::new();
    place.write("towns.csv", towns());
    let train = "train towns.csv --target sick --drop visit,who --hidden 8 --epochs 40 --lr 0.01 --device cpu --out m --json --quiet";
    let result = place.wgrad(train).good().json();
    assert!(result["accuracy"].as_f64().unwrap() > 0.85, "{result}");
    let model: serde_json::Value = serde_json::from_str(&place.text("m/model.json")).unwrap();
    assert_eq!(model["architecture"]["inputs"], 6);
    assert_eq!(model["preprocess"]["categories"][0]["levels"], serde_json::json!(["Oslo", "Paris", "Rome"]));
    place.write("new.csv", "member,size,town\ntrue,1.5,Rome\nfalse,2.5,Oslo\nfalse,2.5,Bonn\n");
    let out = place.wgrad("predict m new.csv --device cpu").good().out;
    let labels: Vec<&str> = out.lines().skip(1).filter_map(|line| line.rsplit(',').next()).collect();
    assert_eq!((labels.len(), &labels[..2]), (3, &["yes", "no"][..]), "{out}");
}

#[test]
fn dates_and_identifiers_are_refused_with_the_options_to_use() {
    let place = Place::new();
    place.write("towns.csv", towns());
    let dates = [
        "a column holds dates, which are neither numbers nor categories: `visit` (`2024-01-01` on line 2).",
        "Drop it with --drop visit, or",
        "use --time visit, which drops it too.",
    ];
    place.wgrad("train towns.csv --target sick --device cpu").bad(1, &dates);
    let limit =
        ["`town` is text with 3 categories", "the limit is 2", "with --min-frequency N, or", "--max-categories 3."];
    place.wgrad("train towns.csv --target sick --drop visit --max-categories 2 --device cpu").bad(1, &limit);
    let ids = csv("id,a,y", 40, |i| format!("u{i},{i},{}", i % 2));
    place.write("ids.csv", ids);
    place
        .wgrad("train ids.csv --target y --device cpu")
        .bad(1, &["as an identifier has. Drop the column with --drop id,"]);
}

#[test]
fn rows_are_split_by_group_and_by_time() {
    let place = Place::new();
    place.write("towns.csv", towns());
    let common =
        "train towns.csv --target sick --hidden none --epochs 1 --device cpu --out m --test 0.2 --validation 0.1";
    let time = place.wgrad(&format!("{common} --time visit --drop who")).good();
    assert!(
        time.err.contains("towns.csv: 63 rows to train on, 9 to validate on, 18 to test on, 6 features"),
        "{}",
        time.err
    );
    let group = place.wgrad(&format!("{common} --group-by who --drop visit")).good();
    assert!(group.err.contains("rows to train on, 10 to validate on, 20 to test on, 6 features"), "{}", group.err);
    place.wgrad(&format!("{common} --group-by who --time visit")).bad(2, &["cannot be used with"]);
    place.wgrad(&format!("{common} --time town --drop visit,who")).bad(1, &["`Rome` is no time", "line 2"]);
    place.wgrad(&format!("{common} --group-by sick --drop visit")).bad(1, &["`sick` is the target"]);
    place.wgrad(&format!("{common} --validation 0.9 --drop visit")).bad(2, &["cannot be used multiple times"]);
    let most = "train towns.csv --target sick --drop visit,who --test 0.5 --validation 0.5 --device cpu";
    place.wgrad(most).bad(1, &["leave none to train on"]);
}

#[test]
fn a_model_of_rows_on_disk_has_the_same_bytes() {
    let place = Place::new();
    place.write("t.csv", two_classes());
    let train = "train t.csv --target sick --epochs 3 --device cpu --seed 5 --validation 0.1 --quiet";
    let memory = place.wgrad(&format!("{train} --out a")).good();
    let disk = place.wgrad(&format!("{train} --out b --stream")).good();
    assert_eq!(memory.out, disk.out);
    assert_eq!(place.read("a/model.safetensors"), place.read("b/model.safetensors"));
    assert_eq!(place.names(), ["a", "b", "t.csv"]);
}

#[test]
fn a_rare_class_is_reported_with_the_effect_of_weights() {
    let place = Place::new();
    let rows =
        csv("size,sick", 100, |i| format!("{},{}", f64::from(i) * 0.37 % 5.0, if i % 20 == 0 { "yes" } else { "no" }));
    place.write("rare.csv", rows);
    let report = |options: &str| {
        let run =
            place.wgrad(&format!("train rare.csv --target sick --epochs 1 --device cpu --no-report --out m {options}"));
        run.good().err
    };
    // Four of the eighty training rows are positive, so the loss is the entropy of the probabilities 0.05 and
    // 0.95.
    let plain = report("");
    assert!(
        plain.contains(
            "note: 5.00 % of the training rows are yes; always predicting the class frequencies has a loss of 0.1985; --pos-weight auto \
             weighs a positive row as 19.000, and --threshold f1 chooses another threshold than 0.5\n\
             start: predicts the class frequencies for every row, a loss of 0.1985\n"
        ),
        "{plain}"
    );
    for weighted in ["--pos-weight auto", "--pos-weight 19", "--sampler balanced"] {
        let text = report(weighted);
        assert!(text.contains("5.00 % of the training rows are yes, and the loss sees 50.0 %"), "{text}");
        assert!(text.contains("taken out of the probabilities again") && text.contains("a loss of 0.6931\n"), "{text}");
    }
    assert!(!report("--start random").contains("start:"));
    place
        .wgrad("train rare.csv --target sick --sampler balanced --pos-weight 2 --device cpu")
        .bad(1, &["both balance the classes"]);
    place.write("ok.csv", two_classes());
    assert!(
        !place
            .wgrad("train ok.csv --target sick --epochs 1 --device cpu --out ok")
            .good()
            .err
            .contains("always predicting")
    );
}

#[test]
fn a_model_starts_with_the_class_frequencies() {
    let place = Place::new();
    place.write("rare.csv", csv("size,sick", 100, |i| format!("{},{}", i * 37 % 51, u8::from(i % 20 == 0))));
    // With a tiny learning rate, the weights do not move, so these are the losses of the initial weights.
    let loss = |options: &str| {
        let run = place.wgrad(&format!(
            "train rare.csv --target sick --epochs 1 --lr 1e-30 --device cpu-f64 --json --no-report --out m {options}"
        ));
        let line = run.good().out;
        let json: serde_json::Value = serde_json::from_str(line.lines().last().expect("a line")).expect("JSON");
        json["train_loss"].as_f64().expect("a loss")
    };
    let entropy = -(0.05 * 0.05_f64.ln() + 0.95 * 0.95_f64.ln());
    assert!((loss("") - entropy).abs() < 1e-6, "{}", loss(""));
    assert!((loss("--sampler balanced") - 2_f64.ln()).abs() < 1e-6);
    assert!((loss("--start random") - entropy).abs() > 0.1);
}

#[test]
fn a_column_is_embedded_saved_and_predicted_from() {
    let place = Place::new();
    let rows = csv("n,word,m,class", 200, |i| {
        format!("{},w{},{},{}", i * 37 % 101, i * 7 % 23, i % 5, if (i * 7 % 23) % 3 == 0 { "yes" } else { "no" })
    });
    place.write("words.csv", rows);
    let run = place.wgrad("train words.csv --target class --embed word --epochs 30 --device cpu --out m").good();
    assert!(run.out.contains("accuracy"), "{}", run.out);
    let model = place.text("m/model.json");
    // The rule 1.6 · 24^0.56 = 9.5 gives vectors of length 9, for 23 words and the category of unseen words.
    assert!(model.contains("Embedding(24, 9) in place of feature 1 (word)"), "{model}");
    assert!(model.contains("Linear(11, 64)"), "{model}");
    let json: serde_json::Value = serde_json::from_str(&model).expect("JSON");
    assert!(json["test"]["accuracy"].as_f64().expect("a number") > 0.95, "the word says all");
    // A word that does not occur in the training rows counts as unseen.
    place.write("new.csv", "m,word,n\n1,w3,50\n1,w4,50\n1,other,50\n");
    let out = place.wgrad("predict m new.csv --device cpu").good().out;
    let labels: Vec<&str> = out.lines().skip(1).map(|line| line.rsplit(',').next().expect("a label")).collect();
    assert_eq!(labels[..2], ["yes", "no"], "{out}");
    place.wgrad("train words.csv --target class --embed n").bad(1, &["column `n` holds numbers"]);
    place.wgrad("train words.csv --target class --embed wrd").bad(1, &["Did you mean `word`"]);
}
