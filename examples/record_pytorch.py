"""Records one training step of a PyTorch model, for wgrad to follow it.

    from record_pytorch import record
    record("step.safetensors", model, optimizer, loss_fn, x, y)

makes one step, `loss_fn(model(x), y).backward(); optimizer.step()`, and writes a safetensors file with

    input, target, loss     what went in and what came out
    output/NAME             the output of every module, by its dotted name
    output/NAME#0, NAME#1   the outputs of a module that was called several times, in the order of its calls
    before/NAME, after/NAME every entry of the state dict before and after the step
    gradient/NAME           the gradient of every parameter that got one

`Recording::read("step.safetensors")?.compare(…)` and `wgrad train … --lockstep --against step.safetensors` run the same
step and name the first module, in the order of execution, that differs. Record on the CPU in float32. A step that draws
random numbers, such as dropout's, is refused, for they are others here. Needs torch and safetensors.
"""

import json

import torch
from safetensors.torch import save_file

# What does nothing in a step without random numbers.
NOTHING = (torch.nn.Identity, torch.nn.Dropout, torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d)
NOTHING += (torch.nn.AlphaDropout, torch.nn.FeatureAlphaDropout)


def record(path, model, optimizer, loss_fn, x, y):
    """Makes one step of `model` on the batch `x`, `y`, and writes what happened to `path`. Returns the loss."""
    calls, order, hooks = {}, [], []

    def keep(name):
        def hook(_module, _inputs, output):
            call = calls[name] = calls.get(name, -1) + 1
            if torch.is_tensor(output) and output.is_floating_point():
                order.append((name, call, output.detach().clone()))

        return hook

    def copy(tensor):
        return tensor.detach().clone().contiguous()

    tensors = {f"before/{name}": copy(value) for name, value in model.state_dict().items()}
    for name, module in model.named_modules():
        if name and not isinstance(module, NOTHING):
            hooks.append(module.register_forward_hook(keep(name)))
    random = torch.get_rng_state()
    optimizer.zero_grad()
    try:
        loss = loss_fn(model(x), y)
        loss.backward()
    finally:
        for hook in hooks:
            hook.remove()
    if not torch.equal(random, torch.get_rng_state()):
        raise ValueError(refusal(model))
    tensors |= {f"gradient/{name}": copy(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    optimizer.step()
    tensors |= {f"after/{name}": copy(value) for name, value in model.state_dict().items()}
    outputs = {f"{name}#{call}" if calls[name] else name: output for name, call, output in order}
    tensors |= {f"output/{name}": output.contiguous() for name, output in outputs.items()}
    tensors |= {"input": copy(x), "target": copy(y), "loss": copy(loss).reshape(())}
    metadata = {"format": "wgrad-recording", "order": json.dumps(list(outputs)), "torch": torch.__version__}
    save_file(tensors, path, metadata)
    return loss.item()


def refusal(model):
    """Why a step that drew random numbers is not recorded, and where they are likely drawn."""
    drawing = []
    for name, module in model.named_modules():
        p = module.p if isinstance(module, NOTHING[1:]) else getattr(module, "dropout", 0)
        if module.training and isinstance(p, (int, float)) and p > 0:
            drawing.append(f"{name or 'the model'} ({p})")
    found = f": dropout is on in {', '.join(drawing)}" if drawing else ""
    return f"the step drew random numbers, and wgrad's are others{found}; set the probabilities to 0 and record again"
