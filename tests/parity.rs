//! Every case on the CPU in `f32` and on every adapter, against the reference in `f64`, within derived bounds.
//!
//! One test per case and device. Without an adapter the GPU's tests are listed as ignored.

mod common;

use std::sync::{Arc, OnceLock};

use common::bound::{self, Truth};
use common::cases::{self, Case};
use common::products;
use common::run::{self, Feed};
use libtest_mimic::{Arguments, Failed, Trial};
use wgrad::core::{Backend, Choices, CpuBackend, Limits};
use wgrad::gpu::{Device, adapters};

/// A case with its data and its truth, which all devices share.
struct Row {
    case: Case,
    prepared: OnceLock<(Feed, Truth)>,
}

impl Row {
    fn judge(&self, backend: Box<dyn Backend>) -> Result<(), Failed> {
        let (feed, truth) = self.prepared.get_or_init(|| {
            let feed = run::feed(&self.case);
            let truth = bound::truth(&self.case, &feed);
            (feed, truth)
        });
        let (got, _) = run::run(&self.case, backend, feed);
        bound::check(&self.case, truth, &got)?;
        Ok(())
    }
}

/// How limits are changed for a run: what is real, the kernels of real GPUs on a software adapter, few bindings.
type Change = (&'static str, fn(&mut Limits));

fn main() {
    let arguments = Arguments::from_args();
    let rows: Vec<_> = cases::all().into_iter().map(|case| Arc::new(Row { case, prepared: OnceLock::new() })).collect();
    let variants = products::variants().into_iter();
    let variants: Vec<_> =
        variants.map(|(variant, case)| (variant, Arc::new(Row { case, prepared: OnceLock::new() }))).collect();
    let mut trials: Vec<Trial> = vec![];
    for row in rows.clone() {
        let name = format!("the CPU in f32 matches the reference: {}", row.case.name);
        trials.push(Trial::test(name, move || row.judge(CpuBackend::<f32>::new().into())));
    }
    if adapters().is_empty() {
        for row in rows.clone() {
            let name = format!("the GPU matches the reference: {}", row.case.name);
            trials.push(Trial::test(name, || Ok(())).with_ignored_flag(true));
        }
    }
    for adapter in adapters() {
        let info = adapter.info();
        let mut changes: Vec<Change> = vec![("", |_| {})];
        // Each variant of a kernel, also those that the device would not choose.
        if info.api != "gl" {
            let device = adapter.open().expect("the driver opens its adapter");
            for (variant, row) in &variants {
                let name = format!("{} {} matches the reference: {}", info.api, info.adapter, row.case.name);
                let mut choices = Choices::default();
                choices.set("matmul", *variant);
                let (device, row) = (device.choosing(choices), row.clone());
                trials.push(Trial::test(name, move || row.judge(device.into())));
            }
        }
        // One software driver is enough to run the other variants on; OpenGL's is the same code under another roof.
        if info.software && info.api == "vulkan" {
            changes.push((" with a real GPU's kernels", |limits| limits.software = false));
            changes.push((" with six small bindings", |limits| {
                let small = wgpu::Limits::downlevel_defaults();
                limits.storage_buffers = 6;
                limits.binding_bytes = small.max_storage_buffer_binding_size;
                limits.workgroup_bytes = small.max_compute_workgroup_storage_size;
                limits.invocations = small.max_compute_invocations_per_workgroup;
            }));
        }
        for (what, change) in changes {
            let device: Device = adapter.open_with(change).expect("the driver opens its adapter");
            for row in rows.clone() {
                let name = format!("{} {}{what} matches the reference: {}", info.api, info.adapter, row.case.name);
                let device = device.clone();
                trials.push(Trial::test(name, move || row.judge(device.into())));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}
