"""Writes the files beside this script that the readers' and writers' tests use, with the libraries that
own the formats, and `expected.json`, which says what is in them.

Made with Python 3.11, NumPy 2.4.6, safetensors 0.8.0, PyTorch 2.13.0 (for bfloat16). Run it in its folder.
Tolerance of the tests: none, all comparisons are exact.
"""

import gzip
import io
import json
import pathlib
import struct
import zipfile

import numpy as np
import torch
from numpy.lib import format as npy_format
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

here = pathlib.Path(__file__).parent
for name in ("safetensors", "npy", "npz", "idx", "csv", "toml", "json"):
    (here / name).mkdir(exist_ok=True)
expected = {}


def values(array):
    """Values as JSON: bools and integers as they are, reals as hexadecimal text, which is exact."""
    flat = np.asarray(array).ravel(order="C")
    return [float(x).hex() if flat.dtype.kind == "f" else int(x) for x in flat]


def entry(array, dtype=None):
    array = np.asarray(array)
    return {"dtype": dtype or str(array.dtype), "shape": list(array.shape), "values": values(array)}


rng = np.random.default_rng(7)
specials = np.array([0.0, -0.0, np.inf, -np.inf, 1e-42, 3.4e38], np.float32)
arrays = {
    "layer.0.weight": rng.standard_normal((3, 4)).astype(np.float32),
    "layer.0.bias": specials,
    "double": rng.standard_normal((2, 1, 3)),
    "count": np.array([-(2**63), 2**63 - 1, 0], np.int64),
    "index": np.array([[1, -2], [2**31 - 1, -(2**31)]], np.int32),
    "pixels": np.arange(5, dtype=np.uint8),
    "mask": np.array([True, False, True]),
    "scalar": np.array(2.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "Ünïcode \"quoted\"": np.array([1.0], np.float64),
}

# safetensors
save_file(arrays, here / "safetensors/numpy.safetensors", metadata={"format": "chainrule \"test\""})
expected["safetensors/numpy.safetensors"] = {k: entry(v) for k, v in arrays.items()}
bf16 = torch.tensor([1.0, -2.5, 3.140625, float("inf")], dtype=torch.bfloat16)
save_torch({"w": bf16, "b": torch.ones(2)}, here / "safetensors/torch.safetensors", metadata={"format": "pt"})
expected["safetensors/torch.safetensors"] = {
    "w": entry(bf16.float().numpy(), "bfloat16"), "b": entry(np.ones(2, np.float32))}
save_torch({"eighth": torch.ones(2).to(torch.float8_e5m2)}, here / "safetensors/float8.safetensors")
half_bits = np.arange(0, 2**16, 997, dtype=np.uint16).view(np.float16)
narrow = {"half": half_bits[np.isfinite(half_bits)], "int8": np.array([-128, 0, 127], np.int8),
          "int16": np.array([[-(2**15)], [2**15 - 1]], np.int16), "uint16": np.array([0, 2**16 - 1], np.uint16),
          "uint32": np.array([0, 2**32 - 1], np.uint32)}
save_file(narrow, here / "safetensors/narrow.safetensors")
widened = {"half": "float32", "int8": "int32", "int16": "int32", "uint16": "int32", "uint32": "int64"}
expected["safetensors/narrow.safetensors"] = {k: entry(v, widened[k]) for k, v in narrow.items()}
save_file({}, here / "safetensors/empty.safetensors")
expected["safetensors/empty.safetensors"] = {}

# NPY
def npy(name, array, widened=None, version=None):
    with open(here / "npy" / name, "wb") as file:
        npy_format.write_array(file, array, version=version)
    expected["npy/" + name] = entry(array, widened)

matrix = rng.standard_normal((3, 4, 2))
npy("float64.npy", matrix)
npy("float32.npy", specials)
npy("fortran.npy", np.asfortranarray(matrix))
npy("fortran_big_endian.npy", np.asfortranarray(matrix.astype(">f8")), "float64")
npy("big_endian.npy", matrix.astype(">f4"), "float32")
npy("version2.npy", matrix[0], version=(2, 0))
npy("version3.npy", matrix[1], version=(3, 0))
npy("bool.npy", arrays["mask"])
npy("uint8.npy", arrays["pixels"])
npy("int32.npy", arrays["index"])
npy("int64.npy", arrays["count"])
npy("int8.npy", np.array([-128, 127], np.int8), "int32")
npy("int16.npy", np.array([-(2**15), 2**15 - 1], ">i2"), "int32")
npy("uint16.npy", np.array([0, 2**16 - 1], np.uint16), "int32")
npy("uint32.npy", np.array([0, 2**32 - 1], np.uint32), "int64")
halves = np.arange(0, 2**16, 997, dtype=np.uint16).view(np.float16)
npy("float16.npy", halves[np.isfinite(halves)], "float32")
npy("scalar.npy", arrays["scalar"])
npy("empty.npy", arrays["empty"])
for name, array in {"complex.npy": np.array([1j]), "text.npy": np.array(["ab"]),
                    "uint64.npy": np.array([1], np.uint64), "object.npy": np.array([None]),
                    "record.npy": np.zeros(2, [("x", "f4")])}.items():
    np.save(here / "npy" / name, array)

# NPZ: as NumPy writes it, and one in which nothing depends on the machine, for comparison byte by byte
named = {"a": arrays["layer.0.weight"], "b": arrays["index"], "scalar": arrays["scalar"]}
np.savez(here / "npz/stored.npz", **named)
np.savez_compressed(here / "npz/deflated.npz", zeros=np.zeros(64), **named)
expected["npz/stored.npz"] = {k: entry(v) for k, v in named.items()}
expected["npz/deflated.npz"] = dict(expected["npz/stored.npz"], zeros=entry(np.zeros(64)))
with zipfile.ZipFile(here / "npz/plain.npz", "w", zipfile.ZIP_STORED) as archive:
    for name, array in named.items():
        content = io.BytesIO()
        np.save(content, array)
        info = zipfile.ZipInfo(name + ".npy", (1980, 1, 1, 0, 0, 0))
        info.create_system, info.external_attr = 0, 0
        archive.writestr(info, content.getvalue())
# zipfile sets the file's mode where there is none.
data = bytearray((here / "npz/plain.npz").read_bytes())
at = data.find(b"PK\x01\x02")
while at >= 0:
    data[at + 38:at + 42] = bytes(4)
    at = data.find(b"PK\x01\x02", at + 1)
(here / "npz/plain.npz").write_bytes(data)
expected["npz/plain.npz"] = expected["npz/stored.npz"]

# IDX
def idx(name, array, code, widened=None):
    header = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    data = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
    (here / "idx" / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    expected["idx/" + name] = entry(array, widened)

pixels = rng.integers(0, 256, (2, 3, 4), np.uint8)
idx("pixels-idx3-ubyte", pixels, 0x08)
idx("pixels-idx3-ubyte.gz", pixels, 0x08)
idx("int8-idx1", np.array([-128, 127], np.int8), 0x09, "int32")
idx("int16-idx1", np.array([-300, 300], np.int16), 0x0B, "int32")
idx("int32-idx2", arrays["index"], 0x0C)
idx("float32-idx1", specials, 0x0D)
idx("float64-idx1", np.array([np.pi, -0.0]), 0x0E)

# CSV
(here / "csv/quoted.csv").write_bytes(
    b"\xef\xbb\xbfname,\"height, cm\",age,note\r\n\"Smith, A.\",1.5e2,41,\"said \"\"hi\"\"\"\r\n"
    b"Jones,NA,7,\"two\nlines\"\r\n\r\nJones,181,+12,\r\n")
(here / "csv/numbers.csv").write_text("x;y\n1;0.1\n-2;1e400\n9223372036854775807;-1e-400\n")
(here / "toml/train.toml").write_text(
    'seed = 7\nname = "run \\"a\\""\n\n[optimizer]\nlearning_rate = 0.001\nbetas = [0.9, 0.999]\n'
    "[[layer]]\nunits = 16\n[[layer]]\nunits = 4\nbias = false\n")
(here / "json/values.json").write_text('{"a": [1, 2.5, null, true], "b": {"c": "text \\u00e9"}}\n')
(here / "expected.json").write_text(json.dumps(expected, indent=0, allow_nan=False))
