//! Tests of losses with all of their options.

use wgrad::prelude::*;

use crate::fixture::{Case, Trace, each};

fn reduction(case: &Case<'_>) -> Reduction {
    match case.options["reduction"].as_str().unwrap() {
        "none" => Reduction::None,
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        other => panic!("{other}"),
    }
}

#[test]
fn bce_with_logits_agrees_with_pytorch() {
    each("bce_with_logits", |case| {
        let mut loss = BceWithLogitsLoss::new().reduction(reduction(case));
        if let Some(weight) = case.option_array("weight") {
            loss = loss.weight(weight);
        }
        if let Some(weight) = case.option_array("pos_weight") {
            loss = loss.pos_weight(weight);
        }
        let mut trace = Trace::new(Mode::Train);
        let (x, y) = (trace.feed("x", case.array("x")), trace.feed("y", case.array("y")));
        let loss = loss.forward(&x, &y);
        trace.fetch("loss", &loss);
        trace.gradients(&loss, case.array("cotangent"), &[("dx".into(), x)]);
        trace.run(&mut case.run.session(&Params::seeded(0))).unwrap()
    });
}

#[test]
fn cross_entropy_agrees_with_pytorch() {
    let mut refused = 0;
    each("cross_entropy", |case| {
        let mut loss =
            CrossEntropyLoss::new().reduction(reduction(case)).label_smoothing(case.number("label_smoothing"));
        if let Some(weight) = case.option_array("weight") {
            loss = loss.weight(weight);
        }
        let ignore = case.options["ignore_index"].as_i64().unwrap();
        if ignore != -100 {
            loss = loss.ignore_index(u32::try_from(ignore).unwrap());
        }
        let probabilities = case.options["target"] == "probability";
        let mut trace = Trace::new(Mode::Train);
        let (x, target) = (trace.feed("x", case.array("x")), trace.feed("target", case.array("target")));
        let loss = loss.forward(&x, &target);
        let mut session = case.run.session(&Params::seeded(0));
        if case.name.contains("one-class") {
            refused += 1;
            let error = session.compile(&trace.graph, &[&loss]).unwrap_err().to_string();
            assert!(error.contains("a softmax over one class is always 1"), "{error}");
            return vec![];
        }
        trace.fetch("loss", &loss);
        let mut wrt = vec![("dx".into(), x)];
        wrt.extend(probabilities.then_some(("dtarget".into(), target)));
        trace.gradients(&loss, case.array("cotangent"), &wrt);
        trace.run(&mut session).unwrap()
    });
    println!("cross_entropy: of those, {} with one class are refused", refused / 2);
}
