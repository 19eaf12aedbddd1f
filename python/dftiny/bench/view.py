"""What bench shows while it runs and at its end. Text only; the page is report.py's."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from dftiny.bench.images import Work
from dftiny.bench.stream import Lane, TileDone
from dftiny.link.messages import cause_name

ALARMING = {"fault": "a fault", "watchdog": "its watchdog", "brown_out": "a supply that was too low"}


def duration(seconds: float) -> str:
    """Seconds as a person says them: "under a second", "about 12 s", "about 3 min 20 s", "about 2 h 5 min"."""
    if seconds < 1:
        return "under a second"
    whole = round(seconds)
    if whole < 120:
        return f"about {whole} s"
    if whole < 7200:
        return f"about {whole // 60} min {whole % 60} s"
    return f"about {whole // 3600} h {whole % 3600 // 60} min"


class Progress:
    """Says beforehand how long it will take (from the first tile), then shows a bar on a terminal."""

    def __init__(self, work: Work, lanes: Sequence[Lane], title: str, *, line_s: float, known: int) -> None:
        """`line_s`: seconds that one tile takes on the line, 0 where nobody knows; `known`: tiles of an earlier run."""
        from rich.console import Console
        from rich.progress import Progress as Bar

        self._work, self._lanes, self._title = work, lanes, title
        self._line_s, self._left = line_s, work.tiles - known
        console = Console(file=sys.stderr)
        self._bar = Bar(console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("tiles", total=work.tiles, completed=known)
        self._started = False

    def __enter__(self) -> Progress:
        work = self._work
        print(
            f"{len(work.items)} images, {work.tiles} tiles ({work.source['name']}) through {self._title}",
            flush=True,
        )
        if self._left < work.tiles:
            print(f"{work.tiles - self._left} tiles are there from before, {self._left} are left", flush=True)
        if self._line_s:
            print(self._beforehand(), flush=True)
        self._bar.start()
        return self

    def _beforehand(self) -> str:
        """What the line alone takes, before anything was measured."""
        seconds = self._left * self._line_s / len(self._lanes)
        return (
            f"at this rate the tiles take {duration(seconds)} to send "
            "(less where they can be packed); the board computes meanwhile where it can"
        )

    def tile(self, done: TileDone) -> None:
        """One tile came back."""
        if not self._started:
            self._started = True
            self._bar.console.print(self._estimate(done.seconds), highlight=False)
        self._bar.advance(self._task)

    def _estimate(self, seconds: float) -> str:
        boards = len(self._lanes)
        total = seconds * self._left / boards
        beside = f", {boards} boards side by side" if boards > 1 else ""
        return f"one tile takes {1000 * seconds:.0f} ms here{beside}: {duration(total)} in all"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def summary_text(summary: Mapping[str, Any]) -> str:
    """The end of a run in a few lines."""
    oracle, board, bundle = summary["oracle"], summary["board"], summary["bundle"]
    lines = [
        f"{bundle['name']} on {board.get('title', board['channel'])}, engine {board.get('engine', 'unknown')}",
        f"  oracle        {oracle['identical']} of {oracle['tiles']} tiles identical",
        *(_metric_lines(summary["metrics"], bool(summary["data"].get("simulated"))) or _no_metrics(summary)),
    ]
    for unit in ("instructions", "cycles"):
        if unit in summary:
            found = summary[unit]
            per_mac = f", {found['per_mac']:.2f} per MAC" if "per_mac" in found else ""
            lines.append(f"  {unit:13s} {found['per_tile']['mean']:,.0f} per tile{per_mac}")
    memory = summary["memory"]
    if "stack_peak_bytes" in memory:
        lines.append(f"  stack peak    {memory['stack_peak_bytes']:,} of {memory['stack_bytes']:,} bytes")
    if "arena_bytes" in memory:
        lines.append(f"  arena         {memory['arena_bytes']:,} bytes")
    link = summary["link"]
    rate = link.get("input_bytes_per_s_per_board")
    text = f"{rate / 1000:,.1f} kB/s a board inbound, " if rate else ""
    lines.append(
        f"  link          {text}{link['retries']} retries, {link['resets']} resets, {link['frames_bad']} bad frames"
    )
    return "\n".join([*lines, *_alarms(summary)])


def _alarms(summary: Mapping[str, Any]) -> list[str]:
    """A board that something restarted has a story to tell: before this run, or in the middle of it."""
    before = cause_name(summary["board"].get("reset_cause", 0))
    found = [f"was started by {ALARMING[before]}"] if before in ALARMING else []
    during = [ALARMING[c] for c in summary["link"].get("reset_causes", {}) if c in ALARMING]
    found += [f"was restarted in this run by {' and '.join(during)}"] if during else []
    return [f"  attention     the board {text}: dftiny fault, dftiny selftest" for text in found]


def _no_metrics(summary: Mapping[str, Any]) -> list[str]:
    """Why there is no accuracy, where images had labels but not the model's; nothing for golden tiles."""
    labels = sorted({i["label"] for i in summary["images"] if "label" in i})
    named = f"{', '.join(labels)}, which are not the classes of {summary['bundle']['name']}"
    return [f"  metrics       none: the images are labelled {named}"] if labels else []


def _metric_lines(metrics: Mapping[str, Any], simulated: bool) -> list[str]:
    if "classes" in metrics:
        return [f"  accuracy      {metrics['classes']['accuracy']:.3f} (image level)"]
    lines = []
    for sharing, groups in metrics.items():
        found = groups.get("all")
        if not found:
            continue
        parts = [f"accuracy {found['accuracy']:.3f}"]
        parts += [f"F1 {found['f1']:.3f}"] if "f1" in found else []
        parts += [f"AUC {found['auc']:.3f}"] if "auc" in found else []
        if "auc_interval" in found:
            low, high = found["auc_interval"]
            parts[-1] += f" [{low:.3f}, {high:.3f}]"
        note = ", simulated fakes, controls left out" if simulated else ""
        lines.append(f"  {sharing:13s} {', '.join(parts)} ({found['n']} images{note})")
    return lines
