//! Plots of a report.

#![allow(clippy::format_push_string, reason = "short texts")]

use wgrad_core::Result;

use super::contents::Epoch;
use super::importance::Importance;
use super::scores::Scores;
use super::svg::{Cell, Figure, Range, range, short, shorten};
use wgrad_metrics::{Bins, ConfusionMatrix, Cuts, Decision, Reliability};

/// Number of bins of the reliability diagram.
const BINS: usize = 10;
/// Number of bins of each histogram.
const BARS: usize = 20;
/// Largest number of classes whose curves are drawn.
const CURVES: usize = 12;
/// Largest number of features whose importance is drawn.
const FEATURES: usize = 14;
/// Largest number of classes whose confusion matrix is drawn.
const CELLS: usize = 20;

const UNIT: Range = Range::new(0.0, 1.0);

fn epochs(epochs: &[Epoch]) -> Range {
    Range::new(0.5, epochs.len().max(1) as f64 + 0.5)
}

/// Draws the training loss and the validation loss of each epoch.
pub(super) fn loss(history: &[Epoch]) -> Option<Figure> {
    let last = history.last()?;
    let train: Vec<_> = history.iter().enumerate().map(|(i, e)| (i as f64 + 1.0, e.loss)).collect();
    let checked = history.iter().enumerate();
    let validation: Vec<_> = checked.map(|(i, e)| (i as f64 + 1.0, e.validation_loss.unwrap_or(f64::NAN))).collect();
    let Range { low, high } = range(train.iter().chain(&validation).map(|point| point.1));
    let low = low.min(0.0).max(-high.abs());
    let mut words = format!("Training loss falls from {} to {}", short(history[0].loss), short(last.loss));
    if last.loss > history[0].loss {
        words = words.replace("falls", "goes");
    }
    let frame = [epochs(history), Range::new(low, high)];
    let mut figure = Figure::new("loss", "Loss", frame, ["epoch", "mean loss"]).legend("first", "training");
    if let Some(end) = last.validation_loss {
        let best = validation.iter().copied().filter(|(_, loss)| loss.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1));
        let (at, lowest) = best.unwrap_or((f64::NAN, f64::NAN));
        words += &format!("; validation loss ends at {}, the lowest is {} in epoch {at}", short(end), short(lowest));
        figure = figure.legend("second", "validation").line("second", &validation).dots("second", &[(at, lowest)]);
    }
    figure = figure.line("first", &train);
    if history.len() == 1 {
        figure = figure.dots("first", &train).dots("second", &validation);
    }
    Some(figure.summary(words + "."))
}

/// Draws the confusion matrix for a plot file. The page shows a table instead.
pub(super) fn confusion(scores: &Scores, decision: &Decision) -> Result<Option<Figure>> {
    let names = scores.classes();
    if names.len() > CELLS {
        return Ok(None);
    }
    let matrix = ConfusionMatrix::new(&scores.predicted(decision), scores.labels(), names)?;
    let mut figure = Figure::square("confusion", "Confusion matrix", names, ["predicted class", "true class"]);
    let right: u64 = matrix.counts().iter().enumerate().map(|(i, row)| row[i]).sum();
    for (i, counts) in matrix.counts().iter().enumerate() {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        for (j, &count) in counts.iter().enumerate() {
            let text = if count == 0 { String::new() } else { count.to_string() };
            figure = figure.cell(Cell { row: i, column: j }, count as f64 / all, &text);
        }
    }
    Ok(Some(figure.summary(format!("{right} of {} rows have the predicted class.", scores.rows()))))
}

/// Draws the learning rate of each epoch.
pub(super) fn learning_rate(rates: &[f64]) -> Option<Figure> {
    let (first, last) = (rates.first()?, rates.last()?);
    let points: Vec<_> = rates.iter().enumerate().map(|(i, &rate)| (i as f64 + 1.0, rate)).collect();
    let Range { high, .. } = range(rates.iter().copied());
    let frame = [(0.5, rates.len() as f64 + 0.5), (0.0, high)];
    let words = format!("From {} to {}.", short(*first), short(*last));
    let figure = Figure::new("learning_rate", "Learning rate", frame, ["epoch", "learning rate"]);
    Some(figure.line("first", &points).dots("first", if rates.len() == 1 { &points[..] } else { &[] }).summary(words))
}

/// Rows ranked by their score for one class.
struct Ranked {
    name: String,
    cuts: Cuts,
    prevalence: f64,
}

fn ranked(scores: &Scores) -> Result<Vec<Ranked>> {
    let rows = scores.rows() as f64;
    let of = |name: &str, values: &[f64], class: u32| {
        let labels: Vec<u32> = scores.labels().iter().map(|&label| u32::from(label == class)).collect();
        let prevalence = labels.iter().map(|&label| f64::from(label)).sum::<f64>() / rows;
        Ok(Ranked { name: name.into(), cuts: Cuts::new(values, &labels)?, prevalence })
    };
    if let Some(margins) = scores.margins() {
        return Ok(vec![of(&scores.classes()[1], &margins, 1)?]);
    }
    let (classes, probabilities) = (scores.classes(), scores.probabilities(&Decision::default()));
    let column = |class: usize| probabilities.iter().skip(class).step_by(classes.len()).copied().collect::<Vec<_>>();
    classes.iter().zip(0u32..).take(CURVES).map(|(name, class)| of(name, &column(class as usize), class)).collect()
}

