//! Residual networks for images, with torchvision's variable names and initial values.

use std::panic::Location;

use wgrad_core::{Init, Params, Tensor};

use crate::layers::{AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Conv2dOptions, Flatten, Linear, MaxPool2d};
use crate::{Module, init};

/// The layers of a residual network that come before its blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stem {
    /// A 7 × 7 convolution and max pooling, both with stride 2, which reduce height and width to a quarter. The
    /// published networks for images of 224 × 224 use this stem.
    #[default]
    Large,
    /// A 3 × 3 convolution without pooling, for images of 8 × 8 to 64 × 64.
    Small,
}

options! {
    /// Options of a [`ResNet`]. The defaults are those of the published 18-layer network for `ImageNet`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ResNetOptions {
        /// Number of blocks in each of the four layers. Default: 2 in each.
        blocks: [usize; 4] = [2, 2, 2, 2],
        /// Number of outputs of the head `fc`. Default: 1000.
        num_classes: usize = 1000,
        /// Number of channels of an image. Default: 3.
        channels: usize = 3,
        /// Number of channels of the first layer; each further layer has twice as many as the one before. Default:
        /// 64.
        width: usize = 64,
        /// Layers before the blocks. Default: [`Stem::Large`].
        stem: Stem = Stem::Large,
        /// If `true`, the weight of the last batch norm of each block is initially 0, so that at first the block
        /// adds nothing to its input. Default: `false`.
        zero_init_residual: bool = false,
    }
}

impl ResNetOptions {
    /// Returns the options of the published 18-layer network for `ImageNet`, which are the defaults.
    pub fn resnet18() -> Self {
        Self::new()
    }

    /// Returns the options of the published 34-layer network for `ImageNet`.
    pub fn resnet34() -> Self {
        Self::new().blocks([3, 4, 6, 3])
    }
}

/// Residual network for images `[N, channels, H, W]`: a stem, four layers of blocks, the mean over the pixels, and a
/// linear head `fc`; torchvision's `ResNet`.
///
/// The blocks have two 3 × 3 convolutions, as in torchvision's `resnet18` and `resnet34`. Names, shapes and
/// initial values of the variables are the same as in these two models, so their weights load directly from a
/// safetensors file.
///
/// To fine-tune a pretrained network, load it without its head, freeze the loaded parameters and train the head,
/// as in the example.
///
/// He, Zhang, Ren, Sun: "Deep residual learning for image recognition", CVPR 2016.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Load, Module, StateDict, models::{ResNet, ResNetOptions, Stem}};
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("resnet.safetensors");
/// // A narrow network for the example; `ResNetOptions::resnet18()` is the published one.
/// let options = ResNetOptions::resnet18().width(4).stem(Stem::Small);
/// # let pretrained = Params::seeded(1);
/// # let _ = ResNet::with(&pretrained, options);
/// # pretrained.save(&path)?;
/// let params = Params::seeded(7);
/// let model = ResNet::with(&params, options.num_classes(1));
/// let report = Load::from(&path).skip("fc").apply(&params)?;
/// assert_eq!(report.loaded.len(), 120);
/// params.set_trainable(false);
/// params.at("fc").set_trainable(true);
///
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [2, 3, 16, 16], DType::F32);
/// assert_eq!(model.forward(&x).shape().dims(), [2, 1]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ResNet {
    stem: Stem,
    conv1: Conv2d,
    bn1: BatchNorm2d,
    layers: [Vec<Block>; 4],
    fc: Linear,
}

impl ResNet {
    /// Creates the published 18-layer network. Its variables are declared in `params`.
    #[track_caller]
    pub fn new(params: &Params) -> Self {
        Self::with(params, ResNetOptions::new())
    }

