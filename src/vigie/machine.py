"""What this machine is, for figures that hold for it alone."""

import platform
from pathlib import Path


def processor_name() -> str:
    """The processor's, as the system tells it; "unknown" where none does."""
    cpuinfo = Path("/proc/cpuinfo")  # Linux; platform knows no name there
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    models = [value for name, _, value in (line.partition(":") for line in lines) if name.strip() == "model name"]
    return " ".join("".join(models[:1]).split()) or platform.processor() or platform.machine() or "unknown"
