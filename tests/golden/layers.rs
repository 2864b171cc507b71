//! Tests of linear layers, batch norm and element-wise functions.

use wgrad::prelude::*;

use crate::fixture::{Case, Trace, each};

pub fn gradients_of(variables: &[(String, Tensor)], x: &Tensor, suffix: &str) -> Vec<(String, Tensor)> {
    let variables = variables.iter().map(|(name, tensor)| (format!("d{name}{suffix}"), tensor.clone()));
    std::iter::once((format!("dx{suffix}"), x.clone())).chain(variables).collect()
}

/// Sets every variable to the tensor of the case that has the same name, or this name followed by `suffix`.
pub fn set(params: &Params, case: &Case<'_>, suffix: &str) {
    for variable in params.variables() {
        let stored = [variable.name().to_string(), format!("{}{suffix}", variable.name())];
        let name = stored.iter().find(|name| case.has(name)).expect("the fixture has every variable");
        variable.set(case.array(name)).unwrap();
    }
}

pub fn parameters(params: &Params, graph: &Graph) -> Vec<(String, Tensor)> {
    let parameters = params.variables().into_iter().filter(|variable| variable.kind() == Kind::Parameter);
    parameters.map(|variable| (variable.name().to_string(), graph.variable(&variable))).collect()
}

#[test]
fn linear_agrees_with_pytorch() {
    each("linear", |case| {
        let params = Params::seeded(0);
        let options = LinearOptions::new().bias(case.flag("bias"));
        let layer = Linear::with(&params, case.size("in_features"), case.size("out_features"), options);
        set(&params, case, "");
        let mut trace = Trace::new(Mode::Train);
        let x = trace.feed("x", case.array("x"));
        let y = layer.forward(&x);
        trace.fetch("y", &y);
        let wrt = gradients_of(&parameters(&params, &trace.graph), &x, "");
        trace.gradients(&y, case.array("cotangent"), &wrt);
        trace.run(&mut case.run.session(&params)).unwrap()
    });
}

#[test]
fn batch_norm_agrees_with_pytorch() {
    each("batch_norm", |case| {
        let params = Params::seeded(0);
        let track_running_stats = case.flag("track_running_stats");
        let options = BatchNormOptions::new()
            .eps(case.number("eps"))
            .momentum(case.options["momentum"].as_f64())
            .affine(case.flag("affine"))
            .bias(case.flag("bias"))
            .track_running_stats(track_running_stats);
        let layer = BatchNorm1d::with(&params, case.size("num_features"), options);
        set(&params, case, ".0");
        let tracked = params.counter("num_batches_tracked");
        let count = |name: &str| case.array(name).item().unwrap();
        if track_running_stats {
            tracked.set(count("num_batches_tracked.0") as u64);
        }
        let mut session = case.run.session(&params);
        let mut results = vec![];
        for call in 1..=case.size("calls") {
            let mut trace = Trace::new(if case.flag("training") { Mode::Train } else { Mode::Evaluate });
            let x = trace.feed("x", case.array(&format!("x.{call}")));
            let y = layer.forward(&x);
            trace.fetch(format!("y.{call}"), &y);
            let wrt = gradients_of(&parameters(&params, &trace.graph), &x, &format!(".{call}"));
            trace.gradients(&y, case.array(&format!("cotangent.{call}")), &wrt);
            results.extend(trace.run(&mut session).unwrap());
            session.sync().unwrap();
            if track_running_stats {
                for name in ["running_mean", "running_var"] {
                    let value = params.get(name).unwrap().value().unwrap();
                    results.push((format!("{name}.{call}"), (*value).clone()));
                }
                let found = tracked.get() as f64;
                assert!((found - count(&format!("num_batches_tracked.{call}"))).abs() < 0.5, "{}", case.name);
            }
        }
        results
    });
}

#[test]
fn elementwise_functions_agree_with_pytorch() {
    each("activations", |case| {
        let mut trace = Trace::new(Mode::Train);
        let x = trace.feed("x", case.array("x"));
        let y = match case.options["op"].as_str().unwrap() {
            "relu" => Relu.forward(&x),
            "leaky_relu" => LeakyRelu::new().negative_slope(case.number("negative_slope")).forward(&x),
            "gelu" => {
                let tanh = case.options["approximate"] == "tanh";
                let approximate = if tanh { GeluApproximation::Tanh } else { GeluApproximation::None };
                Gelu::new().approximate(approximate).forward(&x)
            }
            "silu" => Silu.forward(&x),
            "sigmoid" => Sigmoid.forward(&x),
            "tanh" => Tanh.forward(&x),
            "softplus" => Softplus::new().forward(&x),
            "exp" => x.exp(),
            "log" => x.log(),
            "log1p" => x.log1p(),
            "sqrt" => x.sqrt(),
            "abs" => x.abs(),
            "sign" => x.sign(),
            "pow" => x.pow(case.number("exponent")),
            "clamp" => x.clamp(case.number("min"), case.number("max")),
            other => panic!("{other}"),
        };
        trace.fetch("y", &y);
        if case.options["op"] == "sign" {
            // wgrad has no gradient in this case, while PyTorch returns zeros.
            assert!(case.array("dx").to_f64().iter().all(|&dx| dx == 0.0));
        } else {
            trace.gradients(&y, case.array("cotangent"), &[("dx".into(), x)]);
        }
        trace.run(&mut case.run.session(&Params::seeded(0))).unwrap()
    });
}
