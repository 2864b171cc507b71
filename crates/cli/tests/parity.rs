//! Tests of `wgrad parity`, run as a separate process.

mod common;

use common::Place;

#[test]
fn the_cpu_is_checked_and_every_report_is_written() {
    let place = Place::new();
    let run = place.run(&[
        "parity",
        "--device",
        "cpu",
        "--filter",
        "softmax",
        "--json",
        "--junit",
        "tests.xml",
        "--report",
        "page.html",
    ]);
    let json = run.good().json();
    assert_eq!((json["passed"].as_bool(), json["mode"].as_str()), (Some(true), Some("quick")));
    let cases = json["cases"].as_u64().expect("a number");
    assert!(cases > 3 && json["runs"] == cases && json["failures"].as_array().is_some_and(Vec::is_empty), "{json}");
    let kernels = json["kernels"].as_array().expect("a list");
    let softmax = kernels.iter().find(|kernel| kernel["kernel"] == "CPU: softmax").expect("its line");
    assert!(softmax["share"].as_f64().is_some_and(|share| share > 0.0 && share <= 1.0), "{softmax}");
    assert_eq!(json["settings"][0]["setting"], "the CPU in f32");

    let xml = place.text("tests.xml");
    assert_eq!(xml.matches("<testcase ").count() as u64, cases);
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"wgrad parity\""), "{xml}");
    assert!(xml.contains("<testsuite name=\"the CPU in f32\"") && !xml.contains("<failure"), "{xml}");

    let page = place.text("page.html");
    assert!(page.starts_with("<!doctype html>") && page.contains("Every number is within its bound"));
    assert!(page.contains("CPU: softmax") && page.contains("CPU backend in f32"));
    assert!(!page.contains("http://") && !page.contains("https://"), "it asks no network for anything");
    assert_eq!(place.names(), ["page.html", "tests.xml"]);
}

#[test]
fn cases_are_listed_and_chosen_by_name() {
    let place = Place::new();
    let list = |rest: &str| place.wgrad(&format!("parity --list {rest}")).good().out;
    let (quick, full) = (list(""), list("--full"));
    assert!(quick.lines().count() * 3 < full.lines().count());
    assert!(quick.lines().all(|name| full.lines().any(|other| other == name)), "the quick choice is a part of all");
    let some = list("--full --filter CONV2D");
    assert!(some.lines().count() > 20 && some.lines().all(|name| name.contains("conv2d")), "{some}");
    for size in ["sum of 1", "sum of 63", "sum of 32767", "sum of 32769", "sum of 65537"] {
        assert!(full.lines().any(|name| name == size), "{size}");
    }
}

#[test]
fn random_cases_follow_a_seed() {
    let place = Place::new();
    let run = place.wgrad("parity --device cpu --filter fuzz --seconds 1 --seed 3 --json").good();
    let json = run.json();
    assert_eq!((json["passed"].as_bool(), json["seed"].as_u64()), (Some(true), Some(3)));
    assert!(json["cases"].as_u64() > Some(0));
    let kernels = json["kernels"].as_array().expect("a list");
    assert!(kernels.iter().all(|kernel| kernel["case"].as_str().is_some_and(|case| case.starts_with("fuzz 3."))));
}

#[test]
fn an_unknown_device_or_case_is_an_error() {
    let place = Place::new();
    place
        .wgrad("parity --filter gibberish")
        .bad(1, &["no case has `gibberish` in its name of the quick choice; --full has more (see --list)"]);
    place.wgrad("parity --device gibberish").bad(1, &["no device matches `gibberish`; there are `cpu`"]);
    place.wgrad("parity --device cpu --filter softmax --report .").bad(1, &["give one with --report"]);
    place.wgrad("parity --device cpu --filter softmax --junit no/such").good();
    place.wgrad("parity --seconds 0").bad_code(2);
}

#[test]
fn every_adapter_is_checked() {
    let place = Place::new();
    let run = place.run(&["parity", "--filter", "edge: softmax", "--json"]).good();
    let json = run.json();
    let settings = json["settings"].as_array().expect("a list");
    let adapters = settings.iter().filter(|setting| setting["kind"] == "gpu").count();
    if adapters == 0 {
        assert!(run.err.contains("no GPU adapter was found, so only the CPU backend is checked"), "{}", run.err);
        return;
    }
    assert_eq!(json["runs"].as_u64(), json["cases"].as_u64().map(|n| n * (adapters as u64 + 1)));
    let kernels = json["kernels"].as_array().expect("a list");
    let softmax =
        |kernel: &serde_json::Value| kernel["kernel"].as_str().is_some_and(|name| name.starts_with("softmax"));
    assert!(kernels.iter().any(softmax), "{json}");
}

#[cfg(feature = "fault-injection")]
#[test]
fn an_injected_fault_is_localised() {
    let place = Place::new();
    let run =
        place.run(&["parity", "--filter", "softmax", "--inject", "exp without max", "--json", "--junit", "a.xml"]);
    let json = run.json();
    if json["settings"].as_array().is_some_and(Vec::is_empty) {
        return;
    }
    let run = run.bad_code(1);
    assert!(run.err.contains("FAILED edge: softmax of logits up to ±1000"), "{}", run.err);
    let kernels = json["kernels"].as_array().expect("a list");
    let failed = |kernel: &serde_json::Value| kernel["failures"].as_u64() > Some(0);
    let failed: Vec<_> = kernels.iter().filter(|kernel| failed(kernel)).map(|kernel| &kernel["kernel"]).collect();
    assert!(
        !failed.is_empty() && failed.iter().all(|kernel| kernel.as_str().is_some_and(|k| k.starts_with("softmax")))
    );
    assert!(place.text("a.xml").contains("<failure message=\"softmax"));
}
