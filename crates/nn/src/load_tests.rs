use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

use wgrad_core::Array;

use super::*;
use crate::StateDict;
use crate::layers::{BatchNorm1d, Linear};

/// Returns the parameters of a model whose layers are in the scope `front`.
fn model(seed: u64, front: &str) -> Params {
    let params = Params::seeded(seed);
    let p = params.at(front);
    let _ = Linear::new(&p.at("fc"), 2, 3);
    let _ = BatchNorm1d::new(&p.at("bn"), 3);
    let _ = Linear::new(&p.at("head"), 3, 4);
    params
}

fn bytes(params: &Params) -> Vec<u8> {
    params.to_safetensors().unwrap()
}

fn message(result: Result<LoadReport>) -> String {
    result.expect_err("an error").to_string()
}

/// Overwrites the model's `fc.weight`, so that a test can see whether it is loaded again.
fn overwrite_weight(params: &Params) {
    params.get("fc.weight").unwrap().set(Array::full([3, 2], 9f32)).unwrap();
}

fn floats(tensors: &[(&str, Dtype, &[usize], usize)]) -> Vec<u8> {
    let data = vec![0; 4096];
    let views = tensors.iter().map(|&(name, dtype, shape, size)| {
        let count = shape.iter().product::<usize>() * size;
        (name.to_string(), TensorView::new(dtype, shape.to_vec(), &data[..count]).unwrap())
    });
    serialize(views, None).unwrap()
}

#[test]
fn prefixes_of_wrapped_models_are_stripped() {
    for prefix in ["module.", "_orig_mod."] {
        let saved = model(1, prefix.trim_end_matches('.'));
        let file = bytes(&saved);
        let params = model(2, "");
        let report = Load::from_bytes("m", &file).strip_prefix(prefix).apply(&params).unwrap();
        assert_eq!((report.loaded.len(), report.is_complete()), (9, true));
        assert_eq!(bytes(&params), bytes(&saved.at(prefix.trim_end_matches('.'))));
        let refused = message(Load::from_bytes("m", &file).apply(&params));
        let fix = format!("    1. the file's names have `{prefix}` in front: Load::from(…).strip_prefix(\"{prefix}\")");
        assert!(refused.contains(&fix), "{refused}");
    }
}

#[test]
fn the_error_suggests_the_scope_that_a_file_is_for() {
    let file = bytes(&model(1, ""));
    let params = model(2, "backbone");
    let refused = message(Load::from_bytes("m", &file).apply(&params));
    let fix = "    1. the file is for the scope `backbone` of the model: Load::from(…).apply(&params.at(\"backbone\"))";
    assert!(refused.contains(fix), "{refused}");
    assert_eq!(Load::from_bytes("m", &file).apply(&params.at("backbone")).unwrap().loaded.len(), 9);
}

#[test]
fn renames_apply_in_order_and_may_not_collide() {
    let file = floats(&[("fc.gamma", Dtype::F32, &[3, 2], 4), ("fc.beta", Dtype::F32, &[3], 4)]);
    let params = model(1, "");
    overwrite_weight(&params);
    let load = Load::from_bytes("m", &file).rename(|name| name.replace("gamma", "kernel")).strict(false);
    let report = load.rename(|name| name.replace("kernel", "weight").replace("beta", "bias")).apply(&params).unwrap();
    assert_eq!(report.loaded, ["fc.bias", "fc.weight"]);
    assert_eq!(params.get("fc.weight").unwrap().value().unwrap().to_f32(), [0.0; 6]);
    assert_eq!(
        message(Load::from_bytes("m", &file).rename(|_| "x".into()).apply(&params)),
        "`fc.beta` and `fc.gamma` of m are both renamed to `x`"
    );
}

