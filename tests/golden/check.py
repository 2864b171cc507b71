"""Recompute every golden fixture from its formula and print the largest difference; without torch.

    pip install numpy safetensors && python tests/golden/check.py

The formulas are written out in NumPy's widest float (80 bits on x86), in the form that is accurate rather than PyTorch's, so the
difference is PyTorch's own rounding: what a test of wgrad's f64 reference has to allow. It is relative to the value, or to 1
for a smaller value (a loss of 1e-8 computed as the difference of numbers near 17 has no more digits than that).
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parent
WIDE = np.longdouble
# Where PyTorch differs by more than 1e-14: how the key starts, and what is allowed.
LOOSER = {
    "batch_norm/offset-1000": 2e-13,  # x * scale + shift cancels three digits of x
    "batch_norm/constant-column": 2e-13,  # the same with the scale 1/sqrt(eps)
    "activations/softplus": 2e-9,  # y = x above the threshold of 20
    # The bias before a batch norm has no gradient but rounding errors, which AdamW scales up to steps.
    "curves/bce-batchnorm-adamw/final/fc1.bias": 1e-8,
    "curves/bce-batchnorm-adamw/final/bn1.running_mean": 1e-8,
}


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def linear(t, o):
    rows, dy = t["x"].reshape(-1, o["in_features"]), t["cotangent"].reshape(-1, o["out_features"])
    y = t["x"] @ t["weight"].T + t.get("bias", 0)
    return {"y": y, "dx": t["cotangent"] @ t["weight"], "dweight": dy.T @ rows, "dbias": dy.sum(axis=0)}


def pairs(value, axes):
    """An option per axis of an image: lines have a height of 1."""
    value = [value] if not isinstance(value, list) else value
    return value * 2 if len(value) == 1 and axes == 2 else value


def conv(t, o):
    """Tap by tap: what each tap of the window reads, or, transposed, where it adds to."""
    axes = int(o["layer"][-2])
    transposed, groups = o["layer"].startswith("ConvTranspose"), o["groups"]
    stride, dilation, kernel = (pairs(o[key], axes) for key in ("stride", "dilation", "kernel_size"))
    x, w, bias = t["x"], t["weight"], t.get("bias")
    batched = x.ndim == axes + 2
    lift = lambda v, lead: v.reshape(*v.shape[:lead], *[1] * (2 - axes), *v.shape[lead:])
    x = lift(x if batched else x[None], 2)
    cotangent = lift(t["cotangent"] if batched else t["cotangent"][None], 2)
    w = lift(w, 2)
    one = [1] * (2 - axes)
    s, d, k = one + stride, one + dilation, one + kernel
    if transposed:
        before = [[p, p] for p in [0] * (2 - axes) + pairs(o["padding"], axes)]
    elif o["padding"] == "same":
        before = [[dd * (kk - 1) // 2, dd * (kk - 1) - dd * (kk - 1) // 2] for dd, kk in zip(d, k)]
    else:
        before = [[p, p] for p in ([0, 0] if o["padding"] == "valid" else [0] * (2 - axes) + pairs(o["padding"], axes))]
    mode = {"zeros": "constant", "replicate": "edge", "reflect": "reflect", "circular": "wrap"}[o.get("padding_mode", "zeros")]

    def taps():
        return [(ky, kx) for ky in range(k[0]) for kx in range(k[1])]

    def reads(padded, tap, size):
        ys, xs = (slice(tap[i] * d[i], tap[i] * d[i] + (size[i] - 1) * s[i] + 1, s[i]) for i in (0, 1))
        return padded[:, :, ys, xs]

    def split(v):
        return v.reshape(v.shape[0], groups, -1, *v.shape[2:])

    wg = w.reshape(groups, -1, *w.shape[1:])  # groups, outputs (of the convolution), inputs, taps
    small, large = (x, cotangent) if transposed else (cotangent, x)
    size = small.shape[2:]
    index = np.arange(large.size // (large.shape[0] * large.shape[1]), dtype=np.int64).reshape(large.shape[2:])
    places = np.pad(index, before, mode, **({"constant_values": -1} if mode == "constant" else {}))
    places = np.pad(places, [[0, max(0, (size[i] - 1) * s[i] + d[i] * (k[i] - 1) + 1 - places.shape[i])] for i in (0, 1)], constant_values=-1)
    flat = np.concatenate([large.reshape(*large.shape[:2], -1), np.zeros((*large.shape[:2], 1), WIDE)], axis=2)
    padded = flat[:, :, places]  # the place -1 is the zero at the end
    dw, forth = np.zeros_like(wg), 0
    back = np.zeros_like(flat)
    for ky, kx in taps():
        seen, tap = split(reads(padded, (ky, kx), size)), wg[..., ky, kx]
        forth = forth + np.einsum("goc,ngcyx->ngoyx", tap, seen)
        dw[..., ky, kx] = np.einsum("ngoyx,ngcyx->goc", split(small), seen)
        added = np.einsum("goc,ngoyx->ngcyx", tap, split(small))
        where = reads(places[None, None], (ky, kx), size)[0, 0]
        np.add.at(back, (slice(None), slice(None), where), added.reshape(*back.shape[:2], *size))
    forth = forth.reshape(small.shape)
    back = back[:, :, :-1].reshape(large.shape)
    y, dx = (back, forth) if transposed else (forth, back)
    if bias is not None:
        y = y + bias[:, None, None]
    drop = lambda v: v.reshape((v.shape if batched else v.shape[1:])[: 1 + batched] + v.shape[4 - axes :])
    return {"y": drop(y), "dx": drop(dx), "dweight": dw.reshape(t["weight"].shape), "dbias": cotangent.sum(axis=(0, 2, 3))}


def pool(t, o):
    """Window by window."""
    axes, x, dy = int(o["layer"][-2]), t["x"], t["cotangent"]
    size, out = x.shape[-axes:], dy.shape[-axes:]
    x, dy = x.reshape(-1, *[1] * (2 - axes), *size), dy.reshape(-1, *[1] * (2 - axes), *out)
    largest = "Max" in o["layer"]

    def windows(axis):
        """Elements of each window along an axis, and how many of them count."""
        n, m = x.shape[1 + axis], dy.shape[1 + axis]
        if "Adaptive" in o["layer"] or axis < 2 - axes:
            spans = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
            return [(list(range(a, b)), b - a) for a, b in spans]
        get = lambda key: pairs(o[key], axes)[axis - (2 - axes)]
        k, p = get("kernel_size"), get("padding")
        s = k if o["stride"] is None else get("stride")
        d = get("dilation") if largest else 1
        made = []
        for i in range(m):
            begin = i * s - p
            inside = [begin + j * d for j in range(k) if 0 <= begin + j * d < n]
            made.append((inside, min(begin + k, n + p) - begin if o.get("count_include_pad") else len(inside)))
        return made

    y, dx, indices = np.zeros_like(dy), np.zeros_like(x), np.zeros(dy.shape, np.int64)
    for i, (rows, high) in enumerate(windows(0)):
        for j, (columns, wide) in enumerate(windows(1)):
            part = np.ix_(range(len(x)), rows, columns)
            seen = x[part].reshape(len(x), -1)
            if largest:
                best = seen.argmax(axis=1)
                y[:, i, j] = seen.max(axis=1)
                at = np.array([(r, c) for r in rows for c in columns])[best]
                indices[:, i, j] = at[:, 0] * x.shape[2] + at[:, 1]
                np.add.at(dx, (np.arange(len(x)), at[:, 0], at[:, 1]), dy[:, i, j])
            else:
                divisor = WIDE(o.get("divisor_override") or high * wide)
                y[:, i, j] = seen.sum(axis=1) / divisor
                dx[part] += (dy[:, i, j] / divisor)[:, None, None]
    found = {"y": y, "indices": indices}
    return {key: value.reshape(t["cotangent"].shape) for key, value in found.items()} | {"dx": dx.reshape(t["x"].shape)}


def batch_norm_call(x, dy, weight, bias, stats, o):
    """`stats`: running mean, running variance and batch count, or None. Returns y, dx, dweight, dbias and the new stats."""
    axes, n = tuple(a for a in range(x.ndim) if a != 1), x.size // x.shape[1]

    def column(v):
        return v.reshape(-1, *[1] * (x.ndim - 2))

    batch = o["training"] or stats is None
    mean, var = (x.mean(axis=axes), x.var(axis=axes)) if batch else stats[:2]
    r = column(1 / np.sqrt(var + WIDE(o["eps"])))
    if o["training"] and stats is not None:
        count = stats[2] + 1
        m = 1 / WIDE(count) if o["momentum"] is None else WIDE(o["momentum"])
        stats = ((1 - m) * stats[0] + m * mean, (1 - m) * stats[1] + m * var * n / (n - 1), count)
    xh = (x - column(mean)) * r
    dweight, dbias = (dy * xh).sum(axis=axes), dy.sum(axis=axes)
    dx = r * column(weight) * (dy - (column(dbias) + xh * column(dweight)) / n if batch else dy)
    return xh * column(weight) + column(bias), dx, dweight, dbias, stats


def batch_norm(t, o):
    names = ("running_mean", "running_var", "num_batches_tracked")
    stats = tuple(t[f"{name}.0"] for name in names) if o["track_running_stats"] else None
    weight, bias = t.get("weight", np.ones(o["num_features"], WIDE)), t.get("bias", np.zeros(o["num_features"], WIDE))
    outputs = {}
    for call in range(1, o["calls"] + 1):
        *results, stats = batch_norm_call(t[f"x.{call}"], t[f"cotangent.{call}"], weight, bias, stats, o)
        outputs |= {f"{name}.{call}": value for name, value in zip(("y", "dx", "dweight", "dbias"), results)}
        outputs |= {f"{name}.{call}": value for name, value in zip(names, stats or ())}
    return outputs


def reduce(loss, grads, cotangent, reduction, divisor):
    """Reduced loss, and the gradients of the rows' losses times the incoming gradient of each."""
    if reduction == "none":
        return loss, cotangent, grads
    scale = 1 / WIDE(divisor) if reduction == "mean" and divisor else WIDE("nan") if reduction == "mean" else WIDE(1)
    return loss.sum() * scale, np.full(loss.shape, cotangent * scale), grads


