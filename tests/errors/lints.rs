//! Tests of the lints, which warn about graphs that are valid but suspicious: the texts of the warnings, switching
//! a lint off, and graphs without warnings.

use std::sync::{Arc, Mutex};

use super::{assert_brief, assert_says, compile_error, float, labels, session, train};
use wgrad::core::{Lint, Warning};
use wgrad::prelude::*;

/// Compiles a graph twice and returns the warnings.
fn warnings_of(params: &Params, graph: &Graph) -> Vec<String> {
    let lines = Arc::new(Mutex::new(vec![]));
    let mut session = session(params);
    let collected = lines.clone();
    session.on_warning(Arc::new(move |warning: &Warning| collected.lock().unwrap().push(warning.to_string())));
    for _ in 0..2 {
        let _ = session.compile(graph, &[]).expect("warnings are not errors");
    }
    drop(session);
    let lines = lines.lock().unwrap();
    lines.clone()
}

/// Returns the warning for a loss whose logits are the result of applying `end` to the output of a linear layer.
/// There must be exactly one warning.
#[track_caller]
fn only_warning(
    lint: &'static Lint,
    end: impl Fn(&Tensor) -> Tensor,
    loss: impl Fn(&Tensor, &Graph) -> Tensor,
) -> String {
    let params = Params::seeded(0);
    let model = Linear::new(&params.at("fc"), 30, 3);
    let trace = || {
        let graph = train();
        let logits = end(&model.forward(&float(&graph, "x", [8, 30])));
        Sgd::new(0.1).minimize(&loss(&logits, &graph));
        graph
    };
    let found = warnings_of(&params, &trace());
    assert_eq!(found.len(), 1, "{found:?}");
    let allowing = trace();
    allowing.allow(lint);
    assert!(warnings_of(&params, &allowing).is_empty());
    found[0].clone()
}

fn cross_entropy(logits: &Tensor, graph: &Graph) -> Tensor {
    CrossEntropyLoss::new().forward(logits, &labels(graph, [8]))
}

fn binary(logits: &Tensor, graph: &Graph) -> Tensor {
    BceWithLogitsLoss::new().forward(logits, &float(graph, "y", [8, 3]))
}

#[test]
fn probabilities_before_a_loss_of_logits_are_an_error() {
    let params = Params::seeded(0);
    let model = Linear::new(&params.at("head"), 30, 2);
    let trace = || {
        let graph = train();
        let logits = model.forward(&float(&graph, "x", [8, 30])).softmax(-1).reshape([8, 2]);
        (line!(), CrossEntropyLoss::new().forward(&logits, &labels(&graph, [8])))
    };
    let (here, loss) = trace();
    assert_says(
        &compile_error(&params, &loss),
        here,
        "
CrossEntropyLoss(f32[8, 2]): these are probabilities, and this loss takes the softmax of logits itself
  at HERE
  fixes:
    1. remove the softmax from the model, and apply it where probabilities are needed
    2. or, if it is meant, `graph.allow(&lints::SOFTMAX_BEFORE_LOSS)`",
    );
    let (_, loss) = trace();
    loss.graph().allow(&lints::SOFTMAX_BEFORE_LOSS);
    let _ = session(&params).compile(loss.graph(), &[&loss]).expect("it is allowed");

    let graph = train();
    let probability = model.forward(&float(&graph, "x", [8, 30])).sigmoid();
    let loss = BceWithLogitsLoss::new().forward(&probability, &float(&graph, "y", [8, 2]));
    assert_brief(
        &compile_error(&params, &loss),
        "BceWithLogitsLoss(f32[8, 2]): these are probabilities, and this loss takes logits / remove the sigmoid from \
         the model, and apply it where probabilities are needed / or, with targets between 0 and 1, use BceLoss, \
         which is less \
         exact / or, if it is meant, `graph.allow(&lints::SIGMOID_BEFORE_LOSS)`",
    );
}

#[test]
fn an_error_of_shapes_comes_before_lints() {
    let graph = train();
    let loss = CrossEntropyLoss::new().forward(&float(&graph, "x", [8, 3]).softmax(-1), &labels(&graph, [7]));
    let message = compile_error(&Params::seeded(0), &loss);
    assert!(message.starts_with("softmax_cross_entropy("), "{message}");
}

