//! Tests of damaged files, of folders that cannot be written, and of the removal of old checkpoints.

use wgrad_core::{Array, DeviceInfo, Stream};

use super::*;
use crate::checkpoint::file::Stored;
use crate::checkpoint::manifest::{FitRecord, Position};
use crate::number::{BestEpoch, Number};
use crate::{Ended, EpochStats};

fn small() -> Checkpoint {
    let device = DeviceInfo { kind: "cpu".into(), ..DeviceInfo::default() };
    let settings = [("batch size".to_string(), "8".to_string())].into();
    let position = Position {
        fit: 0,
        epoch: 2,
        step: 3,
        loss_sum: Number(0.1 + 0.2),
        tracked: [("accuracy".to_string(), vec![Number(0.1 + 0.2)])].into(),
        total: 11,
        over: false,
    };
    let mut manifest = Manifest::new(&device, 7, settings, position);
    let stats = EpochStats {
        epoch: 1,
        epochs: 4,
        loss: 1.0 / 3.0,
        validation_loss: Some(f64::INFINITY),
        seconds: 0.25,
        steps: 8,
        lr: Some(1e-3),
        tracked: [("accuracy".to_string(), vec![0.1 + 0.2, f64::NAN])].into(),
        ..EpochStats::default()
    };
    manifest.fits = vec![FitRecord::of(&History { epochs: vec![stats], ended: Ended::Stopped, restored: None }, 4)];
    manifest.command = vec!["train".into()];
    manifest.best = Some(BestEpoch::new(1, f64::NAN));
    let array = |values: Vec<f32>| Stored::Array(Array::vector(values).into());
    let tensors = [
        ("fc.weight", array(vec![1.5, f32::MIN_POSITIVE, -0.0])),
        ("wide", Stored::Array(Array::vector(vec![0.1f64]).into())),
        ("optim.@step", Stored::Count(11)),
        ("@generator", Stored::Words(vec![1, u32::MAX])),
    ];
    Checkpoint { manifest, tensors: tensors.map(|(name, stored)| (name.to_string(), stored)).into() }
}

fn message(bytes: &[u8]) -> String {
    Checkpoint::from_bytes("a.safetensors", bytes).expect_err("damaged").to_string()
}

#[test]
fn a_checkpoint_comes_back_as_it_was() {
    let checkpoint = small();
    let bytes = checkpoint.to_bytes().unwrap();
    assert_eq!(bytes, checkpoint.to_bytes().unwrap());
    let again = Checkpoint::from_bytes("a", &bytes).unwrap();
    assert_eq!(again, checkpoint);
    let history = again.manifest.fits[0].history(Some(9));
    assert_eq!((history.epochs[0].loss, history.epochs[0].epochs), (1.0 / 3.0, 9));
    assert_eq!(history.epochs[0].validation_loss, Some(f64::INFINITY));
    // The checkpoint is a safetensors file that contains the weights under their names.
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("fc.weight").unwrap().shape(), [3]);
}

#[test]
fn a_checkpoint_of_any_other_length_is_an_error() {
    let bytes = small().to_bytes().unwrap();
    for length in 0..bytes.len() {
        let text = message(&bytes[..length]);
        assert!(text.contains("cut off") || text.contains("checksum"), "{length}: {text}");
    }
    assert_eq!(message(&bytes[..20]), "a.safetensors is not a whole checkpoint: it is cut off after 20 bytes");
    let last = bytes.len() - 1;
    assert_eq!(
        message(&bytes[..last]),
        format!("a.safetensors is not a whole checkpoint: it is cut off after {last} bytes, or has bytes too many")
    );
    assert!(message(&[&bytes[..], b"x"].concat()).ends_with("or has bytes too many"));
}

#[test]
fn ten_thousand_flips_are_found() {
    let bytes = small().to_bytes().unwrap();
    let mut stream = Stream::new(5, 0);
    let mut below = |n: usize| (stream.uniform() * n as f64) as usize;
    for i in 0..10_000 {
        let mut damaged = bytes.clone();
        // Flips each bit of the file once, then overwrites up to four random bytes at a time.
        if i < bytes.len() * 8 {
            damaged[i / 8] ^= 1 << (i % 8);
        } else {
            for _ in 0..=below(4) {
                damaged[below(bytes.len())] = u8::try_from(below(256)).unwrap();
            }
            if damaged == bytes {
                continue;
            }
        }
        let text = message(&damaged);
        assert!(text.starts_with("a.safetensors "), "{text}");
    }
}

