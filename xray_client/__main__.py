"""``xray submit PATH [--wait]``, ``xray results SUBMISSION``, ``xray watch FOLDER``."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from xray_client.client import LATER, ApiError, Client, Unreachable
from xray_client.folders import LocalFile, walk
from xray_client.records import Study
from xray_client.sending import Sent, send_all
from xray_client.watching import DestinationAway, SubmissionEnded, watch

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
NOTICE = "Research use only. Not a diagnosis."
_COLUMNS = (
    *("study", "name", "patient_reference", "status", "verdict", "verdict_words", "probability"),
    *("body_part", "bundle", "analysed_at"),
)

#: What people watch; results alone go to the standard output.
_terminal = Console(stderr=True, highlight=False)


class _UsageError(Exception):
    """The command cannot begin; ``str(error)`` says why."""


def run() -> None:
    """The command ``xray``."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 0, 1 if a file or study failed or the portal refused, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    try:
        with _client(options) as client:
            status: int = options.run(client, options)
            return status
    except _UsageError as error:
        _say(str(error))
        return USAGE
    except BrokenPipeError:
        raise
    except (ApiError, Unreachable, OSError) as error:
        _say(str(error))
        return FAILED
    except KeyboardInterrupt:
        _say("Stopped.")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xray",
        description="Send radiographs to an X-Ray Portal and get its results.",
        epilog=(
            "The token is read from XRAY_TOKEN, or from the file that XRAY_TOKEN_FILE or --token-file names. "
            f"Exit status: 0, 1 if something failed, 2 for wrong usage. {NOTICE}"
        ),
    )
    parser.add_argument("--url", default=os.environ.get("XRAY_URL"), help="the portal (else XRAY_URL)")
    parser.add_argument(
        "--patience",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long a request that fails on its way is sent again (default: %(default)g)",
    )
    parser.add_argument("--token-file", type=Path, help="the file with the API token")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    submit = commands.add_parser("submit", help="send a folder, an archive or a picture")
    submit.add_argument("path", type=Path)
    submit.add_argument("--wait", action="store_true", help="wait for the results and print them")
    submit.add_argument("--jobs", type=int, default=4, help="files sent at a time (default: %(default)s)")
    submit.set_defaults(run=_submit)

    results = commands.add_parser("results", help="print the results of a submission")
    results.add_argument("submission", help="its id, as submit printed it")
    results.add_argument("--heatmaps", type=Path, metavar="DIR", help="save each view and its heatmap there")
    results.set_defaults(run=_results)

    watching = commands.add_parser("watch", help="send what arrives in a folder, until Ctrl-C")
    watching.add_argument("path", type=Path)
    watching.set_defaults(run=_watch)

    for command in (submit, watching):
        command.add_argument(
            "--grouping",
            choices=("folders", "files"),
            default="folders",
            help="whether files of one nested folder are one study (default: %(default)s)",
        )
        command.add_argument(
            "--queue", choices=("interactive", "bulk"), help="default: by the number of files"
        )
    for command in (submit, results):
        form = command.add_mutually_exclusive_group()
        form.add_argument("--csv", action="store_true", help="results as CSV")
        form.add_argument("--json", action="store_true", help="results as JSON, one object a line")
    return parser


def _client(options: argparse.Namespace) -> Client:
    if not options.url:
        raise _UsageError("Say where the portal is: --url https://… or XRAY_URL.")
    file = options.token_file or os.environ.get("XRAY_TOKEN_FILE")
    try:
        token = Path(file).read_text().strip() if file else os.environ.get("XRAY_TOKEN", "").strip()
    except OSError as error:
        raise _UsageError(f"The token's file cannot be read: {error.strerror}: {file}.") from None
    if not token:
        raise _UsageError("Say which token to use: XRAY_TOKEN, XRAY_TOKEN_FILE or --token-file.")
    return Client(options.url, token, patience=options.patience, on_retry=_Once())


def _submit(client: Client, options: argparse.Namespace) -> int:
    path: Path = options.path
    if not path.exists():
        raise _UsageError(f"There is no {path}. Give a folder, an archive or a picture.")
    files = list(walk(path))
    if not files:
        raise _UsageError(f"There are no files in {path}.")
    submission = client.open_submission(
        expected_files=len(files), grouping=options.grouping, queue=options.queue
    ).id
    with _progress() as bars:
        sending = bars.add_task("Sending", total=len(files))
        sent = send_all(client, submission, files, jobs=options.jobs, on_sent=lambda: bars.advance(sending))
        client.finish(submission)
        if options.wait:
            analysing = bars.add_task("Analysing", total=None)
            client.wait(
                submission,
                on_progress=lambda progress: bars.update(
                    analysing, completed=progress.ended, total=progress.total
                ),
            )
    _tell(sent)
    if not options.wait:
        print(submission)
        return FAILED if sent.failures else OK
    _say(f"Submission {submission}")
    studies = client.results(submission)
    _print(studies, options)
    return FAILED if sent.failures or any(study.status == "failed" for study in studies) else OK


