//! Tests of the error messages of losses and optimizers about their inputs and options.

use wgrad::prelude::*;

use super::{assert_brief, assert_says, compile_error, float, labels, train};

#[test]
fn binary_losses_say_which_shapes_fit() {
    let params = Params::seeded(0);
    let says = |logits: &[usize], targets: &[usize], expected: &str| {
        let graph = train();
        let loss = BceWithLogitsLoss::new().forward(&float(&graph, "x", logits), &float(&graph, "y", targets));
        assert_brief(&compile_error(&params, &loss), expected);
    };
    says(
        &[64, 1],
        &[64],
        "bce_with_logits(f32[64, 1], f32[64]): targets [64] must have the shape of the logits [64, 1] / give the \
         targets the shape [64, 1]: `.unsqueeze(1)` / or drop the last axis of the logits: `.squeeze(1)`",
    );
    says(
        &[64],
        &[64, 1],
        "bce_with_logits(f32[64], f32[64, 1]): targets [64, 1] must have the shape of the logits [64] / drop the last \
         axis of the targets: `.squeeze(1)` / or give the logits the shape [64, 1]: `.unsqueeze(1)`",
    );
    says(
        &[64, 3],
        &[32, 3],
        "bce_with_logits(f32[64, 3], f32[32, 3]): targets [32, 3] must have the shape of the logits [64, 3] / give one \
         target per logit; shapes are compared, not broadcast",
    );
    let graph = train();
    let (x, y) = (float(&graph, "x", [4, 2]), float(&graph, "y", [4, 2]));
    let loss = BceWithLogitsLoss::new().weight([1.0; 3]).forward(&x, &y);
    assert_brief(
        &compile_error(&params, &loss),
        "BceWithLogitsLoss(f32[4, 2], f32[3]): weight [3] does not broadcast to the logits [4, 2] / give one weight, \
         one per logit of a row (the last axis), or one per row as `[N, 1]`",
    );
    let graph = train();
    let loss = BceWithLogitsLoss::new().forward(&float(&graph, "x", [4]), &labels(&graph, [4]));
    assert_brief(
        &compile_error(&params, &loss),
        "bce_with_logits(f32[4], u32[4]): targets of a binary loss are numbers between 0 and 1, not u32 / cast with \
         `.to_f32()`",
    );
}

#[test]
fn cross_entropy_names_valid_targets_and_options() {
    let params = Params::seeded(0);
    let loss = CrossEntropyLoss::new;
    let says = |loss: CrossEntropyLoss, logits: &[usize], targets: &[usize], dtype: DType, expected: &str| {
        let graph = train();
        let y = loss.forward(&float(&graph, "x", logits), &graph.input("y", targets, dtype));
        assert_brief(&compile_error(&params, &y), expected);
    };
    says(
        loss().label_smoothing(1.5),
        &[4, 3],
        &[4],
        DType::U32,
        "CrossEntropyLoss(f32[4, 3], u32[4]): label smoothing must be between 0 and 1, not 1.5 / 0 is no smoothing, \
         0.1 is usual",
    );
    says(
        loss().weight([1.0, 2.0]),
        &[4, 3],
        &[4],
        DType::U32,
        "CrossEntropyLoss(f32[4, 3], u32[4]): the weight has one entry per class, [3], not [2] / \
         `train.class_weights()` returns weights that balance the classes",
    );
    says(
        loss(),
        &[4, 1],
        &[4],
        DType::U32,
        "CrossEntropyLoss(f32[4, 1], u32[4]): a softmax over one class is always 1, so this loss is always 0 / for a \
         yes-or-no decision with one logit per row, use BceWithLogitsLoss with f32 targets of the same shape / or \
         give the model's \
         last layer one output per class",
    );
    says(
        loss(),
        &[4, 3],
        &[4],
        DType::F32,
        "softmax_cross_entropy(f32[4, 3], f32[4]): class indices are u32, not f32 / feed the labels as u32, or cast \
         with `.to_u32()`",
    );
    says(
        loss(),
        &[4, 3],
        &[4, 1],
        DType::U32,
        "softmax_cross_entropy(f32[4, 3], u32[4, 1]): class indices for logits [4, 3] are u32[4], not u32[4, 1] / drop \
         the axis of size 1: `.squeeze(1)`",
    );
    says(
        loss().ignore_index(0),
        &[4, 3],
        &[4, 3],
        DType::F32,
        "softmax_cross_entropy(f32[4, 3], f32[4, 3]): ignore_index is for class indices; these targets are class \
         probabilities / leave ignore_index out, or give u32 class indices",
    );
}

