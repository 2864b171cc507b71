//! Tests of `wgrad tune`, run as a separate process.

mod common;

use common::{Place, two_classes};
use serde_json::Value;

/// Returns the name of a GPU adapter, or `None` if this machine has none.
fn adapter(place: &Place) -> Option<String> {
    let json: Value = serde_json::from_str(&place.wgrad("devices --json").good().out).expect("JSON");
    let devices = json["devices"].as_array().expect("a list");
    let gpu = devices.iter().find(|device| device["kind"] == "gpu" && device["backend"] != "gl");
    let name = gpu.and_then(|gpu| gpu["device"].as_str()).map(Into::into);
    if name.is_none() {
        eprintln!("no adapter here, so nothing is tested");
    }
    name
}

const VARIANT: &str = "matmul_direct_4x4";

/// Replaces the choices that `wgrad tune` stored with one variant for all matrix products. Measuring all
/// variants would take minutes on a software adapter.
fn store_variant(tuned: &Value) {
    std::fs::write(tuned["file"].as_str().expect("a path"), format!("matmul = {VARIANT}\n"))
        .expect("the file is there");
}

#[test]
fn choices_are_measured_stored_and_used() {
    let place = Place::new();
    let Some(device) = adapter(&place) else { return };
    let tune = |rest: &[&str]| place.run(&[&["tune", "--device", &device], rest].concat());
    let first = tune(&["tabular", "--seconds", "2", "--json"]).good();
    assert_eq!(first.out.lines().count(), 1, "{}", first.out);
    let json = first.json();
    let sites = json["sites"].as_array().expect("a list");
    assert!(!sites.is_empty() || json["left"].as_u64() > Some(0), "{json}");
    for site in sites {
        assert!(site["site"].as_str().is_some_and(|name| name.contains(' ')), "{site}");
        assert!(site["speed_up"].as_f64().is_some_and(|x| x >= 1.0), "{site}");
        assert!(first.err.contains(site["site"].as_str().unwrap_or("?")), "a line for each: {}", first.err);
    }
    store_variant(&json);
    let bench = |rest: &[&str]| place.run(&[&["bench", "tabular", "--steps", "2", "--device", &device], rest].concat());
    assert!(bench(&[]).good().err.contains("--no-tuning ignores them"));
    assert_eq!(bench(&["--no-tuning"]).good().err, "");
}

#[test]
fn a_model_records_its_kernel_variants() {
    let place = Place::new();
    let Some(device) = adapter(&place) else { return };
    place.write("ok.csv", two_classes());
    let train = |out: &str, rest: &[&str]| {
        let args = ["train", "ok.csv", "--target", "sick", "--epochs", "2", "--hidden", "8", "--device", &device];
        place.run(&[&args[..], &["--out", out], rest].concat()).good()
    };
    let variants = |name: &str| {
        let json: Value = serde_json::from_str(&place.text(&format!("{name}/model.json"))).expect("JSON");
        json["training"]["variants"].clone()
    };
    assert!(!train("plain", &[]).err.contains("tuning:"));
    let all = variants("plain");
    assert!(all.as_object().is_some_and(|all| !all.is_empty()), "{all}");

    let tuned = place.run(&["tune", "--model", "plain", "--device", &device, "--seconds", "1", "--json"]).good().json();
    store_variant(&tuned);
    let run = train("tuned", &[]);
    assert!(run.err.contains("tuning: "), "{}", run.err);
    assert_ne!(variants("tuned"), all);
    let ran = |(_, ran): (&String, &Value)| *ran == VARIANT;
    assert!(variants("tuned").as_object().is_some_and(|all| all.iter().any(ran)), "{}", variants("tuned"));
    // Options select the same kernel variants as in an earlier run, whatever the tuner has stored since.
    for (name, from) in [("plain", &["--no-tuning"][..]), ("plain", &["--variants-of", "plain"]), ("tuned", &[])] {
        train("again", from);
        assert_eq!(variants("again"), variants(name));
        let same = place.read("again/model.safetensors") == place.read(&format!("{name}/model.safetensors"));
        assert!(same, "{from:?} repeats {name}");
    }
    place.run(&["predict", "tuned", "ok.csv", "--device", &device]).good();
}

#[test]
fn invalid_tuning_requests_are_errors() {
    let place = Place::new();
    place.wgrad("tune tabular --device cpu").bad(1, &["nothing to tune", "--device"]);
    place.wgrad("tune tabluar").bad(2, &["'tabluar'", "tabular"]);
    place.wgrad("tune --model nowhere").bad(1, &["nowhere is no folder"]);
    place.wgrad("tune --seconds 0").bad(2, &["a whole number is needed, at least 1"]);
}
