//! A folder of checkpoints: when one is written, which ones stay, and which is the latest that is whole.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use wgrad_core::{Error, Result};

use super::file::Checkpoint;
use super::manifest::Manifest;
use crate::history::History;
use wgrad_nn::write;

const BEST: &str = "best.safetensors";
const ENDING: &str = ".safetensors";

/// When a training saves all that it is made of, where, and how many of these files stay.
///
/// A file has weights, buffers, averages, the optimizer's state and all counters under their names, and in its metadata
/// where the training stands: step, epoch, the rows that are next, running sums, rates, random numbers, schedule, early
/// stopping, the history, and with which settings, device, version and command all of this was made. It is written under
/// another name, brought to the disk and renamed, and a checksum covers every byte of it; older files are removed only
/// after that. `step-000000000128.safetensors` is the training after 128 steps, and `best.safetensors` after its best epoch
/// by validation loss (or training loss, where there are no validation rows; or the measure of
/// [`EarlyStopping`](crate::EarlyStopping)).
///
/// Saving never changes a bit of what is trained. A checkpoint that cannot be written is told, the training goes on, and
/// the older ones stay; but that of the end of a fit is an error. Weights can be loaded from a checkpoint by
/// `Load::from(path).strict(false)`.
///
/// ```
/// use wgrad_core::{CpuBackend, Params};
/// use wgrad_data::Dataset;
/// use wgrad_nn::{Module, StateDict, layers::Linear, losses::{BceWithLogitsLoss, Loss}, optim::AdamW};
/// use wgrad_train::{Checkpoints, Silent, Trainer};
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let (x, y) = (0..40).map(|i| ((i as f32 - 20.0) / 10.0, u32::from(i > 17))).unzip();
/// let data = Dataset::new(["x"], x, y, ["low", "high"])?;
/// // A training of so many epochs, from the beginning or from its last checkpoint.
/// let train = |epochs: usize, resume: bool| {
///     let params = Params::seeded(7);
///     let model = Linear::new(&params.at("fc"), 1, 1);
///     let checkpoints = Checkpoints::new(folder).every_steps(3).overwrite(!resume);
///     let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &params)
///         .optimizer(AdamW::new(0.1)).batch_size(8).progress(Silent).checkpoints(checkpoints);
///     if resume {
///         trainer = trainer.resume(folder);
///     }
///     trainer.fit(&data, epochs, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y))?;
///     params.to_safetensors()
/// };
/// let whole = train(4, false)?;
/// train(2, false)?;
/// assert_eq!(train(4, true)?, whole);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Checkpoints {
    folder: PathBuf,
    steps: Option<usize>,
    epochs: Option<usize>,
    keep: usize,
    best: bool,
    /// Whether the end of a fit is saved.
    end: bool,
    overwrite: bool,
    write: fn(&Path, &[u8]) -> io::Result<()>,
}

