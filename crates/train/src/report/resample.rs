//! Bootstrap intervals of all metrics, for one model or for the difference between two models.

use wgrad_core::Result;

use super::scores::Scores;
use crate::error::{ScoresError, TrainSettingError};
use wgrad_core::SplitMix64;
use wgrad_data::Seed;
use wgrad_metrics::{Decision, Interval, quantile};

/// Largest total cost of the bootstrap draws (random selections of the rows). The cost is the number of rows,
/// times the passes over the rows per draw, times the number of draws.
const WORK: usize = 300_000_000;
/// Smallest and largest number of bootstrap draws.
const DRAWS: std::ops::RangeInclusive<usize> = 100..=1000;

/// Scores of a model, and the decision that is applied to them.
#[derive(Clone, Copy, Debug)]
pub struct DecidedScores<'a> {
    /// Logits and labels of the rows.
    pub scores: &'a Scores,
    /// Decision that converts logits to probabilities and classes.
    pub decision: &'a Decision,
}

/// Metric with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricInterval {
    /// Name: `accuracy`, `precision`, `recall`, `f1`, `roc_auc`, `pr_auc`, `log_loss` or `brier`.
    pub name: &'static str,
    /// True if smaller values are better.
    pub less_is_better: bool,
    /// Value of the metric and its interval. `None` if the metric is undefined.
    pub interval: Option<Interval>,
}

/// Computes the metrics of a set of rows with bootstrap intervals. The results equal those
/// of calling [`bootstrap`](wgrad_metrics::bootstrap) for each metric, but are computed faster, because the rows
/// are sorted only once and not again for each draw (random selection of the rows).
///
/// For two classes, precision, recall and F1 are those of the positive class. For more classes they are macro
/// averages, and so are the areas `roc_auc` and `pr_auc`. `log_loss` and `brier` (two classes only) use the
/// decision's probabilities. There are 1000 draws. For large data sets, such as more than 150,000 rows of two
/// classes, there are fewer draws, but at least 100.
///
/// ```
/// use wgrad_data::Seed;
/// use wgrad_metrics::Decision;
/// use wgrad_train::report::{Scores, intervals};
/// let scores = Scores::new(&[-1.0, -2.0, 0.5, 0.7, 1.0, -0.5], &[0, 0, 0, 1, 1, 1], &["no", "yes"])?;
/// let all = intervals(&scores, &Decision::default(), 0.95, Seed(0))?;
/// let recall = all.iter().find(|m| m.name == "recall").and_then(|m| m.interval).unwrap();
/// assert_eq!(recall.value, 2.0 / 3.0);
/// assert!(recall.low < recall.value && recall.value < recall.high);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When `confidence` is not between 0 and 1.
pub fn intervals(scores: &Scores, decision: &Decision, confidence: f64, seed: Seed) -> Result<Vec<MetricInterval>> {
    let inputs = MetricInputs::new(scores, decision);
    let draw = |counts: &[u32]| inputs.metrics(counts);
    resample(scores.rows(), inputs.draws(), confidence, seed, draw)
}

/// Computes the differences `other − first` between the metrics of two models on the same rows, in the same order,
/// with paired bootstrap intervals: each draw selects the same rows for both models. The intervals are much
/// narrower than those of the difference between two independent samples.
///
/// # Errors
/// When the rows differ in number, labels or classes; when `confidence` is not between 0 and 1.
pub fn paired(
    first: DecidedScores<'_>,
    other: DecidedScores<'_>,
    confidence: f64,
    seed: Seed,
) -> Result<Vec<MetricInterval>> {
    let (one, two) = (first.scores, other.scores);
    if one.labels() != two.labels() || one.classes() != two.classes() {
        return Err(ScoresError::OtherRows.into());
    }
    let (a, b) = (MetricInputs::new(one, first.decision), MetricInputs::new(two, other.decision));
    let draw = |counts: &[u32]| {
        let pairs = a.metrics(counts).into_iter().zip(b.metrics(counts));
        pairs.map(|(a, b)| Metric { value: a.value.zip(b.value).map(|(a, b)| b - a), ..a }).collect()
    };
    resample(one.rows(), a.draws() / 2, confidence, seed, draw)
}

/// Value of a metric for one bootstrap draw (random selection of the rows).
struct Metric {
    name: &'static str,
    less_is_better: bool,
    /// Value. `None` if the metric is undefined.
    value: Option<f64>,
}

