"""Compiles HLSL with a libdxcompiler.so, to DXIL for the first shader model that there is, and has that validated.

usage: dxc.py LIBRARY FILE ENTRY [FILE ENTRY ...]

Prints what the compiler says about each file that it refuses; the exit code is 1 if there is one. `--version` instead
of files says whether the library works here.
"""

import ctypes
import sys
import uuid
from pathlib import Path

COMPILER = "73e22d93-e6ce-47f3-b5bf-f0664f39c1b0"
COMPILER_3 = "228b4687-5a6a-4730-900c-9702b2203f54"
RESULT = "58346cda-dde7-4497-9461-6f87af5e0659"
UTF_8 = 65001


class Buffer(ctypes.Structure):
    """`DxcBuffer`."""

    _fields_ = [("start", ctypes.c_char_p), ("size", ctypes.c_size_t), ("encoding", ctypes.c_uint32)]


def guid(text):
    return ctypes.create_string_buffer(uuid.UUID(text).bytes_le, 16)


def method(this, slot, *types, result=ctypes.c_uint32):
    """The method of an object in a slot of its table: on Linux the first five are those of `IUnknown` and destructors."""
    table = ctypes.cast(this, ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p)))[0]
    function = ctypes.CFUNCTYPE(result, ctypes.c_void_p, *types)(table[slot])
    return lambda *arguments: function(this, *arguments)


def check(code, what):
    if code != 0:
        sys.exit(f"{what}: error {code:#010x}")


def compiler(library):
    made = ctypes.c_void_p()
    create = ctypes.CDLL(library).DxcCreateInstance
    check(create(guid(COMPILER), guid(COMPILER_3), ctypes.byref(made)), "no IDxcCompiler3")
    return made


def refusal(compiler, file, entry):
    """What the compiler says against a file, or nothing."""
    text = Path(file).read_bytes()
    # Without optimization: that takes five times as long, most of it for products.
    options = ["-T", "cs_6_0", "-HV", "2018", "-Od", "-E", entry]
    words = (ctypes.c_wchar_p * len(options))(*options)
    source, result = Buffer(text, len(text), UTF_8), ctypes.c_void_p()
    pointer = ctypes.c_void_p
    compile = method(compiler, 5, pointer, pointer, ctypes.c_uint32, pointer, pointer, pointer)
    code = compile(ctypes.byref(source), words, len(options), None, guid(RESULT), ctypes.byref(result))
    check(code & 0xFFFFFFFF, f"{file}: IDxcCompiler3::Compile")
    status, blob, message = ctypes.c_uint32(), ctypes.c_void_p(), ""
    check(method(result, 5, pointer)(ctypes.byref(status)), f"{file}: GetStatus")
    if status.value != 0:
        check(method(result, 7, pointer)(ctypes.byref(blob)), f"{file}: GetErrorBuffer")
        start, size = method(blob, 5, result=pointer)(), method(blob, 6, result=ctypes.c_size_t)()
        message = f"{file}: " + ctypes.string_at(start, size).decode().rstrip("\0").strip()
        method(blob, 2)()
    method(result, 2)()
    return message


def main():
    judge, files = compiler(sys.argv[1]), sys.argv[2:]
    refused = [refusal(judge, file, entry) for file, entry in zip(files[::2], files[1::2])]
    refused = [message for message in refused if message]
    print("\n".join(refused))
    sys.exit(1 if refused else 0)


main()
