"""Notifications in a SQLAlchemy application's own database: `pip install "notistore[sqlalchemy]" aiosqlite`."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from notistore import Inbox, Recipient, SseHub
from notistore_sqlalchemy import SQLAlchemyStore, notifications_table


class Base(DeclarativeBase): ...


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


async def main() -> None:
    engine = create_async_engine("sqlite+aiosqlite:///shop.db")
    inbox = Inbox(SQLAlchemyStore(engine, table=notifications_table(Base.metadata)), SseHub())
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)  # with Alembic: its migrations
    async with AsyncSession(engine) as session, session.begin():  # both rows or neither; published after the commit
        session.add(order := Order(item="a lamp"))
        await session.flush()
        await inbox.bind(session).send(Recipient("42"), "order.placed", {"order_id": order.id})
    for row in await inbox.page(Recipient("42")):
        print(row.type, dict(row.data), "read" if row.read_at else "unread")
    await engine.dispose()


asyncio.run(main())
