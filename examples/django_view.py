"""
A web service in Django that keeps each visitor's conversation in a JSONField.

    CHATGPT4ONLINE_SITE=https://example.com python django_view.py runserver --noreload
    curl -b jar -c jar -d "question=Who are you?" localhost:8000/ask

To fit into one file, it includes its settings and its model. In your project, add the model and the
view to an app. All requests share one client; the visitor's session refers to a conversation.
"""

from __future__ import annotations

import os
import sys

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("DATABASE", "talks.sqlite3"),
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for trying this out"),
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup()

from django.core.management import execute_from_command_line  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from chatgpt4online import ChatGPT4OnlineError, Client, Conversation  # noqa: E402

client = Client(deadline=60)


class Talk(models.Model):
    """A visitor's conversation."""

    state = models.JSONField()

    class Meta:
        """Your app has its own label."""

        app_label = "support"


def ask(request: HttpRequest) -> JsonResponse:
    """Answer the visitor's question, and store the conversation once the answer is there."""
    row = Talk.objects.filter(pk=request.session.get("talk")).first()
    talk = Conversation.from_dict(row.state, client) if row else client.conversation()
    try:
        reply = talk.chat(request.POST.get("question", ""))
    except ValueError as error:
        return JsonResponse({"error": str(error)}, status=400)
    except ChatGPT4OnlineError:
        return JsonResponse({"error": "The chatbot cannot answer now."}, status=502)
    row = row or Talk()
    row.state = talk.to_dict()
    row.save()
    request.session["talk"] = row.pk
    return JsonResponse({"answer": str(reply)})


urlpatterns = [path("ask", ask)]


def create_table() -> None:
    """Create the table, as a migration of your app would."""
    if "support_talk" not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Talk)


if __name__ == "__main__":
    create_table()
    execute_from_command_line(sys.argv)
