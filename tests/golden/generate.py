"""Write the golden fixtures: what PyTorch 2.15.0 computes for wgrad's layers, losses and optimizers.

    python3 -m venv venv && . venv/bin/activate
    pip install torch==2.15.0 numpy safetensors
    python tests/golden/generate.py
    python tests/golden/check.py        # recomputes every fixture from its formula; needs numpy and safetensors only

Runs on the CPU in seconds. It writes one safetensors file per group, and index.json, next to itself; README.md tells the format.

Every case draws its inputs in f32, from a generator seeded with the case's own name: a new case leaves the others as they are.
The same inputs then run twice, in f64 (the truth) and in f32 (what a PyTorch user sees). Every gradient is taken with a random
cotangent, never 1, so that a rule which drops its incoming gradient does not pass.
"""

import json
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch import nn
from torch.nn import functional as F

TORCH_VERSION = "2.15.0"
HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "examples" / "data"
REDUCTIONS = ("none", "mean", "sum")


class Draw:
    """Random inputs of one case."""

    def __init__(self, group, name):
        self.rng = np.random.RandomState(zlib.crc32(f"{group}/{name}".encode()))

    def normal(self, *shape, mean=0.0, std=1.0):
        return np.float32(mean + std * self.rng.standard_normal(shape))

    def uniform(self, low, high, *shape):
        return np.float32(self.rng.uniform(low, high, shape))

    def below(self, bound, *shape):
        return np.asarray(self.rng.randint(0, bound, shape), dtype=np.int64)

    def cotangent(self, *shape):
        """The gradient that flows into an output: a scalar one is at least 1.5, so never close to 1."""
        return self.normal(*shape) if shape else self.uniform(1.5, 3.0)


class Group:
    """The cases of one safetensors file."""

    def __init__(self, name):
        self.name, self.tensors, self.cases = name, {}, {}

    def draw(self, case):
        return Draw(self.name, case)

    def add(self, case, options, inputs, compute, f32_inputs=()):
        """Run `compute` (tensors in, tensors out) in f64 and in f32 and keep inputs and outputs.

        An input of None is left out. The inputs named in `f32_inputs` are stored as F32 instead of F64, to save space.
        """
        assert case not in self.cases and "/" not in case, case
        inputs = {name: np.asarray(value) for name, value in inputs.items() if value is not None}
        for name, value in inputs.items():
            assert value.dtype in (np.float32, np.int64), (case, name, value.dtype)

        tensors = {n: v if n in f32_inputs or v.dtype == np.int64 else v.astype(np.float64) for n, v in inputs.items()}
        outputs = run(compute, inputs, torch.float64)
        tensors.update(outputs)
        tensors.update({f"f32/{n}": v for n, v in run(compute, inputs, torch.float32).items() if v.dtype != np.int64})

        if any(np.isnan(value).any() for value in outputs.values()):
            options = {**options, "nan": True}
        assert not any(np.isinf(value).any() for value in tensors.values()), case
        self.cases[case] = {"name": case, "options": options, "tensors": list(tensors)}
        self.tensors.update({f"{case}/{name}": np.array(value, order="C") for name, value in tensors.items()})

    def save(self):
        (HERE / f"{self.name}.safetensors").write_bytes(save(self.tensors, metadata={"torch": TORCH_VERSION}))


def run(compute, inputs, dtype):
    def tensor(value):
        copy = torch.from_numpy(np.array(value))
        return copy.to(dtype) if copy.is_floating_point() else copy

    outputs = compute({name: tensor(value) for name, value in inputs.items()}, dtype)
    return {name: value.detach().numpy().copy() for name, value in outputs.items()}


def kebab(*parts):
    return "-".join(str(part) for part in parts if part)


# Layers and element-wise functions


def linear():
    group = Group("linear")
    shapes = {  # name: (shape of x, out_features)
        "batch": ((5, 4), 3),
        "single-row": ((1, 4), 3),
        "leading-two": ((2, 3, 4), 5),
        "leading-three": ((2, 1, 3, 4), 2),
        "one-dimensional": ((4,), 3),
        "in-one": ((6, 1), 4),
        "out-one": ((6, 4), 1),
        "one-by-one": ((3, 1), 1),
        "sixty-five-rows": ((65, 33), 17),
    }
    for (label, (shape, out)), bias in product(shapes.items(), (True, False)):
        name = kebab(label, not bias and "no-bias")
        draw = group.draw(name)
        inputs = {
            "x": draw.normal(*shape),
            "weight": draw.normal(out, shape[-1]),
            "bias": draw.normal(out) if bias else None,
            "cotangent": draw.cotangent(*shape[:-1], out),
        }

        def compute(t, _):
            leaves = {key: t[key].requires_grad_() for key in ("x", "weight", "bias") if key in t}
            y = F.linear(t["x"], t["weight"], t.get("bias"))
            y.backward(t["cotangent"])
            return {"y": y, **{f"d{key}": leaf.grad for key, leaf in leaves.items()}}

        group.add(name, {"in_features": shape[-1], "out_features": out, "bias": bias}, inputs, compute)
    return group