impl Checkpoints {
    /// Checkpoints in a folder, which is made if it is not there: after each epoch, unless told otherwise, and at the end of
    /// each fit.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        Self {
            folder: folder.as_ref().into(),
            steps: None,
            epochs: None,
            keep: 3,
            best: true,
            end: true,
            overwrite: false,
            write: write::synced,
        }
    }

    /// One checkpoint, and only if the training is stopped: see [`Trainer::stop_flag`](crate::Trainer::stop_flag).
    pub fn when_stopped(folder: impl AsRef<Path>) -> Self {
        Self { best: false, end: false, epochs: Some(usize::MAX), ..Self::new(folder) }
    }

    /// A checkpoint after every `steps` steps of the training, counted over all epochs. 0 is never.
    pub fn every_steps(self, steps: usize) -> Self {
        Self { steps: Some(steps), ..self }
    }

    /// A checkpoint after every `epochs` epochs. 0 is never.
    pub fn every_epochs(self, epochs: usize) -> Self {
        Self { epochs: Some(epochs), ..self }
    }

    /// How many stay, the last ones; 3 if not set, and at least 1. The best one is not among them.
    pub fn keep(self, keep: usize) -> Self {
        Self { keep: keep.max(1), ..self }
    }

    /// Whether the best epoch is kept, too; true if not set.
    pub fn keep_best(self, best: bool) -> Self {
        Self { best, ..self }
    }

    /// Whether a training that does not resume may begin in a folder that has checkpoints of another one, which are removed
    /// once it has its own. Otherwise that is an error.
    pub fn overwrite(self, overwrite: bool) -> Self {
        Self { overwrite, ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes with another function, to test what happens when that fails.
    #[cfg(test)]
    pub(crate) fn written_by(self, write: fn(&Path, &[u8]) -> io::Result<()>) -> Self {
        Self { write, ..self }
    }

    pub(crate) fn keeps_best(&self) -> bool {
        self.best
    }

    pub(crate) fn keeps_end(&self) -> bool {
        self.end
    }

    /// Steps from now to the next checkpoint within an epoch, after so many steps in all.
    pub(crate) fn steps_left(&self, total: u64) -> Option<usize> {
        let every = self.steps.filter(|&every| every > 0)?;
        usize::try_from(every as u64 - total % every as u64).ok()
    }

    /// Whether there is to be a checkpoint after this epoch and so many steps in all.
    pub(crate) fn due(&self, epoch: usize, total: u64) -> bool {
        let by_steps = self.steps.is_some_and(|every| every > 0 && total.is_multiple_of(every as u64));
        let epochs = self.epochs.or(self.steps.is_none().then_some(1));
        by_steps || epochs.is_some_and(|every| every > 0 && epoch.is_multiple_of(every))
    }

    /// Looks at the folder before anything is trained, and makes it. Gives the files of another training, which go when the
    /// first of this one is there.
    pub(crate) fn begin(&self, resumes: bool) -> Result<Vec<PathBuf>> {
        let there = list(&self.folder)?;
        if !(resumes || self.overwrite || there.is_empty()) {
            return Err(Error::Config(format!(
                "{} has checkpoints of another training, up to {}\n  fixes:\n    1. go on with it: \
                 Trainer::resume(folder)\n    2. begin anew and remove them: Checkpoints::overwrite(true)\n    \
                 3. another folder",
                self.folder.display(),
                name(&there[0])
            )));
        }
        if !self.end {
            // A stop may never come.
            return Ok(if resumes { vec![] } else { there });
        }
        fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        // What a training that was killed has left half written.
        for path in entries(&self.folder)? {
            let rest =
                |name: &str| name.starts_with('.') && name.contains(ENDING) && name.rsplit('.').next() == Some("tmp");
            if rest(&name(&path)) {
                let _ = fs::remove_file(path);
            }
        }
        // A folder that cannot be written is told now, not after hours.
        let probe = self.folder.join(format!(".probe.{}.safetensors.tmp", std::process::id()));
        let probed = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
        probed.map_err(|source| cannot_write(&self.folder, &source))?;
        Ok(if resumes { vec![] } else { there })
    }

    /// Saves the training after so many steps, and removes what is older than the last ones.
    pub(crate) fn save(&self, bytes: &[u8], total: u64, others: &mut Vec<PathBuf>) -> Result<PathBuf> {
        let path = self.put(&format!("step-{total:012}{ENDING}"), bytes, others)?;
        // Those of later steps, which a resumed training will write anew, are not counted.
        let older = list(&self.folder)?.into_iter().filter_map(|path| Some((step_of(&path)?, path)));
        for (_, old) in older.filter(|(step, _)| *step <= total).skip(self.keep) {
            let _ = fs::remove_file(old);
        }
        Ok(path)
    }

    /// Saves the training as its best epoch.
    pub(crate) fn save_best(&self, bytes: &[u8], others: &mut Vec<PathBuf>) -> Result<PathBuf> {
        self.put(BEST, bytes, others)
    }

    /// Writes a file, which is there when it is complete; then `others` go.
    fn put(&self, name: &str, bytes: &[u8], others: &mut Vec<PathBuf>) -> Result<PathBuf> {
        let (path, now) = (self.folder.join(name), self.folder.join(format!(".{name}.{}.tmp", std::process::id())));
        let written = fs::create_dir_all(&self.folder).and_then(|()| (self.write)(&now, bytes));
        let written = written.and_then(|()| fs::rename(&now, &path)).and_then(|()| sync_folder(&self.folder));
        written.map_err(|source| {
            let _ = fs::remove_file(&now);
            cannot_write(&path, &source)
        })?;
        for other in std::mem::take(others).iter().filter(|other| **other != path) {
            let _ = fs::remove_file(other);
        }
        Ok(path)
    }
}

fn cannot_write(path: &Path, source: &io::Error) -> Error {
    let why = match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "\n  fix: free some space, or choose another folder",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "\n  fix: choose a folder that can be written",
        _ => "",
    };
    Error::Data(format!("{} cannot be written: {source}{why}", path.display()))
}