#[test]
fn other_files_are_recognised() {
    assert_eq!(message(b""), "a.safetensors is not a whole checkpoint: it is cut off after 0 bytes");
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![16], &[0; 64]).unwrap();
    let plain = safetensors::serialize([("w", view)], None).unwrap();
    assert!(message(&plain).starts_with("a.safetensors is a safetensors file, but no checkpoint of wgrad"));
    assert!(message(&[b'x'; 100]).contains("this is not a safetensors file"));
    // No memory is allocated for a header that claims to be huge.
    let huge = [&u64::MAX.to_le_bytes()[..], &small().to_bytes().unwrap()[8..]].concat();
    assert!(message(&huge).contains("cut off"));
    let mut newer = small();
    let text = serde_json::to_string(&newer.manifest).unwrap().replace("\"version\":1", "\"version\":2");
    let why = Manifest::read("a", &text).unwrap_err().to_string();
    assert!(why.starts_with("a is of version 2, and this wgrad reads version 1"), "{why}");
    newer.manifest.settings.insert("batch size".into(), "9".into());
    let differences = small().manifest.differences(&newer.manifest.settings);
    assert_eq!(differences.len(), 1);
    assert_eq!(differences[0].to_string(), "batch size: 8 then, 9 now");
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = entries(folder).unwrap().iter().map(|path| name(path)).collect();
    names.sort();
    names
}

#[test]
fn the_last_checkpoints_and_the_best_are_kept() {
    let place = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(place.path().join("new/deep")).keep(2);
    assert_eq!(checkpoints.begin(false).unwrap(), Vec::<PathBuf>::new());
    let bytes = small().to_bytes().unwrap();
    checkpoints.save_best(&bytes, &mut vec![]).unwrap();
    for total in [3, 6, 9, 1000] {
        checkpoints.save(&bytes, total, &mut vec![]).unwrap();
    }
    let kept = ["best.safetensors", "step-000000000009.safetensors", "step-000000001000.safetensors"];
    assert_eq!(names_in(checkpoints.folder()), kept);
    // A training run that resumed from an earlier step keeps later files until it replaces them.
    checkpoints.save(&bytes, 12, &mut vec![]).unwrap();
    assert_eq!(list(checkpoints.folder()).unwrap().len(), 4);
    let Latest { resumed, .. } = latest(checkpoints.folder()).unwrap();
    assert_eq!(name(&resumed.from), kept[2]);
}

#[test]
fn another_training_is_not_mixed_in() {
    let place = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(place.path());
    let bytes = small().to_bytes().unwrap();
    checkpoints.save(&bytes, 900, &mut vec![]).unwrap();
    checkpoints.save_best(&bytes, &mut vec![]).unwrap();
    let refused = checkpoints.begin(false).unwrap_err().to_string();
    assert!(refused.contains("has checkpoints of another training, up to step-000000000900.safetensors"), "{refused}");
    assert!(checkpoints.begin(true).is_ok());
    let anew = checkpoints.overwrite(true);
    std::fs::write(place.path().join(".step-000000000005.safetensors.1.tmp"), b"half").unwrap();
    let mut others = anew.begin(false).unwrap();
    assert_eq!(others.len(), 2);
    assert_eq!(names_in(place.path()), ["best.safetensors", "step-000000000900.safetensors"]);
    anew.save(&bytes, 3, &mut others).unwrap();
    assert_eq!(names_in(place.path()), ["step-000000000003.safetensors"]);
    assert!(others.is_empty());
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let place = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(place.path());
    let bytes = small().to_bytes().unwrap();
    checkpoints.save(&bytes, 3, &mut vec![]).unwrap();
    checkpoints.save(&bytes[..bytes.len() / 2], 6, &mut vec![]).unwrap();
    checkpoints.save(b"", 9, &mut vec![]).unwrap();
    let Latest { resumed, .. } = latest(place.path()).unwrap();
    assert_eq!((name(&resumed.from).as_str(), resumed.passed_over.len()), ("step-000000000003.safetensors", 2));
    assert!(resumed.passed_over[0].contains("step-000000000009.safetensors is not a whole checkpoint"));
    std::fs::write(&resumed.from, b"{}").unwrap();
    let none = latest(place.path()).unwrap_err().to_string();
    assert!(none.contains("has no checkpoint that can be read:") && none.lines().count() == 5, "{none}");
    let missing = latest(&place.path().join("no")).unwrap_err().to_string();
    assert!(missing.contains("no is no folder of checkpoints, so there is nothing to resume"), "{missing}");
}

#[test]
fn a_failed_write_leaves_only_older_checkpoints() {
    let place = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::new(place.path());
    let bytes = small().to_bytes().unwrap();
    checkpoints.save(&bytes, 3, &mut vec![]).unwrap();
    let full = checkpoints.clone().written_by(|path, bytes| {
        std::fs::write(path, &bytes[..bytes.len() / 2])?;
        Err(ErrorKind::StorageFull.into())
    });
    let error = full.save(&bytes, 6, &mut vec![]).unwrap_err().to_string();
    assert!(
        error.contains("step-000000000006.safetensors cannot be written: ") && error.contains("free some space"),
        "{error}"
    );
    assert_eq!(names_in(place.path()), ["step-000000000003.safetensors"]);
    // There is a file where the folder should be.
    let file = place.path().join("file");
    std::fs::write(&file, b"").unwrap();
    assert!(Checkpoints::new(file.join("below")).begin(false).is_err());
    assert!(Checkpoints::new(&file).begin(false).is_err());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_reported() {
    let error = write::synced(Path::new("/dev/full"), &[0; 64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}