def batch_norm():
    """BatchNorm1d. Calls are numbered from 1; `running_mean.0` is before the first call, `.1` after it, and so on."""
    group = Group("batch_norm")

    def case(name, shape, *, training=True, mean=0.0, std=1.0, fresh=False, tracked=5, constant=False, **options):
        """`fresh` starts with the buffers of a new layer, otherwise from drawn statistics and `tracked` batches."""
        features = shape[1]
        options = {"eps": 1e-5, "momentum": 0.1, "affine": True, "bias": True, "track_running_stats": True, **options}
        calls = 2 if training else 1
        track, affine = options["track_running_stats"], options["affine"]
        draw = group.draw(name)
        inputs = {
            "weight": draw.uniform(0.5, 1.5, features) if affine else None,
            "bias": draw.normal(features) if affine and options["bias"] else None,
        }
        if track:
            drawn_mean, drawn_var = draw.normal(features, mean=mean), draw.uniform(0.5, 2.0, features)
            inputs["running_mean.0"] = np.zeros(features, np.float32) if fresh else drawn_mean
            inputs["running_var.0"] = np.ones(features, np.float32) if fresh else drawn_var
            inputs["num_batches_tracked.0"] = np.int64(0 if fresh else tracked)
        for call in range(1, calls + 1):
            x = draw.normal(*shape, mean=mean, std=std)
            if constant:
                x[:, 0] = 5.0
            inputs[f"x.{call}"] = x
            inputs[f"cotangent.{call}"] = draw.cotangent(*shape)

        def compute(t, dtype):
            layer = nn.BatchNorm1d(features, dtype=dtype, **options).train(training)
            layer.load_state_dict({key.removesuffix(".0"): t[key] for key in t if key.split(".")[0] not in ("x", "cotangent")})
            outputs = {}
            for call in range(1, calls + 1):
                layer.zero_grad()
                x = t[f"x.{call}"].requires_grad_()
                y = layer(x)
                y.backward(t[f"cotangent.{call}"])
                outputs |= {f"y.{call}": y, f"dx.{call}": x.grad}
                outputs |= {f"d{key}.{call}": value.grad.clone() for key, value in layer.named_parameters()}
                outputs |= {f"{key}.{call}": value.clone() for key, value in layer.named_buffers()}
            return outputs

        group.add(name, {"num_features": features, **options, "training": training, "calls": calls}, inputs, compute)

    for shape, training, affine in product(((8, 4), (5, 3, 6)), (True, False), (True, False)):
        dims = "ncl" if len(shape) == 3 else "nc"
        case(kebab(dims, "train" if training else "eval", not affine and "no-affine"), shape, training=training, affine=affine)
    for momentum, (label, start) in product(
        (0.1, 0.37, 0.0, 1.0, None), (("fresh", {"fresh": True}), ("tracked-5", {"tracked": 5}))
    ):
        case(kebab("momentum", str(momentum).lower(), label), (6, 3), momentum=momentum, **start)
    case("momentum-none-ncl", (3, 2, 5), momentum=None, fresh=True)
    for training, affine in product((True, False), (True, False)):
        name = kebab("untracked", "train" if training else "eval", not affine and "no-affine")
        case(name, (7, 3), training=training, affine=affine, track_running_stats=False)
    case("untracked-ncl-eval", (4, 3, 5), training=False, track_running_stats=False)
    for eps in (1e-5, 1e-3):  # a small deviation, so that eps counts
        case(f"eps-{eps:g}-train", (8, 3), std=0.02, eps=eps)
        case(f"eps-{eps:g}-eval", (8, 3), std=0.02, eps=eps, training=False)
    case("offset-1000-train", (64, 3), mean=1000.0, fresh=True)
    case("offset-1000-ncl-train", (8, 3, 8), mean=1000.0, fresh=True)
    case("offset-1000-eval", (8, 3), mean=1000.0, training=False)
    case("batch-of-2", (2, 3))
    case("batch-of-1-with-length", (1, 3, 4))
    case("batch-of-1-eval", (1, 3), training=False)
    case("one-feature", (8, 1))
    case("sixty-five-rows", (65, 5))
    case("constant-column", (8, 2), constant=True)
    case("weight-without-bias", (8, 3), bias=False)
    return group


