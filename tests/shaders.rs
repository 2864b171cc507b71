//! Tests of all kernels that the parity cases use, as generated for a real GPU and for a software adapter. A
//! kernel must be valid, translatable for every back end, and within WebGPU's default limits. Its launches must
//! use the names in its source, and Tint must accept its WGSL.
//!
//! The tests need no GPU. Tint compiles the kernels, and spirv-val, glslang and DXC check naga's translations, if
//! these tools are available (`cargo xtask adapters` installs them). Otherwise the tests are listed as ignored.

#[path = "shaders/tools.rs"]
mod tools;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Trial};
use naga::back::{glsl, hlsl, msl, pipeline_constants::process_overrides, spv};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage};
use tools::Files;
use wgrad::core::plan::Task;
use wgrad::core::{Dispatch, Grid, Limits};
use wgrad::gpu::testing::{BoundDispatch, launches, reflect};
use wgrad_parity as parity;

/// Constants of a kernel in a form that can be a key of a map: floats are stored as bits, because floats have no
/// order.
type Constants = Vec<(&'static str, u64)>;

/// A kernel's source, with all of its launches.
#[derive(Default)]
struct Source {
    name: String,
    /// Name of a case that uses the kernel, for messages.
    case: String,
    launches: BTreeSet<(&'static str, Constants)>,
    /// Launches of the kernel, each with the names of the bindings that it sets.
    dispatches: Vec<(Dispatch, Vec<String>)>,
}

/// Returns every distinct kernel source that the cases use on any kind of adapter.
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
                |task: &Task| launches(&plan, task, &|buffer| (buffer.0, 0)).expect("kernels keep their op's promises");
            for BoundDispatch { dispatch, targets } in plan.tasks.iter().flat_map(of) {
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
        sources
    })
}

fn parse(text: &str) -> Result<(Module, ModuleInfo), String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let info = validate(&module).map_err(|error| format!("{error}\n{text}"))?;
    Ok((module, info))
}

fn validate(module: &Module) -> Result<ModuleInfo, String> {
    // `Capabilities::all()` would allow features that a browser does not have.
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    validator.validate(module).map_err(|error| format!("{error:?}"))
}

/// Entry point of a kernel in which constants have been replaced with their values.
struct EntryPoint {
    name: String,
    /// Names of the kernel, the entry point and the case, and the constants, for messages.
    label: String,
    entry: &'static str,
    module: Module,
    info: ModuleInfo,
}

/// Returns the entry points of all kernels, once for each set of constants, or naga's error messages.
fn pipelines() -> &'static [Result<EntryPoint, String>] {
    static PIPELINES: OnceLock<Vec<Result<EntryPoint, String>>> = OnceLock::new();
    PIPELINES.get_or_init(|| {
        let mut pipelines = vec![];
        for (text, source) in sources() {
            let (module, info) = match parse(text) {
                Ok(parsed) => parsed,
                Err(error) => {
                    pipelines.push(Err(format!("{} ({}): {error}", source.name, source.case)));
                    continue;
                }
            };
            for (entry, constants) in &source.launches {
                let mut values = naga::back::PipelineConstants::default();
                values.extend(constants.iter().map(|&(name, bits)| (name.to_string(), f64::from_bits(bits))));
                let filled = process_overrides(&module, &info, Some((ShaderStage::Compute, entry)), &values);
                let label = format!("{}.{entry} {constants:?} ({})", source.name, source.case);
                pipelines.push(match filled {
                    Ok((module, info)) => {
                        let (name, module, info) = (source.name.clone(), module.into_owned(), info.into_owned());
                        Ok(EntryPoint { name, label, entry, module, info })
                    }
                    Err(error) => Err(format!("{label}: {error}")),
                });
            }
        }
        pipelines
    })
}

