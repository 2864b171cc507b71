//! Every kernel that a case of the table needs, on a real GPU and on a software adapter: valid, translatable to all
//! back ends, within WebGPU's default limits, launched by names that exist, and in the dialect that Tint takes, too.
//!
//! No GPU is needed for this.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use naga::back::{glsl, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};
use wgrad::core::plan::Task;
use wgrad::core::{Dispatch, Limits};
use wgrad::gpu::{Bound, launches, reflect};
use wgrad::parity;

/// A kernel's constants as part of a key: floats do not compare.
type Constants = Vec<(&'static str, u64)>;

/// A distinct source, and the ways in which it is launched.
#[derive(Default)]
struct Source {
    name: String,
    /// A case that needs it, for messages.
    case: String,
    launches: BTreeSet<(&'static str, Constants)>,
    /// Each launch, and the names that it binds.
    dispatches: Vec<(Dispatch, Vec<String>)>,
}

/// Every distinct kernel by its source, over all cases and kinds of adapters.
fn sources() -> &'static BTreeMap<String, Source> {
    static SOURCES: OnceLock<BTreeMap<String, Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let limits = [
            Limits::default(),
            Limits { software: true, ..Limits::default() },
            Limits { storage_buffers: 6, ..Limits::default() },
        ];
        let mut sources: BTreeMap<String, Source> = BTreeMap::new();
        let (all, variants) = (parity::all(), parity::variants());
        let chosen = variants.iter().map(|(variant, case)| {
            let mut limits = Limits::default();
            limits.choices.set("matmul", *variant);
            (case, limits)
        });
        let usual = all.iter().flat_map(|case| limits.iter().map(move |limits| (case, limits.clone())));
        for (case, limits) in usual.chain(chosen) {
            let plan = case.plan(&limits).unwrap_or_else(|error| panic!("{}: {error}", case.name()));
            let of =
                |task: &Task| launches(&plan, task, &|buffer| (buffer, 0)).expect("kernels keep their op's promises");
            for Bound { dispatch, targets } in plan.tasks.iter().flat_map(of) {
                let source = sources.entry(dispatch.kernel.source()).or_default();
                source.name = dispatch.kernel.name.to_string();
                source.case = case.name().into();
                let constants = dispatch.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect();
                source.launches.insert((dispatch.entry, constants));
                source.dispatches.push((dispatch, targets.into_iter().map(|(name, _)| name).collect()));
            }
        }
        let count = |f: fn(&Source) -> usize| sources.values().map(f).sum::<usize>();
        let (pipelines, dispatches) = (count(|s| s.launches.len()), count(|s| s.dispatches.len()));
        println!("{} modules, {pipelines} pipelines, {dispatches} dispatches", sources.len());
        // For a second opinion, from Tint or a driver's compiler.
        if let Some(folder) = std::env::var_os("WGRAD_KEEP_SHADERS") {
            for (i, (text, source)) in sources.iter().enumerate() {
                let file = Path::new(&folder).join(format!("{i}-{}.wgsl", source.name));
                std::fs::write(file, text).expect("WGRAD_KEEP_SHADERS is a folder");
            }
        }
        sources
    })
}

fn parse(text: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let info = validate(&module).map_err(|error| format!("{error}\n{text}"))?;
    Ok((module, info))
}

fn validate(module: &Module) -> Result<ModuleInfo, String> {
    // Not `Capabilities::all()`: a browser has none of them.
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    validator.validate(module).map_err(|error| format!("{error:?}"))
}

