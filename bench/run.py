"""All measurements, one after the other, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

MEASUREMENTS = ("detector.py", "runtimes.py", "bus.py", "data.py", "doctor.py", "training.py")


def main() -> int:
    folder = Path(__file__).parent
    return max(subprocess.run([sys.executable, folder / name], check=False).returncode for name in MEASUREMENTS)


if __name__ == "__main__":
    sys.exit(main())
