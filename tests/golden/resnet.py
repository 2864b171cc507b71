"""torchvision's ResNet of basic blocks, in plain PyTorch: the same names, shapes and initial values.

    python tests/golden/resnet.py               # writes resnet.safetensors: a narrow ResNet-18
    python tests/golden/resnet.py FILE          # the full one, for an image of 224 x 224; see resnet.rs for its test

A file holds the state dict under `state/`, images `x`, and the logits in evaluation, in f64 and `f32/logits`. Convolutions and
head are as they begin after torch.manual_seed(11); norms have been changed, so that all of them tell.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        down = None
        if stride != 1 or inputs != outputs:
            down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = down

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, blocks=(2, 2, 2, 2), classes=1000, channels=3, width=64, small=False):
        super().__init__()
        stem = (3, 1, 1) if small else (7, 2, 3)
        self.conv1 = nn.Conv2d(channels, width, *stem, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        inputs = width
        for i, count in enumerate(blocks):
            outputs, layer = width << i, []
            for b in range(count):
                layer.append(Block(inputs, outputs, 2 if i > 0 and b == 0 else 1))
                inputs = outputs
            setattr(self, f"layer{i + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        y = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            y = layer(y)
        return self.fc(y.mean(dim=(2, 3)))


def main():
    torch.manual_seed(11)
    full = len(sys.argv) > 1
    model = ResNet() if full else ResNet(classes=5, width=3)
    generator = torch.Generator().manual_seed(12)
    draw = lambda like, low, high: torch.rand(like.shape, generator=generator) * (high - low) + low
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data, module.bias.data = draw(module.weight, 0.5, 1.2), draw(module.bias, -0.3, 0.3)
            module.running_mean, module.running_var = draw(module.bias, -0.3, 0.3), draw(module.bias, 0.5, 2.0)
            module.num_batches_tracked += 17
    x = torch.randn(2, 3, *((224, 224) if full else (40, 36)), generator=generator)
    tensors = {f"state/{key}": value.clone() for key, value in model.state_dict().items()}
    model.eval()
    with torch.no_grad():
        tensors |= {"x": x, "f32/logits": model(x), "logits": model.double()(x.double())}
    path = Path(sys.argv[1]) if full else Path(__file__).resolve().parent / "resnet.safetensors"
    save_file(tensors, path, metadata={"torch": torch.__version__.split("+")[0]})
    print(f"{len(tensors) - 3} keys, {path.stat().st_size} bytes, logits up to {tensors['logits'].abs().max():.3f}")


if __name__ == "__main__":
    main()