fn resample(
    rows: usize,
    draws: usize,
    confidence: f64,
    seed: Seed,
    draw: impl Fn(&[u32]) -> Vec<Metric>,
) -> Result<Vec<MetricInterval>> {
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(TrainSettingError::Confidence { confidence }.into());
    }
    let mut counts = vec![1; rows];
    let whole = draw(&counts);
    let mut values = vec![Vec::with_capacity(draws); whole.len()];
    let mut random = SplitMix64::new(seed, 0);
    for _ in 0..draws {
        counts.fill(0);
        (0..rows).for_each(|_| counts[usize::try_from(random.below(rows as u64)).unwrap_or(0)] += 1);
        for (values, metric) in values.iter_mut().zip(draw(&counts)) {
            values.extend(metric.value.filter(|value| value.is_finite()));
        }
    }
    let tail = (1.0 - confidence) / 2.0;
    let measured = whole.into_iter().zip(&mut values).map(|(Metric { name, less_is_better, value }, values)| {
        values.sort_unstable_by(f64::total_cmp);
        let enough = values.len() * 2 >= draws && !values.is_empty();
        let interval = value.filter(|value| enough && value.is_finite()).map(|value| Interval {
            value,
            low: quantile(values, tail),
            high: quantile(values, 1.0 - tail),
            confidence,
        });
        MetricInterval { name, less_is_better, interval }
    });
    Ok(measured.collect())
}

/// Inputs of the metrics, which are the same for each draw.
struct MetricInputs<'a> {
    labels: &'a [u32],
    classes: usize,
    predicted: Vec<u32>,
    losses: Vec<f64>,
    /// Squared error of each row's probability. `None` for more than two classes.
    squares: Option<Vec<f64>>,
    /// Ranking of the rows for each class. For two classes, there is only one ranking, for the positive class.
    orders: Vec<Ranking>,
}

/// Rows in descending order of their score for a class.
struct Ranking {
    class: u32,
    rows: Vec<RankedRow>,
}

struct RankedRow {
    row: u32,
    /// True if the score differs from that of the previous row.
    new: bool,
}

/// Areas under the ROC and precision-recall curves. `None` if the area is undefined.
struct Areas {
    roc: Option<f64>,
    pr: Option<f64>,
}

impl<'a> MetricInputs<'a> {
    fn new(scores: &'a Scores, decision: &Decision) -> Self {
        let (labels, classes) = (scores.labels(), scores.classes().len());
        let order = |class: u32, values: &[f64]| {
            let mut rows: Vec<u32> = (0..).take(values.len()).collect();
            rows.sort_by(|&a, &b| values[b as usize].total_cmp(&values[a as usize]));
            #[allow(clippy::float_cmp, reason = "equal scores are taken together")]
            let new = |at: usize| at == 0 || values[rows[at] as usize] != values[rows[at - 1] as usize];
            let rows = rows.iter().enumerate().map(|(at, &row)| RankedRow { row, new: new(at) }).collect();
            Ranking { class, rows }
        };
        let (squares, orders) = if let Some(margins) = scores.margins() {
            let squares = margins.iter().zip(labels).map(|(&z, &y)| (decision.probability(z) - f64::from(y)).powi(2));
            (Some(squares.collect()), vec![order(1, &margins)])
        } else {
            let probabilities = scores.probabilities(decision);
            let column = |class: usize| probabilities.iter().skip(class).step_by(classes).copied().collect::<Vec<_>>();
            (None, (0u32..).take(classes).map(|class| order(class, &column(class as usize))).collect())
        };
        let (predicted, losses) = (scores.predicted(decision), scores.losses(decision));
        Self { labels, classes, predicted, losses, squares, orders }
    }

    fn draws(&self) -> usize {
        (WORK / (self.labels.len() * (self.orders.len() + 1))).clamp(*DRAWS.start(), *DRAWS.end())
    }

