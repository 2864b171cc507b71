//! Two classes, one of them rare. The example shows how weights, resampling and focal loss affect the ranking of
//! the rows and the probabilities, and how to calibrate the probabilities again.
//!
//! `cargo run --release --example 14_rare_positives`

use wgrad::metrics::{Bins, Calibration, Cuts, Interval, Reliability, bootstrap, log_loss, pr_auc};
use wgrad::prelude::*;
use wgrad::train::Silent;
use wgrad::train::prior::Prior;

const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");
/// Number of positive rows in a data set.
const RARE: usize = 30;
/// Number of data sets. The positive rows of each are different images of the digit 8.
const SETS: usize = 5;
/// Number of folds for cross-validation: the model that scores a row was trained on the other folds.
const FOLDS: usize = 3;
const EPOCHS: usize = 12;

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Plain,
    PosWeight,
    Oversampling,
    Focal,
}

impl Way {
    const ALL: [Self; 4] = [Self::Plain, Self::PosWeight, Self::Oversampling, Self::Focal];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain BCE",
            Self::PosWeight => "pos_weight",
            Self::Oversampling => "oversampling",
            Self::Focal => "focal loss",
        }
    }
}

/// Logits of rows on which the model was not trained.
#[derive(Default)]
struct Predictions {
    logits: Vec<f64>,
    /// The logits, shifted to remove the effect of weights or resampling.
    shifted: Vec<f64>,
    first_loss: f64,
}

/// Trains on `train` and predicts the logits of `test`.
fn run(device: &Device, way: Way, train: &Dataset, test: &Dataset, seed: u64) -> Result<Predictions> {
    let prior = Prior::of(train)?;
    let weight = prior.pos_weight().unwrap_or(1.0);
    // Class frequencies as the loss sees them, after weighting or resampling.
    let prior_in_loss = match way {
        Way::Plain | Way::Focal => prior.clone(),
        Way::PosWeight => prior.with_pos_weight(weight)?,
        Way::Oversampling => Prior::from_shares(&[0.5, 0.5])?,
    };
    let (data, epochs) = if way == Way::Oversampling {
        // Positive rows are repeated until there are as many as negative rows.
        let (positives, mut rows): (Vec<u32>, Vec<u32>) =
            (0..).take(train.rows()).partition(|&row| train.y()[row as usize] == 1);
        rows.extend(positives.iter().cycle().take(rows.len()));
        (train.subset(&rows)?, EPOCHS / 2)
    } else {
        (train.clone(), EPOCHS)
    };

    let params = Params::seeded(seed);
    let body = Sequential::new(&params.at("body"))
        .add(|_| |x: &Tensor| x * (1.0 / 16.0))
        .add(|p| Linear::new(p, 64, 64))
        .add(|p| BatchNorm1d::new(p, 64))
        .add(|_| Relu);
    let head = Linear::new(&params.at("head"), 64, 1);
    // The initial model predicts these class frequencies for every row.
    prior_in_loss.initialize(&head)?;
    let mut first = None;
    let mut trainer = Trainer::new(device.clone(), &params).optimizer(AdamW::new(2e-3)).batch_size(64).progress(Silent);
    let loss = |x: &Tensor, y: &Tensor| {
        let logits = head.forward(&body.forward(x));
        match way {
            Way::Plain | Way::Oversampling => BceWithLogitsLoss::new().forward(&logits, y),
            Way::PosWeight => BceWithLogitsLoss::new().pos_weight(weight).forward(&logits, y),
            Way::Focal => FocalLoss::new().forward(&logits, y),
        }
    };
    for _ in 0..epochs {
        let history = trainer.fit(&data, 1, loss)?;
        first.get_or_insert(history.loss());
    }
    let logits = trainer.predict_logits(test, |x| head.forward(&body.forward(x)))?.to_f64();
    let shift = prior.shift_from(&prior_in_loss)?;
    let shifted = logits.iter().map(|&logit| shift.logit(logit)).collect();
    Ok(Predictions { logits, shifted, first_loss: first.unwrap_or(f64::NAN) })
}

/// Returns the row numbers of one data set (some images of the digit 8, and all images of other digits), and the
/// fold of each row. Every fold has equally many images of the digit 8.
fn folds(digits: &Dataset, set: usize) -> (Vec<u32>, Vec<usize>) {
    let (eights, others): (Vec<u32>, Vec<u32>) =
        (0..).take(digits.rows()).partition(|&row| digits.classes()[digits.y()[row as usize] as usize] == "8");
    let rows: Vec<u32> = eights[set * RARE..(set + 1) * RARE].iter().copied().chain(others).collect();
    let fold = (0..rows.len()).map(|at| at % FOLDS).collect();
    (rows, fold)
}

/// Logits and probabilities of all rows, each from a model that was not trained on that row.
struct Scored {
    labels: Vec<u32>,
    logits: Vec<f64>,
    raw: Vec<f64>,
    shifted: Vec<f64>,
    calibrated: Vec<f64>,
}

