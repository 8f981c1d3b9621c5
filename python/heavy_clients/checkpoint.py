"""The bf16 checkpoint of a model directory, read without the libraries that the server is built on."""

import json
import pathlib
import shutil
import struct

import numpy as np


def read_bf16(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, all bf16, widened to fp32: every value as it is."""
    data = path.read_bytes()
    header_size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + header_size])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "BF16", name
        begin, end = (8 + header_size + offset for offset in entry["data_offsets"])
        bits = np.frombuffer(data[begin:end], "<u2").astype(np.uint32) << 16
        tensors[name] = bits.view(np.float32).reshape(entry["shape"])
    return tensors


def write_f32(path: pathlib.Path, tensors: dict[str, np.ndarray]):
    header, offset = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())


def widen(model: pathlib.Path, out: pathlib.Path):
    """Writes a copy of a model directory whose weights are fp32 of the same values."""
    shutil.copytree(model, out)
    write_f32(out / "model.safetensors", read_bf16(model / "model.safetensors"))
