//! Transfer learning: a residual network trained on some digits learns another digit from a few images.
//!
//! `cargo run --release --example 09_resnet_transfer -- [DEVICE] [--weights FILE]`
//!
//! Without `--weights`, a narrow ResNet-18 is first trained on all digits except 8 and saved with torchvision's
//! tensor names. With `--weights`, FILE contains torchvision's ResNet-18 in the safetensors format. Python writes
//! it with `save_file(resnet18(weights="DEFAULT").state_dict(), FILE)`. Training that network takes minutes on a
//! CPU.

use std::path::{Path, PathBuf};

use wgrad::nn::Load;
use wgrad::nn::models::{ResNet, ResNetOptions, Stem};
use wgrad::prelude::*;
use wgrad::train::Silent;

const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");
/// Number of training images for the new task.
const FEW: usize = 40;

/// Returns handwritten digits with pixels from 0 to 1 as two halves: one for pretraining, one for the new task.
fn digits() -> Result<(Dataset, Dataset)> {
    let all = Table::read_csv(CSV)?.target("digit")?.standardize(false).dataset()?;
    let x = all.x().iter().map(|pixel| pixel / 16.0).collect();
    let names = all.feature_names().iter().cloned();
    Dataset::new(names, x, all.y().to_vec(), all.classes().iter().cloned())?.split(0.5, Seed(7))
}

/// Relabels each row with the class that `class` returns for its digit, and drops rows for which it returns
/// `None`.
fn relabelled(data: &Dataset, classes: &[&str], class: impl Fn(u32) -> Option<u32>) -> Result<Dataset> {
    let rows = data.x().chunks(data.features()).zip(data.y()).filter_map(|(x, &digit)| Some((x, class(digit)?)));
    let (x, y): (Vec<_>, Vec<_>) = rows.unzip();
    Dataset::new(data.feature_names().iter().cloned(), x.concat(), y, classes.iter().copied())
}

/// Reshapes rows of 64 pixels to images `[N, 1, 8, 8]`. For the full ResNet-18, the image is repeated in three
/// colours and enlarged four times in each direction.
fn images(x: &Tensor, options: ResNetOptions) -> Tensor {
    let n = x.shape().dims()[0];
    if options == ResNetOptions::resnet18() {
        x.reshape([n, 1, 8, 1, 8, 1]).expand([n, 3, 8, 4, 8, 4]).reshape([n, 3, 32, 32])
    } else {
        x.reshape([n, 1, 8, 8])
    }
}

/// Trains a network on all digits except 8, and saves the network.
fn pretrain(device: &Device, options: ResNetOptions, digits: &Dataset, path: &Path) -> Result<()> {
    let names = ["0", "1", "2", "3", "4", "5", "6", "7", "9"];
    let class = |digit: u32| if digit == 8 { None } else { Some(digit.min(8)) };
    let (train, test) = relabelled(digits, &names, class)?.split(0.8, Seed(7))?;
    let params = Params::seeded(7);
    let model = ResNet::with(&params, options.num_classes(names.len()));
    let loss = CrossEntropyLoss::new();
    let mut trainer = Trainer::new(device.clone(), &params).optimizer(AdamW::new(3e-3)).batch_size(32).progress(Silent);
    trainer.fit(&train, 6, |x, y| loss.forward(&model.forward(&images(x, options)), y))?;
    let report = trainer.evaluate(&test, |x| model.forward(&images(x, options)))?;
    println!(
        "Trained on the digits but 8: {:.1} % of {} other images are right.",
        100.0 * report.accuracy,
        test.rows()
    );
    params.save(path)
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut device, mut weights) = ("auto".to_string(), None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--weights" => weights = arguments.next().map(PathBuf::from),
            name => device = name.into(),
        }
    }
    let device = Device::named(&device)?;
    println!("Device: {}", device.info());

    let (seen, new) = digits()?;
    let folder = std::env::temp_dir().join(format!("wgrad-transfer-{}", std::process::id()));
    let published = weights.is_some();
    let (path, options, head) = if let Some(path) = weights {
        (path, ResNetOptions::resnet18(), 5e-3)
    } else {
        let options = ResNetOptions::resnet18().channels(1).width(8).stem(Stem::Small);
        std::fs::create_dir_all(&folder).map_err(wgrad::Error::io(&folder))?;
        let path = folder.join("digits_without_8.safetensors");
        pretrain(&device, options, &seen, &path)?;
        (path, options, 3e-2)
    };

    // The new task is to recognise the digit 8, which the network has never seen.
    let task = relabelled(&new, &["no", "yes"], |digit| Some(u32::from(digit == 8)))?;
    let (few, test) = task.split(FEW as f64 / task.rows() as f64, Seed(7))?;
    let loss = BceWithLogitsLoss::new().pos_weight(few.pos_weight());
    println!("\nIs it an 8? {} images to learn from, {} to be tested on.\n", few.rows(), test.rows());

    let mut table = vec![];
    for transfer in [true, false] {
        let params = Params::seeded(8);
        let model = ResNet::with(&params, options.num_classes(1));
        let rate = if transfer {
            // Everything is loaded except the output layer, which has another size here. Any other mismatch
            // returns an error.
            let report = Load::from(&path).skip("fc").apply(&params)?;
            println!("{report}\n");
            // Frozen parameters get no gradients, and frozen batch norms keep their running statistics. The output
            // layer stays trainable.
            params.set_trainable(false);
            params.at("fc").set_trainable(true);
            head
        } else {
            3e-3
        };
        let parameters: usize = params.variables().iter().filter(|v| v.is_trainable()).map(|v| v.shape().numel()).sum();
        let mut trainer =
            Trainer::new(device.clone(), &params).optimizer(AdamW::new(rate)).batch_size(20).progress(Silent);
        let start = std::time::Instant::now();
        trainer
            .fit(&few, if published { 20 } else { 30 }, |x, y| loss.forward(&model.forward(&images(x, options)), y))?;
        let seconds = start.elapsed().as_secs_f64();
        let report = trainer.evaluate(&test, |x| model.forward(&images(x, options)))?;
        table.push((if transfer { "frozen backbone" } else { "from scratch" }, parameters, seconds, report));
    }

    println!("                 parameters  seconds  accuracy     F1  area under ROC");
    for (name, parameters, seconds, report) in &table {
        let (accuracy, f1, area) = (report.accuracy, report.f1, report.roc_auc.unwrap_or(f64::NAN));
        println!("{name:<16} {parameters:>10}  {seconds:>7.1}  {accuracy:>8.3}  {f1:>5.3}  {area:>14.3}");
    }
    if let [(.., transferred), (.., fresh)] = &table[..]
        && !published
    {
        assert!(transferred.roc_auc > fresh.roc_auc, "what the network knows helps");
        std::fs::remove_dir_all(&folder).map_err(wgrad::Error::io(&folder))?;
    }
    Ok(())
}
