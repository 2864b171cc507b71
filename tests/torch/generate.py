"""Write the fixtures of tests/torch: PyTorch's own cases, with what PyTorch 2.15.0 computes for them.

    python3 -m venv venv && . venv/bin/activate
    pip install torch==2.15.0 numpy safetensors expecttest hypothesis pytest
    python tests/torch/generate.py              # all; seconds to minutes, on the CPU
    python tests/torch/generate.py nn.Linear    # some; index.json keeps the others

The cases are those of PyTorch's test suite, which its wheel carries: `module_db` and `op_db`. Every module and operator
of them is written, but for those that unsupported.json lists as absent; README.md tells the format.

Inputs are drawn in f32. The truth is computed from them in f64. Of the f32 run only the distance from the truth is kept.
"""

import copy
import inspect
import json
import math
import random
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

TORCH_VERSION = "2.15.0"
HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
EPS = 2.0**-24
# Samples above this many elements, in and out, are left out; files of all cases together stay small.
LARGEST = 2500
# Where PyTorch has more samples of one operator, this many are drawn.
MOST = 48
WHOLE = {"nn.CrossEntropyLoss", "nn.BCEWithLogitsLoss", "nn.NLLLoss"}
# How often the inputs are changed by rounding errors, to see how far outputs move.
DRAWS = 4
# Movements beyond this are jumps (a tie, a kink), where rounding of the inputs says nothing.
JUMP = 1e-3
# Operators on masks and on integers; all others run on floats.
TYPES = dict.fromkeys(["logical_and", "logical_or", "logical_not", "all", "any"], torch.bool)
TYPES["nn.functional.one_hot"] = torch.int64


class LeftOut(Exception):
    """Why a sample cannot be stored: a key of `left_out` in unsupported.json."""


def seed(*names):
    number = zlib.crc32("/".join(map(str, names)).encode())
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)
    return torch.Generator().manual_seed(number)


def distance(found, truth):
    """The largest distance of two float tensors, relative to max(1, |truth|). Not-finite elements count if they differ."""
    found, truth = found.double(), truth.double()
    same = (found == truth) | (found.isnan() & truth.isnan())
    apart = torch.where(same, 0.0, (found - truth).abs() / truth.abs().clamp(min=1.0))
    apart = apart.nan_to_num(nan=math.inf, posinf=math.inf)
    return apart.max().item() if apart.numel() else 0.0


class Store:
    """The tensors of one subject."""

    def __init__(self):
        self.tensors = {}

    def put(self, key, tensor):
        assert key not in self.tensors, key
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
        if tensor.dim() > 8:
            raise LeftOut("large")
        if tensor.dtype in (torch.bool, torch.uint8):
            array = tensor.to(torch.uint8).numpy()
        elif tensor.dtype in (torch.int64, torch.int32, torch.int16, torch.int8):
            if tensor.numel() and not (-(2**31) <= tensor.min() and tensor.max() < 2**31):
                raise LeftOut("wide")
            array = tensor.to(torch.int32).numpy()
        elif tensor.dtype in (torch.float32, torch.float64):
            array = tensor.numpy()
        else:
            raise LeftOut("dtype")
        self.tensors[key] = np.array(array, order="C")


