//! Tensors and graphs: inputs, operators, broadcasting, the plan of a step, and an error that names its source
//! line.
//!
//! `cargo run --example 01_tensors_and_graphs` (a device may be named: `… -- cpu-f64`, `… -- llvmpipe`)

use wgrad::prelude::*;

const CITIES: [&str; 4] = ["Paris", "London", "Berlin", "Rome"];
/// Positions of four places, in kilometres east and north of Paris, rounded.
const PLACES: [f32; 8] = [0.0, 0.0, -182.0, 292.0, 810.0, 408.0, 842.0, -775.0];

/// Returns the distances between all pairs of rows of `places`, which has shape `[n, 2]`. Ops are methods and
/// operators, so the code looks like the formula.
fn distances(places: &Tensor) -> Tensor {
    let from = places.unsqueeze(1); // [n, 1, 2]
    let to = places.unsqueeze(0); // [1, n, 2]
    (from - to).square().sum([-1]).sqrt() // axes of size 1 broadcast: [n, n, 2], summed to [n, n]
}

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}\n", device.info());

    // A graph is a recipe. A tensor is a handle to one of the graph's values: it has a shape and a type, but no
    // data yet.
    let graph = Graph::new(Mode::Evaluate);
    let places = graph.input("places", [4, 2], DType::F32);
    let km = distances(&places);
    let farthest = km.argmax(-1);
    let hours = km.amax([-1]) / 800.0 + 0.5; // travel time by air, with half an hour of taxiing
    println!("The handles:\n  {places:?}\n  {km:?}\n  {farthest:?}\n  {hours:?}\n");

    // A session runs graphs on one device, with the variables of a `Params` (here there are none). Compiling plans
    // the graph: values that do not contribute to a fetched value are not computed, and ops are fused into one
    // kernel where possible.
    let mut session = Session::new(device, &Params::seeded(0))?;
    let step = session.compile(&graph, &[&km, &farthest, &hours])?;
    println!(
        "The plan of all of it (`a·b` is a and b fused into one kernel, `s0` is memory that tasks share):\n{step}"
    );

    // A run takes arrays, which are data on the host, as inputs. It returns arrays in the order of the fetches.
    let results = session.run(&step, &[(&places, &Array::new([4, 2], PLACES.to_vec())?)])?;
    let (km, hours) = (results[0].to_f32(), results[2].to_f32());
    let farthest = results[1].as_slice::<u32>().expect("positions are u32");
    println!("Kilometres by air:");
    for (i, city) in CITIES.iter().enumerate() {
        print!("{city:<7}");
        for km in &km[i * 4..][..4] {
            print!("{km:>6.0}");
        }
        println!("   farthest: {}, {:.1} hours", CITIES[farthest[i] as usize], hours[i]);
    }

    // An invalid op neither panics nor returns a `Result`. It records an error in the graph, and `compile` returns
    // the error, which names the source line.
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [64, 30], DType::F32);
    let w = graph.input("w", [64, 30], DType::F32);
    let y = x.matmul(&w).relu() * 2.0;
    let error = session.compile(&graph, &[&y]).expect_err("64 by 30 times 64 by 30 is no product");
    println!("\nA invalid, on purpose:\n{error}");

    // A run also returns an error if its inputs do not match the plan.
    let error = session.run(&step, &[(&places, &Array::full([3, 2], 0f32))]).expect_err("the plan is for four places");
    println!("\nAnother one:\n{error}");
    Ok(())
}
