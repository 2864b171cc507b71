//! Images: folders of them, and random changes in each epoch.

mod augment;
#[cfg(feature = "images")]
mod folder;

pub use augment::Augment;
#[cfg(feature = "images")]
pub use folder::ImageFolder;
