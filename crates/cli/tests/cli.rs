//! Tests of the `wgrad` command, run as a separate process: its output, files and exit codes.

mod common;

use common::{Place, csv, example, two_classes};
use serde_json::Value;

/// Returns a folder with the file `ok.csv`.
fn place() -> Place {
    let place = Place::new();
    place.write("ok.csv", two_classes());
    place
}

/// Returns a folder with the file `ok.csv` and a model `m` that was trained on it.
fn trained() -> Place {
    let place = place();
    place.wgrad("train ok.csv --target sick --epochs 3 --device cpu --out m").good();
    place
}

#[test]
fn without_arguments_the_help_is_printed() {
    let run = Place::new().wgrad("");
    assert_eq!(run.code, Some(2));
    for command in ["devices", "train", "verify-resume", "predict", "tune", "bench", "Examples:"] {
        assert!(run.err.contains(command), "{}", run.err);
    }
}

#[test]
fn every_command_and_option_has_a_help_text() {
    for command in ["devices", "train", "verify-resume", "predict", "tune", "bench"] {
        let help = Place::new().run(&[command, "--help"]).good().out;
        for line in help.lines().filter(|line| line.trim_start().starts_with("--")) {
            assert!(line.trim().contains("  ") || help.contains(&format!("{line}\n   ")), "no help: {line}");
        }
    }
}

#[test]
fn devices_lists_the_cpu_and_the_choice_of_auto() {
    let run = Place::new().wgrad("devices").good();
    assert_eq!(run.err, "", "no noise of drivers");
    for word in ["cpu", "cpu-f64", "--device auto takes"] {
        assert!(run.out.contains(word), "{}", run.out);
    }
    let json: Value = serde_json::from_str(&Place::new().wgrad("devices --json").good().out).expect("JSON");
    let devices = json["devices"].as_array().expect("a list");
    assert!(devices.iter().any(|device| device["device"] == json["auto"]["device"]));
    assert!(devices.iter().all(|device| device["kind"] != "gpu" || device["limits"]["workgroup_bytes"].is_u64()));
}

#[test]
fn train_saves_a_model_and_prints_the_report() {
    let place = place();
    let run = place.wgrad("train ok.csv --target sick --epochs 20 --device cpu").good();
    for word in ["accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "truth \\ predicted", "of yes"] {
        assert!(run.out.contains(word), "{word}: {}", run.out);
    }
    for word in ["48 rows to train on, 12 to test on, 2 features", "sick: no (30), yes (30)", "epoch 20/20", "ok-model"]
    {
        assert!(run.err.contains(word), "{word}: {}", run.err);
    }
    assert_eq!(place.names(), ["ok-model", "ok.csv"]);
    assert!(place.path("ok-model/model.json").is_file() && place.path("ok-model/model.safetensors").is_file());
}

#[test]
fn quiet_prints_the_report_only() {
    let run = place().wgrad("train ok.csv --target sick --epochs 2 --quiet --out m").good();
    assert_eq!(run.err, "");
    assert!(run.out.starts_with("rows"), "{}", run.out);
}

