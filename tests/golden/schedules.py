"""Values of torch's learning rate schedules, as JSON: tests/golden/schedules.json.

    python tests/golden/schedules.py

Each case has a schedule (in the words of torch), the groups of an optimizer, and for each epoch what is set: the rates, and
the momenta where they are cycled. `to` has epochs for `step(epoch)`, `metrics` what a plateau is told. torch 2.15.0.
"""
import json
import math
import pathlib
import warnings

import torch
from torch.optim import lr_scheduler as s

warnings.filterwarnings("ignore")
STEPS = 120


def number(x):
    return float(x) if math.isfinite(x) else repr(float(x))


def build(optimizer, spec):
    """A scheduler from a list: its name, then its options."""
    name, options = spec
    if name == "SequentialLR":
        parts = [build(optimizer, part) for part in options["schedulers"]]
        return s.SequentialLR(optimizer, parts, options["milestones"])
    if name == "ChainedScheduler":
        return s.ChainedScheduler([build(optimizer, part) for part in options["schedulers"]])
    if name == "LambdaLR":
        return s.LambdaLR(optimizer, lambda epoch: 0.95**epoch)
    if name == "MultiplicativeLR":
        return s.MultiplicativeLR(optimizer, lambda epoch: 1.0 - 0.5 / (1.0 + epoch))
    if name == "CyclicLR" and "scale_fn" in options:
        fn = {"1 / x": lambda x: 1 / x, "0.99 ** x": lambda x: 0.99**x}[options["scale_fn"]]
        return s.CyclicLR(optimizer, **{**options, "scale_fn": fn})
    return getattr(s, name)(optimizer, **options)


def case(spec, groups=(0.1, 0.02), optimizer="SGD", steps=STEPS, to=None, metrics=None, hand=None):
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in groups]
    if optimizer == "SGD":
        built = torch.optim.SGD(parameters, lr=0.5, momentum=0.9)
    else:
        built = torch.optim.AdamW(parameters, lr=0.5)
    scheduler = build(built, spec)
    key = (lambda g: g["momentum"]) if optimizer == "SGD" else (lambda g: g["betas"][0])
    lrs, momenta = [], []

    def note():
        lrs.append([number(g["lr"]) for g in built.param_groups])
        momenta.append([number(key(g)) for g in built.param_groups])

    note()
    if metrics is not None:
        for metric in metrics:
            scheduler.step(metric)
            note()
    elif to is not None:
        for epoch in to:
            scheduler.step(epoch)
            note()
    else:
        for i in range(steps):
            built.step()
            if hand is not None and i == hand:
                for group in built.param_groups:
                    group["lr"] *= 0.5
            scheduler.step()
            note()
    extra = {"to": to, "metrics": [number(m) for m in metrics] if metrics else None, "hand": hand}
    result = {"schedule": spec, "groups": list(groups), "optimizer": optimizer, "lr": lrs}
    result |= {key: value for key, value in extra.items() if value is not None}
    if any(m != momenta[0] for m in momenta) or spec[0] in ("OneCycleLR", "CyclicLR"):
        result["momentum"] = momenta
    return result


def plateau_metrics():
    generator = torch.Generator().manual_seed(3)
    noise = torch.rand(STEPS, generator=generator, dtype=torch.float64).tolist()
    return [2.0 / (1 + 0.05 * i) + 0.2 * n if i % 17 != 5 else math.nan for i, n in enumerate(noise)]


cases = []
add = lambda *args, **kwargs: cases.append(case(*args, **kwargs))
for size, gamma in [(1, 0.9), (3, 0.1), (30, 0.5), (7, 1.5)]:
    add(["StepLR", {"step_size": size, "gamma": gamma}])
add(["StepLR", {"step_size": 10}], hand=4)
add(["StepLR", {"step_size": 10}], to=[0, 9, 10, 35])
for milestones, gamma in [([2, 5, 60], 0.1), ([3, 3, 10], 0.5), ([1], 0.3), ([], 0.3)]:
    add(["MultiStepLR", {"milestones": milestones, "gamma": gamma}])
add(["MultiStepLR", {"milestones": [2, 5]}], to=[1, 2, 7])
for gamma in (0.9, 0.99, 1.01):
    add(["ExponentialLR", {"gamma": gamma}])
add(["ExponentialLR", {"gamma": 0.9}], to=[3, 10])
add(["ExponentialLR", {"gamma": 0.97}], hand=10)
for options in [{}, {"factor": 0.5, "total_iters": 4}, {"factor": 1.0, "total_iters": 1}, {"factor": 0.25, "total_iters": 100}]:
    add(["ConstantLR", options])
add(["ConstantLR", {}], to=[1, 5, 9])
for options in [{}, {"start_factor": 0.1, "total_iters": 3}, {"start_factor": 1.0, "end_factor": 0.01, "total_iters": 90},
                {"start_factor": 0.5, "end_factor": 0.0, "total_iters": 20}]:
    add(["LinearLR", options])
add(["LinearLR", {"total_iters": 8}], to=[2, 8, 30])
for options in [{}, {"total_iters": 100}, {"total_iters": 80, "power": 2.0}, {"total_iters": 30, "power": 0.9}]:
    add(["PolynomialLR", options])
