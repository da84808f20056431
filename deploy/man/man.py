#!/usr/bin/env python3
"""Writes manual pages, so that they say what the programs say.

    man.py VERSION DIRECTORY NAME PROGRAM     NAME.1 of a program, from its --help (canopy: of each of its commands too)
    man.py VERSION DIRECTORY NAME.yaml FILE   NAME.yaml.5 of the cluster's file, from the commented example
"""
import pathlib
import re
import subprocess
import sys

SEE_ALSO = ["canopy(1)", "canopy-broker(1)", "canopy-shard(1)", "canopy-proxy(1)", "canopy-loadtest(1)", "canopy.yaml(5)"]
SERVERS = ("canopy-broker", "canopy-shard", "canopy-proxy")
SERVER_EXIT = "0 stopped in order; 1 it cannot start; 2 wrong command line or file. One line says why."
FILES = """/etc/canopy/cluster.yaml
the cluster, as systemd starts it: systemctl start canopy.target
/etc/default/canopy
environment of the processes under systemd
/var/lib/canopy
what broker and shards keep on disk
"""


def escaped(text):
    """Text as it is: no line of it a request, no character of it an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    text = text.replace("`", "\\`").replace("'", "\\(aq")
    for character, name in {"→": "\\(->", "≤": "\\(<=", "×": "\\(mu", "÷": "\\(di", "–": "\\(en", "²": "\\(S2"}.items():
        text = text.replace(character, name)
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def verbatim(text):
    return ".EX\n" + escaped(text.strip("\n")) + "\n.EE\n"


def page(name, section, version, summary, body):
    others = [each.replace("(", " (") for each in SEE_ALSO if each != f"{name}({section})"]
    see = " ,\n".join(f".BR {each}" for each in others)
    return (
        f'.TH {name.upper()} {section} "" "canopy {version}" "Canopy"\n'
        f".SH NAME\n{name} \\- {escaped(summary)}\n{body}.SH SEE ALSO\n{see}\n"
    )


def help_of(program, *command):
    done = subprocess.run([program, *command, "--help"], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def summary_of(text):
    """The first sentence of a help text, in the manner of whatis(1)."""
    first = re.split(r"[.:](?:\s|$)", text, maxsplit=1)[0]
    first = " ".join(first.split())
    return first[0].lower() + first[1:]


def program_page(name, program, version):
    text = help_of(program)
    summary = summary_of(text.partition(": ")[2] if text.startswith(name + ":") else text)
    body = ".SH DESCRIPTION\n" + verbatim(text)
    if name == "canopy":
        commands = re.findall(r"^  ([a-z]+)", text.partition("Commands")[2].partition("\n\n")[0], re.MULTILINE)
        assert len(commands) > 5, f"the commands of {name} are not found in its help"
        body += ".SH COMMANDS\n" + "".join(f".SS {each}\n" + verbatim(help_of(program, each)) for each in commands)
    if name in SERVERS:
        lines = FILES.splitlines()
        body += ".SH EXIT STATUS\n" + SERVER_EXIT + "\n"
        body += ".SH FILES\n" + "".join(f".TP\n.I {escaped(path)}\n{escaped(what)}\n" for path, what in zip(lines[::2], lines[1::2]))
    return page(name, 1, version, summary, body)


def file_page(name, file, version):
    body = ".SH DESCRIPTION\nEvery setting with its default.\n.PP\n" + verbatim(pathlib.Path(file).read_text())
    return page(name, 5, version, "the file that describes a Canopy cluster", body)


def main(version, directory, name, source):
    is_file = name.endswith(".yaml")
    text = (file_page if is_file else program_page)(name, source, version)
    (pathlib.Path(directory) / f"{name}.{5 if is_file else 1}").write_text(text)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
