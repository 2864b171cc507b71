//! `wgrad parity`: compares the results of this machine's devices with the reference.

mod junit;
mod options;
mod page;
mod record;
mod table;

use std::collections::BTreeSet;
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressStyle};
use wgrad_core::Result;
use wgrad_kernels::adapters;
use wgrad_parity::{Check, DeviceSetting, ParityReport, full, fuzz, quick};

use crate::error::CommandError;
use crate::output::{Files, count, note, print, split};
use record::Record;

pub use options::Args;

/// Runs the checks and reports them.
///
/// # Errors
/// If a device cannot be opened, no case matches, or a file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (begun, start) = (SystemTime::now(), Instant::now());
    for (path, option) in [(&args.junit, "--junit"), (&args.report, "--report")] {
        if let Some(path) = path {
            split(path, option)?;
        }
    }
    let mut checks = if args.full { full() } else { quick()? };
    let all = checks.len();
    checks.retain(|check| args.fits(check.case.name()));
    if args.list {
        let names: Vec<_> = checks.iter().map(|check| format!("{}\n", check.case.name())).collect();
        return print(&names.concat()).map(|()| ExitCode::SUCCESS);
    }
    if checks.is_empty() && args.seconds.is_none() {
        return Err(CommandError::NoCase { filter: args.filter.clone().unwrap_or_default(), full: args.full }.into());
    }
    let settings = args.settings()?;
    if adapters().is_empty() {
        note("note: no GPU adapter was found, so only the CPU backend is checked");
    }
    let places = (1..).zip(&settings).map(|(i, setting)| format!("\n  {i}  {}", setting.name));
    let chosen = if args.full { "all" } else { "the quick choice" };
    let some = if checks.len() < all {
        format!("{} of {all} cases ({chosen})", checks.len())
    } else {
        format!("{} ({chosen})", count(all, "case"))
    };
    let variants: BTreeSet<_> = checks.iter().filter_map(|check| check.variant).collect();
    let variants = if variants.is_empty() {
        String::new()
    } else {
        format!(", {} of the matrix product", count(variants.len(), "variant"))
    };
    let head = format!("{some}{variants} on{}", places.collect::<String>());
    // The heading lists the devices with numbers. The table's column `on` refers to these numbers, so the heading
    // and the table are printed to the same stream.
    if args.json {
        note(&head);
    } else {
        print(&format!("{head}\n"))?;
    }
    let report = run_checks(args, checks, &settings);
    let record = Record { args, settings: &settings, report: &report, begun, took: start.elapsed() };
    if let Some(path) = &args.junit {
        save(path, &junit::xml(&record), "--junit")?;
    }
    if let Some(path) = &args.report {
        save(path, &page::html(&record), "--report")?;
    }
    record.print()?;
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the checks, then random cases for the requested time.
fn run_checks(args: &Args, checks: Vec<Check>, settings: &[DeviceSetting]) -> ParityReport {
    let progress = Progress::new(checks.len(), args.seconds);
    let mut checks = checks.into_iter();
    let mut until: Option<Instant> = None;
    let mut number = 0;
    let next = || {
        if let Some(check) = checks.next() {
            return Some(check);
        }
        let limit = Duration::from_secs(args.seconds? as u64);
        let until = *until.get_or_insert_with(|| Instant::now() + limit);
        // The time limit ends this loop even if no random case matches the filter.
        while Instant::now() < until {
            number += 1;
            let case = fuzz(args.seed, number);
            if args.fits(case.name()) {
                return Some(case.into());
            }
        }
        None
    };
    let report = ParityReport::run(settings, next, |so_far, case| progress.update(so_far, case));
    progress.end();
    report
}

/// Progress of the run: a bar on a terminal, otherwise a line every ten seconds.
struct Progress {
    bar: ProgressBar,
    lines: bool,
    last_line: std::cell::Cell<Instant>,
    cases: usize,
}

impl Progress {
    fn new(cases: usize, seconds: Option<usize>) -> Self {
        let template = "{wide_bar} {pos}/{len}  {msg}  {elapsed}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(cases as u64).with_style(style);
        if seconds.is_some() {
            // The number of random cases is not known in advance.
            bar.set_message("then random ones");
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, lines: !stderr().is_terminal(), last_line: Instant::now().into(), cases }
    }

    /// Shows the progress. Always returns `true`, which continues the run.
    fn update(&self, so_far: &ParityReport, case: &str) -> bool {
        const EVERY: Duration = Duration::from_secs(10);
        let failed = match so_far.failures.len() {
            0 => String::new(),
            n => format!(", {}", count(n, "failure")),
        };
        self.bar.set_length(self.cases.max(so_far.cases) as u64);
        self.bar.set_position(so_far.cases as u64);
        self.bar.set_message(format!("{}{failed}", case.chars().take(40).collect::<String>()));
        if self.lines && self.last_line.get().elapsed() > EVERY {
            self.last_line.set(Instant::now());
            note(&format!("{} of {} cases{failed}", so_far.cases, self.cases.max(so_far.cases)));
        }
        true
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a file. The file appears only when it is complete.
fn save(path: &Path, text: &str, option: &'static str) -> Result<()> {
    let (folder, name) = split(path, option)?;
    let mut files = Files::new(&folder, option)?;
    files.write(&name, text.as_bytes())?;
    files.publish()?;
    note(&format!("written: {}", path.display()));
    Ok(())
}
