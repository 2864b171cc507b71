//! Tests of thresholds, calibration, reports and `wgrad compare`, through the command.

mod common;

use common::{Place, csv};
use serde_json::Value;

/// Returns rows whose classes overlap. A fifth of the rows are positive.
fn mixed() -> String {
    csv("a,b,c,sick", 300, |i| {
        let noise = |k: u32| f64::from((i * k) % 101) / 101.0;
        let class = if i % 5 == 0 { "yes" } else { "no" };
        format!("{:.4},{:.4},{},{class}", noise(37) + if i % 5 == 0 { 0.35 } else { 0.0 }, noise(53), i % 3)
    })
}

const TRAIN: &str = "train mixed.csv --target sick --epochs 4 --device cpu --hidden 8";

/// Returns a folder with models trained on `mixed.csv`. `runs` lists the name and the training options of each
/// model.
fn trained(runs: &[(&str, &str)]) -> Place {
    let place = Place::new();
    place.write("mixed.csv", mixed());
    for (out, options) in runs {
        place.wgrad(&format!("{TRAIN} {options} --out {out}")).good();
    }
    place
}

fn model(place: &Place, name: &str) -> Value {
    serde_json::from_slice(&place.read(&format!("{name}/model.json"))).expect("JSON")
}

/// Parses the predictions: for each row, the probability of `yes` and the label.
fn predictions(text: &str) -> Vec<(f64, String)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[1].parse().expect("a probability"), cells[2].to_string())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn a_decision_is_stored_printed_and_used() {
    let place = trained(&[]);
    let run = place.wgrad(&format!("{TRAIN} --threshold f2 --calibrate platt --out m")).good();
    for word in
        ["60 to validate on", "probabilities calibrated (Platt, slope", "chosen for best F2 (from 60 validation rows)"]
    {
        assert!(run.err.contains(word), "{word}: {}", run.err);
    }
    let json = model(&place, "m");
    assert_eq!((&json["decision"]["rule"], &json["training"]["validation_rows"]), (&"f2".into(), &60.into()));
    let slope = json["decision"]["calibration"]["platt"]["slope"].as_f64().expect("a slope");
    let intercept = json["decision"]["calibration"]["platt"]["intercept"].as_f64().expect("an intercept");
    let threshold = json["decision"]["threshold"].as_f64().expect("a logit");
    let run = place.wgrad("predict m mixed.csv --device cpu").good();
    assert!(
        run.err.contains("note: probabilities calibrated (Platt") && run.err.contains("`yes` above"),
        "{}",
        run.err
    );
    let limit = 1.0 / (1.0 + (-(slope * threshold + intercept)).exp());
    let predicted = predictions(&run.out);
    assert!(predicted.iter().any(|(p, label)| *p < 0.5 && label == "yes"), "F2 takes less than a half");
    for (p, label) in predicted.iter().filter(|(p, _)| (p - limit).abs() > 1e-5) {
        assert_eq!(label, if *p > limit { "yes" } else { "no" }, "{p} at {limit}");
    }
}

#[test]
fn weights_and_resampling_change_only_the_threshold() {
    let place = trained(&[
        ("weight", "--pos-weight 4"),
        ("sampler", "--sampler balanced"),
        ("raw", "--pos-weight 4 --calibrate none"),
        ("half", "--pos-weight 4 --threshold 0.5"),
    ]);
    for name in ["weight", "sampler"] {
        let decision = &model(&place, name)["decision"];
        // 48 of 240 rows are positive. So with either option, `--pos-weight 4` or `--sampler balanced`, a positive
        // row counts four times as much as a negative row.
        assert!((decision["calibration"]["platt"]["intercept"].as_f64().expect("a number") + 4_f64.ln()).abs() < 1e-6);
        assert!(decision["threshold"].as_f64().expect("a logit").abs() < 1e-6, "where the model has one half");
        let rows = predictions(&place.wgrad(&format!("predict {name} mixed.csv --device cpu")).good().out);
        assert!(rows.iter().all(|(p, label)| (p - 0.2).abs() < 1e-6 || (*p > 0.2) == (label == "yes")));
    }
    assert_eq!(model(&place, "raw")["decision"]["calibration"], Value::Null);
    assert!((model(&place, "half")["decision"]["threshold"].as_f64().expect("a logit") - 4_f64.ln()).abs() < 1e-6);
    assert!(place.text("sampler/report.html").contains("as the loss sees it"));
}

