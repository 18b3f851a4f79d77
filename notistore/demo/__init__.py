"""`notistore demo`: a web page with a live bell, for two users in two tenants, over any installed store."""

from .app import demo_app, run_demo

__all__ = ["demo_app", "run_demo"]