#[test]
fn ops_that_make_logits_useless_are_a_warning() {
    let message = only_warning(&lints::RELU_BEFORE_LOSS, |x| x.relu(), cross_entropy);
    assert_brief(
        &message,
        "warning: CrossEntropyLoss(f32[8, 3]): no logit can be negative after a relu, so no class can be made unlikely / \
         end the model with a linear layer / or, if it is meant, `graph.allow(&lints::RELU_BEFORE_LOSS)`",
    );
    let message = only_warning(&lints::RELU_BEFORE_LOSS, |x| x.relu(), binary);
    assert!(message.starts_with("warning: BceWithLogitsLoss(f32[8, 3]): no logit can be negative"), "{message}");
    let message = only_warning(&lints::LOG_SOFTMAX_BEFORE_LOSS, |x| x.log_softmax(1), cross_entropy);
    assert!(message.starts_with("warning: CrossEntropyLoss(f32[8, 3]): log_softmax is applied already"), "{message}");
}

#[test]
fn a_parameter_without_gradient_is_named() {
    let params = Params::seeded(0);
    let used = Linear::new(&params.at("used"), 3, 1);
    let _forgotten = Linear::new(&params.at("forgotten"), 3, 3);
    let trace = || {
        let graph = train();
        let loss = used.forward(&float(&graph, "x", [8, 3])).mean_all();
        AdamW::new(1e-3).minimize(&loss);
        graph
    };
    let here = line!() - 3;
    let found = warnings_of(&params, &trace());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(&format!("errors/lints.rs:{here} ")), "{}", found[0]);
    assert_brief(
        &found[0],
        "warning: minimize(): `forgotten.weight`, `forgotten.bias` get no gradient: the loss does not depend on them / \
         use the layer in `forward`; nothing flows back through `detach`, comparisons and integers / or freeze what shall \
         stay as it is: `params.at(\"encoder\").set_trainable(false)` / or, if it is meant, \
         `graph.allow(&lints::PARAMETER_WITHOUT_GRADIENT)`",
    );
    params.at("forgotten").set_trainable(false);
    assert!(warnings_of(&params, &trace()).is_empty());
}

#[test]
fn an_evaluation_in_training_mode_is_a_warning() {
    let params = Params::seeded(0);
    let norm = BatchNorm1d::new(&params.at("bn"), 3);
    let dropout = Dropout::new(&params.at("drop"), 0.5);
    let warnings_for = |mode, model: &dyn Fn(&Tensor) -> Tensor| {
        let graph = Graph::new(mode);
        let _ = model(&float(&graph, "x", [8, 3]));
        warnings_of(&params, &graph)
    };
    let models: [&dyn Fn(&Tensor) -> Tensor; 2] = [&|x| norm.forward(x), &|x| dropout.forward(x)];
    for model in models {
        let found = warnings_for(Mode::Train, model);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_brief(
            &found[0],
            "warning: compile(): the graph is in training mode but trains nothing: units are dropped, and statistics of \
             the batch are used and moved / to evaluate, trace it with Graph::new(Mode::Evaluate) / to train, let an \
             optimizer minimize the loss before the graph is compiled / or, if it is meant, \
             `graph.allow(&lints::EVALUATION_IN_TRAINING_MODE)`",
        );
        assert!(warnings_for(Mode::Evaluate, model).is_empty());
    }
    // There is no warning without running statistics to update, or if gradients are computed by hand.
    assert!(warnings_for(Mode::Train, &|x| x.relu()).is_empty());
    assert!(
        warnings_for(Mode::Train, &|x| gradients(&norm.forward(x).mean_all(), std::slice::from_ref(x))[0]
            .clone()
            .unwrap())
        .is_empty()
    );
}

#[test]
fn a_trainer_reports_warnings_through_its_progress() {
    use wgrad::train::Progress;
    struct Collector(Arc<Mutex<Vec<String>>>);
    impl Progress for Collector {
        fn warnings(&self) -> wgrad::core::OnWarning {
            let lines = self.0.clone();
            Arc::new(move |warning| lines.lock().unwrap().push(warning.to_string()))
        }
    }
    let rows: Vec<_> = (0..20).map(|i| format!("{i},{}", i % 2)).collect();
    let data = Table::parse("rows.csv", format!("a,y\n{}\n", rows.join("\n")).as_bytes()).unwrap().target("y").unwrap();
    let (data, _) = data.split(0.8, Seed(1)).unwrap();
    let params = Params::seeded(0);
    let model = Linear::new(&params, 1, 1);
    let lines = Arc::new(Mutex::new(vec![]));
    let mut trainer = Trainer::new(Device::cpu(), &params).optimizer(Sgd::new(0.1)).batch_size(5);
    trainer = trainer.progress(Collector(lines.clone()));
    trainer.fit(&data, 2, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x).relu(), y)).unwrap();
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("no logit can be negative"), "{}", lines[0]);
}
