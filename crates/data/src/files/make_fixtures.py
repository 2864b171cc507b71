"""Writes the files that the tests of these readers read: python make_fixtures.py (numpy 2)."""

import gzip
from pathlib import Path

import numpy as np

here = Path(__file__).parent / "fixtures"
here.mkdir(exist_ok=True)
grid = np.arange(6).reshape(2, 3)
for kind in ["float16", "float32", "float64", "int8", "int64", "uint8", "uint16", "bool", ">f4", ">i4"]:
    np.save(here / f"{kind.replace('>', 'big_')}.npy", (grid - 1 if "i" in kind and "u" not in kind else grid).astype(kind))
np.save(here / "fortran.npy", np.asfortranarray(grid.astype("float32")))
np.save(here / "objects.npy", np.array([1, "a", None], dtype=object))
np.save(here / "texts.npy", np.array(["a", "bc"]))
np.save(here / "records.npy", np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]))
np.save(here / "scalar.npy", np.float32(2.5))
x = np.linspace(-1, 1, 24).reshape(4, 2, 3).astype("float32")
y = np.array([3, -1, 3, 5], dtype="int64")
np.savez(here / "stored.npz", x=x, y=y)
np.savez_compressed(here / "packed.npz", x=x, y=y)
pixels = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 51, 102, 153, 204, 255, 0, 255])
(here / "images.idx").write_bytes(pixels)
(here / "images.idx.gz").write_bytes(gzip.compress(pixels, mtime=0))
(here / "labels.idx").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 4]))
(here / "floats.idx").write_bytes(bytes([0, 0, 13, 1, 0, 0, 0, 2]) + np.array([1.5, -2], dtype=">f4").tobytes())
