"""The admin: list, filter, search, mark read and unread, delete. It does not add or change notifications."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import ngettext

from notistore.model import utc_now

from .models import Notification

_COUNTED: Final = 10_000
_SAMPLED: Final = 1_000


class CappedPaginator(Paginator):  # type: ignore[type-arg]  # generic in the stubs only
    """Counts and pages only the first 10,000 rows, since counting millions would be slow."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Notification] = self.object_list  # type: ignore[assignment]
        return rows[:_COUNTED].count()


class ReadFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("unread", "unread"), ("read", "read")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Notification]) -> QuerySet[Notification]:
        unread = {"unread": True, "read": False}.get(self.value() or "")
        return queryset if unread is None else queryset.filter(read_at__isnull=unread)


class _RecentValuesFilter(admin.SimpleListFilter):
    """Filters by the values of the latest 1,000 rows, since a query for all distinct values would read the whole
    table."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        recent = model_admin.get_queryset(request).order_by("-updated_at", "-id")
        values = set(recent.values_list(self.parameter_name, flat=True)[:_SAMPLED])
        if chosen := self.value():
            values.add(chosen)
        return [(value, value) for value in sorted(values) if value]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Notification]) -> QuerySet[Notification]:
        return queryset.filter((self.parameter_name, self.value())) if self.value() else queryset


class TypeFilter(_RecentValuesFilter):
    title = "type"
    parameter_name = "type"


class TenantFilter(_RecentValuesFilter):
    title = "tenant"
    parameter_name = "tenant"


@admin.register(Notification)
class NotificationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Changes made here are not published; pages show them after their next refetch."""

    list_display = (
        "type",
        "recipient_id",
        "recipient_type",
        "tenant",
        "is_read",
        "version",
        "created_at",
        "updated_at",
    )
    list_filter = (ReadFilter, TypeFilter, TenantFilter)
    search_fields = ("recipient_id__exact", "id__exact", "stable_key__exact", "trace_id__exact")
    search_help_text = "Exactly a recipient's id, a notification's id or key, or a trace id."
    ordering = ("-updated_at", "-id")
    actions = ("mark_read", "mark_unread")
    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    readonly_fields = tuple(field.name for field in Notification._meta.concrete_fields)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(boolean=True, description="read")
    def is_read(self, row: Notification) -> bool:
        return row.read_at is not None

    @admin.action(description="Mark selected notifications read", permissions=["change"])
    def mark_read(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        self._report_changed(request, queryset.filter(read_at=None).update(read_at=utc_now()))

    @admin.action(description="Mark selected notifications unread", permissions=["change"])
    def mark_unread(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        self._report_changed(request, queryset.exclude(read_at=None).update(read_at=None))

    def _report_changed(self, request: HttpRequest, changed: int) -> None:
        text = ngettext("%d notification was changed.", "%d notifications were changed.", changed) % changed
        self.message_user(request, text, messages.SUCCESS)
