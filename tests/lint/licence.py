#!/usr/bin/env python3
"""Checks that all files that name the licence name the same one: LICENSE, README, CMake, the Debian
packages and the container image.

    licence.py [ROOT]    prints each file that names another; exits 1 if there is any
"""
import pathlib
import re
import sys

LICENCE = "Apache-2.0"
TEXT = f"/usr/share/common-licenses/{LICENCE}"  # where Debian keeps it
NAMED = {
    "LICENSE": [rf"^SPDX-License-Identifier: {LICENCE}$", rf"^{TEXT}\b"],
    "README.md": [rf"\b{LICENCE}\b.*\(LICENSE\)"],
    "CMakeLists.txt": [rf'^set\(CANOPY_LICENSE "{LICENCE}"\)'],
    "deploy/debian/copyright": [rf"^License: {LICENCE}$", rf"{TEXT}\b"],
    "deploy/Dockerfile": [rf'org\.opencontainers\.image\.licenses="{LICENCE}"'],
}


def main(root):
    wrong = []
    for name, patterns in NAMED.items():
        file = root / name
        text = file.read_text() if file.exists() else ""
        wrong += [f"{name}: lacks {each}" for each in patterns if not re.search(each, text, re.MULTILINE)]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__ + "/../../..").resolve()))
