//! Runs `cargo test` and repeats the failures and counts at the end of the output, because only the last lines of
//! a long log may be kept.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Number of last lines of output that are repeated for a test program that crashed before it listed its failures.
const LAST: usize = 40;

/// Runs a cargo command that runs tests, and returns the counts. The command's output goes to the terminal.
pub fn run(what: &str, command: &mut Command) -> Result<Counts, String> {
    println!("\n── {what}");
    let start = Instant::now();
    let unreadable = |error| format!("{what} cannot be read: {error}");
    let (output, input) = std::io::pipe().map_err(unreadable)?;
    command.stdout(input.try_clone().map_err(unreadable)?).stderr(input);
    let mut child = command.spawn().map_err(|error| format!("{what} could not start: {error}"))?;
    // `command` also owns the writing ends of the pipe. They must be closed, or reading the output would never
    // end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
        lines.map(|line| sender.send(String::from_utf8_lossy(&line).into_owned())).find(Result::is_err)
    });
    let mut log = Log::default();
    // A process that a test left running can keep the pipe open, so the loop also checks whether cargo has exited.
    let status = loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                println!("{line}");
                log.read(line);
            }
            Err(RecvTimeoutError::Disconnected) => break child.wait().map_err(unreadable)?,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait().map_err(unreadable)? {
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

/// Numbers of passed, failed and ignored tests.
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

/// State of the parser of cargo's output.
#[derive(Default)]
struct Log {
    counts: Counts,
    /// Last lines that the current test program printed.
    last: VecDeque<String>,
    /// The current test program's list of failures, starting with the line `failures:`.
    list: Vec<String>,
    failures: Vec<String>,
    /// `true` while cargo reports how a test program ended.
    ended: bool,
}

impl Log {
    fn read(&mut self, line: String) {
        if ["Running ", "Doc-tests "].iter().any(|start| line.trim_start().starts_with(start)) {
            self.last.clear();
            self.list.clear();
            self.ended = false;
        } else if line.starts_with("error: ") && line.contains("test failed") {
            // The list of failures is complete only if the program ran long enough to print its result.
            let complete = self.list.last().is_some_and(|line| line.starts_with("test result: "));
            let lines = if complete { std::mem::take(&mut self.list) } else { self.last.drain(..).collect() };
            self.failures.extend(lines);
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
        let open = self.list.last().is_some_and(|line| !line.starts_with("test result: "));
        if line == "failures:" || open {
            self.list.push(line.clone());
        }
        self.last.push_back(line);
        if self.last.len() > LAST {
            self.last.pop_front();
        }
    }
}

/// Parses the numbers of a line such as `ok. 3 passed; 0 failed; 1 ignored; …`.
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

    fn log_of(lines: &str) -> Log {
        let mut log = Log::default();
        lines.lines().for_each(|line| log.read(line.to_string()));
        log
    }

    #[test]
    fn failures_of_a_program_are_repeated_and_counted() {
        let log = log_of(
            "     Running tests/a.rs (a)\ntest one ... ok\ntest two ... FAILED\n\nfailures:\n\n---- two ----\n3 is not 4\n\n\
             failures:\n    two\n\ntest result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured\n\n\
             error: test failed, to rerun pass `--test a`\n     Running tests/b.rs (b)\ntest three ... ok\n\n\
             test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured",
        );
        assert_eq!(log.counts.to_string(), "6 passed, 1 failed, 2 ignored");
        let list = log.failures.join("\n");
        assert!(list.starts_with("failures:\n\n---- two ----\n3 is not 4"), "{list}");
        assert!(list.ends_with("error: test failed, to rerun pass `--test a`"), "{list}");
    }

    #[test]
    fn the_last_lines_before_a_crash_are_repeated() {
        let tests = (0..100).map(|i| format!("test t{i} ... ok")).collect::<Vec<_>>().join("\n");
        let log = log_of(&format!(
            "     Running tests/a.rs (a)\n{tests}\nerror: test failed, to rerun pass `--test a`\n\nCaused by:\n  \
             process didn't exit successfully: `a` (signal: 11, SIGSEGV: invalid memory reference)\n   Doc-tests wgrad"
        ));
        let list = log.failures.join("\n");
        assert!(
            list.starts_with("test t60 ... ok\n") && list.ends_with("SIGSEGV: invalid memory reference)"),
            "{list}"
        );
    }
}
