//! `wgrad parity`: whether this machine's devices compute what the reference computes.

mod junit;
mod page;
mod table;

use std::collections::BTreeSet;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use wgrad_core::{Error, Result};
use wgrad_kernels::adapters;
use wgrad_parity::{Check, Examination, Failure, Setting, full, fuzz, quick};

use crate::output::{Files, count, note, print, split};
use crate::train::whole;

/// The arguments of `wgrad parity`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every kernel runs forward and backward and is held to the reference in f64: each number may be off by \
    an error bound that is derived from how many operations are behind it and how exact WGSL wants these. A failure \
    names the kernel, the case, the element and what was fed there.

A software adapter also runs the kernels that a real GPU would get, and those for six storage buffers instead of eight.

Examples:
  wgrad parity
  wgrad parity --device vulkan:nvidia --full --report parity.html
  wgrad parity --filter softmax --seconds 60 --seed 4
  wgrad parity --full --junit parity.xml --json

Exit codes: 0 all numbers are within their bounds, 1 some are not or a device cannot be used, 2 wrong usage."
)]
pub struct Args {
    /// A device to check: `cpu`, or an adapter's name (see `wgrad devices`). May be given several times. [default: all]
    #[arg(long, value_name = "NAME")]
    device: Vec<String>,
    /// Run all cases, at all sizes, instead of as few as run every kernel once.
    #[arg(long)]
    full: bool,
    /// Only the cases whose name holds this text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print the names of the cases, and run none.
    #[arg(long)]
    list: bool,
    /// After the cases, run random ones for so many seconds.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = whole(1, "at least 1"))]
    seconds: Option<usize>,
    /// What the random cases are drawn from.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Print the result as one JSON object, as the last line of standard output; all else goes to standard error.
    #[arg(long)]
    json: bool,
    /// Write the result for test systems: `JUnit` XML, one suite per device.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the result as one page of HTML that opens from disk: devices, limits, kernels, failures.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Put a known fault into the kernels, to see it found.
    #[cfg(feature = "plant")]
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
}

/// What a run was, for its reports.
struct Record<'a> {
    args: &'a Args,
    settings: &'a [Setting],
    examination: &'a Examination,
    begun: SystemTime,
    took: Duration,
}

