"""Write seeds.safetensors: what PyTorch 2.15.0 draws after torch.manual_seed, on an x86 CPU with AVX2, in f32.

    python tests/golden/seeds.py        # in the environment of generate.py

Tensors are named CASE/NAME; the metadata's key `cases` holds what was built, as JSON:

- `build`: modules in their order, each as [kind, arguments]; their parameters are NUMBER.weight and so on.
- `orders`: the rows that a shuffled loader gave, epoch after epoch, after a Linear(3, 2) was built.
- `fit`: the losses of a small training, whose rows and initial values follow from the seed alone.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(__file__).resolve().parent
KINDS = {
    "linear": nn.Linear,
    "conv1d": nn.Conv1d,
    "conv2d": nn.Conv2d,
    "conv_transpose1d": nn.ConvTranspose1d,
    "conv_transpose2d": nn.ConvTranspose2d,
    "embedding": nn.Embedding,
    "embedding_padded": lambda rows, width: nn.Embedding(rows, width, padding_idx=0),
    "lstm": lambda *sizes: nn.LSTM(*sizes, num_layers=2, bidirectional=True, proj_size=2),
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "gru_cell": nn.GRUCell,
    "bilinear": nn.Bilinear,
    "attention": nn.MultiheadAttention,
    "attention_extra": lambda e, heads, k, v: nn.MultiheadAttention(e, heads, kdim=k, vdim=v, add_bias_kv=True),
    "encoder": lambda e, heads, hidden, layers: nn.TransformerEncoder(nn.TransformerEncoderLayer(e, heads, hidden), layers),
    "batch_norm": nn.BatchNorm1d,
    "layer_norm": nn.LayerNorm,
    "uniform": lambda n, low, high: drawn(torch.empty(n).uniform_(low, high)),
    "normal": lambda n, mean, std: drawn(torch.empty(n).normal_(mean, std)),
    "xavier_uniform": lambda out, inputs: drawn(nn.init.xavier_uniform_(torch.empty(out, inputs))),
    "kaiming_normal": lambda out, inputs: drawn(nn.init.kaiming_normal_(torch.empty(out, inputs), nonlinearity="relu")),
}
tensors, cases = {}, {"build": [], "orders": [], "fit": []}


def drawn(weight):
    module = nn.Module()
    module.weight = nn.Parameter(weight)
    return module


def build(name, seed, modules):
    torch.manual_seed(seed)
    for i, (kind, arguments) in enumerate(modules):
        for key, value in KINDS[kind](*arguments).named_parameters():
            tensors[f"{name}/{i}.{key}"] = value.detach().clone()
    cases["build"].append({"name": name, "seed": seed, "modules": modules})


def orders(name, seed, rows, batch, drop_last=False, own=False, epochs=4):
    torch.manual_seed(seed)
    layer = nn.Linear(3, 2)
    assert layer.weight.shape == (2, 3)
    generator = torch.Generator().manual_seed(seed) if own else None
    loader = DataLoader(torch.arange(rows), batch, shuffle=True, drop_last=drop_last, generator=generator)
    tensors[f"{name}/rows"] = torch.cat([batch for _ in range(epochs) for batch in loader]).to(torch.int32)
    cases["orders"].append({"name": name, "seed": seed, "rows": rows, "batch": batch, "drop_last": drop_last, "own": own, "epochs": epochs})


def fit(name, seed, rows, batch, drop_last=False, epochs=3, shuffle=True):
    """A fit and then another one, as two calls of the trainer; each epoch ends with a pass over some validation rows."""
    numbers = torch.arange(rows * 4, dtype=torch.float32).reshape(rows, 4)
    x = (numbers * 7 % 17) / 16 - 0.5
    y = (numbers[:, :1] % 3 == 0).float()
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).double()
    train = DataLoader(TensorDataset(x, y), batch, shuffle=shuffle, drop_last=drop_last)
    validation = DataLoader(TensorDataset(x[:10], y[:10]), 10)
    optimizer, criterion = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9), nn.BCEWithLogitsLoss()
    losses, checks = [], []
    for _ in range(2 * epochs):
        for features, target in train:
            loss = criterion(model(features.double()), target.double())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            for features, target in validation:
                checks.append(criterion(model(features.double()), target.double()).item())
    tensors[f"{name}/x"], tensors[f"{name}/y"] = x, y
    tensors[f"{name}/losses"] = torch.tensor(losses, dtype=torch.float64)
    tensors[f"{name}/checks"] = torch.tensor(checks, dtype=torch.float64)
    cases["fit"].append({"name": name, "seed": seed, "batch": batch, "drop_last": drop_last, "epochs": epochs, "shuffle": shuffle})


def main():
    assert torch.__version__.startswith("2.15.0") and torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    sizes = [*range(1, 41), 1000]
    build("uniform-sizes", 0, [["uniform", [n, -0.3, 0.75]] for n in sizes])
    build("normal-sizes", 1, [["normal", [n, 0.25, 1.5]] for n in sizes])
    build("normals-and-uniforms", 2**40 + 5, [[("normal", "uniform")[n % 2], [n % 23 + 1, -1, 2]] for n in range(60)])
    build("linears", 7, [["linear", [n, n % 5 + 1]] for n in sizes[:20]] + [["linear", [4, 3, False]], ["linear", [64, 10]]])
    convolutions = [
        ["conv1d", [4, 3, 3]],
        ["conv2d", [3, 8, 3]],
        ["conv2d", [8, 8, 3, 2, 1, 1, 4]],
        ["conv2d", [2, 5, [1, 4]]],
        ["conv_transpose1d", [4, 6, 5]],
        ["conv_transpose2d", [6, 4, 3, 2, 1, 1, 2]],
        ["conv2d", [1, 2, 1]],
    ]
    build("convolutions", 123456789, convolutions)
    build("embeddings", 2**64 - 3, [["embedding", [n, w]] for n, w in ((1, 1), (3, 5), (4, 4), (10, 7), (50, 16))] + [["embedding_padded", [5, 9]]])
    mixed = [
        ["embedding", [5, 3]],
        ["linear", [3, 4]],
        ["layer_norm", [4]],
        ["batch_norm", [4]],
        ["embedding", [3, 1]],
        ["conv2d", [1, 3, 2]],
        ["xavier_uniform", [5, 7]],
        ["kaiming_normal", [6, 3]],
        ["linear", [0, 3]],
        ["linear", [2, 2]],
    ]
    build("mixed", 3, mixed)
    composed = [
        ["attention", [4, 2]],
        ["lstm", [3, 4]],
        ["encoder", [4, 2, 6, 3]],
        ["gru", [2, 3]],
        ["attention_extra", [4, 2, 3, 5]],
        ["rnn", [3, 2]],
        ["bilinear", [3, 2, 2]],
        ["gru_cell", [2, 2]],
        ["embedding", [2, 3]],
    ]
    build("composed", 31, composed)
    for rows in (1, 2, 5, 16, 103, 1000):
        orders(f"order-{rows}", rows, rows, 7)
    orders("order-dropped", 9, 50, 8, drop_last=True)
    orders("order-own", 4, 29, 8, own=True)
    orders("order-own-dropped", 5, 29, 8, own=True, drop_last=True)
    fit("fit", 5, 49, 16)
    fit("fit-dropped", 6, 50, 16, drop_last=True)
    fit("fit-in-order", 8, 20, 8, shuffle=False)
    tensors_ = {name: value.contiguous() for name, value in sorted(tensors.items())}
    save_file(tensors_, HERE / "seeds.safetensors", metadata={"torch": "2.15.0", "cases": json.dumps(cases)})
    print(f"{len(tensors)} tensors, {sum(t.numel() for t in tensors.values())} values")


if __name__ == "__main__":
    main()
