"""What torch's optimizers do: tests/torch/optim.safetensors and optim.json, from torch's own `optim_db`.

    python tests/torch/optim.py

Every option set of `optim_db`, and more of each optimizer's own, over six steps with the same seeded gradients for all, on
parameters of several shapes. The index: `supported` optimizers with their `cases` and `errors`, and the names of `absent`
ones with how many option sets each has. A case has its options, and `off` per tensor: how far torch's f32 run is from the
truth, and how far the truth moves when parameters and gradients change by 2^-24. Values are F64 after each step,
`<case>/<step>.<parameter>`; `begin.<parameter>` and `grad.<step>.<parameter>` are F32 and the same for all cases.
torch 2.15.0.
"""
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch.testing._internal.common_optimizers import optim_db

STEPS = 6
SHAPES = {"scalar": (), "one": (1, 1), "vector": (5,), "matrix": (3, 4), "kernel": (2, 3, 2)}
SUPPORTED = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam"]
# Ways of computing the same.
IMPLEMENTATIONS = ["foreach", "fused", "capturable", "differentiable"]
MORE = {
    "SGD": [
        dict(momentum=0.9, dampening=0.5, maximize=True),
        dict(momentum=0.5, nesterov=True),
        dict(momentum=0.9, nesterov=True, weight_decay=0.1, maximize=True),
        dict(lr=0.1, momentum=0.9, dampening=0.9, weight_decay=0.01),
        dict(lr=0.0, momentum=0.9),
    ],
    "Adam": [
        dict(betas=(0.5, 0.6)),
        dict(betas=(0.0, 0.0)),
        dict(eps=0.1, amsgrad=True, maximize=True),
        dict(weight_decay=0.1, decoupled_weight_decay=True),
    ],
    "AdamW": [dict(betas=(0.8, 0.95), eps=1e-3), dict(weight_decay=0.0), dict(lr=0.1, amsgrad=True, maximize=True)],
    "RMSprop": [
        dict(momentum=0.9),
        dict(alpha=0.5, eps=1e-2),
        dict(alpha=0.0),
        dict(centered=True),
        dict(lr=0.1, centered=True, momentum=0.9, eps=0.1),
    ],
    "Adagrad": [dict(lr_decay=0.1), dict(eps=0.5), dict(initial_accumulator_value=2.0, lr_decay=0.3, maximize=True)],
    "Adadelta": [dict(rho=0.5, eps=1e-2), dict(rho=0.0), dict(rho=1.0)],
    "Adamax": [dict(betas=(0.5, 0.6), eps=1e-2), dict(betas=(0.0, 0.0))],
    "NAdam": [
        dict(betas=(0.5, 0.6), eps=1e-2),
        dict(momentum_decay=0.0),
        dict(lr=0.1, momentum_decay=0.5, weight_decay=0.1, decoupled_weight_decay=True, maximize=True),
    ],
    "RAdam": [
        dict(betas=(0.5, 0.6)),
        dict(betas=(0.9, 0.99), lr=0.1),
        dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True, maximize=True),
    ],
}