/// Runs `check` for each entry point with its constants filled in.
fn each_pipeline(mut check: impl FnMut(&Module, &ModuleInfo, &str) -> Result<(), String>) {
    let mut failures = vec![];
    for (text, source) in sources() {
        let (module, info) = match parse(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                failures.push(format!("{} ({}): {error}", source.name, source.case));
                continue;
            }
        };
        for (entry, constants) in &source.launches {
            let mut values = naga::back::PipelineConstants::default();
            values.extend(constants.iter().map(|&(name, bits)| (name.to_string(), f64::from_bits(bits))));
            let filled = process_overrides(&module, &info, Some((ShaderStage::Compute, entry)), &values);
            let checked = filled.map_err(|error| error.to_string()).and_then(|(module, info)| {
                // The SPIR-V writer has been seen to panic on modules that validate.
                catch_unwind(AssertUnwindSafe(|| check(&module, &info, entry))).unwrap_or_else(|_| Err("panic".into()))
            });
            if let Err(error) = checked {
                failures.push(format!("{}.{entry} {constants:?} ({}): {error}", source.name, source.case));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_kernel_translates_to_metal() {
    let options = msl::Options { lang_version: (2, 0), ..msl::Options::default() };
    each_pipeline(|module, info, entry| {
        let entry_point = Some((ShaderStage::Compute, entry.to_string()));
        let pipeline = msl::PipelineOptions { entry_point, ..msl::PipelineOptions::default() };
        let (text, translation) = msl::write_string(module, info, &options, &pipeline).map_err(|e| e.to_string())?;
        translation.entry_point_names.into_iter().try_for_each(|name| name.map(drop).map_err(|e| e.to_string()))?;
        if text.is_empty() { Err("no text".into()) } else { Ok(()) }
    });
}

#[test]
fn every_kernel_translates_to_hlsl() {
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..hlsl::Options::default() };
    each_pipeline(|module, info, entry| {
        let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, entry.to_string())) };
        let mut text = String::new();
        let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
        let names = written.map_err(|e| e.to_string())?.entry_point_names;
        names.into_iter().try_for_each(|name| name.map(drop).map_err(|e| e.to_string()))
    });
}

#[test]
fn every_kernel_translates_to_glsl() {
    let options = glsl::Options { version: glsl::Version::new_gles(310), ..glsl::Options::default() };
    each_pipeline(|module, info, entry| {
        let shader_stage = ShaderStage::Compute;
        let pipeline = glsl::PipelineOptions { shader_stage, entry_point: entry.into(), multiview: None };
        let mut text = String::new();
        let policies = naga::proc::BoundsCheckPolicies::default();
        let writer = glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies);
        writer.and_then(|mut writer| writer.write()).map(drop).map_err(|e| e.to_string())
    });
}

#[test]
fn every_kernel_translates_to_spir_v_that_the_validator_accepts() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
    let mut files = vec![];
    each_pipeline(|module, info, entry| {
        let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: entry.into() };
        let words = spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|e| e.to_string())?;
        let file = folder.path().join(format!("{}.spv", files.len()));
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        std::fs::write(&file, bytes).map_err(|e| e.to_string())?;
        files.push(file);
        Ok(())
    });
    if Command::new("spirv-val").arg("--version").output().is_err() {
        println!("{} SPIR-V modules; spirv-val was not there to judge them", files.len());
        return;
    }
    let mut failures = vec![];
    for file in &files {
        let judged = Command::new("spirv-val").args(["--target-env", "vulkan1.1"]).arg(file).output().expect("it ran");
        if !judged.status.success() {
            failures.push(String::from_utf8_lossy(&judged.stderr).trim().to_string());
        }
    }
    println!("{} SPIR-V modules, {} refused by spirv-val", files.len(), failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn kernels_keep_to_webgpus_default_limits() {
    let mut largest = (0, 0, 0);
    each_pipeline(|module, info, entry| {
        let limits = Limits::default();
        let i = module.entry_points.iter().position(|e| e.name == entry).ok_or("there is no such entry point")?;
        let used = info.get_entry_point(i);
        let globals: Vec<_> = module.global_variables.iter().filter(|(handle, _)| !used[*handle].is_empty()).collect();
        let storage = globals.iter().filter(|(_, v)| matches!(v.space, AddressSpace::Storage { .. })).count();
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
        let shared = globals.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, v)| layouter[v.ty].size.next_multiple_of(16)).sum();
        let invocations: u32 = module.entry_points[i].workgroup_size.iter().product();
        largest = (largest.0.max(storage), largest.1.max(bytes), largest.2.max(invocations));
        if storage > limits.storage_buffers || bytes > limits.workgroup_bytes || invocations > limits.invocations {
            return Err(format!("{storage} storage buffers, {bytes} B of workgroup memory, {invocations} invocations"));
        }
        Ok(())
    });
    println!("at most {} storage buffers, {} B of workgroup memory, {} invocations", largest.0, largest.1, largest.2);
}