def conv():
    """Conv1d, Conv2d and their transposes."""
    group = Group("conv")

    def case(name, layer, shape, channels, kernel, **options):
        inputs, outputs = channels
        transposed = layer.startswith("ConvTranspose")
        defaults = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
        defaults |= {"output_padding": 0} if transposed else {"padding_mode": "zeros"}
        options = {**defaults, **options}
        build = lambda dtype: getattr(nn, layer)(inputs, outputs, kernel, dtype=dtype, **options)
        y = build(torch.float32)(torch.zeros(shape))
        draw = group.draw(name)
        tensors = {"x": draw.normal(*shape)}
        tensors |= {key: draw.normal(*value.shape) for key, value in build(torch.float32).state_dict().items()}
        tensors["cotangent"] = draw.cotangent(*y.shape)

        def compute(t, dtype):
            module = build(dtype)
            module.load_state_dict({key: t[key] for key in module.state_dict()})
            x = t["x"].requires_grad_()
            y = module(x)
            y.backward(t["cotangent"])
            return {"y": y, "dx": x.grad, **{f"d{key}": value.grad for key, value in module.named_parameters()}}

        described = {"layer": layer, "in_channels": inputs, "out_channels": outputs, "kernel_size": kernel, **options}
        group.add(name, described, tensors, compute)

    image, line = (2, 4, 7, 6), (2, 4, 11)
    case("plain", "Conv2d", image, (4, 3), 3)
    case("one-by-one", "Conv2d", image, (4, 5), 1)
    case("no-bias", "Conv2d", image, (4, 3), 3, bias=False)
    case("padded", "Conv2d", image, (4, 3), 3, padding=1)
    case("asymmetric", "Conv2d", image, (4, 3), (2, 5), padding=(0, 2), stride=(2, 1))
    case("stride", "Conv2d", image, (4, 3), 3, stride=2, padding=1)
    case("stride-with-rest", "Conv2d", image, (4, 3), 2, stride=3)
    case("dilation", "Conv2d", image, (4, 3), 3, dilation=2, padding=2)
    case("groups", "Conv2d", image, (4, 6), 3, groups=2, padding=1)
    case("depthwise", "Conv2d", image, (4, 8), 3, groups=4, padding=1, stride=2)
    case("valid", "Conv2d", image, (4, 3), 3, padding="valid")
    for kernel in (3, 4, (2, 3)):
        case(kebab("same", str(kernel).strip("()").replace(", ", "x")), "Conv2d", image, (4, 3), kernel, padding="same")
    case("same-dilated", "Conv2d", image, (4, 3), (2, 3), padding="same", dilation=(3, 2))
    for mode in ("reflect", "replicate", "circular"):
        case(f"mode-{mode}", "Conv2d", image, (4, 3), 3, padding=(2, 1), padding_mode=mode)
        case(f"mode-{mode}-same", "Conv2d", image, (4, 3), (4, 3), padding="same", padding_mode=mode)
    case("unbatched", "Conv2d", image[1:], (4, 3), 3, padding=1)
    case("line", "Conv1d", line, (4, 3), 3)
    case("line-many-options", "Conv1d", line, (4, 6), 3, stride=2, padding=2, dilation=2, groups=2)
    case("line-same", "Conv1d", line, (4, 3), 4, padding="same", bias=False)
    case("line-circular", "Conv1d", line, (4, 3), 5, padding=2, padding_mode="circular")
    case("line-unbatched", "Conv1d", line[1:], (4, 3), 3)
    case("transposed", "ConvTranspose2d", image, (4, 3), 3)
    case("transposed-stride", "ConvTranspose2d", image, (4, 3), 4, stride=2, padding=1)
    case("transposed-output-padding", "ConvTranspose2d", image, (4, 3), 3, stride=(2, 3), padding=1, output_padding=(1, 2))
    case("transposed-groups", "ConvTranspose2d", image, (4, 6), 3, stride=2, groups=2, bias=False)
    case("transposed-dilation", "ConvTranspose2d", image, (4, 3), (3, 2), stride=2, dilation=(2, 3), padding=(1, 2), output_padding=(0, 2))
    case("transposed-line", "ConvTranspose1d", line, (4, 3), 3, stride=3, padding=1, output_padding=2)
    case("transposed-line-unbatched", "ConvTranspose1d", line[1:], (4, 2), 4, dilation=2)
    return group