def plain(value, path, store):
    """An argument as JSON; its tensors go to the store, under their path."""
    if isinstance(value, torch.Tensor):
        if value.is_sparse or value.layout != torch.strided:
            raise LeftOut("sparse")
        store[path] = value
        return {"tensor": path}
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else {"number": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": str(value)}
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{path}.{i}", store) for i, item in enumerate(value)]
    if isinstance(value, torch.dtype):
        raise LeftOut("dtype")
    if isinstance(value, slice):
        return {"slice": [plain(part, path, store) for part in (value.start, value.stop, value.step)]}
    if value is Ellipsis:
        return {"ellipsis": True}
    if inspect.isfunction(value) or inspect.isbuiltin(value):
        if value.__module__ not in ("torch.nn.functional", "torch._C._nn", "torch"):
            raise LeftOut("python")
        return {"function": value.__name__}
    if isinstance(value, torch.nn.Module):
        if not isinstance(value, torch.nn.TransformerEncoderLayer):
            raise LeftOut("python")
        return {
            "d_model": value.self_attn.embed_dim,
            "nhead": value.self_attn.num_heads,
            "dim_feedforward": value.linear1.out_features,
            "activation": value.activation.__name__,
            "layer_norm_eps": value.norm1.eps,
            "batch_first": value.self_attn.batch_first,
            "norm_first": value.norm_first,
            "bias": value.linear1.bias is not None,
        }
    if isinstance(value, (torch.device, torch.layout, torch.memory_format)):
        raise LeftOut("memory")
    raise LeftOut("python")


def arguments(args, kwargs):
    """Arguments as JSON, by position or by name, and their tensors by path."""
    tensors = {}
    named = {str(i): value for i, value in enumerate(args)} | dict(kwargs)
    return {name: plain(value, name, tensors) for name, value in named.items()}, tensors


def options_of(cls, constructor):
    """All options of a module by name, also those that are defaults."""
    bound = inspect.signature(cls.__init__).bind(None, *constructor.args, **constructor.kwargs)
    bound.apply_defaults()
    named, tensors = {}, {}
    for name, value in list(bound.arguments.items())[1:]:
        kind = bound.signature.parameters[name].kind
        if kind == inspect.Parameter.VAR_POSITIONAL:
            named |= {str(i): plain(item, f"option.{i}", tensors) for i, item in enumerate(value)}
        elif kind == inspect.Parameter.VAR_KEYWORD:
            named |= {key: plain(item, f"option.{key}", tensors) for key, item in value.items()}
        elif name not in ("device", "dtype"):
            named[name] = plain(value, f"option.{name}", tensors)
    return named, tensors


def at(value, dtype):
    """A copy of an argument with its floats in a dtype; leaves keep whether they want a gradient."""

    def convert(x):
        if not isinstance(x, torch.Tensor):
            return x
        if not x.is_floating_point():
            return x.detach().clone()
        return x.detach().to(dtype, copy=True).requires_grad_(x.requires_grad)

    return tree_map(convert, value)


def leaves(args, kwargs):
    """The tensors among arguments, by path, in the order of `arguments`."""
    return arguments(args, kwargs)[1]


class Call:
    """One sample: what is called, with which arguments, and in which state."""

    def __init__(self, args, kwargs, function=None, module=None):
        self.args, self.kwargs, self.function, self.module = args, kwargs, function, module

    def run(self, dtype, cotangents, shake=None):
        """Outputs, gradients and the state afterwards, by key."""
        args, kwargs = at(self.args, dtype), at(self.kwargs, dtype)
        module = copy.deepcopy(self.module).to(dtype) if self.module is not None else None
        if shake is not None:
            changed = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
            changed += list(module.state_dict().values()) if module is not None else []
            with torch.no_grad():
                for tensor in changed:
                    if tensor.is_floating_point():
                        noise = torch.rand(tensor.shape, generator=shake, dtype=torch.float64)
                        # Within the range of the values: probabilities stay probabilities.
                        low, high = (tensor.min(), tensor.max()) if tensor.numel() else (None, None)
                        tensor.mul_(1.0 + EPS * (2.0 * noise - 1.0))
                        if tensor.numel():
                            tensor.clamp_(low, high)
        inputs = leaves(args, kwargs)
        output = (self.function or module)(*args, **kwargs)
        outputs = [x for x in tree_flatten(output)[0] if x is not None]
        if not all(isinstance(x, torch.Tensor) for x in outputs):
            raise LeftOut("python")
        result = {f"out/{i}": x for i, x in enumerate(outputs)}
        wanted = {f"din/{name}": x for name, x in inputs.items() if x.requires_grad and x.is_floating_point()}
        if module is not None:
            wanted |= {f"dstate/{name}": x for name, x in module.named_parameters() if x.requires_grad}
        flowing = [(i, x) for i, x in enumerate(outputs) if x.requires_grad]
        if flowing and wanted:
            given = [cotangents(i, x).to(dtype) for i, x in flowing]
            if shake is not None:
                given = [c * (1.0 + EPS * (2.0 * torch.rand(c.shape, generator=shake, dtype=dtype) - 1.0)) for c in given]
            gradients = torch.autograd.grad([x for _, x in flowing], list(wanted.values()), given, allow_unused=True)
            result |= {key: g for key, g in zip(wanted, gradients) if g is not None}
        if module is not None and module.training:
            result |= {f"after/{name}": x for name, x in module.named_buffers()}
        return {key: x.detach().clone() for key, x in result.items()}, [i for i, _ in flowing]


def record(subject, number, call, case, store):
    """Compute one sample and keep it."""
    case["args"], inputs = arguments(call.args, call.kwargs)
    for tensor in inputs.values():
        if tensor.dtype not in (torch.float32, torch.int64, torch.int32, torch.bool, torch.uint8):
            raise LeftOut("dtype")
    state = dict(call.module.state_dict()) if call.module is not None else {}
    generator = seed(subject, number, "cotangents")
    drawn = {}

    def cotangents(i, x):
        if i not in drawn:
            drawn[i] = torch.randn(x.shape, generator=generator, dtype=torch.float32)
            if x.dim() == 0:
                # Never near 1: a rule that drops its incoming gradient must not pass.
                drawn[i] = drawn[i].abs() + 1.5
        return drawn[i]

    truth, flowing = call.run(torch.float64, cotangents)
    again, _ = call.run(torch.float64, cotangents)
    if any(distance(again[key], value) > 0 for key, value in truth.items() if value.is_floating_point()):
        raise LeftOut("random")
    single, _ = call.run(torch.float32, cotangents)
    moved = {}
    for draw in range(DRAWS):
        shaken, _ = call.run(torch.float64, cotangents, shake=seed(subject, number, "shake", draw))
        for key, value in shaken.items():
            if value.is_floating_point() and value.shape == truth[key].shape:
                by = distance(value, truth[key])
                moved[key] = max(moved.get(key, 0.0), by if by < JUMP else 0.0)
    kept = {f"in/{k}": x for k, x in inputs.items()} | {f"state/{k}": x for k, x in state.items()}
    kept |= truth | {f"cot/{i}": drawn[i] for i in flowing if i in drawn}
    if sum(x.numel() for x in kept.values()) > LARGEST:
        raise LeftOut("large")
    own = Store()
    for key, tensor in kept.items():
        own.put(f"{number}/{key}", tensor)
    case["off"] = {}
    for key, value in truth.items():
        if value.is_floating_point():
            off = distance(single[key], value)
            if off > 1e-2:
                print(f"  {subject}/{number} {key}: PyTorch's f32 is off by {off:.1e}; not used as a bound")
                off = 0.0
            case["off"][key] = [float(f"{off:.2g}"), float(f"{moved.get(key, 0.0):.2g}")]
        elif not torch.equal(single[key], value):
            raise LeftOut("rounding")
    store.tensors |= own.tensors
    case["outputs"] = sum(key.startswith("out/") for key in truth)


def record_error(number, args, kwargs, case, store, text):
    case["error"], own = text, Store()
    case["args"], inputs = arguments(args, kwargs)
    if sum(x.numel() for x in inputs.values()) > LARGEST:
        raise LeftOut("large")
    for key, tensor in inputs.items():
        if tensor.dtype not in (torch.float32, torch.int64, torch.int32, torch.bool, torch.uint8):
            raise LeftOut("dtype")
        own.put(f"{number}/in/{key}", tensor)
    store.tensors |= own.tensors


def lively(module):
    """Replace parameters and statistics that are all one number, so that a layer which forgets them does not pass."""
    generator = seed("lively", type(module).__name__)
    known = dict(module.named_parameters())
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not (name in known or "running_" in name) or not tensor.is_floating_point() or not tensor.numel():
                continue
            if (tensor == tensor.flatten()[0]).all():
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(0.5 + noise.abs() if name.endswith("running_var") else tensor + 0.3 * noise)
    return module


def first_line(error):
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error).strip() else ''}"


