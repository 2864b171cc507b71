//! Tests of optimizer scopes, and of optimizers that update only selected parameters.

#![allow(clippy::float_cmp, reason = "exact results of short formulas")]

use wgrad_core::{CpuBackend, Graph, Init, Kind, Mode, Params, Session, Variable};

use super::*;

/// A generator and a discriminator, each of which is one number.
struct Adversaries {
    params: Params,
    g: Variable,
    d: Variable,
}

impl Adversaries {
    fn new() -> Self {
        let params = Params::seeded(0);
        let [g, d] = ["g", "d"].map(|name| params.at(name).variable("w", [], Kind::Parameter, Init::Constant(1.0)));
        Self { params, g, d }
    }

    fn trace(&self, optimizer: &impl Optimizer) -> Graph {
        let graph = Graph::new(Mode::Train);
        optimizer.minimize(&(graph.variable(&self.g) * graph.variable(&self.d)));
        graph
    }

    /// Runs a graph and returns the values of both numbers and the warnings.
    fn run(&self, graph: &Graph) -> ([f64; 2], Vec<String>) {
        let warnings = std::sync::Arc::new(std::sync::Mutex::new(vec![]));
        let reported = warnings.clone();
        let mut session = Session::new(CpuBackend::<f64>::new(), &self.params).unwrap();
        session.on_warning(std::sync::Arc::new(move |warning| reported.lock().unwrap().push(warning.to_string())));
        let step = session.compile(graph, &[]).unwrap();
        session.submit(&step, &[]).unwrap();
        session.sync().unwrap();
        let values = [&self.g, &self.d].map(|variable| variable.value().unwrap().item().unwrap());
        let warnings = warnings.lock().unwrap().clone();
        (values, warnings)
    }
}

#[test]
fn only_selected_parameters_are_updated_and_checked_by_lints() {
    let both = Adversaries::new();
    let other = both.params.at("g").variable("unused", [], Kind::Parameter, Init::Constant(1.0));
    let graph = both.trace(&Sgd::new(0.5).over(&both.params.at("g")));
    let (values, warnings) = both.run(&graph);
    assert_eq!(values, [0.5, 1.0]);
    assert!(warnings.len() == 1 && warnings[0].contains("`g.unused` gets no gradient"), "{warnings:?}");
    drop((graph, other));
    let graph = both.trace(&Sgd::new(0.5).over("d").scope("d"));
    assert_eq!(both.run(&graph), ([0.5, 0.75], vec![]));
    let lost = both.trace(&Sgd::new(0.5).over("h").scope("h")).check().unwrap_err().to_string();
    assert!(lost.contains("the loss depends on no trainable parameter selected by `over` (`h`)"), "{lost}");
}

#[test]
fn lints_depend_on_what_was_trainable_while_tracing() {
    let both = Adversaries::new();
    both.params.at("d").set_trainable(false);
    let graph = both.trace(&Sgd::new(0.5));
    both.params.at("d").set_trainable(true);
    assert_eq!(both.run(&graph), ([0.5, 1.0], vec![]));
    // This graph updates `g` without an optimizer, and `d` is frozen after tracing.
    let graph = Graph::new(Mode::Train);
    graph.update(&both.g, &(graph.variable(&both.g) * 2.0));
    both.params.at("d").set_trainable(false);
    let (values, warnings) = both.run(&graph);
    assert_eq!(values, [1.0, 1.0]);
    assert!(warnings.len() == 1 && warnings[0].contains("`d.w` gets no gradient"), "{warnings:?}");
}

#[test]
fn two_optimizers_do_not_share_a_scope() {
    let both = Adversaries::new();
    let (one, two) = (Adam::new(0.1).over("g"), Adam::new(0.1).over("d"));
    let first = both.trace(&one);
    let error = both.trace(&two).check().unwrap_err().to_string();
    assert!(error.contains("Adam(f32[]): another optimizer keeps its state in the scope `optim`"), "{error}");
    assert!(error.contains("give this one a scope of its own: `.scope(\"optim2\")`"), "{error}");
    // These optimizers record no error: one with a different scope, a clone, and one with the same update rule and
    // the same parameters.
    both.trace(&two.clone().scope("optim2")).check().unwrap();
    both.trace(&one.clone()).check().unwrap();
    both.trace(&Adam::new(0.1).over("g")).check().unwrap();
    // An optimizer with a different update rule records an error as long as the first optimizer, or a graph in
    // which the first optimizer was traced, exists.
    drop(one);
    assert!(both.trace(&Sgd::new(0.1)).check().is_err());
    drop(first);
    both.trace(&Sgd::new(0.1)).check().unwrap();
    // Optimizers of different `Params` may use the same scope.
    let elsewhere = Adversaries::new();
    let _sgd = both.trace(&Sgd::new(0.1));
    elsewhere.trace(&Adam::new(0.1)).check().unwrap();
}

#[test]
fn clones_over_other_parameters_are_other_optimizers() {
    let both = Adversaries::new();
    let base = Adam::new(0.1);
    let (one, two) = (base.clone().over("g"), base.clone().over("d"));
    let _first = both.trace(&one);
    assert!(both.trace(&two).check().is_err());
}
