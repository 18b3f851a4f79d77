"""Messages between hubs: encoding, signatures, and which messages are refused because no hub sent them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notistore.hub.events import HEARTBEAT, REFETCH, Event
from notistore.hub.message import Kind, Message
from notistore.hub.streams import EVERYONE, tenant_address

NODE = b"\0node\n\xff\xfe"
SECRET = b"known to the hubs alone"
ONE = Event("notification", {"a": "\N{SNOWMAN}"}, id="7", retry=1000).encode()


@pytest.mark.parametrize(
    "message",
    [
        Message(NODE, Kind.EVENTS, "0:4:user42", ONE + REFETCH.encode()),
        Message(NODE, Kind.EVENTS, EVERYONE, ONE),
        Message(NODE, Kind.EVENTS, tenant_address("acme"), ONE),
        Message(NODE, Kind.EVENTS, tenant_address(None), ONE),
        Message(NODE, Kind.END, "0:4:user42"),
        Message(NODE, Kind.MISSED, EVERYONE),
        Message(NODE, Kind.REFETCH, "0:4:user42"),
    ],
    ids=["events", "everyone", "a tenant", "no tenant", "end", "missed", "refetch"],
)
@pytest.mark.parametrize("secret", [None, SECRET])
def test_a_message_is_read_as_it_was_written(message: Message, secret: bytes | None) -> None:
    read = Message.decode(message.channel, message.encode(secret), secret)
    assert read == message
    assert read.is_signed == (secret is not None)


def test_every_process_listens_to_what_is_for_many() -> None:
    for address in (EVERYONE, tenant_address("acme"), tenant_address(None)):
        assert Message(NODE, Kind.EVENTS, address, ONE).channel == EVERYONE


@pytest.mark.parametrize("secret", [None, SECRET])
@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (b"", b""),
        (NODE[:7], b""),
        (NODE, b""),
        (NODE + b"e", b""),
        (NODE + b"?", b"\n" + ONE),
        (NODE + b"e", ONE[:-1]),
        (NODE + b"e", b"\n"),
        (NODE + b"e", b"\n" + ONE[:-1]),
        (NODE + b"e", b"\nhello\n\n"),
        (NODE + b"e", b"\n" + ONE + b"data: more\n\n"),
        (NODE + b"e", b"\n" + HEARTBEAT),
        (NODE + b"e", b"\nevent: \xff\ndata:\n\n"),
        (NODE + b"e", b"\nevent: a\rdata: b\ndata:\n\n"),
        (NODE + b"e", b"\nevent: a\ndata: \0\n\n"),
        (NODE + b"e", b"target\n" + ONE),
        (NODE + b"e", b"\xff\n" + ONE),
        (NODE + b"r", b"\n" + ONE),
        (NODE + b"x", b"\n" + ONE),
        (b"", ONE),
    ],
)
def test_invalid_messages_are_refused(head: bytes, rest: bytes, secret: bytes | None) -> None:
    for data in (head + bytes(32) + rest, head + rest):
        with pytest.raises(ValueError, match=r"not a valid Kind|utf-8|no event|no address"):
            Message.decode("0:4:user42", data, secret)


@pytest.mark.parametrize("kind", Kind)
def test_a_signature_is_valid_only_for_the_signed_bytes(kind: Kind) -> None:
    message = Message(NODE, kind, "0:4:user42", ONE if kind is Kind.EVENTS else b"")
    data = message.encode(SECRET)
    assert Message.decode("0:4:user42", data, SECRET).is_signed
    assert not Message.decode("0:4:user43", data, SECRET).is_signed
    assert not Message.decode("0:4:user42", data, SECRET + b"!").is_signed
    assert not Message.decode("0:4:user42", data).is_signed
    assert not Message.decode("0:4:user42", message.encode(), SECRET).is_signed
    assert not Message.decode("0:4:user42", b"!" + data[1:], SECRET).is_signed
    if kind is Kind.EVENTS:
        assert not Message.decode("0:4:user42", data + ONE, SECRET).is_signed
    else:
        other = {Kind.END: b"r", Kind.REFETCH: b"x", Kind.MISSED: b"x"}[kind]
        assert not Message.decode("0:4:user42", data.replace(NODE + kind.value, NODE + other), SECRET).is_signed


def test_an_address_that_is_no_text_is_refused_for_everyone_too() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        Message.decode(EVERYONE, NODE + b"e" + bytes(32) + b"\xff\n" + ONE)


@given(st.binary(max_size=60), st.binary(max_size=60), st.none() | st.just(SECRET))
def test_any_bytes_are_read_or_refused(head: bytes, rest: bytes, secret: bytes | None) -> None:
    data = head + bytes(32) + rest
    try:
        message = Message.decode(EVERYONE, data, secret)
    except ValueError:
        return
    assert not message.is_signed
    assert message.encode() == data
