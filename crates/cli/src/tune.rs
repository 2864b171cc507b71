//! `wgrad tune`: measures which kernel variants are fastest on a device.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use wgrad_core::{Backend, DType, DeviceInfo, Graph, Mode, Params, Plan, Result, Tensor, Tuned, TuningChoices};
use wgrad_kernels::{cache_folder, load_choices, save_choices};
use wgrad_nn::Module;
use wgrad_nn::losses::{BceWithLogitsLoss, CrossEntropyLoss, Loss as _};
use wgrad_nn::optim::{AdamW, Optimizer};
use wgrad_train::EVALUATION_ROWS;

use crate::args::whole;
use crate::bench::workload;
use crate::bench::workloads::{WORKLOADS, Workload};
use crate::devices::open;
use crate::error::CommandError;
use crate::model::{Loss, Model};
use crate::output::{count, note, print};

/// The arguments of `wgrad tune`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Some ops have several kernels that compute the same result; which one is fastest depends on the sizes and \
    the device. Without tuning, a rule picks one. This command times all of them for the sizes of a model or of the \
    workloads of `wgrad bench`, and stores the fastest ones per adapter and driver in the user's cache folder; a variant \
    replaces the default one if it takes less than 95 % of its time. Another variant may add in another order, which \
    changes the last bits of results.

Examples:
  wgrad train tumours.csv --target malignant --device gpu
  wgrad tune --model tumours-model --device gpu
  wgrad tune tabular mid --device vulkan:nvidia --seconds 20"
)]
pub struct Args {
    /// Workloads of `wgrad bench` to tune. [default: all that train a model, or none if a saved model is named]
    #[arg(value_name = "WORKLOAD", hide_possible_values = true, value_parser = workload())]
    workloads: Vec<Workload>,
    /// The folder of a saved model: tunes training it and predicting with it.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// The device to tune: auto, gpu, or an adapter's name (see `wgrad devices`).
    #[arg(long, default_value = "auto")]
    device: String,
    /// Stop measuring after this many seconds; a kernel that is running then is waited for.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 60, value_parser = whole(1, "at least 1"))]
    seconds: usize,
    /// Measure again what has been measured before.
    #[arg(long)]
    again: bool,
    /// Print the result as one JSON object, as the last line of standard output; everything else goes to standard
    /// error.
    #[arg(long)]
    json: bool,
}

/// Names of the workloads that train a model.
const TRAINING: [&str; 4] = ["tabular", "mid", "wide", "cnn"];

/// Runs the command: measures the kernel variants and stores the fastest ones.
///
/// # Errors
/// If the device has no kernel variants, the model cannot be read, or the result cannot be stored.
pub fn run(args: &Args) -> Result<()> {
    let begin = Instant::now();
    let limit = Duration::from_secs(args.seconds as u64);
    let graphs = graphs(args)?;
    let device = open(&args.device, args.json)?;
    let info = device.info();
    if info.kind != "gpu" {
        return Err(CommandError::NothingToTune { kind: info.kind }.into());
    }
    let Some(folder) = cache_folder() else {
        return Err(CommandError::NoCacheFolder.into());
    };
    let mut stored = load_choices(&folder, &info);
    let known = if args.again { TuningChoices::default() } else { stored.clone() };
    let mut backend: Box<dyn Backend> = device.choosing(known).into();
    let (mut done, mut left, mut file) = (vec![], 0, None);
    let bar = bar();
    for NamedGraph { name, graph, fetches } in graphs {
        bar.set_message(name.clone());
        let plan = Plan::new(&graph, &fetches.iter().collect::<Vec<_>>(), &backend.limits())?;
        let mut rest = None;
        let choices = backend.tune(&plan, limit.saturating_sub(begin.elapsed()), &mut |tuned| {
            bar.set_length(bar.position() + 1 + tuned.left as u64);
            bar.inc(1);
            if !stderr().is_terminal() {
                note(&format!("{name}: {}: {} ({})", tuned.key, tuned.chosen.variant, times(tuned)));
            }
            rest = Some(tuned.left);
            done.push(tuned.clone());
        })?;
        left += rest.unwrap_or_else(|| undecided(&plan, &choices));
        // The choices are stored after each graph, so that they are kept if the next graph fails.
        stored.extend(choices.iter());
        file = Some(save_choices(&folder, &info, &stored)?);
    }
    bar.finish_and_clear();
    print_results(args, &info, &Results { done, left, file })
}

/// Returns how many of a plan's tuning keys (ops with their sizes) have several variants and no stored choice.
fn undecided(plan: &Plan, choices: &TuningChoices) -> usize {
    let mut keys: Vec<&str> = plan
        .choices()
        .filter(|choice| choice.variants.len() > 1 && !choices.contains(&choice.key))
        .map(|choice| choice.key.as_str())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    keys.len()
}

