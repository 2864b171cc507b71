//! Augmentation of images with random crops and flips.

use wgrad_core::{Array, Result, SplitMix64};

use crate::error::AugmentError;
use crate::streams::AUGMENT;
use crate::{Dataset, Seed};

/// Random crops and flips of images, which differ in each epoch and reduce overfitting. Use them for training rows
/// only.
///
/// Each row of the dataset is an image `[channels, height, width]` in row-major order. Its crop and flip depend
/// only on the seed, the epoch and the row number.
///
/// ```
/// use wgrad_data::{Augment, Dataset, Seed};
/// let x = (0..2 * 3 * 4 * 4).map(|i| i as f32).collect();
/// let names: Vec<String> = (0..48).map(|i| format!("x{i}")).collect();
/// let data = Dataset::new(names, x, vec![0, 1], ["cat", "dog"])?;
/// // torchvision's RandomCrop(4, padding=1) and RandomHorizontalFlip()
/// let augment = Augment::new([3, 4, 4]).crop(1).flip();
/// for epoch in 0..3 {
///     let augmented = augment.epoch(&data, Seed(7), epoch)?;
///     assert_eq!((augmented.rows(), augmented.y()), (2, data.y()));
///     // trainer.fit(&augmented, 1, …)?;
/// }
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Augment {
    dims: [usize; 3],
    padding: usize,
    flip: bool,
}

impl Augment {
    /// Creates an augmentation without crops and flips, for images of shape `[channels, height, width]`.
    pub fn new(dims: [usize; 3]) -> Self {
        Self { dims, padding: 0, flip: false }
    }

    /// Pads each side with this many zeros, then crops the image to its original size at a random position. All
    /// positions are equally likely. Default: 0.
    pub fn crop(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Flips each image horizontally with probability 1/2.
    pub fn flip(self) -> Self {
        Self { flip: true, ..self }
    }

    /// Returns the augmented dataset of an epoch.
    ///
    /// # Errors
    /// When rows are not images of the given size, the padding is larger than the image, or the features are on
    /// disk.
    pub fn epoch(&self, data: &Dataset, seed: Seed, epoch: u64) -> Result<Dataset> {
        let [_, height, width] = self.dims;
        let size = self.dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        if size != Some(data.features()) {
            return Err(AugmentError::Size { dims: self.dims, features: data.features() }.into());
        }
        if data.is_on_disk() {
            return Err(AugmentError::OnDisk.into());
        }
        if self.padding > height.min(width) {
            return Err(AugmentError::Padding { padding: self.padding, height, width }.into());
        }
        let mut x = vec![0.0; data.x().len()];
        let images = data.x().chunks_exact(data.features()).zip(x.chunks_exact_mut(data.features()));
        for ((from, to), row) in images.zip(0_u64..) {
            // Each row of each epoch has its own random stream.
            let mut random = SplitMix64::new(Seed(seed.0 ^ epoch.rotate_left(32)), AUGMENT.wrapping_sub(row));
            let mut shift = || usize::try_from(random.below(2 * self.padding as u64 + 1)).unwrap_or_default();
            let (down, right) = (shift(), shift());
            let flip = self.flip && random.below(2) == 1;
            for (line, to) in to.chunks_exact_mut(width).enumerate() {
                let (channel, y) = (line / height, (line % height + down).checked_sub(self.padding));
                let Some(y) = y.filter(|y| *y < height) else { continue };
                let from = &from[(channel * height + y) * width..][..width];
                for (at, pixel) in to.iter_mut().enumerate() {
                    let at = if flip { width - 1 - at } else { at };
                    let source = (at + right).checked_sub(self.padding).and_then(|x| from.get(x));
                    *pixel = source.copied().unwrap_or_default();
                }
            }
        }
        data.with_x(Array::new([data.rows(), data.features()], x)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(rows: usize) -> Dataset {
        let x = (0..rows * 18).map(|i| (i % 18 + 1) as f32).collect();
        Dataset::new((0..18).map(|i| format!("x{i}")), x, vec![0; rows], ["a", "b"]).unwrap()
    }

    /// Returns the image `[2, 3, 3]`, flipped if `flip` is true, then padded, and then cropped to its original
    /// size. The top left corner of the crop is in row `down` and column `right` of the padded image.
    fn expected(down: usize, right: usize, flip: bool) -> Vec<f32> {
        let mut all = vec![];
        for channel in 0..2 {
            for y in 0..3 {
                for x in 0..3 {
                    let x = if flip { 2 - x } else { x };
                    let (y, x) = (y + down, x + right);
                    let inside = (1..4).contains(&y) && (1..4).contains(&x);
                    all.push(if inside { (channel * 9 + (y - 1) * 3 + x) as f32 } else { 0.0 });
                }
            }
        }
        all
    }

    #[test]
    fn every_crop_and_flip_comes_equally_often() {
        let data = images(3600);
        let seen = Augment::new([2, 3, 3]).crop(1).flip().epoch(&data, Seed(1), 0).unwrap();
        let mut counts = vec![];
        for down in 0..3 {
            for right in 0..3 {
                for flip in [false, true] {
                    let image = expected(down, right, flip);
                    counts.push(seen.x().chunks(18).filter(|x| **x == image[..]).count());
                }
            }
        }
        assert_eq!(counts.iter().sum::<usize>(), 3600, "{counts:?}");
        // The expected value of each count is 200, and five standard deviations are 69.
        assert!(counts.iter().all(|n| (131..=269).contains(n)), "{counts:?}");
    }

    #[test]
    fn images_depend_on_seed_and_epoch_only() {
        let (data, augment) = (images(20), Augment::new([2, 3, 3]).crop(1).flip());
        let seen = |seed, epoch| augment.epoch(&data, Seed(seed), epoch).unwrap();
        assert_eq!(seen(1, 2), seen(1, 2));
        assert_ne!(seen(1, 2), seen(1, 3));
        assert_ne!(seen(1, 2), seen(2, 2));
        assert_eq!(Augment::new([2, 3, 3]).epoch(&data, Seed(1), 0).unwrap(), data);
    }

    #[test]
    fn images_of_another_size_are_refused() {
        let message = |augment: Augment| augment.epoch(&images(2), Seed(0), 0).unwrap_err().to_string();
        assert_eq!(
            message(Augment::new([3, 3, 3])),
            "the augmentation is for images of 3 × 3 × 3, but the rows have 18 features"
        );
        assert_eq!(message(Augment::new([2, 3, 3]).crop(4)), "a padding of 4 is larger than the image of 3 × 3");
    }
}
