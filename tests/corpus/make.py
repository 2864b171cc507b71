"""Writes the files of this folder: small ones of every kind that is read, for tests/loaders.rs to damage.

python make.py  (numpy 2, safetensors)
"""

import gzip
import json
import pathlib
import struct

import numpy as np
from safetensors.numpy import save_file

here = pathlib.Path(__file__).parent
rows = "".join(f"{i * 37 % 11},{i / 7:.3f},{'xyz'[i % 3]},{i % 2}\n" for i in range(40))
(here / "numbers.csv").write_text("a,b,word,y\n" + rows)
(here / "quotes.csv").write_bytes(b'\xef\xbb\xbf"a ""1""",b,y\r\n"1",,yes\r\n-2.5e3,"x,\r\ny",no\r\n\r\n3,NA,yes\r\n4,z,no\r\n')
(here / "dates.csv").write_text("when,n,y\n2024-01-31,1,0\n2024-02-01 10:30,2,1\n2024-02-02,007,0\n")
x = np.arange(24, dtype="f4").reshape(4, 6) / 8
np.save(here / "f4.npy", x)
np.save(here / "big_endian.npy", x.astype(">f8"))
np.save(here / "half.npy", x.astype("f2"))
np.save(here / "bytes.npy", x.astype("u1"))
np.save(here / "fortran.npy", np.asfortranarray(x))
np.savez(here / "stored.npz", x=x, y=np.arange(4) % 2)
np.savez_compressed(here / "packed.npz", x=x, y=np.arange(4) % 2)
images = struct.pack(">HBBIII", 0, 8, 3, 3, 2, 2) + bytes(range(12))
(here / "images.idx").write_bytes(images)
(here / "images.idx.gz").write_bytes(gzip.compress(images, mtime=0))
(here / "labels.idx").write_bytes(struct.pack(">HBBI", 0, 8, 1, 3) + bytes([0, 1, 0]))
save_file({"fc.weight": x[:2, :3].copy(), "fc.bias": x[0, :2].copy()}, here / "model.safetensors")
(here / "preprocess.json").write_text(
    json.dumps({"columns": ["a", "b"], "mean": [2.0, 0.5], "std": [1.0, 3.0], "fill": None, "constant": []})
)