def bce_with_logits(t, o):
    x, y, w, p = t["x"], t["y"], t.get("weight", WIDE(1)), t.get("pos_weight", WIDE(1))
    tail = np.log1p(np.exp(-np.abs(x)))
    loss = w * ((1 - y) * (np.maximum(x, 0) + tail) + p * y * (np.maximum(-x, 0) + tail))
    dx = w * ((1 - y) * sigmoid(x) - p * y * sigmoid(-x))
    loss, incoming, dx = reduce(loss, dx, t["cotangent"], o["reduction"], loss.size)
    return {"loss": loss, "dx": dx * incoming}


def cross_entropy(t, o):
    x, kept = t["x"], True
    axis, classes = (1, x.shape[1]) if x.ndim > 1 else (0, x.shape[0])
    x = np.moveaxis(x, axis, -1)
    w, e = t.get("weight", np.ones(classes, WIDE)), WIDE(o["label_smoothing"])
    shifted = x - x.max(axis=-1, keepdims=True)
    lp = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    if o.get("target", "index") == "index":
        kept = t["target"] != o["ignore_index"]
        index = np.where(kept, t["target"], 0)
        target = (np.eye(classes, dtype=WIDE)[index] * (1 - e) + e / classes) * kept[..., None]
        divisor = (w[index] * kept).sum()
    else:
        target = np.moveaxis(t["target"], axis, -1) * (1 - e) + e / classes
        divisor = math.prod(x.shape[:-1])
    weighted = w * target
    loss = -(weighted * lp).sum(axis=-1)
    dx = np.exp(lp) * weighted.sum(axis=-1, keepdims=True) - weighted
    loss, incoming, dx = reduce(loss, dx, t["cotangent"], o["reduction"], divisor)
    dx = np.where(np.expand_dims(kept, -1), dx * incoming[..., None], 0)  # 0 for an ignored row, also where the mean is 0/0
    gradients = {"dx": dx, "dtarget": -(1 - e) * w * lp * incoming[..., None]}
    return {"loss": loss} | {name: np.moveaxis(value, -1, axis) for name, value in gradients.items()}


