//! Folders of images, with one subfolder per class.

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits};
use wgrad_core::{Error, Result};

use crate::Dataset;
use crate::error::ImageFolderError;
use crate::path::explain;

/// Maximum length of an image's side in pixels.
const MAX_SIDE: u32 = 1 << 15;

/// Folder with one subfolder of PNG or JPEG images per class, as for torchvision's `ImageFolder`. It requires the
/// crate feature `images`.
///
/// The classes are the names of the subfolders, sorted; images may be nested in further folders. All images are
/// resized to the same size with antialiased linear interpolation, without keeping their aspect ratio. Channel
/// values are scaled to the range 0 to 1; [`Self::normalize`] makes the dataset contain `(value - mean) / std`
/// instead. A row is an image `[channels, height, width]` in row-major order.
///
/// ```no_run
/// use wgrad_data::{Augment, ImageFolder, Seed};
/// let images = ImageFolder::open("flowers", [64, 64])?.normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])?;
/// let (train, test) = images.dataset()?.split(0.8, Seed(7))?;
/// let first_epoch = Augment::new([3, 64, 64]).crop(4).flip().epoch(&train, Seed(7), 0)?;
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    folder: PathBuf,
    files: Vec<(PathBuf, u32)>,
    classes: Vec<String>,
    size: [u32; 2],
    gray: bool,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl ImageFolder {
    /// Lists the images in a folder; reading will resize them to `[height, width]`.
    ///
    /// # Errors
    /// When the folder cannot be read or has fewer than two subfolders, a subfolder contains no image, or a side
    /// is 0 or longer than 32768 pixels.
    pub fn open(folder: impl AsRef<Path>, size: [usize; 2]) -> Result<Self> {
        let folder = folder.as_ref();
        let fitting = |n: usize| u32::try_from(n).ok().filter(|n| (1..=MAX_SIDE).contains(n));
        let [Some(height), Some(width)] = size.map(fitting) else {
            let [height, width] = size;
            return Err(ImageFolderError::Size { height, width, limit: MAX_SIDE }.into());
        };
        let mut places: Vec<(String, PathBuf)> = entries(folder)?
            .into_iter()
            .filter(|path| path.is_dir())
            .filter_map(|path| Some((path.file_name()?.to_string_lossy().into_owned(), path.clone())))
            .filter(|(name, _)| !name.starts_with('.'))
            .collect();
        places.sort();
        if places.len() < 2 {
            return Err(ImageFolderError::TooFewClasses { folder: folder.into(), classes: places.len() }.into());
        }
        let mut files = vec![];
        for ((_, place), class) in places.iter().zip(0..) {
            let before = files.len();
            collect(place, class, &mut files, 0)?;
            if files.len() == before {
                return Err(ImageFolderError::NoImages { folder: place.clone() }.into());
            }
        }
        let classes = places.into_iter().map(|(name, _)| name).collect();
        let size = [height, width];
        Ok(Self { folder: folder.into(), files, classes, size, gray: false, mean: vec![], std: vec![] })
    }

    /// Converts images to one channel, their luminance. Call this before [`Self::normalize`].
    pub fn grayscale(self) -> Self {
        Self { gray: true, ..self }
    }

    /// Normalises each channel to `(value - mean) / std`, as torchvision's `Normalize` does.
    ///
    /// # Errors
    /// When there is not exactly one mean and one standard deviation per channel, a number is not finite, or a
    /// standard deviation is not positive.
    pub fn normalize(self, mean: impl Into<Vec<f32>>, std: impl Into<Vec<f32>>) -> Result<Self> {
        let (mean, std) = (mean.into(), std.into());
        let channels = self.channels();
        if mean.len() != channels || std.len() != channels {
            return Err(ImageFolderError::Channels { means: mean.len(), deviations: std.len(), channels }.into());
        }
        if !mean.iter().all(|x| x.is_finite()) || !std.iter().all(|x| x.is_finite() && *x > 0.0) {
            return Err(ImageFolderError::Normalization { mean, std }.into());
        }
        Ok(Self { mean, std, ..self })
    }

    /// Returns the number of channels.
    pub fn channels(&self) -> usize {
        if self.gray { 1 } else { 3 }
    }

    /// Returns the names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Iterates over the image files in the order of the dataset's rows: sorted by class.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| &**path)
    }

    /// Reads all images into a dataset.
    ///
    /// # Errors
    /// When an image cannot be read or decoded (the message names the file), or when the images do not fit in
    /// memory.
    pub fn dataset(&self) -> Result<Dataset> {
        let [height, width] = self.size.map(|side| side as usize);
        let features = self.channels() * height * width;
        let size = features.checked_mul(self.files.len()).filter(|size| size.checked_mul(4).is_some());
        let mut x = Vec::new();
        let room = size.map(|size| x.try_reserve_exact(size));
        if room.is_none_or(|room| room.is_err()) {
            let (folder, images) = (self.folder.clone(), self.files.len());
            return Err(ImageFolderError::Memory { folder, images, height, width }.into());
        }
        for (path, _) in &self.files {
            self.push(&decode(path)?, &mut x);
        }
        let names: Vec<String> = (0..features).map(|i| format!("x{i}")).collect();
        Dataset::new(names, x, self.files.iter().map(|(_, class)| *class).collect(), self.classes.clone())
    }

    /// Appends the channels of an image to `x`, one after the other.
    fn push(&self, image: &DynamicImage, x: &mut Vec<f32>) {
        let [height, width] = self.size;
        let image = image.resize_exact(width, height, FilterType::Triangle);
        let bytes = if self.gray { image.into_luma8().into_raw() } else { image.into_rgb8().into_raw() };
        let channels = self.channels();
        for channel in 0..channels {
            let (mean, std) = match (self.mean.get(channel), self.std.get(channel)) {
                (Some(mean), Some(std)) => (*mean, *std),
                _ => (0.0, 1.0),
            };
            let values = bytes.iter().skip(channel).step_by(channels);
            x.extend(values.map(|&byte| (f32::from(byte) / 255.0 - mean) / std));
        }
    }
}

