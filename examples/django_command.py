"""
A Django command that writes missing product descriptions for a shop.

    CHATGPT4ONLINE_SITE=https://example.com DATABASE=shop.sqlite3 python django_command.py --limit 5

To fit into one file, it includes its settings and its model. In your project, the command belongs
in yourapp/management/commands/describe.py, and the model is your own.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import django
from django.conf import settings

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("DATABASE", "shop.sqlite3"),
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()

from django.core.management.base import BaseCommand, CommandError  # noqa: E402
from django.db import models  # noqa: E402

from chatgpt4online import Client  # noqa: E402


class Product(models.Model):
    """A row of the shop's existing table."""

    name = models.CharField(max_length=200)
    description = models.TextField()

    class Meta:
        """The table already exists."""

        app_label, db_table, managed = "shop", "product", False


class Command(BaseCommand):
    """``describe``: ask for missing descriptions, and save each as it arrives."""

    help = "Write missing product descriptions."

    def add_arguments(self, parser: Any) -> None:
        """Add a limit, since each question costs money."""
        parser.add_argument("--limit", type=int, default=100)

    def handle(self, **options: Any) -> None:
        """Describe products. The exit status is 1 if any of them failed."""
        products = list(Product.objects.filter(description="")[: options["limit"]])
        failures = 0
        with Client(deadline=120) as client:
            questions = [f"Describe in one sentence: {product.name}" for product in products]
            for outcome in client.map(questions):
                product = products[outcome.index]
                if outcome.reply:
                    product.description = str(outcome.reply)
                    product.save(update_fields=["description"])
                    self.stdout.write(f"{product.name}: {product.description}")
                else:
                    failures += 1
                    self.stderr.write(f"{product.name}: {outcome.error or 'an empty answer'}")
        if failures:
            raise CommandError(f"{failures} of {len(products)} products have no description yet")


if __name__ == "__main__":
    Command().run_from_argv([sys.argv[0], "describe", *sys.argv[1:]])
