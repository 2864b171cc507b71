//! Tests of training runs that are killed, stopped by a signal and resumed, of unusable checkpoints, and of the
//! other options in the group `Running`.

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Place, csv, two_classes};
use wgrad_train::{checkpoint_info, checkpoints};

const TRAIN: &str = "train ok.csv --target sick --device cpu --hidden 8 --batch-size 4 --dropout 0.2 --schedule cosine";

/// Returns a folder with the file `ok.csv`.
fn place() -> Place {
    let place = Place::new();
    place.write("ok.csv", two_classes());
    place
}

/// Starts `wgrad` with the given arguments and does not wait for it.
fn spawn(place: &Place, line: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgrad"));
    command.args(line.split_whitespace()).current_dir(place.path(""));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command starts")
}

/// Returns a generator of pseudo-random numbers below 1, with the same sequence in every run of the test.
fn draws() -> impl FnMut() -> f64 {
    let mut state = 7u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).expect("31 bits")) / f64::from(1u32 << 31)
    }
}

fn count_complete_checkpoints(folder: &Path) -> usize {
    let files = checkpoints(folder).expect("a folder or nothing");
    for file in &files {
        checkpoint_info(file).unwrap_or_else(|error| panic!("{error}"));
    }
    files.len()
}

#[test]
#[cfg(unix)]
fn a_training_that_is_killed_ten_times_ends_with_the_same_bytes() {
    let place = place();
    let line = format!("{TRAIN} --epochs 30");
    place.wgrad(&format!("{line} --out whole")).good();
    // A checkpoint after every step takes most of the time, so the process is often killed while it writes a
    // checkpoint.
    let begin = Instant::now();
    place.wgrad(&format!("{line} --checkpoint-every 1 --out saved")).good();
    let mut time = begin.elapsed();
    let whole = place.read("whole/model.safetensors");
    assert_eq!(place.read("saved/model.safetensors"), whole, "saving changes nothing");
    let folder = place.path("parts/checkpoints");
    let resume = format!("{line} --checkpoint-every 1 --out parts --resume");
    let (mut draw, mut latest, mut moved, mut kills) = (draws(), 0, 0, 0);
    while kills < 10 {
        let mut child = spawn(&place, &resume);
        sleep(time.mul_f64(draw() * 0.2));
        if child.try_wait().expect("a child").is_some() {
            // The training ended before it was killed: delete the results, and kill earlier from now on.
            let output = child.wait_with_output().expect("a child");
            assert!(output.status.success(), "after kill {kills}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(place.read("parts/model.safetensors"), whole, "killed {kills} times");
            std::fs::remove_dir_all(place.path("parts")).expect("a folder");
            (time, latest) = (time / 2, 0);
            continue;
        }
        child.kill().expect("a child");
        child.wait().expect("a child");
        kills += 1;
        if count_complete_checkpoints(&folder) > 0 {
            let step = checkpoint_info(&checkpoints(&folder).expect("a folder")[0]).expect("whole").step;
            assert!(step >= latest, "kill {kills}: {step} after {latest}");
            moved += usize::from(step > latest);
            latest = step;
        }
    }
    assert!(moved >= 3, "hardly a kill fell into the training: {moved}, step {latest}");
    place.wgrad(&resume).good();
    assert_eq!(place.read("parts/model.safetensors"), whole, "killed ten times, the last at step {latest}");
    assert_eq!(count_complete_checkpoints(&folder), 4, "the last three and the best");
}

#[test]
#[cfg(unix)]
fn ctrl_c_saves_a_checkpoint_and_prints_how_to_resume() {
    let place = place();
    let line = format!("{TRAIN} --epochs 2000");
    let child = spawn(&place, &line);
    // The process needs time to install its Ctrl-C handler.
    sleep(Duration::from_millis(700));
    let signal = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &signal]).status().expect("a shell").success());
    let output = child.wait_with_output().expect("a child");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(
        err.contains("stopping after the current steps") && err.contains("stopped; saved ok-model/checkpoints/step-"),
        "{err}"
    );
    assert!(err.contains("go on with: wgrad train ok.csv --target sick") && err.contains("--resume"), "{err}");
    assert!(!place.path("ok-model/model.json").exists());
    assert_eq!(count_complete_checkpoints(&place.path("ok-model/checkpoints")), 1);
    // Without `--resume`, the command refuses to start, so the checkpoints are not lost.
    let again = place.wgrad(&line).bad(1, &["has checkpoints of another training", "--resume", "--overwrite"]);
    assert!(!again.err.contains("Trainer::"), "{}", again.err);
    // Resuming with other options fails.
    let other = place.wgrad(&format!("{TRAIN} --epochs 2000 --lr 0.01 --resume"));
    other.bad(
        1,
        &["is a checkpoint of another training", "learning rates at first: 0.001 and 0.9 then, 0.01 and 0.9 now"],
    );
    let other = place.wgrad(&format!("{TRAIN} --epochs 2 --overwrite")).good();
    assert!(!place.path("ok-model/checkpoints").exists() || other.err.contains("warning"), "{}", other.err);
}

