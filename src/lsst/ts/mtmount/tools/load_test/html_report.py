"""The report of some runs as one page of HTML that needs nothing else."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise

from .run_result import PERCENTILES, ROLES, RunResult
from .samples import Sample, SampleSeries
from .svg_chart import Chart, Line, make_percentile_axis
from .tables import LATENCY_NOTE, describe_unpublished, format_number, list_costs

__all__ = ["make_html_report"]

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --faint: #6b7280; --grid: #d9dde3; --back: #fff;
  --good: #15803d; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --text: #e5e7eb; --faint: #9ca3af; --grid: #374151;
  --back: #111418; --good: #4ade80; --bad: #f87171; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 1200px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9em; }
th, td { padding: 0.25em 0.6em; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--grid); }
th { font-weight: 600; vertical-align: bottom; } th.name, td.name { text-align: left; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .faint { color: var(--faint); }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1.2em; }
figure { margin: 0; } figcaption { font-weight: 600; }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--faint); }
.grid { stroke: var(--grid); stroke-width: 1; fill: none; }
.line { stroke: currentColor; stroke-width: 2; fill: none; stroke-linejoin: round; stroke-linecap: round; }
.legend { font-weight: 400; font-size: 0.85em; } .legend span { margin-right: 1em; white-space: nowrap; }
.c0 { color: #2563eb; } .c1 { color: #ea580c; } .c2 { color: #16a34a; } .c3 { color: #9333ea; }
.c4 { color: #dc2626; } .c5 { color: #0891b2; } .c6 { color: #a16207; } .c7 { color: #db2777; }
"""

#: Percentiles of the latency curves.
CURVE = [
    *range(0, 90, 2),
    90,
    *(90 + 0.5 * step for step in range(1, 18)),
    99,
    99.5,
    99.8,
    99.9,
    99.99,
    99.999,
]

#: A chart over time has at most this many points a line, which is more than can be seen.
MAX_POINTS = 600

NOTES = (
    LATENCY_NOTE,
    "CPU is the time of all threads of a program, as the scheduler counts it, in per cent of one core, "
    "between the first and the last record.",
    "The account: each frame that was sent (handed to the socket whole) is read by the client, and "
    "published or counted under the reason why not; each record that was published is acknowledged, and at "
    "the broker; each record at the broker is read back and decoded. Events, heartbeats and log messages "
    "are not counted.",
    "Where it says <em>counted</em>, the processor cannot also decode everything: the records at the broker "
    "are counted by its high watermarks, and one topic is read back, which tells the "
    "latency and whether its records are whole and in sequence.",
    "Behind: the client did not keep up with the rate, so the stream was cut some seconds after its time. "
    "(At this rate the TMA would have lost telemetry.) A recording is sent to its end.",
    "Queue: records that the producer was given and whose acknowledgement the client has not taken note of. "
    "At low rates it does that once a second.",
)


