//! How many dispatches a step of each loss takes: the mean loss and the gradient of the prediction.

use wgrad::nn::losses::*;
use wgrad::prelude::*;

use super::plan;

type Build = fn(&Graph, &Tensor) -> Tensor;

fn float(graph: &Graph, shape: impl Into<Shape>) -> Tensor {
    graph.input("y", shape, DType::F32)
}

fn classes(graph: &Graph) -> Tensor {
    graph.input("classes", [64], DType::U32)
}

/// What multiplies the loss and sums it up stands in one kernel, what makes the gradient in another one or the same.
#[test]
fn a_loss_is_a_sum_and_a_cluster() {
    let losses: [(&str, usize, Build); 21] = [
        ("MseLoss", 2, |g, x| MseLoss::new().apply(x, &float(g, [64, 10]))),
        ("L1Loss", 2, |g, x| L1Loss::new().apply(x, &float(g, [64, 10]))),
        ("SmoothL1Loss", 2, |g, x| SmoothL1Loss::new().beta(0.5).apply(x, &float(g, [64, 10]))),
        ("HuberLoss", 2, |g, x| HuberLoss::new().apply(x, &float(g, [64, 10]))),
        ("BceLoss", 2, |g, x| BceLoss::new().apply(x, &float(g, [64, 10]))),
        ("BceWithLogitsLoss", 2, |g, x| BceWithLogitsLoss::new().apply(x, &float(g, [64, 10]))),
        ("KlDivLoss", 2, |g, x| KlDivLoss::new().reduction(KlDivReduction::BatchMean).apply(x, &float(g, [64, 10]))),
        ("FocalLoss", 2, |g, x| FocalLoss::new().apply(x, &float(g, [64, 10]))),
        ("HingeLoss", 2, |g, x| HingeLoss::new().apply(x, &float(g, [64, 10]))),
        ("HingeEmbeddingLoss", 2, |g, x| HingeEmbeddingLoss::new().apply(x, &float(g, [64, 10]))),
        ("SoftMarginLoss", 2, |g, x| SoftMarginLoss::new().apply(x, &float(g, [64, 10]))),
        ("MarginRankingLoss", 2, |g, x| {
            MarginRankingLoss::new().apply(x, &g.input("second", [64, 10], DType::F32), &float(g, [64, 10]))
        }),
        ("PoissonNllLoss", 2, |g, x| PoissonNllLoss::new().apply(x, &float(g, [64, 10]))),
        ("GaussianNllLoss", 2, |g, x| {
            GaussianNllLoss::new().apply(x, &float(g, [64, 10]), &g.input("var", [64, 10], DType::F32))
        }),
        ("MultiLabelSoftMarginLoss", 3, |g, x| MultiLabelSoftMarginLoss::new().apply(x, &float(g, [64, 10]))),
        ("CoralLoss", 3, |g, x| CoralLoss::new().apply(x, &classes(g))),
        ("CrossEntropyLoss", 4, |g, x| CrossEntropyLoss::new().apply(x, &classes(g))),
        ("MultiClassFocalLoss", 4, |g, x| MultiClassFocalLoss::new().apply(x, &classes(g))),
        ("NllLoss", 5, |g, x| NllLoss::new().apply(x, &classes(g))),
        ("MultiMarginLoss", 6, |g, x| MultiMarginLoss::new().apply(x, &classes(g))),
        ("CosineEmbeddingLoss", 6, |g, x| {
            CosineEmbeddingLoss::new().apply(x, &g.input("second", [64, 10], DType::F32), &float(g, [64]))
        }),
    ];
    let mut changed = vec![];
    for (name, expected, build) in losses {
        let graph = Graph::new(Mode::Train);
        let x = graph.input("x", [64, 10], DType::F32);
        let loss = build(&graph, &x);
        let dx = gradients(&loss, std::slice::from_ref(&x)).remove(0).expect("the loss depends on x");
        let plan = plan(&graph, &[&loss, &dx]);
        if plan.dispatches() != expected {
            changed.push(format!("{name}: {} dispatches, not {expected}\n{plan}", plan.dispatches()));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}
