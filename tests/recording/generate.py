"""The recordings that tests/lockstep.rs follows: one step of an MLP as it should be, and with one thing changed; and one of
a model that calls a layer twice.

    python3 tests/recording/generate.py
"""

import pathlib
import sys

import torch

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent.parent / "examples"))
from record_pytorch import record  # noqa: E402


class Biased(torch.nn.BatchNorm1d):
    """Tracks the biased variance."""

    def forward(self, x):
        before = self.running_var.clone()
        y = super().forward(x)
        biased = x.detach().var(0, unbiased=False)
        self.running_var.data.copy_(before * (1 - self.momentum) + biased * self.momentum)
        return y


class Halved(torch.nn.Module):
    """A ReLU whose gradient is halved."""

    def forward(self, x):
        y = torch.relu(x)
        return 0.5 * y + 0.5 * y.detach()


def make(name, norm=torch.nn.BatchNorm1d, relu=torch.nn.ReLU, lr=1e-2, **options):
    torch.manual_seed(5)
    model = torch.nn.Sequential(
        torch.nn.Linear(6, 10),
        norm(10, **options),
        relu(),
        torch.nn.Linear(10, 8),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Linear(8, 1),
    )
    x = torch.randn(16, 6) * 2 + 1
    y = (x[:, :1] + x[:, 1:2] > 2).float()
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    loss = record(FOLDER / f"{name}.safetensors", model, optimizer, torch.nn.BCEWithLogitsLoss(), x, y)
    print(f"{name}: loss {loss:.6f}")


class Second(torch.nn.Linear):
    """A linear layer whose second call is a little off."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * (1.001 if self.calls == 2 else 1)


class Twice(torch.nn.Module):
    """Calls a layer and the norm after it twice."""

    def __init__(self, mix):
        super().__init__()
        self.first = torch.nn.Linear(6, 5)
        self.block = torch.nn.Sequential(mix(5, 5), torch.nn.LayerNorm(5), torch.nn.Tanh(), torch.nn.Dropout(0.0))
        self.head = torch.nn.Linear(5, 1)

    def forward(self, x):
        return self.head(self.block(self.block(self.first(x))))


def twice(name, mix=torch.nn.Linear):
    torch.manual_seed(6)
    model = Twice(mix)
    x = torch.randn(8, 6)
    y = (x[:, :1] > 0).float()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    loss = record(FOLDER / f"{name}.safetensors", model, optimizer, torch.nn.BCEWithLogitsLoss(), x, y)
    print(f"{name}: loss {loss:.6f}")


def refused():
    """Dropout that is on."""
    model = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    try:
        record("refused.safetensors", model, optimizer, torch.nn.MSELoss(), torch.randn(8, 6), torch.randn(8, 1))
    except ValueError as error:
        assert "dropout is on in 1 (0.5)" in str(error), error
    else:
        raise AssertionError("dropout was recorded")


refused()
twice("twice")
twice("second", mix=Second)
make("right")
make("eps", eps=1e-2)
make("momentum", momentum=0.2)
make("biased", norm=Biased)
make("gradient", relu=Halved)
make("rate", lr=2e-2)
