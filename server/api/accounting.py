"""From a request's record to the metrics: the one place that says what counts as what."""

from server.api.record import Record
from server.errors import ClientLeft
from server.metrics import Metrics

REFUSALS = frozenset({401, 403, 408, 413, 415, 429, 503})
"""Statuses with which a request was turned away whatever it asked for."""


def account(metrics: Metrics, record: Record, spent_s: float) -> None:
    """Count one request that is over; ``spent_s`` is from its first byte in to its last byte out."""
    http = (record.endpoint, record.method, str(record.status))
    metrics.count("http_requests_total", 1, *http)
    metrics.observe("http_request_duration_seconds", spent_s, *http)
    error = record.error
    if isinstance(error, ClientLeft):
        metrics.count("client_disconnected_total", 1, record.endpoint)
    elif error is not None and error.status in REFUSALS:
        metrics.count("requests_rejected_total", 1, error.code)
    if record.ignored:
        metrics.count("ignored_fields_total", len(record.ignored), record.endpoint)
    if record.model is None:
        return
    if error is not None:
        metrics.count("request_failure_total", 1, record.model, error.code)
    _tokens(metrics, record)
    _times(metrics, record, record.model, spent_s)


def _tokens(metrics: Metrics, record: Record) -> None:
    if record.usage is None or record.model is None:
        return
    for reason in record.finish_reasons:
        metrics.count("request_success_total", 1, record.model, reason)
    metrics.count("prompt_tokens_total", record.usage.prompt_tokens, record.model)
    metrics.count("generation_tokens_total", record.usage.completion_tokens, record.model)
    metrics.observe("request_prompt_tokens", record.usage.prompt_tokens, record.model)
    metrics.observe("request_generation_tokens", record.usage.completion_tokens, record.model)
    for (source, target), characters in record.translated_characters.items():
        metrics.count("translated_characters_total", characters, source, target)


def _times(metrics: Metrics, record: Record, model: str, spent_s: float) -> None:
    labels = (model, record.endpoint)
    metrics.observe("e2e_request_latency_seconds", spent_s, *labels)
    for name, time_s in (
        ("request_queue_time_seconds", record.queue_s),
        ("request_inference_time_seconds", record.inference_s),
        ("request_tokenization_seconds", record.tokenization_s),
    ):
        if time_s is not None:
            metrics.observe(name, time_s, *labels)
    timing, usage = record.timing, record.usage
    if not record.generates or timing is None or timing.taken_s is None or timing.first_s is None:
        return
    metrics.observe("time_to_first_token_seconds", timing.first_s - record.received_s, model)
    metrics.observe("request_prefill_time_seconds", timing.first_s - timing.taken_s, model)
    if timing.ended_s is None:
        return
    decode_s = timing.ended_s - timing.first_s
    metrics.observe("request_decode_time_seconds", decode_s, model)
    for gap_s in record.gaps_s:
        metrics.observe("inter_token_latency_seconds", gap_s, model)
    choices = len(record.finish_reasons)
    if not record.gaps_s and usage is not None and choices:
        # A whole answer was not watched token by token: its mean stands for each.
        gaps = usage.completion_tokens // choices - 1
        if gaps > 0:
            metrics.observe("inter_token_latency_seconds", decode_s / gaps, model, times=gaps * choices)
