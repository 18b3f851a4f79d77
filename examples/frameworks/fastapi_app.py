"""FastAPI, with a session and the recipient as a dependency.

pip install "notistore[fastapi]" itsdangerous uvicorn, then in this folder, and http://127.0.0.1:8000 in a browser:

    uvicorn fastapi_app:app
"""

from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse
from starlette.middleware.sessions import SessionMiddleware

from notistore import Inbox, MemoryStore, Recipient, SseHub
from notistore.web.fastapi import inbox_router

hub = SseHub()
inbox = Inbox(MemoryStore(), hub)  # over your own store


def current_recipient(request: Request) -> Recipient | None:
    user = request.session.get("user")
    return Recipient(user) if user else None


def signed_in(recipient: Annotated[Recipient | None, Depends(current_recipient)]) -> Recipient:
    if recipient is None:
        raise HTTPException(401)
    return recipient


app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="from your settings")
app.include_router(inbox_router(inbox, current_recipient))


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/login", status_code=204)
async def login(request: Request, user: Annotated[str, Body(embed=True)]) -> None:
    request.session["user"] = user  # once you have checked the password


@app.post("/logout", status_code=204)
async def logout(request: Request, recipient: Annotated[Recipient, Depends(signed_in)]) -> None:
    request.session.clear()
    hub.end(recipient)  # the streams that were opened with this session


@app.post("/send", status_code=204)
async def send(
    recipient: Annotated[Recipient, Depends(signed_in)],
    type: Annotated[str, Body()],
    data: Annotated[dict[str, Any], Body()],
    key: Annotated[str | None, Body()] = None,
) -> None:
    await inbox.send(recipient, type, data, key=key)


@app.get("/status")
async def status() -> dict[str, int]:
    return {"streams": hub.stats().streams}
