//! Folder of checkpoints: decides when they are written, removes old files, and finds the latest undamaged file.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use wgrad_core::{Error, Result};

use super::file::Checkpoint;
use super::manifest::Manifest;
use crate::error::CheckpointError;
use crate::history::History;
use wgrad_nn::write;

const BEST: &str = "best.safetensors";
const ENDING: &str = ".safetensors";

/// Folder of checkpoints, with the intervals at which they are written and the number of files to keep.
///
/// A checkpoint file contains the weights, buffers, weight averages, optimizer state and counters under their
/// names. Its metadata contain the position of the training (step, epoch, running sums, learning rates, random
/// numbers, schedule, early stopping, history), the settings, the device, the version of wgrad and the command
/// line. A checksum covers all bytes of the file. The file is written under a temporary name, flushed to the disk
/// and renamed; older files are removed only after that.
///
/// `step-000000000128.safetensors` is the state of the training after 128 steps. `best.safetensors` is the state
/// after the best epoch: the one with the lowest validation loss, or training loss without validation rows. If
/// [`EarlyStopping`](crate::EarlyStopping) uses another metric, that metric decides which epoch is the best.
///
/// Saving does not change the results of a training run. If a checkpoint cannot be written, the trainer reports
/// this and continues, and the older files stay. If the final checkpoint of a fit cannot be written, the fit
/// returns an error. To load only the weights of a checkpoint, use `Load::from(path).strict(false)`.
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
/// // Trains from the beginning or from the last checkpoint.
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
    /// True to write a checkpoint at the end of each fit.
    end: bool,
    overwrite: bool,
    write: fn(&Path, &[u8]) -> io::Result<()>,
}

impl Checkpoints {
    /// Creates settings for checkpoints in a folder, which is created if it does not exist. By default, a
    /// checkpoint is written after each epoch and at the end of each fit.
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

    /// Creates settings for a single checkpoint, which is written only if the training is stopped; see
    /// [`Trainer::stop_flag`](crate::Trainer::stop_flag).
    pub fn when_stopped(folder: impl AsRef<Path>) -> Self {
        Self { best: false, end: false, epochs: Some(usize::MAX), ..Self::new(folder) }
    }

    /// Writes a checkpoint after every `steps` steps, counted over all epochs. 0 means never.
    pub fn every_steps(self, steps: usize) -> Self {
        Self { steps: Some(steps), ..self }
    }

    /// Writes a checkpoint after every `epochs` epochs. 0 means never.
    pub fn every_epochs(self, epochs: usize) -> Self {
        Self { epochs: Some(epochs), ..self }
    }

    /// Sets how many of the latest checkpoints are kept, at least 1, in addition to the checkpoint of the best
    /// epoch. Default: 3.
    pub fn keep(self, keep: usize) -> Self {
        Self { keep: keep.max(1), ..self }
    }

    /// Sets whether a checkpoint of the best epoch is kept as well. Default: true.
    pub fn keep_best(self, best: bool) -> Self {
        Self { best, ..self }
    }

    /// Sets whether a training run that does not resume may begin in a folder with checkpoints of another run.
    /// These checkpoints are then removed after the first new checkpoint is written. Default: false, which means
    /// that the fit returns an error.
    pub fn overwrite(self, overwrite: bool) -> Self {
        Self { overwrite, ..self }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Replaces the function that writes files, for tests of failing writes.
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

    /// Returns the number of steps from now to the next checkpoint, if checkpoints are written at an interval of
    /// steps, and `None` otherwise. `total` is the number of steps so far, over all fits.
    pub(crate) fn steps_left(&self, total: u64) -> Option<usize> {
        let every = self.steps.filter(|&every| every > 0)?;
        usize::try_from(every as u64 - total % every as u64).ok()
    }

    /// Returns whether a checkpoint must be written at the end of this epoch. `total` is the number of steps so
    /// far, over all fits.
    pub(crate) fn due(&self, epoch: usize, total: u64) -> bool {
        let by_steps = self.steps.is_some_and(|every| every > 0 && total.is_multiple_of(every as u64));
        let epochs = self.epochs.or(self.steps.is_none().then_some(1));
        by_steps || epochs.is_some_and(|every| every > 0 && epoch.is_multiple_of(every))
    }

    /// Prepares the folder before the first step: creates it and checks that it can be used. Returns the files of
    /// another training run, which are to be removed after the first checkpoint of this run is written.
    pub(crate) fn begin(&self, resumes: bool) -> Result<Vec<PathBuf>> {
        let there = list(&self.folder)?;
        if !(resumes || self.overwrite || there.is_empty()) {
            let (folder, latest) = (self.folder.clone(), name(&there[0]));
            return Err(CheckpointError::FolderInUse { folder, latest }.into());
        }
        if !self.end {
            // These settings write a checkpoint only when the training is stopped. The folder is created then.
            return Ok(if resumes { vec![] } else { there });
        }
        fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        // Removes temporary files that a killed training run left behind.
        for path in entries(&self.folder)? {
            let is_temporary =
                |name: &str| name.starts_with('.') && name.contains(ENDING) && name.rsplit('.').next() == Some("tmp");
            if is_temporary(&name(&path)) {
                let _ = fs::remove_file(path);
            }
        }
        // Writes a test file, to report a folder without write permission now and not after hours of training.
        let probe = self.folder.join(format!(".probe.{}.safetensors.tmp", std::process::id()));
        let probed = fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe));
        probed.map_err(|source| CheckpointError::Write { path: self.folder.clone(), source })?;
        Ok(if resumes { vec![] } else { there })
    }

    /// Writes a checkpoint of the training after `total` steps, and removes older checkpoints beyond the number to
    /// keep.
    pub(crate) fn save(&self, bytes: &[u8], total: u64, others: &mut Vec<PathBuf>) -> Result<PathBuf> {
        let path = self.put(&format!("step-{total:012}{ENDING}"), bytes, others)?;
        // Checkpoints of later steps do not count, because a resumed training run will replace them.
        let older = list(&self.folder)?.into_iter().filter_map(|path| Some((step_of(&path)?, path)));
        for (_, old) in older.filter(|(step, _)| *step <= total).skip(self.keep) {
            let _ = fs::remove_file(old);
        }
        Ok(path)
    }

    /// Writes the checkpoint of the best epoch.
    pub(crate) fn save_best(&self, bytes: &[u8], others: &mut Vec<PathBuf>) -> Result<PathBuf> {
        self.put(BEST, bytes, others)
    }

    /// Writes a file atomically, then removes the files `others`, which belong to another training run.
    fn put(&self, name: &str, bytes: &[u8], others: &mut Vec<PathBuf>) -> Result<PathBuf> {
        let (path, temporary) =
            (self.folder.join(name), self.folder.join(format!(".{name}.{}.tmp", std::process::id())));
        let written = fs::create_dir_all(&self.folder).and_then(|()| (self.write)(&temporary, bytes));
        let written = written.and_then(|()| fs::rename(&temporary, &path)).and_then(|()| sync_folder(&self.folder));
        written.map_err(|source| {
            let _ = fs::remove_file(&temporary);
            CheckpointError::Write { path: path.clone(), source }
        })?;
        for other in std::mem::take(others).iter().filter(|other| **other != path) {
            let _ = fs::remove_file(other);
        }
        Ok(path)
    }
}