    /// Creates a network with options.
    #[track_caller]
    pub fn with(params: &Params, options: ResNetOptions) -> Self {
        let ResNetOptions { width, stem, .. } = options;
        let (kernel, conv) = match stem {
            Stem::Large => (7, Conv2dOptions::new().stride(2).padding(3)),
            Stem::Small => (3, Conv2dOptions::new().padding(1)),
        };
        let conv1 = Conv2d::with(&params.at("conv1"), options.channels, width, kernel, conv.bias(false));
        let bn1 = BatchNorm2d::new(&params.at("bn1"), width);
        let mut inputs = width;
        let layers = std::array::from_fn(|i| {
            let layer = params.at(format!("layer{}", i + 1));
            let outputs = width << i;
            let block = |b: usize| {
                let stride = if i > 0 && b == 0 { 2 } else { 1 };
                Block::new(&layer.at(b), std::mem::replace(&mut inputs, outputs), outputs, stride)
            };
            (0..options.blocks[i]).map(block).collect::<Vec<_>>()
        });
        let fc = Linear::new(&params.at("fc"), inputs, options.num_classes);
        // torchvision initializes the convolutions again after all layers are created. The same order is used
        // here, so that with a PyTorch seed the initial values have the same bits.
        let blocks = || layers.iter().flatten();
        for conv in std::iter::once(&conv1).chain(blocks().flat_map(Block::convolutions)) {
            let dims = conv.weight().shape().dims();
            let fan_out = dims[0] * dims[2..].iter().product::<usize>();
            conv.weight().reset(init::kaiming_normal(fan_out, 0.0));
        }
        if options.zero_init_residual {
            for weight in blocks().filter_map(|block| block.bn2.weight()) {
                weight.reset(Init::Constant(0.0));
            }
        }
        Self { stem, conv1, bn1, layers, fc }
    }

    /// Returns the head, the final linear layer.
    pub fn fc(&self) -> &Linear {
        &self.fc
    }

    /// Returns the input of the head: the mean over the pixels of the last layer, `[N, channels]`.
    #[track_caller]
    pub fn features(&self, x: &Tensor) -> Tensor {
        let _scope = x.graph().scope_of_library("", Location::caller(), crate::source());
        let mut y = self.bn1.forward(&self.conv1.forward(x)).relu();
        if self.stem == Stem::Large {
            y = MaxPool2d::new(3).stride(2).padding(1).forward(&y);
        }
        for block in self.layers.iter().flatten() {
            y = block.forward(&y);
        }
        Flatten.forward(&AdaptiveAvgPool2d::new(1).forward(&y))
    }
}

impl Module for ResNet {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = x.graph().scope_of_library("", Location::caller(), crate::source());
        self.fc.forward(&self.features(x))
    }
}

/// Residual block: `relu(bn2(conv2(relu(bn1(conv1(x))))) + x)`. If the block changes the shape, `downsample` is
/// applied to `x` before it is added.
#[derive(Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

impl Block {
    #[track_caller]
    fn new(params: &Params, inputs: usize, outputs: usize, stride: usize) -> Self {
        let near = Conv2dOptions::new().padding(1).bias(false);
        let shrinks = stride > 1 || inputs != outputs;
        Self {
            conv1: Conv2d::with(&params.at("conv1"), inputs, outputs, 3, near.stride(stride)),
            bn1: BatchNorm2d::new(&params.at("bn1"), outputs),
            conv2: Conv2d::with(&params.at("conv2"), outputs, outputs, 3, near),
            bn2: BatchNorm2d::new(&params.at("bn2"), outputs),
            downsample: shrinks.then(|| {
                let params = params.at("downsample");
                let conv =
                    Conv2d::with(&params.at(0), inputs, outputs, 1, Conv2dOptions::new().stride(stride).bias(false));
                (conv, BatchNorm2d::new(&params.at(1), outputs))
            }),
        }
    }

    fn convolutions(&self) -> impl Iterator<Item = &Conv2d> {
        [&self.conv1, &self.conv2].into_iter().chain(self.downsample.as_ref().map(|(conv, _)| conv))
    }

    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.bn1.forward(&self.conv1.forward(x)).relu();
        let y = self.bn2.forward(&self.conv2.forward(&y));
        let same = match &self.downsample {
            Some((conv, norm)) => norm.forward(&conv.forward(x)),
            None => x.clone(),
        };
        (y + same).relu()
    }
}
