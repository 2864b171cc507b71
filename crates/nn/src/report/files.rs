//! The files of a report: each appears when it is complete.

use std::fs;
use std::io::Write;
use std::path::Path;

use wgrad_core::{Error, Result};

use super::{EVENTS, METRICS, PAGE, PLOTS, RunReport};

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

/// Writes a file under a temporary name and moves it to its own.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        Error::io(path)(error)
    })
}
