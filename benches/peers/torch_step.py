"""The workloads of `wgrad bench` in PyTorch: one JSON line per workload.

python torch_step.py [--device cpu|cuda|cuda-graph] [--threads N] [--seconds S] [--read-every N] [WORKLOAD ...]

Everything is in float32, without TF32. A sample is a number of steps ended by a wait for the device; the loss stays on
the device unless --read-every asks for it. `cuda-graph` records one step and replays it. `first_ms` counts from the
start of this process, so give one workload per process where that matters; importing PyTorch is a large part of it.
"""

import argparse
import json
import os
import re
import time


def process_start():
    """When this process began, in seconds since the epoch; now where nobody tells."""
    try:
        with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
            since_boot = int(stat.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
            return time.time() - (float(uptime.read().split()[0]) - since_boot)
    except OSError:
        return time.time()


STARTED = process_start()

import torch  # noqa: E402
from torch import nn  # noqa: E402

SAMPLES = 30


def mlp(rows, *sizes):
    layers = []
    flop = 0
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        layers.append(nn.Linear(inputs, outputs))
        if i + 2 < len(sizes):
            layers += [nn.BatchNorm1d(outputs), nn.ReLU()]
        # Forward and both gradients; the model's input needs none.
        flop += (2 if i == 0 else 3) * 2 * rows * inputs * outputs
    return nn.Sequential(*layers), flop


def noise(*shape):
    return torch.rand(*shape) * 2 - 1


def tabular():
    model, flop = mlp(128, 30, 64, 64, 1)
    x = noise(128, 30)
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.7]))
    return model, loss, lambda p, **o: torch.optim.AdamW(p, lr=1e-3, **o), x, (x[:, :1] > 0).float(), flop


def mid():
    model, flop = mlp(256, 784, 512, 512, 10)
    adam = lambda p, **o: torch.optim.Adam(p, lr=1e-3, **o)  # noqa: E731
    return model, nn.CrossEntropyLoss(), adam, noise(256, 784), torch.randint(0, 10, (256,)), flop


def wide():
    model, flop = mlp(512, 1024, 2048, 2048, 1000)
    sgd = lambda p, **_: torch.optim.SGD(p, lr=1e-2, momentum=0.9)  # noqa: E731
    return model, nn.CrossEntropyLoss(), sgd, noise(512, 1024), torch.randint(0, 1000, (512,)), flop


def cnn():
    model = nn.Sequential(
        *[nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)],
    )
    conv = lambda pixels, inputs, outputs: 2 * 64 * pixels * inputs * 9 * outputs  # noqa: E731
    flop = 2 * conv(28 * 28, 1, 32) + 3 * conv(14 * 14, 32, 64) + 3 * 2 * 64 * (3136 * 128 + 128 * 10)
    adam = lambda p, **o: torch.optim.Adam(p, lr=1e-3, **o)  # noqa: E731
    return model, nn.CrossEntropyLoss(), adam, noise(64, 1, 28, 28), torch.randint(0, 10, (64,)), flop


MODELS = {"tabular": tabular, "mid": mid, "wide": wide, "cnn": cnn}
SQUARE, ROWS = (4096, 4096), (16384, 1024)


def training(name, device, graphed):
    """A function that runs one step and returns its loss, and the step's operations."""
    model, loss, make, x, y, flop = MODELS[name]()
    model, loss, x, y = (part.to(device) for part in (model, loss, x, y))
    optimizer = make(model.parameters(), **({"capturable": True} if graphed else {}))

    def step():
        optimizer.zero_grad(set_to_none=True)
        error = loss(model(x), y)
        error.backward()
        optimizer.step()
        return error.detach()

    if not graphed:
        return step, {"flop": flop}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        error = step()

    def replay():
        graph.replay()
        return error

    return replay, {"flop": flop}


