//! Compilers that judge shaders and that Debian does not have: Tint inside a Dawn for Node, from npm, and DXC's library,
//! from `PyPI`. They lie in `target/judges`, where `tests/shaders.rs` looks for them; neither is ever linked or shipped.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{ask, built, step};

struct Judge {
    name: &'static str,
    /// Programs, for a message.
    needs: &'static str,
    /// What asks it: with the library and `--version` that says whether it works here.
    script: [&'static str; 2],
    library: &'static str,
    /// Downloads the archive into the folder that comes last. A registry that cannot be reached is not waited for.
    download: &'static [&'static str],
    archive: &'static str,
    /// Where the library lies in the archive.
    member: &'static str,
}

const JUDGES: [Judge; 2] = [
    Judge {
        name: "Tint",
        needs: "node, npm",
        script: ["node", "tests/shaders/tint.mjs"],
        library: "dawn.node",
        download: &["npm", "pack", "webgpu@0.6.2", "--silent", "--fetch-retries=0", "--pack-destination"],
        archive: "webgpu-0.6.2.tgz",
        member: "package/dist/linux-x64/dawn.node",
    },
    Judge {
        name: "DXC",
        needs: "python3, pip",
        script: ["python3", "tests/shaders/dxc.py"],
        library: "libdxcompiler.so",
        download: &[
            "python3",
            "-m",
            "pip",
            "download",
            "compushady==0.17.5",
            "--quiet",
            "--no-deps",
            "--no-binary=:all:",
            "--retries=1",
            "--dest",
        ],
        archive: "compushady-0.17.5.tar.gz",
        member: "compushady-0.17.5/compushady/backends/libdxcompiler_x86_64.so.3.7",
    },
];

/// Fetches what is missing on Linux for x86-64. What cannot be had is said; its trials are then listed as ignored.
pub fn fetch() -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(());
    }
    let folder = built("../judges")?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for judge in JUDGES.iter().filter(|judge| !works(judge, &folder)) {
        let Judge { name, needs, download, .. } = judge;
        let [downloader, arguments @ ..] = download else { continue };
        // An archive that is there already would not be downloaded.
        let _ = fs::remove_file(folder.join(judge.archive));
        let asked = step(name, Command::new(downloader).args(arguments).arg(&folder));
        let unpacked = asked.and_then(|()| unpack(judge, &folder));
        let usable = || if works(judge, &folder) { Ok(()) } else { Err(format!("{name} does not work here")) };
        if let Err(what) = unpacked.and_then(|()| usable()) {
            println!("{what}: its trial is listed as ignored. It needs {needs} and their registry");
        }
    }
    Ok(())
}

fn works(judge: &Judge, folder: &Path) -> bool {
    let [program, script] = judge.script;
    let library = folder.join(judge.library).to_string_lossy().into_owned();
    folder.join(judge.archive).exists() && ask(program, &[script, &library, "--version"]).is_some()
}

/// Takes the library out of the archive, of which only the name stays: it says which version this is.
fn unpack(judge: &Judge, folder: &Path) -> Result<(), String> {
    let archive = folder.join(judge.archive);
    let outcome = || -> std::io::Result<bool> {
        let library = fs::File::create(folder.join(judge.library))?;
        let mut tar = Command::new("tar");
        let status = tar.arg("-xzOf").arg(&archive).arg(judge.member).stdout(library).status()?;
        fs::write(&archive, "")?;
        Ok(status.success())
    };
    match outcome() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} has no {}", judge.archive, judge.member)),
        Err(error) => Err(format!("{}: {error}", archive.display())),
    }
}
