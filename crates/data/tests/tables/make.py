"""Writes the files of this folder: the same rows in the formats and compressions that pyarrow has.

python make.py  (pyarrow 26.0.1)
"""

import datetime
import decimal
import pathlib

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet

here = pathlib.Path(__file__).parent
day = datetime.date(2024, 1, 31)
noon = datetime.datetime(2024, 1, 31, 12, 30, 15, 250000)
columns = {
    "i8": pa.array([-1, None, 3, 4, 5], pa.int8()),
    "i64": pa.array([2**40, 1, 2, 3, 4], pa.int64()),
    "u32": pa.array([0, 2**32 - 1, None, 3, 4], pa.uint32()),
    "f16": pa.array([0.5, 1.5, -2.0, None, 4.0], pa.float16()),
    "f32": pa.array([0.1, float("nan"), -2.0, 3.0, 4.0], pa.float32()),
    "f64": pa.array([0.1, 1e-300, None, 3.0, 1e30], pa.float64()),
    "decimal": pa.array([decimal.Decimal(x) for x in ("0.10", "-12.34", "3.00", "4.01", "99.99")], pa.decimal128(10, 2)),
    "flag": pa.array([True, False, None, True, False]),
    "word": pa.array(["x", " y ", None, "", "é"], pa.string()),
    "large": pa.array(["x", "y", "x", "y", None], pa.large_string()),
    "level": pa.array(["a", None, "b", "a", "b"]).dictionary_encode(),
    "day": pa.array([day, None, day, day, day], pa.date32()),
    "time": pa.array([noon, None, noon, noon, noon], pa.timestamp("us", tz="UTC")),
    "nothing": pa.array([None] * 5, pa.null()),
}
table = pa.table(columns)
for compression in ("snappy", "gzip", "zstd", "lz4", "none"):
    # Three rows in the first group, two in the second.
    parquet.write_table(table, here / f"{compression}.parquet", compression=compression, row_group_size=3)
for compression in ("lz4", "zstd", "uncompressed"):
    feather.write_feather(table, here / f"{compression}.arrow", compression=compression, chunksize=2)
with pa.ipc.new_stream(str(here / "stream.arrow"), table.schema) as stream:
    stream.write_table(table, max_chunksize=2)
with pa.ipc.new_file(str(here / "view.arrow"), pa.schema([("v", pa.string_view())])) as file:
    file.write_table(pa.table({"v": pa.array(["short", "a text of more than twelve bytes", None], pa.string_view())}))
parquet.write_table(pa.table({"ok": [1.0], "list": [[1, 2]]}), here / "nested.parquet")
parquet.write_table(pa.table({"a": pa.array([], pa.float64())}), here / "empty.parquet")
