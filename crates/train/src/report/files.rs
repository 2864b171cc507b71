//! Files of a report, written atomically.

use std::fs;
use std::path::Path;

use wgrad_core::{Error, Result};

use wgrad_nn::write;

/// File name of the report's page.
pub const PAGE: &str = "report.html";
/// File name of the table with the statistics of each epoch.
pub const METRICS: &str = "metrics.csv";
/// Name of the event file for TensorBoard. The name is fixed, so that a later report in the same folder replaces
/// the file.
pub const EVENTS: &str = "events.out.tfevents.wgrad";
/// Name of the folder with the plots.
pub const PLOTS: &str = "plots";

/// Plot of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// Name of the file.
    pub name: String,
    /// Contents of the file.
    pub svg: String,
}

/// File names of plots that an earlier report may have written into the same folder.
const NAMES: [&str; 7] = [
    "loss.svg",
    "learning_rate.svg",
    "roc.svg",
    "precision_recall.svg",
    "reliability.svg",
    "scores.svg",
    "importance.svg",
];

/// Contents of the files of a report.
pub(super) struct Files {
    pub page: String,
    pub plots: Vec<Plot>,
    pub metrics: String,
    pub events: Vec<u8>,
}

impl Files {
    /// Writes each file atomically, and removes plots of an earlier report that this report does not have.
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

/// Writes a file atomically.
fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    write::atomic(path, bytes).map_err(Error::io(path))
}
