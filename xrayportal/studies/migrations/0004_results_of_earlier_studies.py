"""Studies that had a result before 0003: setting ``current`` to itself makes the database fill in the rest."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("studies", "0003_result_of_study")]

    operations = [
        migrations.RunSQL(
            "UPDATE studies_study SET current_id = current_id WHERE current_id IS NOT NULL",
            migrations.RunSQL.noop,
        )
    ]
