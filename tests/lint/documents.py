#!/usr/bin/env python3
"""Checks the documents: README.md, CONTRIBUTING.md and docs.

    documents.py               prints FILE:LINE: what is wrong, and exits 1 if anything is
    documents.py --self-test   breaks a page in each way and checks that it is found
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.parse

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
INDEX = "docs/README.md"
README_LINES = 80
NOT_METRICS = {"canopy_default"}  # a network of docker
# A fenced block below this comment is part of a file, and is not parsed.
FRAGMENT = "<!-- fragment -->"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"^ *```.*?^ *```$|^ {4,}[^\n]*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def pages(root):
    return sorted([root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").rglob("*.md")])


def line_of(text, place):
    return text.count("\n", 0, place) + 1


def prose(text):
    """The text with its code blanked, line by line."""
    return CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)


def anchors(text):
    """What a code host names the headings of a page."""
    found, code = set(), re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for heading in re.findall(r"^#+ (.*)$", code, re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", LINK.sub("", heading).lower()).replace(" ", "-")
        found.add(name if name not in found else f"{name}-1")
    return found


# -- one page -------------------------------------------------------------------------------------


def links_of(page):
    """(place, path, anchor) of each relative link; the path of the page itself for an anchor alone."""
    for link in LINK.finditer(prose(page.read_text())):
        target = urllib.parse.urlsplit(link[1])
        if not target.scheme:
            yield link.start(), (page.parent / target.path).resolve() if target.path else page, target.fragment


def broken_links(page, root):
    text = page.read_text()
    for place, path, anchor in links_of(page):
        if not path.exists():
            yield line_of(text, place), f"no such file: {path.relative_to(root)}"
        elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text()):
            yield line_of(text, place), f"no heading #{anchor} in {path.relative_to(root)}"


def check_cpp(code):
    """Compiled against the public headers; of these the build makes version.h, which needs no value here."""
    with tempfile.TemporaryDirectory() as directory:
        version = pathlib.Path(directory, "canopy/version.h")
        version.parent.mkdir()
        version.write_text((ROOT / "client/canopy/version.h.in").read_text())
        file = pathlib.Path(directory, "block.cc")
        file.write_text(code)
        done = subprocess.run(
            ["g++", "-std=c++20", "-fsyntax-only", "-Wall", f"-I{directory}", f"-I{ROOT}/client", file], capture_output=True, text=True)
    return done.stderr.strip().split("\n")[0] if done.returncode else ""


def check_block(language, code):
    try:
        if language == "json":
            json.loads(code)
        elif language == "yaml":
            yaml.safe_load(code)
        elif language == "python":
            compile(code, "block", "exec")
    except (ValueError, yaml.YAMLError, SyntaxError) as fault:
        return str(fault).split("\n")[0]
    return check_cpp(code) if language == "cpp" else ""


def broken_blocks(page):
    text = page.read_text()
    for block in FENCE.finditer(text):
        if text[: block.start()].rstrip().endswith(FRAGMENT):
            continue
        indent = re.match(r" *", block[0].lstrip("\n"))[0]
        code = re.sub(f"^{indent}", "", block[2], flags=re.MULTILINE)
        if why := check_block(block[1], code):
            yield line_of(text, block.start()), f"this {block[1]} block is broken: {why}"


# -- all pages ------------------------------------------------------------------------------------


def unreachable(root):
    waiting, reached = [root / INDEX], {root / INDEX}
    while waiting:
        for _, path, _ in links_of(waiting.pop()):
            if path not in reached and path.suffix == ".md" and path.exists():
                reached.add(path)
                waiting.append(path)
    for page in (root / "docs").rglob("*.md"):
        if page not in reached:
            yield page, 1, f"no link leads here from {INDEX}"


def undocumented_commands(root):
    """Every command of `canopy` has a row with its options, and every option of every program is explained."""
    page = root / "docs/reference/cli.md"
    explained = page.read_text()
    source = (root / "client/cli/usage.cc").read_text()
    names = r'"([a-z][a-z-]*)(?:,\w)?"'
    for option in re.findall(r"\{" + names + r', (?:"|nullptr)', source):
        if f"`--{option}" not in explained:
            yield page, 1, f"the option --{option} is missing"
    for command, options in re.findall(r"\{Action::\w+,\s*" + names + r",\s*\{[^}]*\},\s*\{([^}]*)\}", source):
        rows = "\n".join(re.findall(rf"^\|[^|]*`{command}\b.*$", explained, re.MULTILINE))
        if not rows:
            yield page, 1, f"the command {command} is missing"
        for option in re.findall(names, options) if rows else []:
            if f"--{option}" not in rows and f"`-{option[0]}`" not in rows:
                yield page, 1, f"{command}: its option --{option} is missing"
    programs = root / "docs/reference/programs.md"
    for file in ("core/config/program.cc", "loadtest/options.cc"):
        for option in re.findall(r"\(\s*" + names + ",", (root / file).read_text()):
            if f"--{option}" not in programs.read_text():
                yield programs, 1, f"the option --{option} of {file} is missing"


def undocumented_errors(root):
    page = root / "docs/reference/protocol.md"
    explained = page.read_text()
    for name, number in re.findall(r"^\s+(\w+) = ([1-9]\d*),", (root / "core/wire/fault.h").read_text(), re.MULTILINE):
        if not re.search(rf"^\| {number} \| {name} \|", explained, re.MULTILINE):
            yield page, 1, f"the error {number} {name} is missing"
    own = root / "docs/reference/errors.md"
    for name, number in re.findall(r"^\s+(\w+) = (\d+),", (root / "client/canopy/error.h").read_text(), re.MULTILINE):
        if int(number) >= 64 and f"| {number} | {name} |" not in own.read_text():
            yield own, 1, f"the error {number} {name} is missing"


def undocumented_alerts(root):
    page = root / "docs/how-to/alerts.md"
    explained = page.read_text()
    for name in re.findall(r"- alert: (\w+)", (root / "deploy/prometheus/alerts.yml").read_text()):
        if f"### {name}\n" not in explained:
            yield page, 1, f"the alert {name} is missing"


def undocumented_paths(root):
    page = root / "docs/reference/http.md"
    for file in [*(root / "core/metrics").glob("*.cc"), *(root / "broker").glob("*.cc"), *(root / "proxy").glob("*.cc")]:
        for path in re.findall(r'"(/(?:api/v1/[a-z]+/?|metrics|livez|readyz))"', file.read_text()):
            if f"`{path}" not in page.read_text():
                yield page, 1, f"the path {path} is missing"


def unknown_tests(root):
    """Every test that a page names is there."""
    files = {}
    for path in (root / "tests").rglob("*"):
        if path.suffix in (".cc", ".py"):
            files[path.name] = files.get(path.name, "") + path.read_text()
    page = root / "docs/guarantees.md"
    text, current = page.read_text(), ""
    for name in re.finditer(r"`(\w+_test\.cc|test_\w+\.py|test_\w+|[A-Z][a-z]?\w*[a-z][A-Z]\w+)`", text):
        if "." in name[1]:
            current = name[1]
        if current not in files or ("." not in name[1] and name[1] not in files[current]):
            yield page, line_of(text, name.start()), f"no such test: {name[1]}"


def unknown_metrics(root):
    """Every metric that a page names is declared."""
    declared = (root / "docs/reference/metrics.md").read_text()
    for page in pages(root):
        text = page.read_text()
        for name in re.finditer(r"`(?:canopy_\w+ / )?(canopy_\w+)", text):
            if name[1] not in NOT_METRICS and f"`{name[1]}`" not in declared:
                yield page, line_of(text, name.start()), f"no such metric: {name[1]}"


def unknown_messages(root):
    """Every log message and state of a partition that a page explains is in the code."""
    files = [path for part in ("core", "broker", "shard", "proxy") for path in (root / part).rglob("*") if path.suffix in (".h", ".cc")]
    code = re.sub(r'"\s*\n\s*"', "", "".join(path.read_text() for path in files))  # adjacent literals are one
    for page in (root / "docs/reference/log.md", root / "docs/how-to/partitions.md"):
        text = page.read_text()
        for row in re.finditer(r"^\| (`[^|]*) \|", text, re.MULTILINE):
            for part in re.split(r"`|waiting: |NAME|…|\b\d\b", row[1]):
                if len(part.strip(" :,")) > 3 and part.strip(" :,") not in code:
                    yield page, line_of(text, row.start()), f"no such message: {part}"


def moved_pages(root):
    """Every page that another file of the repository names is there."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(lambda name: not name.endswith((".md", ".svg")), listed.split("\n")[:-1]):
        path = root / name
        text = path.read_text(errors="ignore") if path.is_file() else ""
        for page in re.finditer(r"\bdocs/[\w/-]+\.md\b", text):
            if not (root / page[0]).exists() and path != pathlib.Path(__file__).resolve():
                yield path, line_of(text, page.start()), f"no such page: {page[0]}"


