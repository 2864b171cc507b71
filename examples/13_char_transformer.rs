//! A small transformer that learns to continue a text, one character at a time.
//!
//! `cargo run --release --example 13_char_transformer -- auto path/to/text.txt` (by default this repository's README)

#[path = "models/char_transformer.rs"]
mod char_transformer;

use char_transformer::{CharTransformer, Sizes};
use wgrad::core::Stream;
use wgrad::prelude::*;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const CONTEXT: usize = 48;
const BATCH: usize = 8;
const STEPS: usize = 150;

/// Returns random windows of a text as `[BATCH, CONTEXT]`, and the same windows shifted by one character.
fn batch(text: &[u32], stream: &mut Stream) -> Result<(Array, Array)> {
    let (mut x, mut next) = (vec![], vec![]);
    for _ in 0..BATCH {
        let at = stream.below(text.len() - CONTEXT);
        x.extend_from_slice(&text[at..at + CONTEXT]);
        next.extend_from_slice(&text[at + 1..=at + CONTEXT]);
    }
    Ok((Array::new([BATCH, CONTEXT], x)?, Array::new([BATCH, CONTEXT], next)?))
}

/// Draws a character according to the probabilities. The logits are divided by a temperature below 1, so that
/// unlikely characters are drawn less often.
fn draw(logits: &[f32], stream: &mut Stream) -> usize {
    let largest = logits.iter().copied().fold(f32::MIN, f32::max);
    let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit - largest) / 0.7).exp()).collect();
    let mut left = stream.uniform() * weights.iter().sum::<f64>();
    weights
        .iter()
        .position(|weight| {
            left -= weight;
            left < 0.0
        })
        .unwrap_or(0)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let device = Device::named(arguments.next().as_deref().unwrap_or("auto"))?;
    println!("Device: {}", device.info());
    let path = arguments.next().unwrap_or_else(|| README.into());
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;

    let mut characters: Vec<char> = text.chars().collect();
    characters.sort_unstable();
    characters.dedup();
    let code = |c: char| characters.binary_search(&c).map_or(0, |at| u32::try_from(at).unwrap_or(0));
    let codes: Vec<u32> = text.chars().map(code).collect();
    // The last tenth of the text is held out for testing.
    let (known, unseen) = codes.split_at(codes.len() / 10 * 9);
    if unseen.len() <= 2 * CONTEXT {
        return Err(Error::Other(format!("{path} has {} characters, which are too few", codes.len()).into()));
    }
    println!("{path}: {} characters, {} different ones", codes.len(), characters.len());

    let params = Params::seeded(7);
    let sizes =
        Sizes { characters: characters.len(), context: CONTEXT, features: 64, heads: 4, layers: 2, dropout: 0.0 };
    let model = CharTransformer::new(&params, sizes);
    let inputs = |graph: &Graph, rows: usize| ["x", "next"].map(|name| graph.input(name, [rows, CONTEXT], DType::U32));

    let graph = Graph::new(Mode::Train);
    let [x, next] = inputs(&graph, BATCH);
    let loss = model.loss(&x, &next);
    AdamW::new(3e-3).minimize(&loss);
    let evaluation = Graph::new(Mode::Evaluate);
    let [unseen_x, unseen_next] = inputs(&evaluation, BATCH);
    let unseen_loss = model.loss(&unseen_x, &unseen_next);

    let mut session = Session::new(device, &params)?;
    let step = session.compile(&graph, &[&loss])?;
    let check = session.compile(&evaluation, &[&unseen_loss])?;
    println!("A step is {} tasks.\n", step.plan().tasks.len());

    let mut stream = Stream::new(7, 0);
    let (unseen_xs, unseen_nexts) = batch(unseen, &mut stream)?;
    let feeds = [(&unseen_x, &unseen_xs), (&unseen_next, &unseen_nexts)];
    let first = session.run(&check, &feeds)?[0].item()?;
    let start = std::time::Instant::now();
    let mut losses = vec![];
    for _ in 0..STEPS {
        let (xs, nexts) = batch(known, &mut stream)?;
        losses.push(session.run(&step, &[(&x, &xs), (&next, &nexts)])?[0].item()?);
    }
    let seconds = start.elapsed().as_secs_f64();
    let last = session.run(&check, &feeds)?[0].item()?;
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / 10.0;
    let even = f64::from(u32::try_from(characters.len()).unwrap_or(u32::MAX)).ln();
    println!("Guessing evenly would cost {even:.3} per character.");
    println!(
        "Loss of the first ten steps {:.3}, of the last ten {:.3}",
        mean(&losses[..10]),
        mean(&losses[STEPS - 10..])
    );
    println!("On text that it never saw {first:.3}, then {last:.3}; {STEPS} steps in {seconds:.1} s\n");
    assert!(last < first - 0.3, "it learned nothing");

    // Another graph computes the logits for a single text. The logits at its last position determine the next
    // character.
    let graph = Graph::new(Mode::Evaluate);
    let x = graph.input("x", [1, CONTEXT], DType::U32);
    let logits = model.forward(&x);
    let step = session.compile(&graph, &[&logits])?;
    let mut written: Vec<u32> = known[..CONTEXT / 2].to_vec();
    for _ in 0..200 {
        let seen = &written[written.len().saturating_sub(CONTEXT)..];
        let place = seen.len() - 1;
        let mut row = seen.to_vec();
        row.resize(CONTEXT, 0); // padding, which causal attention ignores
        let logits = session.run(&step, &[(&x, &Array::new([1, CONTEXT], row)?)])?[0].to_f32();
        let logits = &logits[place * characters.len()..(place + 1) * characters.len()];
        written.push(u32::try_from(draw(logits, &mut stream)).unwrap_or(0));
    }
    let sample: String = written.iter().map(|&code| characters[code as usize]).collect();
    println!("What it writes after {:?}:\n{}", &sample.chars().take(CONTEXT / 2).collect::<String>(), sample);
    Ok(())
}
