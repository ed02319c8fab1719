"""Initial: the model without a table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds Report."""

    initial = True
    operations = (
        migrations.CreateModel(
            name="Report",
            fields=[("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False))],
            options={"managed": False, "default_permissions": ("view", "change")},
        ),
    )
