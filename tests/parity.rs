//! Tests that compare every parity case on the CPU in `f32` and on every adapter with the reference in `f64`,
//! within derived bounds.
//!
//! There is one test for each case and device. Without an adapter, the tests for GPUs are listed as ignored.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::TuningChoices;
use wgrad::gpu::{Device, adapters};
use wgrad_parity::{self as parity, Case, DeviceSetting, Harness};

/// Case with its data and reference results, which the tests of all devices share.
struct Entry {
    case: Case,
    harness: OnceLock<Harness>,
}

impl Entry {
    fn new(case: Case) -> Arc<Self> {
        Arc::new(Self { case, harness: OnceLock::new() })
    }

    fn check(&self, device: Device) -> Result<(), Failed> {
        let new = || Harness::new(&self.case).unwrap_or_else(|error| panic!("{}: {error}", self.case.name()));
        let verdict = self.harness.get_or_init(new).check(device)?;
        if verdict.passed() { Ok(()) } else { Err(verdict.to_string().into()) }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let entries: Vec<_> = parity::all().into_iter().map(Entry::new).collect();
    let variants: Vec<_> = parity::variants().into_iter().map(|(variant, case)| (variant, Entry::new(case))).collect();
    let mut trials: Vec<Trial> = vec![];
    if adapters().is_empty() {
        for entry in &entries {
            let name = format!("the GPU matches the reference: {}", entry.case.name());
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
        }
    }
    for DeviceSetting { name: setting, change, device, adapter } in
        DeviceSetting::all(&[]).expect("the drivers open their adapters")
    {
        for entry in entries.clone() {
            let name = format!("{setting} matches the reference: {}", entry.case.name());
            let device = device.clone();
            trials.push(Trial::test(name, move || entry.check(device)));
        }
        // Every variant of a kernel is tested, including those that the device would not choose.
        if change.is_empty() && adapter.is_some_and(|adapter| adapter.info().api != "gl") {
            for (variant, entry) in variants.clone() {
                let name = format!("{setting} matches the reference: {}", entry.case.name());
                let mut choices = TuningChoices::default();
                choices.set("matmul", variant);
                let device = device.choosing(choices);
                trials.push(Trial::test(name, move || entry.check(device)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
