"""What all tests share: `import needs`, and the real Kafka broker of `kafka_server`."""

import sys
from pathlib import Path

# Tests are imported by their paths (importlib mode), so this folder is not on sys.path by itself.
sys.path.insert(0, str(Path(__file__).parent))

pytest_plugins = ["kafka_server", "tiny_bundle", "untrained_run"]