/// Reads and decodes an image.
fn decode(path: &Path) -> Result<DynamicImage> {
    let mut reader = ImageReader::open(path).map_err(|error| Error::io(path)(explain(path, error)))?;
    // A small file can claim to contain a huge image, so the size is limited.
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    reader.limits(limits);
    let reader = reader.with_guessed_format().map_err(Error::io(path))?;
    reader.decode().map_err(|error| ImageFolderError::Damaged { path: path.into(), reason: error.to_string() }.into())
}

/// Returns the paths of all entries in a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io(folder)(explain(folder, error));
    let entries = fs::read_dir(folder).map_err(failed)?;
    entries.map(|entry| Ok(entry.map_err(Error::io(folder))?.path())).collect()
}

/// Adds the images in a folder and its subfolders to `files`, in sorted order.
fn collect(folder: &Path, class: u32, files: &mut Vec<(PathBuf, u32)>, depth: usize) -> Result<()> {
    if depth > 32 {
        return Err(ImageFolderError::Depth { folder: folder.into() }.into());
    }
    let mut paths = entries(folder)?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, class, files, depth + 1)?;
            continue;
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        if extension.is_some_and(|extension| ["png", "jpg", "jpeg"].contains(&&*extension)) {
            files.push((path, class));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    fn save(folder: &Path, name: &str, color: [u8; 3]) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(8, 6, Rgb(color)).save(path).unwrap();
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), "red/a.png", [255, 0, 0]);
        save(folder.path(), "red/more/b.PNG", [255, 0, 51]);
        save(folder.path(), "blue/c.jpg", [0, 0, 255]);
        fs::write(folder.path().join("blue/notes.txt"), "no image").unwrap();
        folder
    }

    #[test]
    fn a_folder_for_each_class_becomes_a_dataset() {
        let folder = folder();
        let images = ImageFolder::open(folder.path(), [2, 3]).unwrap();
        let data = images.dataset().unwrap();
        assert_eq!((data.classes(), data.y()), (&["blue".into(), "red".into()][..], &[0, 1, 1][..]));
        assert_eq!((data.rows(), data.features(), images.files().count()), (3, 18, 3));
        assert_eq!(data.x()[18..36], [[1.0; 6], [0.0; 6], [0.0; 6]].concat());
        assert_eq!(data.x()[48..54], [0.2; 6]);
        // JPEG compression is lossy, so the values are only close to the original ones.
        assert!(data.x()[12..18].iter().all(|blue| *blue > 0.95));
        let normal = images.normalize([0.5, 0.0, 0.1], [0.25, 1.0, 0.1]).unwrap().dataset().unwrap();
        assert_eq!((normal.x()[18], normal.x()[24], normal.x()[48].round()), (2.0, 0.0, 1.0));
        let gray = ImageFolder::open(folder.path(), [2, 2]).unwrap().grayscale().dataset().unwrap();
        assert_eq!(gray.features(), 4);
    }

    #[test]
    fn damaged_images_and_empty_folders_are_errors() {
        let folder = folder();
        let bytes = fs::read(folder.path().join("red/a.png")).unwrap();
        for length in 0..bytes.len() - 12 {
            fs::write(folder.path().join("red/a.png"), &bytes[..length]).unwrap();
            let error = ImageFolder::open(folder.path(), [2, 2]).unwrap().dataset().unwrap_err().to_string();
            assert!(error.contains("a.png: this image cannot be decoded"), "{length}: {error}");
        }
        let message = |result: Result<ImageFolder>| result.unwrap_err().to_string();
        fs::create_dir(folder.path().join("green")).unwrap();
        assert!(
            message(ImageFolder::open(folder.path(), [2, 2])).contains("green: there is no image (.png, .jpg, .jpeg)")
        );
        assert!(message(ImageFolder::open(folder.path().join("red"), [2, 2])).contains("at least two, and there is 1"));
        assert!(message(ImageFolder::open("absent", [2, 2])).contains("there is no such file"));
        assert!(message(ImageFolder::open("absent", [0, 2])).contains("sides go from 1"));
    }
}
