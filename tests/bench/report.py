"""The medians of the measurements as Markdown tables."""

import statistics

# Ratios are to these systems, which users of other brokers have.
COMPARED_WITH = ("redis", "nats", "baseline")
NOISE = 0.1  # cores used by other programs, above which the report mentions them


def medians(taken):
    """One dict for each system, N and phase, in order of first appearance."""
    groups = {}
    for each in taken:
        key = (each["phase"], each["subscribers"], each["system"])
        groups.setdefault(key, []).append(each)
    return [median_of(group) for group in groups.values()]


def median_of(group):
    result = {name: group[0][name] for name in ("phase", "subscribers", "system")}
    result["rounds"] = len(group)
    for name in group[0]:
        values = [each[name] for each in group if isinstance(each[name], (int, float))]
        if name in result or name == "round" or not values:
            continue
        result[name] = statistics.median(values)
    result["lost"] = max(each["lost"] for each in group)
    result["closed"] = max(each["closed"] for each in group)
    result["complete"] = all(each["complete"] for each in group)
    costs = sorted(each["cpu_us_per_delivery"] or 0 for each in group)
    result["cpu_us_per_delivery_range"] = [costs[0], costs[-1]]
    return result


def progress_line(figures):
    cost = figures["cpu_us_per_delivery"]
    return (
        f"{figures['round'] + 1} {figures['phase']:>10} N={figures['subscribers']:<5}"
        f"{figures['system']:<20} {cost or 0:8.3f} us  {figures['deliveries_per_s'] / 1e6:7.3f} M/s  "
        f"p50 {figures['p50_ms']:8.2f}  p99 {figures['p99_ms']:8.2f} ms  lost {figures['lost']}"
        f"  others {figures['other_cores']:.2f}"
    )


def ratio(figures, others, name):
    """The ratio of `figures` to those of each system of COMPARED_WITH."""
    for other in COMPARED_WITH:
        reference = others.get(other)
        mine = figures.get(name)
        if not reference or not mine or not reference.get(name) or reference is figures:
            yield "–"
        else:
            yield f"{mine / reference[name]:.2f}"


def rows_of(document):
    """(phase, N) -> system -> medians"""
    tables = {}
    for figures in document["medians"]:
        at = (figures["phase"], figures["subscribers"])
        tables.setdefault(at, {})[figures["system"]] = figures
    return tables


def order(document):
    names = document["options"]["systems"]
    return lambda figures: names.index(figures["system"])


def remarks(figures):
    found = []
    if figures["lost"] > 0:
        found.append(f"{figures['lost']:,} late or lost")
    if figures["lost"] < 0:
        found.append(f"{-figures['lost']:,} too many")
    if figures["closed"]:
        found.append(f"{figures['closed']} cut off")
    if not figures["complete"]:
        found.append("stalled")
    return ", ".join(found) or "0"


def paced_table(figures_of, document):
    ratios = " | ".join(f"÷ {name}" for name in COMPARED_WITH)
    lines = [f"| system | CPU µs/delivery | {ratios} | p50 ms | p99 ms | bytes/delivery | lost |"]
    lines.append("|---|---:" + "|---:" * (len(COMPARED_WITH) + 4) + "|")
    for figures in sorted(figures_of.values(), key=order(document)):
        low, high = figures["cpu_us_per_delivery_range"]
        cost = figures.get("cpu_us_per_delivery", 0)
        lines.append(
            f"| {figures['system']} | {cost:.3g} ({low:.3g}–{high:.3g}) | "
            + " | ".join(ratio(figures, figures_of, "cpu_us_per_delivery"))
            + f" | {figures['p50_ms']:.1f} | {figures['p99_ms']:.1f}"
            + f" | {figures.get('bytes_per_delivery', 0):.0f} | {remarks(figures)} |"
        )
    return lines


def flood_table(figures_of, document):
    ratios = " | ".join(f"÷ {name}" for name in COMPARED_WITH)
    lines = [
        f"| system | million deliveries/s | {ratios} | CPU µs/delivery | server cores | reader cores | p99 ms | lost |"
    ]
    lines.append("|---|---:" + "|---:" * (len(COMPARED_WITH) + 5) + "|")
    for figures in sorted(figures_of.values(), key=order(document)):
        lines.append(
            f"| {figures['system']} | {figures['deliveries_per_s'] / 1e6:.3g} | "
            + " | ".join(ratio(figures, figures_of, "deliveries_per_s"))
            + f" | {figures.get('cpu_us_per_delivery', 0):.3g} | {figures['server_cores']:.2f}"
            + f" | {figures['reader_cores']:.2f} | {figures['p99_ms']:.1f} | {remarks(figures)} |"
        )
    return lines


def footprint_table(tables, document):
    lines = ["| system | N | KB/subscriber, idle | KB/subscriber, after its runs | descriptors/subscriber |"]
    lines.append("|---|---:|---:|---:|---:|")
    found = {}
    for (_, subscribers), figures_of in tables.items():
        for name, figures in figures_of.items():
            found.setdefault((subscribers, name), []).append(figures)
    for (subscribers, name), group in sorted(
        found.items(), key=lambda item: (item[0][0], document["options"]["systems"].index(item[0][1]))
    ):
        busy = max(each["bytes_per_subscriber_busy"] for each in group)
        lines.append(
            f"| {name} | {subscribers} | {group[0]['bytes_per_subscriber'] / 1024:.1f} | {busy / 1024:.1f}"
            f" | {group[0]['descriptors_per_subscriber']:.2f} |"
        )
    return lines


def markdown(document):
    machine, options = document["machine"], document["options"]
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['date']}, "
        f"commit {machine['commit']}. Medians of {options['rounds']} interleaved rounds (range in brackets); "
        f"paced phases {options['seconds']} s; Canopy: broker, 1 shard, {options['proxies']} proxies, added up.",
        "",
        "; ".join(f"{name}: {version}" for name, version in document["versions"].items()) + ".",
    ]
    tables = rows_of(document)
    for (phase, subscribers), figures_of in sorted(tables.items(), key=lambda item: (item[0][0].startswith("flood"), item[0])):
        lines += ["", f"### {phase}, N = {subscribers}", ""]
        make = flood_table if phase.startswith("flood") else paced_table
        lines += make(figures_of, document)
    lines += ["", "### Memory and descriptors", "", *footprint_table(tables, document)]
    others = [each["other_cores"] for each in document["runs"]]
    if others and max(others) > NOISE:
        lines += [
            "",
            f"**Noisy machine:** other programs used up to {max(others):.2f} cores "
            f"(median {statistics.median(others):.2f}).",
        ]
    if document["failed"]:
        lines += ["", "Not measured:", "", *(f"- {each}" for each in document["failed"])]
    return "\n".join(lines) + "\n"
