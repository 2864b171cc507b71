//! Rule by which rows are split.

/// Rule by which rows are split.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum By {
    /// At random.
    Chance,
    /// Each class in the same proportion.
    Class,
    /// By the groups in a column.
    Group(String),
    /// By the times in a column.
    Time(String),
}
