"""New studies wait until a reader opens them. docs/decisions/triggers.md says why."""

from django.db import migrations

from xrayportal.triggers import run_sql


class Migration(migrations.Migration):
    dependencies = [("worklist", "0001_initial"), ("studies", "0001_initial")]

    operations = [
        run_sql("worklist", "unopened"),
    ]
