//! Text of a family of errors.

use super::fix::TrainFix;

/// Function that writes a fix.
pub(crate) type Say<'s> = &'s dyn Fn(&TrainFix) -> String;

/// Text of a family of errors.
pub(crate) trait Text {
    /// Returns the message without its fixes.
    fn text(&self) -> String;

    /// Returns the fixes, each written by `say`, most likely first.
    fn fixes(&self, _say: Say<'_>) -> Vec<String> {
        vec![]
    }
}

/// Returns `1 or ` if a model of this many classes may have one output, and nothing otherwise.
pub(super) fn one_or(classes: usize) -> &'static str {
    if classes == 2 { "1 or " } else { "" }
}
