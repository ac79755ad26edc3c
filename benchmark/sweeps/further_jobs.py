"""A process of a sweep does one job after the other, for as long as all goes well.

The jobs that share weights come to one process: it imports their libraries and loads the weights
once. The first job is on its command line; the sweep sends the others through a socket, each with
a pipe for what it prints.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.errors import DONE, INTERRUPTED

JOBS = "BENCHMARK_JOBS"
"""Environment variable: the file descriptor of the socket on which a process is sent more jobs."""


def do_further_jobs(perform: Callable[[], int], status: int) -> int:
    """In a process of a sweep, do the jobs that it is sent; elsewhere do nothing.

    It ends with the first job that is not done, as after one that failed nobody knows the state of
    a library or a device; and when the sweep closes the socket.

    Args:
        perform: does what `sys.argv` asks for; its exit status.
        status: the exit status of the first job.

    Returns:
        The exit status of the last job.
    """
    descriptor = os.environ.pop(JOBS, None)
    if descriptor is None:
        return status
    with socket.socket(fileno=int(descriptor)) as sweep, Path(os.devnull).open("wb") as nowhere:
        while True:
            _print_to(nowhere.fileno())  # closes the pipe: nothing is missing in the job's log
            try:
                send(sweep, {"status": status})
                message = receive(sweep) if status == DONE else None
            except KeyboardInterrupt:  # between two jobs
                return INTERRUPTED
            if message is None:
                return status
            _, (pipe,), *_ = socket.recv_fds(sweep, 1, 1)
            _print_to(pipe)
            os.close(pipe)
            os.environ.update(message["environment"])
            sys.argv[1:] = message["arguments"]
            status = perform()


def send(connection: socket.socket, message: dict[str, Any], *pipes: int) -> None:
    """Send a message as a line of JSON, and file descriptors after it."""
    connection.sendall(json.dumps(message).encode() + b"\n")
    if pipes:
        socket.send_fds(connection, [b"."], pipes)


def receive(connection: socket.socket) -> Any:
    """The next message; None where the other side has ended."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = connection.recv(1)  # and no more: what follows may carry a file descriptor
        if not byte:
            return None
        line += byte
    return json.loads(line)


def _print_to(descriptor: int) -> None:
    """Let everything that the process prints go to a file, also what libraries in C print."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        stream.flush()
        os.dup2(descriptor, number)