/// Draws the ROC curve, or one curve per class if there are more than two classes.
pub(super) fn roc(scores: &Scores, decision: &Decision) -> Result<Option<Figure>> {
    let mut figure = Figure::new("roc", "ROC curve", [UNIT; 2], ["false positive rate", "recall"]);
    figure = figure.line("third", &[(0.0, 0.0), (1.0, 1.0)]);
    let all = ranked(scores)?;
    let mut drawn = 0;
    for each in &all {
        let Ok(corners) = each.cuts.roc() else { continue };
        figure = figure.line(if all.len() == 1 { "first" } else { "thin" }, &corners);
        drawn += 1;
    }
    if drawn == 0 {
        return Ok(None);
    }
    let name = if let [only] = &all[..] {
        let at = cut_at_threshold(&only.cuts, decision);
        figure = figure.marker("roc-mark", at.false_positive_rate(), at.recall());
        only.name.clone()
    } else {
        "each class".into()
    };
    let words = "Recall against the fraction of negative rows that are predicted positive, over all thresholds; chance is the diagonal.";
    Ok(Some(figure.legend("first", &name).legend("third", "chance").summary(words)))
}

/// Draws the precision-recall curve, or one curve per class if there are more than two classes.
pub(super) fn precision_recall(scores: &Scores, decision: &Decision) -> Result<Option<Figure>> {
    let mut figure = Figure::new("precision_recall", "Precision and recall", [UNIT; 2], ["recall", "precision"]);
    let all = ranked(scores)?;
    let mut drawn = 0;
    for each in &all {
        let Ok(corners) = each.cuts.precision_recall() else { continue };
        // Draws the curve as steps, because average precision is the area under a stepped curve.
        let steps = corners.windows(2).flat_map(|pair| [(pair[0].0, pair[1].1), pair[1]]).collect::<Vec<_>>();
        figure = figure.line(if all.len() == 1 { "first" } else { "thin" }, &steps);
        drawn += 1;
    }
    if drawn == 0 {
        return Ok(None);
    }
    let mut words = "Precision against recall over all thresholds.".to_string();
    if let [only] = &all[..] {
        let at = cut_at_threshold(&only.cuts, decision);
        figure = figure.line("third", &[(0.0, only.prevalence), (1.0, only.prevalence)]);
        figure = figure.marker("pr-mark", at.recall(), at.precision());
        figure = figure.legend("first", &only.name).legend("third", &format!("prevalence {}", short(only.prevalence)));
        words += &format!(
            " Random predictions have the precision {}, the fraction of positive rows.",
            short(only.prevalence)
        );
    } else {
        figure = figure.legend("first", "each class");
    }
    Ok(Some(figure.summary(words)))
}

/// Returns the counts of true and false positives at a decision's threshold.
pub(super) fn cut_at_threshold(cuts: &Cuts, decision: &Decision) -> wgrad_metrics::Cut {
    let all = cuts.all();
    all[all.partition_point(|cut| cut.score > decision.threshold()).saturating_sub(1)]
}

/// Compares probabilities with observed frequencies. For two classes, the probability of the positive class is
/// compared with the frequency of this class. For more classes, the highest probability of each row is compared
/// with the frequency of correct predictions.
fn reliabilities(scores: &Scores, decision: &Decision) -> Result<Reliability> {
    let probabilities = scores.probabilities(decision);
    if scores.classes().len() == 2 {
        return Reliability::new(&probabilities, scores.labels(), BINS, Bins::Uniform);
    }
    let Confidence { highest, right } = Confidence::of(scores, decision);
    Reliability::new(&highest, &right, BINS, Bins::Uniform)
}

/// Highest class probability of each row, and for each row a 1 if the predicted class is correct, otherwise a 0.
struct Confidence {
    highest: Vec<f64>,
    right: Vec<u32>,
}

impl Confidence {
    fn of(scores: &Scores, decision: &Decision) -> Self {
        let highest = scores.probabilities(decision);
        let highest = highest.chunks_exact(scores.classes().len()).map(|row| row.iter().copied().fold(0.0, f64::max));
        let right = scores.predicted(decision).iter().zip(scores.labels()).map(|(a, b)| u32::from(a == b)).collect();
        Self { highest: highest.collect(), right }
    }
}

/// Reliability diagram, and the numbers that it shows.
pub(super) struct ReliabilityFigure {
    pub figure: Figure,
    pub plain: Reliability,
    /// Numbers after calibration. `None` without a calibration.
    pub calibrated: Option<Reliability>,
}

