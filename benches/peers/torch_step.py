"""The workloads of benches/cpu_step.rs in PyTorch, eager: one JSON line per workload.

python torch_step.py [--threads 2] [--device cpu] [--seconds 5] [workload ...]
"""

import argparse
import json
import time

import torch
from torch import nn


def mlp(*sizes):
    layers = []
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        layers.append(nn.Linear(inputs, outputs))
        if i + 2 < len(sizes):
            layers += [nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def tabular(device):
    model = mlp(30, 64, 64, 1).to(device)
    x = torch.randn(128, 30, device=device)
    y = (x[:, :1] > 0).float()
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.7], device=device))
    return model, loss, torch.optim.AdamW(model.parameters(), lr=1e-3), x, y


def mid(device):
    model = mlp(784, 512, 512, 10).to(device)
    x = torch.randn(256, 784, device=device)
    y = torch.randint(0, 10, (256,), device=device)
    return model, nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3), x, y


def wide(device):
    model = mlp(1024, 2048, 2048, 1000).to(device)
    x = torch.randn(512, 1024, device=device)
    y = torch.randint(0, 1000, (512,), device=device)
    return model, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9), x, y


WORKLOADS = {"tabular": tabular, "mid": mid, "wide": wide}


def measure(name, device, seconds):
    torch.manual_seed(1)
    model, loss, optimizer, x, y = WORKLOADS[name](device)

    def step():
        optimizer.zero_grad()
        error = loss(model(x), y)
        error.backward()
        optimizer.step()
        return error.item()

    start = time.perf_counter()
    while time.perf_counter() - start < seconds / 4:
        step()
    times = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 10:
        before = time.perf_counter()
        step()
        times.append((time.perf_counter() - before) * 1e3)
    times.sort()
    median = times[len(times) // 2]
    return {
        "workload": name,
        "device": f"torch {torch.__version__} {device}, {torch.get_num_threads()} threads",
        "median_ms": median,
        "p10_ms": times[len(times) // 10],
        "p90_ms": times[len(times) * 9 // 10],
        "steps_per_s": 1e3 / median,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.workloads:
        print(json.dumps(measure(name, options.device, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
