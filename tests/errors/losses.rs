//! Tests of the error messages of losses about shapes, types and options.

use wgrad::prelude::*;

use super::{assert_brief, assert_says, compile_error, float, train};

/// Adds an input to the graph.
fn input(graph: &Graph, name: &str, shape: &[usize], dtype: DType) -> Tensor {
    graph.input(name, shape, dtype)
}

/// Calls a loss with two tensors of the given shapes and types, and compares its error message with `expected`.
#[track_caller]
fn says(x: &[usize], y: (&[usize], DType), loss: impl Fn(&Tensor, &Tensor) -> Tensor, expected: &str) {
    let graph = train();
    let y = input(&graph, "y", y.0, y.1);
    assert_brief(&compile_error(&Params::seeded(0), &loss(&float(&graph, "x", x), &y)), expected);
}

const F: DType = DType::F32;
const U: DType = DType::U32;

#[test]
fn regression_does_not_broadcast() {
    let graph = train();
    let (x, y) = (float(&graph, "x", [64, 1]), float(&graph, "y", [64]));
    let here = line!() + 1;
    let loss = MseLoss::new().forward(&x, &y);
    assert_says(
        &compile_error(&Params::seeded(0), &loss),
        here,
        "
MseLoss(f32[64, 1], f32[64]): targets [64] must have the shape of the predictions [64, 1]
  at HERE
  fixes:
    1. give the targets the shape [64, 1]: `.unsqueeze(1)`
    2. or drop the last axis of the predictions: `.squeeze(1)`
    3. broadcast, they would be [64, 64]: every row against every target",
    );
    says(
        &[64],
        (&[64, 1], F),
        |x, y| L1Loss::new().forward(x, y),
        "L1Loss(f32[64], f32[64, 1]): targets [64, 1] must have the shape of the predictions [64] / drop the last axis of \
         the targets: `.squeeze(1)` / or give the predictions the shape [64, 1]: `.unsqueeze(1)`",
    );
    says(
        &[4, 3],
        (&[4, 2], F),
        |x, y| HuberLoss::new().forward(x, y),
        "HuberLoss(f32[4, 3], f32[4, 2]): targets [4, 2] must have the shape of the predictions [4, 3] / shapes must \
         be equal, they do not broadcast; if broadcasting is intended, `.expand(…)` one side",
    );
    says(
        &[4],
        (&[4], U),
        |x, y| SmoothL1Loss::new().forward(x, y),
        "SmoothL1Loss(f32[4], u32[4]): targets are numbers, f32, not u32 / cast with `.to_f32()`",
    );
    says(
        &[4],
        (&[4], U),
        |x, y| MseLoss::new().forward(y, x),
        "MseLoss(u32[4], f32[4]): the predictions are f32, not u32 / the predictions come first, then the targets; cast \
         with `.to_f32()`",
    );
    says(
        &[4],
        (&[4], F),
        |x, y| SmoothL1Loss::new().beta(-1.0).forward(x, y),
        "SmoothL1Loss(f32[4], f32[4]): beta must be a number that is not negative, not -1",
    );
    says(
        &[4],
        (&[4], F),
        |x, y| HuberLoss::new().delta(0.0).forward(x, y),
        "HuberLoss(f32[4], f32[4]): delta must be a number above 0, not 0",
    );
    says(&[0], (&[0], F), |x, y| MseLoss::new().forward(x, y), "mean(f32[0]): there is no mean of no elements: [0]");
}

#[test]
fn losses_of_probabilities_say_which_targets_fit() {
    says(
        &[64, 1],
        (&[64], F),
        |x, y| BceLoss::new().forward(x, y),
        "bce(f32[64, 1], f32[64]): targets [64] must have the shape of the probabilities [64, 1] / give the targets the \
         shape [64, 1]: `.unsqueeze(1)` / or drop the last axis of the probabilities: `.squeeze(1)`",
    );
    says(
        &[4, 3],
        (&[4, 3], U),
        |x, y| BceLoss::new().forward(x, y),
        "bce(f32[4, 3], u32[4, 3]): targets of a binary loss are numbers between 0 and 1, not u32 / cast with `.to_f32()`",
    );
    says(
        &[4, 3],
        (&[4, 3], F),
        |x, y| BceLoss::new().weight([1.0; 2]).forward(x, y),
        "BceLoss(f32[4, 3], f32[2]): weight [2] does not broadcast to the probabilities [4, 3] / give one weight, one per \
         probability of a row (the last axis), or one per row as `[N, 1]`",
    );
    says(
        &[4, 3],
        (&[4], F),
        |x, y| KlDivLoss::new().reduction(KlDivReduction::BatchMean).forward(x, y),
        "KlDivLoss(f32[4, 3], f32[4]): targets [4] must have the shape of the log-probabilities [4, 3] / shapes must \
         be equal, they do not broadcast; if broadcasting is intended, `.expand(…)` one side",
    );
}