#[test]
fn launches_name_what_their_kernels_have() {
    let mut failures = vec![];
    for (text, source) in sources() {
        let module = reflect(&source.name, text).unwrap_or_else(|error| panic!("{}: {error}", source.case));
        let known: BTreeSet<&str> =
            module.entries.values().flat_map(|entry| &entry.bindings).map(|binding| binding.name.as_str()).collect();
        for (dispatch, names) in &source.dispatches {
            let Some(entry) = module.entries.get(dispatch.entry) else {
                failures.push(format!("{} has no entry point {}", source.name, dispatch.entry));
                continue;
            };
            let bound: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let missing = entry.bindings.iter().filter(|b| !b.uniform && !bound.contains(b.name.as_str()));
            let missing: Vec<_> = missing.map(|binding| &binding.name).collect();
            let unknown: Vec<_> = bound.difference(&known).collect();
            let constants = dispatch.constants.iter().filter(|(name, _)| !module.overrides.iter().any(|o| o == name));
            let constants: Vec<_> = constants.map(|(name, _)| name).collect();
            if !missing.is_empty() || !unknown.is_empty() || !constants.is_empty() || bound.len() != names.len() {
                let what = format!("unbound {missing:?}, unknown {unknown:?}, no constants {constants:?}");
                failures.push(format!("{}.{} ({}): {what}", source.name, dispatch.entry, source.case));
            }
            if let (true, Err(error)) =
                (entry.bindings.iter().any(|b| b.uniform), module.pack(&source.name, &dispatch.params))
            {
                failures.push(format!("{error} ({})", source.case));
            }
        }
    }
    failures.dedup();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Whether a line assigns to several components at once, which naga refuses in some places and Tint in others.
fn assigns_to_a_swizzle(line: &str) -> bool {
    let Some(at) = line.find('=') else { return false };
    let compares = line[at + 1..].starts_with('=') || line[..at].ends_with(['<', '>', '!', '=']);
    let target = line[..at].trim_end_matches(['+', '-', '*', '/', '%', '&', '|', '^']).trim_end();
    let declares = ["let ", "var", "const ", "override ", "for ", "if ", "return "]
        .iter()
        .any(|word| target.trim_start().starts_with(word));
    let Some((_, last)) = target.rsplit_once('.') else { return false };
    !compares && !declares && last.len() > 1 && last.len() < 5 && last.chars().all(|c| "xyzwrgba".contains(c))
}

#[test]
fn kernels_are_written_in_the_dialect_of_naga_and_tint() {
    assert!(assigns_to_a_swizzle("    v.xy = vec2(1.0);") && assigns_to_a_swizzle("v.xyz += w;"));
    assert!(
        !assigns_to_a_swizzle("let a = v.xy;")
            && !assigns_to_a_swizzle("v.x = 1.0; // a.xy")
            && !assigns_to_a_swizzle("if v.x == w.x {")
    );
    let mut failures = vec![];
    for (text, source) in sources() {
        for line in text.lines() {
            let code = line.split("//").next().unwrap_or_default();
            let directive =
                ["enable ", "requires ", "diagnostic("].iter().any(|word| code.trim_start().starts_with(word));
            // Not representable as f32 when rounded up in the last digit; `0x1.fffffep+127f` is.
            let largest = code.contains("3.402823") || code.contains("3.4028235");
            if directive || largest || assigns_to_a_swizzle(code) {
                failures.push(format!("{} ({}): {line}", source.name, source.case));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
