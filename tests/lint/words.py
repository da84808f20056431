#!/usr/bin/env python3
"""Keeps the retired words out: private names and sentences without an actor, where the field has a term.

    words.py               every file of the repository; prints FILE:LINE: word -> term and exits 1 if there is any
    words.py PATH...       these files and folders alone
    words.py --self-test   plants each word and checks that it is found
"""
import io
import pathlib
import re
import subprocess
import sys
import tokenize

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXTS = {".cc", ".h", ".in", ".py", ".md", ".sh", ".js", ".html", ".css", ".yaml", ".yml", ".cmake", ".txt", ".service", ".conf"}
CODE = {".cc", ".h", ".py"}

# Anywhere: names, comments, messages, documents. Case does not matter.
WORDS = {
    r"doors?|doorkeepers?": "listener",
    r"tickets?": "accept limit",
    r"crowd(s|ed|ing)?": "many clients, a burst of connections",
    r"(let|lets|letting) in": "accept",
    r"faces?": "frontend",
    r"letters?": "reply, message, character",
    r"greet(s|ed)?": "announce",
    r"hello": "announce, register",
    r"tenanc(y|ies)": "replica, open partition",
    r"plenty": "enough, or the number",
    r"deaf|mute[sd]?|silen(ce|ced|t(?! ms)|tly)": "timeout; without notice",
    r"gates?": "filter, check",
    r"participants?": "client, LoadClient",
    r"crews?": "WorkerPool",
    r"workplaces?": "Context",
    r"rehearsals?": "dry run",
    r"parting": "end of a connection",
    r"flocks?(?!\()": "clients",
    r"hammer(s|ed|ing)?": "load",
    r"clockwork": "timers",
    r"whoever|somebody|likewise|he|him|his": "the actor",
    r"all of it|the other one": "the thing's name",
    r"those (that|who)|(?<!\bone )who(?!le)": "the actor",
}
# As names in code only; in a sentence these are ordinary words.
NAMES = {
    r"[Tt]old_?|[Ss]aid_?": "sent, reported, Stats",
    r"most_?|plenty_?": "the bound's name",
    r"look(s|_(?!up\b)\w+)?(?=\()": "poll, check",
    r"take(?=\()": "on_write(), on_fetch(), apply_config()",
    r"Board": "AckTable",
}
# Where a standard has the word: HELLO is a CURVE command, "silent" an option of others' tools.
ALLOWED = [
    (r"core/zmtp/|tests/unit/core/zmtp/|tests/integration/.*zmtp\.py|docs/decisions/0021", r"hello"),
    (r"", r"who(?= am i)"),
    (r"tests/lint/words\.py", r".*"),
    (r"LICENSE", r".*"),
]


def compiled(patterns, flags=0):
    return [(re.compile(rf"\b(?:{word})(?!\w)", flags), instead) for word, instead in patterns.items()]


ANYWHERE = compiled(WORDS, re.IGNORECASE)
IN_CODE = compiled(NAMES)


def without_prose(path, text):
    """The text with its comments and strings blanked, line by line."""
    if path.suffix == ".py":
        lines = [list(line) for line in text.splitlines(keepends=True)]
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.COMMENT, tokenize.STRING):
                for row in range(token.start[0], token.end[0] + 1):
                    first = token.start[1] if row == token.start[0] else 0
                    last = token.end[1] if row == token.end[0] else len(lines[row - 1])
                    lines[row - 1][first:last] = " " * (last - first)
        return "".join("".join(line) for line in lines)
    blank = lambda found: re.sub(r"[^\n]", " ", found.group(0))
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def allowed(name, word):
    return any(re.search(path, name) and re.fullmatch(what, word, re.IGNORECASE) for path, what in ALLOWED)


def check(path, name):
    """`path` is read; `name`, relative to the repository, is what is allowed or not."""
    text = path.read_text(errors="replace")
    searched = [(ANYWHERE, text)]
    if path.suffix in CODE:
        searched.append((IN_CODE, without_prose(path, text)))
    found = []
    for patterns, where in searched:
        for number, line in enumerate(where.splitlines(), 1):
            for pattern, instead in patterns:
                for hit in pattern.finditer(line.replace("_", " ") if patterns is ANYWHERE else line):
                    if not allowed(name, hit.group(0)):
                        found.append(f"{name}:{number}: {hit.group(0)} -> {instead}")
    return found


def files(paths):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and (path.suffix in TEXTS or path.name in ("Makefile", "Dockerfile", "run", "postinst", "prerm", "postrm")):
            yield path, name


def self_test():
    import tempfile
    samples = ["a door opens", "three tickets", "the crowd", "who was let in", "its face", "a letter", "greet()", "hello", "tenancy", "plenty",
               "deaf", "in silence", "the gate", "Participant", "Crew", "Workplace", "Rehearsal", "Parting", "Flock", "hammering", "whoever",
               "somebody", "likewise", "his", "all of it", "the other one", "those that"]
    names = ["int told_ = 0;", "Said said;", "f(most);", "look(x);", "take(y);", "Board board;"]
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "sample.cc")
        for sample in samples:
            path.write_text(f"// {sample}\n")
            assert check(path, path.name), sample
        for sample in names:
            path.write_text(sample + "\n")
            assert check(path, path.name), sample
        for fine in ["// the whole interface is told at most twice; take a look", 'auto x = "most"; // greeting, gateway, clipboard', "flock(fd, LOCK_EX);"]:
            path.write_text(fine + "\n")
            assert not check(path, path.name), (fine, check(path, path.name))
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    found = [each for path, name in files(arguments) for each in check(path, name)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
