//! Runs `cargo test` and says at the end, in one place, what failed and how many tests there were: of thousands of lines,
//! a log often keeps the last ones only.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How many lines of a program are repeated that ended without saying which of its tests failed: where it crashed.
const LAST: usize = 40;

/// Runs a command of cargo's that runs tests, its output on the terminal.
pub fn run(what: &str, command: &mut Command) -> Result<Counts, String> {
    println!("\n── {what}");
    let start = Instant::now();
    let unheard = |error| format!("{what} could not be heard: {error}");
    let (output, input) = std::io::pipe().map_err(unheard)?;
    command.stdout(input.try_clone().map_err(unheard)?).stderr(input);
    let mut child = command.spawn().map_err(|error| format!("{what} could not start: {error}"))?;
    // The command holds the writing ends, too; the output ends when the last of them is closed.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
        lines.map(|line| sender.send(String::from_utf8_lossy(&line).into_owned())).find(Result::is_err)
    });
    let mut log = Log::default();
    // A program that a test left behind may hold the output open: it is not waited for.
    let status = loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                println!("{line}");
                log.hear(line);
            }
            Err(RecvTimeoutError::Disconnected) => break child.wait().map_err(unheard)?,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait().map_err(unheard)? {
                    break status;
                }
            }
        }
    };
    println!("── {what}: {:.0} s; {}", start.elapsed().as_secs_f64(), log.counts);
    if status.success() {
        return Ok(log.counts);
    }
    println!("\n── what failed\n{}", log.failures.join("\n"));
    Err(format!("{what} failed: {}", log.counts))
}

/// How many tests there were.
#[derive(Default, Clone, Copy)]
pub struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    pub fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)
    }
}

/// What is kept of the output.
#[derive(Default)]
struct Log {
    counts: Counts,
    /// The last lines of the program that runs, and what it says of its failures.
    last: VecDeque<String>,
    /// From "failures:" on.
    said: Vec<String>,
    failures: Vec<String>,
    /// Whether cargo is saying how a program ended.
    ended: bool,
}

impl Log {
    fn hear(&mut self, line: String) {
        if ["Running ", "Doc-tests "].iter().any(|start| line.trim_start().starts_with(start)) {
            self.last.clear();
            self.said.clear();
            self.ended = false;
        } else if line.starts_with("error: ") && line.contains("test failed") {
            // A list of failures is whole only if the program lived to print its result.
            let whole = self.said.last().is_some_and(|line| line.starts_with("test result: "));
            let told = if whole { std::mem::take(&mut self.said) } else { self.last.drain(..).collect() };
            self.failures.extend(told);
            self.ended = true;
        }
        if self.ended {
            self.failures.push(line);
            return;
        }
        let result = line.strip_prefix("test result: ");
        if let Some(result) = result {
            self.counts = self.counts.and(counts(result));
        }
        let open = self.said.last().is_some_and(|line| !line.starts_with("test result: "));
        if line == "failures:" || open {
            self.said.push(line.clone());
        }
        self.last.push_back(line);
        if self.last.len() > LAST {
            self.last.pop_front();
        }
    }
}

/// The numbers in `ok. 3 passed; 0 failed; 1 ignored; …`.
fn counts(result: &str) -> Counts {
    let words: Vec<_> = result.split([' ', ';']).collect();
    let of = |what| {
        let before = words.windows(2).find(|pair| pair[1] == what);
        before.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
    };
    Counts { passed: of("passed"), failed: of("failed"), ignored: of("ignored") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &str) -> Log {
        let mut log = Log::default();
        lines.lines().for_each(|line| log.hear(line.to_string()));
        log
    }

    #[test]
    fn failures_of_a_program_are_repeated_and_counted() {
        let log = heard(
            "     Running tests/a.rs (a)\ntest one ... ok\ntest two ... FAILED\n\nfailures:\n\n---- two ----\n3 is not 4\n\n\
             failures:\n    two\n\ntest result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured\n\n\
             error: test failed, to rerun pass `--test a`\n     Running tests/b.rs (b)\ntest three ... ok\n\n\
             test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured",
        );
        assert_eq!(log.counts.to_string(), "6 passed, 1 failed, 2 ignored");
        let said = log.failures.join("\n");
        assert!(said.starts_with("failures:\n\n---- two ----\n3 is not 4"), "{said}");
        assert!(said.ends_with("error: test failed, to rerun pass `--test a`"), "{said}");
    }

    #[test]
    fn of_a_crash_the_last_lines_are_repeated() {
        let tests = (0..100).map(|i| format!("test t{i} ... ok")).collect::<Vec<_>>().join("\n");
        let log = heard(&format!(
            "     Running tests/a.rs (a)\n{tests}\nerror: test failed, to rerun pass `--test a`\n\nCaused by:\n  \
             process didn't exit successfully: `a` (signal: 11, SIGSEGV: invalid memory reference)\n   Doc-tests wgrad"
        ));
        let said = log.failures.join("\n");
        assert!(
            said.starts_with("test t60 ... ok\n") && said.ends_with("SIGSEGV: invalid memory reference)"),
            "{said}"
        );
    }
}
