"""Apps that were in use before passkeys are in use since the second factor is on."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("clinics", "0004_passkeys")]

    operations = [
        migrations.RunSQL(
            "UPDATE clinics_secondfactor SET app_since = clinics_user.second_factor_since "
            "FROM clinics_user WHERE clinics_user.id = clinics_secondfactor.user_id",
            migrations.RunSQL.noop,
        )
    ]
