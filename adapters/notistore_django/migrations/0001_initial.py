from django.db import migrations, models

import notistore_django.fields


class Migration(migrations.Migration):
    initial = True

    operations = (
        migrations.CreateModel(
            name="Notification",
            fields=[
                ("id", notistore_django.fields.NameField(max_length=36, primary_key=True, serialize=False)),
                ("tenant", notistore_django.fields.NameField(blank=True, db_default="", default="", max_length=64)),
                ("recipient_type", notistore_django.fields.NameField(max_length=64)),
                ("recipient_id", notistore_django.fields.NameField(max_length=128)),
                ("type", notistore_django.fields.NameField(max_length=64)),
                ("stable_key", notistore_django.fields.NameField(blank=True, max_length=255, null=True)),
                ("data", models.JSONField()),
                ("actor_type", notistore_django.fields.NameField(blank=True, max_length=64, null=True)),
                ("actor_id", notistore_django.fields.NameField(blank=True, max_length=64, null=True)),
                ("trace_id", notistore_django.fields.NameField(blank=True, max_length=128, null=True)),
                ("version", models.IntegerField()),
                ("read_at", notistore_django.fields.UtcTimeField(blank=True, null=True)),
                ("created_at", notistore_django.fields.UtcTimeField()),
                ("updated_at", notistore_django.fields.UtcTimeField()),
            ],
            options={
                "db_table": "notistore_notifications",
                "indexes": [
                    models.Index(
                        fields=["tenant", "recipient_type", "recipient_id", "created_at", "id"],
                        name="notistore_notifications_inbox",
                    ),
                    models.Index(
                        condition=models.Q(("read_at", None)),
                        fields=["tenant", "recipient_type", "recipient_id", "read_at", "created_at", "id"],
                        name="notistore_notifications_unread",
                    ),
                    models.Index(fields=["updated_at", "id"], name="notistore_notifications_age"),
                ],
            },
        ),
    )
