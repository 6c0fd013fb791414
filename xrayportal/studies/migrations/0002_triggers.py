"""What PostgreSQL keeps true of studies and uploads by itself. docs/decisions/triggers.md says why."""

from django.db import migrations

from xrayportal.triggers import run_sql


class Migration(migrations.Migration):
    dependencies = [("studies", "0001_initial"), ("analyses", "0002_initial")]

    operations = [
        run_sql("studies", "result_of_study"),
        run_sql("studies", "uploads_elsewhere"),
    ]
