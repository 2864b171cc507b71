//! A generative adversarial network: the generator and the discriminator each have an optimizer and a training
//! step, in one session.
//!
//! `cargo run --example 16_gan` (a device may be named: `… -- llvmpipe`)

use wgrad::prelude::*;

fn mlp(p: &Params, inputs: usize, outputs: usize) -> Sequential {
    Sequential::new(p).add(|p| Linear::new(p, inputs, 32)).add(|_| Relu).add(|p| Linear::new(p, 32, outputs))
}

fn main() -> Result<()> {
    let params = Params::seeded(7);
    let (g, d) = (mlp(&params.at("g"), 4, 1), mlp(&params.at("d"), 1, 1));
    let judged = |x: &Tensor, y: f64| BceWithLogitsLoss::new().forward(&d.forward(x), &x.number(y).expand([128, 1]));
    let graphs = [Graph::new(Mode::Train), Graph::new(Mode::Train)];
    let noise = graphs.each_ref().map(|graph| graph.input("noise", [128, 4], DType::F32));
    let real = graphs[0].input("real", [128, 1], DType::F32);
    let d_loss = judged(&real, 1.0) + judged(&g.forward(&noise[0]).detach(), 0.0);
    Adam::new(2e-3).over(&params.at("d")).scope("optim_d").minimize(&d_loss);
    let fake = g.forward(&noise[1]);
    let g_loss = judged(&fake, 1.0);
    Adam::new(2e-3).over(&params.at("g")).scope("optim_g").minimize(&g_loss);
    let mut session = Session::new(Device::named(&std::env::args().nth(1).unwrap_or("cpu".into()))?, &params)?;
    let d_step = session.compile(&graphs[0], &[&d_loss])?;
    let g_step = session.compile(&graphs[1], &[&g_loss, &fake.mean_all(), &fake.std([0, 1], 1)])?;
    let mut seen = vec![];
    for step in 0..2000u64 {
        let z = Array::randn([128, 4], 2 * step);
        let x =
            Array::new([128, 1], Array::randn([128], 2 * step + 1).to_f32().iter().map(|x| 3.0 + 0.5 * x).collect())?;
        session.run(&d_step, &[(&real, &x), (&noise[0], &z)])?;
        seen = session.run(&g_step, &[(&noise[1], &z)])?;
    }
    println!("mean {:.2} (of the data 3), deviation {:.2} (0.5)", seen[1].item()?, seen[2].item()?);
    session.sync()
}
