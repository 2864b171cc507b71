//! `cargo xtask test`: formats, lints, builds, and runs every test, doctest and example.
//!
//! On Linux, the command tries to install missing packages: Mesa's software driver, and tools that validate
//! shaders. Other such tools come from [`shader_compilers`]. Packages can be installed on Debian and Ubuntu, as
//! root or with `sudo`; elsewhere the command prints the packages to install. macOS and Windows include a GPU
//! adapter. Without any adapter, the tests that need a GPU are listed as ignored.

mod docs;
mod packages;
mod shader_compilers;
mod test_run;

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

const HELP: &str = "\
usage: cargo xtask <command>

  test      check formatting, lint, build, and run every test, doctest and example
  adapters  make sure that there are a GPU adapter and the tools for the tests (installs them on Debian and Ubuntu)
  packages  package every crate, and build and run a program on the packages alone
  docs      write docs/coverage.md and build the guide in docs as a site (needs mdBook)

CONTRIBUTING.md says what each step is for.";

fn main() -> ExitCode {
    let outcome = match env::args().nth(1).as_deref() {
        Some("test") => test(),
        Some("adapters") => build().and_then(|()| adapters()).map(drop),
        Some("packages") => packages::check(),
        Some("docs") => docs::build(),
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("\nxtask: {what}");
            ExitCode::FAILURE
        }
    }
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command and waits for it. The command's output goes to the terminal.
fn step(what: &str, command: &mut Command) -> Result<(), String> {
    println!("\n── {what}");
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("{what} could not start: {error}"))?;
    println!("── {what}: {:.0} s", start.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{what} failed")) }
}

/// Returns the standard output of a command, or `None` if the command fails.
fn output_of(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn test() -> Result<(), String> {
    step("formatting", cargo().args(["fmt", "--all", "--check"]))?;
    step("lints", cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    build()?;
    let gpu = adapters()?;
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--all-targets", "--no-fail-fast"]).env("RUST_BACKTRACE", "0");
    if !gpu {
        println!("no GPU adapter: tests that need one are listed as ignored");
    }
    let counts = test_run::run("tests", &mut tests)?;
    let counts =
        counts.and(test_run::run("doctests", cargo().args(["test", "--workspace", "--doc", "--no-fail-fast"]))?);
    step("documentation", cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    for example in sources("examples")? {
        let name = example.file_stem().and_then(OsStr::to_str).ok_or("an example's name is not text")?;
        step(&format!("example {name}"), &mut Command::new(built(&format!("examples/{name}"))?))?;
    }
    // The packages are checked last, because this overwrites the programs that were built above.
    packages::check()?;
    println!("\neverything passed: {counts}");
    Ok(())
}

/// Builds everything in two commands, so that each dependency is compiled once, with one set of features.
fn build() -> Result<(), String> {
    step("build", cargo().args(["test", "--workspace", "--all-targets", "--no-run", "--quiet"]))?;
    // The command above builds the examples as tests; this one builds them as programs.
    step("build of examples", cargo().args(["build", "--workspace", "--examples", "--quiet"]))
}

/// Returns the path of a program that [`build`] built. It is in the same folder as this program.
fn built(name: &str) -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("the path of this program is unknown: {error}"))?;
    let folder = own.parent().ok_or("this program has no folder")?;
    Ok(folder.join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

/// Returns the Rust files in a folder, sorted by name.
fn sources(folder: &str) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{folder}: {error}; run this at the root"))?;
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension() == Some("rs".as_ref())).collect();
    paths.sort();
    Ok(paths)
}

/// Returns whether the tests will find a GPU adapter. On Linux, first tries to install missing packages: a
/// software adapter for Vulkan, and the tools that validate translated shaders.
fn adapters() -> Result<bool, String> {
    let found = apis()?;
    if cfg!(target_os = "macos") {
        if found.is_empty() {
            println!("\nno Metal adapter was found: a virtual machine may have none, macOS itself has");
        }
        return Ok(!found.is_empty());
    }
    if cfg!(windows) {
        if found.is_empty() {
            println!("\nno DX12 adapter was found: WARP, the software one, is part of Windows 10 and later");
        }
        return Ok(!found.is_empty());
    }
    shader_compilers::fetch()?;
    let vulkan = found.contains(&"vulkan");
    let tools = ["spirv-val", "glslangValidator"].iter().all(|tool| output_of(tool, &["--version"]).is_some());
    let mut missing = vec![];
    missing.extend(MESA.iter().filter(|_| !vulkan));
    missing.extend(TOOLS.iter().filter(|_| !tools));
    if !missing.is_empty() && install(&missing) {
        return Ok(!apis()?.is_empty());
    }
    if !vulkan {
        println!("\nno Vulkan adapter was found. For a software one install:");
        println!("  Debian, Ubuntu  {}", MESA.join(" "));
        println!("  Fedora          mesa-vulkan-drivers mesa-libEGL");
        println!("  Arch            vulkan-swrast");
    }
    if !tools {
        println!("\nspirv-val or glslangValidator is missing, so their tests are listed as ignored. Install:");
        println!("  Debian, Ubuntu  {}", TOOLS.join(" "));
        println!("  Fedora          spirv-tools glslang");
        println!("  Arch            spirv-tools glslang");
    }
    Ok(!found.is_empty())
}

/// Packages of Mesa's software drivers for Vulkan and OpenGL.
const MESA: [&str; 3] = ["mesa-vulkan-drivers", "libegl1", "libgl1-mesa-dri"];
/// Packages of the programs that validate SPIR-V and GLSL.
const TOOLS: [&str; 2] = ["spirv-tools", "glslang-tools"];

/// Tries to install packages and returns whether that succeeded. It needs Debian or Ubuntu, and root or `sudo`
/// without a password. If it fails, for example without a network, the tests run with what is already installed.
fn install(packages: &[&str]) -> bool {
    let root = output_of("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    let sudo = !root && output_of("sudo", &["-n", "true"]).is_some();
    if !Path::new("/etc/debian_version").exists() || !(root || sudo) {
        return false;
    }
    let apt = |args: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if sudo {
            command.arg("apt-get");
        }
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let wanted = [&["install", "-y", "-qq", "--no-install-recommends"], packages].concat();
    let installed =
        step("package lists", &mut apt(&["update", "-qq"])).and_then(|()| step(&packages.join(" "), &mut apt(&wanted)));
    installed.inspect_err(|what| println!("{what}")).is_ok()
}

/// Returns the graphics APIs that have an adapter. `wgrad devices` reports them, so xtask and the tests agree.
fn apis() -> Result<Vec<&'static str>, String> {
    let json = output_of(built("wgrad")?, &["devices", "--json"]).ok_or("`wgrad devices --json` failed")?;
    print!("{json}");
    let known = ["vulkan", "metal", "dx12", "gl"];
    Ok(known.into_iter().filter(|api| json.contains(&format!("\"{api}\""))).collect())
}