    /// Computes the metrics of a draw. `counts` contains how many times each row was drawn.
    fn metrics(&self, counts: &[u32]) -> Vec<Metric> {
        let n = counts.iter().map(|&count| u64::from(count)).sum::<u64>() as f64;
        let mut classes = vec![[0u64; 3]; self.classes];
        let mut loss = 0.0;
        for (row, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (truth, predicted) = (self.labels[row] as usize, self.predicted[row] as usize);
            classes[truth][1] += u64::from(count);
            classes[predicted][2] += u64::from(count);
            classes[truth][0] += if truth == predicted { count.into() } else { 0 };
            loss += f64::from(count) * self.losses[row];
        }
        let over = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        let right = classes.iter().map(|[hits, ..]| hits).sum::<u64>();
        // As in a confusion matrix, macro averages leave out classes that do not occur.
        let occur = classes.iter().filter(|[_, truth, predicted]| truth + predicted > 0).count() as f64;
        let mean = |ratio: &dyn Fn(&[u64; 3]) -> f64| match &classes[..] {
            [_, positive] => ratio(positive),
            all => all.iter().map(ratio).sum::<f64>() / occur,
        };
        let Areas { roc, pr } = self.areas(counts, n);
        let mut metrics = vec![
            Metric { name: "accuracy", less_is_better: false, value: Some(right as f64 / n) },
            Metric {
                name: "precision",
                less_is_better: false,
                value: Some(mean(&|&[hits, _, predicted]| over(hits, predicted))),
            },
            Metric { name: "recall", less_is_better: false, value: Some(mean(&|&[hits, truth, _]| over(hits, truth))) },
            Metric {
                name: "f1",
                less_is_better: false,
                value: Some(mean(&|&[hits, truth, predicted]| over(2 * hits, truth + predicted))),
            },
            Metric { name: "roc_auc", less_is_better: false, value: roc },
            Metric { name: "pr_auc", less_is_better: false, value: pr },
            Metric { name: "log_loss", less_is_better: true, value: Some(loss / n) },
        ];
        if let Some(squares) = &self.squares {
            let sum: f64 = squares.iter().zip(counts).map(|(square, &count)| square * f64::from(count)).sum();
            metrics.push(Metric { name: "brier", less_is_better: true, value: Some(sum / n) });
        }
        metrics
    }

