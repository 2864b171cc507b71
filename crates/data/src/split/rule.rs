//! Rule by which rows are split.

/// Rule by which rows are split.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SplitRule {
    /// At random.
    Random,
    /// Each class in the same proportion.
    Stratified,
    /// By the groups in this column.
    Group(String),
    /// By the times in this column.
    Time(String),
}
