"""Runs a program that is killed as soon as it, or a process that it starts, opens an outgoing connection:

    python3 no_connections.py PROGRAM ARGUMENT ...

The kernel sees to it (seccomp(2)), whatever the program does: connect() of any kind, UDP and raw sockets, data sent to an
address, and io_uring, by which all that could be done unseen, end it with SIGSYS.
"""

import ctypes
import os
import platform
import socket
import struct
import sys

# x86-64's and arm64's numbers of: connect, socket, sendto, sendmmsg, io_uring_setup.
CALLS = {"x86_64": (0xC000003E, 42, 41, 44, 307, 425), "aarch64": (0xC00000B7, 203, 198, 206, 269, 425)}
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, KILL_PROCESS = 0x7FFF0000, 0x80000000
# Of the classic BPF: load a word, jump if equal or if bits are set, and with a constant, return.
LOAD, JUMP_IF_EQUAL, JUMP_IF_SET, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE = 0, 4  # in struct seccomp_data


def argument(i):
    """Where the lower half of a call's argument is."""
    return 16 + 8 * i


def program():
    architecture, connect, socket_call, sendto, sendmmsg, io_uring = CALLS[platform.machine()]
    kill, allow = (RETURN, 0, 0, KILL_PROCESS), (RETURN, 0, 0, ALLOW)
    rules = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_IF_EQUAL, 1, 0, architecture), kill, (LOAD, 0, 0, NUMBER)]
    for number in (connect, sendmmsg, io_uring):
        rules += [(JUMP_IF_EQUAL, 0, 1, number), kill]
    # An address to send to.
    rules += [(JUMP_IF_EQUAL, 0, 5, sendto), (LOAD, 0, 0, argument(4)), (JUMP_IF_EQUAL, 0, 1, 0), allow, kill, allow]
    # Of sockets for IP only streams: what they send goes where they connected, or accepted.
    rules += [(JUMP_IF_EQUAL, 1, 0, socket_call), allow, (LOAD, 0, 0, argument(0)),
              (JUMP_IF_EQUAL, 2, 0, socket.AF_INET), (JUMP_IF_EQUAL, 1, 0, socket.AF_INET6), allow,
              (LOAD, 0, 0, argument(1)), (AND, 0, 0, 0xF), (JUMP_IF_EQUAL, 1, 0, socket.SOCK_STREAM), kill, allow]
    return b"".join(struct.pack("HBBI", *rule) for rule in rules), len(rules)


def forbid_connections():
    rules, n = program()
    buffer = ctypes.create_string_buffer(rules)
    libc = ctypes.CDLL(None, use_errno=True)
    # struct sock_fprog
    filters = ctypes.create_string_buffer(struct.pack("HP", n, ctypes.addressof(buffer)))
    for call in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters, 0, 0)):
        if libc.prctl(*call) != 0:
            raise OSError(ctypes.get_errno(), "this system takes no filter of system calls")


if __name__ == "__main__":
    forbid_connections()
    os.execvp(sys.argv[1], sys.argv[1:])