def make_html_report(
    title: str,
    results: Sequence[RunResult],
    machine: Mapping[str, str],
    target: str,
    notes: Sequence[str] = (),
) -> str:
    """Make a whole page of the runs, the machine, the target and notes on all of them."""
    verdict = (
        '<p class="good">All frames are accounted for; nothing was lost.</p>'
        if all(result.has_passed for result in results)
        else '<p class="bad">Not every run has passed.</p>'
    )
    body = [
        f"<h1>{escape(title)}</h1>",
        verdict,
        *(f"<p>{escape(note)}</p>" for note in notes),
        _make_cost_table(results),
        "<h2>Where the frames went</h2>",
        _make_account_table(results),
        *(_list_problems(result) for result in results if not result.has_passed),
        "<h2>Latency</h2>",
        _make_latency_table(results),
        f'<div class="charts">{_make_latency_chart(results).draw()}</div>',
        *(_make_run_section(result) for result in results),
        "<h2>How it was measured</h2>",
        *(f'<p class="faint">{note}</p>' for note in NOTES),
        f'<p class="faint">{escape(target)}; '
        + "; ".join(f"{escape(name)}: {escape(value)}" for name, value in machine.items())
        + "</p>",
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _make_cost_table(results: Sequence[RunResult]) -> str:
    headers = ["frames/s", "MB/s", "late ticks", "client CPU %", "us a frame", "client MB", "max queue"]
    headers += [f"{role} CPU %" for role in ROLES[1:]]
    return _make_table(results, headers, map(list_costs, results))


def _make_account_table(results: Sequence[RunResult]) -> str:
    headers = ["sent", "read", "published", "dropped", "unsupported", "acknowledged", "at the broker"]
    headers += ["read back", "wrong", "lost", ""]
    rows = []
    for result in results:
        account = result.account
        keys = ("frames", "published", "total_dropped", "unsupported", "acknowledged")
        decoded = f"{account.read_back.sum_up('decoded'):,}"
        rows.append(
            [
                f"{account.total_sent:,}",
                *(
                    format_number(math.nan if account.counters is None else account.counters[key])
                    for key in keys
                ),
                f"{account.total_written:,}",
                f"{decoded} decoded" if account.is_read_whole else f"counted; {decoded} decoded",
                f"{account.wrong:,}",
                f"{account.lost:,}",
                f'<span class="{"good" if result.has_passed else "bad"}">{result.verdict}</span>',
            ]
        )
    return _make_table(results, headers, rows)


def _make_latency_table(results: Sequence[RunResult]) -> str:
    headers = [f"p{percent:g} [ms]" for percent in PERCENTILES] + ["max [ms]", "mean [ms]", "records"]
    rows = []
    for result in results:
        latency = result.latency
        figures = [*(latency.percentile(percent) for percent in PERCENTILES), latency.max, latency.mean]
        rows.append([*(format_number(figure * 1e3, 2) for figure in figures), f"{latency.count:,}"])
    return _make_table(results, headers, rows)


def _make_table(results: Sequence[RunResult], headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = '<th class="name">client</th><th>rate</th>' + "".join(f"<th>{header}</th>" for header in headers)
    body = "".join(
        f'<tr><td class="name">{escape(result.client)}</td><td>{result.rate_name}</td>'
        + "".join(f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for result, row in zip(results, rows, strict=True)
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _list_problems(result: RunResult) -> str:
    items = "".join(f"<li>{escape(problem)}</li>" for problem in result.problems)
    return f'<p class="bad">{escape(result.client)} at {result.rate_name}:</p><ul>{items}</ul>'


def _make_latency_chart(results: Sequence[RunResult]) -> Chart:
    places, ticks = make_percentile_axis(CURVE)
    return Chart(
        "Latency from the wire to the reader",
        "part of the records that is not slower",
        "latency [ms]",
        [
            Line(
                f"{result.client} {result.rate_name}",
                # No further than the records go: the last of them is the maximum.
                [place if 10**place <= result.latency.count else None for place in places],
                [result.latency.percentile(percent) * 1e3 for percent in CURVE],
            )
            for result in results
        ],
        log_y=True,
        x_ticks=ticks,
    )


def _make_run_section(result: RunResult) -> str:
    start = result.account.read_back.first_published
    samples = result.series.samples
    samples = samples[:: -(-len(samples) // MAX_POINTS) or 1]
    times = [sample.time - start for sample in samples]
    spans = list(pairwise(samples))
    has_counters = any(sample.counters is not None for sample in samples)

    def count(sample: Sample) -> float:
        if not has_counters:
            return sample.total_decoded
        return math.nan if sample.counters is None else sample.counters["frames"]

    frames = [(count(after) - count(before)) / (after.time - before.time) for before, after in spans]

    def draw(
        title: str, y_label: str, lines: Mapping[str, Sequence[float | None]], *, log_y: bool = False
    ) -> str:
        """Draw what there was at each sample, or between each and the one before."""
        series = [Line(name, times[len(times) - len(values) :], values) for name, values in lines.items()]
        return Chart(title, "time [s]", y_label, series, log_y=log_y).draw()

    charts = [
        draw(
            "Frames read by the client" if has_counters else "Records read back",
            "1/s",
            {result.client: frames},
        ),
        draw(
            "CPU of all threads",
            "per cent of one core",
            {
                role: [SampleSeries(list(span)).compute_cpu_share(role) * 100 for span in spans]
                for role in ROLES
            },
        ),
        draw(
            "Memory",
            "resident [MB]",
            {
                role: [sample.usage[role].rss / 1e6 if role in sample.usage else None for sample in samples]
                for role in ROLES
            },
        ),
        draw(
            "Latency",
            "ms",
            {
                name: [sample.latency and sample.latency[index] * 1e3 for sample in samples]
                for index, name in enumerate(("p50", "p99", "max"))
            },
            log_y=True,
        ),
    ]
    if has_counters:
        depths = [sample.queue_depth for sample in samples]
        charts.append(draw("Producer's queue", "records not confirmed", {result.client: depths}))
    notes = "".join(f"<p>{escape(line)}</p>" for line in describe_unpublished(result))
    head = f"<h2>{escape(result.client)} at {result.rate_name}</h2>{notes}"
    return f'{head}<div class="charts">{"".join(charts)}</div>'
