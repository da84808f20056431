#!/usr/bin/env python3
"""Checks which folder may include which other, as the #include lines say.

    floors.py [ROOT]       prints each violation as FILE:LINE: why; exits 1 if there is any
    floors.py --self-test  plants violations in a temporary tree and checks that each is found
"""
import pathlib
import re
import sys
import tempfile

# Lowest floor first. A folder may include itself and the folders named here.
# The client library consists of LIBRARY, and has no dependency of a server.
LIBRARY = ["core/base", "core/keyspace", "core/access", "core/keys", "core/wire", "core/zmtp", "core/net"]
CORE = LIBRARY + ["core/cluster", "core/config", "core/metrics", "core/coordination"]
MAY_INCLUDE = {
    "core/base": [],
    "core/keyspace": ["core/base"],
    "core/access": ["core/base", "core/keyspace"],
    "core/keys": ["core/base", "core/access"],
    "core/wire": ["core/base", "core/keyspace"],
    "core/zmtp": ["core/base", "core/access"],
    "core/config": ["core/base", "core/keyspace", "core/access", "core/keys"],
    "core/metrics": ["core/base"],
    "core/net": ["core/base", "core/access", "core/zmtp"],
    "core/cluster": ["core/base", "core/keyspace", "core/wire"],
    "core/coordination": ["core/base", "core/keyspace", "core/access", "core/wire", "core/cluster", "core/config", "core/net"],
    "shard": CORE,
    "proxy": CORE,
    "broker": CORE,
    "client": LIBRARY,
    "client/canopy": LIBRARY + ["client"],
    "client/cli": CORE + ["client"],
    "loadtest/measure": CORE + ["client"],
    "loadtest": CORE + ["client", "loadtest/measure"],
}

# Third-party headers and the only folders that may include them. Tests may include any.
OWNERS = {
    r"zmq(_addon)?\.hp*": ["loadtest"],
    r"yaml-cpp/": ["core/config"],
    r"boost/program_options": ["core/config", "loadtest", "client/cli"],
    r"boost/histogram": ["loadtest/measure"],
    r"boost/crc": ["shard"],
    r"boost/": [],
    r"prometheus/": ["core/metrics"],
    r"(CivetServer|civetweb)\.h": ["core/metrics"],
    r"rocksdb/": ["shard"],
    r"msgpack(\.hpp|/)": ["core/wire", "core/coordination"],
    r"nlohmann/": ["core/wire", "core/coordination", "core/metrics", "broker", "client/cli", "loadtest", "loadtest/measure"],
    r"sodium\.h": ["core/access", "core/zmtp"],
    r"curl/": ["core/coordination"],
}

# Pure folders include no header of sockets, files, clocks or threads.
PURE = ["core/keyspace", "core/access", "core/wire", "core/zmtp", "core/cluster"]
IMPURE = re.compile(r"(thread|mutex|shared_mutex|condition_variable|future|atomic|fstream|iostream|filesystem"
                    r"|sys/.*|netinet/.*|arpa/.*|unistd\.h|fcntl\.h|poll\.h|time\.h|core/base/log\.h)$")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    """The floor a path of the repository belongs to, or None."""
    known = [folder for folder in MAY_INCLUDE if path.startswith(folder + "/")]
    return max(known, key=len, default=None)


def fault_of_own(folder, path, target):
    """Why the file `path` of `folder` may not include the repository's `target`, or None."""
    owner = folder_of(target)
    if target.startswith("tests/"):
        return "nothing includes tests"
    if owner is None:
        return f"{target} is not a path from the root of the repository"
    if owner != folder and owner not in MAY_INCLUDE[folder]:
        return f"{folder} may not include {owner}"
    inside = pathlib.PurePath(target).name
    if inside == "node.h" and not re.match(r"(node.*|main)\.(cc|h)$", pathlib.PurePath(path).name):
        return "only main.cc stands above the node"
    return None


def fault_of_other(folder, header):
    """Why `folder` may not include the third-party or system `header`, or None."""
    for pattern, owners in OWNERS.items():
        if re.match(pattern, header):
            return None if folder in owners else f"{header} is for {' and '.join(owners) or 'no folder'} only"
    return None


def faults_of(path, text):
    """The violations of one file, as (line number, why)."""
    folder = folder_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, header = match.group(1) == '"', match.group(2)
        fault = fault_of_own(folder, path, header) if quoted else fault_of_other(folder, header)
        if not fault and folder in PURE and IMPURE.match(header):
            fault = f"{folder} is pure: no {header}"
        if fault:
            yield number, fault


def violations(root):
    for folder in sorted({name.split("/")[0] for name in MAY_INCLUDE}):
        for file in sorted((root / folder).rglob("*")):
            path = file.relative_to(root).as_posix()
            if file.suffix not in (".cc", ".h") or not file.is_file():
                continue
            if folder_of(path) is None:
                yield f"{path}:1: the folder is on no floor: add it to {pathlib.Path(__file__).name}"
                continue
            for number, fault in faults_of(path, file.read_text()):
                yield f"{path}:{number}: {fault}"


PLANTED = {
    "core/base/a.h": '#include "core/net/loop.h"',
    "core/keyspace/b.cc": "#include <thread>",
    "core/wire/c.cc": '#include "core/base/log.h"',
    "core/net/d.cc": "#include <yaml-cpp/yaml.h>",
    "core/metrics/e.cc": "  #  include <zmq.hpp>",
    "core/config/f.cc": '#include "tests/unit/helper.h"',
    "core/bottom/g.cc": "",
    "core/cluster/p.cc": "#include <boost/asio.hpp>",
    "proxy/h.cc": '#include "shard/node.h"',
    "shard/i.cc": '#include "broker/api.h"',
    "shard/logic.cc": '#include "shard/node.h"',
    "broker/j.cc": "#include <rocksdb/db.h>",
    "loadtest/k.cc": '#include "proxy/stream.h"',
    "client/l.cc": '#include "l.h"',
    "client/q.cc": '#include "core/config/cluster.h"',
}
FINE = {
    "loadtest/zmq_socket.h": "#include <zmq.hpp>",
    "core/wire/m.cc": '#include <msgpack.hpp>\n#include "core/keyspace/key.h"',
    "shard/main.cc": '#include "core/config/program.h"\n#include "shard/node.h"',
    "shard/node.cc": '#include "shard/node.h"\n#include <rocksdb/db.h>\n#include <thread>',
    "tests/unit/n.cc": "#include <zmq.hpp>",
}


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for path, text in {**PLANTED, **FINE}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("// A file.\n" + text + "\n")
        found = {line.split(":")[0] for line in violations(root)}
    for path in sorted(found ^ set(PLANTED)):
        print(f"self-test: {path}: {'wrongly reported' if path in found else 'not found'}")
    return 1 if found != set(PLANTED) else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    root = pathlib.Path(arguments[0]) if arguments else pathlib.Path(__file__).resolve().parents[2]
    found = list(violations(root))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
