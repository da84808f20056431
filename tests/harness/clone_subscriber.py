"""A subscriber of a Clone server as a process of its own, which a test may stop by a signal: says
"ready", then answers each line with the counters that it was told, in order."""

import json
import select
import sys

import zmq

from tests.harness.clone import make_socket
from tests.harness.promises import counter_of


def main(endpoint, prefix):
    subscriber = make_socket(zmq.Context(), zmq.SUB, endpoint, subscribe=prefix.encode())
    poller = zmq.Poller()
    poller.register(subscriber, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    received = []
    print("ready", flush=True)
    while True:
        poller.poll()
        while subscriber.poll(0):
            received.append(counter_of(subscriber.recv_multipart()[-1]))
        if select.select([sys.stdin], [], [], 0)[0]:
            if not sys.stdin.readline():
                return
            print(json.dumps(received), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
