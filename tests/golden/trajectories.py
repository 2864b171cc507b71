"""Write trajectories/NAME.safetensors: twenty training steps of a model in PyTorch 2.15.0, in f64.

    python tests/golden/trajectories.py [NAME...]        # in the environment of generate.py

A file holds

- `init/KEY`: the state dict before the first step, in f32;
- `in/NAME`: what the steps were fed, one after the other along the first axis, in f32 or i64;
- `losses`: the loss of each step, in f64.

To add a model: a function here that returns the module, its inputs, its loss and its optimizer; and an entry in
tests/trajectories.rs. Dropout must be off: its random numbers are not PyTorch's.
"""

import csv
import sys
from pathlib import Path

import torch
from resnet import ResNet
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
STEPS = 20


def digits(batch):
    """Pixels [steps, batch, 64] in [0, 1], and digits [steps, batch]."""
    with open(HERE.parents[1] / "examples/data/digits.csv") as file:
        rows = list(csv.reader(file))[1 : 1 + STEPS * batch]
    numbers = torch.tensor([[float(cell) for cell in row] for row in rows])
    return numbers[:, :64].reshape(STEPS, batch, 64) / 16, numbers[:, 64].long().reshape(STEPS, batch)


def digits_cnn():
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.0),
        nn.Linear(32, 10),
    )
    x, y = digits(16)
    loss = lambda model, x, y: F.cross_entropy(model(x), y)
    return model, {"x": x, "y": y}, loss, torch.optim.AdamW(model.parameters(), 1e-2)


def resnet_data():
    x, y = digits(12)
    return {"x": x.reshape(STEPS, 12, 1, 8, 8), "y": (y == 8).float().reshape(STEPS, 12, 1)}


def resnet():
    """Fine-tuning of all parameters of a narrow ResNet-18 with one logit."""
    model = ResNet(classes=1, channels=1, width=3, small=True)
    loss = lambda model, x, y: F.binary_cross_entropy_with_logits(model(x), y)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    return model, resnet_data(), loss, optimizer


def resnet_frozen():
    """Training of the head alone: the backbone is frozen, and its batch norms use and keep running statistics."""
    model = ResNet(classes=1, channels=1, width=3, small=True)
    with torch.no_grad():
        for _ in range(5):  # statistics unlike those of a new model
            model(torch.rand(16, 1, 8, 8))
    model.requires_grad_(False)
    model.eval()
    model.fc.requires_grad_(True)
    loss = lambda model, x, y: F.binary_cross_entropy_with_logits(model(x), y, pos_weight=torch.tensor(9.0, dtype=x.dtype))
    return model, resnet_data(), loss, torch.optim.Adam(model.fc.parameters(), 0.01)


MODELS = [digits_cnn, resnet, resnet_frozen]


def record(build):
    torch.manual_seed(7)
    model, inputs, loss, optimizer = build()
    tensors = {f"init/{key}": value.clone() for key, value in model.state_dict().items()}
    tensors |= {f"in/{key}": value.contiguous() for key, value in inputs.items()}
    model.double()
    losses = []
    for step in range(STEPS):
        fed = [value[step].double() if value.is_floating_point() else value[step] for value in inputs.values()]
        value = loss(model, *fed)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    path = HERE / "trajectories" / f"{build.__name__}.safetensors"
    save_file(tensors, path, metadata={"torch": torch.__version__.split("+")[0]})
    print(f"{build.__name__}: {losses[0]:.4f} to {losses[-1]:.4f}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for build in MODELS:
        if len(sys.argv) == 1 or build.__name__ in sys.argv[1:]:
            record(build)