def pool():
    """Max and average pooling, also adaptive; `indices` where PyTorch returns them. Some inputs have ties."""
    group = Group("pool")

    def case(name, layer, shape, ties=False, **options):
        draw = group.draw(name)
        x = draw.normal(*shape)
        x = np.round(x) if ties else x
        indexed = "Max" in layer
        build = lambda: getattr(nn, layer)(**options, **({"return_indices": True} if indexed else {}))
        y = build()(torch.from_numpy(x))
        y = y[0] if indexed else y

        def compute(t, _):
            x = t["x"].requires_grad_()
            y, *indices = build()(x) if indexed else (build()(x),)
            y.backward(t["cotangent"])
            return {"y": y, "dx": x.grad, **({"indices": indices[0]} if indexed else {})}

        group.add(name, {"layer": layer, **options}, {"x": x, "cotangent": draw.cotangent(*y.shape)}, compute)

    image, line = (2, 3, 9, 7), (2, 3, 12)
    for kind in ("max", "avg"):
        layer, more = ("MaxPool2d", {"dilation": 1}) if kind == "max" else ("AvgPool2d", {"count_include_pad": True, "divisor_override": None})

        def both(name, shape=image, **options):
            options = {"stride": None, "padding": 0, "ceil_mode": False, **more, **options}
            case(f"{kind}-{name}", layer, shape, **options)
            if kind == "max":
                case(f"{kind}-{name}-ties", layer, shape, ties=True, **options)

        both("2", kernel_size=2)
        both("asymmetric", kernel_size=(3, 2), stride=(1, 3))
        both("padded", kernel_size=3, stride=2, padding=1)
        both("unbatched", shape=image[1:], kernel_size=3, stride=2, padding=1)
        for stride, padding in product((2, 3, 4), (0, 1)):
            both(f"ceil-{stride}-{padding}", kernel_size=3, stride=stride, padding=padding, ceil_mode=True)
        both("ceil-8", shape=(1, 2, 8, 8), kernel_size=2, stride=3, padding=1, ceil_mode=True)
    case("max-dilated", "MaxPool2d", image, kernel_size=(3, 2), stride=1, padding=1, dilation=(2, 3), ceil_mode=False)
    case("max-dilated-ceil", "MaxPool2d", image, kernel_size=2, stride=2, padding=1, dilation=3, ceil_mode=True)
    plain = {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}
    case("avg-without-padding", "AvgPool2d", image, **plain, count_include_pad=False, divisor_override=None)
    case("avg-divisor", "AvgPool2d", image, **plain, count_include_pad=True, divisor_override=4)
    case("max-line", "MaxPool1d", line, **plain, dilation=1)
    case("avg-line", "AvgPool1d", line, **plain, count_include_pad=False)
    for size in (1, 4, (3, 2), (None, 3), (9, 7), (11, 10)):
        label = str(size).strip("()").replace(", ", "x").lower()
        case(f"adaptive-avg-{label}", "AdaptiveAvgPool2d", image, output_size=size)
        case(f"adaptive-max-{label}", "AdaptiveMaxPool2d", image, output_size=size)
    case("adaptive-avg-line", "AdaptiveAvgPool1d", line, output_size=5)
    case("adaptive-max-line", "AdaptiveMaxPool1d", line, output_size=5)
    return group


def activations():
    group = Group("activations")
    tiny = [1e-30, 1e-20, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2]
    large = [7.5, 8, 9, 10, 12, 15, 17, 19.5, 20, 20.5, 25, 30, 40, 50, 60, 70, 80, 88, 100, 200, 1e3, 1e4, 1e6]
    real = np.float32(sorted([n / 10 for n in range(-60, 61)] + tiny + large + [-v for v in tiny + large]))
    ones = [1 - 2**-24, 1 - 2**-12, 1 + 2**-23, 1 + 2**-12]
    positive = np.float32(sorted([n / 20 for n in range(1, 121)] + tiny + large + ones + [10.0**n for n in range(7, 31)]))

    functions = {  # case: (options, domain, function)
        "relu": ({}, real, F.relu),
        "leaky-relu-0.01": ({"negative_slope": 0.01}, real, lambda x: F.leaky_relu(x, 0.01)),
        "leaky-relu-0.2": ({"negative_slope": 0.2}, real, lambda x: F.leaky_relu(x, 0.2)),
        "gelu-none": ({"approximate": "none"}, real, lambda x: F.gelu(x, approximate="none")),
        "gelu-tanh": ({"approximate": "tanh"}, real, lambda x: F.gelu(x, approximate="tanh")),
        "silu": ({}, real, F.silu),
        "sigmoid": ({}, real, torch.sigmoid),
        "tanh": ({}, real, torch.tanh),
        "softplus": ({"beta": 1.0, "threshold": 20.0}, real, lambda x: F.softplus(x, beta=1.0, threshold=20.0)),
        "exp": ({}, real[real <= 88], torch.exp),
        "log": ({}, positive, torch.log),
        "log1p": ({}, np.append(np.float32([-1 + 2**-24, -1 + 2**-12]), real[real > -1]), torch.log1p),
        "sqrt": ({}, positive, torch.sqrt),
        "pow-2.5": ({"exponent": 2.5}, positive[positive <= 1e6], lambda x: torch.pow(x, 2.5)),
        "abs": ({}, real, torch.abs),
        "sign": ({}, real, torch.sign),
        "clamp": ({"min": -1.0, "max": 1.0}, real, lambda x: torch.clamp(x, -1.0, 1.0)),
    }
    ops = {"leaky-relu-0.01": "leaky_relu", "leaky-relu-0.2": "leaky_relu", "gelu-none": "gelu", "gelu-tanh": "gelu", "pow-2.5": "pow"}
    for name, (options, x, function) in functions.items():

        def compute(t, _):
            x = t["x"].requires_grad_()
            y = function(x)
            y.backward(t["cotangent"])
            return {"y": y, "dx": x.grad}

        inputs = {"x": x, "cotangent": group.draw(name).cotangent(x.size)}
        group.add(name, {"op": ops.get(name, name), **options}, inputs, compute)
    return group


