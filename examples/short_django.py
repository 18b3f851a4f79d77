"""Django in one script: `pip install "notistore[django]"`. with_django.py is a whole site."""

import django
from django.conf import settings
from django.core.management import call_command
from django.db import transaction

DATABASE = {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db", "OPTIONS": {"transaction_mode": "IMMEDIATE"}}
settings.configure(INSTALLED_APPS=["notistore_django"], DATABASES={"default": DATABASE}, USE_TZ=True)
django.setup()

from notistore import Recipient, SseHub  # noqa: E402
from notistore.sync import SyncInbox  # noqa: E402
from notistore_django import SyncDjangoStore  # noqa: E402

inbox = SyncInbox(SyncDjangoStore(), SseHub()).bind(None)  # it joins whatever transaction its caller is in

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    with transaction.atomic():  # the order and its notification, both or neither; published after the commit
        inbox.send(Recipient("42"), "order.placed", {"order_id": 1})
    for row in inbox.page(Recipient("42")):
        print(row.type, dict(row.data), "read" if row.read_at else "unread")
