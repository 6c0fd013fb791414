from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0008_usage")]

    operations = [
        migrations.AddField(
            model_name="submission",
            name="folder",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
    ]
