"""Reviews stay as they were stored; predictions to compare with them are kept by PostgreSQL itself. docs/decisions/triggers.md says why."""

from django.db import migrations

from xrayportal.triggers import run_sql


class Migration(migrations.Migration):
    dependencies = [("reviews", "0001_initial"), ("studies", "0002_triggers"), ("analyses", "0002_initial")]

    operations = [
        run_sql("reviews", "never_overwritten"),
        run_sql("reviews", "reference_predictions"),
    ]
