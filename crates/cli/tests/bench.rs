//! Tests of `wgrad bench`, run as a separate process.

mod common;

use common::Place;

const KEYS: [&str; 14] = [
    "workload",
    "device",
    "adapter",
    "median_ms",
    "p10_ms",
    "p90_ms",
    "steps_per_s",
    "first_ms",
    "dispatches",
    "submissions",
    "planned_bytes",
    "peak_rss_bytes",
    "gflops",
    "steps",
];

#[test]
fn json_is_one_object_per_line_with_all_keys() {
    let run = Place::new().wgrad("bench tabular --steps 3 --device cpu --json").good();
    assert_eq!((run.out.lines().count(), run.err.as_str()), (1, ""), "{}", run.out);
    let json = run.json();
    for key in KEYS {
        assert!(json.get(key).is_some(), "{key}: {json}");
    }
    assert_eq!((&json["workload"], &json["device"], &json["steps"]), (&"tabular".into(), &"cpu".into(), &3.into()));
    for key in ["median_ms", "p10_ms", "p90_ms", "steps_per_s", "first_ms", "planned_bytes", "needed_bytes", "gflops"] {
        assert!(json[key].as_f64().is_some_and(|x| x > 0.0), "{key}: {json}");
    }
    let time = |key: &str| json[key].as_f64().expect("a number");
    assert!(time("p10_ms") <= time("median_ms") && time("median_ms") <= time("p90_ms"), "{json}");
    assert!(json["dispatches"].is_null() && json["submissions"].is_null(), "a CPU launches no kernels: {json}");
    assert!(json.get("gb_per_s").is_none(), "{json}");
    if cfg!(target_os = "linux") {
        assert!(json["peak_rss_bytes"].as_f64() >= json["planned_bytes"].as_f64(), "{json}");
    }
}

#[test]
fn memory_bound_kernels_report_their_bandwidth() {
    let json = Place::new().wgrad("bench sum-rows --steps 3 --device cpu --json").good().json();
    assert!(json["gb_per_s"].as_f64().is_some_and(|x| x > 0.0) && json["gflops"].is_null(), "{json}");
}

#[test]
fn the_table_has_a_line_per_workload_and_device() {
    let run = Place::new().wgrad("bench tabular mid --steps 2 --device cpu --device cpu-f64 --read-every 1").good();
    for name in ["tabular", "mid", "cpu-f64"] {
        assert_eq!(run.out.matches(name).count(), 2, "{name}: {}", run.out);
    }
    for word in ["median", "first", "planned", "GFLOP/s"] {
        assert!(run.out.contains(word), "{word}: {}", run.out);
    }
}

#[test]
fn an_unknown_workload_is_an_error_that_lists_the_others() {
    let place = Place::new();
    place.wgrad("bench tabluar").bad(2, &["'tabluar'", "possible values: tabular, mid, wide", "similar"]);
    place.wgrad("bench tabular --steps 0").bad(2, &["a whole number is needed, at least 1"]);
    place.wgrad("bench tabular --device toaster").bad(1, &["`toaster`", "`cpu`", "wgrad devices"]);
    place.wgrad("bench --device cpu --all-devices").bad(2, &["cannot be used with"]);
}

#[test]
fn a_wrong_result_is_not_timed() {
    let wrong = Place::new().wgrad("bench tabular --part line --device cpu --expect [[0.5],[0.5]]").good().json();
    let error = wrong["Err"].as_str().expect("an error");
    for words in ["tabular computes", "where the reference has 0.5", "not timed"] {
        assert!(error.contains(words), "{error}");
    }
}