    /// Computes the areas under the ROC and precision-recall curves, as means over the ranked classes.
    fn areas(&self, counts: &[u32], n: f64) -> Areas {
        let (mut roc, mut pr) = (Some(0.0), Some(0.0));
        for Ranking { class, rows } in &self.orders {
            let positive = |row: u32| self.labels[row as usize] == *class;
            let all: f64 =
                (0u32..).zip(counts).filter(|(row, _)| positive(*row)).map(|(_, &count)| f64::from(count)).sum();
            let others = n - all;
            // Numbers of negative and positive rows with a higher score, and with the current score.
            let (mut above, mut equal) = ([0.0; 2], [0.0; 2]);
            let (mut won, mut area) = (0.0, 0.0);
            let mut close = |equal: &mut [f64; 2], above: &mut [f64; 2]| {
                won += equal[1] * (others - above[0] - equal[0] / 2.0);
                *above = [above[0] + equal[0], above[1] + equal[1]];
                if equal[1] > 0.0 {
                    area += equal[1] * above[1] / (above[0] + above[1]);
                }
                *equal = [0.0; 2];
            };
            for &RankedRow { row, new } in rows {
                if new {
                    close(&mut equal, &mut above);
                }
                equal[usize::from(positive(row))] += f64::from(counts[row as usize]);
            }
            close(&mut equal, &mut above);
            let defined = |yes: bool, sum: Option<f64>, area: f64| sum.filter(|_| yes).map(|sum| sum + area);
            roc = defined(all > 0.0 && others > 0.0, roc, won / (all * others));
            pr = defined(all > 0.0, pr, area / all);
        }
        let ranked = self.orders.len() as f64;
        Areas { roc: roc.map(|sum| sum / ranked), pr: pr.map(|sum| sum / ranked) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_metrics::{bootstrap, pr_auc, roc_auc, roc_auc_ovr_macro};

    fn two(n: u32) -> (Vec<f64>, Vec<u32>) {
        let logits: Vec<f64> = (0..n).map(|i| f64::from((i * 37) % 41) / 10.0 - 2.0).collect();
        let labels = (0..n).map(|i| u32::from((i * 37) % 41 + (i * 13) % 17 > 32)).collect();
        (logits, labels)
    }

    #[test]
    fn the_intervals_are_those_of_each_metrics_bootstrap() {
        let (logits, labels) = two(150);
        let scores = Scores::new(&logits, &labels, &["no", "yes"]).unwrap();
        let decision = Decision::default();
        let all = intervals(&scores, &decision, 0.9, Seed(4)).unwrap();
        let of = |name| all.iter().find(|m| m.name == name).unwrap().interval.unwrap();
        let pick = |rows: &[usize]| -> (Vec<f64>, Vec<u32>) { rows.iter().map(|&r| (logits[r], labels[r])).unzip() };
        let close = |a: Interval, b: Interval| {
            for (a, b) in [(a.value, b.value), (a.low, b.low), (a.high, b.high)] {
                approx::assert_relative_eq!(a, b, max_relative = 1e-10);
            }
        };
        let draws = |metric: fn(&[f64], &[u32]) -> Result<f64>| {
            bootstrap(150, 1000, 0.9, Seed(4), |rows| {
                let (logits, labels) = pick(rows);
                metric(&logits, &labels)
            })
            .unwrap()
        };
        close(of("roc_auc"), draws(roc_auc));
        close(of("pr_auc"), draws(pr_auc));
        let report = scores.report(&decision).unwrap();
        let values = [report.accuracy, report.precision, report.recall, report.f1, report.loss];
        for (name, value) in ["accuracy", "precision", "recall", "f1", "log_loss"].into_iter().zip(values) {
            approx::assert_relative_eq!(of(name).value, value, max_relative = 1e-12);
        }
        let f1 = |rows: &[usize]| {
            let (logits, labels) = pick(rows);
            Ok(Scores::new(&logits, &labels, &["no", "yes"]).unwrap().report(&Decision::default()).unwrap().f1)
        };
        close(of("f1"), bootstrap(150, 1000, 0.9, Seed(4), f1).unwrap());
    }

    #[test]
    fn many_classes_are_macro_averages() {
        let labels: Vec<u32> = (0..120).map(|i| (i * 7) % 3).collect();
        let logits: Vec<f64> = (0u32..360)
            .map(|i| f64::from((i * 31) % 23) / 5.0 + f64::from(u32::from(labels[i as usize / 3] == i % 3)))
            .collect();
        let scores = Scores::new(&logits, &labels, &["a", "b", "c"]).unwrap();
        let decision = Decision::default();
        let all = intervals(&scores, &decision, 0.95, Seed(1)).unwrap();
        let report = scores.report(&decision).unwrap();
        for (name, value) in [("precision", report.precision), ("f1", report.f1), ("pr_auc", report.pr_auc.unwrap())] {
            let interval = all.iter().find(|m| m.name == name).unwrap().interval.unwrap();
            approx::assert_relative_eq!(interval.value, value, max_relative = 1e-12);
            assert!(interval.low < value && value < interval.high);
        }
        let auc = roc_auc_ovr_macro(&scores.probabilities(&decision), &labels, 3).unwrap();
        approx::assert_relative_eq!(all[4].interval.unwrap().value, auc, max_relative = 1e-12);
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn a_model_differs_from_itself_by_nothing() {
        let (logits, labels) = two(80);
        let scores = Scores::new(&logits, &labels, &["no", "yes"]).unwrap();
        let decision = Decision::default();
        let own = DecidedScores { scores: &scores, decision: &decision };
        for difference in paired(own, own, 0.95, Seed(0)).unwrap() {
            let Interval { value, low, high, .. } = difference.interval.unwrap();
            assert_eq!((value, low, high), (0.0, 0.0, 0.0), "{}", difference.name);
        }
        let better: Vec<f64> = logits.iter().zip(&labels).map(|(z, &y)| z + 2.0 * f64::from(y)).collect();
        let better = Scores::new(&better, &labels, &["no", "yes"]).unwrap();
        let gains = paired(own, DecidedScores { scores: &better, ..own }, 0.95, Seed(0)).unwrap();
        assert!(gains[4].interval.unwrap().low > 0.0, "{:?}", gains[4]);
        let other = Scores::new(&logits[1..], &labels[1..], &["no", "yes"]).unwrap();
        assert!(paired(own, DecidedScores { scores: &other, ..own }, 0.95, Seed(0)).is_err());
    }

    #[test]
    fn an_undefined_metric_has_no_interval() {
        let scores = Scores::new(&[0.5, -0.5], &[0, 0], &["no", "yes"]).unwrap();
        let all = intervals(&scores, &Decision::default(), 0.95, Seed(0)).unwrap();
        let of = |name| all.iter().find(|m| m.name == name).unwrap().interval;
        assert!(of("roc_auc").is_none() && of("pr_auc").is_none() && of("accuracy").is_some());
        assert!(intervals(&scores, &Decision::default(), 95.0, Seed(0)).is_err());
    }
}