# Losses


def bce_with_logits():
    group = Group("bce_with_logits")

    def case(name, x, y, reduction, weight=None, pos_weight=None):
        cotangent = group.draw(f"{name}/cotangent").cotangent(*(x.shape if reduction == "none" else ()))
        inputs = {"x": x, "y": y, "weight": weight, "pos_weight": pos_weight, "cotangent": cotangent}

        def compute(t, _):
            x = t["x"].requires_grad_()
            loss = nn.BCEWithLogitsLoss(t.get("weight"), reduction=reduction, pos_weight=t.get("pos_weight"))(x, t["y"])
            loss.backward(t["cotangent"])
            return {"loss": loss, "dx": x.grad}

        options = {"weight": named("weight", weight), "reduction": reduction, "pos_weight": named("pos_weight", pos_weight)}
        group.add(name, options, inputs, compute)

    def drawn(name, shape, reduction, targets="hard", weight=None, pos_weight=None):
        draw = group.draw(name)
        x = draw.normal(*shape, std=2.0)
        y = np.float32(draw.below(2, *shape)) if targets == "hard" else draw.uniform(0.0, 1.0, *shape)
        if targets == "hard":
            y.flat[:2] = 0.0, 1.0
        weight = None if weight is None else draw.uniform(0.25, 2.0, *weight)
        pos_weight = None if pos_weight is None else draw.uniform(1.25, 4.0, *pos_weight)
        case(name, x, y, reduction, weight, pos_weight)

    n, c = 5, 3
    weights = {
        "unweighted": {},
        "weight-nc": {"weight": (n, c)},
        "weight-c": {"weight": (c,)},
        "pos-weight-c": {"pos_weight": (c,)},
        "pos-weight-1": {"pos_weight": (1,)},
        "weight-nc-pos-weight-c": {"weight": (n, c), "pos_weight": (c,)},
        "weight-c-pos-weight-1": {"weight": (c,), "pos_weight": (1,)},
    }
    for (label, shapes), targets, reduction in product(weights.items(), ("hard", "soft"), REDUCTIONS):
        drawn(kebab("nc", label, targets, reduction), (n, c), reduction, targets, **shapes)
    for (label, shape), reduction in product({"n": (7,), "n1": (7, 1), "ncl": (2, 3, 4)}.items(), REDUCTIONS):
        drawn(kebab(label, "unweighted", reduction), shape, reduction)
        drawn(kebab(label, "pos-weight-1", reduction), shape, reduction, pos_weight=(1,))
    drawn("nc-weight-n1-mean", (n, c), "mean", weight=(n, 1))
    drawn("n1-weight-n1-pos-weight-1-mean", (64, 1), "mean", weight=(64, 1), pos_weight=(1,))
    drawn("one-element-mean", (1, 1), "mean", "soft")

    magnitudes = [1e-4, 1.0, 17.0, 40.0, 88.0, 104.0, 1000.0]
    logits = np.float32([-m for m in magnitudes[::-1]] + [0.0] + magnitudes)
    x, y = (np.array(grid) for grid in np.meshgrid(logits, np.float32([0.0, 1.0, 0.25]), indexing="ij"))
    for reduction, pos_weight in product(REDUCTIONS, (None, np.float32([3.0]))):
        case(kebab("extreme-logits", pos_weight is not None and "pos-weight-1", reduction), x, y, reduction, None, pos_weight)
    return group


