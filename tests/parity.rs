//! Every case on the CPU in `f32` and on every adapter, against the reference in `f64`, within derived bounds.

mod common;

use common::{bound, cases, run};
use wgrad::core::{Backend, CpuBackend};
use wgrad::gpu::{Device, adapters};

/// Runs all cases on one backend and prints the tightest ones.
fn judge(name: &str, backend: impl Fn() -> Box<dyn Backend>) {
    let mut failures = vec![];
    let mut shares: Vec<(f64, String)> = vec![];
    let cases = cases::all();
    for case in &cases {
        let feed = run::feed(case);
        let truth = bound::truth(case, &feed);
        let (got, _) = run::run(case, backend(), &feed);
        match bound::check(case, &truth, &got) {
            Ok(share) => shares.push((share, case.name.clone())),
            Err(failure) => failures.push(failure),
        }
    }
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{name}: {} of {} cases within their bounds; the closest:", shares.len(), cases.len());
    for (share, case) in shares.iter().take(8) {
        println!("  {:5.1} % of the bound  {case}", share * 100.0);
    }
    assert!(failures.is_empty(), "{name}: {} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn the_cpu_in_f32_matches_the_reference() {
    judge("CPU f32", || CpuBackend::<f32>::new().into());
}

/// The adapters of an API; the test says so when there is none.
fn on_adapters(api: &str, change: fn(&mut wgrad::core::Limits)) {
    let found: Vec<_> = adapters().iter().filter(|adapter| adapter.info().api == api).collect();
    if found.is_empty() {
        println!("no adapter: {api} was not tested");
    }
    for adapter in found {
        let device: Device = adapter.open_with(change).expect("the driver opens its adapter");
        judge(&adapter.info().to_string(), || device.clone().into());
    }
}

#[test]
fn gpu_vulkan_matches_the_reference() {
    on_adapters("vulkan", |_| {});
}

#[test]
fn gpu_opengl_matches_the_reference() {
    on_adapters("gl", |_| {});
}

#[test]
fn gpu_metal_matches_the_reference() {
    on_adapters("metal", |_| {});
}

#[test]
fn gpu_dx12_matches_the_reference() {
    on_adapters("dx12", |_| {});
}

/// The variants that a real GPU would get, also where the adapter is software; and few, small bindings.
#[test]
fn gpu_variants_of_real_gpus_match_the_reference() {
    for api in ["vulkan", "metal", "dx12"] {
        on_adapters(api, |limits| limits.software = false);
    }
}

#[test]
fn gpu_plans_for_six_storage_buffers_match_the_reference() {
    for api in ["vulkan", "metal", "dx12"] {
        on_adapters(api, |limits| limits.storage_buffers = 6);
    }
}
