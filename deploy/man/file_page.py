#!/usr/bin/env python3
"""Prints the manual page of the cluster's file, canopy.yaml(5).

    file_page.py EXAMPLE     the commented example, which has every setting with its default
"""
import pathlib
import sys

HEAD = """.Dd November 28, 2026
.Dt CANOPY.YAML 5
.Os Canopy
.Sh NAME
.Nm canopy.yaml
.Nd the file that describes a Canopy cluster
.Sh DESCRIPTION
Every setting with its default.
.Bd -literal
"""
TAIL = """.Ed
.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/canopy/cluster.yaml
The cluster that systemd starts.
.El
.Sh SEE ALSO
.Xr canopy 1 ,
.Xr canopy-broker 1 ,
.Xr canopy-proxy 1 ,
.Xr canopy-shard 1
"""
# roff(7) prints these characters as they are only by name.
NAMES = {"-": "-", "~": "(ti", "^": "(ha", "`": "(ga", "'": "(aq", "→": "(->", "≤": "(<=", "×": "(mu", "÷": "(di", "–": "(en", "²": "(S2"}


def escaped(line):
    line = line.replace("\\", "\\e")
    for character, name in NAMES.items():
        line = line.replace(character, "\\" + name)
    return "\\&" + line if line.startswith(".") else line


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    example = pathlib.Path(sys.argv[1]).read_text().strip("\n").splitlines()
    sys.stdout.write(HEAD + "".join(escaped(line) + "\n" for line in example) + TAIL)
