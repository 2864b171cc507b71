//! Tests of the number of dispatches that each loss needs, in a step that computes the mean loss and the gradient
//! of the prediction.

use wgrad::prelude::*;

use super::plan;

type Build = fn(&Graph, &Tensor) -> Tensor;

fn float(graph: &Graph, shape: impl Into<Shape>) -> Tensor {
    graph.input("y", shape, DType::F32)
}

fn classes(graph: &Graph) -> Tensor {
    graph.input("classes", [64], DType::U32)
}

/// Checks the number of kernels. Most losses need one kernel: a sum, into which the loss and its gradient are
/// fused. If the gradient shares no operation with the loss, a second kernel computes the gradient. Softmax,
/// selection by index and a mean over kept elements need further kernels.
#[test]
fn most_losses_are_one_kernel_with_their_gradient() {
    let losses: [(&str, usize, Build); 21] = [
        ("MseLoss", 1, |g, x| MseLoss::new().forward(x, &float(g, [64, 10]))),
        ("L1Loss", 1, |g, x| L1Loss::new().forward(x, &float(g, [64, 10]))),
        ("SmoothL1Loss", 1, |g, x| SmoothL1Loss::new().beta(0.5).forward(x, &float(g, [64, 10]))),
        ("HuberLoss", 1, |g, x| HuberLoss::new().forward(x, &float(g, [64, 10]))),
        ("BceLoss", 2, |g, x| BceLoss::new().forward(x, &float(g, [64, 10]))),
        ("BceWithLogitsLoss", 2, |g, x| BceWithLogitsLoss::new().forward(x, &float(g, [64, 10]))),
        ("KlDivLoss", 2, |g, x| KlDivLoss::new().reduction(KlDivReduction::BatchMean).forward(x, &float(g, [64, 10]))),
        ("FocalLoss", 1, |g, x| FocalLoss::new().forward(x, &float(g, [64, 10]))),
        ("HingeLoss", 1, |g, x| HingeLoss::new().forward(x, &float(g, [64, 10]))),
        ("HingeEmbeddingLoss", 1, |g, x| HingeEmbeddingLoss::new().forward(x, &float(g, [64, 10]))),
        ("SoftMarginLoss", 1, |g, x| SoftMarginLoss::new().forward(x, &float(g, [64, 10]))),
        ("MarginRankingLoss", 1, |g, x| {
            MarginRankingLoss::new().forward(x, &g.input("second", [64, 10], DType::F32), &float(g, [64, 10]))
        }),
        ("PoissonNllLoss", 1, |g, x| PoissonNllLoss::new().forward(x, &float(g, [64, 10]))),
        ("GaussianNllLoss", 1, |g, x| {
            GaussianNllLoss::new().forward(x, &float(g, [64, 10]), &g.input("var", [64, 10], DType::F32))
        }),
        ("MultiLabelSoftMarginLoss", 2, |g, x| MultiLabelSoftMarginLoss::new().forward(x, &float(g, [64, 10]))),
        ("CoralLoss", 1, |g, x| CoralLoss::new().forward(x, &classes(g))),
        ("CrossEntropyLoss", 4, |g, x| CrossEntropyLoss::new().forward(x, &classes(g))),
        ("MultiClassFocalLoss", 5, |g, x| MultiClassFocalLoss::new().forward(x, &classes(g))),
        ("NllLoss", 6, |g, x| NllLoss::new().forward(x, &classes(g))),
        ("MultiMarginLoss", 5, |g, x| MultiMarginLoss::new().forward(x, &classes(g))),
        ("CosineEmbeddingLoss", 6, |g, x| {
            CosineEmbeddingLoss::new().forward(x, &g.input("second", [64, 10], DType::F32), &float(g, [64]))
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
