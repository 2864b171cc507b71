//! `cargo bench --bench workloads -- [ARGUMENTS]` runs `wgrad bench [ARGUMENTS]` in an optimized build.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` also starts this program. It measures only if cargo passes `--bench`.
    let Some(asked) = arguments.iter().position(|argument| argument == "--bench") else {
        return ExitCode::SUCCESS;
    };
    arguments.remove(asked);
    let status = Command::new(env!("CARGO_BIN_EXE_wgrad")).arg("bench").args(arguments).status();
    if status.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
