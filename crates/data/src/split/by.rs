//! What decides where a row goes.

/// Rule by which rows are divided; groups and times are in a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum By {
    Chance,
    Class,
    Group(String),
    Time(String),
}
