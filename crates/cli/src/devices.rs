//! `wgrad devices`: lists the devices of this machine.

use comfy_table::{Table, presets};
use serde_json::{Value, json};
use wgrad_core::{DeviceInfo, Result};
use wgrad_kernels::{Adapter, Device, Probe, ProbeVerdict, adapters};

use crate::error::CommandError;
use crate::output::{note, print};

/// The arguments of `wgrad devices`.
#[derive(Debug, clap::Args)]
#[command(after_help = "A device is named by the first column, or by any part of an adapter's name: \
    `--device llvmpipe`, `--device vulkan:nvidia`. `--device auto` takes the best real GPU, or else the CPU; \
    `--device gpu` takes the best real GPU or fails.")]
pub struct Args {
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// Lists the devices.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let (auto, why) = automatic();
    if args.json {
        let cpu = [Device::cpu(), Device::cpu_f64()].map(|device| describe_cpu(&device.info()));
        let devices: Vec<Value> = adapters().iter().map(describe).chain(cpu).collect();
        let all = json!({ "auto": { "device": auto, "reason": why }, "devices": devices });
        return print(&format!("{all:#}\n"));
    }
    let limits = if adapters().is_empty() { String::new() } else { format!("{}\n\n{}\n\n", limits(), self_tests()) };
    print(&format!("{}\n\n{limits}* --device auto takes {auto}: {why}\n", overview(&auto)))
}

/// Returns the name of the device that `--device auto` selects, and the reason.
pub fn automatic() -> (String, &'static str) {
    match adapters().iter().find(|adapter| !adapter.is_software()) {
        Some(adapter) => (selector(adapter), "it is the best real GPU"),
        None if adapters().is_empty() => ("cpu".into(), "no GPU adapter was found"),
        None => ("cpu".into(), "no real GPU was found, and the CPU backend is faster than a software adapter"),
    }
}

/// Opens the device named `name`. Prints a note if `auto` found no GPU, unless `quiet`.
///
/// # Errors
/// If no device has this name.
pub fn open(name: &str, quiet: bool) -> Result<Device> {
    let device = Device::named(name).map_err(|error| CommandError::Device { source: Box::new(error) })?;
    if name == "auto" && device.info().kind == "cpu" && !quiet {
        let software = adapters().first().map(|adapter| format!(" (`--device {}` is software)", selector(adapter)));
        note(&format!("note: no GPU was found, so the CPU computes{}", software.unwrap_or_default()));
    }
    Ok(device)
}

/// Returns the value of `--device` that selects an adapter: its graphics API and its name without the part in
/// parentheses.
pub fn selector(adapter: &Adapter) -> String {
    let info = adapter.info();
    let name = info.adapter.split(" (").next().unwrap_or_default().to_lowercase();
    format!("{}:{name}", info.api.to_lowercase())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(header.to_vec());
    table
}

fn overview(auto: &str) -> Table {
    let mut all = table(&["device", "type", "adapter", "driver"]);
    let mut row = |name: String, kind: &str, adapter: String, driver: String| {
        let mark = if name == auto { " *" } else { "" };
        all.add_row(vec![format!("{name}{mark}"), kind.into(), adapter, driver]);
    };
    for adapter in adapters() {
        let info = adapter.info();
        row(selector(adapter), adapter.kind(), info.adapter, info.driver);
    }
    for device in [Device::cpu(), Device::cpu_f64()] {
        let info = device.info();
        row(info.kind, "cpu", info.adapter, info.api);
    }
    all
}

