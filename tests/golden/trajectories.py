"""Write trajectories/NAME.safetensors: twenty training steps of a model in PyTorch 2.15.0, in f64.

    python tests/golden/trajectories.py [NAME...]        # in the environment of generate.py

A file holds

- `init/KEY`: the state dict before the first step, in f32;
- `in/NAME`: what the steps were fed, one after the other along the first axis, in f32 or i64;
- `losses`: the loss of each step, in f64.

A seed is passed over whose losses depend on how numbers are rounded: no processor could be held to them.

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
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
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
    optimizer = torch.optim.SGD(model.parameters(), 0.003, momentum=0.9, weight_decay=1e-4)
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


class TwoHeads(nn.Module):
    """examples/models/two_heads.rs"""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 64), nn.Linear(64, 64)
        self.digit, self.properties = nn.Linear(64, 10), nn.Linear(64, 4)

    def forward(self, x):
        trunk = F.relu(self.fc2(F.relu(self.fc1(x))))
        return self.digit(trunk), self.properties(trunk)


def multi_label():
    model = TwoHeads()
    x, y = digits(16)
    facts = torch.tensor([[d % 2 == 0, d in (2, 3, 5, 7), d > 4, d in (0, 6, 8, 9)] for d in range(10)]).double()

    def loss(model, x, y):
        digit, properties = model(x)
        balance = torch.tensor([1, 1.5, 1, 1.5], dtype=torch.float64)
        return F.cross_entropy(digit, y) + F.binary_cross_entropy_with_logits(properties, facts[y], pos_weight=balance)

    return model, {"x": x, "y": y}, loss, torch.optim.AdamW(model.parameters(), 3e-3)


class Coral(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.coral_weights = nn.Linear(inputs, 1, bias=False)
        self.coral_bias = nn.Parameter(torch.arange(classes - 1, 0, -1).float() / (classes - 1))

    def forward(self, x):
        return self.coral_weights(x) + self.coral_bias


def ordinal():
    """examples/models/grader.rs with a CORAL layer, on digits as grades."""
    model = nn.ModuleDict({"fc1": nn.Linear(64, 32), "output": Coral(32, 10)})
    x, y = digits(16)

    def loss(model, x, y):
        above = (y[:, None] > torch.arange(9)).double()
        logits = model["output"](F.relu(model["fc1"](x)))
        return F.binary_cross_entropy_with_logits(logits, above, reduction="none").sum(1).mean()

    return model, {"x": x, "y": y}, loss, torch.optim.AdamW(model.parameters(), 5e-3, weight_decay=0.01)


def one_logit_or_two():
    """examples/models/one_logit.rs: the losses of one logit and of two, both with a weight for the positive class."""
    model = nn.ModuleDict({"fc": nn.Linear(64, 1)})
    x, y = digits(16)

    def loss(model, x, y):
        z = model["fc"](x)
        one = F.binary_cross_entropy_with_logits(z, y[:, None].double(), pos_weight=torch.tensor(3.0))
        return one + F.cross_entropy(torch.cat([torch.zeros_like(z), z], 1), y, weight=torch.tensor([1.0, 3.0]).double())

    return model, {"x": x, "y": (y > 4).long()}, loss, torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True)


class TextCnn(nn.Module):
    """examples/models/text_cnn.rs"""

    def __init__(self, characters, channels, classes):
        super().__init__()
        self.embedding = nn.Embedding(characters, 16, padding_idx=0)
        self.convs = nn.ModuleList([nn.Conv1d(16, channels, width) for width in (3, 4, 5)])
        self.norm = nn.BatchNorm1d(3 * channels)
        self.fc1, self.fc2 = nn.Linear(3 * channels, 32), nn.Linear(32, classes)

    def forward(self, x):
        x = self.embedding(x).transpose(1, 2)
        x = torch.cat([F.relu(conv(x)).amax(-1) for conv in self.convs], 1)
        return self.fc2(F.relu(self.fc1(self.norm(x))))


def text_cnn():
    model = TextCnn(20, 6, 3)
    # Lines of different lengths, the rest is padding; the first character tells the class.
    x, lengths = torch.randint(1, 20, (STEPS, 16, 12)), torch.randint(5, 13, (STEPS, 16, 1))
    x = x * (torch.arange(12) < lengths)
    loss = lambda model, x, y: F.cross_entropy(model(x), y, weight=torch.tensor([1.0, 2.0, 0.5]).double())
    # Not Adam: batch norm takes the convolutions' biases out again, where every largest answer is above 0. Their
    # gradient is then rounding alone, which Adam would scale up to whole steps, in each precision others.
    return model, {"x": x, "y": x[:, :, 0] % 3}, loss, torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)


class CharTransformer(nn.Module):
    """examples/models/char_transformer.rs"""

    def __init__(self, characters, context, features, heads, layers):
        super().__init__()
        self.characters, self.places = nn.Embedding(characters, features), nn.Embedding(context, features)
        layer = nn.TransformerEncoderLayer(
            features, heads, 4 * features, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(features), enable_nested_tensor=False)
        self.head = nn.Linear(features, characters)

    def forward(self, x):
        length = x.shape[1]
        text = self.characters(x) + self.places(torch.arange(length))
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        return self.head(self.encoder(text, mask=mask, is_causal=True))


def char_transformer():
    model = CharTransformer(12, 10, 16, 4, 2)
    with torch.no_grad():  # the copies of one layer become different ones
        for parameter in model.encoder.layers[1].parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    # Each character follows from the one before.
    begin = torch.randint(0, 12, (STEPS, 8, 1))
    text = (begin + 5 * torch.arange(11) + torch.randint(0, 2, (STEPS, 8, 11))) % 12
    loss = lambda model, x, y: F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    inputs = {"x": text[:, :, :10], "y": text[:, :, 1:]}
    return model, inputs, loss, torch.optim.AdamW(model.parameters(), 3e-3)


MODELS = [digits_cnn, resnet, resnet_frozen, multi_label, ordinal, one_logit_or_two, text_cnn, char_transformer]


def train(build, seed, shaken=None):
    """Initial tensors with what is fed, and the loss of each step; roundings of f32 are imitated with the seed `shaken`."""
    torch.manual_seed(seed)
    model, inputs, loss, optimizer = build()
    tensors = {f"init/{key}": value.clone() for key, value in model.state_dict().items()}
    tensors |= {f"in/{key}": value.contiguous() for key, value in inputs.items()}
    model.double()
    noise = None if shaken is None else torch.Generator().manual_seed(shaken)
    losses = []
    for step in range(STEPS):
        if noise is not None:
            with torch.no_grad():
                for value in model.parameters():
                    value *= 1 + 2**-21 * (2 * torch.rand(value.shape, generator=noise, dtype=torch.float64) - 1)
        fed = [value[step].double() if value.is_floating_point() else value[step] for value in inputs.values()]
        value = loss(model, *fed)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return tensors, losses


def spread(build, seed, losses):
    """How far roundings lead away from the losses. Where one moves a value over the kink of a ReLU, it is by percents: which
    processor rounds to which side is then chance, and a test says nothing."""
    others = (train(build, seed, shaken)[1] for shaken in range(40))
    return max(abs(a - b) / b for other in others for a, b in zip(other, losses))


def record(build):
    seed = 7
    while (off := spread(build, seed, train(build, seed)[1])) > 5e-5:
        print(f"{build.__name__}: with the seed {seed}, roundings lead {off:.0e} away")
        seed += 1
    tensors, losses = train(build, seed)
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    path = HERE / "trajectories" / f"{build.__name__}.safetensors"
    save_file(tensors, path, metadata={"torch": torch.__version__.split("+")[0]})
    print(f"{build.__name__}: {losses[0]:.4f} to {losses[-1]:.4f}, {off:.0e}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for build in MODELS:
        if len(sys.argv) == 1 or build.__name__ in sys.argv[1:]:
            record(build)
