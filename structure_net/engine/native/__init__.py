"""The native engine: compiled sparse kernels on one thread."""

from structure_net.engine.native.engine import NativeEngine
from structure_net.engine.native.library import (
    PATHS,
    NoCompilerError,
    best_path,
    compilers,
    load_library,
    processor_flags,
)

__all__ = [
    "PATHS",
    "NativeEngine",
    "NoCompilerError",
    "best_path",
    "compilers",
    "load_library",
    "processor_flags",
]
