from tortoise import migrations
from tortoise.fields import IntField
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

from notistore_tortoise.fields import DataField, NameField, UtcTimeField
from notistore_tortoise.models import UnreadIndex


class Migration(migrations.Migration):
    initial = True

    operations = [  # noqa: RUF012  # Tortoise declares it a list
        ops.CreateModel(
            name="Notification",
            fields=[
                ("id", NameField(primary_key=True, unique=True, db_index=True, max_length=36)),
                ("tenant", NameField(default="", db_default="", max_length=64)),
                ("recipient_type", NameField(max_length=64)),
                ("recipient_id", NameField(max_length=128)),
                ("type", NameField(max_length=64)),
                ("stable_key", NameField(null=True, max_length=255)),
                ("data", DataField()),
                ("actor_type", NameField(null=True, max_length=64)),
                ("actor_id", NameField(null=True, max_length=64)),
                ("trace_id", NameField(null=True, max_length=128)),
                ("version", IntField()),
                ("read_at", UtcTimeField(null=True)),
                ("created_at", UtcTimeField()),
                ("updated_at", UtcTimeField()),
            ],
            options={
                "table": "notistore_notifications",
                "app": "notistore",
                "indexes": [
                    Index(
                        fields=["tenant", "recipient_type", "recipient_id", "created_at", "id"],
                        name="notistore_notifications_inbox",
                    ),
                    Index(fields=["updated_at", "id"], name="notistore_notifications_age"),
                ],
                "pk_attr": "id",
                "table_description": "One row of an inbox, for queries of your own.",
            },
            bases=["Model"],
        ),
        ops.AddIndex(
            "Notification",
            UnreadIndex(
                fields=["tenant", "recipient_type", "recipient_id", "read_at", "created_at", "id"],
                name="notistore_notifications_unread",
            ),
        ),
    ]