def kernel(name, device):
    """A function that runs one kernel on what the device holds, and its operations or bytes."""
    size = lambda shape: 4 * shape[0] * shape[1]  # noqa: E731
    if match := re.fullmatch(r"matmul-(\d+)", name):
        n = int(match[1])
        a, b, y = (noise(n, n).to(device) for _ in range(3))
        return lambda: torch.matmul(a, b, out=y), {"flop": 2 * n**3}
    if name == "pointwise":
        a, b = noise(*SQUARE).to(device), noise(*SQUARE).to(device)
        return lambda: torch.relu(torch.addcmul(a, a, b)), {"bytes": 3 * size(SQUARE)}
    if name == "batch-norm":
        x, dy = noise(*ROWS).to(device).requires_grad_(), noise(*ROWS).to(device)
        norm = nn.BatchNorm1d(ROWS[1], track_running_stats=False).to(device)
        wanted = (x, norm.weight, norm.bias)
        return lambda: torch.autograd.grad(norm(x), wanted, dy), {"bytes": 4 * size(ROWS)}
    if name == "cross-entropy":
        z, y = noise(*ROWS).to(device).requires_grad_(), (torch.arange(ROWS[0]) % ROWS[1]).to(device)
        return lambda: torch.autograd.grad(nn.functional.cross_entropy(z, y), z), {"bytes": 2 * size(ROWS)}
    axes = {"sum": (0, 1), "sum-rows": 1, "sum-columns": 0}
    if name in axes:
        x = torch.rand(*SQUARE).to(device)
        return lambda: x.sum(axes[name]), {"bytes": size(SQUARE)}
    return None


def peak_rss():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


def adapter(device):
    if device != "cpu":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads"


def measure(name, options, started):
    torch.manual_seed(1)
    device = "cpu" if options.device == "cpu" else "cuda"
    wait = (lambda: None) if device == "cpu" else torch.cuda.synchronize
    if name in MODELS:
        step, work = training(name, device, options.device == "cuda-graph")
    elif found := kernel(name, device):
        step, work = found
    else:
        known = [*MODELS, "matmul-N", "pointwise", "batch-norm", "cross-entropy", "sum", "sum-rows", "sum-columns"]
        raise SystemExit(f"error: there is no workload {name}; there are {', '.join(known)}")

    def sample(steps):
        before = time.perf_counter()
        for i in range(1, steps + 1):
            result = step()
            if options.read_every and i % options.read_every == 0 and name in MODELS:
                result.item()
        wait()
        return (time.perf_counter() - before) * 1e3 / steps

    sample(1)
    first = (time.time() - started) * 1e3
    begin, warm = time.perf_counter(), 0
    while time.perf_counter() - begin < options.seconds / 4:
        sample(1)
        warm += 1
    steps = options.seconds / (time.perf_counter() - begin) * warm
    each = min(max(int(steps / SAMPLES), 1), 3000)
    times = sorted(sample(each) for _ in range(SAMPLES))
    at = lambda tenths: times[((SAMPLES - 1) * tenths + 5) // 10]  # noqa: E731
    line = {
        "peer": f"torch {torch.__version__}",
        "workload": name,
        "device": options.device,
        "adapter": adapter(device),
        "median_ms": at(5),
        "p10_ms": at(1),
        "p90_ms": at(9),
        "steps_per_s": 1e3 / at(5),
        "first_ms": first,
        "peak_rss_bytes": peak_rss(),
        "gflops": work["flop"] / at(5) / 1e6 if "flop" in work else None,
    }
    if "bytes" in work:
        line["gb_per_s"] = work["bytes"] / at(5) / 1e6
    return line


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "cuda-graph"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--read-every", type=int, default=0)
    parser.add_argument("workloads", nargs="*", default=list(MODELS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if options.device != "cpu" and not torch.cuda.is_available():
        raise SystemExit("error: PyTorch finds no CUDA device")
    started = STARTED
    for name in options.workloads:
        print(json.dumps(measure(name, options, started)), flush=True)
        started = time.time()


if __name__ == "__main__":
    main()