#[test]
fn losses_of_classes_say_which_indices_fit() {
    let nll = |x: &Tensor, y: &Tensor| NllLoss::new().forward(x, y);
    says(
        &[4, 3],
        (&[4, 1], U),
        nll,
        "NllLoss(f32[4, 3], u32[4, 1]): class indices for log-probabilities [4, 3] are u32[4], not u32[4, 1] / drop the \
         axis of size 1: `.squeeze(1)`",
    );
    says(
        &[4, 3],
        (&[4, 1], F),
        nll,
        "NllLoss(f32[4, 3], f32[4, 1]): class indices for log-probabilities [4, 3] are u32[4], not f32[4, 1] / drop the \
         axis of size 1: `.squeeze(1).to_u32()`",
    );
    says(
        &[4, 3],
        (&[4], F),
        nll,
        "NllLoss(f32[4, 3], f32[4]): class indices are u32, not f32 / feed the labels as u32, or cast with `.to_u32()`",
    );
    says(
        &[4, 3],
        (&[4, 3], F),
        nll,
        "NllLoss(f32[4, 3], f32[4, 3]): this loss takes a class per row, u32[4], not f32[4, 3] / for one-hot targets \
         or class probabilities, `.argmax(1)` returns the class / or, for soft targets, use CrossEntropyLoss on \
         logits or \
         KlDivLoss on log-probabilities",
    );
    says(
        &[4, 3, 5],
        (&[4], U),
        nll,
        "NllLoss(f32[4, 3, 5], u32[4]): log-probabilities [4, 3, 5] of 3 classes do not match the target u32[4] / \
         give \
         one class index per row: u32[4, 5]",
    );
    says(
        &[4, 3],
        (&[4], U),
        |x, y| NllLoss::new().weight([1.0; 4]).forward(x, y),
        "NllLoss(f32[4, 3], u32[4]): the weight has one entry per class, [3], not [4] / `train.class_weights()` \
         returns weights that balance the classes",
    );
    says(
        &[4, 3],
        (&[5], U),
        |x, y| MultiMarginLoss::new().forward(x, y),
        "MultiMarginLoss(f32[4, 3], u32[5]): scores [4, 3] of 3 classes do not match the target u32[5] / give one \
         class \
         index per row: u32[4]",
    );
    says(
        &[4, 3],
        (&[4], U),
        |x, y| MultiMarginLoss::new().p(3).forward(x, y),
        "MultiMarginLoss(f32[4, 3], u32[4]): p must be 1 or 2, not 3",
    );
    says(
        &[4, 1],
        (&[4], U),
        |x, y| MultiClassFocalLoss::new().forward(x, y),
        "MultiClassFocalLoss(f32[4, 1], u32[4]): a softmax over one class is always 1, so this loss is always 0 / \
         for a yes-or-no decision with one logit per row, use BceWithLogitsLoss with f32 targets of the same shape / \
         or give the model's last layer \
         one output per class",
    );
    says(
        &[4, 3],
        (&[4], U),
        |x, y| MultiClassFocalLoss::new().gamma(-1.0).forward(x, y),
        "focal_of(f32[4]): gamma must be a number that is not negative, not -1 / 0 is plain cross-entropy, 2 is usual",
    );
    says(
        &[4, 3],
        (&[4, 3], U),
        |x, y| CrossEntropyLoss::new().forward(x, y),
        "softmax_cross_entropy(f32[4, 3], u32[4, 3]): targets of the logits' shape [4, 3] are class probabilities, which \
         are f32, not u32 / for one-hot targets cast with `.to_f32()` / or give class indices u32[4]",
    );
    says(
        &[3, 4],
        (&[2], U),
        |x, y| CrossEntropyLoss::new().forward(x, y),
        "softmax_cross_entropy(f32[3, 4], u32[2]): 3 rows of logits [3, 4], but 2 class indices [2] / give one class index \
         per row: u32[3]",
    );
}

