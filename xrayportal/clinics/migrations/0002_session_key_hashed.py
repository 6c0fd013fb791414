"""A session's row holds a hash of its key from now on: the rows so far, with their keys, go."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("clinics", "0001_initial")]

    operations = [
        # Everybody signs in once more: a key that was read out of the database before opens nothing then.
        migrations.RunSQL("DELETE FROM clinics_session", migrations.RunSQL.noop),
        migrations.AlterField(
            "session",
            "session_key",
            models.CharField(
                max_length=64,
                primary_key=True,
                serialize=False,
                verbose_name="SHA-256 of the session key",
            ),
        ),
        migrations.AddConstraint(
            "session",
            models.CheckConstraint(
                condition=models.Q(session_key__regex="^[0-9a-f]{64}$"), name="session_key_is_hashed"
            ),
        ),
    ]
