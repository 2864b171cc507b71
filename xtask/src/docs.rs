//! `cargo xtask docs`: writes `docs/coverage.md` and builds the guide in the folder `docs` with mdBook.

#[path = "coverage.rs"]
mod coverage;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{output_of, step};

/// Folder into which mdBook builds the guide, as set in `docs/book.toml`.
const SITE: &str = "target/guide";

/// Writes `docs/coverage.md` and builds the guide.
///
/// # Errors
/// If the page cannot be written, or mdBook is missing or fails.
pub fn build() -> Result<(), String> {
    let page = "docs/coverage.md";
    let text = coverage::page(Path::new("."))?;
    fs::write(page, text).map_err(|error| format!("{page}: {error}; run this at the root"))?;
    println!("{page} is written");
    if output_of("mdbook", &["--version"]).is_none() {
        return Err("mdbook is missing, so the guide is not built; install it with `cargo install mdbook`".into());
    }
    step("guide", Command::new("mdbook").args(["build", "docs"]))?;
    println!("the guide is in {SITE}: open {SITE}/index.html");
    Ok(())
}
