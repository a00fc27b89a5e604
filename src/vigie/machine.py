"""What this machine is, for figures that hold for it alone."""

import platform
from pathlib import Path


def processor_name() -> str:
    """The processor's, as the system tells it; "unknown" where none does."""
    return _cpuinfo("model name") or platform.processor() or platform.machine() or "unknown"


def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself, at a higher rate than float32; False where none can tell."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_cpuinfo("flags").split())


def _cpuinfo(wanted: str) -> str:
    """What Linux tells of the first core; platform does not know it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    values = [value for name, _, value in (line.partition(":") for line in lines) if name.strip() == wanted]
    return " ".join("".join(values[:1]).split())
