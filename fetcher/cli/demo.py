"""Owns `--demo`: the embedded site, fetched for everybody to see."""

from __future__ import annotations

from dataclasses import replace

from fetcher.backends.loops import run as run_loop
from fetcher.cli.complaints import complain
from fetcher.cli.launch import Conductor
from fetcher.cli.status import ExitStatus
from fetcher.demo.pages import PATIENCE
from fetcher.demo.site import DemoSite
from fetcher.model import Result
from fetcher.record import Record, RecordConfig, make_record
from fetcher.screen import ScreenConfig
from fetcher.settings import Settings
from fetcher.sinks.config import OutputConfig
from fetcher.sources.iterable import from_iterable
from fetcher.terminal import Pen

SHOWN = 10
"""Broken promises that are told."""


def demo(settings: Settings, output: OutputConfig, screen: ScreenConfig) -> int:
    """
    Serve the embedded site on loopback and fetch it: status 0 if every page behaved as the site promises.

    Its failing pages are meant to fail, so they do not count; `--fail-on` is the site's own here.
    """

    async def main() -> int:
        records: list[Record] = []

        def keep(result: Result) -> None:
            records.append(make_record(result, RecordConfig(body="none")))

        async with DemoSite() as site:
            source = from_iterable(site.entries(), patient, patient.headers)
            conductor = Conductor(patient, screen, ["the embedded site"])
            status = await conductor.conduct(source, output, observe=keep)
            if status != ExitStatus.OK:
                return status
            problems = site.verify(records)
        for problem in problems[:SHOWN]:
            complain(problem)
        if problems:
            complain(f"{len(problems)} pages of the embedded site did not behave as promised")
            return ExitStatus.FAILED
        if not screen.quiet:
            Pen().tell(f"afetch: all {len(records)} pages behaved as the site promises, the failing ones, too\n")
        return ExitStatus.OK

    patient = replace(
        settings,
        read_timeout=min(settings.read_timeout or PATIENCE, PATIENCE),
        fail_on=("none",),
        # The site is on this machine, which no proxy of the environment's reaches.
        no_env=True,
    )
    return run_loop(main())
