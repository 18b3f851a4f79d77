"""The app: `INSTALLED_APPS = [..., "notistore_django"]`."""

from __future__ import annotations

from django.apps import AppConfig


class NotistoreConfig(AppConfig):
    """Its label is "notistore", so `manage.py migrate notistore`, and the model is `notistore.Notification`."""

    name = "notistore_django"
    label = "notistore"
    verbose_name = "Notifications"
