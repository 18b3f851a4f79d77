"""The conformance kit on the statements of MariaDB, and on those of MySQL, which cannot return the row of an upsert."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from notistore_conformance import NotificationStoreSuite, StoreImplementation
from tools.proxy import behind_proxy

from ..backends import backend
from .hosts import PyMySQLStore, savepoint, transaction


class TestMariaDB(NotificationStoreSuite):
    dialect = "mariadb"
    url: str

    @pytest.fixture(autouse=True)
    def database(self, mariadb_url: str) -> None:
        self.url = mariadb_url

    @contextmanager
    def make_store(self) -> Iterator[StoreImplementation]:
        with closing(PyMySQLStore(self.url)) as store:
            store.create_schema()  # MySQL's own would name a collation that MariaDB lacks
        with (
            behind_proxy(self.url) as (url, proxy),
            closing(PyMySQLStore(url, dialect=self.dialect)) as store,
            closing(PyMySQLStore(self.url, dialect=self.dialect)) as peer,
        ):
            yield StoreImplementation(
                store,
                peer=peer,
                transaction=lambda: transaction(self.url),
                savepoint=savepoint,
                outage=proxy and proxy.outage,
                lose_reply=proxy and proxy.lost_reply,
                processes=True,
                backend=backend(self.url),
            )


class TestMySQL(TestMariaDB):
    dialect = "mysql"
