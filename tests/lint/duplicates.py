#!/usr/bin/env python3
"""Finds duplicate code: runs of ten or more lines that occur twice with the same shape.

Names, numbers and strings count as equal. Comments, blank lines, includes, lone braces and lone strings are left out.

    duplicates.py [ROOT]       prints each pair as FILE:LINE = FILE:LINE (n lines) and exits 1 if there is any
    duplicates.py --self-test  plants duplicates in a temporary tree and checks that they are found
"""
import collections
import pathlib
import re
import sys
import tempfile

FOLDERS = ["broker", "client", "core", "loadtest", "proxy", "shard", "tests/bench", "tests/faults"]
RUN = 10  # lines
# A run with fewer distinct shapes is a table, a list of declarations or a list of fields.
DISTINCT = 6

COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
RAW_STRING = re.compile(r'R"(\w*)\(.*?\)\1"', re.DOTALL)
TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])+\'|\.?\d(?:[\w.]|\'\d)*|\w+|[^\s\w]')
# Keywords give a line its shape; the names of types do not.
KEYWORDS = set("case class const constexpr continue break catch default delete do else enum explicit false for friend if inline namespace new "
               "noexcept nullptr operator override private protected public return sizeof static struct switch template this throw true try "
               "using virtual void while".split())
IGNORED = re.compile(r'\s*(#.*|([{}();,]|"(\\.|[^"\\])*")*|(public|private|protected):|\}\s*(else|while.*)?\s*\{?|(using )?namespace\b.*)\s*$')


def shape_of(line):
    def normal(token):
        if token[0] in "\"'":
            return "S"
        if token[0].isdigit() or (token[0] == "." and len(token) > 1):
            return "N"
        return token if token in KEYWORDS or not token[0].isidentifier() else "i"

    return " ".join(map(normal, TOKEN.findall(line)))


def lines_of(text):
    """(line number, shape) of every line that counts."""
    newlines = lambda text: "\n" * text.count("\n")
    text = RAW_STRING.sub(lambda found: '""' + newlines(found.group(0)), text)
    text = COMMENT.sub(lambda found: found.group(0) if found.group(0)[0] == '"' else newlines(found.group(0)), text)
    return [(number, shape_of(line)) for number, line in enumerate(text.splitlines(), 1) if not IGNORED.match(line)]


def extended(files, one, other):
    """Length of the longest run from two places on; a run in one file does not overlap itself."""
    (name, at), (other_name, other_at) = one, other
    limit = min(len(files[name]) - at, len(files[other_name]) - other_at)
    if name == other_name:
        limit = min(limit, other_at - at)
    same = (i for i in range(limit) if files[name][at + i][1] != files[other_name][other_at + i][1])
    return next(same, limit)


def duplicates(root):
    files = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cc", ".h"):
                files[path.relative_to(root).as_posix()] = lines_of(path.read_text())
    windows = collections.defaultdict(list)
    for name, lines in files.items():
        shapes = [shape for _, shape in lines]
        for at in range(len(shapes) - RUN + 1):
            window = tuple(shapes[at : at + RUN])
            if len(set(window)) >= DISTINCT:
                windows[window].append((name, at))
    reported = {}  # (file, other file, distance) -> where the last reported run of these ends
    pairs = sorted((one, other) for places in windows.values() for i, one in enumerate(places) for other in places[i + 1 :])
    for one, other in pairs:
        along = (one[0], other[0], other[1] - one[1])
        length = extended(files, one, other)
        if length < RUN or one[1] < reported.get(along, 0):
            continue
        reported[along] = one[1] + length
        where = [f"{name}:{files[name][at][0]}" for name, at in (one, other)]
        yield f"{where[0]} = {where[1]} ({length} lines)"


PLANTED = """int sum(const std::vector<int>& values) {
  int total = 0;
  for (const int value : values) {
    // A comment.
    if (value < 0) continue;
    total += value;
    const auto next = follow(value, "text");
    if (!next) break;
    while (total > 10) total /= 2;
    count[total]++;
    names.push_back(next->name);
    update(total);

    finish(next, total, 3);
  }
  return total;
}
"""


def self_test():
    renamed = PLANTED.replace("total", "product").replace("10", "1'000").replace('"text"', '"//"').replace("// A comment.", "")
    shorter = "\n".join(renamed.splitlines()[:9])
    table = "constexpr int table[] = {\n" + "  {1, 2},\n" * 30 + "};\n"
    for other, expected in [(renamed, 1), (shorter, 0), (table, 0)]:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for path, text in [("proxy/one.cc", PLANTED), ("core/net/other.h", "#include <a>\n" + other), ("core/net/table.cc", table)]:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            found = list(duplicates(root))
        if len(found) != expected:
            print("self-test: expected", expected, "duplicates, found", found)
            return 1
    return 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[2]
    found = list(duplicates(root))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
