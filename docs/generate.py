#!/usr/bin/env python3
"""Writes the generated pages of docs/reference: configuration.md from the tables of core/config and the defaults in
deploy/canopy.example.yaml (a unit test holds these equal to the program's); metrics.md from the declarations.

    generate.py           writes the pages
    generate.py --check   exits 1 and names each page that is not as it would be written
"""
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs/reference"
CONFIG = ROOT / "core/config"
STRINGS = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
NOTE = "<!-- Written by `make docs` from {}. Edit that, not this page. -->\n"


def joined(literals):
    """The text of adjacent C++ string literals."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)).replace('\\"', '"')


def row(*cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |\n"


# -- metrics --------------------------------------------------------------------------------------

PROGRAMS = {
    "Every process": ["core/metrics/registry.cc", "core/metrics/process.cc"],
    "Broker": ["broker/metrics.h", "broker/metrics.cc"],
    "Shard": ["shard/metrics.h", "shard/metrics.cc"],
    "Proxy": ["proxy/metrics.h", "proxy/metrics.cc"],
}


def metrics_of(paths):
    """(name, type, help) of each declaration, sorted."""
    text = "".join((ROOT / path).read_text() for path in paths if (ROOT / path).exists())
    declared = re.findall(r"\b(counter|gauge|histogram)s?\(\s*\"((?:canopy|process)_\w+)\",\s*" + STRINGS, text)
    return sorted((name, kind, joined(help)) for kind, name, help in declared)


def metrics_page():
    out = "# Metrics\n\n" + NOTE.format("the declarations in `*/metrics.h` and `*/metrics.cc`")
    out += """