class Lion(torch.optim.Optimizer):
    """The program of Chen et al., "Symbolic discovery of optimization algorithms", 2023; torch has none."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False, foreach=None):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (b1, b2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
            for p in group["params"]:
                g = -p.grad if group["maximize"] else p.grad
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                update = torch.sign(b1 * m + (1 - b1) * g)
                p.sub_(lr * (update + decay * p))
                m.copy_(b2 * m + (1 - b2) * g)


LION = [{}, dict(lr=0.1), dict(lr=0.01, weight_decay=0.1), dict(betas=(0.5, 0.6)), dict(betas=(0.0, 0.0), lr=0.1),
        dict(lr=0.01, betas=(0.95, 0.98), weight_decay=1.0, maximize=True)]

EPS = 2.0**-24
begin, grads = {}, {}
random = np.random.default_rng(20261121)
for name, shape in SHAPES.items():
    begin[name] = random.standard_normal(shape).astype(np.float32).astype(np.float64)
    for step in range(1, STEPS + 1):
        grads[step, name] = random.standard_normal(shape).astype(np.float32).astype(np.float64)


def plain(options):
    return {key: float(value) if isinstance(value, torch.Tensor) else value for key, value in options.items()}


def run(cls, options, dtype, shake=None):
    torch.set_default_dtype(dtype)
    change = (lambda x: x * (1 + EPS * shake.uniform(-1, 1, x.shape))) if shake else (lambda x: x)
    params = {name: torch.nn.Parameter(torch.tensor(change(value), dtype=dtype)) for name, value in begin.items()}
    optimizer = cls(list(params.values()), foreach=False, **options)
    found = {}
    for step in range(1, STEPS + 1):
        for name, param in params.items():
            param.grad = torch.tensor(change(grads[step, name]), dtype=dtype)
        optimizer.step()
        for name, param in params.items():
            found[f"{step}.{name}"] = param.detach().double().numpy().copy()
    torch.set_default_dtype(torch.float32)
    return found


def distance(found, truth):
    return float(np.max(np.abs(found - truth) / np.maximum(1, np.abs(truth)), initial=0.0))


def error_of(item):
    """A call that fails because of its options; none if because of what is given as parameters."""
    options = item.optimizer_error_input.kwargs
    if not options:
        return None
    try:
        options = json.loads(json.dumps(options))
    except TypeError:
        options = None
    return {"options": options, "text": item.error_regex}


tensors = {f"begin.{name}": value.astype(np.float32) for name, value in begin.items()}
tensors |= {f"grad.{step}.{name}": value.astype(np.float32) for (step, name), value in grads.items()}
index = {"torch": torch.__version__.split("+")[0], "steps": STEPS, "implementations": IMPLEMENTATIONS}
index |= {"supported": {}, "absent": {}}


def record(cls, all_options):
    name, cases = cls.__name__, []
    for number, options in enumerate(all_options):
        assert not set(options) & set(IMPLEMENTATIONS)
        truth = run(cls, options, torch.float64)
        own = run(cls, options, torch.float32)
        off = {key: [distance(own[key], truth[key]), 0.0] for key in truth}
        shake = np.random.default_rng(number)
        for _ in range(4):
            for key, moved in run(cls, options, torch.float64, shake).items():
                off[key][1] = max(off[key][1], distance(moved, truth[key]))
        defaults = cls([torch.nn.Parameter(torch.zeros(1))]).defaults
        label = ", ".join(f"{key}={value}" for key, value in options.items()) or "defaults"
        options = {key: value for key, value in {**defaults, **options}.items() if key not in IMPLEMENTATIONS}
        cases.append({"case": f"{name}.{number}", "label": label, "options": plain(options), "off": off})
        tensors.update({f"{name}.{number}/{key}": value for key, value in truth.items()})
    return cases


for info in sorted(optim_db, key=lambda info: info.optim_cls.__name__):
    name = info.optim_cls.__name__
    inputs = [plain(item.kwargs) for item in info.optim_inputs_func("cpu")]
    if name not in SUPPORTED:
        index["absent"][name] = len(inputs)
        continue
    errors = [error for item in info.optim_error_inputs_func("cpu", torch.float64) if (error := error_of(item))]
    cases = record(info.optim_cls, inputs + MORE[name])
    index["supported"][name] = {"from_optim_db": len(inputs), "cases": cases, "errors": errors}
index["supported"]["Lion"] = {"from_optim_db": 0, "cases": record(Lion, LION), "errors": []}

folder = Path(__file__).parent
(folder / "optim.json").write_text(json.dumps(index, indent=1) + "\n")
(folder / "optim.safetensors").write_bytes(save(dict(sorted(tensors.items()))))
sizes = [(folder / file).stat().st_size for file in ("optim.json", "optim.safetensors")]
count = sum(len(optimizer["cases"]) for optimizer in index["supported"].values())
print(count, "cases,", sizes, "bytes")
