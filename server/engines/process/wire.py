"""Frames on the pipe between the server and an engine process. Frequent frames are cheap to send.

The frame of a decode step carries a token for each row; pickled as objects these would take longer than a small model's
step. So tokens go as plain tuples, which Python's pickle in C writes. Only frames of our own child process are read.
"""

import os
import pickle
import socket
import struct
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from server.engines.base import NO_ROOM, Room
from server.engines.rows import Token

Numbered = Sequence[tuple[int, Any]]


def send(pipe: Connection, frame: Any) -> None:
    """Send a frame to the child."""
    pipe.send_bytes(pickle.dumps(frame, pickle.HIGHEST_PROTOCOL))


def receive(pipe: Connection) -> Any:
    """Wait for a word.

    Raises:
        EOFError, OSError: the other end is gone.
        BlockingIOError: nothing came within the pipe's limit (``limit_silence``).
    """
    return pickle.loads(pipe.recv_bytes())  # noqa: S301  the other end is our own process


def send_step(pipe: Connection, pieces: Numbered, outcomes: Numbered, room: Room) -> None:
    """Send the pieces and outcomes of one step."""
    tokens, others = [], []
    for number, piece in pieces:
        if type(piece) is Token:
            tokens.append((number, piece.id, piece.logprob, piece.top))
        else:
            others.append((number, piece))
    send(pipe, (tokens, others, outcomes, None if room == NO_ROOM else (room.rows, room.tokens, room.cache_usage)))


def receive_step(pipe: Connection) -> tuple[Numbered, Numbered, Room]:
    """Wait for a step: pieces, outcomes, and what could join; raises as ``receive``."""
    tokens, others, outcomes, room = receive(pipe)
    pieces = [(number, Token(id, logprob, top)) for number, id, logprob, top in tokens]
    return pieces + others, outcomes, NO_ROOM if room is None else Room(*room)


def limit_silence(pipe: Connection, seconds: float) -> None:
    """Let ``receive`` wait at most so long: the kernel keeps the time, so waiting costs no call beside the read."""
    whole, rest = divmod(seconds, 1)
    with socket.socket(fileno=os.dup(pipe.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(whole), int(rest * 1e6)))
