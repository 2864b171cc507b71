//! Kinds of calibration.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Kind of calibration to fit, see [`Calibration`](crate::Calibration).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Calibrate {
    /// No calibration.
    #[default]
    None,
    /// [`Calibration::temperature`](crate::Calibration::temperature): one parameter; also works for more than two
    /// classes.
    Temperature,
    /// [`Calibration::platt`](crate::Calibration::platt): two parameters; also works for models trained on
    /// weighted or resampled classes.
    Platt,
    /// [`Calibration::isotonic`](crate::Calibration::isotonic): a non-decreasing function; needs several hundred
    /// rows.
    Isotonic,
}

impl fmt::Display for Calibrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Temperature => "temperature",
            Self::Platt => "platt",
            Self::Isotonic => "isotonic",
        })
    }
}
