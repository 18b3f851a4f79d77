"""Flask, with its session and streams that last, each in a thread.

pip install "notistore[flask]" gunicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    gunicorn --worker-class gthread --threads 64 --keep-alive 1 flask_app:app
"""

from pathlib import Path

from flask import Flask, Response, abort, request, send_file, session

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.sync import SyncInbox
from notistore.web.flask import inbox_blueprint

hub = SseHub(streams=40)  # fewer than there are threads
inbox = SyncInbox(Inbox(MemoryStore(), hub))  # over your own store, such as SyncSQLAlchemyStore(engine)
app = Flask(__name__)
app.secret_key = "from your settings"


def current_recipient() -> Recipient | None:
    return Recipient(session["user"]) if "user" in session else None  # with Flask-Login: current_user


app.register_blueprint(inbox_blueprint(inbox, current_recipient, live=True))


@app.get("/")
def page() -> Response:
    return send_file(Path(__file__).with_name("page.html"))


@app.post("/login")
def login() -> tuple[str, int]:
    session["user"] = request.get_json()["user"]  # once you have checked the password
    return "", 204


@app.post("/logout")
def logout() -> tuple[str, int]:
    if (recipient := current_recipient()) is not None:
        session.clear()
        hub.end(recipient)  # the streams that were opened with this session
    return "", 204


@app.post("/send")
def send() -> tuple[str, int]:
    asked = request.get_json()
    inbox.send(current_recipient() or abort(401), asked["type"], asked["data"], key=asked["key"])
    return "", 204


@app.get("/status")
def status() -> dict[str, int]:
    return {"streams": hub.stats().streams}
