//! Message of an error, and the fixes that it suggests.

use super::fix::TrainFix;

/// Function that converts a fix to text.
pub(crate) type Say<'s> = &'s dyn Fn(&TrainFix) -> String;

/// Message of an error, and the fixes that it suggests.
pub(crate) trait Text {
    /// Returns the message without its fixes.
    fn text(&self) -> String;

    /// Returns the suggested fixes, which `say` converts to text. The most likely fix is first.
    fn fixes(&self, _say: Say<'_>) -> Vec<String> {
        vec![]
    }
}

/// Returns the text `1 or ` for two classes, for which a model may have a single output, and an empty text
/// otherwise.
pub(super) fn one_or(classes: usize) -> &'static str {
    if classes == 2 { "1 or " } else { "" }
}
