"""Writes docs/cli.md from the command line itself; a test keeps the two alike."""

from __future__ import annotations

from pathlib import Path

import click

from loyalty_exp.cli import main

TARGET = Path(__file__).with_name("cli.md")


def reference() -> str:
    """The reference as Markdown: the help of every command, in the order of the flow."""
    parts = ["# Command line", "", "Made from the program's own help: `make docs`."]
    root = main.make_context("loyalty-exp", [], resilient_parsing=True)
    contexts = [root]
    contexts += [
        click.Context(command, info_name=name, parent=root)
        for name, command in main.commands.items()
    ]
    for context in contexts:
        context.max_content_width = 100
        parts += ["", f"## {context.command_path}", "", "```text", context.get_help(), "```"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
