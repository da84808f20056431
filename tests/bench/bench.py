"""Measures Canopy and other brokers side by side on this machine.

Every system gets the same updates (key of 13 bytes, sequence of 8, body of 100), the same publisher and the same
reader: one process with N raw connections. Rounds are interleaved: each round measures every system at every N and
begins with another system. Each figure is the median of the rounds.

  spread    N clients, one update a second each, evenly over the second: N x N deliveries/s
  together  the same, all at the same instant of each second
  flood-W   as fast as possible, with at most W updates in flight to the slowest subscriber

CPU is user and system time of all processes of a server. Latency counts from when an update was due until it arrived.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys

from tests.bench import measure, report, systems


def numbers(text):
    return [int(each) for each in text.split(",") if each]


def known(name):
    try:
        systems.find(name)
    except KeyError:
        return False
    return True


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(systems.SYSTEMS)
    parser.add_argument("--systems", help=f"comma-separated, of: {names} (default: all); "
                        "canopy-native@max_linger_ms=10+publish_share=5 sets settings of its proxies")
    parser.add_argument("--subscribers", type=numbers, default=[100, 400, 1000], metavar="N,...")
    parser.add_argument("--phases", default="spread,together,flood", help="default: %(default)s")
    parser.add_argument("--flood-at", type=numbers, default=[100, 1000], metavar="N,...")
    parser.add_argument("--windows", type=numbers, default=[4096, 256], metavar="W,...")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of a paced phase; a flood takes 2")
    parser.add_argument("--proxies", type=int, default=2, help="of a Canopy cluster")
    parser.add_argument("--sampled", type=int, default=8, help="subscribers whose latency is measured")
    parser.add_argument("--quick", action="store_true", help="one round, N = 100, 2 s")
    parser.add_argument("--output", default="build/bench", metavar="PATH", help="PATH.json, PATH.md")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.subscribers, options.seconds = 1, [100], 2
    chosen = options.systems.split(",") if options.systems else list(systems.SYSTEMS)
    unknown = [name for name in chosen if not known(name)]
    if unknown:
        parser.error(f"no such system: {', '.join(unknown)}; there are: {names}")
    options.systems = chosen
    options.phases = options.phases.split(",")
    wrong = [name for name in options.phases if name not in ("spread", "together", "flood")]
    if wrong or min(options.rounds, options.proxies, options.seconds, *options.subscribers) < 1:
        parser.error("an unknown phase, or a number below 1")
    return options


def phases_at(subscribers, options):
    """(name, mode of the publisher, seconds)"""
    for phase in options.phases:
        if phase != "flood":
            yield phase, phase, options.seconds
        elif subscribers in options.flood_at:
            for window in options.windows:
                yield f"flood-{window}", f"flood:{window}", 2


def measure_server(name, subscribers, options):
    """Yields (phase, figures) of one system. Restarts a server that has lost updates before the next phase."""
    server, bodies = systems.find(name)
    left = list(phases_at(subscribers, options))
    while left:
        with server(subscribers, options.proxies) as started:
            with measure.Run(started, bodies, options.sampled) as run:
                while left:
                    phase, mode, seconds = left.pop(0)
                    figures = run.phase(mode, seconds)
                    yield phase, figures
                    if figures["lost"] != 0 or figures["closed"]:
                        break


def rotated(items, by):
    by %= len(items)
    return items[by:] + items[:by]


def measure_all(options):
    """All measurements: dicts with system, subscribers, phase, round and figures."""
    taken, failed = [], set()
    for round_number in range(options.rounds):
        for subscribers in options.subscribers:
            for name in rotated(options.systems, round_number * 5):
                try:
                    for phase, figures in measure_server(name, subscribers, options):
                        at = {"system": name, "subscribers": subscribers, "phase": phase}
                        taken.append({**at, "round": round_number, **figures})
                        print(report.progress_line(taken[-1]), file=sys.stderr, flush=True)
                except (systems.Failed, OSError, ValueError) as error:
                    failed.add(f"{name} at N = {subscribers}: {error}")
                    print(f"{name} at N = {subscribers}: {error}", file=sys.stderr, flush=True)
    return taken, sorted(failed)


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=systems.REPOSITORY, capture_output=True, text=True
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
        "commit": commit.stdout.strip(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def main(arguments):
    options = parse(arguments)
    left_out = {name: systems.find(name)[0].missing() for name in options.systems}
    for name, missing in left_out.items():
        if missing:
            print(f"bench: {name} is left out: there is no {missing}", file=sys.stderr)
    options.systems = [name for name, missing in left_out.items() if not missing]
    if not options.systems:
        return 2
    versions = {name: systems.find(name)[0].version() for name in options.systems}
    taken, failed = measure_all(options)
    document = {
        "machine": machine(),
        "options": vars(options),
        "versions": versions,
        "failed": failed,
        "medians": report.medians(taken),
        "runs": taken,
    }
    table = report.markdown(document)
    output = pathlib.Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    output.with_suffix(".md").write_text(table)
    print(table)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