def cross_entropy():
    group = Group("cross_entropy")
    some_ignored = "some-ignored"

    def case(name, x, target, reduction, smoothing=0.0, weight=None, ignore_index=-100):
        by_index = target.dtype == np.int64
        rows = x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()
        cotangent = group.draw(f"{name}/cotangent").cotangent(*(rows if reduction == "none" else ()))
        inputs = {"x": x, "target": target, "weight": weight, "cotangent": cotangent}

        def compute(t, _):
            x, target = t["x"].requires_grad_(), t["target"]
            if not by_index:
                target.requires_grad_()
            loss = nn.CrossEntropyLoss(
                t.get("weight"), ignore_index=ignore_index, reduction=reduction, label_smoothing=smoothing
            )(x, target)
            loss.backward(t["cotangent"])
            return {"loss": loss, "dx": x.grad} | ({} if by_index else {"dtarget": target.grad})

        options = {
            "weight": named("weight", weight),
            "ignore_index": ignore_index,
            "reduction": reduction,
            "label_smoothing": smoothing,
            "target": "index" if by_index else "probability",
        }
        group.add(name, options, inputs, compute)

    def smooth(smoothing):
        return smoothing and f"smoothing-{smoothing}"

    def by_index(label, shape, reduction, smoothing=0.0, weighted=False, ignore=None):
        """`ignore`: None, "some-ignored" (a third of the targets is -100), or an ignore_index that some targets have."""
        ignored = ignore if ignore in (None, some_ignored) else f"ignore-{ignore}"
        name = kebab(label, weighted and "weight", ignored, smooth(smoothing), reduction)
        draw = group.draw(name)
        classes = shape[1] if len(shape) > 1 else shape[0]
        rows = shape[:1] + shape[2:] if len(shape) > 1 else ()
        x, target = draw.normal(*shape, std=2.0), draw.below(classes, *rows)
        weight = draw.uniform(0.25, 2.0, classes) if weighted else None
        ignore_index = -100 if ignore in (None, some_ignored) else ignore
        if ignore is not None:
            target.flat[1::3] = ignore_index
        case(name, x, target, reduction, smoothing, weight, ignore_index)

    def by_probability(label, shape, reduction, smoothing=0.0, weighted=False, normalised=True):
        name = kebab("probability", label, weighted and "weight", smooth(smoothing), reduction)
        draw = group.draw(name)
        axis = 1 if len(shape) > 1 else 0
        x, target = draw.normal(*shape, std=2.0), draw.uniform(0.0, 1.0, *shape)
        if normalised:
            target = np.float32(target / target.sum(axis=axis, keepdims=True))
        weight = draw.uniform(0.25, 2.0, shape[axis]) if weighted else None
        case(name, x, target, reduction, smoothing, weight)

    smoothings, both = (0.0, 0.1, 0.3), (False, True)
    for weighted, ignore, smoothing, reduction in product(both, (None, some_ignored, 2), smoothings, REDUCTIONS):
        by_index("nc", (7, 4), reduction, smoothing, weighted, ignore)
    for weighted, smoothing, reduction in product(both, (0.0, 0.1), REDUCTIONS):
        by_index("c", (5,), reduction, smoothing, weighted)
        by_index("ncd", (3, 4, 5), reduction, smoothing, weighted, some_ignored)
        by_index("ncdd", (2, 4, 3, 2), reduction, smoothing, weighted, 2)
    for smoothing, weighted in ((0.0, False), (0.1, True)):
        by_index("two-classes", (6, 2), "mean", smoothing, weighted)
        by_index("ten-classes", (6, 10), "mean", smoothing, weighted)
        by_index("thousand-classes", (4, 1000), "mean", smoothing, weighted)
        by_index("ncd-no-ignore", (3, 4, 5), "mean", smoothing, weighted)
        by_index("ncdd-no-ignore", (2, 4, 3, 2), "mean", smoothing, weighted)
    by_index("one-class", (5, 1), "mean")
    by_index("one-row", (1, 4), "mean")
    by_index("nc-outside-classes", (7, 4), "mean", 0.1, True, ignore=255)

    for weighted, smoothing, reduction in product(both, smoothings, REDUCTIONS):
        by_probability("nc", (5, 4), reduction, smoothing, weighted)
    for weighted, smoothing, reduction in product(both, (0.0, 0.1), REDUCTIONS):
        by_probability("ncd", (3, 4, 2), reduction, smoothing, weighted)
        by_probability("unnormalised", (5, 4), reduction, smoothing, weighted, normalised=False)
    by_probability("c", (5,), "mean")
    by_probability("c", (5,), "mean", 0.1, True)
    by_probability("ncdd", (2, 4, 3, 2), "mean", 0.1, True)
    by_probability("two-classes", (6, 2), "mean")
    by_probability("one-class", (5, 1), "mean")

    x = group.draw("edges").normal(5, 4)
    weight = np.float32([0.5, 2.0, 0.0, 1.5])
    all_ignored, all_zero = np.full(5, -100), np.full(5, 2)
    for smoothing, reduction in product((0.0, 0.1), REDUCTIONS):  # mean: 0/0, so NaN
        case(kebab("all-ignored", smooth(smoothing), reduction), x, all_ignored, reduction, smoothing)
    for smoothing, reduction in product((0.0, 0.1), REDUCTIONS):  # with smoothing the other classes still count
        case(kebab("all-weights-zero", smooth(smoothing), reduction), x, all_zero, reduction, smoothing, weight)
    case("one-weight-zero-smoothing-0.1-mean", x, np.array([0, 1, 2, 3, 2]), "mean", 0.1, weight)
    case("probability-one-hot-mean", x, np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 2]], "mean", 0.1, weight)
    case("c-ignored-sum", x[0], np.array(-100), "sum")

    top = 1000.0
    rows = [[top, -top, 0], [-top, top, 17], [-top, -top, -top], [top, top, top], [0, 0, 0], [88, -88, 0], [-17, 17, 104]]
    x = np.float32([row for row in rows for _ in range(3)])  # each row with each class as its target
    target = np.tile(np.arange(3), len(rows))
    probabilities = np.float32([[1, 0, 0], [0, 0.75, 0.25], [0.25, 0.25, 0.5]] * len(rows))
    weight = np.float32([0.5, 1.0, 2.0])
    for smoothing, reduction in product((0.0, 0.1), REDUCTIONS):
        case(kebab("extreme-logits", smooth(smoothing), reduction), x, target, reduction, smoothing)
        case(kebab("extreme-logits-weight", smooth(smoothing), reduction), x, target, reduction, smoothing, weight)
        case(kebab("extreme-logits-probability", smooth(smoothing), reduction), x, probabilities, reduction, smoothing, weight)
    return group


