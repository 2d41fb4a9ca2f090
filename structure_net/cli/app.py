"""The program: commands, the paragraph that an error becomes, and exit codes."""

from __future__ import annotations

import sys
import traceback
from functools import cache

from cyclopts import App, CycloptsError

from structure_net.cli.messages import leave_stdout, say
from structure_net.cli.repeats import last_words
from structure_net.cli.sources import check_text
from structure_net.errors import DONE, INTERRUPTED, RUN_FAILED, StructureNetError, UsageError
from structure_net.plugins import place_in_plugin
from structure_net.schema import NOT_BUILT_COMMANDS

PROGRAM = "structure-net"


def version() -> str:
    """Program and version in one line."""
    from structure_net.environment import VERSION

    return f"{PROGRAM} {VERSION}"


@cache
def application() -> App:
    """All commands; their heavy imports lie inside them."""
    from structure_net.cli.analyse import analyse
    from structure_net.cli.bench import bench
    from structure_net.cli.compare import compare
    from structure_net.cli.config import check, show_config
    from structure_net.cli.doctor import doctor
    from structure_net.cli.report import report
    from structure_net.cli.resume import resume
    from structure_net.cli.show import show
    from structure_net.cli.study import study
    from structure_net.cli.tournament import tournament

    app = App(
        name=PROGRAM,
        help="Evolves sparse neural networks in tournaments.",
        help_epilogue=(
            "Every command also takes --debug: an error then shows where in the program it arose. "
            "An option is read from the command line, else from the environment "
            "(STRUCTURE_NET_EPOCHS and the like), else from the file given to --config. "
            f"Not built yet: {', '.join(NOT_BUILT_COMMANDS)}."
        ),
        version=version,
        help_format="plaintext",
        result_action="return_value",
    )
    app.command(tournament)
    app.command(resume)
    app.command(show)
    app.command(report)
    app.command(analyse)
    config = App(name="config", help="The configuration: every value with its origin.")
    config.command(show_config, name="show")
    config.command(check)
    app.command(config)
    app.command(doctor)
    app.command(bench)
    app.command(compare)
    app.command(study)
    app.register_install_completion_command(help="Install completion for your shell.")
    return app


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit code; errors become one paragraph on stderr."""
    arguments = [str(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    debug = "--debug" in arguments
    try:
        code = _run([argument for argument in arguments if argument != "--debug"])
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("Interrupted.")
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # rich exits by itself when nobody reads its output
        leave_stdout()
        return RUN_FAILED if "--install-completion" in arguments else DONE
    except StructureNetError as problem:
        if debug:
            traceback.print_exc()
        say(str(problem))
        return problem.exit_code
    except Exception as problem:  # the last resort: a defect of the program, told as one
        if debug:
            traceback.print_exc()
        text = str(problem) or "no further word"
        if (place := place_in_plugin(problem)) is not None:
            told = f"It arose in the plug-in {place}. Mend that and start a new run."
        else:
            told = "This is a defect of structure-net. Give the same command with --debug added "
            told += "and report what it prints."
        say(f"{type(problem).__name__}: {text}. {told}")
        return RUN_FAILED
    return code


def _run(arguments: list[str]) -> int:
    for argument in arguments:
        check_text(argument, f"The argument {argument[:40]!a}")
    if arguments and arguments[0] in NOT_BUILT_COMMANDS:
        name = arguments[0]
        raise UsageError(f"{PROGRAM} {name} ({NOT_BUILT_COMMANDS[name]}) is not built yet.")
    app = application()
    try:
        words = last_words(arguments)
        command, bound, _ = app.parse_args(words, print_error=False, exit_on_error=False)
    except CycloptsError as problem:
        raise UsageError(_sentence(problem)) from problem
    code = command(*bound.args, **bound.kwargs)
    return code if isinstance(code, int) else DONE


def _sentence(problem: CycloptsError) -> str:
    """The parser's message, and where the right words are found."""
    problem.verbose = False
    chain = " ".join([PROGRAM, *(problem.command_chain or ())])
    unused = problem.unused_tokens
    if unused and type(problem).__name__ == "UnusedCliTokensError":
        told = f"{chain} has no use for {str(unused[0])[:80]!r}."
        if unused[0] in application():  # `./run resume RUN`: run is the tournament alone
            told += f" That is a command of its own: .venv/bin/{PROGRAM} {unused[0]} …"
    else:
        told = str(problem).rstrip(".")[:600]
        told += "" if told.endswith("?") else "."
    return f"{told} See {chain} --help."