def _results(client: Client, options: argparse.Namespace) -> int:
    progress = client.submission(options.submission)
    studies = client.results(options.submission)
    if options.heatmaps is not None:
        _save_heatmaps(client, studies, options.heatmaps)
    _print(studies, options)
    if not progress.is_final:
        _say(f"{progress.total - progress.ended} of {progress.total} studies are not done yet.")
    return FAILED if any(study.status == "failed" for study in studies) else OK


def _watch(client: Client, options: argparse.Namespace) -> int:
    if not options.path.is_dir():
        raise _UsageError(f"There is no folder {options.path}.")
    _say(f"Watching {options.path}. Ctrl-C stops.")
    watch(options.path, _Destination(client, options))
    return OK


class _Destination:
    """The portal, to which a watched folder goes."""

    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self._client, self._options = client, options
        self._counts: dict[str, int] = {}

    def open(self, first: str | None) -> str:
        self._counts = {}
        options = self._options
        with _watched():
            return self._client.open_submission(
                grouping=options.grouping, queue=options.queue or "bulk", continues=first
            ).id

    def send(self, submission: str, file: LocalFile) -> bool:
        try:
            with _watched():
                upload = self._client.send_file(submission, file.location, path=file.path)
        except OSError as error:
            _say(f"{file.path}: {error.strerror}.")
            return False
        self._counts[upload.outcome] = self._counts.get(upload.outcome, 0) + 1
        if upload.outcome == "rejected":
            _say(upload.sentence)
        return True

    def close(self, submission: str) -> None:
        with _watched():
            self._client.finish(submission)
        counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(self._counts.items()))
        print(f"{submission} {counts or 'no files'}", flush=True)

    def to_send(self, arrived: list[LocalFile], sent: dict[str, LocalFile]) -> list[LocalFile]:
        return arrived


@contextmanager
def _watched() -> Iterator[None]:
    """Name the client's errors as the watch knows them."""
    try:
        yield
    except ApiError as error:
        if error.status == 409:
            raise SubmissionEnded from None
        if error.status not in LATER:
            raise
        _say(f"{error} The rest is sent later.")
        raise DestinationAway(error.retry_after) from None
    except Unreachable as error:
        _say(f"{error} The rest is sent when it is back.")
        raise DestinationAway from None


class _Once:
    """Says why requests are sent again, once for each reason."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            _say(f"{sentence} Trying again …")


def _progress() -> Progress:
    """Bars on the standard error, where that is a terminal."""
    return Progress(
        TextColumn("{task.description:10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=_terminal,
        disable=not _terminal.is_terminal,
    )


def _tell(sent: Sent) -> None:
    for sentence in sent.failures:
        _say(sentence)
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(sent.outcomes.items()))
    _say(f"{counts or 'no files'}.")


def _say(sentence: str) -> None:
    _terminal.print(sentence, markup=False, soft_wrap=True)


def _print(studies: Sequence[Study], options: argparse.Namespace) -> None:
    """The results as asked for: a table for people, CSV, or JSON.

    The notice stands in the table, and outside of the lines that programs parse.
    """
    if options.json or options.csv:
        _say(NOTICE)
    if options.json:
        for study in studies:
            print(json.dumps(asdict(study) | {"created_at": study.created_at.isoformat()}))
        return
    if options.csv:
        lines = csv.writer(sys.stdout)
        lines.writerow(_COLUMNS)
        lines.writerows(_cells(study) for study in studies)
        return
    table = Table("Study", "Status", "Result", "Probability", "Body part", caption=NOTICE)
    for study in studies:
        result = study.result
        words = result.verdict_words if result else "hidden" if study.is_hidden else ""
        share = f"{result.probability:.2f}" if result and result.probability is not None else ""
        table.add_row(
            study.patient_reference or study.name,
            study.status,
            words,
            share,
            result.body_part if result else "",
        )
    Console(highlight=False).print(table)


def _cells(study: Study) -> Iterable[object]:
    """A line of the CSV; a spreadsheet must not take a name for a formula."""
    result = study.result
    facts = [study.id, _plain(study.name), _plain(study.patient_reference), study.status]
    if result is None:
        return [*facts, *[""] * (len(_COLUMNS) - len(facts))]
    share = "" if result.probability is None else f"{result.probability:.4f}"
    return [
        *facts,
        *(result.verdict, result.verdict_words, share, result.body_part, result.bundle, result.analysed_at),
    ]


def _plain(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _save_heatmaps(client: Client, studies: Iterable[Study], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for study in studies:
        if study.result is None:
            continue
        for number, finding in enumerate(client.findings(study.result.analysis), start=1):
            for kind, suffix in (("display", "jpg"), ("overlay", "png")):
                address = finding.files.get(kind)
                if address:
                    name = f"{study.id}-{number}-{'heatmap' if kind == 'overlay' else 'view'}.{suffix}"
                    (folder / name).write_bytes(client.download(address))


if __name__ == "__main__":
    try:
        run()
    except BrokenPipeError:
        # The program that took our lines has ended (`| head`); closing a full pipe at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