def named(name, tensor):
    """A tensor-valued option in the index: the tensor's name, or null."""
    return None if tensor is None else name


# Optimizers and training curves

OPTIMIZERS = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}
DEFAULTS = {  # PyTorch's, but for the learning rate of SGD (0.001), which would hide differences
    "SGD": {"lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False},
    "Adam": {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False},
    "AdamW": {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01, "amsgrad": False},
}
STEPS = 6


def optimizers():
    """Six steps with drawn gradients. `param.0.*` is the start, `param.<step>.*` the value after that step."""
    group = Group("optimizers")
    shapes = {"weight": (3, 4), "bias": (4,), "scale": (1,)}

    def case(name, kind, groups=None, lr_per_step=None, **changes):
        """`groups`: parameter groups, each with its own options; `lr_per_step`: the rate set before each step."""
        options = {**DEFAULTS[kind], **changes}
        draw = group.draw(name)
        inputs = {f"param.0.{key}": draw.normal(*shape) for key, shape in shapes.items()}
        for step in range(1, STEPS + 1):
            inputs |= {f"grad.{step}.{key}": draw.normal(*shape) for key, shape in shapes.items()}
            inputs[f"grad.{step}.weight"][0, 0] = 0.0  # never a gradient: only decay moves it
            inputs[f"grad.{step}.weight"][0, 1] *= 1e-6  # small, so that eps counts
            inputs[f"grad.{step}.weight"][0, 2] *= 1e3
        inputs["grad.5.bias"] *= np.float32(0.01)  # falls, so that amsgrad's maximum counts
        inputs["grad.6.bias"] *= np.float32(0.01)

        def compute(t, _):
            params = {key: nn.Parameter(t[f"param.0.{key}"].clone()) for key in shapes}
            settings = groups or [{"params": list(params)}]
            settings = [{**one, "params": [params[key] for key in one["params"]]} for one in settings]
            optimizer = OPTIMIZERS[kind](settings, foreach=False, **options)
            outputs = {}
            for step in range(1, STEPS + 1):
                if lr_per_step:
                    for one in optimizer.param_groups:
                        one["lr"] = lr_per_step[step - 1]
                for key, param in params.items():
                    param.grad = t[f"grad.{step}.{key}"]
                optimizer.step()
                outputs |= {f"param.{step}.{key}": param.detach().clone() for key, param in params.items()}
            return outputs

        described = {"optimizer": kind, **options, "steps": STEPS}
        if groups:
            described["groups"] = groups
        if lr_per_step:
            described["lr_per_step"] = lr_per_step
        group.add(name, described, inputs, compute)

    case("sgd", "SGD")
    case("sgd-momentum", "SGD", momentum=0.9)
    case("sgd-momentum-dampening", "SGD", momentum=0.9, dampening=0.3)
    case("sgd-nesterov", "SGD", momentum=0.9, nesterov=True)
    case("sgd-weight-decay", "SGD", weight_decay=0.05)
    case("sgd-momentum-weight-decay", "SGD", momentum=0.9, weight_decay=0.05)
    case("sgd-nesterov-weight-decay", "SGD", momentum=0.9, nesterov=True, weight_decay=0.05)
    for kind, label in (("Adam", "adam"), ("AdamW", "adamw")):
        case(label, kind)
        case(f"{label}-weight-decay-0", kind, lr=0.01, weight_decay=0.0)
        case(f"{label}-weight-decay-0.1", kind, lr=0.1, weight_decay=0.1)
        case(f"{label}-betas-eps", kind, lr=0.01, betas=(0.8, 0.95), eps=1e-3)
        case(f"{label}-amsgrad", kind, lr=0.01, betas=(0.9, 0.5), amsgrad=True)

    def two_groups(lr, decay):
        return [
            {"params": ["weight"], "lr": lr, "weight_decay": decay},
            {"params": ["bias", "scale"], "lr": lr / 10, "weight_decay": 0.0},
        ]

    case("sgd-two-groups", "SGD", momentum=0.9, groups=two_groups(0.1, 0.05))
    case("adam-two-groups", "Adam", groups=two_groups(0.01, 0.05))
    case("adamw-two-groups", "AdamW", groups=two_groups(0.01, 0.1))
    for kind, label, lr in (("SGD", "sgd-momentum", 0.1), ("Adam", "adam", 0.01), ("AdamW", "adamw", 0.01)):
        rates = [lr, lr] + [lr / 4] * (STEPS - 2)
        case(f"{label}-lr-change", kind, lr=lr, lr_per_step=rates, **({"momentum": 0.9} if kind == "SGD" else {}))
    return group


class Classifier(nn.Module):
    def __init__(self, features, hidden, outputs, batch_norm):
        super().__init__()
        self.fc1 = nn.Linear(features, hidden)
        self.bn1 = nn.BatchNorm1d(hidden) if batch_norm else nn.Identity()
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.fc2(F.relu(self.bn1(self.fc1(x))))


def curves():
    """Twenty training steps on real data, from PyTorch's own initial weights. `rows` are the rows of x and y of each step."""
    group = Group("curves")
    steps, batch, seed = 20, 64, 7

    def case(name, x, y, model_options, loss_options, loss_inputs, optimizer_options):
        # Whole batches of a shuffled order; a new shuffle when fewer than a batch of rows is left.
        draw, rows = group.draw(name), []
        while len(rows) < steps:
            order = draw.rng.permutation(len(x))
            rows += [order[start : start + batch] for start in range(0, len(x) - batch + 1, batch)]
        torch.manual_seed(seed)
        initial = Classifier(**model_options).state_dict()
        inputs = {"x": x, "y": y, "rows": np.stack(rows[:steps]).astype(np.int64), **loss_inputs}
        inputs |= {f"init/{key}": value.numpy() for key, value in initial.items()}

        def compute(t, dtype):
            model = Classifier(**model_options).to(dtype).train()
            model.load_state_dict({key: t[f"init/{key}"] for key in initial})
            tensors = {key: t[key] for key in loss_inputs}
            kind, settings = loss_options["loss"], {k: v for k, v in loss_options.items() if k not in ("loss", *tensors)}
            loss_of = getattr(nn, kind)(**tensors, **settings)
            settings = dict(optimizer_options)
            optimizer = OPTIMIZERS[settings.pop("optimizer")](model.parameters(), foreach=False, **settings)
            losses = []
            for rows in t["rows"]:
                optimizer.zero_grad()
                loss = loss_of(model(t["x"][rows]), t["y"][rows])
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            return {"losses": torch.stack(losses), **{f"final/{key}": value for key, value in model.state_dict().items()}}

        shape = {"model": model_options, "seed": seed, "steps": steps, "batch": batch}
        group.add(name, {**shape, **loss_options, **optimizer_options}, inputs, compute, f32_inputs=("x",))

    table = np.loadtxt(DATA / "breast_cancer.csv", delimiter=",", skiprows=1)
    features, malignant = table[:, :-1], np.float32(table[:, -1:])
    case(
        "bce-batchnorm-adamw",
        np.float32((features - features.mean(axis=0)) / features.std(axis=0)),
        malignant,
        {"features": 30, "hidden": 16, "outputs": 1, "batch_norm": True},
        {"loss": "BCEWithLogitsLoss", "weight": None, "reduction": "mean", "pos_weight": "pos_weight"},
        {"pos_weight": np.float32([(malignant == 0).sum() / (malignant == 1).sum()])},
        {"optimizer": "AdamW", **DEFAULTS["AdamW"], "lr": 0.01},
    )
    table = np.loadtxt(DATA / "digits.csv", delimiter=",", skiprows=1)[:512]  # eight batches
    case(
        "ce-weighted-smoothed-nesterov",
        np.float32(table[:, :-1] / 16),
        np.int64(table[:, -1]),
        {"features": 64, "hidden": 32, "outputs": 10, "batch_norm": False},
        {"loss": "CrossEntropyLoss", "weight": "weight", "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.1},
        {"weight": group.draw("class weights").uniform(0.5, 2.0, 10)},
        {"optimizer": "SGD", "lr": 0.05, "momentum": 0.9, "dampening": 0.0, "weight_decay": 1e-4, "nesterov": True},
    )
    return group


def main():
    version = torch.__version__.split("+")[0]
    assert version == TORCH_VERSION, f"the fixtures are those of torch {TORCH_VERSION}; this is {torch.__version__}"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    groups = [make() for make in (linear, conv, pool, batch_norm, bce_with_logits, cross_entropy, optimizers, curves, activations)]
    for group in groups:
        group.save()
    lists = [",\n".join(json.dumps(case) for case in group.cases.values()) for group in groups]
    index = ",\n".join(f"{json.dumps(group.name)}: [\n{cases}\n]" for group, cases in zip(groups, lists))
    (HERE / "index.json").write_text(f"{{\n{index}\n}}\n")
    for group in groups:
        size = (HERE / f"{group.name}.safetensors").stat().st_size
        print(f"{group.name}: {len(group.cases)} cases, {len(group.tensors)} tensors, {size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
