"""
Chat with a chatbot, against an AI Engine site that this program starts on your own machine.

The site stands in for a real one: it speaks HTTP over a real socket, and sends its answers piece by
piece. Nothing leaves your machine.
"""

from __future__ import annotations

from typing import List

from chatgpt4online import ChatGPT4OnlineError, Client, Message
from chatgpt4online.testing import Server

# Seconds between two pieces of a streamed answer, about as a model writes.
PACE = 0.04

STORY = (
    "A nonce is a word that a site gives to each visitor and soon forgets. The client asks for one "
    "with your first question, keeps it, and asks again when the site no longer knows it. You need "
    "not think of it."
)


def heading(number: int, text: str) -> None:
    """Print the heading of one part of the demo."""
    print(f"\n{number}. {text}")


def ask(client: Client, server: Server) -> None:
    """Get a whole answer at once, with what it cost."""
    heading(1, "client.chat() returns the whole answer")
    server.says("I am a chatbot ", "on your own machine.", pace=0)
    question = "Who are you?"
    print("   You:", question)
    reply = client.chat(question)
    print("   Bot:", reply)
    if reply.usage:
        print(f"        ({reply.usage.total_tokens} tokens, as the site counts them)")


def stream(client: Client, server: Server) -> None:
    """Show an answer while it is being written."""
    heading(2, "client.stream() hands on each piece when it arrives")
    server.says(*(f"{word} " for word in STORY.split()))
    question = "What is a nonce?"
    print("   You:", question)
    print("   Bot: ", end="")
    for delta in client.stream(question):
        print(delta, end="", flush=True)
    print()


def talk(client: Client) -> None:
    """Ask twice, and send the first exchange along with the second question."""
    heading(3, "messages= tells the model what was said before")
    print("   (Untold, this site repeats the question and says how many messages the model got.)")
    question = "My name is Ada."
    print("   You:", question)
    reply = client.chat(question)
    print("   Bot:", reply)
    turns: List[Message] = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": reply},
    ]
    question = "What is my name?"
    print("   You:", question)
    print("   Bot:", client.chat(question, messages=turns))


def fail(client: Client, server: Server) -> None:
    """Show what a program sees when the site gives up in the middle of an answer."""
    heading(4, "An answer that is not whole is an error")
    server.fails("You have reached the limit.", after=("Well, ", "let me think"))
    question = "And now?"
    print("   You:", question)
    try:
        client.chat(question)
    except ChatGPT4OnlineError as error:
        print(f"   {type(error).__name__}: {error}")
        print(f"   Answered until then: {error.text!r}")


def main() -> None:
    """Start the site, and show the four things that a program does with it."""
    with Server(pace=PACE) as server, Client(server.url) as client:
        print(f"An AI Engine site is running at {server.url}")
        ask(client, server)
        stream(client, server)
        talk(client)
        fail(client, server)
        nonces = len(server.requests) - len(server.questions)
        questions, connections = len(server.questions), server.connections
    print(f"\nQuestions: {questions}. Connections: {connections}. Nonces fetched: {nonces}.")


if __name__ == "__main__":
    main()
