"""Records one training step of a PyTorch model, for wgrad to follow it.

    from record_pytorch import record
    record("step.safetensors", model, optimizer, loss_fn, x, y)

makes one step, `loss_fn(model(x), y).backward(); optimizer.step()`, and writes a safetensors file with

    input, target, loss     what went in and what came out
    output/NAME             the output of every module that was called once, by its dotted name
    before/NAME, after/NAME every entry of the state dict before and after the step
    gradient/NAME           the gradient of every parameter that got one

`Recording::read("step.safetensors")?.compare(…)` and `wgrad train … --lockstep --against step.safetensors` run the same
step and name the first module, in the order of execution, that differs. Record on the CPU in float32, with dropout of
probability 0: its random numbers are others here. Needs torch and safetensors.
"""

import json

import torch
from safetensors.torch import save_file


def record(path, model, optimizer, loss_fn, x, y):
    """Makes one step of `model` on the batch `x`, `y`, and writes what happened to `path`. Returns the loss."""
    outputs, calls, order, hooks = {}, {}, [], []

    def keep(name):
        def hook(_module, _inputs, output):
            calls[name] = calls.get(name, 0) + 1
            if torch.is_tensor(output) and output.is_floating_point():
                order.append(name)
                outputs[name] = output.detach().clone()

        return hook

    def copy(tensor):
        return tensor.detach().clone().contiguous()

    tensors = {f"before/{name}": copy(value) for name, value in model.state_dict().items()}
    for name, module in model.named_modules():
        if name:
            hooks.append(module.register_forward_hook(keep(name)))
    optimizer.zero_grad()
    try:
        loss = loss_fn(model(x), y)
        loss.backward()
    finally:
        for hook in hooks:
            hook.remove()
    tensors |= {f"gradient/{name}": copy(p.grad) for name, p in model.named_parameters() if p.grad is not None}
    optimizer.step()
    tensors |= {f"after/{name}": copy(value) for name, value in model.state_dict().items()}
    once = [name for name in order if calls[name] == 1]
    tensors |= {f"output/{name}": outputs[name].contiguous() for name in once}
    tensors |= {"input": copy(x), "target": copy(y), "loss": copy(loss).reshape(())}
    metadata = {"format": "wgrad-recording", "order": json.dumps(once), "torch": torch.__version__}
    save_file(tensors, path, metadata)
    return loss.item()
