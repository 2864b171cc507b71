//! Check of the packages for crates.io: builds and runs a program that depends on the packages alone.
//!
//! `cargo package` would check each package by compiling every crate again in a separate folder. Here, the
//! unpacked packages form a workspace that uses the same build folder, so only wgrad's crates are compiled again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::{cargo, step};

/// Test program: a short version of the program in the README.
const PROGRAM: &str = r#"use wgrad::prelude::*;

fn main() -> Result<()> {
    let rows: String = (0..60).map(|i| format!("{},{},{}\n", i % 7, (i * 5) % 11, u8::from(i % 7 > 3))).collect();
    let table = Table::parse("table.csv", format!("a,b,label\n{rows}").as_bytes())?.target("label")?;
    let (train, test) = table.split(0.8, Seed(7))?;
    let params = Params::seeded(7);
    let model = Linear::new(&params.at("fc"), train.features(), 1);
    let mut trainer = Trainer::new(Device::best()?, &params).optimizer(AdamW::new(0.1)).batch_size(16);
    trainer.fit(&train, 20, |x, y| BceWithLogitsLoss::new().forward(&model.forward(x), y))?;
    println!("{}", trainer.evaluate(&test, |x| model.forward(x))?);
    Ok(())
}
"#;

/// Packages every crate, unpacks the packages next to a program, and builds and runs that program.
pub fn check() -> Result<(), String> {
    let mut package = cargo();
    package.args(["package", "--workspace", "--exclude", "xtask", "--no-verify", "--allow-dirty", "--quiet"]);
    step("packages", &mut package)?;
    let target = env::current_dir().map_err(|error| error.to_string())?.join("target");
    let folder = target.join("packaged");
    let _ = fs::remove_dir_all(&folder);
    let names = unpack(&target.join("package"), &folder)?;
    let program = folder.join("program");
    write(&program.join("src/main.rs"), PROGRAM)?;
    write(
        &program.join("Cargo.toml"),
        "[package]\nname = \"program\"\nedition = \"2024\"\n\n[dependencies]\n\
         wgrad = { version = \"*\", features = [\"arrow\", \"images\", \"parity\"] }\n",
    )?;
    let patches: Vec<_> = names.iter().map(|(name, path)| format!("{name} = {{ path = \"{path}\" }}")).collect();
    let patches = patches.join("\n");
    let root = fs::read_to_string("Cargo.toml").map_err(|error| format!("Cargo.toml: {error}"))?;
    let profile = root.find("[profile.dev]").map_or("", |at| &root[at..]);
    write(
        &folder.join("Cargo.toml"),
        &format!("[workspace]\nmembers = [\"*\"]\nresolver = \"3\"\n\n[patch.crates-io]\n{patches}\n\n{profile}"),
    )?;
    fs::copy("Cargo.lock", folder.join("Cargo.lock")).map_err(|error| format!("Cargo.lock: {error}"))?;
    // The examples are built too, so that the features of dependencies are those of the tests' build and no
    // dependency is compiled again.
    let mut build = cargo();
    build.args(["build", "--workspace", "--bins", "--examples", "--quiet"]);
    step("build of the packages", build.current_dir(&folder).env("CARGO_TARGET_DIR", &target))?;
    let executable = target.join("debug").join(format!("program{}", env::consts::EXE_SUFFIX));
    step("a program on the packages", &mut Command::new(executable))
}

/// Unpacks every package. Returns the name and the folder of each.
fn unpack(packages: &Path, folder: &Path) -> Result<Vec<(String, String)>, String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let entries = fs::read_dir(packages).map_err(|error| format!("{}: {error}", packages.display()))?;
    let mut archives: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    archives.retain(|path| path.extension() == Some("crate".as_ref()));
    archives.sort();
    let mut names = vec![];
    for archive in archives {
        let stem = archive.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some((name, _)) = stem.rsplit_once('-').filter(|(name, _)| name.starts_with("wgrad")) else { continue };
        let unpacked = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder).status();
        if !unpacked.is_ok_and(|status| status.success()) {
            return Err(format!("{} could not be unpacked", archive.display()));
        }
        names.push((name.to_owned(), stem));
    }
    Ok(names)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("{}: {error}", path.display()))
}
