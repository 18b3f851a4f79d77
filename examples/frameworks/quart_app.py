"""Quart, with its session.

pip install "notistore[quart]", then in this folder, and http://127.0.0.1:8000 in a browser:

    hypercorn quart_app:app
"""

from pathlib import Path

from quart import Quart, Response, abort, request, send_file, session

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web.quart import inbox_blueprint

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store
app = Quart(__name__)
app.secret_key = "from your settings"


def current_recipient() -> Recipient | None:
    return Recipient(session["user"]) if "user" in session else None


app.register_blueprint(inbox_blueprint(inbox, current_recipient, websocket=current_recipient))


@app.get("/")
async def page() -> Response:
    return await send_file(Path(__file__).with_name("page.html"))


@app.post("/login")
async def login() -> tuple[str, int]:
    session["user"] = (await request.get_json())["user"]  # once you have checked the password
    return "", 204


@app.post("/logout")
async def logout() -> tuple[str, int]:
    if (recipient := current_recipient()) is not None:
        session.clear()
        hub.end(recipient)  # the streams that were opened with this session
    return "", 204


@app.post("/send")
async def send() -> tuple[str, int]:
    asked = await request.get_json()
    await inbox.send(current_recipient() or abort(401), asked["type"], asked["data"], key=asked["key"])
    return "", 204


@app.get("/status")
async def status() -> dict[str, int]:
    return {"streams": hub.stats().streams}
