//! Errors of images.

use std::path::PathBuf;

use wgrad_core::text::count;

/// Problem with a folder of images (`ImageFolder`) or with its settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ImageFolderError {
    /// The requested height or width of the images is 0 or too large.
    Size {
        /// The height.
        height: usize,
        /// The width.
        width: usize,
        /// The maximum length of a side in pixels.
        limit: u32,
    },
    /// The number of means or standard deviations is not the number of channels.
    Channels {
        /// The number of means.
        means: usize,
        /// The number of standard deviations.
        deviations: usize,
        /// The number of channels.
        channels: usize,
    },
    /// A mean is not finite, or a standard deviation is not positive and finite.
    Normalization {
        /// The means.
        mean: Vec<f32>,
        /// The standard deviations.
        std: Vec<f32>,
    },
    /// There are fewer than two class folders.
    TooFewClasses {
        /// The folder that should contain the class folders.
        folder: PathBuf,
        /// The number of class folders.
        classes: usize,
    },
    /// A class has no images.
    NoImages {
        /// The folder of the class.
        folder: PathBuf,
    },
    /// Folders are nested too deeply, for instance because a link points to a parent folder.
    Depth {
        /// The innermost folder.
        folder: PathBuf,
    },
    /// The images do not fit in memory.
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
    /// An image cannot be decoded.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The error message of the decoder.
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
                format!("{}: folders are nested too deeply", folder.display())
            }
            Self::Memory { folder, images, height, width } => format!(
                "{}: {} of {height} × {width} do not fit memory; make them smaller",
                folder.display(),
                count(*images, "image")
            ),
            Self::Damaged { path, reason } => {
                format!("{}: this image cannot be decoded: {reason}. Replace or remove it.", path.display())
            }
        }
    }
}

/// Problem in applying an [`Augment`](crate::Augment) to a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AugmentError {
    /// The rows are not images of the given size.
    Size {
        /// The given number of channels, height and width.
        dims: [usize; 3],
        /// The number of features per row.
        features: usize,
    },
    /// The images are on disk, but must be in memory.
    OnDisk,
    /// The padding is larger than the image.
    Padding {
        /// The number of zeros added on each side.
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
                "the augmentation is for images of {channels} × {height} × {width}, but the rows have {features} features"
            ),
            Self::OnDisk => "images must be in memory to be augmented, but these are on disk".into(),
            Self::Padding { padding, height, width } => {
                format!("a padding of {padding} is larger than the image of {height} × {width}")
            }
        }
    }
}