add(["PolynomialLR", {"total_iters": 30, "power": 0.9}], to=[4, 29, 31])
add(["LambdaLR", {}])
add(["LambdaLR", {}], hand=3)
add(["MultiplicativeLR", {}])
for options in [{"T_max": 4}, {"T_max": 100}, {"T_max": 50, "eta_min": 1e-3}, {"T_max": 1}, {"T_max": 13, "eta_min": 0.05}]:
    add(["CosineAnnealingLR", options])
add(["CosineAnnealingLR", {"T_max": 10}], hand=3, steps=9)
add(["CosineAnnealingLR", {"T_max": 10}], to=[5, 10, 12, 20])
for options in [{"T_0": 10}, {"T_0": 3, "T_mult": 2}, {"T_0": 1}, {"T_0": 7, "T_mult": 3, "eta_min": 1e-3}]:
    add(["CosineAnnealingWarmRestarts", options])
for options in [{"T_0": 10}, {"T_0": 3, "T_mult": 2, "eta_min": 1e-4}]:
    add(["CosineAnnealingWarmRestarts", options], to=[i * 0.37 for i in range(100)])
one = lambda **options: ["OneCycleLR", {"max_lr": 1.0, "total_steps": STEPS, **options}]
for optimizer in ("SGD", "AdamW"):
    for options in [{}, {"anneal_strategy": "linear"}, {"three_phase": True}, {"pct_start": 0.45, "three_phase": True},
                    {"pct_start": 0.1, "div_factor": 5.0, "final_div_factor": 10.0}, {"max_lr": [1.0, 0.3]},
                    {"base_momentum": 0.7, "max_momentum": 0.99}, {"base_momentum": [0.8, 0.6], "max_momentum": [0.9, 0.95]},
                    {"cycle_momentum": False}, {"total_steps": None, "epochs": 12, "steps_per_epoch": 10}]:
        add(one(**options), optimizer=optimizer)
add(["OneCycleLR", {"max_lr": 1.0, "total_steps": 10}], steps=10)
cyclic = lambda **options: ["CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 8, **options}]
for options in [{}, {"step_size_down": 3}, {"mode": "triangular2"}, {"mode": "exp_range", "gamma": 0.98},
                {"cycle_momentum": False}, {"base_lr": [0.01, 0.02], "max_lr": [0.1, 0.5]},
                {"base_momentum": 0.6, "max_momentum": 0.95}, {"scale_fn": "1 / x", "scale_mode": "cycle"},
                {"scale_fn": "0.99 ** x", "scale_mode": "iterations"}]:
    add(cyclic(**options))
add(cyclic(), optimizer="AdamW")
warm = ["LinearLR", {"start_factor": 0.1, "total_iters": 3}]
add(["SequentialLR", {"schedulers": [warm, ["CosineAnnealingLR", {"T_max": 5}]], "milestones": [3]}])
add(["SequentialLR", {"schedulers": [warm, ["CosineAnnealingLR", {"T_max": 100, "eta_min": 1e-4}]], "milestones": [20]}])
add(["SequentialLR", {"schedulers": [["ConstantLR", {"factor": 0.1}], ["ExponentialLR", {"gamma": 0.9}],
                                     ["StepLR", {"step_size": 5}]], "milestones": [10, 40]}])
add(["SequentialLR", {"schedulers": [warm, ["CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2}]], "milestones": [5]}])
add(["SequentialLR", {"schedulers": [["MultiStepLR", {"milestones": [2, 4]}], ["PolynomialLR", {"total_iters": 60}],
                                     ["LambdaLR", {}]], "milestones": [6, 70]}])
add(["SequentialLR", {"schedulers": [warm, ["MultiplicativeLR", {}]], "milestones": [4]}])
add(["ChainedScheduler", {"schedulers": [["ConstantLR", {"factor": 0.1, "total_iters": 20}], ["ExponentialLR", {"gamma": 0.95}]]}])
add(["ChainedScheduler", {"schedulers": [["LinearLR", {"total_iters": 10}], ["CosineAnnealingLR", {"T_max": 120}]]}])
add(["ChainedScheduler", {"schedulers": [["StepLR", {"step_size": 9}], ["PolynomialLR", {"total_iters": 100}]]}])
metrics = plateau_metrics()
for options in [{}, {"patience": 2}, {"patience": 0, "factor": 0.5}, {"patience": 1, "cooldown": 3},
                {"patience": 2, "threshold": 0.1}, {"patience": 2, "threshold": 0.3, "threshold_mode": "abs"},
                {"patience": 1, "min_lr": 1e-3}, {"patience": 1, "min_lr": [1e-2, 1e-3]}, {"patience": 1, "eps": 0.05},
                {"mode": "max", "patience": 3}, {"mode": "max", "patience": 3, "threshold_mode": "abs", "threshold": 0.01}]:
    add(["ReduceLROnPlateau", options], metrics=metrics)

path = pathlib.Path(__file__).with_name("schedules.json")
lines = ",\n".join(json.dumps(c) for c in cases)
path.write_text(f'{{"torch": "{torch.__version__.split("+")[0]}", "cases": [\n{lines}\n]}}\n')
print(len(cases), "cases,", path.stat().st_size, "bytes")
