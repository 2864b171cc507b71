//! `wgrad compare`: shows the settings and test metrics of several trained models side by side.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wgrad_core::{Error, Result};
use wgrad_data::Seed;
use wgrad_metrics::Interval;
use wgrad_train::report::{DecidedScores, MetricInterval, Scores, intervals, paired};

use crate::error::CommandError;
use crate::model::{Model, TEST, Training};
use crate::output::{count, print};

/// Confidence level of the intervals around the metrics.
const CONFIDENCE: f64 = 0.95;

/// The arguments of `wgrad compare`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Intervals are bootstrap intervals: the middle 95 % of the values on resampled test rows. If a run was tested \
    on the same rows as the first, the difference is resampled row by row, which gives a much narrower interval than two \
    separate ones; if that does not contain 0, the run is called better or worse. Accuracy, precision, recall and F1 are \
    those of a run's labels, which depend on its threshold and calibration."
)]
pub struct Args {
    /// The folders in which `wgrad train` saved models; the others are compared with the first.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// A saved model with its scores on the test rows.
struct Run {
    name: String,
    model: Model,
    scores: Option<Scores>,
    metrics: Vec<MetricInterval>,
    /// Differences between this run's metrics and the first run's, or the reason why they cannot be computed.
    differences: Result<Vec<MetricInterval>, String>,
}

/// Compares the runs and prints the result.
///
/// # Errors
/// If a folder contains no saved model, or a file is damaged.
pub fn run(args: &Args) -> Result<()> {
    let mut runs = args.runs.iter().map(|folder| read(folder)).collect::<Result<Vec<_>>>()?;
    let (first, others) = runs.split_at_mut(1);
    for other in others {
        other.differences = difference(&first[0], other)?;
    }
    let settings = settings(&runs);
    if args.json { print(&format!("{}\n", as_json(&runs, &settings))) } else { print(&as_text(&runs, &settings)) }
}

fn read(folder: &Path) -> Result<Run> {
    let model = Model::describe(folder)?;
    let path = folder.join(TEST);
    let scores = match fs::read(&path) {
        Ok(bytes) => Some(Scores::from_safetensors(&path.display().to_string(), &bytes)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::io(&path)(error)),
    };
    if let Some(scores) = scores.as_ref().filter(|scores| scores.classes() != model.classes) {
        return Err(
            CommandError::ForeignScores { path, scores: scores.classes().to_vec(), model: model.classes }.into()
        );
    }
    let metrics = match &scores {
        Some(scores) => intervals(scores, &model.decision, CONFIDENCE, Seed(0))?,
        None => vec![],
    };
    let name = folder.display().to_string();
    Ok(Run { name, model, scores, metrics, differences: Err("it is the first".into()) })
}

/// Returns the differences between the metrics of two runs on the same test rows, or the reason why the runs
/// cannot be compared.
fn difference(first: &Run, other: &Run) -> Result<Result<Vec<MetricInterval>, String>> {
    let (Some(a), Some(b)) = (&first.scores, &other.scores) else {
        let without = if first.scores.is_none() { first } else { other };
        return Ok(Err(format!(
            "{} has no {TEST} (it was trained with --no-report, or by an older version)",
            without.name
        )));
    };
    if a.classes() != b.classes() || first.model.target != other.model.target {
        return Ok(Err(format!("{} predicts something else", other.name)));
    }
    // The hash of a row covers its feature columns, so two runs with different columns have different hashes.
    // Their test rows are still the same if they were chosen in the same way.
    let (x, y) = (&first.model.training, &other.model.training);
    let file = |path: &str| Path::new(path).file_name().map(ToOwned::to_owned);
    let split = |of: &Training| ["group_by", "time"].map(|name| of.running.get(name).cloned());
    let alike = x.seed == y.seed && x.test.to_bits() == y.test.to_bits() && x.missing == y.missing;
    let alike = alike && split(x) == split(y);
    let chosen = alike && file(&x.file) == file(&y.file) && a.labels() == b.labels();
    if !a.same_rows(b) && !chosen {
        return Ok(Err(format!("{} was tested on other rows", other.name)));
    }
    let [first, other] =
        [(a, first), (b, other)].map(|(scores, run)| DecidedScores { scores, decision: &run.model.decision });
    paired(first, other, CONFIDENCE, Seed(0)).map(Ok)
}

/// Returns the settings that differ between the runs: for each setting's name, the value in every run.
fn settings(runs: &[Run]) -> BTreeMap<String, Vec<String>> {
    let all: Vec<BTreeMap<String, String>> = runs.iter().map(|run| settings_of(&run.model)).collect();
    let mut names: Vec<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let row = |name: &String| -> Vec<String> {
        all.iter().map(|run| run.get(name).cloned().unwrap_or_else(|| "–".into())).collect()
    };
    let differ = |values: &Vec<String>| values.iter().any(|value| *value != values[0]);
    names.into_iter().map(|name| (name.clone(), row(name))).filter(|(_, values)| differ(values)).collect()
}

/// Returns the settings of a model as text, by name.
fn settings_of(model: &Model) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let training = serde_json::to_value(&model.training).unwrap_or_default();
    let mut all: BTreeMap<String, String> =
        training.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect();
    let loss = serde_json::to_value(model.loss).unwrap_or_default();
    let calibration = model.decision.calibration().map_or_else(|| "none".into(), ToString::to_string);
    all.extend([
        ("target".into(), model.target.clone()),
        ("classes".into(), model.classes.join(", ")),
        ("loss".into(), text(&loss)),
        ("hidden".into(), json!(model.architecture.hidden).to_string()),
        ("dropout".into(), model.architecture.dropout.to_string()),
        ("features".into(), model.architecture.inputs.to_string()),
        ("columns".into(), columns(model.preprocess.columns())),
        ("calibration".into(), calibration),
        ("threshold rule".into(), model.decision.rule().to_string()),
        ("threshold".into(), format!("{:.4}", model.decision.probability(model.decision.threshold()))),
    ]);
    all
}