#[test]
fn a_skipped_head_leaves_the_rest_strict() {
    let file = bytes(&model(1, ""));
    let params = Params::seeded(2);
    let _ = Linear::new(&params.at("fc"), 2, 3);
    let _ = BatchNorm1d::new(&params.at("bn"), 3);
    let head = Linear::new(&params.at("head"), 3, 1);
    let before = head.weight().value().unwrap();
    // The head's shape differs, so the load fails unless the head is skipped.
    let refused = message(Load::from_bytes("m", &file).apply(&params));
    assert_eq!(
        refused,
        "m does not fit the model
  head.bias: the model has [1], the file [4]
  head.weight: the model has [1, 3], the file [4, 3]
  fixes:
    1. leave a part out that is to be trained anew: Load::from(…).skip(\"head\")
    2. build the model as it was when it was saved, or use `load_partial` to take what fits"
    );
    let report = Load::from_bytes("m", &file).skip("head").apply(&params).unwrap();
    assert_eq!(report.skipped, ["head.bias", "head.weight"]);
    assert_eq!((report.loaded.len(), report.is_complete()), (7, true));
    assert_eq!(report.to_string(), "7 tensors loaded\n  left out: head.bias, head.weight");
    assert_eq!(head.weight().value().unwrap(), before);
    // A scope that exists only in the model can also be skipped.
    let _ = Linear::new(&params.at("second"), 3, 1);
    let refused = message(Load::from_bytes("m", &file).skip("head").apply(&params));
    assert!(refused.contains("missing from the file: second.bias, second.weight"), "{refused}");
    Load::from_bytes("m", &file).skip("head.").skip("second").apply(&params).unwrap();
    // A skipped scope without entries is probably misspelled, so the error suggests a similar name.
    assert_eq!(
        message(Load::from_bytes("m", &file).skip("heat").apply(&params)),
        "neither m nor the model has anything inside `heat`, which is to be skipped\n  fix: did you mean `head`?"
    );
}

#[test]
fn without_strict_shapes_are_still_errors() {
    let file = floats(&[
        ("fc.bias", Dtype::F32, &[3], 4),
        ("fc.weight", Dtype::F16, &[2, 3], 2),
        ("tail.weight", Dtype::F32, &[3], 4),
    ]);
    let params = model(1, "");
    overwrite_weight(&params);
    let refused = message(Load::from_bytes("m", &file).strict(false).apply(&params));
    assert_eq!(
        refused,
        "m does not fit the model
  fc.weight: the model has [3, 2], the file [2, 3]
  fixes:
    1. leave a part out that is to be trained anew: Load::from(…).skip(\"fc\")
    2. build the model as it was when it was saved, or use `load_partial` to take what fits"
    );
    assert_ne!(params.get("fc.bias").unwrap().value().unwrap().to_f32(), [0.0; 3], "nothing is changed");
    let report = Load::from_bytes("m", &file).strict(false).skip_mismatched(true).apply(&params).unwrap();
    assert_eq!(report.loaded, ["fc.bias"]);
    assert_eq!(report.unexpected, ["tail.weight"]);
    let missing = ["bn.bias", "bn.running_mean", "bn.running_var", "bn.weight", "head.bias", "head.weight"];
    assert_eq!(report.missing, missing);
    assert_eq!(report.mismatched, [("fc.weight".to_string(), "the model has [3, 2], the file [2, 3]".to_string())]);
    assert_eq!(params.get("fc.weight").unwrap().value().unwrap().to_f32(), [9.0; 6]);
}

#[test]
fn similar_names_are_suggested() {
    let saved = Params::seeded(1);
    let _ = Linear::new(&saved.at("fc1"), 2, 3);
    let file = bytes(&saved);
    let params = Params::seeded(2);
    let _ = Linear::new(&params.at("fc"), 2, 3);
    assert_eq!(
        message(Load::from_bytes("m", &file).apply(&params)),
        "m does not fit the model
  missing from the file: fc.bias, fc.weight
  not in the model: fc1.bias, fc1.weight
  fixes:
    1. `fc1.bias` may be the model's `fc.bias`: Load::from(…).rename(|name| …)
    2. `fc1.weight` may be the model's `fc.weight`: Load::from(…).rename(|name| …)
    3. build the model as it was when it was saved, or use `load_partial` to take what fits"
    );
    // If the shapes differ, the error suggests no renaming.
    let params = Params::seeded(2);
    let _ = Linear::new(&params.at("fc"), 3, 2);
    let refused = message(Load::from_bytes("m", &file).apply(&params));
    assert!(!refused.contains("may be"), "{refused}");
}

#[test]
fn counts_may_be_missing_as_in_old_files() {
    let saved = model(1, "");
    let params = model(2, "");
    params.counter("bn.num_batches_tracked").set(3);
    let whole = bytes(&saved);
    let file = SafeTensors::deserialize(&whole).unwrap();
    let views = file.tensors().into_iter().filter(|(name, _)| name != "bn.num_batches_tracked");
    let old = serialize(views, None).unwrap();
    let report = Load::from_bytes("m", &old).apply(&params).unwrap();
    assert!(report.is_complete() && report.missing.is_empty());
    assert_eq!(params.counter("bn.num_batches_tracked").get(), 3, "it keeps its own");
    Load::from_bytes("m", &whole).apply(&params).unwrap();
    assert_eq!(params.counter("bn.num_batches_tracked").get(), 0);
}
