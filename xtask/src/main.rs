//! `cargo xtask test`: formats, lints, builds, and runs every test, doctest and example.
//!
//! Without any GPU adapter it installs Mesa's software Vulkan on Debian and Ubuntu where it may, and otherwise says
//! which package to install and reports the GPU tests as ignored.

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

const HELP: &str = "\
usage: cargo xtask <command>

  test      check formatting, lint, build, and run every test, doctest and example
  adapters  make sure that there is a GPU adapter for the tests (installs Mesa's software Vulkan on Debian and Ubuntu)

CONTRIBUTING.md says what each step is for.";

fn main() -> ExitCode {
    let outcome = match env::args().nth(1).as_deref() {
        Some("test") => test(),
        Some("adapters") => adapters().map(drop),
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

/// Runs a command to its end, its output on the terminal.
fn step(what: &str, command: &mut Command) -> Result<(), String> {
    println!("\n── {what}");
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("{what} could not start: {error}"))?;
    println!("── {what}: {:.0} s", start.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{what} failed")) }
}

/// What a command prints, if it succeeds.
fn ask(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn test() -> Result<(), String> {
    step("formatting", cargo().args(["fmt", "--all", "--check"]))?;
    // Ops are declared by a build script, out of rustfmt's sight.
    let ops = std::fs::read_dir("crates/kernels/src/ops").map_err(|error| format!("run this at the root: {error}"))?;
    let ops: Vec<_> =
        ops.flatten().map(|entry| entry.path()).filter(|path| path.extension() == Some("rs".as_ref())).collect();
    let ops = ops.into_iter().filter(|path| path.file_name() != Some("mod.rs".as_ref()));
    step("formatting of ops", Command::new("rustfmt").args(["--check", "--edition", "2024"]).args(ops))?;
    step("lints", cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    let gpu = adapters()?;
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--all-targets"]);
    if !gpu {
        println!("no GPU adapter: the tests named gpu_… are left out and will be reported as ignored");
    }
    tests.args(["--", "--nocapture", "--test-threads=2"]).env("RUST_BACKTRACE", "0");
    if !gpu {
        tests.args(["--skip", "gpu_"]);
    }
    step("tests", &mut tests)?;
    step("doctests", cargo().args(["test", "--workspace", "--doc"]))?;
    step("documentation", cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    for example in examples()? {
        step(
            &format!("example {example}"),
            cargo().args(["run", "--quiet", "--package", "wgrad", "--example", &example]),
        )?;
    }
    println!("\nall of it passed");
    Ok(())
}

/// The examples, in the order of the course.
fn examples() -> Result<Vec<String>, String> {
    let folder = std::fs::read_dir("examples").map_err(|error| format!("run this at the root: {error}"))?;
    let name = |path: &Path| Some(path.file_stem()?.to_str()?.to_owned());
    let paths = folder.flatten().map(|entry| entry.path()).filter(|path| path.extension() == Some("rs".as_ref()));
    let mut names: Vec<_> = paths.filter_map(|path| name(&path)).collect();
    names.sort();
    Ok(names)
}

/// Whether there is a GPU adapter for the tests, after an attempt to install a software one.
fn adapters() -> Result<bool, String> {
    if has_adapter()? {
        return Ok(true);
    }
    let package = "mesa-vulkan-drivers";
    let debian = Path::new("/etc/debian_version").exists();
    let root = ask("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    let sudo = !root && ask("sudo", &["-n", "true"]).is_some();
    if debian && (root || sudo) {
        let apt = |args: &[&str]| {
            let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
            if !root {
                command.arg("apt-get");
            }
            command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
            command
        };
        step("package lists", &mut apt(&["update", "-qq"]))?;
        step(
            "Mesa's software Vulkan and OpenGL",
            &mut apt(&["install", "-y", "-qq", "--no-install-recommends", package, "libegl1", "libgl1-mesa-dri"]),
        )?;
        if has_adapter()? {
            return Ok(true);
        }
    }
    println!("\nno GPU adapter was found. For a software one install:");
    println!("  Debian, Ubuntu  {package} libegl1");
    println!("  Fedora          mesa-vulkan-drivers mesa-libEGL");
    println!("  Arch            vulkan-swrast");
    Ok(false)
}

/// Asks `wgrad devices`, so that the tests and this see the same adapters.
fn has_adapter() -> Result<bool, String> {
    step("wgrad devices", cargo().args(["build", "--package", "wgrad-cli"]))?;
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let json = ask(cargo, &["run", "--quiet", "--package", "wgrad-cli", "--", "devices", "--json"])
        .ok_or("`wgrad devices --json` failed")?;
    print!("{json}");
    Ok(json.contains("\"vulkan\"")
        || json.contains("\"metal\"")
        || json.contains("\"dx12\"")
        || json.contains("\"gl\""))
}