#[test]
#[cfg(unix)]
fn a_second_ctrl_c_ends_at_once() {
    let place = place();
    let mut child = spawn(&place, &format!("{TRAIN} --epochs 100000 --quiet"));
    sleep(Duration::from_millis(700));
    let signal = format!("kill -INT {0}; kill -INT {0}", child.id());
    assert!(Command::new("sh").args(["-c", &signal]).status().expect("a shell").success());
    assert_eq!(child.wait().expect("a child").code(), Some(130));
}

#[test]
fn verify_resume_reports_equal_bytes() {
    let place = place();
    let run = place.wgrad("verify-resume ok.csv --target sick --epochs 3 --device cpu --at-step 5").good();
    assert!(
        run.out.starts_with("the same: stopped after step 5 of 6 and resumed, the model has the same "),
        "{}",
        run.out
    );
    assert!(run.err.contains("3 of 3: one that goes on from there"), "{}", run.err);
    let json = place.wgrad("verify-resume ok.csv --target sick --epochs 3 --device cpu --json --quiet").good().json();
    assert!(json["same"] == true && json["steps"] == 6 && json["step"].as_u64().is_some_and(|step| step < 6), "{json}");
    place
        .wgrad("verify-resume ok.csv --target sick --epochs 1 --device cpu --at-step 2")
        .bad(1, &["the training has 2 steps, so it cannot be stopped after 2 of them"]);
    place.wgrad("verify-resume no.csv --target sick --device cpu").bad(1, &["no.csv"]);
    assert_eq!(place.names(), ["ok.csv"]);
}

#[test]
fn a_damaged_checkpoint_is_skipped_with_a_warning() {
    let place = place();
    let line = format!("{TRAIN} --epochs 4 --checkpoint-every 10");
    place.wgrad(&format!("{line} --out whole")).good();
    place.wgrad(&format!("{line} --out parts --stop-after 25")).bad_code(130);
    let last = checkpoints(place.path("parts/checkpoints")).expect("a folder")[0].clone();
    let mut bytes = std::fs::read(&last).expect("a file");
    bytes[2000] ^= 1;
    std::fs::write(&last, bytes).expect("a file");
    let run = place.wgrad(&format!("{line} --out parts --resume --quiet")).good();
    assert!(
        run.err.starts_with("warning: parts/checkpoints/step-000000000025.safetensors is not a whole"),
        "{}",
        run.err
    );
    assert_eq!(place.read("parts/model.safetensors"), place.read("whole/model.safetensors"));
    // Without a checkpoint, --resume starts from the beginning.
    let run = place.wgrad(&format!("{line} --out new --resume")).good();
    assert!(run.err.contains("note: no checkpoint in new/checkpoints; beginning anew"), "{}", run.err);
    assert_eq!(place.read("new/model.safetensors"), place.read("whole/model.safetensors"));
}

#[test]
fn running_options_change_the_training() {
    let place = Place::new();
    // On labels that are mostly noise, the validation loss rises in the end.
    place
        .write("ok.csv", csv("a,b,sick", 120, |i| format!("{},{},{}", i % 7, i * 37 % 41, u8::from(i * 31 % 53 > 26))));
    let line = "train ok.csv --target sick --device cpu --json --quiet";
    let plain = place.wgrad(&format!("{line} --epochs 2 --out a")).good().json();
    let mut losses = vec![plain["train_loss"].as_f64()];
    for option in ["--clip-norm 0.01", "--accumulate 3", "--schedule cosine", "--schedule one-cycle"] {
        let json = place.wgrad(&format!("{line} --epochs 2 --out a {option}")).good().json();
        losses.push(json["train_loss"].as_f64());
    }
    assert!((0..losses.len()).all(|i| losses[..i].iter().all(|other| *other != losses[i])), "{losses:?}");
    place.wgrad(&format!("{line} --epochs 2 --out a --schedule plateau")).good();
    let early = place.wgrad(&format!("{line} --epochs 400 --lr 0.05 --patience 3 --out a")).good().json();
    let (trained, best) = (early["trained_epochs"].as_u64(), early["best_epoch"].as_u64());
    assert!(trained.is_some_and(|trained| trained < 400) && best == trained.map(|trained| trained - 3), "{early}");
    for wrong in ["--patience 0", "--clip-norm 0", "--accumulate 0", "--checkpoint-every 0", "--schedule up"] {
        assert_eq!(place.wgrad(&format!("{line} {wrong}")).code, Some(2), "{wrong}");
    }
}

#[test]
fn find_lr_prints_a_table_and_a_suggestion() {
    let place = place();
    let run = place.wgrad("train ok.csv --target sick --device cpu --find-lr --quiet").good();
    assert!(run.out.contains("smoothed") && run.out.contains("suggested lr: "), "{}", run.out);
    let json = place.wgrad("train ok.csv --target sick --device cpu --find-lr --json --quiet").good().json();
    assert!(json["suggestion"].as_f64().is_some_and(|lr| lr > 1e-6 && lr < 10.0), "{json}");
    assert_eq!(place.names(), ["ok.csv"]);
}
