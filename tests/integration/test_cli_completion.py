"""`canopy completion`: each script is run by its own shell, where that is installed."""

import shutil
import subprocess

import pytest

from tests.harness.cluster import BIN
from tests.harness.waiting import seconds

COMMANDS = {"put", "get", "delete", "list", "watch", "export", "import", "apply", "ping", "status", "completion"}

BASH = """
source <("$1" completion bash) && shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_canopy 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""
# A pseudo-terminal would be needed for zsh's own completion system: its builtins are replaced.
ZSH = """
compadd() { while [[ $1 == -- ]]; do shift; done; print -l -- $@ }
_describe() { print -l -- ${(P)2%%:*} }
_files() { print files }
_canopy() { }
script=$($1 completion zsh) && shift
words=("$@") CURRENT=$#
eval ${script#*compdef canopy}
"""
FISH = 'source ($argv[1] completion fish | psub); complete -C "$argv[2..-1]"'


def complete(shell, *words):
    """What the shell offers for the last of the words."""
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    canopy = str(BIN / "canopy")
    command = {
        "bash": ["bash", "-c", BASH, "bash", canopy, "canopy", *words],
        "zsh": ["zsh", "-f", "-c", ZSH, "zsh", canopy, "canopy", *words],
        "fish": ["fish", "--no-config", "-c", FISH, canopy, "canopy " + " ".join(words)],
    }[shell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds(30))
    assert done.returncode == 0 and not done.stderr, done
    offered = {line.split("\t")[0] for line in done.stdout.splitlines()} - {""}
    return {each for each in offered if each.startswith(words[-1])}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_and_their_options_are_completed(shell):
    assert COMMANDS <= complete(shell, "")
    assert complete(shell, "ex") == {"export"}
    options = complete(shell, "list", "/a/", "--")
    assert {"--keys", "--limit", "--json", "--broker"} <= options and "--ttl" not in options
    assert complete(shell, "put", "/a", "v", "--if") == {"--if-revision"}
    assert complete(shell, "clients", "--sort", "m") == {"missed"}
    assert complete(shell, "completion", "z") == {"zsh"}


def test_bash_completes_files_and_leaves_values_alone():
    assert complete("bash", "get", "--timeout", "") == set()
    options = subprocess.run(
        ["bash", "-c", f'source <("{BIN}/canopy" completion bash); complete -p canopy'],
        capture_output=True, text=True, timeout=seconds(30),
    )  # fmt: skip
    assert options.stdout == "complete -F _canopy canopy\n"
