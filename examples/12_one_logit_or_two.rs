//! Binary classification with one logit and `BceWithLogitsLoss`, or with two logits and `CrossEntropyLoss`. Both
//! losses are equal, except for the mean over weighted rows.
//!
//! `cargo run --release --example 12_one_logit_or_two` (a device may be named: `… -- cpu`)

#[path = "models/one_logit.rs"]
mod one_logit;

use one_logit::{OneLogit, two_logits};
use wgrad::prelude::*;

const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/breast_cancer.csv");
const STEPS: usize = 200;
/// Weight of a positive row in the loss.
const W: f32 = 5.0;

/// Returns both losses for logits `z` of shape `[N, 1]` and `classes` of shape `[N]`.
fn both(z: &Tensor, classes: &Tensor, weighted: bool, reduction: Reduction) -> [Tensor; 2] {
    let (mut one, mut two) =
        (BceWithLogitsLoss::new().reduction(reduction), CrossEntropyLoss::new().reduction(reduction));
    if weighted {
        (one, two) = (one.pos_weight(W), two.weight([1.0, W]));
    }
    [one.forward(z, &classes.to_f32().unsqueeze(1)), two.forward(&two_logits(z), classes)]
}

fn numbers(device: &Device) -> Result<()> {
    let graph = Graph::new(Mode::Evaluate);
    let z = graph.array(Array::new([6, 1], vec![2.0f32, -1.0, 0.5, -3.0, 4.0, -0.25])?);
    let classes = graph.array(Array::vector(vec![1u32, 0, 0, 0, 1, 1]));
    let mut losses = vec![];
    for reduction in [Reduction::Sum, Reduction::Mean] {
        for weighted in [false, true] {
            losses.extend(both(&z, &classes, weighted, reduction));
        }
    }
    let mut session = Session::new(device.clone(), &Params::seeded(0))?;
    let step = session.compile(&graph, &losses.iter().collect::<Vec<_>>())?;
    let values: Vec<f64> = session.run(&step, &[])?.iter().map(Array::item).collect::<Result<_>>()?;
    println!("Six rows, three positive      BCEWithLogits(z)   CE([0, z])");
    let rows = ["sum", "sum, a positive counts 5", "mean", "mean, a positive counts 5"];
    for (name, pair) in rows.iter().zip(values.chunks(2)) {
        let same = if (pair[0] - pair[1]).abs() < 1e-5 { "the same" } else { "not the same" };
        println!("{name:<28}{:>18.5}{:>13.5}   {same}", pair[0], pair[1]);
    }
    // The means differ by this factor: BCE divides by the number of rows, 6, and CE by the sum of the weights, 3·1
    // + 3·5.
    let ratio = values[6] / values[7];
    println!("The last two: BCE divides by 6 rows, CE by the weights, 18; {ratio:.4} = 18 / 6.\n");
    assert!((values[2] - values[3]).abs() < 1e-4 && (ratio - 3.0).abs() < 1e-4);
    Ok(())
}

/// Trains with one of the losses and returns the weights.
fn train(device: &Device, data: &Dataset, which: usize, reduction: Reduction) -> Result<Vec<f32>> {
    let params = Params::seeded(7);
    let model = OneLogit::new(&params, data.features());
    let graph = Graph::new(Mode::Train);
    let x = graph.input("x", [data.rows(), data.features()], DType::F32);
    let classes = graph.input("classes", [data.rows()], DType::U32);
    let [one, two] = both(&model.forward(&x), &classes, true, reduction);
    let loss = if which == 0 { one } else { two };
    // The gradient of a sum is larger than that of a mean by a factor of the number of rows, so its learning rate
    // is smaller.
    let rate = if reduction == Reduction::Sum { 0.1 / data.rows() as f64 } else { 0.1 };
    Sgd::new(rate).momentum(0.9).minimize(&loss);
    let mut session = Session::new(device.clone(), &params)?;
    let step = session.compile(&graph, &[])?;
    let (xs, ys) = (data.x_array(), data.y_array());
    for _ in 0..STEPS {
        session.submit(&step, &[(&x, &xs), (&classes, &ys)])?;
    }
    session.sync()?;
    Ok([params.get("fc.weight")?, params.get("fc.bias")?]
        .iter()
        .map(Variable::value)
        .collect::<Result<Vec<_>>>()?
        .iter()
        .flat_map(|array| array.to_f32())
        .collect())
}

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}\n", device.info());
    numbers(&device)?;

    let (data, _) = Table::read_csv(CSV)?.target("malignant")?.split(0.8, Seed(7))?;
    println!("Training on {} tumours for {STEPS} steps, a malignant one counts {W}:", data.rows());
    println!("reduction   weight 0 of BCE     of CE   bias of BCE     of CE   largest difference");
    for (name, reduction) in [("sum", Reduction::Sum), ("mean", Reduction::Mean)] {
        let [one, two] = [train(&device, &data, 0, reduction)?, train(&device, &data, 1, reduction)?];
        let far = one.iter().zip(&two).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let last = data.features();
        println!("{name:<10}{:>17.5}{:>10.5}{:>14.5}{:>10.5}{far:>21.1e}", one[0], two[0], one[last], two[last]);
        let expected = if reduction == Reduction::Sum { far < 1e-4 } else { far > 1e-2 };
        assert!(expected, "sums are the same loss, means differ by a factor");
    }
    println!(
        "\nSo take one logit and `pos_weight`. The mean of a weighted cross-entropy divides by the weights of the rows,"
    );
    println!("so that its steps are smaller, by a factor that changes from batch to batch.");
    Ok(())
}
