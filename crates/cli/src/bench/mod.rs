//! `wgrad bench`: measures training steps and kernels.
//!
//! Each line of the result is measured in a new process, so that no other workload affects the time of the first
//! step and the peak memory. Another process computes the reference.

mod line;
pub mod workloads;

use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;
use wgrad_core::text::human_bytes;
use wgrad_core::{DeviceInfo, Error, Result};
use wgrad_kernels::{Device, adapters};

use crate::args::whole;
use crate::devices::{open, selector};
use crate::error::{CommandError, message};
use crate::output::print;
use crate::variants::Stored;
use line::{Line, Measure, Values};
use workloads::{WORKLOADS, Workload};

/// The arguments of `wgrad bench`.
#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub struct Args {
    /// The workloads to measure. [default: all that take a reasonable time]
    #[arg(value_name = "WORKLOAD", hide_possible_values = true, value_parser = workload())]
    workloads: Vec<Workload>,
    /// The device that computes: auto, cpu, cpu-f64, gpu, or an adapter's name (see `wgrad devices`); may be
    /// repeated.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: Vec<String>,
    /// Measure on the CPU and on every adapter.
    #[arg(long, conflicts_with = "device")]
    all_devices: bool,
    /// The number of steps to time. [default: as many as take two seconds]
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = whole(1, "at least 1"))]
    steps: Option<usize>,
    /// Read the loss every N steps; 0 for never.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 0, value_parser = whole(0, "0 or more"))]
    read_every: usize,
    /// Print one JSON object per measurement instead of the table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stored: Stored,
    /// Task of a child process that this command starts.
    #[arg(long, hide = true, requires = "workloads")]
    part: Option<Part>,
    /// Values of the reference, as JSON.
    #[arg(long, hide = true, default_value = "[]")]
    expect: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Part {
    Reference,
    Line,
}

pub fn workload() -> impl TypedValueParser<Value = Workload> {
    let known = PossibleValuesParser::new(WORKLOADS.iter().map(|workload| workload.name));
    known.map(|name| Workload::named(&name).expect("one of the possible values"))
}

fn help() -> String {
    let width = WORKLOADS.iter().map(|workload| workload.name.len()).max().unwrap_or(0);
    let line = |Workload { name, about, .. }: &Workload| format!("  {name:width$}  {about}");
    let workloads = WORKLOADS.iter().map(line).collect::<Vec<_>>().join("\n");
    format!(
        "Workloads:\n{workloads}

A result is compared with the reference in double precision before it is timed. Each sample queues \
some steps, then waits for the device; the loss is read in between only with --read-every. All steps use the same batch, \
which is copied to the device once per sample.

`first` is the time from the start of the process to the end of the first step. With WGRAD_CACHE=off it includes the \
compilation of every kernel, unless the driver has a cache of its own (Mesa: MESA_SHADER_CACHE_DISABLE=true). `needed` \
is the least memory of a training step: parameters, gradients, optimizer state, the batch and the activations that \
the backward pass reads. GFLOP/s count only the matrix products, forward and backward.

Examples:
  wgrad bench
  wgrad bench tabular mid --device cpu --device vulkan:nvidia
  wgrad bench wide --all-devices --steps 100 --json
  wgrad bench tabular --read-every 1"
    )
}

/// Runs the command: measures all requested workloads, or does one task as a child process.
///
/// # Errors
/// If a device does not exist, or a workload cannot be measured.
pub fn run(args: &Args, start: Instant) -> Result<()> {
    match args.part {
        Some(Part::Reference) => print_outcome(line::values(args.workloads[0], Device::cpu_f64())),
        Some(Part::Line) => print_outcome(measure(args, start)),
        None => all(args),
    }
}

/// Prints the result or the error of this child process as JSON, which [`child`] reads in the parent process.
fn print_outcome<T: serde::Serialize>(result: Result<T>) -> Result<()> {
    let outcome = result.map_err(|error| message(&error, "--drop"));
    print(&format!("{}\n", to_json(&outcome)?))
}

/// Measures one workload on one device.
fn measure(args: &Args, start: Instant) -> Result<Line> {
    let device = args.stored.apply(Device::named(&args.device[0])?, true)?;
    let how = Measure { steps: args.steps, read_every: args.read_every };
    let line = line::measure(args.workloads[0], device, &from_json(&args.expect)?, how, start)?;
    Ok(Line { device: args.device[0].clone(), ..line })
}

