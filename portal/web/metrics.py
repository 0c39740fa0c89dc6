"""Numbers for operators: every answer is counted and timed, and `/metrics` tells it all as OpenMetrics.

Labels name endpoints, never paths; none is about a person. What more than one process does is read from the
database at each look (`domain/measures`); answers are counted by each process for itself, and by all of them together
where PROMETHEUS_MULTIPROC_DIR names a folder that they share.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import cast

import prometheus_client
import structlog
from flask import Blueprint, Flask, Response, abort, current_app, request
from flask.globals import request_ctx
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.domain import measures
from portal.extensions import glance, settings
from portal.web.access import PUBLIC, access
from portal.web.direct import is_direct

bp = Blueprint("metrics", __name__)
log = structlog.get_logger()

COUNTS = "portal.counts"
BEGAN = "portal.began"
METHODS = ("GET", "HEAD", "POST", "OPTIONS")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
REFUSED = (400, 403, 405, 413, 429)
SIGNING_IN = ("signin.sign_in", "signin.sign_in_again", "signin.sign_out", "signin.set_password", "second_factor.give")
REQUEST_ID = re.compile(r"[0-9a-f]{16,32}")

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Counts:
    """What one process counts; one set for each application."""

    registry: CollectorRegistry
    answers: Counter
    seconds: Histogram
    limited: Counter


def init_app(app: Flask) -> None:
    """Stand at both ends of every request, before and after all others, also of those that no view sees."""
    registry = CollectorRegistry()
    app.extensions[COUNTS] = Counts(
        registry,
        Counter(
            "portal_http_requests",
            "Answers, by endpoint, method and status class.",
            ("endpoint", "method", "status"),
            registry=registry,
        ),
        Histogram(
            "portal_http_request_duration_seconds",
            "Time until the answer stood, its commit included; a download's sending is not.",
            ("endpoint",),
            registry=registry,
            buckets=BUCKETS,
        ),
        Counter("portal_limits_hit", "Answers 429, by endpoint.", ("endpoint",), registry=registry),
    )
    app.before_request_funcs.setdefault(None, []).insert(0, begin)
    app.after_request_funcs.setdefault(None, []).insert(0, end)  # they are called from the last to the first


def begin() -> None:
    """A clock, and a number for all log lines of this request: the proxy's, so that its log can be laid beside ours."""
    request.environ[BEGAN] = perf_counter()
    given = request.headers.get("X-Request-ID", "") if settings().trusted_proxies else ""
    number = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=number)


def end(response: Response) -> Response:
    """Count it; log what was refused, and each try to sign in, without a word on who it was."""
    asked, counts = request_ctx.request, cast(Counts, current_app.extensions[COUNTS])
    endpoint, status = asked.endpoint or "none", response.status_code
    method = asked.method if asked.method in METHODS else "other"
    counts.answers.labels(endpoint, method, f"{status // 100}xx").inc()
    counts.seconds.labels(endpoint).observe(perf_counter() - asked.environ[BEGAN])
    if status == 429:
        counts.limited.labels(endpoint).inc()
    if status in REFUSED:
        log.warning("page.refused", endpoint=endpoint, method=method, status=status)
    if method == "POST" and endpoint in SIGNING_IN:
        log.info("auth.answered", endpoint=endpoint, status=status)
    return response


@bp.get("/metrics")
@access(PUBLIC, anonymous=True)
def page() -> Response:
    """`/metrics`: for programs on this machine; to all others there is no such page."""
    if not is_direct():
        abort(404)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(_Told([*_counted(), *_measured()])), content_type=content_type)


@dataclass(frozen=True)
class _Told(prometheus_client.registry.Collector):
    """What an encoder takes."""

    metrics: list[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.metrics


def _counted() -> Iterable[Metric]:
    if not settings().prometheus_multiproc_dir:
        counts: Counts = current_app.extensions[COUNTS]
        return counts.registry.collect()
    together = CollectorRegistry()
    MultiProcessCollector(together, settings().prometheus_multiproc_dir)  # type: ignore[no-untyped-call]
    return together.collect()


def _measured() -> Iterator[Metric]:
    """What the database tells; where it is away, that it is."""
    try:
        with glance():
            readings = measures.read(now=clock.now())
        up = 1
    except (SQLAlchemyError, OSError):
        readings, up = [], 0
    yield GaugeMetricFamily("portal_database_up", "Whether database and journals answered this look.", value=up)
    for each in readings:
        family = CounterMetricFamily if each.total else GaugeMetricFamily
        metric = family(each.name, each.says, labels=[each.label] if each.label else None)
        for label, value in each.values.items():
            metric.add_metric([label] if each.label else [], value)
        yield metric
