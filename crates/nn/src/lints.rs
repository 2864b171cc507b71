//! Lints for models and losses, which find mistakes that the compiler cannot detect.
//!
//! | lint | mistake |
//! |---|---|
//! | [`SOFTMAX_BEFORE_LOSS`] | softmax probabilities passed to a loss that takes logits (an error, not a warning) |
//! | [`SIGMOID_BEFORE_LOSS`] | sigmoid probabilities passed to a loss that takes logits (an error, not a warning) |
//! | [`LOG_SOFTMAX_BEFORE_LOSS`] | log-probabilities passed to a loss that takes logits |
//! | [`RELU_BEFORE_LOSS`] | logits that cannot be negative, passed to a loss that takes logits |
//! | [`LOGITS_AS_PROBABILITIES`] | logits passed to a loss that takes probabilities or log-probabilities |
//! | [`PARAMETER_WITHOUT_GRADIENT`] | a trainable parameter that the loss does not depend on |
//! | [`EVALUATION_IN_TRAINING_MODE`] | a graph in training mode that updates no parameter, but has batch norm or dropout |
//!
//! `compile` returns an error for the first two lints. The other lints are warnings. The session prints warnings
//! on standard error, unless they are redirected to [`Session::on_warning`](wgrad_core::Session::on_warning) or
//! the trainer's progress display. If a finding is intended, allow the lint in the graph:
//!
//! ```
//! use wgrad_core::{DType, Graph, Mode};
//! use wgrad_nn::{lints, losses::{CrossEntropyLoss, Loss}};
//! let graph = Graph::new(Mode::Evaluate);
//! let x = graph.input("x", [8, 3], DType::F32);
//! let target = graph.input("target", [8], DType::U32);
//! let loss = CrossEntropyLoss::new().forward(&x.softmax(-1), &target);
//! let error = graph.check().unwrap_err().to_string();
//! assert!(error.starts_with("CrossEntropyLoss(f32[8, 3]): these are probabilities"), "{error}");
//! loss.graph().allow(&lints::SOFTMAX_BEFORE_LOSS);
//! graph.check()?;
//! # Ok::<(), wgrad_core::Error>(())
//! ```

pub use wgrad_core::lints::{EVALUATION_IN_TRAINING_MODE, PARAMETER_WITHOUT_GRADIENT};
use wgrad_core::{InvalidArgument, Lint, NodeKind, Tensor, View};

/// Softmax at the end of a model whose loss takes logits: the softmax is applied twice, and for two classes the loss
/// cannot fall below 0.31.
pub static SOFTMAX_BEFORE_LOSS: Lint = Lint::error("SOFTMAX_BEFORE_LOSS");

/// Sigmoid at the end of a model whose loss takes logits: the sigmoid is applied twice.
pub static SIGMOID_BEFORE_LOSS: Lint = Lint::error("SIGMOID_BEFORE_LOSS");

/// Log-softmax or log-sigmoid at the end of a model whose loss takes logits.
pub static LOG_SOFTMAX_BEFORE_LOSS: Lint = Lint::warning("LOG_SOFTMAX_BEFORE_LOSS");

/// ReLU at the end of a model whose loss takes logits: no logit can be negative.
pub static RELU_BEFORE_LOSS: Lint = Lint::warning("RELU_BEFORE_LOSS");

/// Output of a linear layer, convolution, batch norm or ReLU passed to a loss that takes probabilities or
/// log-probabilities.
pub static LOGITS_AS_PROBABILITIES: Lint = Lint::warning("LOGITS_AS_PROBABILITIES");

/// Checks whether `x`, the input of the loss named `loss`, can be logits; reports a lint if not.
#[track_caller]
pub(crate) fn logits(x: &Tensor, loss: &str) {
    let origin = origin(x);
    let (lint, invalid) = match origin.as_str() {
        "softmax" => (
            &SOFTMAX_BEFORE_LOSS,
            InvalidArgument::new("these are probabilities, and this loss takes the softmax of logits itself")
                .fix("remove the softmax from the model, and apply it where probabilities are needed"),
        ),
        "sigmoid" => (
            &SIGMOID_BEFORE_LOSS,
            InvalidArgument::new("these are probabilities, and this loss takes logits")
                .fix("remove the sigmoid from the model, and apply it where probabilities are needed")
                .fix("or, with targets between 0 and 1, use BceLoss, which is less exact"),
        ),
        "log_softmax" | "log_sigmoid" => (
            &LOG_SOFTMAX_BEFORE_LOSS,
            InvalidArgument::new(format!("{origin} is applied already, and this loss takes logits"))
                .fix("remove it from the model")
                .fix("or use NllLoss, which takes logarithms of probabilities"),
        ),
        "relu" | "relu6" => (
            &RELU_BEFORE_LOSS,
            InvalidArgument::new("no logit can be negative after a relu, so no class can be made unlikely")
                .fix("end the model with a linear layer"),
        ),
        _ => return,
    };
    x.graph().lint(lint, loss, &[x], invalid);
}

/// Checks whether `x`, the input of the loss named `loss`, can be probabilities or, if `logarithms` is set,
/// log-probabilities; reports a lint if not.
#[track_caller]
pub(crate) fn probabilities(x: &Tensor, loss: &str, logarithms: bool) {
    let origin = origin(x);
    let made = matches!(origin.as_str(), "matmul" | "conv" | "batch_norm" | "relu");
    let invalid = match (logarithms, origin.as_str()) {
        (true, "softmax" | "sigmoid") => {
            InvalidArgument::new("these are probabilities, and this loss takes their logarithms")
                .fix("use log_softmax instead of softmax")
        }
        (true, _) if made => InvalidArgument::new(format!(
            "this is the output of {origin}, and this loss takes logarithms of probabilities"
        ))
        .fix("use CrossEntropyLoss, which takes logits")
        .fix("or apply log_softmax first"),
        (false, _) if made => {
            InvalidArgument::new(format!("this is the output of {origin}, and this loss takes probabilities"))
                .fix("use BceWithLogitsLoss, which takes logits and is more exact")
                .fix("or apply the sigmoid first")
        }
        _ => return,
    };
    x.graph().lint(&LOGITS_AS_PROBABILITIES, loss, &[x], invalid);
}

/// Returns the name of the op that computed the elements of `x`; skips views, dropout and the addition of a bias.
fn origin(x: &Tensor) -> String {
    let nodes = x.graph().nodes();
    let mut at = x.id();
    loop {
        let node = &nodes[at.node];
        let inputs = &node.inputs;
        let through = match &node.kind {
            NodeKind::Op(op) if inputs.len() == 1 => op
                .view(&View::contiguous(&nodes[inputs[0].node].outputs[inputs[0].output].shape))
                .is_some()
                .then_some(0),
            _ if inputs.len() == 1 && node.name() == "dropout" => Some(0),
            _ if inputs.len() == 2 && node.name() == "add" => {
                let variable = |mut id: wgrad_core::ValueId| loop {
                    match &nodes[id.node].kind {
                        NodeKind::Variable(_) => return true,
                        NodeKind::Op(_) if nodes[id.node].inputs.len() == 1 => id = nodes[id.node].inputs[0],
                        _ => return false,
                    }
                };
                variable(inputs[1]).then_some(0)
            }
            _ => None,
        };
        match through {
            Some(input) => at = inputs[input],
            None => return node.name().into(),
        }
    }
}