/// Checks.
///
/// # Errors
/// When a device cannot be opened, no case is left, or a file cannot be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (begun, start) = (SystemTime::now(), Instant::now());
    for (path, option) in [(&args.junit, "--junit"), (&args.report, "--report")] {
        if let Some(path) = path {
            split(path).map_err(in_option(option))?;
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
        let filter = args.filter.as_deref().unwrap_or_default();
        let which = if args.full { "" } else { " of the quick choice; --full has more" };
        return Err(Error::Config(format!("no case has `{filter}` in its name{which} (see --list)")));
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
    // Where the table goes, which speaks of their numbers.
    if args.json {
        note(&head);
    } else {
        print(&format!("{head}\n"))?;
    }
    let examination = examine(args, checks, &settings);
    let record = Record { args, settings: &settings, examination: &examination, begun, took: start.elapsed() };
    if let Some(path) = &args.junit {
        save(path, &junit::xml(&record), "--junit")?;
    }
    if let Some(path) = &args.report {
        save(path, &page::html(&record), "--report")?;
    }
    record.tell()?;
    Ok(if examination.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Args {
    fn fits(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|text| name.to_lowercase().contains(&text.to_lowercase()))
    }

    #[cfg(not(feature = "plant"))]
    fn settings(&self) -> Result<Vec<Setting>> {
        Setting::all(&self.device)
    }

    #[cfg(feature = "plant")]
    fn settings(&self) -> Result<Vec<Setting>> {
        use wgrad_kernels::testing::DeviceHooks;
        let settings = Setting::all(&self.device)?;
        let Some(name) = &self.plant else { return Ok(settings) };
        let kernels = settings.into_iter().filter(|setting| setting.adapter.is_some());
        kernels.map(|setting| Ok(Setting { device: setting.device.planted(name)?, ..setting })).collect()
    }
}

/// Runs the checks, then random ones for as long as is wanted.
fn examine(args: &Args, checks: Vec<Check>, settings: &[Setting]) -> Examination {
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
        // A filter that fits nothing must end, too.
        while Instant::now() < until {
            number += 1;
            let case = fuzz(args.seed, number);
            if args.fits(case.name()) {
                return Some(case.into());
            }
        }
        None
    };
    let examination = Examination::run(settings, next, |so_far, case| progress.tell(so_far, case));
    progress.end();
    examination
}

/// How far it is: a bar on a terminal, else a line now and then.
struct Progress {
    bar: ProgressBar,
    lines: bool,
    said: std::cell::Cell<Instant>,
    cases: usize,
}

impl Progress {
    fn new(cases: usize, seconds: Option<usize>) -> Self {
        let template = "{wide_bar} {pos}/{len}  {msg}  {elapsed}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(cases as u64).with_style(style);
        if seconds.is_some() {
            // How many random ones there will be is not known.
            bar.set_message("then random ones");
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, lines: !stderr().is_terminal(), said: Instant::now().into(), cases }
    }

    /// Goes on, always.
    fn tell(&self, so_far: &Examination, case: &str) -> bool {
        const EVERY: Duration = Duration::from_secs(10);
        let failed = match so_far.failures.len() {
            0 => String::new(),
            n => format!(", {}", count(n, "failure")),
        };
        self.bar.set_length(self.cases.max(so_far.cases) as u64);
        self.bar.set_position(so_far.cases as u64);
        self.bar.set_message(format!("{}{failed}", case.chars().take(40).collect::<String>()));
        if self.lines && self.said.get().elapsed() > EVERY {
            self.said.set(Instant::now());
            note(&format!("{} of {} cases{failed}", so_far.cases, self.cases.max(so_far.cases)));
        }
        true
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Record<'_> {
    /// Prints the result.
    fn tell(&self) -> Result<()> {
        let all = self.examination;
        for (failure, others) in table::failures(all) {
            note(&format!("FAILED {}\n", table::text(failure, &others)));
        }
        if self.args.json {
            return print(&format!("{}\n", self.json()));
        }
        print(&format!("{}\n", table::by_kernel(all, self.settings)))?;
        print(&format!("{}\n", self.summary()))
    }

    /// One sentence.
    fn summary(&self) -> String {
        let all = self.examination;
        let wrong =
            if all.passed() { "all within their bounds".into() } else { format!("{} failed", all.failures.len()) };
        format!(
            "{}, {} on {}, {} numbers compared with the reference: {wrong} ({:.0} s)",
            count(all.cases, "case"),
            count(all.runs, "run"),
            count(self.settings.len(), "setting"),
            table::grouped(all.elements),
            self.took.as_secs_f64()
        )
    }

    fn json(&self) -> Value {
        let all = self.examination;
        let device = |setting: &Setting| {
            let info = setting.device.info();
            json!({
                "setting": setting.name,
                "change": setting.change,
                "kind": info.kind,
                "adapter": info.adapter,
                "backend": info.api,
                "driver": info.driver,
                "software": info.software,
            })
        };
        let kernel = |(name, tally): (&String, &wgrad_parity::Tally)| {
            let (case, setting) = tally.worst.clone().unzip();
            json!({
                "kernel": name,
                "cases": tally.cases.len(),
                "results": tally.results,
                "ulp": number(tally.ulp),
                "share": number(tally.share),
                "case": case,
                "setting": setting,
                "failures": tally.failures,
            })
        };
        json!({
            "passed": all.passed(),
            "mode": if self.args.full { "full" } else { "quick" },
            "seconds": self.took.as_secs_f64(),
            "seed": self.args.seed,
            "cases": all.cases,
            "runs": all.runs,
            "results": all.results,
            "numbers": all.elements,
            "settings": self.settings.iter().map(device).collect::<Vec<_>>(),
            "kernels": all.kernels.iter().map(kernel).collect::<Vec<_>>(),
            "failures": all.failures.iter().map(failure).collect::<Vec<_>>(),
        })
    }
}

/// JSON has no infinity and no NaN: the text says which.
fn number(x: f64) -> Value {
    if x.is_finite() { x.into() } else { x.to_string().into() }
}

fn failure(failure: &Failure) -> Value {
    let result = |result: &wgrad_parity::Measured| {
        let worst = result.worst.as_ref();
        json!({
            "part": result.part.to_string(),
            "index": worst.map(|worst| &worst.index),
            "got": worst.map(|worst| number(worst.deviation.got)),
            "truth": worst.map(|worst| number(worst.deviation.truth)),
            "bound": worst.map(|worst| number(worst.deviation.bound)),
            "ulp": number(result.ulp),
            "share": number(result.share()),
            "fed": worst.map(|worst| {
                worst.fed.iter().map(|(name, x)| (name.clone(), number(*x))).collect::<serde_json::Map<_, _>>()
            }),
        })
    };
    json!({
        "case": failure.case,
        "setting": failure.setting,
        "kernels": failure.kernels,
        "node": failure.node.as_ref().map(|(name, _)| name),
        "at": failure.node.as_ref().map(|(_, site)| site.to_string()),
        "inputs": failure.inputs,
        "results": failure.results.iter().map(result).collect::<Vec<_>>(),
        "error": failure.error,
    })
}

/// The message with the option that names the file.
fn in_option(option: &str) -> impl Fn(Error) -> Error {
    move |error| Error::Data(error.to_string().replace("--out", option))
}

/// Writes a file that is whole or not there.
fn save(path: &Path, text: &str, option: &str) -> Result<()> {
    let write = || {
        let (folder, name) = split(path)?;
        let mut files = Files::new(&folder)?;
        files.write(&name, text.as_bytes())?;
        files.publish()
    };
    write().map_err(in_option(option))?;
    note(&format!("written: {}", path.display()));
    Ok(())
}