/// Measures every workload on every device.
fn all(args: &Args) -> Result<()> {
    let devices = devices(args)?;
    let mut workloads = args.workloads.clone();
    if workloads.is_empty() {
        workloads.extend(WORKLOADS.iter().filter(|workload| workload.usual));
    }
    let bar = bar(workloads.len() * devices.len());
    let (mut lines, mut messages) = (vec![], vec![]);
    for workload in workloads {
        bar.set_message(format!("the reference of {}", workload.name));
        let reference: Result<Values, String> = child(&["bench", workload.name, "--part", "reference"]);
        for device in &devices {
            bar.set_message(format!("{} on {device}", workload.name));
            let line = reference.as_ref().map_err(Clone::clone).and_then(|reference| {
                let reference = to_json(reference).map_err(|error| error.to_string())?;
                let every = args.read_every.to_string();
                let mut parts = vec!["bench", workload.name, "--part", "line", "--device", device];
                parts.extend(["--expect", &reference, "--read-every", &every]);
                let steps = args.steps.map(|steps| steps.to_string());
                parts.extend(steps.iter().flat_map(|steps| ["--steps", steps]));
                parts.extend(args.stored.options());
                child::<Line>(&parts)
            });
            match line {
                Ok(line) if args.json => bar.suspend(|| print(&format!("{}\n", to_json(&line)?)))?,
                Ok(line) => lines.push(line),
                Err(reason) => messages.push(format!("{} on {device}: {reason}", workload.name)),
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    if !lines.is_empty() {
        print(&format!("{}\n", table(&lines)))?;
    }
    if messages.is_empty() { Ok(()) } else { Err(CommandError::NotMeasured { messages }.into()) }
}

/// Returns the names with which a child process can open the requested devices.
fn devices(args: &Args) -> Result<Vec<String>> {
    let mut names = vec![];
    let all: Vec<String> = adapters().iter().map(selector).chain(["cpu".into()]).collect();
    for name in if args.all_devices { &all } else { &args.device } {
        let device = open(name, args.json)?;
        let name = named(&device.info());
        if !names.contains(&name) {
            args.stored.apply(device, args.json)?;
            names.push(name);
        }
    }
    Ok(names)
}

fn named(info: &DeviceInfo) -> String {
    let adapter = adapters().iter().find(|adapter| adapter.info() == *info);
    adapter.map_or_else(|| info.kind.clone(), selector)
}

/// Runs this program in a child process with the given arguments. Returns the result that the child prints, or the
/// reason why there is none.
fn child<T: DeserializeOwned>(args: &[&str]) -> Result<T, String> {
    let start = || {
        let this = std::env::current_exe().map_err(Error::io("the path of this command"))?;
        Command::new(this).args(args).output().map_err(Error::io("this command, started again"))
    };
    let output = start().map_err(|error| error.to_string())?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_string();
        return Err(if stderr.is_empty() { output.status.to_string() } else { stderr });
    }
    let out = String::from_utf8_lossy(&output.stdout);
    from_json(out.lines().last().unwrap_or_default()).map_err(|error| error.to_string())?
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    Ok(serde_json::to_string(value).map_err(|error| CommandError::Json { reason: error.to_string() })?)
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T> {
    let failed = |error| CommandError::Json { reason: format!("{error} in `{text}`") };
    Ok(serde_json::from_str(text).map_err(failed)?)
}

/// Creates the progress bar, which is hidden unless standard error is a terminal.
fn bar(lines: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}  {elapsed}");
    let bar = ProgressBar::new(lines as u64).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(vec![
        "workload",
        "device",
        "median\nms",
        "p10\nms",
        "p90\nms",
        "steps/s",
        "first\nms",
        "dispatches",
        "submissions",
        "planned",
        "of\nneeded",
        "peak RSS",
        "rate",
    ]);
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".into());
    for line in lines {
        let ratio = line.needed_bytes.map(|needed| format!("{:.2}", line.planned_bytes as f64 / needed as f64));
        let rss = line.peak_rss_bytes.and_then(|bytes| usize::try_from(bytes).ok()).map(human_bytes);
        let rate = line.gflops.map(|rate| format!("{} GFLOP/s", digits(rate)));
        table.add_row(vec![
            line.workload.clone(),
            line.device.clone(),
            digits(line.median_ms),
            digits(line.p10_ms),
            digits(line.p90_ms),
            digits(line.steps_per_s),
            digits(line.first_ms),
            or_dash(line.dispatches.map(|n| n.to_string())),
            or_dash(line.submissions.map(digits)),
            human_bytes(line.planned_bytes),
            or_dash(ratio),
            or_dash(rss),
            or_dash(rate.or_else(|| line.gb_per_s.map(|rate| format!("{} GB/s", digits(rate))))),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Formats a number with about three significant digits.
fn digits(x: f64) -> String {
    match x.abs() {
        0.0..1.0 => format!("{x:.3}"),
        1.0..10.0 => format!("{x:.2}"),
        10.0..100.0 => format!("{x:.1}"),
        _ => format!("{x:.0}"),
    }
}