fn score(device: &Device, way: Way, digits: &Dataset, first_losses: &mut Vec<f64>) -> Result<Vec<Scored>> {
    let sigmoid = |z: &f64| 1.0 / (1.0 + (-z).exp());
    let mut all = vec![];
    for set in 0..SETS {
        let (rows, fold) = folds(digits, set);
        let class = |&row: &u32| u32::from(digits.classes()[digits.y()[row as usize] as usize] == "8");
        let labels: Vec<u32> = rows.iter().map(class).collect();
        let data = digits.subset(&rows)?;
        let names = data.feature_names().to_vec();
        let data = Dataset::new(names, data.x().to_vec(), labels.clone(), ["no", "8"])?;
        let part = |keep: &dyn Fn(usize) -> bool| -> Vec<u32> {
            (0u32..).zip(&fold).filter(|(_, fold)| keep(**fold)).map(|(at, _)| at).collect()
        };
        let (mut logits, mut shifted) = (vec![0.0; rows.len()], vec![0.0; rows.len()]);
        for of in 0..FOLDS {
            let (train, test) = (part(&|fold| fold != of), part(&|fold| fold == of));
            let seed = (set * FOLDS + of) as u64;
            let predictions = run(device, way, &data.subset(&train)?, &data.subset(&test)?, seed)?;
            first_losses.push(predictions.first_loss);
            for (i, &at) in test.iter().enumerate() {
                (logits[at as usize], shifted[at as usize]) = (predictions.logits[i], predictions.shifted[i]);
            }
        }
        // The calibration of each fold is fitted with Platt's method on the other two folds.
        let mut calibrated = vec![0.0; rows.len()];
        for of in 0..FOLDS {
            let others = part(&|fold| fold != of);
            let (z, y): (Vec<f64>, Vec<u32>) =
                others.iter().map(|&at| (shifted[at as usize], labels[at as usize])).unzip();
            let line = Calibration::platt(&z, &y)?;
            for at in part(&|fold| fold == of) {
                calibrated[at as usize] = line.probability(shifted[at as usize]);
            }
        }
        let raw = logits.iter().map(sigmoid).collect();
        let shifted = shifted.iter().map(sigmoid).collect();
        all.push(Scored { labels, logits, raw, shifted, calibrated });
    }
    Ok(all)
}

/// Returns a metric averaged over the data sets, with a bootstrap interval from resampled rows.
fn interval(sets: &[Scored], draws: usize, metric: impl Fn(&Scored, &[usize]) -> Result<f64>) -> Result<Interval> {
    let rows = sets[0].labels.len();
    bootstrap(rows, draws, 0.95, Seed(7), |drawn| {
        let values = sets.iter().map(|set| metric(set, drawn)).collect::<Result<Vec<f64>>>()?;
        Ok(values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).unwrap_or(1)))
    })
}

fn pick<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&row| values[row]).collect()
}

fn main() -> Result<()> {
    let device = Device::named(std::env::args().nth(1).as_deref().unwrap_or("auto"))?;
    println!("Device: {}", device.info());
    let digits = Table::read_csv(CSV)?.target("digit")?.standardize(false).dataset()?;
    let rows = folds(&digits, 0).0.len();
    let prior = Prior::from_counts(&[rows - RARE, RARE])?;
    println!("Is it an 8? {RARE} of {rows} rows are ({prior}); {SETS} such sets, each scored in {FOLDS} folds.");
    println!("Predicting that for every row has a loss of {:.4}; a bias of 0, {:.4}.\n", prior.entropy(), 2f64.ln());

    let mut table = vec![];
    for way in Way::ALL {
        let mut first = vec![];
        let sets = score(&device, way, &digits, &mut first)?;
        let order = interval(&sets, 200, |set, rows| pr_auc(&pick(&set.logits, rows), &pick(&set.labels, rows)))?;
        // If no threshold reaches the precision, the recall is 0.
        let precise = interval(&sets, 200, |set, rows| {
            let cuts = Cuts::new(&pick(&set.logits, rows), &pick(&set.labels, rows))?;
            Ok(cuts.at_precision(0.9).map_or(0.0, |cut| cut.recall()))
        })?;
        let probabilities = |what: fn(&Scored) -> &Vec<f64>| -> Result<(f64, f64)> {
            let one = |set: &Scored| -> Result<(f64, f64)> {
                let cost = log_loss(what(set), &set.labels)?;
                Ok((cost, Reliability::new(what(set), &set.labels, 10, Bins::Quantile)?.error()))
            };
            let all = sets.iter().map(one).collect::<Result<Vec<_>>>()?;
            let mean = |part: fn(&(f64, f64)) -> f64| {
                all.iter().map(part).sum::<f64>() / f64::from(u32::try_from(SETS).unwrap_or(1))
            };
            Ok((mean(|pair| pair.0), mean(|pair| pair.1)))
        };
        let losses =
            [probabilities(|set| &set.raw)?, probabilities(|set| &set.shifted)?, probabilities(|set| &set.calibrated)?];
        table.push((way, first[0], order, precise, losses));
    }

    println!("                first epoch's loss   area under precision-recall   recall at 90 % precision");
    for (way, first, order, precise, _) in &table {
        println!("{:<14} {first:>19.4}   {:>27}   {:>24}", way.name(), brief(order), brief(precise));
    }
    println!("\nProbabilities: log loss, and in parentheses the expected calibration error in percent");
    println!("                        as trained       weights removed        Platt's line");
    for (way, _, _, _, losses) in &table {
        let cell = |&(cost, error): &(f64, f64)| format!("{cost:.4} ({:.2})", 100.0 * error);
        println!("{:<14} {:>19}   {:>19} {:>19}", way.name(), cell(&losses[0]), cell(&losses[1]), cell(&losses[2]));
    }
    println!("\nIn square brackets: 95 % bootstrap intervals over the rows.");
    Ok(())
}

fn brief(found: &Interval) -> String {
    format!("{:.3} [{:.3}, {:.3}]", found.value, found.low, found.high)
}