def module_samples(info):
    for training in (True, False) if info.train_and_eval_differ else (True,):
        seed(info.name, training)
        samples = info.module_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=True, training=training
        )
        for sample in samples:
            yield training, sample


class Subject:
    """One module or operator: its cases and their tensors."""

    def __init__(self, name):
        self.name, self.store, self.cases, self.left_out = name, Store(), [], {}

    def attempt(self, case, keep):
        """Keep one case unless a rule forbids."""
        number = case["case"]
        try:
            keep(number, case)
            self.cases.append(case)
        except LeftOut as reason:
            self.left_out[str(reason)] = self.left_out.get(str(reason), 0) + 1

    def choose(self, samples):
        """At most MOST of the samples with their numbers."""
        chosen = range(len(samples))
        if len(samples) > MOST and self.name not in WHOLE:
            chosen = random.Random(zlib.crc32(self.name.encode())).sample(chosen, MOST)
            self.left_out["many"] = len(samples) - MOST
        return [(number, samples[number]) for number in sorted(chosen)]

    def module(self, info):
        samples = list(module_samples(info))
        for number, (training, sample) in self.choose(samples):
            made, given = sample.constructor_input, sample.forward_input

            def keep(number, case):
                options, tensors = options_of(info.module_cls, made)
                seed(self.name, number, "weights")
                module = lively(info.module_cls(*copy.deepcopy(made.args), **copy.deepcopy(made.kwargs)))
                module.train(training)
                case |= {"options": options, "train": training}
                call = Call(given.args, given.kwargs, module=module)
                record(self.name, number, call, case, self.store)
                for path, tensor in tensors.items():
                    self.store.put(f"{number}/in/{path}", tensor)

            self.attempt({"case": number, "desc": sample.desc}, keep)
        if info.module_error_inputs_func is None:
            return
        seed(self.name, "errors")
        errors = info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=False, training=True
        )
        for number, error in enumerate(errors, len(samples)):
            made, given = error.module_error_input.constructor_input, error.module_error_input.forward_input

            def keep(number, case):
                options, tensors = options_of(info.module_cls, made)
                case |= {"options": options, "train": True}
                try:
                    module = info.module_cls(*made.args, **made.kwargs)
                    module(*given.args, **given.kwargs)
                except Exception as found:  # noqa: BLE001
                    text = first_line(found)
                else:
                    raise AssertionError(f"{self.name}: no error")
                args, kwargs = (given.args, given.kwargs) if given is not None else ((), {})
                record_error(number, args, kwargs, case, self.store, text)
                for path, tensor in tensors.items():
                    self.store.put(f"{number}/in/{path}", tensor)

            self.attempt({"case": number, "error": ""}, keep)

    def operator(self, info):
        dtype = TYPES.get(self.name, torch.float32)
        seed(self.name)
        grad = info.supports_autograd and dtype == torch.float32
        samples = list(info.sample_inputs("cpu", dtype, requires_grad=grad))
        for number, sample in self.choose(samples):

            def keep(number, case):
                call = Call((sample.input, *sample.args), sample.kwargs, function=info.op)
                record(self.name, number, call, case, self.store)

            self.attempt({"case": number}, keep)
        if info.error_inputs_func is None:
            return
        seed(self.name, "errors")
        for number, error in enumerate(info.error_inputs("cpu"), len(samples)):
            sample = error.sample_input

            def keep(number, case):
                try:
                    info.op(sample.input, *sample.args, **sample.kwargs)
                except Exception as found:  # noqa: BLE001
                    text = first_line(found)
                else:
                    raise LeftOut("no error")
                record_error(number, (sample.input, *sample.args), sample.kwargs, case, self.store, text)

            self.attempt({"case": number, "error": ""}, keep)

    def write(self):
        cases = json.dumps(self.cases, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        tensors = dict(sorted(self.store.tensors.items()))
        (DATA / f"{self.name}.safetensors").write_bytes(save(tensors, metadata={"cases": cases}))
        wrong = sum("error" in case for case in self.cases)
        entry = {"cases": len(self.cases) - wrong, "errors": wrong}
        return entry | ({"left_out": dict(sorted(self.left_out.items()))} if self.left_out else {})


def main():
    assert torch.__version__.split("+")[0] == TORCH_VERSION, torch.__version__
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rules = json.loads((HERE / "unsupported.json").read_text())
    absent = [name for group in rules["absent"] for name in group["names"]]
    assert len(absent) == len(set(absent)), "a name is listed twice as absent"
    infos = {info.name: info for info in module_db} | {info.full_name: info for info in op_db}
    stale = sorted(set(absent) - set(infos))
    assert not stale, f"PyTorch has no {stale}"
    index_file = HERE / "index.json"
    index = json.loads(index_file.read_text())["subjects"] if index_file.exists() and sys.argv[1:] else {}
    index = {name: entry for name, entry in index.items() if name in infos and name not in absent}
    modules = {info.name for info in module_db}
    DATA.mkdir(exist_ok=True)
    for name, info in infos.items():
        if name in absent or (sys.argv[1:] and name not in sys.argv[1:]):
            continue
        subject = Subject(name)
        (subject.module if name in modules else subject.operator)(info)
        index[name] = subject.write()
        print(name, index[name], flush=True)
    for file in DATA.glob("*.safetensors"):
        if file.stem not in index:
            file.unlink()
    left_out = {key for entry in index.values() for key in entry.get("left_out", {})}
    known = {rule["key"] for rule in rules["left_out"]}
    assert left_out <= known, f"unsupported.json does not say why {sorted(left_out - known)} is left out"
    whole = {"torch": TORCH_VERSION, "subjects": dict(sorted(index.items()))}
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in whole["subjects"].items())
    index_file.write_text(f'{{\n "torch": "{TORCH_VERSION}",\n "subjects": {{\n{lines}\n }}\n}}\n')
    size = sum(file.stat().st_size for file in DATA.glob("*.safetensors"))
    cases, errors = (sum(entry[key] for entry in index.values()) for key in ("cases", "errors"))
    print(f"{len(index)} subjects, {cases} cases, {errors} errors, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