Each process answers `/metrics` on its `http` address in Prometheus' text format. Names that end with `_total` are
counters since the process started; `_bytes` and `_seconds` name units. No label holds a client or a key.
What to watch and what to do: [alerts](../how-to/alerts.md).
"""
    for program, paths in PROGRAMS.items():
        out += f"\n## {program}\n" + row("metric", "type", "meaning") + "|---|---|---|\n"
        out += "".join(row(f"`{name}`", kind, help) for name, kind, help in metrics_of(paths))
    return out


# -- settings -------------------------------------------------------------------------------------

WRAPPERS = ("live", "required", "claiming", "together")
PARTS = ("text", "number", "duration", "flag", "choice", "word", "section", "sections", "scalar", "endpoint", "dialect", "pem_file", "subtrees")


def closing(text, start):
    """Where the bracket at `start` is closed."""
    depth, place = 0, start
    while True:
        if text[place] == '"':
            place = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, place).end()
            continue
        depth += (text[place] in "({[") - (text[place] in ")}]")
        if depth == 0:
            return place
        place += 1


def split(text):
    """The parts between the commas of the outermost level."""
    parts, begin, place = [], 0, 0
    while place < len(text):
        if text[place] == '"':
            place = re.compile(r'"(?:[^"\\]|\\.)*"').match(text, place).end()
        elif text[place] in "({[":
            place = closing(text, place) + 1
        else:
            if text[place] == ",":
                parts.append(text[begin:place].strip())
                begin = place + 1
            place += 1
    parts.append(text[begin:].strip())
    return [part for part in parts if part]


def constants():
    files = [*sorted(CONFIG.glob("*.cc")), ROOT / "core/base/limits.h"]
    return {name: value for file in files for name, value in re.findall(r"constexpr [\w:]+ (\w+) = (.*?);", file.read_text())}


CONSTANTS = constants()
SOURCES = [file.read_text() for file in sorted(CONFIG.glob("*.cc"))]


def number(text):
    text = text.replace("'", "").replace("base::", "").replace("std::numeric_limits<int>::max()", "2147483647")
    text = re.sub(r"std::int64_t\{(\d+)\}", r"\1", text)
    text = re.sub(r"(?<=\d)u?ll?\b", "", text)
    text = re.sub(r"[a-z_]+\w*", lambda name: str(number(CONSTANTS[name[0]])), text)
    assert re.fullmatch(r"[-\d\s*<+()]+", text), text
    return eval(text)


class Setting:
    """One line of a table: key, help, what it may hold, whether it is live or required."""

    def __init__(self, expression, source):
        self.key, self.help, self.values, self.live, self.required = "", "", "", False, False
        self._read(expression, source)
        assert self.key and self.help, expression

    def _read(self, expression, source):
        head = re.match(r"(\w+)(?:<[\w:]+>)?\s*\(", expression)
        name, arguments = head[1], split(expression[head.end() : closing(expression, head.end() - 1)])
        self.live |= name == "live"
        self.required |= name == "required"
        if name in WRAPPERS:
            self._read(arguments[0], source)
        elif name in PARTS:
            self._part(name, arguments)
            if not self.help:
                self._function(name, arguments, source)
        else:
            self._function(name, arguments, source)

    def _part(self, name, arguments):
        literals = [joined(each) for each in arguments if each.startswith('"')]
        if not self.key and arguments[0].startswith('"'):
            self.key = literals.pop(0)
        self.help = self.help or (literals[-1] if literals else "")
        if name in ("number", "duration"):
            self.values = f"{number(arguments[2]):,} to {number(arguments[3]):,}"
        elif name == "flag":
            self.values = "true, false"
        elif name in ("choice", "word"):
            self.values = ", ".join(re.findall(r'[{,]\s*"(\w+)"', arguments[2]))

    def _function(self, name, arguments, source):
        """A function that makes the setting: its first part tells, and the texts that it is given."""
        made = re.compile(rf"Setting<[\w:]+> {name}\([^{{;]*\{{")
        source = next(text for text in [source, *SOURCES] if made.search(text))
        found = made.search(source)
        body = source[found.end() : closing(source, found.end() - 1)]
        self.required |= "required(" in body
        for each in arguments:
            if each.startswith('"') and not (name in PARTS and joined(each) == self.key):
                self.help = self.help or joined(each)
        for variable in ("key", "help"):
            if not getattr(self, variable) and (given := re.search(rf"(?:\* const |\.){variable} = {STRINGS}", body)):
                setattr(self, variable, joined(given[1]))
        part = re.search(rf"\b(?:{'|'.join(PARTS)})(?:<[\w:]+>)?\(", body)
        if part and not (self.key and self.help):
            self._part(part[0].split("(")[0].split("<")[0], split(body[part.end() : closing(body, part.end() - 1)]))


def table(name):
    for file in sorted(CONFIG.glob("*.cc")):
        source = file.read_text()
        if found := re.search(rf"Table<[\w:]+>&? {name}\(\) \{{\s*(?:static const .*? table =|return) (?:with_storage\()?\{{", source):
            listed = source[found.end() : closing(source, found.end() - 1)]
            tail = table("storage") if "with_storage(" in found[0] else []
            return [Setting(each, source) for each in split(listed)] + tail
    raise SystemExit(f"no table {name} in {CONFIG}")


SECTIONS = [  # heading, table, where the defaults are
    ("Top level", "cluster_table", ()),
    ("`coordination`", "coordination_table", ("coordination",)),
    ("`coordination.etcd`", "etcd_table", None),
    ("`security`", "security_table", None),
    ("`security.clients`", "client_table", None),
    ("`broker`", "broker_table", ("broker",)),
    ("`partitions`", "partition_table", ("partitions", 0)),
    ("`shards`", "shard_table", ("shards", 0)),
    ("`proxies`", "proxy_table", ("proxies", 0)),
]


def default_of(setting, values, undefined):
    if setting.required:
        return "required"
    value = values.get(setting.key)
    if setting.key in undefined or value in (None, "") or isinstance(value, (dict, list)):
        return ""
    return value


def configuration_page():
    text = (ROOT / "deploy/canopy.example.yaml").read_text()
    example = yaml.load(text, yaml.BaseLoader)
    undefined = set(re.findall(r"^[ -]*(\w+):.*\(no default\)", text, re.MULTILINE))
    etcd = re.search(r"struct Etcd \{(.*?)\n\};", (CONFIG / "cluster.h").read_text(), re.DOTALL)[1]
    given = dict(re.findall(r'(\w+) = "([^"]+)"', etcd))
    out = "# Configuration\n\n" + NOTE.format("the tables of `core/config` and `deploy/canopy.example.yaml`")
    out += """
One YAML file describes a cluster, and every program reads the same file. [canopy.example.yaml](../../deploy/canopy.example.yaml)
holds every setting with its default and says more about it. `canopy-broker --config FILE --check-config` checks a file.
An unknown key, a wrong type and a value out of bounds are errors that name line and key. Durations (`_ms`) are in
milliseconds, sizes (`_bytes`) in bytes. *live*: a running process adopts a new value after
[a reload](../how-to/reload.md). Every other change takes a restart.

`security: off`, `etcd: off` and `coordination: local` switch a section off. Top-level keys that begin with `x-` are ignored.
Command line over environment over file: [programs](programs.md).
"""
    for heading, name, path in SECTIONS:
        values = example
        for step in path or ():
            values = values[step]
        if path is None:
            values = given if name == "etcd_table" else {}
        out += f"\n## {heading}\n" + row("setting", "default", "values", "live", "meaning") + "|---|---|---|---|---|\n"
        for each in table(name):
            default = default_of(each, values, undefined if path is not None else set())
            out += row(f"`{each.key}`", default and (default if default == "required" else f"`{default}`"), each.values, "live" if each.live else "", each.help)
    return out


def main(arguments):
    stale = []
    for name, text in (("configuration.md", configuration_page()), ("metrics.md", metrics_page())):
        page = REFERENCE / name
        if arguments == ["--check"]:
            if not page.exists() or page.read_text() != text:
                stale.append(f"{page.relative_to(ROOT)} is stale: run `make docs`")
        else:
            page.write_text(text)
    print(*stale, sep="\n", end="\n" if stale else "")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