/// Draws the reliability diagram before and after calibration.
pub(super) fn reliability(scores: &Scores, decision: &Decision) -> Result<ReliabilityFigure> {
    let plain = reliabilities(scores, &Decision::default())?;
    let calibrated = decision.calibration().map(|_| reliabilities(scores, decision)).transpose()?;
    let bins = plain.bins().iter().chain(calibrated.iter().flat_map(Reliability::bins));
    let most = bins.map(|bin| bin.predicted.max(bin.observed)).fold(0.0, f64::max);
    // If positive rows are rare, both axes end at a limit just above the largest probability.
    let limit = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].into_iter().find(|limit| most <= *limit).unwrap_or(1.0);
    let two = scores.classes().len() == 2;
    let names = if two { ["predicted probability", "observed fraction"] } else { ["confidence", "accuracy"] };
    let mut figure = Figure::new("reliability", "Reliability", [(0.0, limit); 2], names);
    figure = figure.line("third", &[(0.0, 0.0), (limit, limit)]);
    let points =
        |diagram: &Reliability| diagram.bins().iter().map(|bin| (bin.predicted, bin.observed)).collect::<Vec<_>>();
    let mut words = format!("Expected calibration error {}", short(plain.error()));
    if let Some(calibrated) = &calibrated {
        words += &format!(" before and {} after calibration", short(calibrated.error()));
        figure = figure.line("second", &points(&plain)).dots("second", &points(&plain));
        figure = figure.line("first", &points(calibrated)).dots("first", &points(calibrated));
        figure = figure.legend("second", "before").legend("first", "after calibration");
    } else {
        figure = figure.line("first", &points(&plain)).dots("first", &points(&plain));
        figure = figure.legend("first", "model");
    }
    let figure = figure.legend("third", "ideal").summary(words + ".");
    Ok(ReliabilityFigure { figure, plain, calibrated })
}

/// Draws two histograms of the probabilities. With two classes, there is one histogram for the rows of each class;
/// with more classes, there is one for correct and one for wrong predictions.
pub(super) fn histogram(scores: &Scores, decision: &Decision) -> Figure {
    let two = scores.classes().len() == 2;
    let (values, up) = if two {
        (scores.probabilities(decision), scores.labels().to_vec())
    } else {
        let Confidence { highest, right } = Confidence::of(scores, decision);
        (highest, right)
    };
    let mut counts = [[0usize; BARS]; 2];
    for (p, &side) in values.iter().zip(&up) {
        counts[side as usize][((p * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    let fraction =
        |side: usize, bar: usize| counts[side][bar] as f64 / counts[side].iter().sum::<usize>().max(1) as f64;
    let most =
        (0..2).flat_map(|side| (0..BARS).map(move |bar| (side, bar))).map(|(s, b)| fraction(s, b)).fold(0.05, f64::max);
    let x = if two { "probability" } else { "confidence" };
    let frame = [UNIT, Range::new(-most * 1.05, most * 1.05)];
    let y = if two { "fraction of its class (negative: down)" } else { "fraction (wrong: down)" };
    let mut figure =
        Figure::new("scores", if two { "Scores by class" } else { "Confidence" }, frame, [x, y]).unsigned();
    for bar in 0..BARS {
        let (left, right) = (bar as f64 / BARS as f64 + 0.004, (bar + 1) as f64 / BARS as f64 - 0.004);
        figure = figure.bar("first", (left, 0.0), (right, fraction(1, bar)));
        figure = figure.bar("second", (left, 0.0), (right, -fraction(0, bar)));
    }
    let (above, below) = if two { (&scores.classes()[1][..], &scores.classes()[0][..]) } else { ("correct", "wrong") };
    figure = figure.legend("first", above).legend("second", below);
    let middle = |side: usize| {
        let mut own: Vec<f64> = values.iter().zip(&up).filter(|(_, s)| **s as usize == side).map(|(p, _)| *p).collect();
        own.sort_unstable_by(f64::total_cmp);
        own.get(own.len() / 2).map_or_else(|| "none".into(), |p| short(*p))
    };
    let words = if two {
        format!("Median probability: {} for class {above}, {} for class {below}.", middle(1), middle(0))
    } else {
        format!("Median confidence: {} for correct rows, {} for wrong rows.", middle(1), middle(0))
    };
    if two {
        figure = figure.upright("scores-mark", decision.probability(decision.threshold()));
    }
    figure.summary(words)
}

/// Draws a bar for each of the most important features.
pub(super) fn importance(all: &[Importance]) -> Option<Figure> {
    let first = all.first()?;
    let shown = &all[..all.len().min(FEATURES)];
    let across = range(shown.iter().flat_map(|i| [i.mean - i.deviation, i.mean + i.deviation, 0.0]));
    let names: Vec<&str> = shown.iter().map(|each| &each.feature[..]).collect();
    let what = "rise of the loss when shuffled";
    let mut figure = Figure::rows("importance", "Feature importance", across, &names, what);
    for (row, each) in shown.iter().enumerate() {
        let y = row as f64;
        figure = figure.bar("first", (0.0, y - 0.34), (each.mean, y + 0.34));
        figure = figure.line("whisker", &[(each.mean - each.deviation, y), (each.mean + each.deviation, y)]);
    }
    let words = format!("The most important of {} features is {}.", all.len(), shorten(&first.feature, 40));
    Some(figure.legend("first", "mean rise").legend("whisker", "± deviation").summary(words))
}
