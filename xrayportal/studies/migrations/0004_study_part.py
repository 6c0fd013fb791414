"""Several studies may have one grouping key: parts, because later views do not join what is signed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0003_image_notes")]

    operations = [
        migrations.AddField("study", "part", models.PositiveIntegerField(db_default=1, default=1)),
        migrations.RemoveConstraint("study", "study_grouping_once"),
        migrations.AddConstraint(
            "study",
            models.UniqueConstraint(fields=("clinic", "grouping_key", "part"), name="study_part_once"),
        ),
    ]