/// Runs `check` for each entry point with each set of constants.
fn each_pipeline(mut check: impl FnMut(&EntryPoint) -> Result<(), String>) {
    let mut failures = vec![];
    for filled in pipelines() {
        // naga's SPIR-V writer has panicked on valid modules before, so a panic counts as a failure here.
        let mut run = |filled| catch_unwind(AssertUnwindSafe(|| check(filled))).unwrap_or_else(|_| Err("panic".into()));
        match filled {
            Ok(filled) => failures.extend(run(filled).err().map(|error| format!("{}: {error}", filled.label))),
            Err(error) => failures.push(error.clone()),
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

fn every_kernel_translates_to_metal() {
    let options = msl::Options { lang_version: (2, 0), ..msl::Options::default() };
    each_pipeline(|EntryPoint { module, info, entry, .. }| {
        let entry_point = Some((ShaderStage::Compute, (*entry).to_string()));
        let pipeline = msl::PipelineOptions { entry_point, ..msl::PipelineOptions::default() };
        let (text, translation) = msl::write_string(module, info, &options, &pipeline).map_err(|e| e.to_string())?;
        translation.entry_point_names.into_iter().try_for_each(|name| name.map(drop).map_err(|e| e.to_string()))?;
        if text.is_empty() { Err("no text".into()) } else { Ok(()) }
    });
}

/// Translates an entry point to HLSL. Returns the text, and the name of the entry point in the text.
fn to_hlsl(EntryPoint { module, info, entry, .. }: &EntryPoint) -> Result<(String, String), String> {
    let options = hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, ..hlsl::Options::default() };
    let pipeline = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, (*entry).to_string())) };
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &pipeline).write(module, info, None);
    let names = written.map_err(|e| e.to_string())?.entry_point_names;
    let name = names.into_iter().next().ok_or("no entry point was written")?;
    Ok((text, name.map_err(|e| e.to_string())?))
}

fn every_kernel_translates_to_hlsl() {
    each_pipeline(|filled| to_hlsl(filled).map(drop));
}

/// Translates an entry point to GLSL.
fn to_glsl(EntryPoint { module, info, entry, .. }: &EntryPoint, version: glsl::Version) -> Result<String, String> {
    let options = glsl::Options { version, ..glsl::Options::default() };
    let shader_stage = ShaderStage::Compute;
    let pipeline = glsl::PipelineOptions { shader_stage, entry_point: (*entry).into(), multiview: None };
    let mut text = String::new();
    let policies = naga::proc::BoundsCheckPolicies::default();
    let writer = glsl::Writer::new(&mut text, module, info, &options, &pipeline, policies);
    writer.and_then(|mut writer| writer.write()).map_err(|e| e.to_string())?;
    Ok(text)
}

fn every_kernel_translates_to_glsl() {
    each_pipeline(|filled| to_glsl(filled, glsl::Version::new_gles(310)).map(drop));
}

/// Translates an entry point to SPIR-V.
fn to_spir_v(EntryPoint { module, info, entry, .. }: &EntryPoint) -> Result<Vec<u8>, String> {
    let options = spv::Options { lang_version: (1, 3), ..spv::Options::default() };
    let pipeline = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: (*entry).into() };
    let words = spv::write_vec(module, info, &options, Some(&pipeline)).map_err(|e| e.to_string())?;
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn every_kernel_translates_to_spir_v() {
    each_pipeline(|filled| to_spir_v(filled).map(drop));
}

/// Translates the entry points into files. Unless `all`, each entry point of a kernel is translated only once, for
/// tools that are slow.
fn translated(
    extension: &'static str,
    all: bool,
    write: impl Fn(&EntryPoint) -> Result<(Vec<u8>, String), String>,
) -> Files {
    let (mut files, mut known) = (Files::new(extension), BTreeSet::new());
    each_pipeline(|filled| {
        // The end of a kernel's name shows how pointwise ops are fused into it. Kernels whose names differ only
        // there count as the same kernel.
        let kernel = filled.name.trim_end_matches(['_', 'e', 'p']).to_owned();
        if !known.insert((kernel, filled.entry)) && !all {
            return Ok(());
        }
        write(filled).and_then(|(bytes, name)| files.add(bytes, &filled.name, &name))
    });
    files
}