def activations(t, o):
    x = t["x"]
    erf = np.vectorize(math.erf)
    inner = np.sqrt(WIDE(2) / WIDE(np.pi)) * (x + WIDE(0.044715) * x**3)
    slope, one = WIDE(o.get("negative_slope", 0)), np.ones_like(x)
    tail = WIDE(1) / 2 * np.vectorize(math.erfc)(np.float64(-x / np.sqrt(WIDE(2))))  # the normal distribution function
    bell = np.exp(-x * x / 2) / np.sqrt(2 * WIDE(np.pi))
    cases = {
        "relu": lambda: (np.maximum(x, 0), x > 0),
        "leaky_relu": lambda: (np.where(x > 0, x, slope * x), np.where(x > 0, one, slope)),
        "gelu": lambda: (x * tail, tail + x * bell)
        if o["approximate"] == "none"
        else (
            x * sigmoid(2 * inner),
            sigmoid(2 * inner)
            + x * sigmoid(2 * inner) * sigmoid(-2 * inner) * 2 * np.sqrt(WIDE(2) / WIDE(np.pi)) * (1 + 3 * WIDE(0.044715) * x * x),
        ),
        "silu": lambda: (x * sigmoid(x), sigmoid(x) * (1 + x * sigmoid(-x))),
        "sigmoid": lambda: (sigmoid(x), sigmoid(x) * sigmoid(-x)),
        "tanh": lambda: (np.tanh(x), 4 * sigmoid(2 * x) * sigmoid(-2 * x)),
        "softplus": lambda: (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), sigmoid(x)),
        "exp": lambda: (np.exp(x), np.exp(x)),
        "log": lambda: (np.log(x), 1 / x),
        "log1p": lambda: (np.log1p(x), 1 / (1 + x)),
        "sqrt": lambda: (np.sqrt(x), 1 / (2 * np.sqrt(x))),
        "pow": lambda: (x * x * np.sqrt(x), x * np.sqrt(x) * 5 / 2),
        "abs": lambda: (np.abs(x), np.sign(x)),
        "sign": lambda: (np.sign(x), 0 * one),
        "clamp": lambda: (np.clip(x, o["min"], o["max"]), (x > o["min"]) & (x < o["max"])),
    }
    y, slope = cases[o["op"]]()
    return {"y": y, "dx": slope * t["cotangent"]}