/// Makes a new name in a folder last, where the system offers that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn step_of(path: &Path) -> Option<u64> {
    let digits = name(path).strip_prefix("step-")?.strip_suffix(ENDING)?.to_string();
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![]),
        Err(error) => Err(Error::io(folder)(error)),
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(Error::io(folder))).collect(),
    }
}

/// The checkpoints of a folder: the latest first, the best one last.
///
/// ```
/// assert!(wgrad_train::checkpoints("no/such/folder")?.is_empty());
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn list(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let all = entries(folder.as_ref())?;
    let mut steps: Vec<_> = all.iter().filter_map(|path| Some((step_of(path)?, path.clone()))).collect();
    steps.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    let best = all.into_iter().filter(|path| name(path) == BEST);
    Ok(steps.into_iter().map(|(_, path)| path).chain(best).collect())
}

/// From which file a training went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The checkpoint.
    pub from: PathBuf,
    /// Steps that had been made, of all epochs.
    pub step: u64,
    /// Why later checkpoints were passed over, a message each.
    pub passed_over: Vec<String>,
    /// What is not as it was then and may change the bits: device, version of wgrad.
    pub notes: Vec<String>,
}

/// Checkpoint that was found, and from where.
#[derive(Debug)]
pub(crate) struct Latest {
    pub checkpoint: Checkpoint,
    pub resumed: Resumed,
}

/// Reads one checkpoint.
pub(crate) fn read(path: &Path) -> Result<Checkpoint> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    Checkpoint::from_bytes(&path.display().to_string(), &bytes)
}

/// The latest checkpoint that is whole: of a folder, or a file itself.
pub(crate) fn latest(place: &Path) -> Result<Latest> {
    let candidates = if place.is_file() { vec![place.to_path_buf()] } else { list(place)? };
    let mut passed_over = vec![];
    for path in candidates {
        match read(&path) {
            Ok(checkpoint) => {
                let step = checkpoint.manifest.position.total;
                let resumed = Resumed { from: path, step, passed_over, notes: vec![] };
                return Ok(Latest { checkpoint, resumed });
            }
            Err(error) => passed_over.push(error.to_string()),
        }
    }
    if passed_over.is_empty() {
        let what = if place.is_dir() { "has no checkpoint" } else { "is no folder of checkpoints" };
        return Err(Error::Data(format!(
            "{} {what}, so there is nothing to resume\n  fix: give the folder of Checkpoints::new, or begin anew without \
             `resume`",
            place.display()
        )));
    }
    Err(Error::Data(format!(
        "{} has no checkpoint that can be read:\n  {}\n  fix: begin anew in another folder",
        place.display(),
        passed_over.join("\n  ")
    )))
}

/// What a checkpoint says of itself, from [`checkpoint_info`](info).
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointInfo {
    /// Steps that had been made, of all epochs.
    pub step: u64,
    /// The epoch that was under way, or was next.
    pub epoch: usize,
    /// Which version of wgrad wrote it.
    pub wgrad: String,
    /// The words of the command that trained.
    pub command: Vec<String>,
    /// Kind of device, adapter, API and driver.
    pub device: [String; 4],
    /// The seed of the parameters.
    pub seed: u64,
    /// What has to be the same to go on, by name.
    pub settings: std::collections::BTreeMap<String, String>,
    /// The epochs of the fit so far.
    pub history: History,
}

/// Reads a checkpoint, finds out whether it is whole, and says what it is of.
///
/// ```
/// let error = wgrad_train::checkpoint_info("no/such/file").unwrap_err();
/// assert!(error.to_string().starts_with("no/such/file: "));
/// ```
///
/// # Errors
/// When it cannot be read, or is no whole checkpoint.
pub fn info(path: impl AsRef<Path>) -> Result<CheckpointInfo> {
    let Manifest { position, wgrad, command, device, seed, settings, fits, .. } = read(path.as_ref())?.manifest;
    let history = fits.last().map(|fit| fit.history(None)).unwrap_or_default();
    Ok(CheckpointInfo { step: position.total, epoch: position.epoch, wgrad, command, device, seed, settings, history })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
