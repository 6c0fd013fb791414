"""Events are only ever added. docs/decisions/triggers.md says why."""

from django.db import migrations

from xrayportal.triggers import run_sql


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_initial")]

    operations = [
        run_sql("audit", "append_only"),
    ]
