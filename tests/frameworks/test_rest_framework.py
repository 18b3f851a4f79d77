"""What only the example of Django REST framework has: bearer tokens."""

from __future__ import annotations

import httpx

from .examples import EXAMPLES
from .test_frameworks import send, serving, signed_in


async def test_a_bearer_token_finds_the_user_of_the_session() -> None:
    [example] = [example for example in EXAMPLES if example.framework == "Django REST framework"]
    async with serving(example) as server, signed_in(server, "ada") as ada:
        await send(ada)
        token = (await ada.post("/token")).json()["token"]
        async with httpx.AsyncClient(base_url=ada.base_url, timeout=60) as client:
            for given, status in {
                f"Bearer {token}": 200,
                f"Bearer {token}x": 401,
                "Bearer x": 401,
                "Basic x": 401,
            }.items():
                answer = await client.get("/notifications/unread/count", headers={"authorization": given})
                assert answer.status_code == status, given
                assert status == 401 or answer.json() == {"count": 1}
