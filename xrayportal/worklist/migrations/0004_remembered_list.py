from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("worklist", "0003_reading_session")]

    operations = [
        migrations.AlterField(
            model_name="savedview",
            name="name",
            field=models.CharField(blank=True, max_length=40, verbose_name="name"),
        ),
    ]
