//! Tests of `wgrad train --lockstep` and `--audit`, which print the result of a check and save no model.

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::Place;

/// Returns a folder with a file of rows with six features and two classes.
fn place() -> Place {
    let place = Place::new();
    let mut file = String::from("a,b,c,d,e,f,sick\n");
    for row in 0..48 {
        let feature = |k: usize| f64::from(u32::try_from((row * (k + 3) * 7 + k) % 23).expect("small")) / 7.0;
        let features: Vec<String> = (0..6).map(|k| feature(k).to_string()).collect();
        let _ = writeln!(file, "{},{}", features.join(","), if feature(0) + feature(1) > 3.0 { "yes" } else { "no" });
    }
    place.write("rows.csv", file);
    place
}

fn recording(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/recording/{name}.safetensors"));
    path.display().to_string()
}

const TRAIN: &str =
    "train rows.csv --target sick --device cpu --hidden 10,8 --lr 0.01 --batch-size 16 --quiet --lockstep";

#[test]
fn steps_are_compared_with_the_reference() {
    let place = place();
    let run = place.wgrad(TRAIN).good();
    assert!(run.out.starts_with("step 1: lockstep on "), "{}", run.out);
    assert!(run.out.contains("are within their bounds"), "{}", run.out);
    let run = place.wgrad(&format!("{TRAIN} 3 --json --dropout 0.2")).good();
    let found = run.json();
    assert_eq!((found["passes"].as_bool(), found["steps"].as_array().map(Vec::len)), (Some(true), Some(3)));
    assert!(found["steps"][2]["nodes"].as_array().is_some_and(|nodes| nodes.len() > 30), "{found}");
    assert!(found["against"].is_null());
    assert_eq!(place.names(), ["rows.csv"]);
}

#[test]
fn the_first_difference_from_a_recording_is_named() {
    let place = place();
    let run = place.wgrad(&format!("{TRAIN} 1 --against {}", recording("right"))).good();
    assert!(
        run.out.starts_with("agrees with PyTorch: 7 outputs, the loss, 8 gradients and 12 updated values"),
        "{}",
        run.out
    );
    let run = place.wgrad(&format!("{TRAIN} 1 --against {}", recording("momentum"))).bad_code(1);
    assert!(run.out.starts_with("differs from PyTorch, first in the updated `1.running_mean` [10]"), "{}", run.out);
    let found = place.wgrad(&format!("{TRAIN} 1 --json --against {}", recording("eps"))).bad_code(1).json();
    let first = &found["against"]["first_difference"];
    assert_eq!((first["stage"].as_str(), first["name"].as_str()), (Some("output"), Some("1")));
}

#[test]
fn invalid_combinations_are_refused() {
    let place = place();
    let line = TRAIN.trim_end_matches(" --lockstep");
    place.wgrad(&format!("{line} --against {}", recording("right"))).bad_code(2);
    place.wgrad(&format!("{TRAIN} 0")).bad_code(2);
    place.wgrad(&format!("{TRAIN} 1 --against rows.csv")).bad(1, &["rows.csv cannot be read as safetensors"]);
    let line = TRAIN.replace("10,8", "10");
    place
        .wgrad(&format!("{line} 1 --against {}", recording("right")))
        .bad(1, &["is of another model", "not in the model: 6.weight"]);
}

#[test]
fn gradients_are_audited() {
    let place = place();
    let train = TRAIN.replace("--lockstep", "--audit");
    let run = place.wgrad(&train).good();
    assert!(run.out.starts_with("gradients of 10 parameters and "), "{}", run.out);
    let found = place.wgrad(&format!("{train} --json --dropout 0.2")).good().json();
    let parameters = found["parameters"].as_array().expect("a list");
    assert!(found["passes"] == true && parameters.iter().all(|one| one["verdict"] == "agrees"), "{found}");
    // The output layer's weights are 0 at first, so the layers before it have zero gradients in the first step.
    let first = place.wgrad(&format!("{train} 0 --json")).good().json();
    let dead = |found: &serde_json::Value| {
        let notes =
            |one: &serde_json::Value| one["notes"].as_array().is_some_and(|notes| notes.contains(&"dead".into()));
        found["parameters"].as_array().expect("a list").iter().filter(|one| notes(one)).count()
    };
    // A bias before a batch norm never has an effect, so its gradient is always zero.
    assert_eq!((dead(&first), dead(&found)), (8, 2), "{first}");
    assert_eq!(place.names(), ["rows.csv"]);
    place.wgrad(&format!("{train} --lockstep")).bad(2, &["cannot be used with"]);
}