/// Lists up to four names; of more names, lists three and counts the rest.
fn columns(names: &[String]) -> String {
    if names.len() <= 4 { names.join(", ") } else { format!("{} and {} more", names[..3].join(", "), names.len() - 3) }
}

/// Returns a metric as recorded in `model.json`, for a run whose test scores are missing.
fn described(run: &Run, name: &str) -> Option<f64> {
    let test = &run.model.test;
    match name {
        "accuracy" => Some(test.accuracy),
        "precision" => Some(test.precision),
        "recall" => Some(test.recall),
        "f1" => Some(test.f1),
        "roc_auc" => test.roc_auc,
        "pr_auc" => test.pr_auc,
        "log_loss" => Some(test.loss),
        _ => None,
    }
}

const NAMES: [&str; 8] = ["accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier"];

fn find<'a>(all: &'a [MetricInterval], name: &str) -> Option<&'a MetricInterval> {
    all.iter().find(|measured| measured.name == name)
}

/// Returns `better` or `worse` if the interval of a difference does not contain 0, and `None` otherwise.
fn verdict(measured: &MetricInterval) -> Option<&'static str> {
    let Interval { low, high, .. } = measured.interval?;
    match (low > 0.0, high < 0.0) {
        (false, false) => None,
        (more, _) => Some(if more == measured.less_is_better { "worse" } else { "better" }),
    }
}

