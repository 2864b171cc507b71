"""Load FOLDER/ours.safetensors, which interop.rs writes, into PyTorch's layers with strict=True; save them as model.pt, and run
the command of docs/from-pytorch.md on that, which writes model.safetensors.

    python tests/golden/interop.py FOLDER
"""

import re
import subprocess
import sys
from pathlib import Path

import torch
from resnet import ResNet
from safetensors.torch import load_file
from torch import nn

HERE = Path(__file__).resolve().parent
layer = nn.TransformerEncoderLayer(8, 2, 12)
model = nn.ModuleDict(
    {
        "linear": nn.Linear(3, 4),
        "linear_without_bias": nn.Linear(3, 4, bias=False),
        "conv1d": nn.Conv1d(4, 6, 3, groups=2),
        "conv2d": nn.Conv2d(2, 3, (3, 1)),
        "conv_transpose1d": nn.ConvTranspose1d(4, 6, 3),
        "conv_transpose2d": nn.ConvTranspose2d(4, 6, 3, groups=2),
        "batch_norm1d": nn.BatchNorm1d(5),
        "batch_norm2d": nn.BatchNorm2d(5, affine=False),
        "layer_norm": nn.LayerNorm((3, 4)),
        "group_norm": nn.GroupNorm(2, 6),
        "rms_norm": nn.RMSNorm(7),
        "embedding": nn.Embedding(9, 4),
        "attention": nn.MultiheadAttention(8, 2),
        "attention_kv": nn.MultiheadAttention(8, 2, kdim=3, vdim=5, add_bias_kv=True),
        "encoder": nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8)),
        "lstm": nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2),
        "gru": nn.GRU(3, 4, 2, bidirectional=True),
        "rnn": nn.RNN(3, 4),
        "bilinear": nn.Bilinear(2, 3, 4),
        "sequential": nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)),
        "resnet": ResNet(width=2, classes=3),
    }
)
folder = Path(sys.argv[1])
model.load_state_dict(load_file(folder / "ours.safetensors"), strict=True)
assert model["batch_norm1d"].num_batches_tracked == 5
torch.save(model.state_dict(), folder / "model.pt")
command = re.search(r"python -c \"(import torch, safetensors.*?)\"\n", (HERE.parents[1] / "docs/from-pytorch.md").read_text()).group(1)
subprocess.run([sys.executable, "-c", command], cwd=folder, check=True)
print(f"{len(model.state_dict())} tensors of {len(model)} modules loaded with strict=True and converted back")