#[test]
fn ordinal_and_focal_losses_check_their_options() {
    says(
        &[4],
        (&[4], U),
        |x, y| CoralLoss::new().forward(x, y),
        "CoralLoss(f32[4], u32[4]): logits of K ordered classes are [N, K−1], not [4] / pass the output of a `Coral` \
         layer",
    );
    says(
        &[4, 3],
        (&[4], U),
        |x, y| CoralLoss::new().importance([1.0; 4]).forward(x, y),
        "CoralLoss(f32[4, 3], u32[4]): there is one importance per decision, [3], not [4] / between 4 ordered classes \
         there are 3 decisions",
    );
    says(
        &[4, 3],
        (&[4], F),
        |x, y| CoralLoss::new().forward(x, y),
        "CoralLoss(f32[4, 3], f32[4]): class indices are u32, not f32 / feed the labels as u32, or cast with `.to_u32()`",
    );
    says(
        &[4],
        (&[4], U),
        |_, y| Coral::rank(y),
        "Coral::rank(u32[4]): logits of K ordered classes are f32[…, K−1], not u32[4] / pass the output of a `Coral` \
         layer",
    );
    says(
        &[4],
        (&[4], F),
        |x, y| FocalLoss::new().alpha(1.5).forward(x, y),
        "FocalLoss(f32[4], f32[4]): alpha must be between 0 and 1, not 1.5 / 0.25 is usual; `None` weighs positives \
         and negatives equally",
    );
    says(
        &[4],
        (&[4], F),
        |x, y| FocalLoss::new().gamma(f64::NAN).forward(x, y),
        "focal(f32[4], f32[4]): gamma must be a number that is not negative, not NaN / 0 is plain cross-entropy, 2 is usual",
    );
}

#[test]
fn losses_of_signs_and_vectors_say_what_they_compare() {
    says(
        &[4],
        (&[4], U),
        |x, y| HingeLoss::new().forward(x, y),
        "HingeLoss(f32[4], u32[4]): targets are numbers, f32, not u32 / cast with `.to_f32()` / labels 0 and 1 become −1 \
         and 1 by `y.to_f32() * 2.0 - 1.0`",
    );
    says(
        &[4],
        (&[4, 4], F),
        |x, y| MarginRankingLoss::new().forward(x, y, x),
        "MarginRankingLoss(f32[4], f32[4, 4], f32[4]): targets [4] must have the shape of the scores [4, 4] / shapes \
         must be equal, they do not broadcast; if broadcasting is intended, `.expand(…)` one side",
    );
    says(
        &[4, 8],
        (&[4, 1], F),
        |x, y| CosineEmbeddingLoss::new().forward(x, x, y),
        "CosineEmbeddingLoss(f32[4, 8], f32[4, 8], f32[4, 1]): there is one target per pair of vectors: f32[4], not \
         f32[4, 1] / drop the axis of size 1: `.squeeze(1)`",
    );
    says(
        &[4, 8],
        (&[4, 7], F),
        |x, y| TripletMarginLoss::new().forward(x, x, y),
        "TripletMarginLoss(f32[4, 8], f32[4, 8], f32[4, 7]): all vectors must have the same shape, not [4, 8] and [4, 7] / \
         shapes must be equal, they do not broadcast; if broadcasting is intended, `.expand(…)` one side",
    );
    says(
        &[4, 8],
        (&[4, 8], F),
        |x, y| TripletMarginLoss::new().p(0.5).forward(x, x, y),
        "TripletMarginLoss(f32[4, 8], f32[4, 8], f32[4, 8]): p must be at least 1, not 0.5",
    );
    says(
        &[4, 8],
        (&[8], F),
        |x, y| GaussianNllLoss::new().forward(x, x, y),
        "GaussianNllLoss(f32[4, 8], f32[4, 8], f32[8]): variances [8] do not fit means [4, 8] / give one per mean, [4, 8], \
         or one per row: without the last axis, or with size 1 there",
    );
    says(
        &[4],
        (&[4], F),
        |x, y| PoissonNllLoss::new().eps(0.0).forward(x, y),
        "PoissonNllLoss(f32[4], f32[4]): eps must be a number above 0, not 0",
    );
}