#[test]
fn a_model_without_a_decision_can_be_read() {
    let place = trained(&[("m", "--validation 0.2 --calibrate isotonic --threshold 0.2"), ("plain", "--no-report")]);
    let calibrated = place.wgrad("predict m mixed.csv --device cpu").good();
    let mut json = model(&place, "m");
    json.as_object_mut().expect("an object").remove("decision");
    json["training"].as_object_mut().expect("an object").remove("validation_rows");
    place.write("m/model.json", json.to_string());
    let run = place.wgrad("predict m mixed.csv --device cpu").good();
    assert!(!run.err.contains("probabilities"), "{}", run.err);
    assert_ne!(run.out, calibrated.out);
    assert!(predictions(&run.out).iter().all(|(p, label)| (*p > 0.5) == (label == "yes")));
    json["decision"] = serde_json::json!({"calibration": {"temperature": -1.0}, "threshold": 0.0, "rule": "0.5"});
    place.write("m/model.json", json.to_string());
    place
        .wgrad("predict m mixed.csv")
        .bad(1, &["m/model.json is not the description", "numbers of the calibration are invalid"]);
    assert_eq!(model(&place, "plain")["decision"]["rule"], "0.5");
}

#[test]
fn invalid_decision_options_are_refused_before_training() {
    let place = trained(&[]);
    place.wgrad(&format!("{TRAIN} --threshold best")).bad(2, &["`best` is no rule for a threshold", "precision=0.9"]);
    place.wgrad(&format!("{TRAIN} --calibrate sigmoid")).bad(2, &["`sigmoid` is no calibration"]);
    place.wgrad(&format!("{TRAIN} --threshold f1 --validation 0")).bad(1, &["--validation cannot be 0"]);
    place.write("three.csv", csv("a,k", 60, |i| format!("{},{}", i % 7, ["x", "y", "z"][i as usize % 3])));
    let three = "train three.csv --target k --epochs 1 --device cpu";
    place.wgrad(&format!("{three} --threshold f1")).bad(1, &["--threshold is for two classes, but there are 3"]);
    place.wgrad(&format!("{three} --calibrate platt")).bad(1, &["use --calibrate temperature"]);
    assert_eq!(place.names(), ["mixed.csv", "three.csv"]);
}

#[test]
fn an_impossible_decision_is_a_warning() {
    let place = Place::new();
    // The feature is constant, so all rows have the same logit.
    place.write("noise.csv", csv("a,sick", 200, |i| format!("3,{}", u8::from((i * 31) % 97 < 12))));
    let run =
        place.wgrad("train noise.csv --target sick --epochs 2 --device cpu --threshold precision=0.99 --out m").good();
    assert!(run.err.contains("warning: the threshold is 0.5, as precision=0.99 is not possible on"), "{}", run.err);
    assert_eq!(model(&place, "m")["decision"]["rule"], "0.5");
    assert!(place.text("m/report.html").contains("is not possible on"));
}

#[test]
fn a_run_writes_a_report_unless_no_report() {
    let place = trained(&[("m", ""), ("n", "--no-report")]);
    let files = |name: &str| {
        let mut all: Vec<_> = (std::fs::read_dir(place.path(name)).expect("a folder").flatten())
            .map(|entry| entry.file_name().into_string().expect("UTF-8"))
            .collect();
        all.sort();
        all
    };
    let kept: Vec<String> = files("m").into_iter().filter(|name| name != "checkpoints").collect();
    let names = ["events.out.tfevents.wgrad", "metrics.csv", "model.json", "model.safetensors", "plots", "report.html"];
    assert_eq!(kept, [&names[..], &["test.safetensors"]].concat());
    assert!(files("n").iter().all(|name| name.starts_with("model.") || name == "checkpoints"), "{:?}", files("n"));
    let page = place.text("m/report.html");
    for word in
        ["mixed.csv: sick", "wgrad train mixed.csv --target sick", "Linear(3, 8)", "Feature importance", "matmul"]
    {
        assert!(page.contains(word), "{word}");
    }
    assert_eq!(place.text("m/metrics.csv").lines().count(), 5);
    // Training again without a report removes the scores of the previous model.
    place.wgrad(&format!("{TRAIN} --seed 3 --no-report --out m")).good();
    assert!(!place.path("m/test.safetensors").exists());
}