/// Describes the self-test of every driver. For each adapter, a summary line is followed by a line for each probe
/// (one check of the driver) that did not pass.
fn self_tests() -> String {
    let mut lines = vec![];
    for adapter in adapters() {
        let name = selector(adapter);
        let found = match adapter.self_test() {
            Ok(found) => found,
            Err(error) => {
                lines.push(format!("{name} could not be tested: {error}"));
                continue;
            }
        };
        let passed = found.probes.iter().filter(|probe| probe.verdict == ProbeVerdict::Passed).count();
        lines.push(format!("{name}: {passed} of {} probes of the driver passed", found.probes.len()));
        let failures = found.failures().map(|failure| ("FAILED", failure));
        for (word, (probe, why)) in failures.chain(found.notes().map(|note| ("noted", note))) {
            lines.push(format!("  {word}: {}: {}; {why}", probe.name, probe.found));
        }
    }
    lines.join("\n")
}

fn self_test(adapter: &Adapter) -> Value {
    let test = match adapter.self_test() {
        Ok(test) => test,
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let probe = |probe: &Probe| {
        let (verdict, why) = match probe.verdict {
            ProbeVerdict::Passed => ("passed", None),
            ProbeVerdict::Noted(why) => ("noted", Some(why)),
            ProbeVerdict::Failed(why) => ("failed", Some(why)),
        };
        json!({ "name": probe.name, "verdict": verdict, "found": probe.found, "why": why })
    };
    json!({
        "probes": test.probes.iter().map(probe).collect::<Vec<_>>(),
        "milliseconds": test.took.as_secs_f64() * 1e3,
        "cached": test.cached,
    })
}

fn limits() -> Table {
    let names = [
        "storage\nbuffers",
        "largest\nbinding",
        "workgroup\nmemory",
        "work-\ngroups",
        "f16",
        "subgroups",
        "timestamps",
    ];
    let mut all = table(&[&["device"][..], &names].concat());
    for adapter in adapters() {
        let limits = adapter.limits();
        let features = features(adapter).map(|(_, has)| if has { "yes" } else { "no" }.to_string());
        let mut row = vec![
            selector(adapter),
            limits.max_storage_buffers_per_shader_stage.to_string(),
            bytes(limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)),
            bytes(limits.max_compute_workgroup_storage_size.into()),
            limits.max_compute_workgroups_per_dimension.to_string(),
        ];
        row.extend(features);
        all.add_row(row);
    }
    all
}

/// Returns whether the adapter has each of the optional features that kernels use, with the feature's name in the
/// JSON.
fn features(adapter: &Adapter) -> [(&'static str, bool); 3] {
    let names: Vec<&str> = adapter.features().iter_names().map(|(name, _)| name).collect();
    [("f16", "SHADER_F16"), ("subgroups", "SUBGROUP"), ("timestamps", "TIMESTAMP_QUERY")]
        .map(|(word, name)| (word, names.contains(&name)))
}

fn bytes(n: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    // Drivers often report a limit that is one element smaller than a power of two.
    let near = n + 16;
    match units.into_iter().find(|(shift, _)| near >> shift > 0) {
        Some((shift, unit)) => format!("{} {unit}", near >> shift),
        None => format!("{n} B"),
    }
}

fn describe(adapter: &Adapter) -> Value {
    let (info, limits) = (adapter.info(), adapter.limits());
    let features: serde_json::Map<String, Value> =
        features(adapter).into_iter().map(|(name, has)| (name.into(), has.into())).collect();
    json!({
        "device": selector(adapter),
        "kind": info.kind,
        "type": adapter.kind(),
        "adapter": info.adapter,
        "backend": info.api,
        "driver": info.driver,
        "software": info.software,
        "limits": {
            "storage_buffers_per_stage": limits.max_storage_buffers_per_shader_stage,
            "storage_binding_bytes": limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            "workgroup_bytes": limits.max_compute_workgroup_storage_size,
            "workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
            "invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
        },
        "features": features,
        "self_test": self_test(adapter),
    })
}

fn describe_cpu(info: &DeviceInfo) -> Value {
    json!({
        "device": info.kind,
        "kind": info.kind,
        "type": "cpu",
        "adapter": info.adapter,
        "backend": "cpu",
        "driver": info.api,
        "software": true,
        "limits": null,
        "features": null,
        "self_test": null,
    })
}
