from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("studies", "0002_triggers")]

    operations = [
        migrations.AddField(
            model_name="upload",
            name="path",
            field=models.TextField(blank=True, default="", editable=False),
            preserve_default=False,
        ),
    ]
