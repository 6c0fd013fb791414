"""``manage.py bundle list|register|activate|compare``."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections import Counter
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from inference_worker.celery_worker.compare import Comparison, Replay
from inference_worker.manifest import BundleError
from inference_worker.types import BODY_PART_NOT_JUDGED
from inference_worker.verdict import StudyResult
from xrayportal.analyses.bundles import activate_bundle, register_bundle
from xrayportal.analyses.models import Analysis, Bundle
from xrayportal.clinics.actors import COMMAND_LINE
from xrayportal.clinics.models import Clinic


class Command(BaseCommand):
    help = "Lists the bundles, registers or activates one, or lists the verdicts that one would change."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="all that are known; the active one is marked")
        register = actions.add_parser("register", help="verify a folder under BUNDLES_DIR and make it known")
        register.add_argument("folder")
        register.add_argument("--activate", action="store_true", help="and let new analyses use it")
        activate = actions.add_parser("activate", help="let new analyses use a known bundle")
        activate.add_argument("name", help="name@version, as “list” shows it")
        compare = actions.add_parser(
            "compare", help="replay stored studies through a bundle; list the changed verdicts, write nothing"
        )
        compare.add_argument("folder", metavar="NAME", help="folder under BUNDLES_DIR, registered or not")
        compare.add_argument("--clinic", metavar="SLUG", help="only this clinic's studies")
        compare.add_argument("--limit", metavar="N", type=_count, help="only the newest N studies")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "list":
            self._list()
        elif action == "register":
            self._register(options["folder"], activate=options["activate"])
        elif action == "compare":
            self._compare(options["folder"], slug=options["clinic"], limit=options["limit"])
        else:
            self._activate(options["name"])

    def _list(self) -> None:
        for bundle in Bundle.objects.order_by("registered_at"):
            mark = "*" if bundle.is_active else " "
            self.stdout.write(f"{mark} {bundle.name}  {bundle.folder}  {bundle.manifest_sha256[:12]}")

    def _register(self, folder: str, *, activate: bool) -> None:
        try:
            bundle = register_bundle(folder=folder, activate=activate, actor=COMMAND_LINE)
        except BundleError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{bundle.name} is {'active' if bundle.is_active else 'registered'}")

    def _activate(self, name: str) -> None:
        bundle = Bundle.objects.filter(name=name).first()
        if bundle is None:
            raise CommandError(f"No bundle is called “{name}”; “manage.py bundle list” shows those known.")
        activate_bundle(bundle=bundle, actor=COMMAND_LINE)
        self.stdout.write(f"{bundle.name} is active")

    def _compare(self, folder: str, *, slug: str | None, limit: int | None) -> None:
        clinic = Clinic.objects.filter(slug=slug).first() if slug else None
        if slug and clinic is None:
            raise CommandError(f"No clinic is called “{slug}”.")
        try:
            comparison = Comparison(settings.BUNDLES_DIR / folder, clinic=clinic, limit=limit)
        except BundleError as error:
            raise CommandError(f"“{folder}” cannot be compared: {error}.") from error
        except ImportError as error:
            raise CommandError(
                "Comparing runs the networks, and what they need is not installed here "
                f"({error.name or error}): run it where a worker runs."
            ) from error
        changes: Counter[str] = Counter()
        failed = 0
        for number, replay in enumerate(comparison.replays(), start=1):
            if replay.after is None:
                failed += 1
            elif replay.is_changed:
                changes[f"{_word(replay.before)} to {_word(replay.after)}"] += 1
                self._progress("")
                self.stdout.write(_line(replay))
            self._progress(f"{number} of {len(comparison)} studies")
        self._progress("")
        kinds = "".join(f"; {kind}: {count}" for kind, count in sorted(changes.items()))
        self.stdout.write(
            f"{comparison.candidate} changes {changes.total()} of {len(comparison)} verdicts{kinds}."
        )
        if failed:
            self.stdout.write(f"{failed} of them could not be analysed now and count as unchanged.")

    def _progress(self, words: str) -> None:
        """Replace the last line of a terminal; do nothing elsewhere."""
        if self.stderr.isatty():
            self.stderr.write(f"\r\x1b[K{words}", ending="")


def _line(replay: Replay) -> str:
    """``CLINIC STUDY: abnormal 0.870 (wrist, fracture@1) -> normal 0.120 (hand)``."""
    before, after = replay.before, replay.after
    was = _result(before, before.body_part, before.bundle.name)
    now = _result(after, after.body_part or "") if after else ""
    return f"{replay.study.clinic.slug} {replay.study.pk}: {was} -> {now}"


def _result(result: Analysis | StudyResult, *facts: str) -> str:
    number = "" if result.probability is None else f" {result.probability:.3f}"
    known = ", ".join(fact for fact in facts if fact)
    return f"{_word(result)}{number}{f' ({known})' if known else ''}"


def _word(result: Analysis | StudyResult) -> str:
    """The verdict's code; ``not judged`` for a body part that the bundle does not judge."""
    return "not judged" if result.reason == BODY_PART_NOT_JUDGED else str(result.verdict)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number, 1 or more")
    return int(text)
