//! The files of a report: each appears when it is complete.

use std::fs;
use std::path::Path;

use wgrad_core::{Error, Result};

use super::{EVENTS, METRICS, PAGE, PLOTS, RunReport};
use wgrad_nn::write;

/// The plots that a report may have.
const NAMES: [&str; 7] = [
    "loss.svg",
    "learning_rate.svg",
    "roc.svg",
    "precision_recall.svg",
    "reliability.svg",
    "scores.svg",
    "importance.svg",
];

pub(super) fn write(report: &RunReport, folder: &Path) -> Result<()> {
    // Everything that may fail for another reason than the disk comes first.
    let (page, plots, events) = (report.html()?, report.plots()?, report.events()?);
    let below = folder.join(PLOTS);
    fs::create_dir_all(&below).map_err(Error::io(&below))?;
    for (name, text) in &plots {
        save(&below.join(name), text.as_bytes())?;
    }
    for name in NAMES.iter().filter(|name| plots.iter().all(|(plot, _)| plot != *name)) {
        match fs::remove_file(below.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(below.join(name))(error));
            }
            _ => {}
        }
    }
    save(&folder.join(METRICS), report.metrics_csv().as_bytes())?;
    save(&folder.join(EVENTS), &events)?;
    save(&folder.join(PAGE), page.as_bytes())
}

/// Writes one of the files of a report.
fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    write::replace(path, bytes).map_err(Error::io(path))
}
