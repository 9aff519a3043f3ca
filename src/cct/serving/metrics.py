"""Counts what the server does, and writes it in Prometheus's text format.

Only the thread of the event loop calls these methods, so nothing is locked.
Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4).
"""

import bisect
from collections import Counter
from collections.abc import Iterator, Mapping

import psutil

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """Counts values by upper bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: Mapping[str, str]) -> Iterator[str]:
        total = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            total += count
            yield _sample(f"{name}_bucket", {**labels, "le": str(bound)}, total)
        yield _sample(f"{name}_sum", labels, round(self.sum, 6))
        yield _sample(f"{name}_count", labels, total)


class Metrics:
    """Requests, inputs, batches and the queue of one server."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()  # route, method, status
        self.seconds: dict[str, Histogram] = {}  # by route
        self.inputs: Counter[str] = Counter()  # "predicted" or "refused"
        self.batches = Histogram(SIZES)
        self.active = 0  # requests for predictions

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a response."""
        self.requests[route, method, status] += 1
        self.seconds.setdefault(route, Histogram(SECONDS)).observe(seconds)

    def text(self, *, queue: int) -> str:
        """All metrics.

        Args:
            queue: inputs that wait for the model now.
        """
        return "\n".join([*self._lines(queue), ""])

    def _lines(self, queue: int) -> Iterator[str]:
        yield from _head("cct_requests_total", "counter", "Responses by route, method and status.")
        for (route, method, status), count in sorted(self.requests.items()):
            yield _sample("cct_requests_total", {"route": route, "method": method, "status": str(status)}, count)
        yield from _head(
            "cct_request_seconds", "histogram", "Time from a request's headers to the end of its response."
        )
        for route, histogram in sorted(self.seconds.items()):
            yield from histogram.lines("cct_request_seconds", {"route": route})
        yield from _head("cct_inputs_total", "counter", "Images or texts by result.")
        for result in ("predicted", "refused"):
            yield _sample("cct_inputs_total", {"result": result}, self.inputs[result])
        yield from _head("cct_batch_inputs", "histogram", "Inputs in a call of the model.")
        yield from self.batches.lines("cct_batch_inputs", {})
        for name, text, value in (
            ("cct_queue_inputs", "Inputs that wait for the model.", queue),
            ("cct_active_requests", "Requests for predictions that are being answered.", self.active),
            ("process_resident_memory_bytes", "Resident memory of the server.", psutil.Process().memory_info().rss),
        ):
            yield from _head(name, "gauge", text)
            yield _sample(name, {}, value)


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    """A line. Labels are routes, methods, statuses and bounds: nothing in them has to be escaped."""
    inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value}" if inside else f"{name} {value}"