/// Checks that a tool accepts all files, in batches of `batch` files. `arguments` adds a batch to the tool's
/// command line.
fn assert_accepted(
    tool: &str,
    files: &Files,
    batch: usize,
    arguments: impl Fn(&mut Command, &[(PathBuf, String)]) + Sync,
) {
    // The tool must reject nonsense: a tool that accepts everything would test nothing.
    let mut nonsense = Files::new(files.extension);
    nonsense.add(b"nonsense".to_vec(), "nonsense", "main").expect("a file in a temporary folder");
    assert!(!nonsense.check(tool, 1, &arguments).is_empty(), "{tool} accepts nonsense");
    let refused = files.check(tool, batch, arguments);
    println!("{} files for {tool}, {} messages", files.files.len(), refused.len());
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// Adds each file and its entry point to the command line.
fn with_entries(command: &mut Command, files: &[(PathBuf, String)]) {
    for (file, entry) in files {
        command.arg(file).arg(entry);
    }
}

/// Checks the original WGSL, with every set of constants, using Tint, the compiler in Chrome.
fn wgsl_passes_tint() {
    let mut files = Files::new("wgsl");
    for (text, source) in sources() {
        let launch = |(entry, constants): &(&str, Constants)| {
            let value = |&(name, bits): &(&str, u64)| format!(" {name}={}", f64::from_bits(bits));
            constants.iter().map(value).fold((*entry).to_string(), |launch, value| launch + &value)
        };
        let launches: Vec<_> = source.launches.iter().map(launch).collect();
        files.add(text.clone().into_bytes(), &source.name, &launches.join(";")).expect("a file in a temporary folder");
    }
    assert_accepted("tint", &files, 32, with_entries);
}

fn spir_v_passes_spirv_val_for_vulkan_1_1() {
    let files = translated("spv", true, |filled| Ok((to_spir_v(filled)?, filled.entry.into())));
    assert_accepted("spirv-val", &files, 1, |command, files| {
        command.args(["--target-env", "vulkan1.1"]).arg(&files[0].0);
    });
}

/// Checks the translation to GLSL with glslang's front end, for the OpenGL and OpenGL ES versions that have
/// compute shaders.
fn glsl_passes_glslang(version: glsl::Version, all: bool) {
    let files = translated("comp", all, |filled| {
        let text = to_glsl(filled, version)?;
        Ok((text.into_bytes(), filled.entry.into()))
    });
    assert_accepted("glslangValidator", &files, 32, |command, files| {
        command.args(files.iter().map(|(file, _)| file));
    });
}

/// Compiles the translation to HLSL with DXC for shader model 6.0. DXC also validates the result.
fn hlsl_passes_dxc() {
    let files = translated("hlsl", false, |filled| {
        let (text, name) = to_hlsl(filled)?;
        Ok((text.into_bytes(), name))
    });
    assert_accepted("dxc", &files, 32, with_entries);
}

fn kernels_keep_to_webgpus_default_limits() {
    let mut largest = (0, 0, 0);
    each_pipeline(|EntryPoint { module, info, entry, .. }| {
        let limits = Limits::default();
        let i = module.entry_points.iter().position(|e| e.name == *entry).ok_or("there is no such entry point")?;
        let used = info.get_entry_point(i);
        let globals: Vec<_> = module.global_variables.iter().filter(|(handle, _)| !used[*handle].is_empty()).collect();
        let storage = globals.iter().filter(|(_, v)| matches!(v.space, AddressSpace::Storage { .. })).count();
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
        let shared = globals.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
        let bytes: u32 = shared.map(|(_, v)| layouter[v.ty].size.next_multiple_of(16)).sum();
        let [x, y, z] = module.entry_points[i].workgroup_size;
        let invocations = x * y * z;
        let uniforms = globals.iter().filter(|(_, v)| v.space == AddressSpace::Uniform);
        let uniform = uniforms.map(|(_, v)| layouter[v.ty].size).max().unwrap_or(0);
        if x > 256 || y > 256 || z > 64 || uniform > 64 << 10 {
            return Err(format!("{x} × {y} × {z} invocations, {uniform} B of uniforms"));
        }
        largest = (largest.0.max(storage), largest.1.max(bytes), largest.2.max(invocations));
        if storage > limits.storage_buffers || bytes > limits.workgroup_bytes || invocations > limits.invocations {
            return Err(format!("{storage} storage buffers, {bytes} B of workgroup memory, {invocations} invocations"));
        }
        Ok(())
    });
    println!("at most {} storage buffers, {} B of workgroup memory, {} invocations", largest.0, largest.1, largest.2);
}

/// Checks that no launch exceeds the default number of workgroups per dimension. If a launch has more workgroups
/// along x, the backend distributes them over x and y, so this check does the same.
fn launches_keep_to_the_default_number_of_workgroups() {
    let limit = Limits::default().workgroups as usize;
    let mut most = 0;
    for (text, source) in sources() {
        let module = reflect(&source.name, text).unwrap_or_else(|error| panic!("{}: {error}", source.case));
        for (dispatch, _) in &source.dispatches {
            let size = module.entries[dispatch.entry].workgroup;
            let [x, y, z] = match dispatch.grid {
                Grid::Groups(groups) => groups,
                Grid::Threads(threads) => [0, 1, 2].map(|axis| threads[axis].div_ceil(size[axis] as usize)),
                Grid::Blocks { .. } => continue,
            };
            most = most.max(x);
            let folded = if y == 1 { x.div_ceil(limit) } else { y };
            let alone = x <= limit || y == 1;
            let what = format!("{}.{} ({}): {x} × {y} × {z}", source.name, dispatch.entry, source.case);
            assert!(alone && folded <= limit && z <= limit, "{what}");
        }
    }
    assert!(most > limit, "no case needs more than one dimension: {most}");
}

/// Checks, for loops that several threads share, that the number of threads in a launch's declaration is correct.
fn loops_have_the_declared_number_of_threads() {
    let mut shared = BTreeSet::new();
    for (text, source) in sources() {
        let module = reflect(&source.name, text).expect("checked above");
        for (dispatch, _) in source.dispatches.iter().filter(|(dispatch, _)| dispatch.shared_by > 1) {
            let threads = dispatch.constants.iter().find(|(name, _)| *name == "THREADS");
            let group: u32 = module.entries[dispatch.entry].workgroup.iter().product();
            let threads = threads.map_or(f64::from(group), |(_, threads)| *threads);
            let declared = u32::try_from(dispatch.shared_by).map_or(0.0, f64::from);
            let label = format!("{}.{} ({})", source.name, dispatch.entry, source.case);
            assert!(threads <= f64::from(group), "{label}: {threads} threads in a workgroup of {group}");
            assert!(declared.to_bits() == threads.to_bits(), "{label}: {declared} threads declared, {threads} there");
            shared.insert(format!("{}.{}", source.name, dispatch.entry));
        }
    }
    for kernel in ["reduce_argmax", "reduce_extreme", "row_norm", "row_norm_backward", "softmax", "softmax_cross"] {
        assert!(shared.iter().any(|name| name.starts_with(kernel)), "{kernel} shares no loop: {shared:?}");
    }
}

fn launches_use_the_names_of_their_kernels() {
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

/// Returns whether a line assigns to several components of a vector at once. naga rejects this in some places and
/// Tint in others.
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
            // The decimal literal for the largest `f32` is rounded up and not representable; `0x1.fffffep+127f`
            // is.
            let largest = code.contains("3.402823") || code.contains("3.4028235");
            if directive || largest || assigns_to_a_swizzle(code) {
                failures.push(format!("{} ({}): {line}", source.name, source.case));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Functions that WGSL provides with too little accuracy or range. `shaders/lib` contains replacements.
const INACCURATE: [&str; 9] = ["tanh", "sinh", "cosh", "sin", "cos", "atan", "atan2", "asin", "acos"];

/// Checks that no kernel uses a construct that drivers handle differently. The self-test of a driver only notes
/// such differences, because no kernel depends on them.
fn kernels_avoid_constructs_that_drivers_disagree_on() {
    let mut failures = vec![];
    for (text, source) in sources() {
        for line in text.lines() {
            let code = line.split("//").next().unwrap_or_default();
            let calls = |name: &str| {
                let call = format!("{name}(");
                let mut at = code.match_indices(&call).map(|(at, _)| at);
                at.any(|at| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            };
            let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').collect();
            let compares_itself = code.split(['(', ')', ',', ';', '&', '|']).any(|part| {
                let sides = part.split_once("!=").or_else(|| part.split_once("=="));
                sides.is_some_and(|(a, b)| !a.trim().is_empty() && a.trim() == b.trim())
            });
            let infinite =
                code.contains("1.0 / 0.0") || words.contains(&"inf") || code.contains("bitcast<f32>(0x7f800000u)");
            if INACCURATE.iter().any(|name| calls(name)) || compares_itself || infinite {
                failures.push(format!("{} ({}): {}", source.name, source.case, line.trim()));
            }
        }
    }
    failures.dedup();
    assert!(failures.is_empty(), "{} lines\n{}", failures.len(), failures.join("\n"));
}

/// A check with its name and the tool that it needs, if any.
type Check = (&'static str, Option<&'static str>, fn());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let checks: [Check; 15] = [
        ("every kernel translates to Metal", None, every_kernel_translates_to_metal),
        ("every kernel translates to HLSL", None, every_kernel_translates_to_hlsl),
        ("every kernel translates to GLSL", None, every_kernel_translates_to_glsl),
        ("every kernel translates to SPIR-V", None, every_kernel_translates_to_spir_v),
        ("WGSL passes Tint", Some("tint"), wgsl_passes_tint),
        ("SPIR-V passes spirv-val for Vulkan 1.1", Some("spirv-val"), spir_v_passes_spirv_val_for_vulkan_1_1),
        ("GLSL ES 3.1 passes glslang", Some("glslangValidator"), || {
            glsl_passes_glslang(glsl::Version::new_gles(310), true);
        }),
        ("GLSL 4.5 passes glslang", Some("glslangValidator"), || {
            glsl_passes_glslang(glsl::Version::Desktop(450), false);
        }),
        ("HLSL passes DXC", Some("dxc"), hlsl_passes_dxc),
        ("kernels keep to WebGPU's default limits", None, kernels_keep_to_webgpus_default_limits),
        ("launches keep to the default number of workgroups", None, launches_keep_to_the_default_number_of_workgroups),
        ("loops have the declared number of threads", None, loops_have_the_declared_number_of_threads),
        ("launches use the names of their kernels", None, launches_use_the_names_of_their_kernels),
        (
            "kernels are written in the dialect of naga and Tint",
            None,
            kernels_are_written_in_the_dialect_of_naga_and_tint,
        ),
        ("kernels avoid constructs that drivers disagree on", None, kernels_avoid_constructs_that_drivers_disagree_on),
    ];
    let trial = |(name, tool, check): Check| {
        let missing = tool.is_some_and(|tool| !tools::is_available(tool));
        let name = if missing { format!("{name} (not installed)") } else { name.to_string() };
        Trial::test(name, move || {
            check();
            Ok(())
        })
        .with_ignored_flag(missing)
    };
    libtest_mimic::run(&arguments, checks.into_iter().map(trial).collect()).exit_code()
}