def optimizer_step(p, g, state, step, o):
    """One parameter's next value; `state` is kept between the steps."""
    lr, decay = WIDE(o["lr"]), WIDE(o["weight_decay"])
    if o["optimizer"] == "SGD":
        g = g + decay * p
        if o["momentum"]:
            mu, keep = WIDE(o["momentum"]), 1 - WIDE(o["dampening"])
            state["buffer"] = mu * state["buffer"] + keep * g if "buffer" in state else g
            g = g + mu * state["buffer"] if o["nesterov"] else state["buffer"]
        return p - lr * g
    b1, b2 = map(WIDE, o["betas"])
    if o["optimizer"] == "AdamW":
        p = p * (1 - lr * decay)
    else:
        g = g + decay * p
    state["m"] = b1 * state.get("m", 0) + (1 - b1) * g
    state["v"] = v = b2 * state.get("v", 0) + (1 - b2) * g * g
    if o["amsgrad"]:
        state["max"] = v = np.maximum(state.get("max", 0), v)
    return p - lr / (1 - b1**step) * state["m"] / (np.sqrt(v) / np.sqrt(1 - b2**step) + WIDE(o["eps"]))


def optimizers(t, o):
    keys = ("weight", "bias", "scale")
    params, states, outputs = {key: t[f"param.0.{key}"] for key in keys}, {key: {} for key in keys}, {}
    own = {key: group for group in o.get("groups", ()) for key in group["params"]}
    for step in range(1, o["steps"] + 1):
        for key in keys:
            options = {**o, **own.get(key, {})}
            if "lr_per_step" in o:
                options["lr"] = o["lr_per_step"][step - 1]
            params[key] = optimizer_step(params[key], t[f"grad.{step}.{key}"], states[key], step, options)
            outputs[f"param.{step}.{key}"] = params[key]
    return outputs


