"""Import this before torch: settings that OpenBLAS, Debian's matrix library, reads when it is loaded.

One thread, so that a training run takes one core and gives the same model when it is repeated on the same processor.
"""

import os
import pathlib

# Debian 12's OpenBLAS takes processors that are newer than itself for very old ones, and is then five times slower.
CPU = pathlib.Path("/proc/cpuinfo")
if CPU.exists() and " avx512f" in CPU.read_text(encoding="utf-8"):
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