/// Result of tuning all graphs.
struct Results {
    done: Vec<Tuned>,
    /// Number of tuning keys for which there was no time left.
    left: usize,
    /// File in which the choices are stored, if any were made.
    file: Option<PathBuf>,
}

/// Graph to tune, with its name.
struct NamedGraph {
    name: String,
    graph: Graph,
    fetches: Vec<Tensor>,
}

/// Traces the graphs of the requested workloads or of the saved model.
fn graphs(args: &Args) -> Result<Vec<NamedGraph>> {
    let mut graphs = vec![];
    if let Some(folder) = &args.model {
        let model = Model::describe(folder)?;
        let params = Params::default();
        let layers = model.architecture.build(&params);
        let (rows, batch) = (model.training.rows, model.training.batch_size.min(model.training.rows));
        // The last batch of an epoch may be smaller. The trainer skips a batch of one row, and so does this loop.
        for batch in [batch, rows % batch.max(1)].into_iter().filter(|&batch| batch > 1) {
            let graph = Graph::new(Mode::Train);
            let logits = layers.forward(&graph.input("x", [batch, model.architecture.inputs], DType::F32));
            let loss = match model.loss {
                Loss::Bce => BceWithLogitsLoss::new().forward(&logits, &graph.input("y", [batch, 1], DType::F32)),
                Loss::Ce => CrossEntropyLoss::new().forward(&logits, &graph.input("y", [batch], DType::U32)),
            };
            AdamW::new(model.training.lr).minimize(&loss);
            graphs.push(NamedGraph { name: format!("training on {batch} rows"), graph, fetches: vec![loss] });
        }
        let graph = Graph::new(Mode::Evaluate);
        let x = graph.input("x", [EVALUATION_ROWS, model.architecture.inputs], DType::F32);
        let logits = layers.forward(&x);
        graphs.push(NamedGraph { name: format!("predicting {EVALUATION_ROWS} rows"), graph, fetches: vec![logits] });
    }
    let mut workloads = args.workloads.clone();
    if workloads.is_empty() && args.model.is_none() {
        workloads.extend(WORKLOADS.iter().filter(|workload| TRAINING.contains(&workload.name)));
    }
    for workload in workloads {
        let graph = Graph::new(Mode::Train);
        let traced = (workload.trace)(&Params::seeded(1), &graph);
        graphs.push(NamedGraph { name: workload.name.into(), graph, fetches: traced.loss.into_iter().collect() });
    }
    Ok(graphs)
}

/// Creates the progress bar, which is hidden unless standard error is a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}  {elapsed}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn speed_up(tuned: &Tuned) -> f64 {
    tuned.default.time.as_secs_f64() / tuned.chosen.time.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn times(tuned: &Tuned) -> String {
    if tuned.default.variant == tuned.chosen.variant {
        return format!("the default, {:.1} µs", us(tuned.default.time));
    }
    format!("{:.1} → {:.1} µs, {:.2}×", us(tuned.default.time), us(tuned.chosen.time), speed_up(tuned))
}

/// Prints the result of tuning.
fn print_results(args: &Args, info: &DeviceInfo, results: &Results) -> Result<()> {
    let Results { done, left, file } = results;
    let file = file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    if args.json {
        let entry = |tuned: &Tuned| {
            json!({
                "site": tuned.key,
                "default": tuned.default.variant,
                "chosen": tuned.chosen.variant,
                "default_us": us(tuned.default.time),
                "chosen_us": us(tuned.chosen.time),
                "speed_up": speed_up(tuned),
            })
        };
        let entries: Vec<Value> = done.iter().map(entry).collect();
        let all = json!({
            "adapter": info.adapter,
            "backend": info.api,
            "driver": info.driver,
            "sites": entries,
            "left": left,
            "file": file,
        });
        return print(&format!("{all}\n"));
    }
    if !done.is_empty() {
        print(&format!("{}\n", table(done)))?;
    }
    note(&format!("{} measured; stored in {file}", count(done.len(), "tuning key")));
    if *left > 0 {
        note(&format!(
            "{} not measured for lack of time: run the command again, or with more --seconds",
            count(*left, "tuning key")
        ));
    }
    Ok(())
}

fn table(done: &[Tuned]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(vec!["tuning key", "default", "µs", "chosen", "µs", "speed-up"]);
    for tuned in done {
        let same = tuned.default.variant == tuned.chosen.variant;
        let or_same = |cell: String| if same { "same".into() } else { cell };
        table.add_row(vec![
            tuned.key.clone(),
            tuned.default.variant.into(),
            format!("{:.1}", us(tuned.default.time)),
            or_same(tuned.chosen.variant.into()),
            format!("{:.1}", us(tuned.chosen.time)),
            format!("{:.2}×", speed_up(tuned)),
        ]);
    }
    for column in [2, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
