"""A small reader of the Prometheus text format, and plain HTTP GET."""

import http.client
import re

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def get(address, path, timeout=5):
    """(status, body) of http://ADDRESS/PATH; OSError when nobody answers."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"{address}{path}: {error!r}") from error
    finally:
        connection.close()


class Metrics:
    """One scrape."""

    def __init__(self, text):
        self.text = text
        self.samples = []  # (name, labels, value)
        self.help, self.type = {}, {}
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, _, words = line[7:].partition(" ")
                self.help[name] = words
            elif line.startswith("# TYPE "):
                name, _, kind = line[7:].partition(" ")
                self.type[name] = kind
            elif match := SAMPLE.match(line):
                labels = dict(LABEL.findall(match[2] or ""))
                self.samples.append((match[1], labels, float(match[3])))

    def select(self, series, /, **labels):
        return [
            (its, value)
            for found, its, value in self.samples
            if found == series and labels.items() <= its.items()
        ]

    def has(self, series, /, **labels):
        return bool(self.select(series, **labels))

    def sum(self, series, /, **labels):
        """The sum over all series that carry these labels; 0 if there is none."""
        return sum(value for _, value in self.select(series, **labels))