def stale_pages(root):
    done = subprocess.run([sys.executable, root / "docs/generate.py", "--check"], capture_output=True, text=True)
    for line in (done.stdout + done.stderr).splitlines():
        yield root / INDEX, 1, line


def check(root, whole=True):
    found = []
    for page in pages(root):
        found += [(page, *each) for each in (*broken_links(page, root), *broken_blocks(page))]
    if (lines := (root / "README.md").read_text().count("\n")) >= README_LINES:
        found.append((root / "README.md", lines, f"has {lines} lines, not under {README_LINES}"))
    found += unreachable(root)
    if whole:
        for each in (undocumented_commands, undocumented_errors, undocumented_alerts, undocumented_paths, unknown_tests, unknown_metrics,
                     unknown_messages, moved_pages, stale_pages):
            found += each(root)
    return [f"{page.relative_to(root)}:{line}: {why}" for page, line, why in found]


def self_test():
    whole = "# A\n[index](docs/README.md)\n```cpp\nint main() {}\n```\n```json\n{}\n```\n"
    broken = [
        ("README.md", whole + "[x](no.md)", "no such file"),
        ("README.md", whole + "[x](docs/README.md#nothing)", "no heading"),
        ("README.md", whole + "\n" * README_LINES, "lines"),
        ("README.md", "```cpp\nint main() { retrun; }\n```\n", "cpp block"),
        ("README.md", "```json\n{,}\n```\n", "json block"),
        ("README.md", "```yaml\na: [\n```\n", "yaml block"),
        ("docs/alone.md", "# Alone\n", "no link leads here"),
    ]
    for name, text, why in [("README.md", whole, None), *broken]:
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory).resolve()
            (root / "docs").mkdir()
            for page in ("README.md", "CONTRIBUTING.md", INDEX):
                (root / page).write_text("# A page\n")
            (root / name).write_text(text)
            found = check(root, whole=False)
            assert (not found) if why is None else any(why in each for each in found), (why, found)
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    found = check(ROOT)
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
