//! Gradients: `gradients`, `detach` and `vjp`, compared with central differences; then gradient descent by hand.
//!
//! `cargo run --example 02_gradients`

use wgrad::prelude::*;

const H: f64 = 1e-5;

/// Computes the function to differentiate, `Σ x · tanh x`.
fn f(x: &Tensor) -> Tensor {
    (x * x.tanh()).sum_all()
}

fn derivatives() -> Result<()> {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [5], DType::F32);
    let value = f(&x);
    // Gradients are nodes of the same graph, and are planned and fused like all other nodes.
    let gradient = gradients(&value, std::slice::from_ref(&x))[0].clone().expect("the value depends on x");
    // No gradient flows through `detach`, so tanh x counts as a constant here.
    let detached = (&x * x.tanh().detach()).sum_all();
    let partial = gradients(&detached, std::slice::from_ref(&x))[0].clone().expect("the value depends on x");

    // Central differences need double precision, so this runs on the CPU's f64 reference. `F32` in a graph means
    // "float, in the device's precision".
    let mut session = Session::new(Device::cpu_f64(), &Params::seeded(0))?;
    let step = session.compile(&graph, &[&value, &gradient, &partial])?;
    let at = [-2.0, -0.5, 0.0, 0.5, 2.0];
    let results = session.run(&step, &[(&x, &Array::vector(at.to_vec()))])?;
    let (derivatives, partials) = (results[1].to_f64(), results[2].to_f64());
    println!("f(x) = Σ x·tanh x\n    x  gradient       difference     with tanh x detached");
    for i in 0..at.len() {
        let mut moved = |by: f64| {
            let mut x_moved = at.to_vec();
            x_moved[i] += by;
            session.run(&step, &[(&x, &Array::vector(x_moved))])?[0].item()
        };
        let difference = (moved(H)? - moved(-H)?) / (2.0 * H);
        println!("{:>5}  {:>13.10}  {difference:>13.10}  {:>13.10}", at[i], derivatives[i], partials[i]);
        assert!((difference - derivatives[i]).abs() < 1e-9 && (partials[i] - at[i].tanh()).abs() < 1e-12);
    }
    Ok(())
}

/// Computes a Jacobian with `vjp`, the product of a given vector and the Jacobian of a function. A unit vector
/// selects one row of the Jacobian.
fn jacobian() -> Result<()> {
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [3], DType::F32);
    let cotangent = graph.input("cotangent", [3], DType::F32);
    let y = x.softmax(-1);
    let row = vjp(&[(&y, &cotangent)], std::slice::from_ref(&x))[0].clone().expect("softmax depends on x");
    let mut session = Session::new(Device::cpu_f64(), &Params::seeded(0))?;
    let step = session.compile(&graph, &[&row])?;
    println!("\nThe Jacobian of softmax at [1, 2, 3], a row per output; each row sums to 0:");
    for i in 0..3 {
        let mut unit = vec![0.0; 3];
        unit[i] = 1.0;
        let feeds = [(&x, &Array::vector(vec![1.0, 2.0, 3.0])), (&cotangent, &Array::vector(unit))];
        println!("  {:+.6?}", session.run(&step, &feeds)?[0].to_f64());
    }
    Ok(())
}

/// Fits a line by gradient descent. An optimizer does the same: it adds updates of variables to the graph.
fn line(device: Device) -> Result<()> {
    let xs: Vec<f64> = (0..20).map(|i| f64::from(i) / 10.0 - 1.0).collect();
    let ys: Vec<f64> = xs.iter().map(|x| 3.0 * x - 1.0 + 0.2 * (40.0 * x).sin()).collect();

    let params = Params::seeded(0);
    let slope = params.variable("slope", [], Kind::Parameter, Init::Constant(0.0));
    let intercept = params.variable("intercept", [], Kind::Parameter, Init::Constant(0.0));
    let graph = Graph::new(Mode::Train); // only a training graph may update variables
    let x = graph.array(Array::vector(xs.clone()));
    let y = graph.array(Array::vector(ys.clone()));
    let (a, b) = (graph.variable(&slope), graph.variable(&intercept));
    let loss = (&x * &a + &b - y).square().mean_all();
    let by = gradients(&loss, &[a.clone(), b.clone()]);
    let [Some(da), Some(db)] = &by[..] else { unreachable!("the loss depends on both") };
    graph.update(&slope, &(a - da * 0.5));
    graph.update(&intercept, &(b - db * 0.5));

    let mut session = Session::new(device, &params)?;
    let step = session.compile(&graph, &[&loss])?;
    println!("\nA line through 20 points, by gradient descent on {}:\n{step}", session.device());
    for i in 1..=60 {
        session.submit(&step, &[])?; // does not wait for the device
        if [1, 2, 5, 10, 20, 60].contains(&i) {
            println!("  step {i:>2}  loss {:.6}", session.fetch(&step)?[0].item()?);
        }
    }
    session.sync()?; // copies the variables back to the host

    // Solution of the least-squares problem in closed form.
    let mean = |v: &[f64]| v.iter().sum::<f64>() / 20.0;
    let (mx, my) = (mean(&xs), mean(&ys));
    let covariance: f64 = xs.iter().zip(&ys).map(|(x, y)| (x - mx) * (y - my)).sum();
    let best = covariance / xs.iter().map(|x| (x - mx).powi(2)).sum::<f64>();
    let (a, b) = (slope.value()?.item()?, intercept.value()?.item()?);
    println!("  found          y = {a:.5} x {b:+.5}\n  least squares  y = {best:.5} x {:+.5}", my - best * mx);
    assert!((a - best).abs() < 1e-4);
    Ok(())
}

fn main() -> Result<()> {
    derivatives()?;
    jacobian()?;
    line(Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?)
}