#[test]
fn an_unwritable_report_is_a_warning() {
    let place = trained(&[("m", "--no-report")]);
    place.write("m/plots", "in the way");
    let run = place.wgrad(&format!("{TRAIN} --out m")).good();
    assert!(run.err.contains("warning: the model is saved, but its report could not be written"), "{}", run.err);
    assert_eq!(place.text("m/plots"), "in the way");
    place.wgrad("predict m mixed.csv --device cpu").good();
}

#[test]
fn names_of_columns_and_classes_are_escaped_in_a_report() {
    let place = Place::new();
    let header = "<script>alert(1)</script>,b,\"<img src=x onerror=alert(2)>\"";
    place.write(
        "x.csv",
        csv(header, 60, |i| format!("{},{},{}", i % 2 * 3 + i % 5, i % 7, ["<b>no", "</script>"][i as usize % 2])),
    );
    place
        .run(&[
            "train",
            "x.csv",
            "--target",
            "<img src=x onerror=alert(2)>",
            "--epochs",
            "1",
            "--device",
            "cpu",
            "--out",
            "m",
        ])
        .good();
    let page = place.text("m/report.html");
    for word in ["<script>alert", "<img", "<b>no"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("class &lt;b&gt;no found"));
}

#[test]
fn runs_on_the_same_rows_are_compared_row_by_row() {
    let place = trained(&[
        ("m", "--lr 0.03"),
        ("n", "--lr 0.00001 --start random"),
        ("o", "--seed 9"),
        ("p", "--no-report"),
        ("q", "--lr 0.03 --drop a"),
    ]);
    let text = place.wgrad("compare m n o p").good().out;
    for word in [
        "settings that differ",
        "lr  ",
        "test metrics, with 95 % intervals",
        "roc_auc",
        "brier",
        "differences to m, row by row",
        "worse",
        "no differences row by row: o was tested on other rows",
        "no differences row by row: p has no test.safetensors",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("dropout"), "{text}");
    let json = place.wgrad("compare m n q --json").good().json();
    let (first, other, without) = (&json["runs"][0], &json["runs"][1], &json["runs"][2]);
    let value = |run: &Value, part: &str, at: &str| run[part]["roc_auc"][at].as_f64().expect("a number");
    let gap = value(other, "metrics", "value") - value(first, "metrics", "value");
    assert!((value(other, "differences", "value") - gap).abs() < 1e-12);
    assert!(other["differences"]["log_loss"]["low"].as_f64().is_some_and(|low| low > 0.0), "{other}");
    assert!(value(first, "metrics", "low") < value(first, "metrics", "value") && first["differences"].is_null());
    // The model without one of the columns has the same test rows but other metrics.
    assert!(value(without, "differences", "value") < 0.0, "{without}");
    let rate = other["settings"]["lr"].as_str().and_then(|text| text.parse::<f64>().ok());
    assert_eq!(rate.map(f64::to_bits), Some(1e-5f64.to_bits()), "{other}");
}

#[test]
fn runs_that_cannot_be_compared_are_an_error() {
    let place = trained(&[("m", "")]);
    place.wgrad("compare m nothing").bad(1, &["nothing is no folder, so it is no saved model"]);
    place.wgrad("compare").bad(2, &["RUN"]);
    let bytes = place.read("m/test.safetensors");
    place.write("m/test.safetensors", &bytes[..bytes.len() - 1]);
    place
        .wgrad("compare m m")
        .bad(1, &["m/test.safetensors does not hold the scores of a model", "train the model again"]);
}