def curves(t, o):
    model = {name.removeprefix("init/"): value for name, value in t.items() if name.startswith("init/")}
    states, losses = {}, []
    norm = {"eps": 1e-5, "momentum": 0.1, "training": True}
    for step, rows in enumerate(t["rows"], start=1):
        x, y = t["x"][rows], t["y"][rows]
        hidden = x @ model["fc1.weight"].T + model["fc1.bias"]
        normed = hidden
        if o["model"]["batch_norm"]:
            args = (model["bn1.weight"], model["bn1.bias"])
            stats = tuple(model[f"bn1.{name}"] for name in ("running_mean", "running_var", "num_batches_tracked"))
            normed, *_, new = batch_norm_call(hidden, np.zeros_like(hidden), *args, stats, norm)
        active = np.maximum(normed, 0)
        logits = active @ model["fc2.weight"].T + model["fc2.bias"]
        given = {"x": logits, "cotangent": WIDE(1), **{name: t[name] for name in ("weight", "pos_weight") if name in t}}
        loss = bce_with_logits({**given, "y": y}, o) if o["loss"] == "BCEWithLogitsLoss" else cross_entropy({**given, "target": y}, o)
        grads = {"fc2.weight": loss["dx"].T @ active, "fc2.bias": loss["dx"].sum(axis=0)}
        dhidden = (loss["dx"] @ model["fc2.weight"]) * (normed > 0)
        if o["model"]["batch_norm"]:
            _, dhidden, grads["bn1.weight"], grads["bn1.bias"], _ = batch_norm_call(hidden, dhidden, *args, stats, norm)
            model |= {"bn1.running_mean": new[0], "bn1.running_var": new[1], "bn1.num_batches_tracked": new[2]}
        grads |= {"fc1.weight": dhidden.T @ x, "fc1.bias": dhidden.sum(axis=0)}
        for key, grad in grads.items():
            model[key] = optimizer_step(model[key], grad, states.setdefault(key, {}), step, o)
        losses.append(loss["loss"])
    return {"losses": np.array(losses), **{f"final/{key}": value for key, value in model.items()}}


def difference(found, expected):
    assert np.shape(found) == expected.shape, (np.shape(found), expected.shape)
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    found, expected = np.nan_to_num(np.asarray(found, WIDE)), np.nan_to_num(expected.astype(WIDE))
    return float((np.abs(found - expected) / np.maximum(1, np.abs(expected))).max(initial=0))


def main():
    index, failed = json.loads((HERE / "index.json").read_text()), False
    for group, cases in index.items():
        stored = load_file(HERE / f"{group}.safetensors")
        names = [f"{case['name']}/{name}" for case in cases for name in case["tensors"]]
        assert sorted(names) == sorted(stored), f"{group}: the index does not match the file"
        worst, f32_worst, compared = {}, (0.0, ""), 0
        for case in cases:
            tensors = {name: stored[f"{case['name']}/{name}"] for name in case["tensors"]}
            f32 = {name.removeprefix("f32/"): value for name, value in tensors.items() if name.startswith("f32/")}
            f64 = {name: value for name, value in tensors.items() if not name.startswith("f32/")}
            wide = {name: value if value.dtype == np.int64 else value.astype(WIDE) for name, value in f64.items()}
            assert all(value.dtype == np.float32 and name in f64 for name, value in f32.items())
            assert case["options"].get("nan", False) == any(np.isnan(value).any() for value in f64.values())
            for name, value in f64.items():  # a float without an f32 twin is an input
                if value.dtype == np.float64 and name not in f32:
                    assert np.array_equal(value, value.astype(np.float32)), f"{group}/{case['name']}/{name} is not f32"
            outputs = globals()[group](wide, case["options"])
            for name in set(outputs) & set(f64):
                compared += 1
                full = f"{case['name']}/{name}"
                key = next((prefix for prefix in LOOSER if f"{group}/{full}".startswith(prefix)), "")
                worst[key] = max(worst.get(key, (0.0, "")), (difference(outputs[name], f64[name]), full))
                if name in f32 and not key:
                    f32_worst = max(f32_worst, (difference(f64[name], f32[name]), full))
            missing = set(f32) - set(outputs)
            assert not missing, f"{group}/{case['name']}: nothing recomputes {missing}"
        print(f"{group}: {len(cases)} cases, {compared} outputs compared; PyTorch's f32 is off by up to {f32_worst[0]:.1e} ({f32_worst[1]})")
        for key, (apart, where) in worst.items():
            allowed = LOOSER.get(key, 1e-14)
            failed |= apart > allowed
            print(f"    {key or 'all others'}: {apart:.1e} of {allowed:.0e} allowed, at {where}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