fn optimized(optimizer: &dyn Optimizer, mode: Mode, frozen: bool) -> (String, u32) {
    let params = Params::seeded(0);
    let fc = Linear::new(&params.at("fc"), 3, 2);
    params.set_trainable(!frozen);
    let loss = fc.forward(&float(&Graph::new(mode), "x", [2, 3])).mean_all();
    let here = line!() + 1;
    optimizer.minimize(&loss);
    (compile_error(&params, &loss), here)
}

#[test]
fn optimizers_need_training_mode_parameters_and_a_scalar() {
    let (message, here) = optimized(&AdamW::new(1e-3), Mode::Evaluate, false);
    assert_says(
        &message,
        here,
        "
AdamW(f32[]): an evaluation graph cannot train
  at HERE
  fix: trace the graph with Graph::new(Mode::Train)",
    );
    let (message, here) = optimized(&AdamW::new(1e-3), Mode::Train, true);
    assert_says(
        &message,
        here,
        "
AdamW(f32[]): the loss depends on no trainable parameter
  at HERE
  fixes:
    1. compute it from the model's output
    2. or undo `set_trainable(false)` for what shall be trained
    3. nothing flows back through `detach`, comparisons and integers",
    );
    let params = Params::seeded(0);
    let losses = Linear::new(&params, 3, 2).forward(&float(&train(), "x", [2, 3]));
    Sgd::new(0.1).minimize(&losses);
    assert_brief(
        &compile_error(&params, &losses),
        "gradients(f32[2, 2]): a gradient is taken of one number, not of several / reduce the loss first: `.mean()` or \
         `.sum()` / or weight its elements: vjp(&[(&y, &cotangent)], …)",
    );
}

#[test]
fn optimizers_check_their_options() {
    let says = |optimizer: &dyn Optimizer, expected: &str| {
        assert_brief(&optimized(optimizer, Mode::Train, false).0, expected);
    };
    let negative = "must be a number that is not negative, not";
    says(&AdamW::new(-1e-3), &format!("AdamW(f32[]): the learning rate {negative} -0.001"));
    says(&Sgd::new(f64::NAN), &format!("Sgd(f32[]): the learning rate {negative} NaN"));
    says(&Adam::new(1e-3).weight_decay(-1.0), &format!("Adam(f32[]): the weight decay {negative} -1"));
    says(&Adam::new(1e-3).eps(-1.0), &format!("Adam(f32[]): eps {negative} -1"));
    says(&Sgd::new(0.1).momentum(-0.5), &format!("Sgd(f32[]): the momentum {negative} -0.5"));
    let beta = "beta must be at least 0 and below 1, not";
    says(&Adam::new(1e-3).betas(-0.1, 0.9), &format!("Adam(f32[]): the first {beta} -0.1"));
    says(&Adam::new(1e-3).betas(0.9, 1.0), &format!("Adam(f32[]): the second {beta} 1"));
    says(
        &Sgd::new(0.1).nesterov(true),
        "Sgd(f32[]): Nesterov's momentum needs a momentum above 0 and no dampening / add `.momentum(0.9)`, or leave \
         `.nesterov(true)` out",
    );
    says(
        &Sgd::new(0.1).group("fc3", 0.2, 0.0),
        "Sgd(f32[]): the group `fc3` selects no trainable parameter of this graph / names are dotted paths from the \
         root, such as `encoder.fc1`",
    );
    says(
        &Sgd::new(0.1).group("fc", 0.2, 0.0).group("fc.weight", 0.2, 0.0),
        "Sgd(f32[]): `fc.weight` is in two groups: `fc` and `fc.weight` / let each group select other parameters",
    );
}