fn as_json(runs: &[Run], settings: &BTreeMap<String, Vec<String>>) -> Value {
    let measures = |all: &[MetricInterval]| -> Value {
        let entry = |m: &MetricInterval| (m.name.to_string(), json!(m.interval));
        Value::Object(all.iter().map(entry).collect())
    };
    let run = |(at, run): (usize, &Run)| {
        let own: BTreeMap<_, _> = settings.iter().map(|(name, values)| (name, &values[at])).collect();
        let mut line = json!({ "model": run.name, "settings": own, "test_rows": run.model.test.confusion.total() });
        line["metrics"] = if run.scores.is_some() {
            measures(&run.metrics)
        } else {
            let value = |name: &&str| Some(((*name).to_string(), json!({ "value": described(run, name)? })));
            Value::Object(NAMES.iter().filter_map(value).collect())
        };
        if at > 0 {
            match &run.differences {
                Ok(all) => line["differences"] = measures(all),
                Err(why) => line["no_differences"] = json!(why),
            }
        }
        line
    };
    json!({ "confidence": CONFIDENCE, "runs": runs.iter().enumerate().map(run).collect::<Vec<_>>() })
}

fn as_text(runs: &[Run], settings: &BTreeMap<String, Vec<String>>) -> String {
    let mut text = String::new();
    let mut table = |title: &str, rows: Vec<(String, Vec<String>)>| {
        if rows.is_empty() {
            return;
        }
        let letters = |text: &str| text.chars().count();
        let first = rows.iter().map(|(name, _)| letters(name)).max().unwrap_or(0);
        let wide = |at: usize| rows.iter().map(|(_, cells)| letters(&cells[at])).max().unwrap_or(0);
        let widths: Vec<usize> = (0..runs.len()).map(|at| wide(at).max(letters(&runs[at].name))).collect();
        let _ = writeln!(text, "{}{title}", if text.is_empty() { "" } else { "\n" });
        let heads = runs.iter().map(|run| run.name.clone()).collect();
        for (name, cells) in [(String::new(), heads)].into_iter().chain(rows) {
            let cells = cells.iter().zip(&widths).map(|(cell, &width)| format!("  {cell:<width$}"));
            let line = format!("  {name:first$}{}", cells.collect::<String>());
            let _ = writeln!(text, "{}", line.trim_end());
        }
    };
    table("settings that differ", settings.iter().map(|(name, values)| (name.clone(), values.clone())).collect());
    let metric = |name: &&str| {
        let cell = |run: &Run| match find(&run.metrics, name).and_then(|measured| measured.interval) {
            Some(interval) => interval.to_string(),
            None => described(run, name).map_or_else(|| "–".into(), |value| format!("{value:.4}")),
        };
        ((*name).to_string(), runs.iter().map(cell).collect::<Vec<_>>())
    };
    let mut rows = vec![(
        "test rows".to_string(),
        runs.iter().map(|run| run.model.test.confusion.total().to_string()).collect::<Vec<_>>(),
    )];
    rows.extend(NAMES.iter().map(metric).filter(|(_, cells)| cells.iter().any(|cell| cell != "–")));
    table("test metrics, with 95 % intervals", rows);
    if runs.iter().skip(1).any(|run| run.differences.is_ok()) {
        let row = |name: &&str| {
            let cell = |(at, run): (usize, &Run)| match run.differences.as_ref().ok().and_then(|all| find(all, name)) {
                Some(measured) if at > 0 => measured.interval.map_or_else(
                    || "–".into(),
                    |Interval { value, low, high, .. }| {
                        let word = verdict(measured).map_or_else(String::new, |word| format!(" {word}"));
                        format!("{value:+.4} [{low:+.4}, {high:+.4}]{word}")
                    },
                ),
                _ => String::new(),
            };
            ((*name).to_string(), runs.iter().enumerate().map(cell).collect::<Vec<_>>())
        };
        let rows = NAMES.iter().map(row).filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty() && cell != "–"));
        table(&format!("differences to {}, row by row, with 95 % intervals", runs[0].name), rows.collect());
    }
    for why in runs.iter().skip(1).filter_map(|run| run.differences.as_ref().err()) {
        let _ = writeln!(text, "\nno differences row by row: {why}");
    }
    if runs.len() == 1 {
        let _ = writeln!(text, "\n{} is compared with nothing; give more folders", count(1, "run"));
    }
    text
}
