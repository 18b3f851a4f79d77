"""`manage.py prune_notifications --older-than 90`: retention, from cron."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections

from notistore.errors import StoreError
from notistore.model import utc_now
from notistore_django.store import SyncDjangoStore


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


class Command(BaseCommand):
    help = "Deletes notifications whose content is older than so many days, in batches that do not lock the table."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--older-than", type=_positive, required=True, metavar="DAYS", help="since the last change")
        parser.add_argument("--only-read", action="store_true", help="leave unread ones")
        parser.add_argument("--batch", type=_positive, default=1000, metavar="N", help="rows per transaction (1000)")
        parser.add_argument("--using", default=DEFAULT_DB_ALIAS, choices=tuple(connections), help="database alias")

    def handle(self, *args: Any, **options: Any) -> None:
        store = SyncDjangoStore(options["using"], prune_batch=options["batch"])
        older_than = utc_now() - timedelta(days=options["older_than"])
        try:
            pruned = store.prune(older_than=older_than, only_read=options["only_read"])
        except StoreError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{pruned} deleted")
