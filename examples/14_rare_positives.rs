//! Two classes of which one is rare: what weights, resampling and focal loss do to the order of the rows and to their
//! probabilities, and how to have honest probabilities again.
//!
//! `cargo run --release --example 14_rare_positives`

use wgrad::metrics::{Bins, Calibration, Cuts, Interval, Reliability, bootstrap, log_loss, pr_auc};
use wgrad::prelude::*;
use wgrad::train::Silent;
use wgrad::train::prior::Prior;

const CSV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");
/// Positive rows of a data set.
const RARE: usize = 30;
/// Data sets, each with other eights.
const SETS: usize = 5;
/// Each row is judged by a model that was trained on the two thirds without it.
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

/// Logits of rows that a model was not trained on.
#[derive(Default)]
struct Said {
    logits: Vec<f64>,
    /// The same after the shift that takes weights back.
    shifted: Vec<f64>,
    first_loss: f64,
}

/// Trains on some rows and says something about others.
fn run(device: &Device, way: Way, train: &Dataset, test: &Dataset, seed: u64) -> Result<Said> {
    let prior = Prior::of(train)?;
    let weight = prior.pos_weight().unwrap_or(1.0);
    // The shares of the classes as the loss has them.
    let felt = match way {
        Way::Plain | Way::Focal => prior.clone(),
        Way::PosWeight => prior.with_pos_weight(weight)?,
        Way::Oversampling => Prior::from_shares(&[0.5, 0.5])?,
    };
    let (data, epochs) = if way == Way::Oversampling {
        // The positive rows again and again, until there are as many as negative ones.
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
    // The model begins with these shares as its answer to every row.
    felt.initialize(&head)?;
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
    let shift = prior.shift_from(&felt)?;
    let shifted = logits.iter().map(|&logit| shift.logit(logit)).collect();
    Ok(Said { logits, shifted, first_loss: first.unwrap_or(f64::NAN) })
}

/// The rows of all digits but the 8 and of some eights, in folds with as many eights each.
fn folds(digits: &Dataset, set: usize) -> (Vec<u32>, Vec<usize>) {
    let (eights, others): (Vec<u32>, Vec<u32>) =
        (0..).take(digits.rows()).partition(|&row| digits.classes()[digits.y()[row as usize] as usize] == "8");
    let rows: Vec<u32> = eights[set * RARE..(set + 1) * RARE].iter().copied().chain(others).collect();
    let fold = (0..rows.len()).map(|at| at % FOLDS).collect();
    (rows, fold)
}

/// Logits of all rows by models that did not see them, made honest with what the other folds teach.
struct Judged {
    labels: Vec<u32>,
    logits: Vec<f64>,
    raw: Vec<f64>,
    shifted: Vec<f64>,
    calibrated: Vec<f64>,
}

fn judge(device: &Device, way: Way, digits: &Dataset, first_losses: &mut Vec<f64>) -> Result<Vec<Judged>> {
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
            let said = run(device, way, &data.subset(&train)?, &data.subset(&test)?, seed)?;
            first_losses.push(said.first_loss);
            for (i, &at) in test.iter().enumerate() {
                (logits[at as usize], shifted[at as usize]) = (said.logits[i], said.shifted[i]);
            }
        }
        // Platt's line for each fold is fitted on the two others.
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
        all.push(Judged { labels, logits, raw, shifted, calibrated });
    }
    Ok(all)
}

/// The mean of a metric over the sets, and where it lies when rows of each set are drawn again.
fn interval(sets: &[Judged], draws: usize, metric: impl Fn(&Judged, &[usize]) -> Result<f64>) -> Result<Interval> {
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
    println!("Is it an 8? {RARE} of {rows} rows are ({prior}); {SETS} such sets, each judged in {FOLDS} folds.");
    println!("Answering that for every row costs {:.4}; a bias of 0 costs {:.4}.\n", prior.entropy(), 2f64.ln());

    let mut table = vec![];
    for way in Way::ALL {
        let mut first = vec![];
        let sets = judge(&device, way, &digits, &mut first)?;
        let order = interval(&sets, 200, |set, rows| pr_auc(&pick(&set.logits, rows), &pick(&set.labels, rows)))?;
        // Where no threshold is that precise, nothing is recalled.
        let precise = interval(&sets, 200, |set, rows| {
            let cuts = Cuts::new(&pick(&set.logits, rows), &pick(&set.labels, rows))?;
            Ok(cuts.at_precision(0.9).map_or(0.0, |cut| cut.recall()))
        })?;
        let probabilities = |what: fn(&Judged) -> &Vec<f64>| -> Result<(f64, f64)> {
            let one = |set: &Judged| -> Result<(f64, f64)> {
                let cost = log_loss(what(set), &set.labels)?;
                Ok((cost, Reliability::new(what(set), &set.labels, 10, Bins::Quantile)?.error()))
            };
            let all = sets.iter().map(one).collect::<Result<Vec<_>>>()?;
            let mean = |part: fn(&(f64, f64)) -> f64| {
                all.iter().map(part).sum::<f64>() / f64::from(u32::try_from(SETS).unwrap_or(1))
            };
            Ok((mean(|pair| pair.0), mean(|pair| pair.1)))
        };
        let honest =
            [probabilities(|set| &set.raw)?, probabilities(|set| &set.shifted)?, probabilities(|set| &set.calibrated)?];
        table.push((way, first[0], order, precise, honest));
    }

    println!("                first epoch's loss   area under precision-recall   recall at 90 % precision");
    for (way, first, order, precise, _) in &table {
        println!("{:<14} {first:>19.4}   {:>27}   {:>24}", way.name(), brief(order), brief(precise));
    }
    println!("\nProbabilities: log loss, and in brackets the expected calibration error in per cent");
    println!("                        as trained     weights taken back        Platt's line");
    for (way, _, _, _, honest) in &table {
        let cell = |&(cost, error): &(f64, f64)| format!("{cost:.4} ({:.2})", 100.0 * error);
        println!("{:<14} {:>19}   {:>19} {:>19}", way.name(), cell(&honest[0]), cell(&honest[1]), cell(&honest[2]));
    }
    println!("\nIn square brackets: 95 % of the values from drawing the rows again.");
    Ok(())
}

fn brief(found: &Interval) -> String {
    format!("{:.3} [{:.3}, {:.3}]", found.value, found.low, found.high)
}
