"""How fast all uploads of an agent together may go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Bandwidth:
    """A token bucket that threads share: who takes more than there is waits until the debt is paid."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._free_at_s = 0.0

    def take(self, size_bytes: int, limit_bytes_s: int | None) -> float:
        """How many seconds to wait before ``size_bytes`` may go."""
        if limit_bytes_s is None:
            return 0.0
        with self._lock:
            now_s = self._now()
            begin_s = max(now_s, self._free_at_s)
            self._free_at_s = begin_s + size_bytes / max(1, limit_bytes_s)
            return begin_s - now_s
