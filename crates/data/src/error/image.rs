//! Errors of images.

use std::path::PathBuf;

use wgrad_core::text::count;

/// Problem of a folder of images (`ImageFolder`) or its settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ImageFolderError {
    /// Images of no pixels, or of too many.
    Size {
        /// The height.
        height: usize,
        /// The width.
        width: usize,
        /// The longest side that is allowed.
        limit: u32,
    },
    /// A number of means or deviations that is not that of the channels.
    Channels {
        /// The number of means.
        means: usize,
        /// The number of deviations.
        deviations: usize,
        /// The number of channels.
        channels: usize,
    },
    /// Means or deviations that cannot be used.
    Normalization {
        /// The means.
        mean: Vec<f32>,
        /// The deviations.
        std: Vec<f32>,
    },
    /// Fewer than two folders of classes.
    TooFewClasses {
        /// The folder.
        folder: PathBuf,
        /// The number of folders in it.
        classes: usize,
    },
    /// A class without images.
    NoImages {
        /// The folder of the class.
        folder: PathBuf,
    },
    /// Folders that are nested too deeply, as with a link to a folder above.
    Depth {
        /// The innermost folder.
        folder: PathBuf,
    },
    /// Images that do not fit memory.
    Memory {
        /// The folder.
        folder: PathBuf,
        /// The number of images.
        images: usize,
        /// The height of an image.
        height: usize,
        /// The width of an image.
        width: usize,
    },
    /// An image that cannot be decoded.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The message of the decoder.
        reason: String,
    },
}

impl ImageFolderError {
    pub(super) fn message(&self) -> String {
        match self {
            Self::Size { height, width, limit } => {
                format!("images of {height} × {width} cannot be made: sides go from 1 to {limit}")
            }
            Self::Channels { means, deviations, channels } => format!(
                "{} and {} for {}",
                count(*means, "mean"),
                count(*deviations, "deviation"),
                count(*channels, "channel")
            ),
            Self::Normalization { mean, std } => format!(
                "means {mean:?} and deviations {std:?} cannot be used: all must be finite, and deviations above 0"
            ),
            Self::TooFewClasses { folder, classes } => format!(
                "{}: a folder for each class is needed, at least two, and there {} {classes}",
                folder.display(),
                if *classes == 1 { "is" } else { "are" }
            ),
            Self::NoImages { folder } => format!(
                "{}: there is no image (.png, .jpg, .jpeg) in it. Put some there, or remove the folder.",
                folder.display()
            ),
            Self::Depth { folder } => {
                format!("{}: folders within folders do not come to an end", folder.display())
            }
            Self::Memory { folder, images, height, width } => format!(
                "{}: {} of {height} × {width} do not fit memory; make them smaller",
                folder.display(),
                count(*images, "image")
            ),
            Self::Damaged { path, reason } => {
                format!("{}: this is no image that can be read: {reason}. Replace or remove it.", path.display())
            }
        }
    }
}

/// Problem of an [`Augment`](crate::Augment) with a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AugmentError {
    /// Rows that are no images of the size that was given.
    Size {
        /// Channels, height and width.
        dims: [usize; 3],
        /// The number of features of a row.
        features: usize,
    },
    /// Images on disk.
    OnDisk,
    /// A padding that is larger than the image.
    Padding {
        /// The number of zeros on each side.
        padding: usize,
        /// The height of an image.
        height: usize,
        /// The width of an image.
        width: usize,
    },
}

impl AugmentError {
    pub(super) fn message(&self) -> String {
        match self {
            Self::Size { dims: [channels, height, width], features } => format!(
                "images of {channels} × {height} × {width} are to be changed, but the rows have {features} features"
            ),
            Self::OnDisk => "images that are to be changed must be in memory, and these are on disk".into(),
            Self::Padding { padding, height, width } => {
                format!("a padding of {padding} is larger than the image of {height} × {width}")
            }
        }
    }
}
