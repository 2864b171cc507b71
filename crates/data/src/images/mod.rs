//! Images: reading of image folders, and augmentation.

mod augment;
#[cfg(feature = "images")]
mod folder;

pub use augment::Augment;
#[cfg(feature = "images")]
pub use folder::ImageFolder;
