//! A convolutional network for text, which recognises the language of a line from a file of this repository.
//!
//! `cargo run --release --example 08_text_cnn` (a device may be named: `… -- cpu`)

#[path = "models/text_cnn.rs"]
mod text_cnn;

use std::path::{Path, PathBuf};

use text_cnn::TextCnn;
use wgrad::prelude::*;
use wgrad::train::Silent;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const LANGUAGES: [(&str, &str); 3] = [("Rust", "rs"), ("WGSL", "wgsl"), ("Markdown", "md")];
/// Number of characters that the model reads of each line.
const LENGTH: usize = 48;
/// Number of character codes: 0 is padding, 1 to 95 are the printable ASCII characters, and 96 is any other
/// character.
const CHARACTERS: usize = 97;
const EPOCHS: usize = 6;

/// Collects all files with this extension in a folder and its subfolders, sorted by name.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
}

fn code(character: char) -> f32 {
    match u8::try_from(character) {
        Ok(byte @ 32..=126) => f32::from(byte - 31),
        _ => 96.0,
    }
}

/// Returns at most `most` lines of a file, without indentation. Lines without letters are skipped.
fn lines(path: &Path, most: usize) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| line.chars().filter(|c| c.is_alphabetic()).count() >= 8);
    lines.take(most).map(String::from).collect()
}

fn dataset(rows: &[(String, u32)]) -> Result<Dataset> {
    let characters = |(line, _): &(String, u32)| {
        let codes = line.chars().map(code).chain(std::iter::repeat(0.0));
        codes.take(LENGTH).collect::<Vec<_>>()
    };
    let x = rows.iter().flat_map(characters).collect();
    let y = rows.iter().map(|(_, language)| *language).collect();
    Dataset::new((0..LENGTH).map(|i| format!("character {i}")), x, y, LANGUAGES.map(|(name, _)| name))
}

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}", device.info());

    // Every fourth file is held out for testing. Files are not divided, because lines of one file resemble each
    // other.
    let (mut train, mut test) = (vec![], vec![]);
    for (language, (_, ending)) in (0..).zip(LANGUAGES) {
        let mut found = vec![];
        files(Path::new(ROOT), ending, &mut found);
        // The repository has few files of prose but many of Rust, so fewer lines are taken from each Rust file.
        let most = if ending == "md" { 200 } else { 12 };
        for (i, path) in found.iter().enumerate() {
            let rows = lines(path, most).into_iter().map(|line| (line, language));
            if i % 4 == 3 { test.extend(rows) } else { train.extend(rows) }
        }
    }
    let (train, test) = (dataset(&train)?, dataset(&test)?);
    println!("{} lines to train on {:?}, {} to test", train.rows(), train.class_counts(), test.rows());

    let params = Params::seeded(7);
    let model = TextCnn::new(&params, CHARACTERS, 24, LANGUAGES.len(), 0.3);
    // Languages with fewer lines get a larger weight in the loss.
    let weights = Array::vector(train.class_weights());
    let loss = CrossEntropyLoss::new().weight(weights);
    let start = std::time::Instant::now();
    let mut trainer = Trainer::new(device, &params).optimizer(AdamW::new(3e-3)).batch_size(64).progress(Silent);
    let history = trainer.fit(&train, EPOCHS, |x, y| loss.forward(&model.forward(x), y))?;
    println!("Loss {:.3} in the first epoch, {:.3} in the last", history.epochs[0].loss, history.loss());
    println!("{EPOCHS} epochs in {:.1} s\n", start.elapsed().as_secs_f64());

    let report = trainer.evaluate(&test, |x| model.forward(x))?;
    println!("On lines of files that it never saw:\n{report}");
    assert!(report.accuracy > 0.8, "the languages differ more than that");

    let unseen =
        ["let mean = values.iter().sum::<f64>() / count;", "var sum = vec4<f32>(0.0);", "Run it once, then again."];
    let rows: Vec<_> = unseen.iter().map(|line| ((*line).to_string(), 0)).collect();
    let probabilities = trainer.predict_rows(&dataset(&rows)?.x_array(), |x| model.forward(x))?.to_f64();
    for (line, shares) in unseen.iter().zip(probabilities.chunks(LANGUAGES.len())) {
        let best = (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b])).unwrap_or(0);
        println!("{:>8}, {:>3.0} %: {line}", LANGUAGES[best].0, shares[best] * 100.0);
    }
    Ok(())
}
