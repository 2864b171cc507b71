//! Shader compilers that Debian does not package: Tint, which is part of the npm package of Dawn for Node, and the
//! DXC library from a package on `PyPI`. Both are kept in `target/shader-compilers`, where `tests/shaders.rs`
//! looks for them. wgrad neither links nor ships them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{built, output_of, step};

struct Compiler {
    name: &'static str,
    /// Programs needed for the download, for a message.
    needs: &'static str,
    /// Script that runs the compiler. With the library's path and `--version`, it tests whether the compiler works
    /// here.
    script: [&'static str; 2],
    library: &'static str,
    /// Command that downloads the archive into the folder given as its last argument. If the registry cannot be
    /// reached, the command soon fails.
    download: &'static [&'static str],
    archive: &'static str,
    /// Path of the library inside the archive.
    member: &'static str,
}

const COMPILERS: [Compiler; 2] = [
    Compiler {
        name: "Tint",
        needs: "node, npm",
        script: ["node", "tests/shaders/tint.mjs"],
        library: "dawn.node",
        download: &["npm", "pack", "webgpu@0.6.2", "--silent", "--fetch-retries=0", "--pack-destination"],
        archive: "webgpu-0.6.2.tgz",
        member: "package/dist/linux-x64/dawn.node",
    },
    Compiler {
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

/// Downloads missing compilers on Linux for x86-64. If a compiler is not available, prints a note; the compiler's
/// test is then listed as ignored.
pub fn fetch() -> Result<(), String> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(());
    }
    let folder = built("../shader-compilers")?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for compiler in COMPILERS.iter().filter(|compiler| !works(compiler, &folder)) {
        let Compiler { name, needs, download, .. } = compiler;
        let [downloader, arguments @ ..] = download else { continue };
        // The download would skip an archive that exists already.
        let _ = fs::remove_file(folder.join(compiler.archive));
        let fetched = step(name, Command::new(downloader).args(arguments).arg(&folder));
        let unpacked = fetched.and_then(|()| unpack(compiler, &folder));
        let usable = || if works(compiler, &folder) { Ok(()) } else { Err(format!("{name} does not work here")) };
        if let Err(what) = unpacked.and_then(|()| usable()) {
            println!("{what}: its test is listed as ignored. It needs {needs} and their registry");
        }
    }
    Ok(())
}

fn works(compiler: &Compiler, folder: &Path) -> bool {
    let [program, script] = compiler.script;
    let library = folder.join(compiler.library).to_string_lossy().into_owned();
    folder.join(compiler.archive).exists() && output_of(program, &[script, &library, "--version"]).is_some()
}

/// Unpacks the library. The archive becomes an empty file, whose name records the installed version.
fn unpack(compiler: &Compiler, folder: &Path) -> Result<(), String> {
    let archive = folder.join(compiler.archive);
    let outcome = || -> std::io::Result<bool> {
        let library = fs::File::create(folder.join(compiler.library))?;
        let mut tar = Command::new("tar");
        let status = tar.arg("-xzOf").arg(&archive).arg(compiler.member).stdout(library).status()?;
        fs::write(&archive, "")?;
        Ok(status.success())
    };
    match outcome() {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{} has no {}", compiler.archive, compiler.member)),
        Err(error) => Err(format!("{}: {error}", archive.display())),
    }
}
