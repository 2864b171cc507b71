//! Messages of `wgrad train` about the rows before the training, and about the model after it.

use std::path::Path;

use serde_json::json;
use wgrad_core::{DeviceInfo, Result};
use wgrad_data::{Dataset, Parts};
use wgrad_train::History;

use crate::model::Model;
use crate::output::{count, list, note, print};
use crate::shell::shell_word;
use crate::train::classes::Balance;
use crate::train::options::Args;

/// Prints a summary of the data, with warnings about anything unusual.
pub fn print_data(args: &Args, Parts { train, validation, test }: &Parts, info: &DeviceInfo, balance: &Balance) {
    let of_validation = validation.as_ref().map_or_else(|| vec![0; test.classes().len()], Dataset::class_counts);
    let counts = train.class_counts().into_iter().zip(test.class_counts()).zip(of_validation);
    let classes: Vec<String> =
        train.classes().iter().zip(counts).map(|(name, ((a, b), c))| format!("{name} ({})", a + b + c)).collect();
    let (shown, more) = classes.split_at(classes.len().min(12));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    note(&format!(
        "{}: {} to train on, {}{} to test on, {}",
        args.file.display(),
        count(train.rows(), "row"),
        validation.as_ref().map(|rows| format!("{} to validate on, ", rows.rows())).unwrap_or_default(),
        test.rows(),
        count(train.features(), "feature")
    ));
    note(&format!("{}: {}{more}", args.target, shown.join(", ")));
    balance.notes(train, args.decision.threshold.is_some()).iter().for_each(|line| note(line));
    note(&format!("device: {info}"));
    if train.dropped_rows() > 0 {
        note(&format!("note: {} left out because of missing cells", count(train.dropped_rows(), "row")));
    }
    let constant = train.preprocess().constant_columns();
    if !constant.is_empty() {
        let (what, them) = if constant.len() == 1 { ("column", "it") } else { ("columns", "them") };
        let (names, option) = (list(constant), shell_word(&constant.join(",")));
        note(&format!(
            "warning: {what} without variance in the training rows: {names} (--drop {option} leaves {them} out)"
        ));
    }
    let absent: Vec<&String> =
        test.classes().iter().zip(test.class_counts()).filter(|(_, n)| *n == 0).map(|(name, _)| name).collect();
    if !absent.is_empty() {
        note(&format!("warning: no test row is of class {}; each class needs two rows", list(absent)));
    }
}

/// Prints the metrics of the trained model.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_result(args: &Args, folder: &Path, info: &DeviceInfo, history: &History, model: &Model) -> Result<()> {
    let report = &model.test;
    let seconds = history.seconds_per_epoch();
    if let Some(epoch) = history.restored.filter(|_| !args.quiet) {
        note(&format!("\nthe weights are those of epoch {epoch}, the best of {}", history.epochs.len()));
    }
    let mut saved = format!(
        "model saved to {0}; predict with: wgrad predict {0} FILE.csv   ({1:.3} s per epoch)",
        folder.display(),
        seconds
    );
    if !args.no_report {
        saved = format!("{saved}\nreport: {}", folder.join(wgrad_train::report::PAGE).display());
    }
    if !args.json {
        if args.quiet {
            return print(&format!("{report}\n"));
        }
        note("");
        print(&format!("{report}\n"))?;
        note(&format!("\n{saved}"));
        return Ok(());
    }
    if !args.quiet {
        note(&format!("\n{report}\n\n{saved}"));
    }
    // The losses of the epoch whose weights are saved; with early stopping, it can be an earlier epoch than the
    // last.
    let kept = history.restored.and_then(|best| history.epochs.iter().find(|epoch| epoch.epoch == best));
    let line = json!({
        "loss": report.loss,
        "accuracy": report.accuracy,
        "precision": report.precision,
        "recall": report.recall,
        "f1": report.f1,
        "roc_auc": report.roc_auc,
        "pr_auc": report.pr_auc,
        "confusion": report.confusion.counts(),
        "classes": report.confusion.classes(),
        "decision": model.decision,
        "train_loss": kept.map_or_else(|| history.loss(), |epoch| epoch.loss),
        "steps": history.epochs.iter().map(|epoch| epoch.steps).sum::<usize>(),
        "trained_epochs": history.epochs.len(),
        "best_epoch": history.restored,
        "device": info.kind,
        "adapter": info.adapter,
        "seed": args.seed,
        "epochs": args.model.epochs,
        "seconds_per_epoch": seconds,
        "model": folder.display().to_string(),
    });
    print(&format!("{line}\n"))
}
