"""PyTorch's promotion table: of two tensors with dimensions, and of such a tensor with a Python number.

Writes promotion.json beside this script: [left, right, result]. Run: python3 generate.py
"""
import itertools
import json
import pathlib

import torch

DTYPES = {"bool": torch.bool, "uint8": torch.uint8, "int32": torch.int32, "int64": torch.int64,
          "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
SCALARS = {"bool": True, "integer": 3, "floating": 0.5}

pairs = [[a, b, NAMES[torch.promote_types(DTYPES[a], DTYPES[b])]] for a, b in itertools.product(DTYPES, DTYPES)]
scalars = [[a, kind, NAMES[torch.result_type(torch.ones(2, dtype=DTYPES[a]), number)]]
           for a, (kind, number) in itertools.product(DTYPES, SCALARS.items())]
target = pathlib.Path(__file__).with_name("promotion.json")
with open(target, "w") as out:
    out.write('{"generator": "tests/reference/tensor/generate.py", "torch": "%s",\n' % torch.__version__)
    out.write(' "pairs": [\n  %s],\n' % ",\n  ".join(map(json.dumps, pairs)))
    out.write(' "scalars": [\n  %s]}\n' % ",\n  ".join(map(json.dumps, scalars)))
print(len(pairs), "pairs,", len(scalars), "scalars")
