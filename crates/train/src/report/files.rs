//! The files of a report: each appears when it is complete.

use std::fs;
use std::path::Path;

use wgrad_core::{Error, Result};

use wgrad_nn::write;

/// The page.
pub const PAGE: &str = "report.html";
/// The numbers of each epoch.
pub const METRICS: &str = "metrics.csv";
/// The event file: a fixed name, so that a run in the same folder replaces it.
pub const EVENTS: &str = "events.out.tfevents.wgrad";
/// The folder of the plots.
pub const PLOTS: &str = "plots";

/// Plot of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// The name of its file.
    pub name: String,
    /// The plot as SVG.
    pub svg: String,
}

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

/// The files of a report, as they are written.
pub(super) struct Files {
    pub page: String,
    pub plots: Vec<Plot>,
    pub metrics: String,
    pub events: Vec<u8>,
}

impl Files {
    /// Writes the files, each in one move, and removes plots of an earlier report that this one does not have.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let Self { page, plots, metrics, events } = self;
        let below = folder.join(PLOTS);
        fs::create_dir_all(&below).map_err(Error::io(&below))?;
        for Plot { name, svg } in plots {
            save(&below.join(name), svg.as_bytes())?;
        }
        for name in NAMES.iter().filter(|name| plots.iter().all(|plot| plot.name != **name)) {
            match fs::remove_file(below.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(below.join(name))(error));
                }
                _ => {}
            }
        }
        save(&folder.join(METRICS), metrics.as_bytes())?;
        save(&folder.join(EVENTS), events)?;
        save(&folder.join(PAGE), page.as_bytes())
    }
}

/// Writes one of the files of a report.
fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    write::atomic(path, bytes).map_err(Error::io(path))
}
