"""
Chat with an AI Engine site that this program starts on your own machine.

The site behaves like a real one: it speaks HTTP over a real socket and streams its answers. Nothing
leaves your machine.
"""

from __future__ import annotations

from typing import List

from chatgpt4online import ChatGPT4OnlineError, Client, Message
from chatgpt4online.testing import Server

# Seconds between two events of a streamed answer, about the speed of a model.
PACE = 0.04

STORY = (
    "A nonce is a word that a site gives to each visitor and soon forgets. The client fetches one "
    "for your first question, keeps it, and fetches another when it expires. You never have to "
    "handle it."
)


def heading(number: int, text: str) -> None:
    """Print the heading of one part of the demo."""
    print(f"\n{number}. {text}")


def ask(client: Client, server: Server) -> None:
    """Get the whole answer at once, and its number of tokens."""
    heading(1, "client.chat() returns the whole answer")
    server.says("I am a chatbot ", "on your own machine.", pace=0)
    question = "Who are you?"
    print("   You:", question)
    reply = client.chat(question)
    print("   Bot:", reply)
    if reply.usage:
        print(f"        ({reply.usage.total_tokens} tokens, as counted by the site)")


def stream(client: Client, server: Server) -> None:
    """Show an answer while it is being written."""
    heading(2, "client.stream() yields the answer as it arrives")
    server.says(*(f"{word} " for word in STORY.split()))
    question = "What is a nonce?"
    print("   You:", question)
    print("   Bot: ", end="")
    for delta in client.stream(question):
        print(delta, end="", flush=True)
    print()


def talk(client: Client) -> None:
    """Ask twice, and send the first turn along with the second question."""
    heading(3, "messages= gives the model the conversation so far")
    print("   (By default, this site echoes the question and the number of messages it received.)")
    question = "My name is Ada."
    print("   You:", question)
    reply = client.chat(question)
    print("   Bot:", reply)
    history: List[Message] = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": reply},
    ]
    question = "What is my name?"
    print("   You:", question)
    print("   Bot:", client.chat(question, messages=history))


def fail(client: Client, server: Server) -> None:
    """Show what happens when the site fails in the middle of an answer."""
    heading(4, "An incomplete answer is an error")
    server.fails("You have reached the limit.", after=("Well, ", "let me think"))
    question = "And now?"
    print("   You:", question)
    try:
        client.chat(question)
    except ChatGPT4OnlineError as error:
        print(f"   {type(error).__name__}: {error}")
        print(f"   Answered until then: {error.text!r}")


def main() -> None:
    """Start the site and run the four parts of the demo."""
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
