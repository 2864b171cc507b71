//! Errors about settings.

use crate::Spec;
use crate::host::text::{list, one_of};

/// Error: a setting is outside its range, or settings contradict each other.
///
/// ```
/// use wgrad_core::{Error, SettingError};
/// let check = |rate: f64| -> wgrad_core::Result<()> {
///     if !(0.0..1.0).contains(&rate) {
///         return Err(SettingError::out_of_range("the rate", rate, "at least 0 and below 1").into());
///     }
///     Ok(())
/// };
/// let error = check(1.5).unwrap_err();
/// assert_eq!(error.to_string(), "the rate must be at least 0 and below 1, not 1.5");
/// assert!(matches!(error.facts(), Some(SettingError::OutOfRange { value, .. }) if value == "1.5"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The value is outside the setting's range.
    #[error("{setting} must be {allowed}, not {value}")]
    OutOfRange {
        /// The name of the setting, worded to begin a sentence: `t_max`, `the confidence`.
        setting: String,
        /// The value that was set.
        value: String,
        /// The allowed values, worded to follow "must be": `at least 1`.
        allowed: String,
    },
    /// The value is not one of the words that the setting accepts.
    #[error("`{value}` is no {setting}: {}", one_of(allowed))]
    NotOneOf {
        /// The name of the setting, worded to follow "is no": `calibration`.
        setting: String,
        /// The value that was set.
        value: String,
        /// The words that are allowed.
        allowed: Vec<String>,
    },
    /// The name is not known.
    #[error("there is no {kind} `{name}`; there are {}", list(known))]
    Unknown {
        /// The kind of item that was looked up.
        kind: String,
        /// The name that was looked up.
        name: String,
        /// All known names.
        known: Vec<String>,
    },
    /// The setting is empty or not set.
    #[error("{setting} must not be empty")]
    Empty {
        /// The name of the setting, worded to begin a sentence.
        setting: String,
    },
    /// Two settings cannot be used together.
    #[error("{first} cannot be used with {second}: {reason}")]
    Conflict {
        /// The name of the first setting, worded to begin a sentence.
        first: String,
        /// The name of the second setting.
        second: String,
        /// The reason why the settings contradict each other.
        reason: String,
    },
    /// The loss passed to an audit, a check of a training step, is not a single number.
    #[error("an audit is of one number, not of {loss}\n  fix: reduce the loss first: `.mean()` or `.sum()`")]
    LossNotScalar {
        /// The loss's shape and type.
        loss: Spec,
    },
}

impl SettingError {
    /// Creates a [`SettingError::OutOfRange`].
    #[allow(clippy::needless_pass_by_value, reason = "numbers and texts are passed alike")]
    pub fn out_of_range(setting: impl Into<String>, value: impl ToString, allowed: impl Into<String>) -> Self {
        Self::OutOfRange { setting: setting.into(), value: value.to_string(), allowed: allowed.into() }
    }

    /// Creates a [`SettingError::NotOneOf`].
    #[allow(clippy::needless_pass_by_value, reason = "numbers and texts are passed alike")]
    pub fn not_one_of<S: Into<String>>(
        setting: impl Into<String>,
        value: impl ToString,
        allowed: impl IntoIterator<Item = S>,
    ) -> Self {
        let allowed = allowed.into_iter().map(Into::into).collect();
        Self::NotOneOf { setting: setting.into(), value: value.to_string(), allowed }
    }

    /// Creates a [`SettingError::Unknown`].
    pub fn unknown<S: Into<String>>(
        kind: impl Into<String>,
        name: impl Into<String>,
        known: impl IntoIterator<Item = S>,
    ) -> Self {
        Self::Unknown { kind: kind.into(), name: name.into(), known: known.into_iter().map(Into::into).collect() }
    }

    /// Creates a [`SettingError::Empty`].
    pub fn empty(setting: impl Into<String>) -> Self {
        Self::Empty { setting: setting.into() }
    }

    /// Creates a [`SettingError::Conflict`].
    pub fn conflict(first: impl Into<String>, second: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Conflict { first: first.into(), second: second.into(), reason: reason.into() }
    }
}
