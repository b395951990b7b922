"""How the command reads its options, and how it names them in messages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from sicmir.errors import ParameterError


class Pairs(TyperCommand):
    """Command whose option ``-p`` takes a name and a value, as papermill's does; typer has no such option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join the two words behind ``-p`` by ``=``."""
        joined, rest = [], iter(args)
        for argument in rest:
            joined.append(argument)
            if argument == "-p":
                name, value = next(rest, None), next(rest, None)
                if value is None:
                    raise typer.BadParameter("-p takes a name and a value, e.g. -p seed 3.")
                joined.append(f"{name}={value}")
        return super().parse_args(ctx, joined)


class OfPage(Pairs):
    """Command on a page, whose ``--help`` also lists the parameters of the page that is named with it."""

    _PAGE = "sicmir.page"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note the words, one of which may be a page: ``--help`` ends before arguments are told apart."""
        ctx.meta[self._PAGE] = list(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the command, then the parameters."""
        super().format_help(ctx, formatter)
        from sicmir import paths
        from sicmir.publishing.pages import declared, load_pages

        try:
            known = load_pages()
        except ParameterError:  # installed without the pages
            return
        page = next((known[word] for word in ctx.meta.get(self._PAGE, ()) if word in known), None)
        if page:
            lines = parameter_lines(declared(paths.project() / page.notebook).values())
            typer.echo("\n".join([f"Parameters of {page.id}:", *lines, ""]))


def parameter_lines(parameters: Iterable[Any]) -> list[str]:
    """One line for each parameter of a page: name, type, default and meaning."""
    return [f"  -p {p.name} <{p.type}>  [default: {p.default!r}]  {p.help}" for p in parameters]


def in_options(text: str, context: typer.Context) -> str:
    """Write what a message says of arguments of a function as options of the command."""
    flags = {
        "overwrite=True": "--overwrite",
        "abstain=False": "--keep-far",
        "intervals=False": "--no-intervals",
    }
    for argument, flag in flags.items():
        text = text.replace(argument, flag)
    for parameter in context.command.params:
        name, option = str(parameter.name), parameter.opts[0]
        if not option.startswith("--"):
            continue
        given = re.compile(rf"\b{name}=(?:'([^']*)'|([-\d.]+\b))")

        def as_option(found: re.Match[str], option: str = option) -> str:
            return f"{option} {shlex.quote(found[1] or found[2] or '')}"

        text = given.sub(as_option, text)
        if "_" in name:
            text = re.sub(rf"\b{name}\b", option, text)
    return text.replace("(by)", "(--by)").replace("(summarise)", "(--summarise)")


def refuse_given(context: typer.Context, names: Sequence[str], meant: str) -> None:
    """Refuse options that do nothing in this call.

    Parameters
    ----------
    context
        Of the call.
    names
        Of the parameters.
    meant
        What they are for.

    Raises
    ------
    ParameterError
        If one of them was given.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            raise ParameterError(f"{parameter.opts[0]} is for {meant}; ask for these, or leave it out.")


def columns(texts: list[str] | None) -> list[str]:
    """Names of columns from an option that may be repeated, each a list with commas."""
    return [column.strip() for text in texts or [] if text for column in text.split(",")]