/// Flushes the entries of a folder to the disk, where the system supports that.
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

/// Lists the checkpoints in a folder. The latest is first, and the checkpoint of the best epoch is last. The list
/// is empty if the folder does not exist.
///
/// ```
/// assert!(wgrad_train::checkpoints("no/such/folder")?.is_empty());
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When the folder exists and cannot be read.
pub fn list(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    let all = entries(folder.as_ref())?;
    let mut steps: Vec<_> = all.iter().filter_map(|path| Some((step_of(path)?, path.clone()))).collect();
    steps.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
    let best = all.into_iter().filter(|path| name(path) == BEST);
    Ok(steps.into_iter().map(|(_, path)| path).chain(best).collect())
}

/// Checkpoint from which a training run has resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Path of the checkpoint.
    pub from: PathBuf,
    /// Number of training steps before the checkpoint, over all epochs.
    pub step: u64,
    /// Error messages of later checkpoints, which were skipped because they could not be read.
    pub passed_over: Vec<String>,
    /// Differences from the training run that wrote the checkpoint, such as another device or another version of
    /// wgrad. The results may then differ from those of an uninterrupted run.
    pub notes: Vec<String>,
}

/// Latest undamaged checkpoint, and the file that it was read from.
#[derive(Debug)]
pub(crate) struct Latest {
    pub checkpoint: Checkpoint,
    pub resumed: Resumed,
}

/// Reads a checkpoint.
pub(crate) fn read(path: &Path) -> Result<Checkpoint> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    Checkpoint::from_bytes(&path.display().to_string(), &bytes)
}

/// Reads the latest undamaged checkpoint in a folder. `place` may also be a single file.
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
        return Err(CheckpointError::NothingToResume { path: place.into(), is_folder: place.is_dir() }.into());
    }
    Err(CheckpointError::NoneReadable { path: place.into(), reasons: passed_over }.into())
}

/// Metadata of a checkpoint, returned by [`checkpoint_info`](info).
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointInfo {
    /// Number of training steps before the checkpoint, over all epochs.
    pub step: u64,
    /// Current epoch, or the next one if the checkpoint is from between two epochs.
    pub epoch: usize,
    /// Version of wgrad that wrote the file.
    pub wgrad: String,
    /// Command line of the training run.
    pub command: Vec<String>,
    /// Device of the training: its kind, adapter, API and driver.
    pub device: [String; 4],
    /// Seed of the parameters.
    pub seed: u64,
    /// Settings by name, which must be the same to resume.
    pub settings: std::collections::BTreeMap<String, String>,
    /// History of the fit so far.
    pub history: History,
}

/// Reads a checkpoint, verifies its checksum and returns its metadata.
///
/// ```
/// let error = wgrad_train::checkpoint_info("no/such/file").unwrap_err();
/// assert!(error.to_string().starts_with("no/such/file: "));
/// ```
///
/// # Errors
/// When the file cannot be read, is damaged, or is not a checkpoint.
pub fn info(path: impl AsRef<Path>) -> Result<CheckpointInfo> {
    let Manifest { position, wgrad, command, device, seed, settings, fits, .. } = read(path.as_ref())?.manifest;
    let history = fits.last().map(|fit| fit.history(None)).unwrap_or_default();
    Ok(CheckpointInfo { step: position.total, epoch: position.epoch, wgrad, command, device, seed, settings, history })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