#[test]
fn with_json_standard_output_is_one_object() {
    let run = place().wgrad("train ok.csv --target sick --epochs 20 --seed 3 --device cpu --json --out m").good();
    assert_eq!(run.out.lines().count(), 1, "{}", run.out);
    assert!(run.err.contains("truth \\ predicted") && run.err.contains("epoch"), "{}", run.err);
    let json = run.json();
    for key in ["loss", "accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "seconds_per_epoch", "train_loss"]
    {
        assert!(json[key].as_f64().is_some_and(|x| x >= 0.0), "{key}: {json}");
    }
    assert_eq!((&json["seed"], &json["epochs"], &json["device"]), (&3.into(), &20.into(), &"cpu".into()));
    assert!(json["adapter"].is_string() && json["classes"] == serde_json::json!(["no", "yes"]));
    let counts: u64 = json["confusion"]
        .as_array()
        .expect("rows")
        .iter()
        .flat_map(|row| row.as_array().expect("counts"))
        .map(|count| count.as_u64().expect("a count"))
        .sum();
    assert_eq!(counts, 12);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let place = place();
    for (out, seed) in [("one", 5), ("two", 5), ("other", 6)] {
        let rest = "--target sick --epochs 4 --dropout 0.3 --device cpu";
        place.wgrad(&format!("train ok.csv {rest} --seed {seed} --out {out}")).good();
    }
    assert_eq!(place.read("one/model.safetensors"), place.read("two/model.safetensors"));
    assert_eq!(place.read("one/model.json"), place.read("two/model.json"));
    assert_ne!(place.read("one/model.safetensors"), place.read("other/model.safetensors"));
}

#[test]
fn model_json_describes_the_model() {
    let place = trained();
    let json: Value = serde_json::from_slice(&place.read("m/model.json")).expect("JSON");
    assert_eq!((&json["format"], &json["version"]), (&"wgrad-classifier".into(), &1.into()));
    assert_eq!((&json["target"], &json["loss"]), (&"sick".into(), &"bce".into()));
    assert_eq!(json["classes"], serde_json::json!(["no", "yes"]));
    assert_eq!(json["preprocess"]["columns"], serde_json::json!(["a", "b"]));
    assert_eq!(json["architecture"]["layers"][0], "Linear(2, 64)");
    assert_eq!(json["architecture"]["layers"].as_array().map(Vec::len), Some(7));
    let weights = place.read("m/model.safetensors");
    let header = String::from_utf8_lossy(&weights[8..1600]).into_owned();
    for name in ["0.weight", "1.running_mean", "1.num_batches_tracked", "6.bias"] {
        assert!(header.contains(&format!("\"{name}\"")), "{name}: {header}");
    }
}

#[test]
fn a_second_training_replaces_the_model() {
    let place = trained();
    let files = || {
        let entries = std::fs::read_dir(place.path("m")).expect("the folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort_unstable();
        names
    };
    let before = files();
    place.wgrad("train ok.csv --target sick --epochs 1 --hidden 5 --out m").good();
    assert!(place.text("m/model.json").contains("Linear(2, 5)"));
    place.wgrad("predict m ok.csv").good();
    assert_eq!(files(), before);
    place.wgrad("train ok.csv --target sick --epochs 1 --no-report --out plain").good();
    assert_eq!(std::fs::read_dir(place.path("plain")).expect("the folder").count(), 2);
}

#[test]
fn predictions_have_a_probability_per_class_and_a_label() {
    let place = trained();
    let run = place.wgrad("predict m ok.csv --out p.csv").good();
    assert!(run.err.contains("column `sick` is the target; it is ignored"), "{}", run.err);
    assert!(run.err.contains("60 predictions written to"), "{}", run.err);
    let text = place.text("p.csv");
    assert_eq!((text.lines().next(), text.lines().count()), (Some("p_no,p_yes,label"), 61));
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [no, yes] = [0, 1].map(|i| cells[i].parse::<f64>().expect("a number"));
        assert!((no + yes - 1.0).abs() < 1e-6, "{line}");
        assert_eq!(cells[2], if yes > 0.5 { "yes" } else { "no" });
    }
    for out in ["", "--out -"] {
        assert_eq!(place.wgrad(&format!("predict m ok.csv {out}")).good().out, text);
    }
    assert_eq!(place.names(), ["m", "ok.csv", "p.csv"]);
}

#[test]
fn columns_may_be_in_any_order_and_more_than_needed() {
    let place = trained();
    let text = two_classes();
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let swapped = csv("b,note,a", 60, |i| format!("{},text,{}", rows[i as usize][1], rows[i as usize][0]));
    place.write("swapped.csv", swapped);
    let run = place.wgrad("predict m swapped.csv").good();
    assert!(run.err.contains("a column that the model does not know is ignored: `note`"), "{}", run.err);
    assert_eq!(run.out, place.wgrad("predict m ok.csv").good().out);
}

#[test]
fn many_classes_and_two_logits_are_predicted_too() {
    let place = place();
    let rows = csv("a,b,kind", 60, |i| format!("{},{},\"c, {}\"", i % 3, i * 7 % 5, i % 3));
    place.write("three.csv", rows);
    place.wgrad("train three.csv --target kind --hidden 8 --epochs 40 --lr 0.01 --out three").good();
    let text = place.wgrad("predict three three.csv").good().out;
    assert!(text.starts_with("\"p_c, 0\",\"p_c, 1\",\"p_c, 2\",label\n"), "{text}");
    let right =
        text.lines().skip(1).enumerate().filter(|(i, line)| line.ends_with(&format!("\"c, {}\"", i % 3))).count();
    assert_eq!(right, 60, "{text}");
    let json =
        place.wgrad("train ok.csv --target sick --loss ce --positive no --json --hidden none --out two").good().json();
    assert_eq!(json["classes"], serde_json::json!(["yes", "no"]));
    assert!(place.wgrad("predict two ok.csv").good().out.starts_with("p_yes,p_no,label\n"));
    assert!(place.text("two/model.json").contains("Linear(2, 2)"));
}

#[test]
fn a_column_without_variance_is_named() {
    let place = place();
    place.write("flat.csv", csv("a,flat,even flatter,y", 20, |i| format!("{i},5,7,{}", i % 2)));
    let run = place.wgrad("train flat.csv --target y --epochs 1 --out m").good();
    let warning = "warning: columns without variance in the training rows: `flat`, `even flatter` \
                   (--drop 'flat,even flatter' leaves them out)";
    assert!(run.err.contains(warning), "{}", run.err);
}

#[test]
fn rows_left_out_and_cells_filled_in() {
    let place = place();
    let cell = |i: u32| if i.is_multiple_of(9) { String::new() } else { i.to_string() };
    place.write("gaps.csv", csv("a,b,y", 40, |i| format!("{},{i},{}", cell(i), i % 2)));
    let run = place.wgrad("train gaps.csv --target y --missing drop --epochs 1 --out dropped").good();
    assert!(run.err.contains("note: 5 rows left out because of missing cells"), "{}", run.err);
    place.wgrad("train gaps.csv --target y --missing mean --epochs 1 --out filled").good();
    assert_eq!(place.wgrad("predict filled gaps.csv").good().out.lines().count(), 41);
    place
        .wgrad("predict dropped gaps.csv")
        .bad(1, &["line 2, column `a`: the cell is missing", "train with --missing mean"]);
}

#[test]
fn gpu_a_software_adapter_gives_the_same_bytes() {
    let place = place();
    let devices: Value = serde_json::from_str(&place.wgrad("devices --json").good().out).expect("JSON");
    let gpu = |device: &&Value| device["kind"] == "gpu";
    let Some(adapter) = devices["devices"].as_array().and_then(|all| all.iter().find(gpu)) else {
        return println!("no adapter: skipped");
    };
    let name = adapter["device"].as_str().expect("a name");
    for out in ["one", "two"] {
        let run = place
            .run(&["train", "ok.csv", "--target", "sick", "--epochs", "5", "--device", name, "--out", out, "--json"]);
        assert_eq!(run.good().json()["adapter"], adapter["adapter"]);
    }
    assert_eq!(place.read("one/model.safetensors"), place.read("two/model.safetensors"));
    place.run(&["predict", "one", "ok.csv", "--device", name]).good();
}

/// Returns the accuracy and the area under the ROC curve after training with the default options, averaged over
/// seeds.
fn mean(file: &str, target: &str, seeds: std::ops::RangeInclusive<u64>) -> [f64; 2] {
    let place = Place::new();
    let file = example(file);
    let runs: Vec<Value> = seeds
        .map(|seed| {
            let seed = seed.to_string();
            let args = ["train", &file, "--target", target, "--seed", &seed, "--device", "cpu", "--json", "--out", "m"];
            place.run(&args).good().json()
        })
        .collect();
    let n = runs.len() as f64;
    ["accuracy", "roc_auc"].map(|key| runs.iter().filter_map(|run| run[key].as_f64()).sum::<f64>() / n)
}

#[test]
fn the_defaults_are_good_on_breast_cancer() {
    let [accuracy, area] = mean("breast_cancer.csv", "malignant", 1..=5);
    println!("breast_cancer.csv, seeds 1 to 5: accuracy {accuracy:.4}, ROC-AUC {area:.4}");
    assert!(accuracy >= 0.950 && area >= 0.990, "{accuracy} {area}");
}

#[test]
fn the_defaults_are_good_on_digits() {
    let [accuracy, _] = mean("digits.csv", "digit", 1..=2);
    println!("digits.csv, seeds 1 and 2: accuracy {accuracy:.4}");
    assert!(accuracy >= 0.965, "{accuracy}");
}
